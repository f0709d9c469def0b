"""What adapters may ask of the record, and the receipts that follow when nobody reports."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from bridge.model import DeliveryId, Direction, Kind, State
from bridge.store.envelopes import UNDONE
from bridge.store.rows import Lane
from bridge.store.tables import deliveries, messages
from bridge.store.telling import ERROR, Told, tell

UNREPORTED = "unreported"  # the code of a delivery whose receipt went without a report
_BITE = 500


def bound(connection: Connection, outlet: str, remote_ids: Sequence[str]) -> dict[str, DeliveryId]:
    """Which remote ids belong to deliveries of this outlet."""
    rows = connection.execute(
        select(deliveries.c.remote_id, deliveries.c.id).where(
            deliveries.c.outlet == outlet,
            deliveries.c.remote_id != "",
            deliveries.c.remote_id.in_(remote_ids),
        )
    )
    return {row.remote_id: DeliveryId(row.id) for row in rows}


def recorded(connection: Connection, transport: str, remote_ids: Sequence[str]) -> set[str]:
    """Which remote ids are messages from outside that stand in the record."""
    rows = connection.execute(
        select(messages.c.remote_id).where(
            messages.c.transport == transport,
            messages.c.direction == Direction.IN,
            messages.c.remote_id != "",
            messages.c.remote_id.in_(remote_ids),
        )
    )
    return set(rows.scalars())


def opens(connection: Connection, conversation_id: int, message_id: int) -> bool:
    """Whether nothing was exchanged in a conversation before a message: what was refused or taken back
    does not count."""
    before = select(messages.c.id).where(
        messages.c.conversation_id == conversation_id,
        messages.c.id < message_id,
        messages.c.told.not_in((UNDONE, ERROR)),
    )
    return connection.execute(before.limit(1)).first() is None


def presume(connection: Connection, outlet: str, sent_before: float, now: float) -> list[Lane]:
    """Give the receipts of what was sent so long ago that nobody will report on it any more. Some
    carriers report nothing. Answers lanes to ring; a bite at a time."""
    rows = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_(
                select(deliveries.c.id)
                .join(messages, messages.c.id == deliveries.c.message_id)
                .where(
                    deliveries.c.outlet == outlet,
                    deliveries.c.kind == Kind.MESSAGE,
                    deliveries.c.state == State.SENT,
                    deliveries.c.settled_at < sent_before,
                    deliveries.c.code == "",
                    messages.c.told == "",
                )
                .limit(_BITE)
                .scalar_subquery()
            )
        )
        .values(code=UNREPORTED)
        .returning(deliveries.c.id, deliveries.c.message_id)
    ).all()
    told = [Told(row.message_id, row.id, good=True) for row in rows]
    return tell(connection, told, now) if told else []
