"""Messages from outside that nobody will ever see: whoever sent them hears of it, where the adapter says that
this is safe. A delivery of the transport like any other, so that it survives a restart and goes once."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from bridge.model import Direction, Kind
from bridge.options import MEMO_RETURN
from bridge.store.rows import Lane, delivery_row, unpack
from bridge.store.tables import deliveries, messages


def give_back(connection: Connection, message_ids: Sequence[int], now: float) -> list[Lane]:
    """Record the reports on messages whose delivery has failed for good. Answers lanes to ring."""
    rows = connection.execute(
        select(messages.c.id, messages.c.transport, messages.c.conversation_id, messages.c.memo).where(
            messages.c.id.in_(message_ids), messages.c.direction == Direction.IN, messages.c.memo != ""
        )
    )
    made = [
        delivery_row(
            (row.transport, f"back/{row.conversation_id}"),
            Kind.ERROR,
            row.id,
            sender="",
            recipient=sender,
            now=now,
        )
        for row in rows
        if (sender := unpack(row.memo).get(MEMO_RETURN))
    ]
    if made:
        connection.execute(insert(deliveries), made)
    return [(row["outlet"], row["lane"]) for row in made]
