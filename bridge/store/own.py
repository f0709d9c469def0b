"""Records what users wrote from another program: their own side of conversations, as mailboxes keep it."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select, update

from bridge.model import Direction, Incoming, Kind, State
from bridge.store.arriving import Lines, chats_of, message_row, wanted_by
from bridge.store.drafts import Ground
from bridge.store.placing import Placing
from bridge.store.rows import Lane, delivery_row, in_lane
from bridge.store.tables import deliveries, messages
from bridge.store.telling import Told, tell


def record(
    connection: Connection,
    written: Sequence[Incoming],
    lines: Lines,
    grounds: Mapping[str, Ground],
    now: float,
) -> list[Lane]:
    """Record them as the user's own; what the gateway itself has sent for them is known already, and its
    being there proves that it went. Answers lanes to ring."""
    ours = _sent_by_us(connection, written)
    lanes = _prove(connection, [one for one in written if one.remote_id in ours], now)
    new = [one for one in written if one.remote_id not in ours]
    return lanes + (_record(connection, new, lines, grounds, now) if new else [])


def _sent_by_us(connection: Connection, written: Sequence[Incoming]) -> set[str]:
    """Message-IDs under which the record has messages that users wrote here."""
    ids = {one.remote_id for one in written if one.remote_id}
    if not ids:
        return set()
    rows = connection.execute(
        select(messages.c.remote_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(
            messages.c.remote_id.in_(ids),
            messages.c.remote_id != "",  # as the index says
            messages.c.direction == Direction.OUT,
            deliveries.c.kind == Kind.MESSAGE,
        )
    )
    return set(rows.scalars())


def _prove(connection: Connection, seen: Sequence[Incoming], now: float) -> list[Lane]:
    """A mail that lies in the folder of sent mails has gone: whoever was in doubt about it need not try
    again. What was never tried, or is being tried, speaks for itself."""
    told: list[Told] = []
    lanes: list[Lane] = []
    for one in seen:
        mine = select(messages.c.id).where(
            messages.c.remote_id == one.remote_id,
            messages.c.remote_id != "",
            messages.c.direction == Direction.OUT,
        )
        rows = connection.execute(
            update(deliveries)
            .where(
                deliveries.c.message_id.in_(mine.scalar_subquery()),
                deliveries.c.outlet == one.transport,
                deliveries.c.kind == Kind.MESSAGE,
                deliveries.c.state == State.WAITING,
                deliveries.c.attempts > 0,
            )
            .values(state=State.SENT, settled_at=now, remote_id=one.remote_id, reason="")
            .returning(deliveries.c.id, deliveries.c.message_id, deliveries.c.outlet, deliveries.c.lane)
        ).all()
        told += [Told(row.message_id, row.id, good=True) for row in rows]
        lanes += [(row.outlet, row.lane) for row in rows]
    return lanes + (tell(connection, told, now) if told else [])


def _record(
    connection: Connection,
    written: Sequence[Incoming],
    lines: Lines,
    grounds: Mapping[str, Ground],
    now: float,
) -> list[Lane]:
    chats = chats_of(connection, written, lines, now)
    written, found = [one for one, _ in chats], [conversation for _, conversation in chats]
    placing = Placing(connection, [wanted_by(*each) for each in zip(written, found, strict=True)], now)
    for one, conversation in zip(written, found, strict=True):
        thread, _ = placing.thread_of_mail(wanted_by(one, conversation))
        row = message_row(one, conversation, thread) | {
            "direction": Direction.OUT,
            "from_jid": lines[one.transport, one.recipient].jid,
            "to_jid": f"{conversation.local}@{grounds[one.transport].jid}",
            "parts_left": 0,
        }
        placing.put(row, thread)
    message_ids = placing.insert()
    lanes = [in_lane(one.transport, with_whom.id) for one, with_whom in zip(written, found, strict=True)]
    connection.execute(
        insert(deliveries),
        [
            delivery_row(
                lane,
                Kind.OWN,
                id_,
                sender=row["to_jid"],
                recipient=row["from_jid"],
                stanza_id=row["stanza_id"],
                now=now,
            )
            for lane, row, id_ in zip(lanes, placing.rows, message_ids, strict=True)
        ],
    )
    return lanes
