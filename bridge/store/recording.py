"""Records what was written, in both directions: messages, the deliveries they cause, and their threads.

Every function is one transaction and takes lists: what costs is the statement, not the row.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from bridge.model import Address, Direction, Incoming, Kind
from bridge.store.conversations import Found, conversations_with
from bridge.store.rows import (
    Lane,
    delivery_row,
    hash_key,
    in_lane,
    insert_messages,
    insert_new,
    out_lane,
    pack,
)
from bridge.store.tables import deliveries, lines, messages, seen, users
from bridge.store.threads import MOST_IDS, Thread, Threads, Wanted


@dataclass(frozen=True, slots=True)
class Draft:
    """A message from a user, checked and ready to be recorded."""

    transport: str
    jid: str  # bare JID of the user
    from_jid: str  # full
    to_jid: str
    local: str  # node of to_jid
    address: Address
    uid: str
    stanza_id: str
    dedupe: str  # empty: never a repeat
    body: str
    wants_receipt: bool
    remote_id: str = ""
    subject: str = ""
    thread: str = ""
    reply_to: str = ""  # stanza id of the message that is answered
    parts: int = 1
    threaded: bool = True  # whether the transport knows threads and subjects
    first_subject: str = ""  # what a thread is called that this begins without a subject
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ground:
    """What recording must know of a transport."""

    jid: str  # of its component
    threaded: bool  # whether it knows threads and subjects


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer for one draft."""

    lanes: tuple[Lane, ...] = ()  # to be rung; empty for a repeat
    registered: bool = True


def record_out(connection: Connection, drafts: Sequence[Draft], now: float) -> list[Recorded]:
    """Record messages from users. Creates contacts and conversations that are not there yet."""
    own = _lines_of(connection, drafts)
    known = [draft for draft in drafts if (draft.transport, draft.jid) in own]
    fresh = _not_seen(connection, [draft.dedupe for draft in known], now)
    todo = [draft for draft in known if not draft.dedupe or draft.dedupe in fresh]
    # Two equal drafts in one batch: only the first is recorded.
    todo = list({draft.dedupe or draft.uid: draft for draft in reversed(todo)}.values())[::-1]
    lanes = _record_drafts(connection, todo, own, now) if todo else {}
    answers = []
    for draft in drafts:
        registered = (draft.transport, draft.jid) in own
        answers.append(Recorded(tuple(lanes.get(draft.uid, ())), registered))
    return answers


def _lines_of(connection: Connection, drafts: Sequence[Draft]) -> dict[tuple[str, str], Any]:
    rows = connection.execute(
        _LINES, {"transports": list({d.transport for d in drafts}), "jids": list({d.jid for d in drafts})}
    )
    return {(row.transport, row.jid): row for row in rows}


_LINES = (
    select(lines.c.transport, lines.c.address, lines.c.name, lines.c.user_id, users.c.jid)
    .join(users, users.c.id == lines.c.user_id)
    .where(
        lines.c.transport.in_(bindparam("transports", expanding=True)),
        users.c.jid.in_(bindparam("jids", expanding=True)),
    )
)


def _not_seen(connection: Connection, keys: Iterable[str], now: float) -> set[str]:
    """Those keys that were not known; they are known from now on."""
    rows = [{"key": key, "at": now} for key in dict.fromkeys(keys) if key]
    if not rows:
        return set()
    statement = insert_new(connection, seen).on_conflict_do_nothing().returning(seen.c.key)
    return set(connection.execute(statement, rows).scalars())


