"""Records what users wrote from another program: their own side of conversations, as mailboxes keep it."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bridge.model import Direction, Incoming, Kind, State
from bridge.store.conversations import Found, conversations_with
from bridge.store.rows import Lane, delivery_row, in_lane, insert_messages, pack
from bridge.store.tables import deliveries, messages
from bridge.store.telling import Told, tell
from bridge.store.threads import MOST_IDS, Thread, Threads, Wanted


def record_own(
    connection: Connection,
    written: Sequence[Incoming],
    lines: Mapping[tuple[str, str], Any],
    jids: Mapping[str, str],
    now: float,
) -> list[Lane]:
    """Record them as the user's own; what the gateway itself has sent for them is known already, and its
    being there proves that it went. `jids` are the components', by transport. Answers lanes to ring."""
    ours = _sent_by_us(connection, written)
    lanes = _prove(connection, [one for one in written if one.remote_id in ours], now)
    new = [one for one in written if one.remote_id not in ours]
    return lanes + (_record(connection, new, lines, jids, now) if new else [])


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
            messages.c.remote_id == one.remote_id, messages.c.direction == Direction.OUT
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
    lines: Mapping[tuple[str, str], Any],
    jids: Mapping[str, str],
    now: float,
) -> list[Lane]:
    owners = [lines[one.transport, one.recipient] for one in written]
    found = conversations_with(
        connection,
        [(line.user_id, one.transport, one.sender, "") for one, line in zip(written, owners, strict=True)],
        now,
    )
    wanted = [
        Wanted(conversation.id, "", one.subject, None, one.references)
        for conversation, one in zip(found, written, strict=True)
    ]
    threads = Threads(connection, wanted, now)
    placed: list[tuple[dict[str, Any], Thread]] = []
    for one, line, conversation, known in zip(written, owners, found, wanted, strict=True):
        thread = threads.continued_by_mail(known) or threads.begin(
            conversation.id, uuid.uuid4().hex, one.subject
        )
        threads.use(thread, one.remote_id)
        placed.append((_row(one, line.jid, conversation, thread, jids[one.transport]), thread))
    threads.number()
    rows = [row | {"thread_id": thread.id} for row, thread in placed]
    ids = insert_messages(connection, rows)
    threads.save()
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
            for lane, row, id_ in zip(lanes, rows, ids, strict=True)
        ],
    )
    return lanes


def _row(one: Incoming, jid: str, conversation: Found, thread: Thread, component_jid: str) -> dict[str, Any]:
    uid = str(uuid.uuid4())
    return {
        "uid": uid.replace("-", ""),
        "transport": one.transport,
        "direction": Direction.OUT,
        "conversation_id": conversation.id,
        "stanza_id": uid,
        "remote_id": one.remote_id,
        "in_reply_to": one.references[-1] if one.references else "",
        "refs": " ".join(one.references[-MOST_IDS:]),
        "thread": thread.name,
        "subject": one.subject,
        "memo": pack(one.memo),
        "body": one.body,
        "written_at": one.written_at,
        "from_jid": jid,
        "to_jid": f"{conversation.local}@{component_jid}",
        "wants_receipt": False,
        "parts_left": 0,
    }
