"""Second thoughts about what was recorded and may not have gone yet: corrections, retractions, send now.

What waits for something (envelopes.py) changes for real. What merely waits its turn can be taken back as
long as no outlet has it in hand. Everything else has gone, and is told so.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, cast, insert, select, text, update
from sqlalchemy.types import String

from bridge.i18n import tr
from bridge.model import OPEN_STATES, Direction, Kind, Note, State, Undone
from bridge.options import CORRECTION
from bridge.policy import Part, too_late, window_end
from bridge.store.drafts import Draft, Recorded
from bridge.store.envelopes import UNDONE, WINDOW, close, is_text, lines_of
from bridge.store.owners import lines_of_users, window_of
from bridge.store.recording import record_out
from bridge.store.rows import Lane, delivery_row, not_seen, note_lane, out_lane, unpack
from bridge.store.tables import ASLEEP, contacts, conversations, deliveries, messages, users
from bridge.store.telling import ERROR
from bridge.store.unthreading import Name, first_text, leave_thread, rename

_NEWEST = 50  # messages that `undo` looks back over
TAKEN_BACK = "Taken back before it was sent."


@dataclass(frozen=True, slots=True)
class Reach:
    """What no outlet has in hand: lanes that the dispatcher leaves alone now, and messages (by uid) that
    are recorded in this very transaction."""

    lanes: frozenset[Lane] = frozenset()
    uids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Talk:
    """A user's conversation with one contact, by what a stanza says of it."""

    transport: str
    jid: str  # bare JID of the user
    address: str  # canonical


@dataclass(frozen=True, slots=True)
class Retraction:
    """XEP-0424 from a client."""

    talk: Talk
    from_jid: str
    to_jid: str
    stanza_id: str  # its own
    target: str  # of the message that is to go
    wants_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a wish: lanes to ring; what was taken back; and why not, as a sentence."""

    lanes: tuple[Lane, ...] = ()
    undone: tuple[Undone, ...] = ()
    refused: str = ""


def conversation_of(connection: Connection, talk: Talk) -> int | None:
    """The conversation's id, if there is one."""
    found = connection.execute(
        select(conversations.c.id)
        .join(users, users.c.id == conversations.c.user_id)
        .join(
            contacts,
            (contacts.c.user_id == conversations.c.user_id)
            & (contacts.c.transport == conversations.c.transport)
            & (conversations.c.people == cast(contacts.c.id, String)),
        )
        .where(
            conversations.c.transport == talk.transport,
            users.c.jid == talk.jid,
            contacts.c.address == talk.address,
        )
    )
    return found.scalar_one_or_none()


def lanes_of(connection: Connection, talks: Iterable[Talk]) -> list[Lane]:
    """The lanes in which what users wrote there goes out."""
    found = ((talk, conversation_of(connection, talk)) for talk in dict.fromkeys(talks))
    return [out_lane(talk.transport, id_) for talk, id_ in found if id_ is not None]


def _own(connection: Connection, conversation: int, stanza_id: str) -> Any:
    """The user's newest message there with this stanza id, or None."""
    return connection.execute(
        select(messages)
        .where(
            messages.c.conversation_id == conversation,
            messages.c.stanza_id == stanza_id,
            messages.c.direction == Direction.OUT,
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    ).one_or_none()


def _by_id(connection: Connection, message_id: int) -> Any:
    return connection.execute(select(messages).where(messages.c.id == message_id)).one()


def _versions(connection: Connection, conversation: int, stanza_id: str) -> list[Any]:
    """A message and the follow-ups that corrected it, oldest first, whichever of them the id is of."""
    row = _own(connection, conversation, stanza_id) if stanza_id else None
    if row is None:
        return []
    first = row.corrects_id or row.id
    return list(
        connection.execute(
            select(messages)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.id >= first,
                (messages.c.id == first) | ((messages.c.corrects_id == first) & (messages.c.body != "")),
            )
            .order_by(messages.c.id)
        )
    )


def _carrier(connection: Connection, line: Any) -> Any:
    return line if line.envelope_id is None else _by_id(connection, line.envelope_id)


def _deliveries(connection: Connection, carrier: Any) -> list[Any]:
    return list(
        connection.execute(
            select(deliveries)
            .where(deliveries.c.message_id == carrier.id, deliveries.c.kind == Kind.MESSAGE)
            .order_by(deliveries.c.id)
            .with_for_update()
        )
    )


def _changeable(rows: Sequence[Any]) -> bool:
    return bool(rows) and all(row.waits_for and row.state == State.WAITING for row in rows)


# --- corrections ---


