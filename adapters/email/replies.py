"""What mail servers answer, in words that a user may read: first what is the matter, the code last.

Knows codes (RFC 5321 section 4.2, RFC 3463 and its registry), no sockets and no fates.
"""

import re
from dataclasses import dataclass

from bridge.i18n import filled, tr

_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_QUOTED_REPLY = 120  # characters of a server's own words that a user is shown


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer to one command, or the status that a report gives."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), or empty. One of another class than the code is noise."""
        found = _ENHANCED.search(self.text[:200])
        return found[0] if found and found[1] == str(self.code)[:1] else ""

    @property
    def codes(self) -> str:
        """`550 5.1.1`, for the end of a sentence and for the admin."""
        return f"{self.code} {self.enhanced}".rstrip()


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a refusal means for the user, with `{rcpt}`, `{domain}` as places, and for the XMPP error."""

    sentence: str
    condition: str = "undefined-condition"
    error_type: str = "cancel"


_UNKNOWN_USER = Meaning(tr("{rcpt} does not exist there. Check the spelling."), "item-not-found")
_UNKNOWN_DOMAIN = Meaning(tr("There is no mail at {domain}. Check the spelling."), "remote-server-not-found")
_TOO_LARGE = Meaning(
    tr("This mail is too large for {domain}. Send less, or a link."), "not-acceptable", "modify"
)
_FULL = Meaning(tr("The mailbox of {rcpt} is full. Reach them another way."), "resource-constraint", "wait")
_UNPROVEN = Meaning(
    tr("{domain} does not believe that this mail is yours. Tell the admin of this gateway."),
    "forbidden",
    "auth",
)
_UNWANTED = Meaning(tr("{domain} does not take this mail."), "policy-violation", "modify")
_LOST_WAY = Meaning(tr("The way to {domain} is broken. Try again later."), "remote-server-timeout")
_ODD_CHARACTERS = Meaning(
    tr("{rcpt} has letters that mail servers on the way do not take. Ask for another address."),
    "not-acceptable",
)

_BY_ENHANCED = {
    "1.0": _UNKNOWN_USER,
    "1.1": _UNKNOWN_USER,
    "1.2": _UNKNOWN_DOMAIN,
    "1.3": Meaning(
        tr("{domain} says that {rcpt} is no proper address. Check the spelling."), "item-not-found"
    ),
    "1.4": Meaning(
        tr("{rcpt} stands for more than one person there. Use a fuller address."), "item-not-found"
    ),
    "1.6": Meaning(tr("{rcpt} has moved and left no new address."), "gone"),
    "1.7": Meaning(
        tr("{domain} does not accept your own address. Tell the admin of this gateway."), "forbidden"
    ),
    "1.8": Meaning(
        tr("{domain} does not accept your own address. Tell the admin of this gateway."), "forbidden"
    ),
    "1.10": Meaning(tr("{domain} takes no mail at all. Check the spelling."), "remote-server-not-found"),
    "2.0": Meaning(tr("The mailbox of {rcpt} takes no mail now."), "recipient-unavailable"),
    "2.1": Meaning(tr("The mailbox of {rcpt} is switched off."), "recipient-unavailable"),
    "2.2": _FULL,
    "2.3": _TOO_LARGE,
    "2.4": Meaning(tr("The mailing list {rcpt} did not pass this mail on."), "recipient-unavailable"),
    "3.1": Meaning(tr("The mail server of {domain} is full."), "resource-constraint", "wait"),
    "3.4": _TOO_LARGE,
    "4.1": _LOST_WAY,
    "4.3": _LOST_WAY,
    "4.4": _LOST_WAY,
    "4.6": Meaning(tr("This mail runs in circles and was stopped. Tell the postmaster of {domain}.")),
    "4.7": Meaning(tr("{domain} could not be reached in time.")),
    "5.3": Meaning(tr("{domain} takes fewer recipients in one mail."), "not-acceptable", "modify"),
    "6.7": _ODD_CHARACTERS,
    "6.9": _ODD_CHARACTERS,
    "7.0": _UNWANTED,
    "7.1": _UNWANTED,
    "7.2": Meaning(tr("{rcpt} is a list that takes no mail from you."), "forbidden", "auth"),
    "7.13": Meaning(tr("The mailbox of {rcpt} is switched off."), "recipient-unavailable"),
    "7.20": _UNPROVEN,
    "7.21": _UNPROVEN,
    "7.22": _UNPROVEN,
    "7.23": _UNPROVEN,
    "7.24": _UNPROVEN,
    "7.25": _UNPROVEN,
    "7.26": _UNPROVEN,
    "7.27": _UNPROVEN,
}

# Servers that give no enhanced code, by what they were asked: they mean the recipient, or the content.
_RECIPIENT_BY_CODE = {
    550: _UNKNOWN_USER,
    551: _UNKNOWN_USER,
    552: _FULL,
    553: Meaning(tr("{domain} says that {rcpt} is no proper address. Check the spelling."), "item-not-found"),
    556: _BY_ENHANCED["1.10"],
}
_CONTENT_BY_CODE = {552: _TOO_LARGE, 523: _TOO_LARGE}


def shortened(text: str) -> str:
    """A server's words for a user: one line, no control characters, no codes in front, bounded."""
    words = " ".join(_UNREADABLE.sub(" ", text[:1000]).split())
    words = re.sub(r"^(?:\d{3}[ -])?(?:[245]\.\d{1,3}\.\d{1,3}(?: |$))?", "", words).strip()
    return words if len(words) <= _QUOTED_REPLY else words[: _QUOTED_REPLY - 1].rstrip() + "…"


def meaning(reply: Reply, *, of_recipient: bool) -> Meaning:
    """What a refusal means. `of_recipient`: it answers the recipient, else the mail as a whole."""
    known = _BY_ENHANCED.get(reply.enhanced[2:])
    if known is None:
        known = (_RECIPIENT_BY_CODE if of_recipient else _CONTENT_BY_CODE).get(reply.code)
    return known or Meaning(tr("{domain} refused this mail."), "policy-violation", "modify")


def in_words(what: Meaning, reply: Reply, recipient: str) -> str:
    """The sentence for a user. The server's own words follow where ours only say that it refused."""
    domain = recipient.rpartition("@")[2] or tr("The mail server")
    sentence = filled(what.sentence, rcpt=recipient, domain=domain)
    own = shortened(reply.text)
    if own and what.condition in ("policy-violation", "undefined-condition"):
        sentence = tr("{sentence} It says: “{own}”", sentence=sentence, own=own)
    return tr("{sentence} ({code})", sentence=sentence, code=reply.codes) if reply.code else sentence


def later_in_words(reply: Reply, recipient: str) -> str:
    """The sentence for a delay."""
    domain = recipient.rpartition("@")[2] or tr("The mail server")
    kind = reply.enhanced[2:]
    if kind == "2.2":
        sentence = tr("The mailbox of {rcpt} is full for now.", rcpt=recipient)
    elif kind.startswith("3."):
        sentence = tr("The mail server on the way to {domain} is overloaded.", domain=domain)
    elif kind.startswith("4."):
        sentence = tr("{domain} cannot be reached just now.", domain=domain)
    else:
        sentence = tr("{domain} asks to try again later.", domain=domain)
    own = shortened(reply.text)
    sentence = tr("{sentence} It says: “{own}”", sentence=sentence, own=own) if own else sentence
    return tr("{sentence} ({code})", sentence=sentence, code=reply.codes) if reply.code else sentence
