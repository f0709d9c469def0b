"""What the gateway says to its users unasked: plain sentences, no stanzas."""

from bridge.addressing import RESERVED
from bridge.events import Transport
from bridge.i18n import Phrase, tr, translate
from bridge.xmpp import xml

# Another name of the gateway: converse.js and Dino start no chat with a bare domain, and converse.js shows
# what a domain says as announcements that nobody can answer.
ALIAS = RESERVED

_EXAMPLES = {"smtp": "alice@example.com", "sms": "+1 202 555 0142"}


def contact_in(jid: str) -> str:
    """The node of the contact that a JID names; empty for the gateway itself, under either name."""
    local = xml.node(jid)
    return "" if local == ALIAS else local


def welcome(transport: Transport, address: str, language: str) -> str:
    """To who has just been registered."""
    return "\n".join(
        translate(text, language)
        for text in (
            tr("Welcome! Your own address here is {address}.", address=address),
            _how_to_write(transport),
            tr("If you cannot type here, write to {jid} instead.", jid=f"{ALIAS}@{transport.jid}"),
            _encryption(),
        )
    )


def how_it_works(transport: Transport, address: str, language: str) -> str:
    """What this is, to who asks. `address` is empty for strangers."""
    if not address:
        text = tr(
            "This is the gateway to {title}. You are not registered here yet: type register.",
            title=transport.title,
        )
        return translate(text, language)
    own = tr("Your own address here is {address}.", address=address)
    return f"{translate(own, language)}\n{translate(_how_to_write(transport), language)}"


def _how_to_write(transport: Transport) -> Phrase:
    example = _EXAMPLES.get(transport.adapter.capabilities.identity[1], "alice@example.com")
    return tr(
        "To write to somebody, type their address and your first line here: {example} Hello! "
        "Type help for everything else.",
        example=example,
    )


def _encryption() -> Phrase:
    """Each client hides it in another place."""
    return tr(
        "If your app encrypts chats by itself, switch that off here: beyond this gateway nothing is "
        "encrypted. "
        "Conversations: tap the lock → Unencrypted, once per chat (or Settings: OMEMO off by default). "
        "Gajim, Dino: the shield or lock beside the text field. Monal, Siskin: the lock in the contact's "
        "details."
    )
