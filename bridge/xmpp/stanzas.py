"""Message stanzas to values, and deliveries to message stanzas: pure, and on the hot path.

Reads ElementTree elements and writes ready text: building slixmpp's stanza objects costs more than
everything else that a message meets here. Knows no stream and no store.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from bridge.events import ChatState, ClientError, ClientReceipt, Denied, Displayed, Retracted, Written
from bridge.model import Attachment, Delivery, Kind, Message
from bridge.options import KNOWN_SUBJECT, LEAD, REACTION, REACTS_TO
from bridge.xmpp import afterthoughts, avatars, errors, fallbacks, files, xml

LATE_AFTER = 30.0  # seconds: older messages carry the time at which they were written (XEP-0203)
LONGEST_BODY = 200_000  # bytes on the wire: Prosody ends the whole stream at 512 KiB, a client's at 256
LONGEST_SUBJECT = 1_000
LONGEST_ID = 256  # characters: a receipt must name it, so it is kept whole
CUT = "\n\n[This message is longer than a chat can carry. The rest of it was left out here.]"

_BODY, _SUBJECT, _THREAD, _ORIGIN, _REPLY, _REQUEST, _RECEIVED, _CIPHER = range(8)
_REPLACE, _RETRACT, _REACTIONS, _COMPOSING, _STILL = range(20, 25)
_MARKED, _DISPLAYED, _SHARED = range(8, 11)


def _tags() -> dict[str, int]:
    """Both namespaces of RFC 6121's own children: servers pass on what a client wrote."""
    tags = {
        "{urn:xmpp:sid:0}origin-id": _ORIGIN,
        "{urn:xmpp:reply:0}reply": _REPLY,
        "{urn:xmpp:receipts}request": _REQUEST,
        "{urn:xmpp:receipts}received": _RECEIVED,
        afterthoughts.REPLACE: _REPLACE,
        afterthoughts.RETRACT: _RETRACT,
        afterthoughts.APPLY: _RETRACT,
        afterthoughts.REACTIONS: _REACTIONS,
        afterthoughts.COMPOSING: _COMPOSING,
        **dict.fromkeys(afterthoughts.STILL, _STILL),
        "{urn:xmpp:chat-markers:0}displayed": _DISPLAYED,
        files.OOB_TAG: _SHARED,
        files.SHARING_TAG: _SHARED,
        "{urn:xmpp:eme:0}encryption": _MARKED,
        "{eu.siacs.conversations.axolotl}encrypted": _CIPHER,
        "{urn:xmpp:omemo:2}encrypted": _CIPHER,
        "{urn:xmpp:openpgp:0}openpgp": _CIPHER,
        "{jabber:x:encrypted}x": _CIPHER,
    }
    for namespace in (xml.COMPONENT, xml.CLIENT):
        tags |= {
            f"{{{namespace}}}body": _BODY,
            f"{{{namespace}}}subject": _SUBJECT,
            f"{{{namespace}}}thread": _THREAD,
        }
    return tags


_TAGS = _tags()

Reading = Written | ClientReceipt | ClientError | Displayed | Retracted | ChatState | Denied | None


def read(stanza: Element) -> Reading:
    """What a message says to us: something to record, a refusal to answer it with, or nothing.

    `Written.local` is empty for a message to the transport itself. Headlines and subjects without a body
    say nothing.
    """
    kind = stanza.get("type")
    if kind == "error":
        return _read_error(stanza)
    if kind == "headline":
        return None
    if kind == "groupchat":
        return errors.NO_ROOMS
    if len(stanza.get("id") or "") > LONGEST_ID:
        return errors.LONG_ID
    found: dict[int, Element] = {}
    for child in stanza:
        meaning = _TAGS.get(child.tag)
        if meaning is not None and meaning not in found:
            found[meaning] = child
    if _RETRACT in found or _REACTIONS in found:
        return _read_afterthought(stanza, found)
    body = found[_BODY].text or "" if _BODY in found else ""
    shared: tuple[Attachment, ...] = ()
    if _SHARED in found or body.startswith("aesgcm:"):
        try:
            body, shared = files.read(stanza, body)
        except Denied as denied:
            return denied
    if _REPLY in found and not shared:
        body = fallbacks.without(stanza, body, (fallbacks.REPLY,))
    if (_CIPHER in found or _MARKED in found or body.startswith("?OTR")) and _hides_text(found, body):
        return errors.ENCRYPTED
    if (shared or (body and not body.isspace())) and _CIPHER not in found:
        return _written(stanza, found, body, shared)
    if _RECEIVED in found and (receipt := found[_RECEIVED].get("id")):
        return ClientReceipt(stanza.get("from", "").partition("/")[0], receipt)
    if _DISPLAYED in found and (read_now := found[_DISPLAYED].get("id")):
        return Displayed(stanza.get("from", "").partition("/")[0], read_now)
    if not body and (_COMPOSING in found or _STILL in found):
        return afterthoughts.read_chat_state(stanza, composes=_COMPOSING in found)
    return None


