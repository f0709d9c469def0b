"""Who hears that a message of theirs has been waiting for long: one note in each lane, once."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy import text as sql

from bridge.i18n import translate
from bridge.model import Direction, Kind, Note, State
from bridge.policy import still_trying
from bridge.store.rows import Lane, delivery_row, note_lane
from bridge.store.tables import OPEN, deliveries, messages
from bridge.store.telling import languages_of

_OPEN = sql(f"deliveries.{OPEN}")
_MOST = 200  # in one look

_WAITING = (
    select(deliveries.c.lane, deliveries.c.message_id, messages.c.delayed_at)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(
        _OPEN,
        deliveries.c.kind == Kind.MESSAGE,
        deliveries.c.state.in_((State.READY, State.WAITING)),
        deliveries.c.waits_for == "",
        messages.c.direction == Direction.OUT,
    )
    .order_by(deliveries.c.id)
)


def find(connection: Connection, outlet: str, before: float) -> list[int]:
    """Messages recorded before then that still wait, and whose writers have not been told; oldest first."""
    late = _WAITING.where(
        deliveries.c.outlet == outlet, deliveries.c.recorded_at < before, messages.c.delayed_at.is_(None)
    ).limit(_MOST)
    return list(dict.fromkeys(row.message_id for row in connection.execute(late)))


def tell(
    connection: Connection, outlet: str, message_ids: Sequence[int], paused: str, now: float
) -> list[Lane]:
    """Tell the writers of these, if they still wait: of each lane's oldest, unless of that lane somebody
    has been told already. `paused` says why the outlet as a whole does nothing. Answers lanes to ring."""
    waiting = connection.execute(
        _WAITING.with_only_columns(
            deliveries.c.lane,
            deliveries.c.reason,
            messages.c.id,
            messages.c.transport,
            messages.c.conversation_id,
            messages.c.stanza_id,
            messages.c.from_jid,
            messages.c.to_jid,
        ).where(deliveries.c.outlet == outlet, messages.c.id.in_(message_ids))
    ).all()
    if not waiting:
        return []
    lanes = {row.lane for row in waiting}
    told = set(
        connection.execute(
            _WAITING.with_only_columns(deliveries.c.lane).where(
                deliveries.c.outlet == outlet,
                deliveries.c.lane.in_(lanes),
                messages.c.delayed_at.is_not(None),
            )
        ).scalars()
    )
    first = {row.lane: row for row in reversed(waiting)}
    languages = languages_of(connection, {row.id for row in first.values()})
    notes = [
        _note(row, translate(still_trying(row.reason or paused), languages.get(row.id, "")), now)
        for lane, row in first.items()
        if lane not in told
    ]
    connection.execute(
        update(messages).where(messages.c.id.in_({row.id for row in waiting})).values(delayed_at=now)
    )
    if notes:
        connection.execute(insert(deliveries), notes)
    return [(row["outlet"], row["lane"]) for row in notes]


def _note(row: Any, text: str, now: float) -> dict[str, Any]:
    return delivery_row(
        note_lane(row.transport, row.conversation_id),
        Kind.NOTICE,
        row.id,
        sender=row.to_jid,
        recipient=row.from_jid,
        stanza_id=str(uuid.uuid4()),
        note=Note(row.stanza_id, text),
        now=now,
    )
