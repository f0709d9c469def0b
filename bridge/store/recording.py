"""Records what was written, in both directions: messages, the deliveries they cause, and their threads.

Every function is one transaction and takes lists: what costs is the statement, not the row.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from bridge.i18n import translate
from bridge.model import Address, Attachment, Direction, Incoming, Kind
from bridge.options import COALESCE, LEAD
from bridge.policy import Tie, held_back, own_window
from bridge.ports import BadAddress
from bridge.store import blobs, holding, reactions, sharing, strangers
from bridge.store.attaching import deliveries_of
from bridge.store.conversations import Found, conversations_with
from bridge.store.directing import Direct, Misdirected, directed
from bridge.store.envelopes import HOLD, WINDOW, Envelopes, name_of
from bridge.store.leads import Leads
from bridge.store.own import record_own
from bridge.store.rows import (
    Lane,
    delivery_row,
    hash_key,
    in_lane,
    insert_messages,
    insert_new,
    out_lane,
    pack,
    unpack,
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
    files: tuple[Attachment, ...] = ()  # what was shared, with its sources
    coalesce: float | None = None  # seconds that it waits for more lines, by default; None: never
    first_hold: float = 0.0  # seconds that it waits if nothing was ever exchanged with this contact
    needs_parent: bool = False  # says nothing without the message that it answers (a reaction)
    corrects_id: int | None = None
    replaces: str = ""  # XEP-0308: stanza id of the message that this corrects
    follow_up: "Draft | None" = None  # what goes out instead if that message has gone already
    direct: Direct | None = None  # whom it goes to, where that is not simply its contact

    @property
    def alone(self) -> bool:
        """Whether it goes by itself, whatever was written beside it."""
        return self.needs_parent or bool(self.files)


@dataclass(frozen=True, slots=True)
class Ground:
    """What recording must know of a transport."""

    jid: str  # of its component
    threaded: bool  # whether it knows threads and subjects
    strangers: str = "everyone"  # the policy for unknown senders, unless a user has another


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer for one draft."""

    lanes: tuple[Lane, ...] = ()  # to be rung; empty for a repeat
    registered: bool = True
    window: float = 0.0  # seconds that it waits for more lines, counted anew from each of them
    refused: BadAddress | None = None  # nothing was recorded: its transport has nobody to give it to


def record_out(connection: Connection, drafts: Sequence[Draft], now: float) -> list[Recorded]:
    """Record messages from users. Creates contacts and conversations that are not there yet. Raises
    Misdirected for one that its transport refuses; the others can be recorded without it."""
    own = lines_of_users(connection, drafts)
    known = [draft for draft in drafts if (draft.transport, draft.jid) in own]
    fresh = not_seen(connection, [draft.dedupe for draft in known], now)
    todo = [draft for draft in known if not draft.dedupe or draft.dedupe in fresh]
    # Two equal drafts in one batch: only the first is recorded.
    todo = list({draft.dedupe or draft.uid: draft for draft in reversed(todo)}.values())[::-1]
    lanes = _record_drafts(connection, todo, own, now) if todo else {}
    answers = []
    for draft in drafts:
        line = own.get((draft.transport, draft.jid))
        window = window_of(draft, line) if line is not None and draft.uid in lanes else 0.0
        answers.append(Recorded(tuple(lanes.get(draft.uid, ())), line is not None, window))
    return answers


def window_of(draft: Draft, line: Any) -> float:
    """How many seconds a draft waits for more lines."""
    if draft.coalesce is None:
        return 0.0
    chosen = unpack(line.choices).get(COALESCE, "") if line.choices else ""
    return own_window(chosen, draft.coalesce) if chosen else draft.coalesce


def lines_of_users(connection: Connection, drafts: Sequence[Draft]) -> dict[tuple[str, str], Any]:
    rows = connection.execute(
        _LINES, {"transports": list({d.transport for d in drafts}), "jids": list({d.jid for d in drafts})}
    )
    return {(row.transport, row.jid): row for row in rows}


_LINES = (
    select(
        lines.c.transport,
        lines.c.address,
        lines.c.name,
        lines.c.user_id,
        lines.c.choices,
        users.c.jid,
        users.c.language,
        users.c.spoken,
    )
    .join(users, users.c.id == lines.c.user_id)
    .where(
        lines.c.transport.in_(bindparam("transports", expanding=True)),
        users.c.jid.in_(bindparam("jids", expanding=True)),
    )
)


