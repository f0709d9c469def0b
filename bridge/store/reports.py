"""Records what far ends and clients say afterwards: status call-backs, receipts, error stanzas, presence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, text, update

from bridge.model import Direction, Kind, Outcome, Report, State
from bridge.policy import AWAY
from bridge.store.asking import UNREPORTED
from bridge.store.attaching import message_stanza
from bridge.store.returning import give_back
from bridge.store.rows import Lane, insert_new
from bridge.store.tables import ASLEEP, conversations, deliveries, messages, statuses, users
from bridge.store.telling import Told, remark, tell

# A state is replaced by a later one only: a call-back may come late, twice or in the wrong order.
_RANK = {
    State.READY: 0,
    State.WAITING: 0,
    State.CLAIMED: 0,
    State.DOUBT: 0,
    State.UNKNOWN: 0,
    State.SENT: 1,
    State.DELIVERED: 2,
    State.FAILED: 2,
    State.CANCELLED: 2,
}
_STATE_OF = {Outcome.SENT: State.SENT, Outcome.DELIVERED: State.DELIVERED, Outcome.FAILED: State.FAILED}


# What carries a message to a client: its text and its files, each with a stanza id of its own.
SHOWN = (Kind.MESSAGE, Kind.FILE)


def report(
    connection: Connection, reports: Sequence[Report], receipts_on_sent: Mapping[str, bool], now: float
) -> list[Lane]:
    """Take what far ends report. `receipts_on_sent` tells for each transport whether the receipt went
    with SENT already. Answers lanes to ring; reports of deliveries that are not ours are dropped."""
    fresh = _new_statuses(connection, reports, now)
    known = _by_id(connection, fresh)
    lanes: list[Lane] = []
    changes: list[dict[str, Any]] = []
    ended: list[Told] = []
    for one in fresh:
        for delivery in _meant_by(connection, one, known):
            if _is_delayed(one, delivery):
                lanes += remark(connection, delivery["message_id"], f"⏳ {one.reason}", now)
            elif (change := _change(delivery, one, now)) is not None:
                # A call-back may be the first proof that the far end took it: its lane goes on.
                lanes.append((delivery["outlet"], delivery["lane"]))
                changes.append(change)
                ended += _ends(delivery, one, receipts_on_sent[one.transport])
    if changes:
        connection.execute(_CHANGE, changes)
    return lanes + (tell(connection, ended, now) if ended else [])


def _new_statuses(connection: Connection, reports: Sequence[Report], now: float) -> list[Report]:
    """Those that were not told before; one without a remote id always counts as new."""
    rows = {
        _key(one): {
            "transport": one.transport,
            "remote_id": one.remote_id,
            "outcome": one.outcome,
            "recipient": one.recipient,
            "code": one.code,
            "at": now,
        }
        for one in reports
        if one.remote_id
    }
    if not rows:
        return list(reports)
    statement = (
        insert_new(connection, statuses)
        .on_conflict_do_nothing()
        .returning(
            statuses.c.transport, statuses.c.remote_id, statuses.c.outcome, statuses.c.recipient
        )
    )
    new = {tuple(row) for row in connection.execute(statement, list(rows.values()))}
    fresh = []
    for one in reports:
        if not one.remote_id or _key(one) in new:
            new.discard(_key(one))  # said twice in one breath, it counts once
            fresh.append(one)
    return fresh


def _key(one: Report) -> tuple[str, str, str, str]:
    return one.transport, one.remote_id, one.outcome.value, one.recipient


_DELIVERIES = select(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True)))


def _by_id(connection: Connection, reports: Sequence[Report]) -> dict[int, dict[str, Any]]:
    """The deliveries that reports name by their id."""
    ids = [one.delivery_id for one in reports if one.delivery_id is not None]
    rows = connection.execute(_DELIVERIES, {"ids": ids}) if ids else ()
    return {row.id: dict(row._mapping) for row in rows}


def _meant_by(
    connection: Connection, one: Report, known: dict[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The deliveries that a report is about, as the reports before it have left them."""
    if one.delivery_id is not None:
        found = known.get(one.delivery_id)
        return [found] if found is not None and found["outlet"] == one.transport else []
    return [
        known.setdefault(row.id, dict(row._mapping)) for row in _deliveries_of(connection, one)
    ]


