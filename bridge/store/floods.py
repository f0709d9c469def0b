"""What comes so fast that a chat drowns in it is kept, and told in one line: `27 more in “Summer party”`.

Chats of several people and mailing lists only. Nothing is lost: what is kept is held, and `show` lets it
go in its order. The line waits in the record until it is due, and counts on until then: no timer is in
memory.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, cast, func, insert, select, update
from sqlalchemy.types import String

from bridge.i18n import tr, translate
from bridge.model import Direction, Kind, Note, State
from bridge.options import MEMO_LIST
from bridge.policy import Admission
from bridge.store.admitting import Arrived
from bridge.store.conversations import Found
from bridge.store.rows import Lane, delivery_row, pack_note
from bridge.store.tables import contacts, conversations, deliveries, messages, threads, users

SHOW = "show"  # deliveries.waits_for of what is held until the user wants to see it
_MOST_SUBJECTS = 8  # lines of a digest
_LONGEST_SUBJECT = 80


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of a chat is shown as it comes; times in seconds."""

    most: int  # messages
    within: float
    first: float  # from the first message that is kept to the line that tells of it
    every: float  # between two such lines
    subjects: bool = False  # whether the line tells what it is about


GROUP = Pace(10, 600.0, 60.0, 600.0)
LIST = Pace(20, 3600.0, 3600.0, 3600.0, subjects=True)


def pace_of(one: Arrived) -> Pace | None:
    """How fast a message's chat may go; None: as fast as it likes."""
    if one.incoming.memo.get(MEMO_LIST):
        return LIST
    return GROUP if one.group is not None else None


def too_fast(connection: Connection, arrived: Sequence[Arrived], now: float) -> set[int]:
    """The places of messages, not recorded yet, that are to be kept. What is held for another reason is
    left to that."""
    earlier: dict[int, list[float]] = {}
    kept = set()
    for at, one in enumerate(arrived):
        pace = pace_of(one)
        if pace is None:
            continue
        if one.found.id not in earlier:
            rows = connection.execute(_EARLIER, {"conversation": one.found.id, "most": pace.most})
            earlier[one.found.id] = list(rows.scalars())
        times = earlier[one.found.id]
        lately = sum(1 for at_ in times if at_ > now - pace.within)
        if lately >= pace.most and (one.verdict is Admission.SHOW or one.found.muted):
            kept.add(at)
        times.append(now)
    return kept


_EARLIER = (
    select(deliveries.c.recorded_at)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(
        messages.c.conversation_id == bindparam("conversation"),
        messages.c.direction == Direction.IN,
        deliveries.c.kind == Kind.MESSAGE,
    )
    .order_by(messages.c.id.desc())
    .limit(bindparam("most"))
)


def keep(
    connection: Connection,
    arrived: Sequence[Arrived],
    message_ids: Sequence[int],
    places: Collection[int],
    now: float,
) -> list[Lane]:
    """Hold the messages at these places, now recorded, and tell of them in time. Answers lanes to ring."""
    if not places:
        return []
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id.in_([message_ids[at] for at in places]),
            deliveries.c.state == State.READY,
        )
        .values(state=State.HELD, waits_for=SHOW)
    )
    chats = {arrived[at].found.id: arrived[at] for at in sorted(places)}
    return [lane for one in chats.values() for lane in _tell(connection, one, now)]


def _tell(connection: Connection, one: Arrived, now: float) -> list[Lane]:
    """The line that tells what is kept: the one that waits counts on, or another begins to wait."""
    found, owner = one.found, one.owner
    if found.muted and not found.muted_until:
        return []  # the user wants to hear nothing
    pace = pace_of(one) or GROUP
    text = summary(*_held(connection, found), owner.language, subjects=pace.subjects)
    lane = _lane(owner.transport, found.id)
    last = connection.execute(_LAST, {"outlet": lane[0], "lane": lane[1]}).one_or_none()
    if last is not None and last.state == State.WAITING and last.due_at > now:
        note = pack_note(Note("", text))
        connection.execute(update(deliveries).where(deliveries.c.id == last.id).values(note=note))
        return [lane]
    due_at = now + pace.first if last is None else max(now + pace.first, last.due_at + pace.every)
    row = delivery_row(
        lane,
        Kind.NOTICE,
        None,
        sender=f"{found.local}@{owner.gateway}",
        recipient=owner.jid,
        stanza_id=str(uuid.uuid4()),
        note=Note("", text),
        now=now,
    )
    row |= {"state": State.WAITING, "due_at": max(due_at, found.muted_until if found.muted else 0.0)}
    connection.execute(insert(deliveries), [row])
    return [lane]


_LAST = (
    select(deliveries.c.id, deliveries.c.due_at, deliveries.c.state)
    .where(
        # Those of no message are few, and have an index: most of a lane's past has none.
        deliveries.c.message_id.is_(None),
        deliveries.c.outlet == bindparam("outlet"),
        deliveries.c.lane == bindparam("lane"),
        deliveries.c.state != State.CANCELLED,
    )
    .order_by(deliveries.c.id.desc())
    .limit(1)
)


def _lane(transport: str, conversation: int) -> Lane:
    return f"xmpp:{transport}", f"more/{conversation}"


