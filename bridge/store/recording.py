"""Records what was written, in both directions: messages, the deliveries they cause, and their threads.

Every function is one transaction and takes lists: what costs is the statement, not the row.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Insert, Table, bindparam, cast, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.types import String

from bridge.addressing import to_local
from bridge.model import Address, Direction, Incoming, Kind, Note, State
from bridge.store.tables import (
    contacts,
    conversation_contacts,
    conversations,
    deliveries,
    lines,
    messages,
    seen,
    threads,
    users,
)

# A mail thread that has rested for so long is not continued by a new line (USERS.md).
THREAD_RESTS = 30 * 86400.0
_REFERENCES = 20  # remote ids kept for a thread: enough for every client's threading

Lane = tuple[str, str]  # outlet, lane


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


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT for this database that knows ON CONFLICT."""
    return sqlite_insert(table) if connection.dialect.name == "sqlite" else postgresql_insert(table)


def hash_key(*parts: str) -> str:
    """A dedupe key of fixed size."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def out_lane(transport: str, conversation: int) -> Lane:
    return transport, f"out/{conversation}"


def in_lane(transport: str, conversation: int) -> Lane:
    return f"xmpp:{transport}", f"in/{conversation}"


def note_lane(transport: str, conversation: int) -> Lane:
    return f"xmpp:{transport}", f"note/{conversation}"


def pack(values: Mapping[str, str]) -> str:
    """A small mapping as a column keeps it."""
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":")) if values else ""


def unpack(text: str | None) -> dict[str, str]:
    return json.loads(text) if text else {}


def pack_note(note: Note) -> str:
    return json.dumps(asdict(note), ensure_ascii=False, separators=(",", ":"))


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


@dataclass(slots=True)
class _Thread:
    """A thread as it grows within one transaction."""

    id: int
    name: str
    subject: str
    ids: list[str]
    used_at: float
    last_in_id: int | None = None
    changed: bool = False

    def append(self, remote_id: str, now: float) -> None:
        if remote_id:
            self.ids.append(remote_id)
            if len(self.ids) > _REFERENCES:
                del self.ids[1]  # the first one names the thread, the last ones are answered
        self.used_at = now
        self.changed = True


def _record_drafts(
    connection: Connection, drafts: Sequence[Draft], own: Mapping[tuple[str, str], Any], now: float
) -> dict[str, list[Lane]]:
    wanted = [
        (own[d.transport, d.jid].user_id, d.transport, d.address, d.local) for d in drafts
    ]
    found = conversations_with(connection, wanted, now)
    threaded = {c.id for c, d in zip(found, drafts, strict=True) if d.threaded}
    threads_of = _threads_of(connection, threaded, now)
    answered = _answered(connection, drafts)
    rows, ids = [], []
    for draft, conversation in zip(drafts, found, strict=True):
        thread = None
        if draft.threaded:
            thread = _thread_for(
                connection, threads_of.setdefault(conversation.id, []), conversation.id, draft, answered, now
            )
        rows.append(_message_row(draft, conversation.id, thread, answered, now))
        if thread is not None:
            thread.append(draft.remote_id, now)
            _use(threads_of[conversation.id], thread)
        ids.append(conversation.id)
    message_ids = insert_messages(connection, rows)
    _save_threads(connection, threads_of)
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


def _as_spelled(original: str, canonical: str) -> str:
    """Local parts may be case-sensitive at their host: the spelling is kept where only case differs."""
    return original if original.casefold() == canonical.casefold() else canonical


def _message_row(
    draft: Draft,
    conversation_id: int,
    thread: _Thread | None,
    answered: Mapping[tuple[str, str], Any],
    now: float,
) -> dict[str, Any]:
    parent = answered.get((draft.transport, draft.reply_to))
    in_reply_to = parent.remote_id if parent is not None and parent.conversation_id == conversation_id else ""
    if not in_reply_to and thread is not None and thread.ids:
        in_reply_to = thread.ids[-1]
    return {
        "uid": draft.uid,
        "transport": draft.transport,
        "direction": Direction.OUT,
        "conversation_id": conversation_id,
        "thread_id": thread.id if thread is not None else None,
        "stanza_id": draft.stanza_id,
        "remote_id": draft.remote_id,
        "in_reply_to": in_reply_to,
        "refs": " ".join(thread.ids) if thread is not None else "",
        "answers_id": parent.id if in_reply_to and parent is not None else thread and thread.last_in_id,
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


def insert_messages(connection: Connection, rows: list[dict[str, Any]]) -> list[int]:
    """Insert message rows; their ids, in order."""
    statement: Insert = insert(messages)
    result = connection.execute(statement.returning(messages.c.id, messages.c.uid), rows)
    by_uid = {row.uid: row.id for row in result}
    return [by_uid[row["uid"]] for row in rows]


def delivery_row(
    lane: Lane,
    kind: Kind,
    message_id: int | None,
    *,
    sender: str,
    recipient: str,
    now: float,
    sender_name: str = "",
    stanza_id: str = "",
    note: Note | None = None,
    part: int = 1,
    parts: int = 1,
) -> dict[str, Any]:
    """A row of the deliveries table, due at once."""
    return {
        "outlet": lane[0],
        "lane": lane[1],
        "kind": kind,
        "message_id": message_id,
        "sender": sender,
        "sender_name": sender_name,
        "recipient": recipient,
        "stanza_id": stanza_id,
        "note": pack_note(note) if note is not None else "",
        "part": part,
        "parts": parts,
        "state": State.READY,
        "due_at": now,
        "recorded_at": now,
    }


# --- conversations ---


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation with one contact."""

    id: int
    address: str
    original: str
    local: str


