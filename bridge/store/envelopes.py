"""Messages that wait before they go: lines that may become one mail, and first messages held back.

While its delivery waits for something, a message may still change (changing.py). Closing is one
transaction: the text is frozen and the delivery is due. Nothing joins or edits it afterwards, so that
every attempt sends the same under the same remote id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, update

from bridge.model import State
from bridge.policy import Tie, joins, window_end
from bridge.store.rows import Lane
from bridge.store.tables import OPEN, deliveries, messages
from bridge.store.threads import Thread

WINDOW, HOLD = "window", "hold"  # deliveries.waits_for
UNDONE = "undone"  # messages.told: taken back; nobody hears of it any more

_OPEN = text(f"deliveries.{OPEN}")


@dataclass(slots=True, eq=False)
class Envelope:
    """Lines that will go as one message, as long as more may join."""

    tie: Tie
    began_at: float
    due_at: float
    lines: int = 1
    id: int | None = None  # of the message that carries the others; None until it is recorded
    changed: bool = False


_FIND = (
    select(
        messages.c.id,
        messages.c.conversation_id,
        messages.c.thread_id,
        messages.c.subject,
        messages.c.options,
        messages.c.answers_id,
        messages.c.lines,
        messages.c.written_at,
        deliveries.c.due_at,
    )
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(
        deliveries.c.outlet == bindparam("outlet"),
        deliveries.c.lane.in_(bindparam("lanes", expanding=True)),
        deliveries.c.waits_for == WINDOW,
        _OPEN,
    )
    .order_by(messages.c.id)
    .with_for_update()
)


class Envelopes:
    """The open envelopes of some conversations, while a batch of lines is recorded."""

    def __init__(self, connection: Connection, lanes: Mapping[int, Lane], now: float) -> None:
        """`lanes` gives the lane of each conversation in which lines may wait for each other."""
        self._connection = connection
        self._now = now
        self._open: dict[int, Envelope] = {}
        self._joined: dict[int, Envelope] = {}  # by the line's place in the batch
        self._begun: dict[int, Envelope] = {}
        self._over: list[Envelope] = []
        by_outlet: dict[str, list[str]] = {}
        for outlet, lane in lanes.values():
            by_outlet.setdefault(outlet, []).append(lane)
        for outlet, names in by_outlet.items():
            for row in connection.execute(_FIND, {"outlet": outlet, "lanes": names}):
                self._open[row.conversation_id] = _envelope(row)

    def carries(self, conversation: int, message_id: int) -> bool:
        """Whether a message begins the conversation's open envelope."""
        present = self._open.get(conversation)
        return present is not None and present.id == message_id

    def place(self, at: int, conversation: int, line: Tie, first: Tie, seconds: float) -> bool:
        """Put the line at this place of the batch into the conversation's open envelope, or else end
        that one; a new one begins (with `first`) if lines are to wait (`seconds`). Answers whether the
        line joined."""
        present = self._open.get(conversation)
        if present is not None:
            if seconds and joins(present.tie, line, present.lines, present.due_at, self._now):
                present.lines += 1
                present.due_at = window_end(present.began_at, self._now, seconds)
                present.changed = True
                self._joined[at] = present
                return True
            self._over.append(self._open.pop(conversation))
        if seconds and not first.alone:
            due_at = window_end(self._now, self._now, seconds)
            self._begun[at] = self._open[conversation] = Envelope(first, self._now, due_at)
        return False

    def lines(self, at: int) -> int:
        """How many lines the message at this place carries, as far as this batch knows."""
        begun = self._begun.get(at)
        return begun.lines if begun is not None else 1

    def carried(self, at: int) -> bool:
        return at in self._joined

    def due_at(self, at: int) -> float | None:
        """When the envelope that begins at this place is due, unless more lines come."""
        begun = self._begun.get(at)
        return begun.due_at if begun is not None else None

    def envelope_id(self, at: int) -> int | None:
        joined = self._joined.get(at)
        return joined.id if joined is not None else None

    def save(self, message_ids: Sequence[int]) -> None:
        """Once the batch's messages (these, in order) and deliveries are there: what joined, what ended."""
        for at, envelope in self._begun.items():
            envelope.id = message_ids[at]
        late = [
            {"b_id": message_ids[at], "envelope": envelope.id}
            for at, envelope in self._joined.items()
            if envelope in self._begun.values()
        ]
        if late:
            self._connection.execute(_CARRY, late)
        grown = [one for one in (*self._open.values(), *self._over) if one.changed]
        known = [one for one in grown if one not in self._begun.values()]
        if known:
            self._connection.execute(_GROW, [{"b_id": one.id, "count": one.lines} for one in known])
            self._connection.execute(_MOVE, [{"b_message_id": one.id, "due": one.due_at} for one in known])
        if self._over:
            close(self._connection, [one.id for one in self._over if one.id is not None], self._now)


