"""What the gateway says to its users in chat: plain sentences, no stanzas.

Languages and the command tree find their place here.
"""

from bridge.gateway import Transport

_EXAMPLES = {"smtp": "alice%example.com", "sms": "+15551234567"}
_ENCRYPTION = (
    "If your app encrypts chats by itself, switch that off here: beyond this gateway nothing is encrypted. "
    "Conversations: tap the lock → Unencrypted, once per chat (or Settings: OMEMO off by default)."
)


def example(transport: Transport) -> str:
    """The JID of somebody to write to, as it is typed most easily."""
    return f"{_EXAMPLES.get(transport.adapter.capabilities.identity[1], 'address')}@{transport.jid}"


def welcome(transport: Transport, address: str) -> str:
    return f"Welcome! Your own address here is {address}.\n{_how_to_write(transport)}\n{_ENCRYPTION}"


def how_it_works(transport: Transport, address: str) -> str:
    """The answer to whatever a user writes to the gateway itself. `address` is empty for strangers."""
    if not address:
        return (
            f"This is the gateway to {transport.title}. You are not registered here yet: please register "
            "with it in your app, under gateways, transports or services."
        )
    return f"Your own address here is {address}.\n{_how_to_write(transport)}"


def _how_to_write(transport: Transport) -> str:
    return f"To write to somebody, add the contact {example(transport)} (with the real address) and chat."
