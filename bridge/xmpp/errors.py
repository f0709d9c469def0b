"""What goes wrong, as error stanzas (RFC 6120 section 8.3), and error stanzas as what went wrong."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from bridge.events import Denied
from bridge.i18n import tr, translate
from bridge.ports import Fate, Refused, Scope, TryLater
from bridge.xmpp import xml

OURS = Denied(
    tr("Something went wrong here, on our side. Try again; if it stays, tell whoever runs this gateway."),
    "internal-server-error",
    "wait",
)
NOT_SAVED = Denied(
    tr("Your message could not be saved just now. Please send it again."), "internal-server-error", "wait"
)
NO_ROOMS = Denied(
    tr("There are no rooms here. Please write to the contact itself."), "service-unavailable", "cancel"
)
ENCRYPTED = Denied(
    tr(
        "This message was encrypted, and nothing of it was sent: beyond this gateway nobody could read it. "
        "Please switch encryption off for this chat and send it again. "
        "Conversations: tap the lock, then Unencrypted, once per chat. Gajim, Dino: the shield or lock "
        "beside the text field. Monal, Siskin: the lock in the contact's details."
    ),
    "not-acceptable",
    "modify",
)
NOT_REGISTERED = Denied(
    tr("You are not registered here yet. Please register with this gateway first."),
    "registration-required",
    "auth",
)

NOT_SERVED = Denied(tr("This gateway does not know that kind of request."), "service-unavailable", "cancel")
MALFORMED = Denied(tr("This request cannot be understood: it must carry one thing."), "bad-request", "modify")

LONG_ID = Denied(tr("The id of this message is too long to be kept."), "bad-request", "modify")
TOO_MUCH = Denied(
    tr("That is too much at once. Wait a moment and send it again."), "resource-constraint", "wait"
)

# The types that RFC 6120 section 8.3.3 gives the conditions we meet; for peers that leave theirs out.
_TYPES = {
    "bad-request": "modify",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
}

# The user is away, or its server is: Prosody answers so for an offline user without offline storage.
AWAY = frozenset(
    {
        "service-unavailable",
        "recipient-unavailable",
        "resource-constraint",
        "remote-server-not-found",
        "remote-server-timeout",
    }
)
AWAY_PAUSE = 3600.0  # seconds, unless the user comes back sooner

LONGEST_TEXT = 2_000  # bytes of the sentence in an error


def element(denied: Denied, domain: str, language: str = "en", own: str = "") -> str:
    """The `<error/>` of a refusal. `domain` is the transport's, for the JID inside `<gone/>`."""
    condition = "gone" if denied.gone else xml.attribute(denied.condition)
    inside = f"xmpp:{xml.text(denied.gone)}@{domain}" if denied.gone else ""
    error_type = "cancel" if denied.gone else xml.attribute(denied.error_type)
    words = xml.text_within(translate(denied.text, language), LONGEST_TEXT)
    told = f"<text xmlns='{xml.CONDITIONS}' xml:lang='{language}'>{words}</text>" if words else ""
    what = f"<{condition} xmlns='{xml.CONDITIONS}'>{inside}</{condition}>"
    return f"<error type='{error_type}'>{what}{told}{own}</error>"


def answer(
    kind: str,
    stanza: Mapping[str, str],
    denied: Denied,
    domain: str,
    language: str = "en",
    own: str = "",
) -> str:
    """The error stanza that answers a stanza with these attributes: from whom it was for, with its own id.
    `own` is a specification's own condition, as XML."""
    identity = f" id='{xml.attribute(stanza['id'])}'" if stanza.get("id") else ""
    sender, recipient = xml.attribute(stanza.get("to", domain)), xml.attribute(stanza.get("from", ""))
    inside = element(denied, domain, language, own)
    return f"<{kind} from='{sender}' to='{recipient}'{identity} type='error'>{inside}</{kind}>"


def is_answerable(kind: str, stanza: Mapping[str, str]) -> bool:
    """Whether an error may answer it: never an error or a result, or two programs would talk for ever."""
    if not stanza.get("from") or stanza.get("type") == "error":
        return False
    return kind != "iq" or stanza.get("type") in ("get", "set")


def read(stanza: Element) -> tuple[str, str]:
    """Condition and type of an error stanza; `undefined-condition` where there is none to be found."""
    for child in stanza:
        if xml.name_of(child.tag) != "error":
            continue
        for inner in child:
            name = xml.name_of(inner.tag)
            if inner.tag.startswith("{" + xml.CONDITIONS) and name != "text":
                return name, child.get("type") or _TYPES.get(name, "cancel")
        return "undefined-condition", child.get("type") or "cancel"
    return "undefined-condition", "cancel"


def fate(condition: str, error_type: str) -> Fate:
    """What an error that came before the proof means for a delivery to XMPP."""
    if condition in AWAY:
        away = tr("The recipient is not reachable just now.")
        return TryLater(away, after=AWAY_PAUSE, scope=Scope.RECIPIENT)
    told = tr("The recipient's chat server refused the message ({condition}).", condition=condition)
    return Refused(told, condition, error_type, code=condition)