def not_seen(connection: Connection, keys: Iterable[str], now: float) -> set[str]:
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
    for draft, conversation in zip(drafts, found, strict=True):
        if conversation.list_name and (why := strangers.may_post(connection, conversation, draft.options)):
            raise Misdirected(draft.uid, why)
    let_in = strangers.welcome_answered(connection, found, now)
    parents = _parents(connection, drafts, found)
    if any(draft.needs_parent for draft in drafts):
        kept = [n for n, draft in enumerate(drafts) if parents[n] is not None or not draft.needs_parent]
        drafts = [drafts[n] for n in kept]
        found, parents = [found[n] for n in kept], [parents[n] for n in kept]
    windows = [window_of(draft, own[draft.transport, draft.jid]) for draft in drafts]
    lanes_of = {
        c.id: out_lane(d.transport, c.id) for c, d, w in zip(found, drafts, windows, strict=True) if w
    }
    envelopes = Envelopes(connection, lanes_of, now)
    new = _new_to_each_other(connection, drafts, found)
    wanted = [
        Wanted(conversation.id, draft.thread, draft.subject, parent.thread_id if parent else None)
        for draft, conversation, parent in zip(drafts, found, parents, strict=True)
    ]
    threads = Threads(connection, [w for w, d in zip(wanted, drafts, strict=True) if d.threaded], now)
    placed: list[tuple[dict[str, Any], Thread | None]] = []
    recipients: list[tuple[str, ...]] = []
    for at, (draft, one, parent) in enumerate(zip(drafts, wanted, parents, strict=True)):
        thread = None
        if draft.threaded:
            thread = threads.continued_by_line(one) or threads.begin(
                one.conversation_id, draft.thread, draft.subject or draft.first_subject
            )
        line = own[draft.transport, draft.jid]
        to = directed(draft.direct, draft, line, found[at], parent, thread)
        recipients.append(to.recipients)
        row = _message_row(draft, one.conversation_id, thread, parent, now)
        row |= {"memo": pack(to.memo), "parts_left": draft.parts * len(to.recipients)}
        placed.append((row, thread))
        if lanes_of and _joins(envelopes, at, draft, row, thread, parent, windows[at]):
            row["remote_id"] = ""
        if thread is not None:
            threads.use(thread, row["remote_id"])
    if not placed:
        return {}
    for at, (row, _) in enumerate(placed):
        row["lines"], row["envelope_id"] = envelopes.lines(at), envelopes.envelope_id(at)
    message_ids = _insert_placed(connection, threads, placed)
    threads.save()
    lanes: dict[str, list[Lane]] = {}
    delivery_rows = []
    for at, (draft, conversation, message_id) in enumerate(zip(drafts, found, message_ids, strict=True)):
        lane = out_lane(draft.transport, conversation.id)
        lanes[draft.uid] = [lane, *let_in.get(conversation.contact_id, ())]
        if envelopes.carried(at):
            continue
        line = own[draft.transport, draft.jid]
        waits_for, until = "", 0.0
        if (due_at := envelopes.due_at(at)) is not None:
            waits_for, until = WINDOW, due_at
        if at in new:
            waits_for, until = waits_for or HOLD, max(until, now + draft.first_hold)
            text = translate(held_back(conversation.original, draft.first_hold), line.language or line.spoken)
            told = holding.notice(placed[at][0], message_id, text, now)
            delivery_rows.append(told)
            lanes[draft.uid].append((told["outlet"], told["lane"]))
        delivery_rows += [
            delivery_row(
                lane,
                Kind.MESSAGE,
                message_id,
                sender=line.address,
                sender_name=line.name,
                recipient=recipient,
                now=now,
                part=part,
                parts=draft.parts,
                waits_for=waits_for,
                until=until,
            )
            for recipient in recipients[at]
            for part in range(1, draft.parts + 1)
        ]
    if delivery_rows:
        connection.execute(insert(deliveries), delivery_rows)
    envelopes.save(message_ids)
    blobs.attach(connection, [(id_, d.files) for id_, d in zip(message_ids, drafts, strict=True)])
    return lanes


def _insert_placed(
    connection: Connection, threads: Threads, placed: Sequence[tuple[dict[str, Any], Thread | None]]
) -> list[int]:
    """Insert messages with their threads, new ones first. Answers the messages' ids, in order."""
    threads.number()
    for row, thread in placed:
        row["thread_id"] = thread.id if thread is not None else None
    return insert_messages(connection, [row for row, _ in placed])


def _joins(
    envelopes: Envelopes,
    at: int,
    draft: Draft,
    row: Mapping[str, Any],
    thread: Thread | None,
    parent: Any,
    window: float,
) -> bool:
    """Whether a line goes with those that wait. One that answers nothing in particular may."""
    chosen = parent is not None and not any(
        envelopes.carries(row["conversation_id"], id_) for id_ in (parent.id, parent.envelope_id)
    )
    name = name_of(thread)
    line = Tie(name, draft.subject, row["options"], parent.id if chosen else None, draft.alone)
    first = Tie(name, row["subject"], row["options"], row["answers_id"], draft.alone)
    return envelopes.place(at, row["conversation_id"], line, first, window)


def _new_to_each_other(connection: Connection, drafts: Sequence[Draft], found: Sequence[Found]) -> set[int]:
    """The places of drafts that wait for a while because they are the first to their contact."""
    first: dict[int, int] = {}
    for at, (draft, conversation) in enumerate(zip(drafts, found, strict=True)):
        if draft.first_hold:
            first.setdefault(conversation.id, at)
    known = holding.known(connection, first)
    return {at for conversation_id, at in first.items() if conversation_id not in known}


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
        "files": len(draft.files),
        "corrects_id": draft.corrects_id,
    }