def _record_drafts(
    connection: Connection, drafts: Sequence[Draft], own: Mapping[tuple[str, str], Any], now: float
) -> dict[str, list[Lane]]:
    people = [(own[d.transport, d.jid].user_id, d.transport, d.address, d.local) for d in drafts]
    found = conversations_with(connection, people, now)
    parents = _parents(connection, drafts, found)
    wanted = [
        Wanted(conversation.id, draft.thread, draft.subject, parent.thread_id if parent else None)
        for draft, conversation, parent in zip(drafts, found, parents, strict=True)
    ]
    threads = Threads(connection, [w for w, d in zip(wanted, drafts, strict=True) if d.threaded], now)
    placed: list[tuple[dict[str, Any], Thread | None]] = []
    for draft, one, parent in zip(drafts, wanted, parents, strict=True):
        thread = None
        if draft.threaded:
            thread = threads.continued_by_line(one) or threads.begin(
                one.conversation_id, draft.thread, draft.subject or draft.first_subject
            )
        placed.append((_message_row(draft, one.conversation_id, thread, parent, now), thread))
        if thread is not None:
            threads.use(thread, draft.remote_id)
    message_ids = _insert_placed(connection, threads, placed)
    threads.save()
    lanes: dict[str, list[Lane]] = {}
    delivery_rows = []
    for draft, conversation, message_id in zip(drafts, found, message_ids, strict=True):
        lane = out_lane(draft.transport, conversation.id)
        lanes[draft.uid] = [lane]
        line = own[draft.transport, draft.jid]
        delivery_rows += [
            delivery_row(
                lane,
                Kind.MESSAGE,
                message_id,
                sender=line.address,
                sender_name=line.name,
                recipient=_as_spelled(conversation.original, conversation.address),
                now=now,
                part=part,
                parts=draft.parts,
            )
            for part in range(1, draft.parts + 1)
        ]
    connection.execute(insert(deliveries), delivery_rows)
    return lanes


def _insert_placed(
    connection: Connection, threads: Threads, placed: Sequence[tuple[dict[str, Any], Thread | None]]
) -> list[int]:
    """Insert messages with their threads, new ones first. Answers the messages' ids, in order."""
    threads.number()
    for row, thread in placed:
        row["thread_id"] = thread.id if thread is not None else None
    return insert_messages(connection, [row for row, _ in placed])


def _as_spelled(original: str, canonical: str) -> str:
    """Local parts may be case-sensitive at their host: the spelling is kept where only case differs."""
    return original if original.casefold() == canonical.casefold() else canonical


def _message_row(
    draft: Draft, conversation_id: int, thread: Thread | None, parent: Any, now: float
) -> dict[str, Any]:
    ids = thread.ids if thread is not None else []
    in_reply_to = parent.remote_id if parent is not None else ""
    return {
        "uid": draft.uid,
        "transport": draft.transport,
        "direction": Direction.OUT,
        "conversation_id": conversation_id,
        "stanza_id": draft.stanza_id,
        "remote_id": draft.remote_id,
        "in_reply_to": in_reply_to or (ids[-1] if ids else ""),
        "refs": " ".join(ids),
        "answers_id": parent.id if parent is not None else thread and thread.last_in_id,
        "options": pack(draft.options),
        "thread": draft.thread,
        "subject": draft.subject or (thread.subject if thread is not None else ""),
        "body": draft.body,
        "written_at": now,
        "from_jid": draft.from_jid,
        "to_jid": draft.to_jid,
        "wants_receipt": draft.wants_receipt,
        "parts_left": draft.parts,
    }


_ANSWERED = select(
    messages.c.id,
    messages.c.transport,
    messages.c.stanza_id,
    messages.c.remote_id,
    messages.c.thread_id,
    messages.c.conversation_id,
).where(messages.c.stanza_id.in_(bindparam("ids", expanding=True)))


def _parents(connection: Connection, drafts: Sequence[Draft], found: Sequence[Found]) -> list[Any]:
    """The message of the same conversation that each draft answers, or None. Most answer nothing."""
    wanted = {draft.reply_to for draft in drafts if draft.reply_to}
    if not wanted:
        return [None] * len(drafts)
    rows = connection.execute(_ANSWERED, {"ids": list(wanted)})
    by_key = {(row.transport, row.stanza_id, row.conversation_id): row for row in rows}
    return [
        by_key.get((draft.transport, draft.reply_to, conversation.id))
        for draft, conversation in zip(drafts, found, strict=True)
    ]


# --- from outside ---