def _held(connection: Connection, found: Found) -> tuple[str, Mapping[str, int]]:
    """What the chat is called, and how many messages are kept in it, by subject."""
    rows = connection.execute(_SUBJECTS, {"conversation": found.id})
    return found.name or found.original, {row.subject: row.number for row in rows}


_SUBJECTS = (
    select(
        func.coalesce(threads.c.subject, messages.c.subject).label("subject"),
        func.count().label("number"),
    )
    .select_from(deliveries)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .outerjoin(threads, threads.c.id == messages.c.thread_id)
    .where(
        messages.c.conversation_id == bindparam("conversation"),
        deliveries.c.state == State.HELD,
        deliveries.c.waits_for == SHOW,
        deliveries.c.kind == Kind.MESSAGE,
    )
    .group_by(func.coalesce(threads.c.subject, messages.c.subject))
    .order_by(func.min(messages.c.id))
)


def summary(name: str, kept: Mapping[str, int], language: str, *, subjects: bool) -> str:
    """The line itself. Messages of one thread go by its subject, those of several by the chat's name; a
    digest tells what each is about."""
    topics: Counter[str] = Counter()
    for subject, number in kept.items():
        topics[" ".join(subject.split())[:_LONGEST_SUBJECT]] += number
    about = next(iter(topics)) if len(topics) == 1 and not subjects else ""
    told = tr("{number} more in “{name}”. /show /mute", number=topics.total(), name=about or name)
    first = translate(told, language)
    if not subjects:
        return first
    lines = [
        f"· {subject} ({number})" if number > 1 else f"· {subject}"
        for subject, number in list(topics.items())[:_MOST_SUBJECTS]
        if subject
    ]
    more = len(topics) - _MOST_SUBJECTS
    return "\n".join((first, *lines, *([f"+{more}"] if more > 0 else [])))


# --- what the user says ---


@dataclass(frozen=True, slots=True)
class Chat:
    """A user's chat with one contact, as far as these wishes go."""

    contact_id: int
    conversation_id: int  # 0: nothing was ever exchanged
    transport: str


def chat_of(connection: Connection, transport: str, jid: str, address: str) -> Chat | None:
    row = connection.execute(_CHAT, {"transport": transport, "jid": jid, "address": address}).one_or_none()
    return Chat(row.contact_id, row.id or 0, transport) if row is not None else None


def show(connection: Connection, chat: Chat, now: float) -> tuple[int, list[Lane]]:
    """Let go what was kept of a chat, in its order. Answers how many messages that is, and lanes to ring."""
    released = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id.in_(messages_of(chat)),
            deliveries.c.state == State.HELD,
            deliveries.c.waits_for == SHOW,
        )
        .values(state=State.READY, waits_for="", due_at=now, recorded_at=now)
        .returning(deliveries.c.outlet, deliveries.c.lane, deliveries.c.message_id)
    ).all()
    hush(connection, chat, now)
    seen(connection, {row.message_id for row in released})
    lanes = list({(row.outlet, row.lane) for row in released})
    return len({row.message_id for row in released}), lanes


def messages_of(chat: Chat) -> Any:
    """The ids of its messages."""
    return select(messages.c.id).where(messages.c.conversation_id == chat.conversation_id)


def held_for(connection: Connection, chat: Chat, reason: str) -> list[int]:
    """The messages of a chat that are held for this reason (deliveries.waits_for), oldest first."""
    rows = connection.execute(
        select(deliveries.c.message_id)
        .where(
            deliveries.c.message_id.in_(messages_of(chat)),
            deliveries.c.state == State.HELD,
            deliveries.c.waits_for == reason,
        )
        .distinct()
        .order_by(deliveries.c.message_id)
    )
    return list(rows.scalars())


def kept(connection: Connection, chat: Chat) -> int:
    """How many messages wait to be shown."""
    return len(held_for(connection, chat, SHOW))


def hush(connection: Connection, chat: Chat, now: float) -> None:
    """The line that waits to tell what was kept is not said."""
    outlet, lane = _lane(chat.transport, chat.conversation_id)
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id.is_(None),
            deliveries.c.outlet == outlet,
            deliveries.c.lane == lane,
            deliveries.c.state == State.WAITING,
        )
        .values(state=State.CANCELLED, settled_at=now)
    )


def seen(connection: Connection, message_ids: Collection[int]) -> None:
    """These are shown: the newest of them in each thread is what a plain line answers."""
    if not message_ids:
        return
    newest = connection.execute(
        select(messages.c.thread_id, func.max(messages.c.id).label("id"))
        .where(messages.c.id.in_(message_ids), messages.c.thread_id.is_not(None))
        .group_by(messages.c.thread_id)
    ).all()
    for row in newest:
        connection.execute(
            update(threads)
            .where(threads.c.id == row.thread_id, func.coalesce(threads.c.last_in_id, 0) < row.id)
            .values(last_in_id=row.id)
        )


_CHAT = (
    select(contacts.c.id.label("contact_id"), conversations.c.id)
    .join(users, users.c.id == contacts.c.user_id)
    .outerjoin(
        conversations,
        (contacts.c.user_id == conversations.c.user_id)
        & (contacts.c.transport == conversations.c.transport)
        & (conversations.c.people == cast(contacts.c.id, String)),
    )
    .where(
        users.c.jid == bindparam("jid"),
        contacts.c.transport == bindparam("transport"),
        contacts.c.address == bindparam("address"),
    )
)
