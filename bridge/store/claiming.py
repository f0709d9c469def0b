"""Hands out what is due. Order within a lane is decided by policy.may_go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, text, update

from bridge.model import (
    Answered,
    Attachment,
    ConversationId,
    Delivery,
    DeliveryId,
    Direction,
    Kind,
    Message,
    MessageId,
    Note,
    State,
)
from bridge.policy import Standing, may_go
from bridge.store import blobs
from bridge.store.many import Many, among
from bridge.store.rows import unpack
from bridge.store.tables import ASLEEP, OPEN, conversations, deliveries, lines, messages

_OPEN = text(f"deliveries.{OPEN}")
_ASLEEP = text(f"deliveries.{ASLEEP}")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery in hand, and when it was first tried (now, if this is the first time)."""

    delivery: Delivery
    first_tried_at: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What `claim` found: deliveries by lane, in order, and when to look at a lane again."""

    by_lane: Mapping[str, list[Claimed]] = field(default_factory=dict)
    wake_at: Mapping[str, float] = field(default_factory=dict)
    more: frozenset[str] = frozenset()  # lanes that have more than was taken
    to_close: Mapping[int, str] = field(default_factory=dict)  # messages whose wait is over, and their lanes


def open_lanes(connection: Connection, outlet: str) -> dict[str, float]:
    """Every lane of an outlet that has open deliveries, and when the first of them is due."""
    rows = connection.execute(
        select(deliveries.c.lane, func.min(deliveries.c.due_at))
        .where(deliveries.c.outlet == outlet, _OPEN)
        .group_by(deliveries.c.lane)
    )
    return {lane: float(due_at) for lane, due_at in rows.all()}


# What claiming reads, in the order in which `_claimed` and `_message` take it apart: by position, because
# a row's attribute costs a microsecond, and there are 42.
_DELIVERY = [
    "id",
    "lane",
    "kind",
    "message_id",
    "sender",
    "sender_name",
    "recipient",
    "stanza_id",
    "note",
    "part",
    "parts",
    "state",
    "due_at",
    "hold_until",
    "waits_for",
    "attempts",
    "uncertain",
    "first_tried_at",
    "recorded_at",
]
_MESSAGE = [
    "from_jid",
    "lines",
    "files",
    "uid",
    "transport",
    "direction",
    "conversation_id",
    "stanza_id",
    "remote_id",
    "in_reply_to",
    "refs",
    "thread",
    "subject",
    "body",
    "written_at",
    "options",
    "memo",
]
_ANSWERED = ["remote_id", "body", "subject", "written_at", "memo"]
_D, _M, _A = len(_DELIVERY), len(_DELIVERY) + 3, len(_DELIVERY) + len(_MESSAGE)  # where the parts begin
_answered = messages.alias("answered")


def _claim_query() -> Any:
    numbered = (
        select(
            deliveries.c.id,
            func.row_number().over(partition_by=deliveries.c.lane, order_by=deliveries.c.id).label("place"),
        )
        .where(
            deliveries.c.outlet == bindparam("outlet"),
            among(deliveries.c.lane, "lanes"),
            _OPEN,
            # Those that wait and no longer hold their lane are passed over until they are due.
            ~(
                (deliveries.c.state == State.WAITING)
                & (deliveries.c.due_at > bindparam("now"))
                & (deliveries.c.hold_until <= bindparam("now"))
            ),
        )
        .subquery()
    )
    return (
        select(
            *(deliveries.c[name] for name in _DELIVERY),
            *(messages.c[name].label(f"m_{name}") for name in _MESSAGE),
            *(_answered.c[name].label(f"a_{name}") for name in _ANSWERED),
            lines.c.choices,
        )
        .join(numbered, numbered.c.id == deliveries.c.id)
        .outerjoin(messages, messages.c.id == deliveries.c.message_id)
        .outerjoin(_answered, _answered.c.id == messages.c.answers_id)
        .outerjoin(conversations, conversations.c.id == messages.c.conversation_id)
        .outerjoin(
            lines, (lines.c.user_id == conversations.c.user_id) & (lines.c.transport == messages.c.transport)
        )
        .where(numbered.c.place <= bindparam("per_lane"))
        .order_by(deliveries.c.lane, deliveries.c.id)
    )


_CLAIM = _claim_query()

_WAKES = (
    select(deliveries.c.lane, deliveries.c.due_at, deliveries.c.hold_until)
    .where(
        deliveries.c.outlet == bindparam("outlet"),
        among(deliveries.c.lane, "lanes"),
        _ASLEEP,
    )
    .limit(10_000)
)


def claim(connection: Connection, outlet: str, lanes: Sequence[str], now: float, per_lane: int) -> Claim:
    """What may be tried now in these lanes. Writes nothing: for outlets that may repeat, the one
    process that serves them keeps its claims in memory."""
    rows = connection.execute(
        _CLAIM, {"outlet": outlet, "lanes": lanes, "now": now, "per_lane": per_lane + 1}
    ).all()
    files = _files(connection, rows)
    by_lane: dict[str, list[Claimed]] = {}
    more = set()
    to_close: dict[int, str] = {}
    for lane, group in groupby(rows, key=itemgetter(_LANE)):
        standing = list(group)
        chosen = _may_go(standing, now, per_lane)
        open_ = next((n for n, i in enumerate(chosen) if standing[i].waits_for), None)
        if open_ is not None:
            # What may still change is closed first, in a transaction; then the lane is looked at again.
            to_close[standing[chosen[open_]].message_id] = lane
            chosen = chosen[:open_]
        if chosen:
            by_lane[lane] = [_claimed(outlet, standing[i], files, now) for i in chosen]
            if len(standing) > per_lane:
                more.add(lane)
    wakes = connection.execute(_WAKES, {"outlet": outlet, "lanes": lanes})
    wake_at: dict[str, float] = {}
    for lane, due_at, hold_until in wakes:
        for at in (due_at, hold_until):
            if at > now:
                wake_at[lane] = min(at, wake_at.get(lane, at))
    return Claim(by_lane, wake_at, frozenset(more), to_close)


_MARK_CLAIMED = Many(
    update(deliveries)
    .where(deliveries.c.id == bindparam("b_id"))
    .values(state=State.CLAIMED, first_tried_at=bindparam("b_tried_at")),
    *("b_id", "b_tried_at"),
)


def claim_for_good(
    connection: Connection, outlet: str, lanes: Sequence[str], now: float, per_lane: int
) -> Claim:
    """As `claim`, but recorded: for outlets that must not repeat what may have happened."""
    found = claim(connection, outlet, lanes, now, per_lane)
    rows = [
        {"b_id": one.delivery.id, "b_tried_at": one.first_tried_at}
        for claimed in found.by_lane.values()
        for one in claimed
    ]
    _MARK_CLAIMED.run(connection, rows)
    return found


def recover(connection: Connection, outlet: str, now: float) -> int:
    """At start: what was claimed when the last process ended is in doubt. Answers how many."""
    result = connection.execute(
        update(deliveries)
        .where(deliveries.c.outlet == outlet, deliveries.c.state == State.CLAIMED, _OPEN)
        .values(
            state=State.DOUBT,
            uncertain=True,
            due_at=now,
            hold_until=now + 600.0,
            reason="The gateway stopped while this was being sent.",
        )
    )
    return result.rowcount


def _may_go(rows: Sequence[Any], now: float, most: int) -> list[int]:
    """Which of a lane's rows may be tried now. One that is simply due needs no asking."""
    if len(rows) == 1 and rows[0][_STATE] == State.READY and rows[0][_DUE_AT] <= now:
        return [0]
    return may_go([Standing(State(r.state), r.due_at, r.hold_until) for r in rows], now, most)