_carrier = messages.alias("carrier")
_ANSWERED = select(
    messages.c.id,
    messages.c.transport,
    messages.c.stanza_id,
    # A line that went with others goes by the remote id of the message that carried it.
    func.coalesce(_carrier.c.remote_id, messages.c.remote_id).label("remote_id"),
    messages.c.thread_id,
    messages.c.conversation_id,
    messages.c.envelope_id,
    messages.c.memo,
)
_ANSWERED = _ANSWERED.outerjoin(_carrier, _carrier.c.id == messages.c.envelope_id).where(
    messages.c.stanza_id.in_(bindparam("ids", expanding=True))
)


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
    there = _lines_by_address(connection, incoming)
    own = {(row.transport, row.address): row for row in there}
    mine = [one for one in incoming if (one.transport, one.recipient) in own]
    keys = [hash_key(one.transport, one.recipient, one.dedupe) if one.dedupe else "" for one in mine]
    fresh = not_seen(connection, keys, now)
    todo: dict[str, Incoming] = {}
    for one, key in zip(mine, keys, strict=True):
        if not key or key in fresh:
            todo.setdefault(key or uuid.uuid4().hex, one)
    written = [one for one in todo.values() if one.own]
    others = [one for one in todo.values() if not one.own]
    others = sharing.hand_out(connection, others, there, own)
    lanes = _record_incoming(connection, others, own, grounds, now) if others else []
    if written:
        jids = {name: ground.jid for name, ground in grounds.items()}
        lanes = lanes + record_own(connection, written, own, jids, now)
    return lanes


_LINES_BY_ADDRESS = (
    select(
        lines.c.transport,
        lines.c.address,
        lines.c.user_id,
        lines.c.choices,
        users.c.jid,
        users.c.language,
        users.c.spoken,
    )
    .join(users, users.c.id == lines.c.user_id)
    .where(
        lines.c.transport.in_(bindparam("transports", expanding=True)),
        lines.c.address.in_(bindparam("addresses", expanding=True)),
    )
)


def _lines_by_address(connection: Connection, incoming: Sequence[Incoming]) -> Sequence[Any]:
    return connection.execute(
        _LINES_BY_ADDRESS,
        {
            "transports": list({one.transport for one in incoming}),
            "addresses": list({one.recipient for one in incoming}),
        },
    ).all()


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
    arrived = strangers.let_in(incoming, owners, found, grounds)
    if not arrived:
        return []
    incoming = [one.incoming for one in arrived]
    owners = [one.line for one in arrived]
    found = [one.found for one in arrived]
    wanted = [
        Wanted(conversation.id, "", one.subject, None, one.references)
        for conversation, one in zip(found, incoming, strict=True)
    ]
    threaded = [grounds[one.transport].threaded for one in incoming]
    threads = Threads(connection, [w for w, is_so in zip(wanted, threaded, strict=True) if is_so], now)
    leads = Leads(connection, now)
    placed: list[tuple[dict[str, Any], Thread | None]] = []
    for one, line, conversation, known, is_so in zip(incoming, owners, found, wanted, threaded, strict=True):
        continued = threads.continued_by_mail(known) if is_so else None
        thread = continued
        if is_so:
            thread = continued or threads.begin(conversation.id, uuid.uuid4().hex, one.subject)
            threads.use(thread, one.remote_id)
        row = _incoming_row(one, line, conversation, thread, grounds[one.transport].jid)
        reacts = reactions.options(connection, conversation.id, one.reaction) if one.reaction else {}
        lead = leads.options(one, conversation, thread, began=continued is None)
        row["options"] = pack(reacts or lead)
        placed.append((row, thread))
    message_ids = _insert_placed(connection, threads, placed)
    rows = [row for row, _ in placed]
    threads.save({row["thread_id"]: id_ for row, id_ in zip(rows, message_ids, strict=True)})
    lanes = [in_lane(one.transport, c.id) for one, c in zip(incoming, found, strict=True)]
    connection.execute(
        insert(deliveries),
        [
            each
            for lane, row, one, message_id in zip(lanes, rows, incoming, message_ids, strict=True)
            for each in deliveries_of(
                delivery_row(
                    lane,
                    Kind.MESSAGE,
                    message_id,
                    sender=row["from_jid"],
                    sender_name=one.sender_name,
                    recipient=row["to_jid"],
                    stanza_id=row["stanza_id"],
                    now=now,
                ),
                unpack(row["options"]).get(LEAD, "") + one.body,
                one.attachments,
            )
        ],
    )
    blobs.attach(
        connection, [(id_, one.attachments) for id_, one in zip(message_ids, incoming, strict=True)]
    )
    blobs.keep_originals(
        connection,
        [
            (id_, one.original)
            for id_, one in zip(message_ids, incoming, strict=True)
            if isinstance(one.original, Attachment)
        ],
    )
    leads.hold_loops(message_ids)
    return lanes + strangers.keep_back(connection, arrived, message_ids, now)


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
        "files": len(one.attachments),
    }
