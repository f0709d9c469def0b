"""What an admin sees of the record's open deliveries, and may do to them. Shows no bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, text, update

from bridge.i18n import tr
from bridge.model import DeliveryId, Direction, Kind, State
from bridge.store.rows import insert_new
from bridge.store.tables import OPEN, deliveries, messages, stops
from bridge.store.telling import Told, tell

_OPEN = text(f"deliveries.{OPEN}")
# What an outlet has in hand, for good, is neither hastened nor withdrawn: it may be under way.
_MOVABLE = (State.READY, State.WAITING, State.DOUBT)


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery, as an admin sees it. Times are seconds since 1970."""

    id: DeliveryId
    outlet: str
    kind: Kind
    state: State
    sender: str
    recipient: str
    recorded_at: float
    due_at: float
    attempts: int
    reason: str  # of the last attempt; empty before the first
    code: str
    remote_id: str
    part: int
    parts: int
    size: int  # characters of the message's body; 0 for notes
    first_tried_at: float | None
    settled_at: float | None


_ENTRIES = select(
    deliveries.c.id,
    deliveries.c.outlet,
    deliveries.c.kind,
    deliveries.c.state,
    deliveries.c.sender,
    deliveries.c.recipient,
    deliveries.c.recorded_at,
    deliveries.c.due_at,
    deliveries.c.attempts,
    deliveries.c.reason,
    deliveries.c.code,
    deliveries.c.remote_id,
    deliveries.c.part,
    deliveries.c.parts,
    func.coalesce(func.length(messages.c.body), 0).label("size"),
    deliveries.c.first_tried_at,
    deliveries.c.settled_at,
).outerjoin(messages, messages.c.id == deliveries.c.message_id)


def _entry(row: Any) -> Entry:
    values = dict(row._mapping)
    values["kind"] = Kind(values["kind"])
    values["state"] = State(values["state"])
    return Entry(**values)


def list_open(connection: Connection, outlet: str = "", most: int = 100) -> list[Entry]:
    """Open deliveries, oldest first; of one outlet, or of all."""
    query = _ENTRIES.where(_OPEN).order_by(deliveries.c.id).limit(most)
    if outlet:
        query = query.where(deliveries.c.outlet == outlet)
    return [_entry(row) for row in connection.execute(query)]


def show(connection: Connection, delivery: int) -> Entry | None:
    """One delivery, open or settled."""
    row = connection.execute(_ENTRIES.where(deliveries.c.id == delivery)).one_or_none()
    return _entry(row) if row is not None else None


def retry(connection: Connection, ids: Sequence[int] | None, now: float) -> list[DeliveryId]:
    """Make deliveries due at once (None: all that wait). Answers those that now are."""
    found = _movable(connection, ids)
    if found:
        due = update(deliveries).where(deliveries.c.id.in_([row.id for row in found]))
        connection.execute(due.values(due_at=now))
    return [DeliveryId(row.id) for row in found]


def drop(connection: Connection, ids: Sequence[int], now: float) -> list[DeliveryId]:
    """Withdraw deliveries; whoever wrote a message hears that it was not sent. Answers those withdrawn."""
    found = _movable(connection, ids)
    if not found:
        return []
    withdrawn = update(deliveries).where(deliveries.c.id.in_([row.id for row in found]))
    reason = tr("The gateway's admin has withdrawn this message; it was not sent.")
    connection.execute(withdrawn.values(state=State.CANCELLED, settled_at=now, reason=reason))
    told = [
        Told(row.message_id, row.id, good=False, reason=reason, condition="not-allowed")
        for row in found
        if row.kind == Kind.MESSAGE and row.direction == Direction.OUT
    ]
    if told:
        tell(connection, told, now)
    return [DeliveryId(row.id) for row in found]


def _movable(connection: Connection, ids: Sequence[int] | None) -> Sequence[Any]:
    query = (
        select(deliveries.c.id, deliveries.c.kind, deliveries.c.message_id, messages.c.direction)
        .outerjoin(messages, messages.c.id == deliveries.c.message_id)
        .where(_OPEN, deliveries.c.state.in_(_MOVABLE))
        .order_by(deliveries.c.id)
    )
    if ids is not None:
        query = query.where(deliveries.c.id.in_(ids))
    return connection.execute(query).all()


def depths(connection: Connection, now: float) -> Mapping[str, tuple[int, float]]:
    """For the metrics: open deliveries by outlet, how many and the age of the oldest in seconds."""
    rows = connection.execute(
        select(deliveries.c.outlet, func.count(), func.min(deliveries.c.recorded_at))
        .where(_OPEN)
        .group_by(deliveries.c.outlet)
    )
    return {outlet: (count, max(now - oldest, 0.0)) for outlet, count, oldest in rows}


# --- outlets that an admin has stopped ---


def stop(connection: Connection, outlet: str, by: str, now: float) -> None:
    """Remember that nothing shall go through this outlet until `let_go`."""
    statement = insert_new(connection, stops).values(outlet=outlet, stopped_by=by, at=now)
    connection.execute(statement.on_conflict_do_nothing())


def let_go(connection: Connection, outlet: str) -> None:
    connection.execute(delete(stops).where(stops.c.outlet == outlet))


def stopped(connection: Connection) -> set[str]:
    """The outlets that are stopped."""
    return set(connection.execute(select(stops.c.outlet)).scalars())
