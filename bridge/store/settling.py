"""Writes down what became of deliveries that were in hand, and what their writers shall hear of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, text, update

from bridge.model import Direction, Kind, Message, State
from bridge.options import MEMO_RETURN
from bridge.policy import Verdict
from bridge.store.claiming import Claimed
from bridge.store.many import Many
from bridge.store.returning import give_back
from bridge.store.rows import Lane
from bridge.store.tables import deliveries
from bridge.store.telling import Told, tell


@dataclass(frozen=True, slots=True)
class Settlement:
    """One delivery and its verdict."""

    claimed: Claimed
    verdict: Verdict
    receipt: bool  # whether SENT is what this outlet's receipts speak of


# What a report has settled meanwhile (a call-back that overtook the answer) stays as it is.
_KEEPS = text(f"deliveries.state IN ('{State.DELIVERED}', '{State.FAILED}', '{State.CANCELLED}')")
_SETTLE = Many(
    update(deliveries)
    .where(deliveries.c.id == bindparam("b_id"))
    .values(
        state=case((_KEEPS, deliveries.c.state), else_=bindparam("b_state")),
        due_at=bindparam("b_due_at"),
        hold_until=bindparam("b_hold_until"),
        attempts=bindparam("b_attempts"),
        uncertain=bindparam("b_uncertain"),
        first_tried_at=bindparam("b_first_tried_at"),
        settled_at=bindparam("b_settled_at"),
        remote_id=case(
            (deliveries.c.remote_id == "", bindparam("b_remote_id")), else_=deliveries.c.remote_id
        ),
        reason=case((_KEEPS, deliveries.c.reason), else_=bindparam("b_reason")),
        code=case((_KEEPS, deliveries.c.code), else_=bindparam("b_code")),
    ),
    *("b_id", "b_state", "b_due_at", "b_hold_until", "b_attempts", "b_uncertain", "b_first_tried_at"),
    *("b_settled_at", "b_remote_id", "b_reason", "b_code"),
)


def settle(connection: Connection, settlements: Sequence[Settlement], now: float) -> list[Lane]:
    """Write what became of deliveries, and what their writers shall hear of it. Answers lanes to ring."""
    _SETTLE.run(connection, [_settle_row(one, now) for one in settlements])
    told = [
        Told(
            message_id=one.claimed.delivery.message.id,
            delivery_id=one.claimed.delivery.id,
            good=one.verdict.state is State.SENT,
            reason=one.verdict.reason,
            condition=one.verdict.condition,
            error_type=one.verdict.error_type,
        )
        for one in settlements
        if one.claimed.delivery.message is not None
        and one.claimed.delivery.message.direction is Direction.OUT
        and one.claimed.delivery.kind is not Kind.OWN  # it went without us
        and one.verdict.final
        and (one.verdict.state is not State.SENT or one.receipt)
    ]
    lost = [message.id for one in settlements if (message := _lost(one)) is not None]
    lanes = tell(connection, told, now) if told else []
    return lanes + (give_back(connection, lost, now) if lost else [])


def _lost(one: Settlement) -> Message | None:
    """The message from outside that nobody will see, if its sender may hear of that."""
    message = one.claimed.delivery.message
    if message is None or one.claimed.delivery.kind is not Kind.MESSAGE or message.direction is Direction.OUT:
        return None
    return message if one.verdict.state is State.FAILED and MEMO_RETURN in message.memo else None


def _settle_row(one: Settlement, now: float) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "b_id": one.claimed.delivery.id,
        "b_state": verdict.state,
        "b_due_at": verdict.due_at,
        "b_hold_until": verdict.hold_until,
        "b_attempts": verdict.attempts,
        "b_uncertain": verdict.uncertain,
        "b_first_tried_at": one.claimed.first_tried_at,
        "b_settled_at": now if verdict.final else None,
        "b_remote_id": verdict.remote_id,
        "b_reason": verdict.reason,
        "b_code": verdict.code,
    }
