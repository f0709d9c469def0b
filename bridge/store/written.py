"""Records what users write: messages, the conversations and threads they go to, and their deliveries."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select

from bridge.i18n import translate
from bridge.model import Direction, Kind
from bridge.options import REACTION, UNREACTION
from bridge.policy import Tie, held_back
from bridge.store import blobs, holding, strangers
from bridge.store.company import Company, companies, save
from bridge.store.conversations import Found, conversations_with
from bridge.store.directing import Misdirected, directed
from bridge.store.drafts import Draft
from bridge.store.envelopes import HOLD, WINDOW, Envelopes, name_of
from bridge.store.many import among, insert_rows
from bridge.store.owners import window_of
from bridge.store.placing import Placing
from bridge.store.posting import may_post
from bridge.store.reactions import of_user
from bridge.store.rows import Lane, delivery_row, out_lane, pack
from bridge.store.tables import deliveries, messages
from bridge.store.threads import Thread, Wanted


@dataclass(slots=True)
class _Going:
    """A draft on its way into the record."""

    draft: Draft
    line: Any  # row: where it is written from, and by whom
    found: Found
    parent: Any  # row of the message that it answers; None: none in particular
    window: float  # seconds that it waits for more lines
    company: Company | None = None  # the people of its chat, if those are several
    thread: Thread | None = None
    recipients: tuple[str, ...] = ()


def record(
    connection: Connection, drafts: Sequence[Draft], lines: Mapping[tuple[str, str], Any], now: float
) -> dict[str, list[Lane]]:
    """Record drafts, each written from the line of its user. Answers lanes to ring, by uid, for those
    that were recorded: an answer of one emoji to nothing is not. Raises Misdirected."""
    people = [(lines[d.transport, d.jid].user_id, d.transport, d.address, d.local) for d in drafts]
    found = conversations_with(connection, people, now)
    for draft, conversation in zip(drafts, found, strict=True):
        if conversation.list_name and (why := may_post(connection, conversation, draft.options)):
            raise Misdirected(draft.uid, why)
    let_in = strangers.welcome_answered(connection, found, now)
    going = _with_parents(connection, drafts, found, lines)
    if not going:
        return {}
    several = companies(connection, [one.found for one in going])
    for one in going:
        one.company = several.get(one.found.contact_id)
    waiting = {one.found.id: out_lane(one.draft.transport, one.found.id) for one in going if one.window}
    envelopes = Envelopes(connection, waiting, now)
    new = _new_to_each_other(connection, going)
    placing = _placed(connection, going, envelopes, now)
    message_ids = placing.insert()
    lanes = _queue(connection, going, placing.rows, message_ids, envelopes, new, now)
    envelopes.save(message_ids)
    save(connection, several.values())
    blobs.attach(connection, [(id_, one.draft.files) for id_, one in zip(message_ids, going, strict=True)])
    for one in going:
        lanes[one.draft.uid] += let_in.get(one.found.contact_id, ())
    return lanes


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
    among(messages.c.stanza_id, "ids")
)


def _with_parents(
    connection: Connection,
    drafts: Sequence[Draft],
    found: Sequence[Found],
    lines: Mapping[tuple[str, str], Any],
) -> list[_Going]:
    """The drafts with the messages of their own conversations that they answer. Most answer nothing; one
    that must and does not is left out."""
    wanted = {draft.reply_to for draft in drafts if draft.reply_to}
    rows = connection.execute(_ANSWERED, {"ids": list(wanted)}) if wanted else ()
    by_key = {(row.transport, row.stanza_id, row.conversation_id): row for row in rows}
    going = []
    reacted: dict[int, str] = {}
    for draft, conversation in zip(drafts, found, strict=True):
        parent = by_key.get((draft.transport, draft.reply_to, conversation.id))
        if parent is not None and REACTION in draft.options:
            draft, parent = _reacting(connection, draft, parent, reacted)
        if parent is not None or not draft.needs_parent:
            line = lines[draft.transport, draft.jid]
            going.append(_Going(draft, line, conversation, parent, window_of(draft, line)))
    return going


def _reacting(
    connection: Connection, draft: Draft, parent: Any, reacted: dict[int, str]
) -> tuple[Draft, Any]:
    """XEP-0444 says that no reaction is left, and not which there was: that is looked up, in the record and
    in what is being recorded (`reacted`). Without any there is nothing to take back: no parent."""
    emoji = draft.options[REACTION]
    if not emoji:
        known = reacted.get(parent.id)
        gone = of_user(connection, parent.conversation_id, parent.id) if known is None else known
        draft = replace(draft, options={**draft.options, UNREACTION: gone})
        parent = parent if gone else None
    if parent is not None:
        reacted[parent.id] = emoji
    return draft, parent


def _new_to_each_other(connection: Connection, going: Sequence[_Going]) -> set[int]:
    """The places of drafts that wait for a while because they are the first to their contact."""
    first: dict[int, int] = {}
    for at, one in enumerate(going):
        if one.draft.first_hold:
            first.setdefault(one.found.id, at)
    known = holding.known(connection, first)
    return {at for conversation_id, at in first.items() if conversation_id not in known}


# --- placing ---


def _placed(connection: Connection, going: Sequence[_Going], envelopes: Envelopes, now: float) -> Placing:
    """Each with its thread, its recipients and its row; lines that wait for each other joined."""
    placing = Placing(connection, [_wanted(one) for one in going if one.draft.threaded], now)
    waits = any(one.window for one in going)
    for at, one in enumerate(going):
        draft = one.draft
        if draft.threaded:
            one.thread = placing.thread_of_line(_wanted(one), draft.subject or draft.first_subject)
        to = directed(draft.direct, draft, one.line, one.found, one.parent, one.thread, one.company)
        one.recipients = to.recipients
        row = _message_row(one, now)
        row |= {"memo": pack(to.memo), "parts_left": draft.parts * len(to.recipients)}
        if waits and _joins(envelopes, at, one, row):
            row["remote_id"] = ""
        placing.put(row, one.thread)
    for at, row in enumerate(placing.rows):
        row["lines"], row["envelope_id"] = envelopes.lines(at), envelopes.envelope_id(at)
    return placing


def _wanted(one: _Going) -> Wanted:
    parent_thread = one.parent.thread_id if one.parent is not None else None
    if parent_thread is None and one.company is not None and not (one.draft.thread or one.draft.subject):
        parent_thread = one.company.thread_id()
    return Wanted(one.found.id, one.draft.thread, one.draft.subject, parent_thread)


def _message_row(one: _Going, now: float) -> dict[str, Any]:
    draft, thread, parent = one.draft, one.thread, one.parent
    ids = thread.ids if thread is not None else []
    in_reply_to = parent.remote_id if parent is not None else ""
    return {
        "uid": draft.uid,
        "transport": draft.transport,
        "direction": Direction.OUT,
        "conversation_id": one.found.id,
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
        "files": len(draft.files),
        "corrects_id": draft.corrects_id,
    }


def _joins(envelopes: Envelopes, at: int, one: _Going, row: Mapping[str, Any]) -> bool:
    """Whether a line goes with those that wait. One that answers nothing in particular may."""
    draft, parent = one.draft, one.parent
    chosen = parent is not None and not any(
        envelopes.carries(one.found.id, id_) for id_ in (parent.id, parent.envelope_id)
    )
    name = name_of(one.thread)
    answers = parent.id if chosen else None
    if one.company is not None and parent is None:
        answers = row["answers_id"]  # who wrote meanwhile would not get what goes to another
    line = Tie(name, draft.subject, row["options"], answers, draft.alone)
    first = Tie(name, row["subject"], row["options"], row["answers_id"], draft.alone)
    return envelopes.place(at, one.found.id, line, first, one.window)


# --- queueing ---


def _queue(
    connection: Connection,
    going: Sequence[_Going],
    rows: Sequence[dict[str, Any]],
    message_ids: Sequence[int],
    envelopes: Envelopes,
    new: Collection[int],
    now: float,
) -> dict[str, list[Lane]]:
    """Insert the deliveries, and what users are told of a hold. Answers lanes to ring, by uid, that of
    the message first."""
    lanes: dict[str, list[Lane]] = {}
    queued: list[dict[str, Any]] = []
    for at, (one, message_id) in enumerate(zip(going, message_ids, strict=True)):
        lanes[one.draft.uid] = [out_lane(one.draft.transport, one.found.id)]
        if envelopes.carried(at):
            continue
        due_at = envelopes.due_at(at)
        waits_for, until = (WINDOW, due_at) if due_at is not None else ("", 0.0)
        if at in new:
            waits_for, until = waits_for or HOLD, max(until, now + one.draft.first_hold)
            told = _hold_notice(one, rows[at], message_id, now)
            queued.append(told)
            lanes[one.draft.uid].append((told["outlet"], told["lane"]))
        if one.company is not None and (whom := one.company.tell(one.draft.options, one.recipients)):
            told = holding.notice(
                rows[at], message_id, translate(whom, one.line.language or one.line.spoken), now
            )
            queued.append(told)
            lanes[one.draft.uid].append((told["outlet"], told["lane"]))
        queued += _delivery_rows(one, message_id, waits_for, until, now)
    insert_rows(connection, deliveries, queued)
    return lanes


def _hold_notice(one: _Going, row: dict[str, Any], message_id: int, now: float) -> dict[str, Any]:
    text = held_back(one.found.original, one.draft.first_hold)
    return holding.notice(row, message_id, translate(text, one.line.language or one.line.spoken), now)


def _delivery_rows(
    one: _Going, message_id: int, waits_for: str, until: float, now: float
) -> list[dict[str, Any]]:
    """One for each recipient and part."""
    parts = one.draft.parts
    return [
        delivery_row(
            out_lane(one.draft.transport, one.found.id),
            Kind.MESSAGE,
            message_id,
            sender=one.found.own or one.line.address,
            sender_name=one.line.name,
            recipient=recipient,
            now=now,
            part=part,
            parts=parts,
            waits_for=waits_for,
            until=until,
        )
        for recipient in one.recipients
        for part in range(1, parts + 1)
    ]