def _read_afterthought(stanza: Element, found: dict[int, Element]) -> Reading:
    if _RETRACT in found:
        return afterthoughts.read_retraction(stanza, found[_RETRACT])
    return afterthoughts.read_reactions(stanza, found[_REACTIONS])


def _written(
    stanza: Element, found: dict[int, Element], body: str, shared: tuple[Attachment, ...]
) -> Written:
    sender = stanza.get("from", "")
    stanza_id = stanza.get("id") or ""
    return Written(
        from_bare=sender.partition("/")[0],
        from_full=sender,
        local=stanza.get("to", "").partition("/")[0].rpartition("@")[0],
        stanza_id=stanza_id,
        body=body,
        origin_id=found[_ORIGIN].get("id") or "" if _ORIGIN in found else "",
        subject=found[_SUBJECT].text or "" if _SUBJECT in found else "",
        thread=found[_THREAD].text or "" if _THREAD in found else "",
        reply_to=found[_REPLY].get("id") or "" if _REPLY in found else "",
        wants_receipt=_REQUEST in found and stanza_id != "",
        language=stanza.get(xml.LANGUAGE) or "",
        files=shared,
        replaces=found[_REPLACE].get("id") or "" if _REPLACE in found else "",
    )


def _hides_text(found: dict[int, Element], body: str) -> bool:
    """Whether somebody wrote something there. A body beside ciphertext is a fallback, never the text.

    OMEMO also sends elements without payload, to set up keys: nobody wrote those.
    """
    if body or _CIPHER not in found:
        return True
    cipher = found[_CIPHER]
    if xml.name_of(cipher.tag) != "encrypted":
        return True
    return any(xml.name_of(child.tag) == "payload" for child in cipher)


def _read_error(stanza: Element) -> ClientError | None:
    stanza_id = stanza.get("id")
    if not stanza_id:
        return None
    return ClientError(xml.bare(stanza.get("from", "")), stanza_id, *errors.read(stanza))


# --- writing ---


def write(delivery: Delivery, domain: str, now: float) -> str:
    """The stanza of a delivery. `domain` is the transport's JID, `now` in seconds since 1970.

    Raises ValueError when the delivery lacks what its kind needs.
    """
    writer = _WRITERS.get(delivery.kind)
    if writer is None:
        raise ValueError(f"a delivery of kind {delivery.kind} is not written here")
    return writer(delivery, domain, now)


def _write_message(delivery: Delivery, domain: str, now: float) -> str:
    message = delivery.message
    if message is None:
        raise ValueError(f"delivery {delivery.id} carries no message")
    if REACTS_TO in message.options:
        return _write_reaction(delivery, message, domain, now)
    stanza_id = xml.attribute(delivery.stanza_id)
    words = message.options.get(LEAD, "") + message.body
    # Clients that show subjects at all (converse.js) would show one twice that the text begins with.
    known = KNOWN_SUBJECT in message.options or message.subject in words
    subject = f"<subject>{xml.text_within(message.subject, LONGEST_SUBJECT)}</subject>" if not known else ""
    thread = f"<thread>{xml.text(message.thread)}</thread>" if message.thread else ""
    # Who is not known yet has their name beside the message, too (XEP-0172 section 4.3).
    introduced = delivery.sender_name and words.startswith(f"✉ {delivery.sender_name} <")
    name = avatars.nick(delivery.sender_name) if introduced else ""
    return (
        f"{_open(delivery, stanza_id, 'chat')}{subject}<body>{_body(words)}</body>{thread}{name}"
        "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{stanza_id}'/>"
        f"<store xmlns='urn:xmpp:hints'/>{_delay(message, domain, now)}</message>"
    )