def _files(connection: Connection, rows: Sequence[Any]) -> Mapping[int, tuple[Attachment, ...]]:
    """The attachments of the messages in these rows. Most have none, and cost nothing."""
    ids = {row[_MESSAGE_ID] for row in rows if row[_M - 1] or (row[_M - 2] or 1) > 1}
    return blobs.of_messages(connection, list(ids)) if ids else {}


_LANE, _MESSAGE_ID = _DELIVERY.index("lane"), _DELIVERY.index("message_id")
_STATE, _DUE_AT = _DELIVERY.index("state"), _DELIVERY.index("due_at")


def _claimed(outlet: str, row: Any, files: Mapping[int, tuple[Attachment, ...]], now: float) -> Claimed:
    (
        id_,
        lane,
        kind,
        message_id,
        sender,
        sender_name,
        recipient,
        stanza_id,
        note,
        part,
        parts,
        _state,
        _due_at,
        _hold_until,
        _waits_for,
        attempts,
        uncertain,
        first_tried_at,
        recorded_at,
    ) = row[:_D]
    delivery = Delivery(
        DeliveryId(id_),
        outlet,
        Kind(kind),
        lane,
        sender,
        sender_name,
        recipient,
        stanza_id,
        _message(message_id, row, files) if message_id is not None and not note else None,
        Note(**json.loads(note)) if note else None,
        attempts,
        uncertain,
        recorded_at,
        part,
        parts,
        (row[_D] or "").partition("/")[0],
        unpack(row[-1]),
    )
    return Claimed(delivery, now if first_tried_at is None else first_tried_at)


def _message(message_id: int, row: Any, files: Mapping[int, tuple[Attachment, ...]]) -> Message:
    (
        uid,
        transport,
        direction,
        conversation_id,
        stanza_id,
        remote_id,
        in_reply_to,
        refs,
        thread,
        subject,
        body,
        written_at,
        options,
        memo,
    ) = row[_M:_A]
    return Message(
        MessageId(message_id),
        uid,
        transport,
        Direction(direction),
        ConversationId(conversation_id),
        stanza_id,
        remote_id,
        in_reply_to,
        tuple(refs.split()),
        thread,
        subject,
        body,
        written_at,
        files.get(message_id, ()),
        unpack(options),
        unpack(memo),
        _answered_message(*row[_A:-1]) if row[_A] is not None else None,
    )


def _answered_message(remote_id: str, body: str, subject: str, written_at: float, memo: str) -> Answered:
    return Answered(remote_id, body, subject, written_at, unpack(memo))