def _deliveries_of(connection: Connection, one: Report) -> list[Any]:
    mine = select(deliveries).where(deliveries.c.outlet == one.transport)
    if one.delivery_id is not None:
        return list(connection.execute(mine.where(deliveries.c.id == one.delivery_id)))
    if not one.remote_id:
        return []
    mine = mine.where(deliveries.c.remote_id == one.remote_id, deliveries.c.remote_id != "")
    rows = list(connection.execute(mine.limit(200)))
    if not one.recipient:
        return rows
    meant = [row for row in rows if row.recipient.casefold() == one.recipient.casefold()]
    # A recipient's server may have passed it on: its report then names an address that we do not know.
    return meant or (rows if len(rows) == 1 else [])


def knows(connection: Connection, one: Report) -> bool:
    """Whether a report is about a delivery of ours."""
    return bool(_deliveries_of(connection, one))


def _is_delayed(one: Report, delivery: Mapping[str, Any]) -> bool:
    open_ended = delivery["message_id"] is not None and _RANK[State(delivery["state"])] <= 1
    return one.outcome is Outcome.DELAYED and open_ended


_CHANGE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("b_id"))
    .values(
        state=bindparam("b_state"),
        settled_at=bindparam("b_at"),
        reason=bindparam("b_reason"),
        code=bindparam("b_code"),
        remote_id=bindparam("b_remote_id"),
    )
)


def _change(delivery: dict[str, Any], one: Report, now: float) -> dict[str, Any] | None:
    """What a report changes of a delivery, which is changed here as well; None if it comes too late."""
    state = _STATE_OF.get(one.outcome)
    if state is None or _RANK[state] <= _RANK[State(delivery["state"])]:
        return None
    delivery["state"] = state
    delivery["remote_id"] = delivery["remote_id"] or one.remote_id
    return {
        "b_id": delivery["id"],
        "b_state": state,
        "b_at": now,
        "b_reason": one.reason,
        "b_code": one.code,
        "b_remote_id": delivery["remote_id"],
    }


def _ends(delivery: Mapping[str, Any], one: Report, receipt_went: bool) -> list[Told]:
    """What the writer is to hear of it."""
    good = one.outcome is not Outcome.FAILED
    receipt_went = receipt_went or delivery["code"] == UNREPORTED
    if delivery["message_id"] is None or (good and (receipt_went or one.outcome is Outcome.SENT)):
        return []
    condition = "" if good else one.condition or "undefined-condition"
    error_type = one.error_type or "cancel"
    return [Told(delivery["message_id"], delivery["id"], good, one.reason, condition, error_type)]


# --- from the XMPP side ---


@dataclass(frozen=True, slots=True)
class Heard:
    """A client's receipt (condition empty), or an error stanza, about a stanza of ours."""

    transport: str
    jid: str  # bare
    stanza_id: str
    condition: str = ""


_OURS = select(messages.c.id, messages.c.stanza_id, messages.c.conversation_id).where(
    messages.c.transport == bindparam("transport"),
    messages.c.stanza_id.in_(bindparam("ids", expanding=True)),
    messages.c.direction == Direction.IN,
    messages.c.to_jid == bindparam("jid"),
)


def hear(connection: Connection, heard: Sequence[Heard], now: float) -> None:
    """Take clients' receipts and errors for inward messages. Unknown ids are ignored."""
    by_user: dict[tuple[str, str], dict[str, Heard]] = {}
    for one in heard:
        by_user.setdefault((one.transport, one.jid), {})[one.stanza_id] = one
    for (transport, jid), by_id in by_user.items():
        rows = connection.execute(
            _OURS, {"transport": transport, "jid": jid, "ids": list({message_stanza(id_) for id_ in by_id})}
        )
        message_ids = {row.stanza_id: row.id for row in rows}
        ours = [
            (message_ids[message_stanza(id_)], one)
            for id_, one in by_id.items()
            if message_stanza(id_) in message_ids
        ]
        received = [(message_id, one.stanza_id) for message_id, one in ours if not one.condition]
        if received:
            _received(connection, received, jid, now)
        for message_id, one in ours:
            if one.condition:
                _bounced(connection, message_id, one, now)