def record_in(
    connection: Connection, incoming: Sequence[Incoming], grounds: Mapping[str, Ground], now: float
) -> list[Lane]:
    """Record messages from outside, each on the ground of its transport. Answers lanes to ring.

    One for a recipient that is no line (any more) is left out: RCPT TO has refused it already, or a
    catch-all has brought it.
    """
    own = _lines_by_address(connection, incoming)
    mine = [one for one in incoming if (one.transport, one.recipient) in own]
    keys = [hash_key(one.transport, one.recipient, one.dedupe) if one.dedupe else "" for one in mine]
    fresh = _not_seen(connection, keys, now)
    todo: dict[str, Incoming] = {}
    for one, key in zip(mine, keys, strict=True):
        if not key or key in fresh:
            todo.setdefault(key or uuid.uuid4().hex, one)
    return _record_incoming(connection, list(todo.values()), own, grounds, now) if todo else []


_LINES_BY_ADDRESS = (
    select(lines.c.transport, lines.c.address, lines.c.user_id, users.c.jid)
    .join(users, users.c.id == lines.c.user_id)
    .where(
        lines.c.transport.in_(bindparam("transports", expanding=True)),
        lines.c.address.in_(bindparam("addresses", expanding=True)),
    )
)


def _lines_by_address(connection: Connection, incoming: Sequence[Incoming]) -> dict[tuple[str, str], Any]:
    rows = connection.execute(
        _LINES_BY_ADDRESS,
        {
            "transports": list({one.transport for one in incoming}),
            "addresses": list({one.recipient for one in incoming}),
        },
    )
    return {(row.transport, row.address): row for row in rows}


def _record_incoming(
    connection: Connection,
    incoming: Sequence[Incoming],
    own: Mapping[tuple[str, str], Any],
    grounds: Mapping[str, Ground],
    now: float,
) -> list[Lane]:
    owners = [own[one.transport, one.recipient] for one in incoming]
    found = conversations_with(
        connection,
        [(line.user_id, one.transport, one.sender, "") for one, line in zip(incoming, owners, strict=True)],
        now,
    )
    wanted = [
        Wanted(conversation.id, "", one.subject, None, one.references)
        for conversation, one in zip(found, incoming, strict=True)
    ]
    threaded = [grounds[one.transport].threaded for one in incoming]
    threads = Threads(connection, [w for w, is_so in zip(wanted, threaded, strict=True) if is_so], now)
    placed: list[tuple[dict[str, Any], Thread | None]] = []
    for one, line, conversation, known, is_so in zip(incoming, owners, found, wanted, threaded, strict=True):
        thread = None
        if is_so:
            thread = threads.continued_by_mail(known) or threads.begin(
                conversation.id, uuid.uuid4().hex, one.subject
            )
            threads.use(thread, one.remote_id)
            thread.subject = thread.subject or one.subject
        placed.append((_incoming_row(one, line, conversation, thread, grounds[one.transport].jid), thread))
    message_ids = _insert_placed(connection, threads, placed)
    rows = [row for row, _ in placed]
    threads.save({row["thread_id"]: id_ for row, id_ in zip(rows, message_ids, strict=True)})
    lanes = [in_lane(one.transport, c.id) for one, c in zip(incoming, found, strict=True)]
    connection.execute(
        insert(deliveries),
        [
            delivery_row(
                lane,
                Kind.MESSAGE,
                message_id,
                sender=row["from_jid"],
                sender_name=one.sender_name,
                recipient=row["to_jid"],
                stanza_id=row["stanza_id"],
                now=now,
            )
            for lane, row, one, message_id in zip(lanes, rows, incoming, message_ids, strict=True)
        ],
    )
    return lanes


def _incoming_row(
    one: Incoming, line: Any, conversation: Found, thread: Thread | None, component_jid: str
) -> dict[str, Any]:
    uid = str(uuid.uuid4())
    return {
        "uid": uid.replace("-", ""),
        "transport": one.transport,
        "direction": Direction.IN,
        "conversation_id": conversation.id,
        "stanza_id": uid,
        "remote_id": one.remote_id,
        "in_reply_to": one.references[-1] if one.references else "",
        "refs": " ".join(one.references[-MOST_IDS:]),
        "thread": thread.name if thread is not None else "",
        "subject": one.subject,
        "memo": pack(one.memo),
        "body": one.body,
        "written_at": one.written_at,
        "from_jid": f"{conversation.local}@{component_jid}",
        "to_jid": line.jid,
        "wants_receipt": False,
        "parts_left": 1,
    }
