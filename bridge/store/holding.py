"""The hold of a first message: who never heard from a user before, and what the user is told meanwhile."""

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, select

from bridge.model import Kind, Note
from bridge.store.envelopes import UNDONE
from bridge.store.many import among
from bridge.store.rows import delivery_row, note_lane
from bridge.store.tables import conversations, messages

_KNOWN = select(conversations.c.id).where(
    among(conversations.c.id, "ids"),
    select(messages.c.id)
    .where(messages.c.conversation_id == conversations.c.id, messages.c.told != UNDONE)
    .exists(),
)


def known(connection: Connection, conversation_ids: Collection[int]) -> set[int]:
    """Conversations in which something was exchanged; what was taken back does not count."""
    if not conversation_ids:
        return set()
    return set(connection.execute(_KNOWN, {"ids": list(conversation_ids)}).scalars())


def notice(message: dict[str, Any], message_id: int, text: str, now: float) -> dict[str, Any]:
    """The row that tells the writer of a first message how long it may be taken back."""
    return delivery_row(
        note_lane(message["transport"], message["conversation_id"]),
        Kind.NOTICE,
        message_id,
        sender=message["to_jid"],
        recipient=message["from_jid"],
        stanza_id=str(uuid.uuid4()),
        note=Note(message["stanza_id"], text, keep=False),
        now=now,
    )
