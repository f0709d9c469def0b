"""What stanzas say about messages that were written before: retractions, reactions, chat states. Pure."""

from xml.etree.ElementTree import Element

from bridge.events import ChatState, Retracted, Written
from bridge.options import REACTION
from bridge.xmpp import xml

RETRACT = "{urn:xmpp:message-retract:1}retract"
APPLY = "{urn:xmpp:fasten:0}apply-to"
REACTIONS = "{urn:xmpp:reactions:0}reactions"
REPLACE = "{urn:xmpp:message-correct:0}replace"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
COMPOSING = f"{{{CHAT_STATES}}}composing"
STILL = tuple(f"{{{CHAT_STATES}}}{state}" for state in ("active", "paused", "inactive", "gone"))

_OLD_RETRACT = "{urn:xmpp:message-retract:0}retract"
_REACTION = "{urn:xmpp:reactions:0}reaction"
_REQUEST = "{urn:xmpp:receipts}request"
_ORIGIN = "{urn:xmpp:sid:0}origin-id"
_MOST_EMOJI = 64  # characters of one; families with skin tones have many


def read_retraction(stanza: Element, element: Element) -> Retracted | None:
    """XEP-0424: `<retract id/>`, or `<apply-to id><retract/></apply-to>` as it was before version 0.4. The
    body beside it is for clients that know neither."""
    target = element.get("id")
    if not target or (element.tag == APPLY and element.find(_OLD_RETRACT) is None):
        return None
    local = xml.node(stanza.get("to", ""))
    if not local:
        return None
    sender = stanza.get("from", "")
    stanza_id = stanza.get("id") or ""
    return Retracted(
        from_bare=xml.bare(sender),
        from_full=sender,
        local=local,
        stanza_id=stanza_id,
        target=target,
        wants_receipt=stanza_id != "" and stanza.find(_REQUEST) is not None,
    )


def read_reactions(stanza: Element, element: Element) -> Written | None:
    """XEP-0444. The newest of somebody's reactions to a message says it; none: all are taken back."""
    chosen = [one.text.strip() for one in element if one.tag == _REACTION and one.text]
    emoji = chosen[-1][:_MOST_EMOJI] if chosen else ""
    target = element.get("id")
    local = xml.node(stanza.get("to", ""))
    if not (target and local):
        return None
    sender = stanza.get("from", "")
    stanza_id = stanza.get("id") or ""
    origin = stanza.find(_ORIGIN)
    return Written(
        from_bare=xml.bare(sender),
        from_full=sender,
        local=local,
        stanza_id=stanza_id,
        body=emoji,
        origin_id=origin.get("id") or "" if origin is not None else "",
        reply_to=target,
        wants_receipt=stanza_id != "" and stanza.find(_REQUEST) is not None,
        options={REACTION: emoji},
    )


def read_chat_state(stanza: Element, *, composes: bool) -> ChatState | None:
    """XEP-0085, in a stanza without a body."""
    local = xml.node(stanza.get("to", ""))
    return ChatState(xml.bare(stanza.get("from", "")), local, composes) if local else None
