"""What Twilio's error codes mean: a sentence for the user, and whether trying again can help. Pure.

Codes and their meaning: Twilio's error dictionary. A number under 10000 is an HTTP status, no code.
"""

from dataclasses import dataclass
from enum import StrEnum

from bridge.i18n import tr
from bridge.ports import Fate, MaybeSent, Refused, Scope, TryLater


class Means(StrEnum):
    """What a refusal is about, which decides what happens next."""

    MESSAGE = "message"  # this message will never go
    SENDER = "sender"  # our number is not allowed to; the admin must act
    ACCOUNT = "account"  # credentials, address or state of the account: nothing goes until it is mended
    RATE = "rate"  # certainly not taken; goes later


@dataclass(frozen=True, slots=True)
class Meaning:
    sentence: str
    condition: str = "undefined-condition"  # RFC 6120 section 8.3.3
    error_type: str = "cancel"
    means: Means = Means.MESSAGE


_NO_SUCH = Meaning(tr("This number can't receive texts: check the digits."), "item-not-found")
_LANDLINE = Meaning(tr("This is a landline: it can't receive texts."), "item-not-found")
_OPTED_OUT = Meaning(
    tr("This person has opted out of texts from your number; they can text START to it to lift that."),
    "not-allowed",
)
_COUNTRY = Meaning(
    tr("Texts to this country are switched off in the gateway's account: ask its admin."), "not-allowed"
)
_FILTERED = Meaning(
    tr("The carrier took this text for spam and dropped it. Repeating it would make that worse."),
    "policy-violation",
)
_UNREGISTERED = Meaning(
    tr(
        "US carriers refuse texts from your number because it is not registered with them: the gateway's "
        "admin must register it first."
    ),
    "policy-violation",
    means=Means.SENDER,
)
_NOT_OURS = Meaning(
    tr("The gateway's number can't send this text: its admin must look at the numbers of the account."),
    "not-allowed",
    means=Means.SENDER,
)
_CREDENTIALS = Meaning(
    tr("The SMS provider does not accept the gateway's credentials: its admin must mend that."),
    means=Means.ACCOUNT,
)
_SUSPENDED = Meaning(
    tr("The gateway's account with the SMS provider is not active: its admin must mend that."),
    means=Means.ACCOUNT,
)
_BUSY = Meaning(
    tr("The SMS provider is taking no more texts for a moment."), "resource-constraint", "wait", Means.RATE
)
_LOOP = Meaning(
    tr(
        "The provider stopped this exchange because it looks like two machines answering each other. "
        "Write again in a few minutes."
    ),
    "policy-violation",
    "wait",
)
_AWAY = Meaning(
    tr("The phone could not be reached: it may be off or out of coverage. Try again later."),
    "recipient-unavailable",
    "wait",
)
_BLOCKED = Meaning(tr("The phone or its carrier does not take texts from your number."), "not-allowed")
_TOO_LONG = Meaning(
    tr("This text is too long for SMS: send it in shorter pieces."), "not-acceptable", "modify"
)
_EMPTY = Meaning(tr("An empty text can't be sent by SMS."), "not-acceptable", "modify")
_EXPIRED = Meaning(tr("The text could not be sent in time and was dropped."), "remote-server-timeout", "wait")
_LOST = Meaning(
    tr("The carrier could not deliver this text and did not say why."), "remote-server-not-found", "wait"
)