def correct(connection: Connection, draft: Draft, name: Name, now: float) -> Recorded:
    """Carry out a correction (XEP-0308). What can still change is changed; what has gone is followed up;
    a correction of what nobody knows, or of what was refused, is a message like any other."""
    talk = Talk(draft.transport, draft.jid, draft.address.canonical)
    conversation = conversation_of(connection, talk)
    versions = _versions(connection, conversation, draft.replaces) if conversation is not None else []
    standing = [line for line in versions if line.told not in (UNDONE, ERROR)]
    if not standing:
        return record_out(connection, [draft], now)[0]
    line = standing[-1]
    carrier = _carrier(connection, line)
    rows = _deliveries(connection, carrier)
    follow_up = replace(
        draft.follow_up or draft, corrects_id=versions[0].id, again=unpack(carrier.memo) or None
    )
    text = follow_up if unpack(line.options).get(CORRECTION) else draft
    if not _changeable(rows) or draft.files or text.parts != rows[0].parts:
        return record_out(connection, [follow_up], now)[0]
    if draft.dedupe and not not_seen(connection, [draft.dedupe], now):
        return Recorded()
    _edit(connection, line, carrier, text.body, name)
    _note_correction(connection, draft, versions[0], carrier, now)
    window = 0.0
    if rows[0].waits_for == WINDOW:
        own = lines_of_users(connection, [draft])
        window = window_of(draft, own[draft.transport, draft.jid])
        due_at = max(rows[0].due_at, window_end(carrier.written_at, now, window))
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id.in_([row.id for row in rows]))
            .values(due_at=due_at, hold_until=due_at)
        )
    return Recorded(((rows[0].outlet, rows[0].lane),), window=window)


def _edit(connection: Connection, line: Any, carrier: Any, body: str, name: Name) -> None:
    before = first_text(connection, carrier)
    connection.execute(update(messages).where(messages.c.id == line.id).values(body=body))
    rename(connection, carrier, before, name)


def _note_correction(connection: Connection, draft: Draft, original: Any, carrier: Any, now: float) -> None:
    """A correction that has become the text of what it corrects: its stanza has a receipt of its own."""
    connection.execute(
        insert(messages).values(
            uid=draft.uid,
            transport=draft.transport,
            direction=Direction.OUT,
            conversation_id=original.conversation_id,
            thread_id=original.thread_id,
            stanza_id=draft.stanza_id,
            body="",
            written_at=now,
            from_jid=draft.from_jid,
            to_jid=draft.to_jid,
            wants_receipt=draft.wants_receipt,
            parts_left=0,
            envelope_id=carrier.id,
            corrects_id=original.id,
        )
    )
    connection.execute(update(messages).where(messages.c.id == carrier.id).values(lines=messages.c.lines + 1))


# --- taking back ---


def retract(connection: Connection, wish: Retraction, reach: Reach, name: Name, now: float) -> Changed:
    """Carry out a retraction. One of what nobody knows, or of what never went, has nothing to do."""
    done = take_back(connection, wish.talk, wish.target, reach, name, now)
    if done.refused or not wish.wants_receipt:
        return done
    conversation = conversation_of(connection, wish.talk)
    if conversation is None:
        return done
    lane = note_lane(wish.talk.transport, conversation)
    note = Note(wish.stanza_id)
    connection.execute(
        insert(deliveries).values(
            delivery_row(
                lane,
                Kind.RECEIPT,
                None,
                sender=wish.to_jid,
                recipient=wish.from_jid,
                stanza_id=str(uuid.uuid4()),
                note=note,
                now=now,
            )
        )
    )
    return replace(done, lanes=(*done.lanes, lane))


def take_back(
    connection: Connection, talk: Talk, stanza_id: str, reach: Reach, name: Name, now: float
) -> Changed:
    """Take a message back, with the follow-ups that corrected it, as far as they have not gone."""
    conversation = conversation_of(connection, talk)
    if conversation is None:
        return Changed()
    total = Changed()
    for line in reversed(_versions(connection, conversation, stanza_id)):
        one = _withdraw(connection, line, reach, name, now)
        total = Changed(
            (*total.lanes, *one.lanes), (*total.undone, *one.undone), one.refused or total.refused
        )
    return total


def undo(connection: Connection, talk: Talk, reach: Reach, name: Name, now: float) -> Changed:
    """Take back the newest message of a conversation that has not gone."""
    for line in _unsettled(connection, talk):
        one = _withdraw(connection, line, reach, name, now)
        if one.undone:
            return one
    return Changed()