_RECEIVED = (
    update(messages)
    .where(messages.c.id == bindparam("b_id"), messages.c.receipt_at.is_(None))
    .values(receipt_at=bindparam("at"))
)
_ARRIVED = (
    update(deliveries)
    .where(
        deliveries.c.message_id == bindparam("b_message_id"),
        deliveries.c.stanza_id == bindparam("b_stanza_id"),
        deliveries.c.state != State.CANCELLED,
    )
    .values(state=State.DELIVERED, settled_at=bindparam("at"))
)


def _received(connection: Connection, stanzas: Sequence[tuple[int, str]], jid: str, now: float) -> None:
    """A client has these: messages, and the stanzas of theirs."""
    connection.execute(_RECEIVED, [{"b_id": id_, "at": now} for id_, _ in stanzas])
    connection.execute(
        _ARRIVED, [{"b_message_id": id_, "b_stanza_id": stanza_id, "at": now} for id_, stanza_id in stanzas]
    )
    connection.execute(
        update(users).where(users.c.jid == jid, ~users.c.sends_receipts).values(sends_receipts=True)
    )


def _bounced(connection: Connection, message_id: int, heard: Heard, now: float) -> None:
    """An error for a stanza that the server had taken: wait for the user, or fail."""
    away = heard.condition in AWAY
    changed = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id == message_id,
            deliveries.c.stanza_id == heard.stanza_id,
            deliveries.c.kind.in_(SHOWN),
            deliveries.c.state == State.SENT,
        )
        .values(
            state=State.WAITING if away else State.FAILED,
            due_at=now + 3600.0,
            hold_until=0.0,
            reason=f"The XMPP server answered: {heard.condition}",
            settled_at=None if away else now,
        )
        .returning(deliveries.c.kind)
    ).scalars()
    if Kind.MESSAGE in list(changed) and not away:
        give_back(connection, [message_id], now)


def came_back(connection: Connection, outlet: str, jid: str, now: float) -> list[Lane]:
    """What waited for this user is due: messages go to the bare JID, receipts and errors to the resource
    that wrote. Answers lanes to ring."""
    resource = f"{jid}/"
    rows = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.outlet == outlet,
            or_(
                deliveries.c.recipient == jid,
                func.substr(deliveries.c.recipient, 1, len(resource)) == resource,
            ),
            text(f"deliveries.{ASLEEP}"),
            deliveries.c.attempts > 0,  # what was never tried waits for its time, not for them
        )
        .values(due_at=now, hold_until=0.0)
        .returning(deliveries.c.lane)
    )
    return [(outlet, lane) for lane in {row.lane for row in rows}]


def say_again(connection: Connection, delivery_ids: Sequence[int], now: float) -> list[Lane]:
    """Of what was sent shortly before a stream broke, that without a receipt goes again, to users whose
    clients send receipts. Answers lanes to ring."""
    if not delivery_ids:
        return []
    repeatable = (
        select(deliveries.c.id)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .join(users, users.c.id == conversations.c.user_id)
        .where(
            deliveries.c.id.in_(delivery_ids),
            deliveries.c.kind.in_(SHOWN),
            deliveries.c.state == State.SENT,  # a receipt makes it delivered
            users.c.sends_receipts,
        )
    )
    rows = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(repeatable.scalar_subquery()))
        .values(state=State.READY, due_at=now, settled_at=None)
        .returning(deliveries.c.outlet, deliveries.c.lane)
    )
    return list({(row.outlet, row.lane) for row in rows})