MEANINGS: dict[int, Meaning] = {
    14107: _LOOP,
    20003: _CREDENTIALS,
    20005: _SUSPENDED,
    20006: _CREDENTIALS,
    20403: _CREDENTIALS,
    20404: _CREDENTIALS,
    20429: _BUSY,
    21211: _NO_SUCH,
    21212: _NOT_OURS,
    21217: _NO_SUCH,
    21265: Meaning(tr("This short code can't be reached from your number."), "item-not-found"),
    21266: Meaning(tr("A number can't text itself."), "not-allowed"),
    21408: _COUNTRY,
    21602: _EMPTY,
    21603: _NOT_OURS,
    21604: _NO_SUCH,
    21606: _NOT_OURS,
    21608: Meaning(
        tr("The gateway's trial account can text verified numbers only: ask its admin."), "not-allowed"
    ),
    21610: _OPTED_OUT,
    21611: _BUSY,
    21612: Meaning(
        tr("This number can't be reached from your number: no carrier connects them."), "item-not-found"
    ),
    21614: _LANDLINE,
    21617: _TOO_LONG,
    21635: _LANDLINE,
    21659: _NOT_OURS,
    21660: _NOT_OURS,
    30001: Meaning(
        tr("The provider's queue for your number is full. Send it again later."),
        "resource-constraint",
        "wait",
    ),
    30002: _SUSPENDED,
    30003: _AWAY,
    30004: _BLOCKED,
    30005: Meaning(tr("This number is not in service: check the digits."), "item-not-found"),
    30006: Meaning(tr("This is a landline, or its carrier can't be reached by text."), "item-not-found"),
    30007: _FILTERED,
    30008: _LOST,
    30032: _UNREGISTERED,
    30034: _UNREGISTERED,
    30036: _EXPIRED,
    63038: _BUSY,
}

_PER_SENDER = frozenset({14107, 21611})  # throttles that speak of one of our numbers, not of the account

_UNKNOWN_REFUSAL = Meaning(tr("The SMS provider refused this text."))
_UNKNOWN_FAILURE = Meaning(tr("The carrier could not deliver this text."), "remote-server-not-found", "wait")


def known_code(code: object) -> int:
    """Twilio's own code out of what an answer or a form said, else 0."""
    try:
        number = int(str(code))
    except ValueError:
        return 0
    return number if number >= 10000 else 0


def after_answer(status: int, code: int, retry_after: float | None = None) -> Fate:
    """The fate of a text after an HTTP answer that was no success.

    `code` is Twilio's or 0. Only 5xx and 408 leave open whether the text was taken.
    """
    if status >= 500 or status == 408:
        return MaybeSent(
            tr("The SMS provider had a fault while taking this text; whether it goes is being found out.")
        )
    meaning = _meaning(status, code)
    if status == 429 or meaning.means is Means.RATE:  # never processed, whatever the code adds
        scope = Scope.DELIVERY if code in _PER_SENDER else Scope.OUTLET
        return TryLater(meaning.sentence, after=retry_after, scope=scope)
    if meaning.means is Means.ACCOUNT:
        return TryLater(meaning.sentence, after=retry_after, scope=Scope.OUTLET)
    return Refused(coded(meaning.sentence, code), meaning.condition, meaning.error_type, str(code or status))


def _meaning(status: int, code: int) -> Meaning:
    return MEANINGS.get(code) or _by_status(status, bool(code))


def _by_status(status: int, has_code: bool) -> Meaning:
    if status == 429:
        return _BUSY
    # Without a code of Twilio's it is not Twilio that speaks (a proxy, a wrong api_url), and a
    # redirect means that api_url is not the API's own: either way nothing has been taken.
    if status in (401, 403, 404, 407) or status < 400:
        return _UNKNOWN_REFUSAL if has_code and status == 403 else _CREDENTIALS
    return _UNKNOWN_REFUSAL


def of_failure(code: int) -> str:
    """The sentence for a text that was taken and then failed with this code (0: none was told)."""
    return coded(MEANINGS.get(code, _UNKNOWN_FAILURE).sentence, code)


def kind_of_failure(code: int) -> tuple[str, str]:
    """Condition and type of the error for such a text (RFC 6120 section 8.3)."""
    meaning = MEANINGS.get(code, _UNKNOWN_FAILURE)
    return meaning.condition, meaning.error_type


def is_about_account(status: int, code: int) -> bool:
    """Whether nothing at all can go until the admin mends something."""
    return status < 500 and _meaning(status, code).means is Means.ACCOUNT


def is_about_sender(code: int) -> bool:
    """Whether our own number is what is refused."""
    return code in MEANINGS and MEANINGS[code].means is Means.SENDER


def coded(sentence: str, code: int) -> str:
    """The sentence with Twilio's code behind it, if there is one."""
    return tr("{sentence} ({code})", sentence=sentence, code=code) if code else sentence