def conversations_with(
    connection: Connection, wanted: Sequence[tuple[int, str, Address, str]], now: float
) -> list[Found]:
    """The conversation for each (user, transport, address, node or ""); made where there is none."""
    keys = list(dict.fromkeys((user, transport, address.canonical) for user, transport, address, _ in wanted))
    found = _find_conversations(connection, keys)
    missing = {
        (user, transport, address.canonical): (address, local)
        for user, transport, address, local in wanted
        if (user, transport, address.canonical) not in found
    }
    if missing:
        _make_conversations(connection, missing, now)
        found |= _find_conversations(connection, list(missing))
    return [found[user, transport, address.canonical] for user, transport, address, _ in wanted]


_CONVERSATIONS = (
    select(
        contacts.c.user_id,
        contacts.c.transport,
        contacts.c.address,
        contacts.c.original,
        contacts.c.local,
        conversations.c.id,
    )
    .join(
        conversations,
        (conversations.c.user_id == contacts.c.user_id)
        & (conversations.c.transport == contacts.c.transport)
        & (conversations.c.people == cast(contacts.c.id, String)),
    )
    .where(
        contacts.c.user_id.in_(bindparam("users", expanding=True)),
        contacts.c.transport.in_(bindparam("transports", expanding=True)),
        contacts.c.address.in_(bindparam("addresses", expanding=True)),
    )
)


def _find_conversations(
    connection: Connection, keys: Sequence[tuple[int, str, str]]
) -> dict[tuple[int, str, str], Found]:
    rows = connection.execute(
        _CONVERSATIONS,
        {
            "users": list({user for user, _, _ in keys}),
            "transports": list({transport for _, transport, _ in keys}),
            "addresses": list({address for _, _, address in keys}),
        },
    )
    return {
        (row.user_id, row.transport, row.address): Found(row.id, row.address, row.original, row.local)
        for row in rows
    }


def _make_conversations(
    connection: Connection, missing: Mapping[tuple[int, str, str], tuple[Address, str]], now: float
) -> None:
    for (user, transport, canonical), (address, local) in missing.items():
        wanted = Address(canonical, address.original)
        contact = ensure_contact(connection, user, transport, wanted, local, now)
        made = connection.execute(
            insert_new(connection, conversations)
            .values(user_id=user, transport=transport, people=str(contact))
            .on_conflict_do_nothing()
            .returning(conversations.c.id)
        ).scalar_one_or_none()
        if made is not None:
            connection.execute(insert(conversation_contacts).values(conversation_id=made, contact_id=contact))


