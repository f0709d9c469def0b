"""Removes what has been kept long enough: bodies, settled notes, dedupe keys. In small bites."""

from sqlalchemy import Connection, delete, select, text, update

from bridge.model import Kind, State
from bridge.store.engine import Store
from bridge.store.tables import OPEN, adapter_memory, deliveries, messages, seen, statuses

_BITE = 500  # rows in one transaction: the writer is nobody's alone
_KEYS_FOR = 30 * 86400.0  # a mail may be offered again long after it came
_IDS_FOR = 400 * 86400.0  # for threading


async def tidy_all(store: Store, now: float, keep_bodies: float) -> None:
    """Tidy bite by bite, with room for others between them."""
    while await store.do(tidy, now, keep_bodies):
        continue  # what others queued meanwhile goes before the next bite


def tidy(connection: Connection, now: float, keep_bodies: float) -> int:
    """Remove a bite of what is over its time. Answers how many rows; 0 when nothing is left to do."""
    is_open = text(f"deliveries.{OPEN}")
    open_messages = select(deliveries.c.message_id).where(is_open, deliveries.c.message_id.is_not(None))
    old = (
        select(messages.c.id)
        .where(
            messages.c.written_at < now - keep_bodies,
            messages.c.body != "",
            messages.c.id.not_in(open_messages),
        )
        .limit(_BITE)
    )
    done = connection.execute(
        update(messages).where(messages.c.id.in_(old.scalar_subquery())).values(body="")
    ).rowcount
    notes = (
        select(deliveries.c.id)
        .where(
            deliveries.c.kind.not_in((Kind.MESSAGE, Kind.FILE)),
            text(f"NOT deliveries.{OPEN}"),
            deliveries.c.settled_at < now - 86400.0,
        )
        .limit(_BITE)
    )
    done += connection.execute(
        update(deliveries)
        .where(deliveries.c.state == State.HELD, deliveries.c.recorded_at < now - keep_bodies)
        .values(state=State.CANCELLED, settled_at=now)
    ).rowcount
    stale = select(adapter_memory.c.key).where(adapter_memory.c.until < now).limit(_BITE)
    for table, which in (
        (adapter_memory, (adapter_memory.c.until < now) & adapter_memory.c.key.in_(stale.scalar_subquery())),
        (deliveries, deliveries.c.id.in_(notes.scalar_subquery())),
        (seen, seen.c.key.in_(select(seen.c.key).where(seen.c.at < now - _KEYS_FOR).limit(_BITE))),
        (
            statuses,
            statuses.c.id.in_(select(statuses.c.id).where(statuses.c.at < now - _KEYS_FOR).limit(_BITE)),
        ),
        (
            messages,
            messages.c.id.in_(
                select(messages.c.id)
                .where(messages.c.written_at < now - _IDS_FOR, messages.c.id.not_in(open_messages))
                .limit(_BITE)
            ),
        ),
    ):
        done += connection.execute(delete(table).where(which)).rowcount
    return done