def give_up(connection: Connection, talk: Talk, reach: Reach, name: Name, now: float) -> Changed:
    """Try no more what has been tried in a conversation and still waits, or whose writer has been told
    that it does."""
    lanes: list[Lane] = []
    undone: list[Undone] = []
    for line in _unsettled(connection, talk):
        carrier = _carrier(connection, line)
        rows = _deliveries(connection, carrier)
        waits = any(row.state in (State.READY, State.WAITING) and not row.waits_for for row in rows)
        tried = carrier.delayed_at is not None or any(row.first_tried_at is not None for row in rows)
        if waits and tried:
            one = _withdraw(connection, line, reach, name, now, anyhow=True)
            lanes += one.lanes
            undone += one.undone
    return Changed(tuple(lanes), tuple(undone))


def _unsettled(connection: Connection, talk: Talk) -> list[Any]:
    """The user's messages there of which nothing has been told yet, newest first."""
    conversation = conversation_of(connection, talk)
    if conversation is None:
        return []
    return list(
        connection.execute(
            select(messages)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.direction == Direction.OUT,
                messages.c.told == "",
                messages.c.body != "",
            )
            .order_by(messages.c.id.desc())
            .limit(_NEWEST)
        )
    )


def _withdraw(
    connection: Connection, line: Any, reach: Reach, name: Name, now: float, *, anyhow: bool = False
) -> Changed:
    """Take one message back, if that can still be. With `anyhow` also what may have gone at an earlier
    attempt, and all that goes with it."""
    carrier = _carrier(connection, line)
    rows = _deliveries(connection, carrier)
    if line.told == UNDONE or (line.told == ERROR and all(row.state != State.UNKNOWN for row in rows)):
        return Changed()
    others = [one for one in lines_of(connection, carrier.id) if is_text(one) and one.id != line.id]
    if _changeable(rows) and others:
        return _leave_out(connection, line, carrier, rows, name)
    parts = [_part(row, carrier, reach, now) for row in rows]
    refused = too_late(parts or [Part(State.SENT, line.written_at, False, False)])
    certain = not any(part.uncertain for part in parts)
    if anyhow:
        refused = too_late(replace(part, uncertain=False) for part in parts)
    elif not refused and others and not _changeable(rows):
        refused = tr("It goes as one message with other lines, and can't be taken out of it any more.")
    if refused:
        return Changed(refused=refused)
    undone = (Undone(line.stanza_id, line.body, certain),)
    return Changed(_cancel(connection, carrier, rows, now), undone)


def _part(row: Any, carrier: Any, reach: Reach, now: float) -> Part:
    state = State(row.state)
    apart = (
        row.waits_for != ""
        or (state is State.WAITING and row.due_at > now)
        or (row.outlet, row.lane) in reach.lanes
        or carrier.uid in reach.uids
    )
    waits = state in (State.READY, State.WAITING)
    at = row.settled_at if row.settled_at is not None else row.due_at
    return Part(state, at, row.uncertain, in_hand=waits and not apart)


def _leave_out(connection: Connection, line: Any, carrier: Any, rows: Sequence[Any], name: Name) -> Changed:
    """Take a line out of those that will go as one."""
    before = first_text(connection, carrier)
    connection.execute(
        update(messages)
        .where(
            (messages.c.id == line.id)
            | ((messages.c.envelope_id == carrier.id) & (messages.c.corrects_id == line.id))
        )
        .values(told=UNDONE)
    )
    rename(connection, carrier, before, name)
    return Changed(((rows[0].outlet, rows[0].lane),), (Undone(line.stanza_id, line.body),))


def _cancel(connection: Connection, carrier: Any, rows: Sequence[Any], now: float) -> tuple[Lane, ...]:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_([row.id for row in rows]), deliveries.c.state.in_(OPEN_STATES))
        .values(
            state=State.CANCELLED, settled_at=now, reason=TAKEN_BACK, waits_for="", due_at=now, hold_until=0.0
        )
    )
    connection.execute(
        update(messages)
        .where(
            (messages.c.id == carrier.id) | (messages.c.envelope_id == carrier.id),
            messages.c.told != ERROR,
        )
        .values(told=UNDONE)
    )
    leave_thread(connection, carrier)
    return tuple({(row.outlet, row.lane) for row in rows})


# --- sending at once ---


def send_now(connection: Connection, talk: Talk, now: float) -> tuple[int, list[Lane]]:
    """End what a conversation waits for. Answers how many messages go now, and lanes to ring."""
    conversation = conversation_of(connection, talk)
    if conversation is None:
        return 0, []
    outlet, lane = out_lane(talk.transport, conversation)
    waiting = connection.execute(
        select(deliveries.c.message_id)
        .where(
            deliveries.c.outlet == outlet,
            deliveries.c.lane == lane,
            text(f"deliveries.{ASLEEP}"),
            deliveries.c.waits_for != "",
            deliveries.c.state == State.WAITING,
        )
        .distinct()
    ).scalars()
    ids = [id_ for id_ in waiting if id_ is not None]
    return len(ids), close(connection, ids, now) if ids else []