def _write_reaction(delivery: Delivery, message: Message, domain: str, now: float) -> str:
    """XEP-0444: the whole set of this person's reactions to one message, which is one emoji or none."""
    about = xml.attribute(message.options[REACTS_TO])
    emoji = message.options.get(REACTION, "")
    reaction = f"<reaction>{xml.text(emoji)}</reaction>" if emoji else ""
    return (
        f"{_open(delivery, xml.attribute(delivery.stanza_id), 'chat')}"
        f"<reactions xmlns='urn:xmpp:reactions:0' id='{about}'>{reaction}</reactions>"
        f"<request xmlns='urn:xmpp:receipts'/><store xmlns='urn:xmpp:hints'/>{_delay(message, domain, now)}"
        "</message>"
    )


def _delay(message: Message, domain: str, now: float) -> str:
    if now - message.written_at <= LATE_AFTER:
        return ""
    stamp = datetime.fromtimestamp(message.written_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{stamp}'/>"


def _write_receipt(delivery: Delivery, domain: str, now: float) -> str:
    if delivery.note is None:
        raise ValueError(f"receipt {delivery.id} says nothing")
    return (
        f"{_open(delivery, xml.attribute(delivery.stanza_id), 'chat')}"
        f"<received xmlns='urn:xmpp:receipts' id='{xml.attribute(delivery.note.stanza_id)}'/>"
        "<store xmlns='urn:xmpp:hints'/></message>"
    )


def _write_error(delivery: Delivery, domain: str, now: float) -> str:
    note = delivery.note
    if note is None:
        raise ValueError(f"error {delivery.id} says nothing")
    refusal = Denied(note.text, note.condition or "undefined-condition", note.error_type or "cancel")
    opening = _open(delivery, xml.attribute(note.stanza_id), "error")
    return f"{opening}{errors.element(refusal, domain)}</message>"


def _write_notice(delivery: Delivery, domain: str, now: float) -> str:
    note = delivery.note
    if note is None:
        raise ValueError(f"notice {delivery.id} says nothing")
    stanza_id = xml.attribute(delivery.stanza_id)
    about = (
        f"<reply xmlns='urn:xmpp:reply:0' to='{xml.attribute(delivery.recipient)}'"
        f" id='{xml.attribute(note.stanza_id)}'/>"
        if note.stanza_id
        else ""
    )
    return (
        f"{_open(delivery, stanza_id, 'chat')}<body>{_body(note.text)}</body>{about}"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{stanza_id}'/>"
        f"<{'store' if note.keep else 'no-store'} xmlns='urn:xmpp:hints'/></message>"
    )


_WRITERS: dict[Kind, Callable[[Delivery, str, float], str]] = {
    Kind.MESSAGE: _write_message,
    Kind.RECEIPT: _write_receipt,
    Kind.ERROR: _write_error,
    Kind.NOTICE: _write_notice,
}


def _open(delivery: Delivery, stanza_id: str, kind: str) -> str:
    return (
        f"<message from='{xml.attribute(delivery.sender)}' to='{xml.attribute(delivery.recipient)}'"
        f" type='{kind}' id='{stanza_id}'>"
    )


def _body(words: str) -> str:
    return xml.text_within(words, LONGEST_BODY, CUT)


def prompt(sender: str, recipient: str, stanza_id: str, words: str, *, link: str = "") -> str:
    """A line of the gateway itself: kept out of archives (XEP-0334), since one can ask again. A `link` that
    is all of it is marked as a file (XEP-0066)."""
    file = f"<x xmlns='{files.OOB}'><url>{xml.text(link)}</url></x>" if link else ""
    return (
        f"<message from='{xml.attribute(sender)}' to='{xml.attribute(recipient)}' type='chat'"
        f" id='{xml.attribute(stanza_id)}'><body>{_body(words)}</body>{file}"
        "<no-store xmlns='urn:xmpp:hints'/></message>"
    )


def received(sender: str, recipient: str, stanza_id: str, about: str) -> str:
    """The receipt of a line that ends here (XEP-0184): a command."""
    return (
        f"<message from='{xml.attribute(sender)}' to='{xml.attribute(recipient)}' type='chat'"
        f" id='{xml.attribute(stanza_id)}'><received xmlns='urn:xmpp:receipts' id='{xml.attribute(about)}'/>"
        "</message>"
    )