def ensure_contact(
    connection: Connection, user: int, transport: str, address: Address, local: str, now: float
) -> int:
    """The id of a user's contact; made if it is not there. Its node in the JID is free for this user."""
    same = select(contacts.c.id).where(
        contacts.c.user_id == user, contacts.c.transport == transport, contacts.c.address == address.canonical
    )
    known = connection.execute(same).scalar_one_or_none()
    if known is not None:
        return int(known)
    statement = (
        insert_new(connection, contacts)
        .values(
            user_id=user,
            transport=transport,
            address=address.canonical,
            original=address.original,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(contacts.c.id)
    )
    wanted = local or to_local(address.canonical)
    # Nodeprep folds ß and ss to one node: the second address to come gets a node of its own.
    for candidate in (wanted, *(f"{wanted}~{n}" for n in range(2, 100))):
        made = connection.execute(statement.values(local=candidate)).scalar_one_or_none()
        if made is not None:
            return int(made)
        known = connection.execute(same).scalar_one_or_none()
        if known is not None:
            return int(known)
    raise RuntimeError("a hundred addresses fold to the same node")


# --- threads ---


def _threads_of(connection: Connection, conversation_ids: set[int], now: float) -> dict[int, list[_Thread]]:
    if not conversation_ids:
        return {}
    rows = connection.execute(_THREADS, {"ids": list(conversation_ids), "since": now - THREAD_RESTS})
    found: dict[int, list[_Thread]] = {}
    for row in rows:
        found.setdefault(row.conversation_id, []).append(
            _Thread(row.id, row.name, row.subject, row.ids.split(), row.used_at, row.last_in_id)
        )
    return found


_THREADS = (
    select(threads)
    .where(
        threads.c.conversation_id.in_(bindparam("ids", expanding=True)),
        threads.c.used_at > bindparam("since"),
    )
    .order_by(threads.c.used_at, threads.c.id)
)


def _thread_for(
    connection: Connection,
    open_threads: list[_Thread],
    conversation_id: int,
    draft: Draft,
    answered: Mapping[tuple[str, str], Any],
    now: float,
) -> _Thread:
    """The thread that a line continues: what it answers, its own name, else the one used last.

    A client's new thread name alone starts nothing: some take one for each window.
    """
    parent = answered.get((draft.transport, draft.reply_to))
    if parent is not None:
        for thread in open_threads:
            if thread.id == parent.thread_id:
                return thread
    if not draft.subject or any(draft.subject == thread.subject for thread in open_threads):
        for thread in reversed(open_threads):
            if (draft.thread and thread.name == draft.thread) or (
                draft.subject and thread.subject == draft.subject
            ):
                return thread
        if open_threads and not draft.subject:
            return open_threads[-1]
    subject = draft.subject or draft.first_subject
    return new_thread(connection, open_threads, conversation_id, draft.thread, subject, now)


def new_thread(
    connection: Connection,
    open_threads: list[_Thread],
    conversation_id: int,
    name: str,
    subject: str,
    now: float,
) -> _Thread:
    made = connection.execute(
        insert(threads)
        .values(conversation_id=conversation_id, name=name, subject=subject, used_at=now)
        .returning(threads.c.id)
    ).scalar_one()
    thread = _Thread(made, name, subject, [], now)
    open_threads.append(thread)
    return thread


def _use(open_threads: list[_Thread], thread: _Thread) -> None:
    """The thread used last stands last."""
    if open_threads[-1] is not thread:
        open_threads.remove(thread)
        open_threads.append(thread)


def _save_threads(connection: Connection, threads_of: Mapping[int, list[_Thread]]) -> None:
    rows = [
        {
            "b_id": thread.id,
            "ids": " ".join(thread.ids),
            "used_at": thread.used_at,
            "subject": thread.subject,
            "last_in_id": thread.last_in_id,
        }
        for open_threads in threads_of.values()
        for thread in open_threads
        if thread.changed
    ]
    if rows:
        connection.execute(_SAVE_THREAD, rows)


_SAVE_THREAD = (
    update(threads)
    .where(threads.c.id == bindparam("b_id"))
    .values(
        ids=bindparam("ids"),
        used_at=bindparam("used_at"),
        subject=bindparam("subject"),
        last_in_id=bindparam("last_in_id"),
    )
)


def _answered(connection: Connection, drafts: Sequence[Draft]) -> dict[tuple[str, str], Any]:
    """The messages that drafts answer, by (transport, stanza id). Rare: most lines answer nothing."""
    wanted = {draft.reply_to for draft in drafts if draft.reply_to}
    if not wanted:
        return {}
    rows = connection.execute(
        select(
            messages.c.id,
            messages.c.transport,
            messages.c.stanza_id,
            messages.c.remote_id,
            messages.c.thread_id,
            messages.c.conversation_id,
        ).where(messages.c.stanza_id.in_(wanted))
    )
    return {(row.transport, row.stanza_id): row for row in rows}


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
    threaded = {c.id for c, one in zip(found, incoming, strict=True) if grounds[one.transport].threaded}
    threads_of = _threads_of(connection, threaded, now)
    rows = []
    for one, line, conversation in zip(incoming, owners, found, strict=True):
        ground = grounds[one.transport]
        thread = None
        if ground.threaded:
            open_threads = threads_of.setdefault(conversation.id, [])
            thread = _thread_of_incoming(connection, open_threads, conversation.id, one, now)
        rows.append(_incoming_row(one, line, conversation, thread, ground.jid))
        if thread is not None:
            thread.append(one.remote_id, now)
            thread.subject = thread.subject or one.subject
            _use(open_threads, thread)
    message_ids = insert_messages(connection, rows)
    newest = {row["thread_id"]: message_id for row, message_id in zip(rows, message_ids, strict=True)}
    for open_threads in threads_of.values():
        for thread in open_threads:
            thread.last_in_id = newest.get(thread.id, thread.last_in_id)
    _save_threads(connection, threads_of)
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


def _thread_of_incoming(
    connection: Connection, open_threads: list[_Thread], conversation_id: int, one: Incoming, now: float
) -> _Thread:
    """The thread that a mail belongs to: among this conversation's own only, so that a guessed id
    lets no stranger into another's thread."""
    for reference in reversed(one.references):
        for thread in open_threads:
            if reference in thread.ids:
                return thread
    return new_thread(connection, open_threads, conversation_id, uuid.uuid4().hex, one.subject, now)


def _incoming_row(
    one: Incoming, line: Any, conversation: Found, thread: _Thread | None, component_jid: str
) -> dict[str, Any]:
    uid = str(uuid.uuid4())
    return {
        "uid": uid.replace("-", ""),
        "transport": one.transport,
        "direction": Direction.IN,
        "conversation_id": conversation.id,
        "thread_id": thread.id if thread is not None else None,
        "stanza_id": uid,
        "remote_id": one.remote_id,
        "in_reply_to": one.references[-1] if one.references else "",
        "refs": " ".join(one.references[-_REFERENCES:]),
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