_CARRY = update(messages).where(messages.c.id == bindparam("b_id")).values(envelope_id=bindparam("envelope"))
_GROW = update(messages).where(messages.c.id == bindparam("b_id")).values(lines=bindparam("count"))
_MOVE = (
    update(deliveries)
    .where(deliveries.c.message_id == bindparam("b_message_id"), deliveries.c.waits_for == WINDOW)
    .values(due_at=bindparam("due"), hold_until=bindparam("due"))
)


def name_of(thread: Thread | None) -> int:
    """A number for a thread in a Tie. One that has none yet is named by itself."""
    if thread is None:
        return 0
    return thread.id if thread.id is not None else -id(thread)


def _envelope(row: Any) -> Envelope:
    known = Tie(row.thread_id or 0, row.subject, row.options, row.answers_id)
    return Envelope(known, row.written_at, row.due_at, row.lines, row.id)


def move(connection: Connection, lane: Lane, due_at: float) -> None:
    """The open envelope of a lane, if there is one, is due then."""
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.outlet == lane[0],
            deliveries.c.lane == lane[1],
            deliveries.c.waits_for == WINDOW,
            _OPEN,
        )
        .values(due_at=due_at, hold_until=due_at)
    )


# --- closing ---


def close_due(connection: Connection, message_ids: Sequence[int], now: float) -> list[Lane]:
    """Close those of these messages whose time has come."""
    return close(connection, message_ids, now, only_due=True)


def close(
    connection: Connection, message_ids: Sequence[int], now: float, *, only_due: bool = False
) -> list[Lane]:
    """Freeze messages that wait for something; their deliveries are due. Answers lanes to ring."""
    waiting = select(deliveries.c.id, deliveries.c.message_id, deliveries.c.outlet, deliveries.c.lane).where(
        deliveries.c.message_id.in_(message_ids),
        deliveries.c.waits_for != "",
        deliveries.c.state == State.WAITING,
    )
    if only_due:
        waiting = waiting.where(deliveries.c.due_at <= now)
    rows = connection.execute(waiting.with_for_update()).all()
    if not rows:
        return []
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_([row.id for row in rows]))
        .values(state=State.READY, waits_for="", due_at=now, hold_until=0.0)
    )
    _freeze(connection, {row.message_id for row in rows})
    return list({(row.outlet, row.lane) for row in rows})


def _freeze(connection: Connection, message_ids: Iterable[int]) -> None:
    """Join the lines of each message that carries several."""
    several = connection.execute(
        select(messages.c.id).where(messages.c.id.in_(list(message_ids)), messages.c.lines > 1)
    ).scalars()
    for message_id in list(several):
        body = "\n".join(line.body for line in lines_of(connection, message_id) if is_text(line))
        connection.execute(update(messages).where(messages.c.id == message_id).values(body=body))


_LINES = (
    select(messages)
    .where((messages.c.id == bindparam("message")) | (messages.c.envelope_id == bindparam("message")))
    .order_by(messages.c.id)
)


def lines_of(connection: Connection, message_id: int) -> list[Any]:
    """The rows of a message and of those that it carries, in the order in which they were written."""
    return list(connection.execute(_LINES, {"message": message_id}))


def is_text(line: Any) -> bool:
    """Whether a line says something: not taken back, and no correction that has become another's text."""
    return bool(line.told != UNDONE and line.body)
