"""Decisions, as functions of values: what follows an attempt, what a lane may send, who may write.

Touches nothing and asks nobody for the time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.model import Delivery, State
from bridge.ports import Fate, MaybeSent, Refused, Scope, Sent, TryLater

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


# Error conditions that mean "not here now": Prosody answers so for an offline user without offline storage.
AWAY = frozenset(
    {
        "service-unavailable",
        "recipient-unavailable",
        "resource-constraint",
        "remote-server-not-found",
        "remote-server-timeout",
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again; all in seconds."""

    pauses: tuple[float, ...] = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE)  # then every `then`
    then: float = 2 * HOUR
    give_up_after: float = 2 * DAY
    hold_lane: float = 10 * MINUTE  # how long a waiting delivery keeps later ones of its lane back
    recipient_every: float = 1 * HOUR  # towards XMPP, unless the user comes back earlier
    recipient_give_up: float = 4 * DAY
    reconcile_pauses: tuple[float, ...] = (5.0, 10.0, 15.0, 30.0, 60.0)
    reconcile_for: float = 10 * MINUTE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt did to a delivery: its columns from now on."""

    state: State
    due_at: float
    hold_until: float = 0.0
    attempts: int = 0
    uncertain: bool = False
    remote_id: str = ""
    reason: str = ""
    code: str = ""
    condition: str = ""
    error_type: str = ""

    @property
    def final(self) -> bool:
        return self.state in (State.SENT, State.DELIVERED, State.FAILED, State.UNKNOWN, State.CANCELLED)


def after_attempt(
    delivery: Delivery, first_tried_at: float, fate: Fate, now: float, retry: RetryPolicy, *, repeatable: bool
) -> Verdict:
    """What becomes of a delivery whose attempt ended in `fate` at `now`."""
    match fate:
        case Sent(remote_id):
            return Verdict(State.SENT, now, attempts=delivery.attempts + 1, remote_id=remote_id)
        case Refused(reason, condition, error_type, code):
            return Verdict(
                State.FAILED,
                now,
                attempts=delivery.attempts + 1,
                reason=reason,
                code=code,
                condition=condition,
                error_type=error_type,
            )
        case MaybeSent(reason) if not repeatable:
            return _in_doubt(delivery, first_tried_at, reason, now, retry)
        case MaybeSent(reason):
            return _later(delivery, first_tried_at, TryLater(reason), now, retry)
        case TryLater():
            return _later(delivery, first_tried_at, fate, now, retry)


def _later(
    delivery: Delivery, first_tried_at: float, fate: TryLater, now: float, retry: RetryPolicy
) -> Verdict:
    if fate.scope is Scope.OUTLET:
        # The outlet as a whole pauses: this costs the delivery no attempt, but no mail waits for ever.
        if now - delivery.recorded_at > retry.give_up_after:
            return _gave_up(delivery, fate.reason, now, retry.give_up_after)
        return Verdict(State.WAITING, now, now + retry.hold_lane, delivery.attempts, reason=fate.reason)
    if fate.scope is Scope.RECIPIENT:
        if now - delivery.recorded_at > retry.recipient_give_up:
            return _gave_up(delivery, fate.reason, now, retry.recipient_give_up)
        pause = retry.recipient_every if fate.after is None else fate.after
        return Verdict(State.WAITING, now + pause, 0.0, delivery.attempts + 1, reason=fate.reason)
    if fate.scope is Scope.TURN:
        due = now + (1.0 if fate.after is None else fate.after)
        return Verdict(State.WAITING, due, due + retry.hold_lane, delivery.attempts, reason=fate.reason)
    pause = _pause(retry.pauses, delivery.attempts, retry.then) if fate.after is None else fate.after
    if now + pause - first_tried_at > retry.give_up_after:
        return _gave_up(delivery, fate.reason, now, retry.give_up_after)
    hold = max(first_tried_at + retry.hold_lane, now)
    return Verdict(State.WAITING, now + pause, hold, delivery.attempts + 1, reason=fate.reason)


def _in_doubt(
    delivery: Delivery, first_tried_at: float, reason: str, now: float, retry: RetryPolicy
) -> Verdict:
    until = first_tried_at + retry.reconcile_for
    if now >= until:
        return Verdict(
            State.UNKNOWN,
            now,
            attempts=delivery.attempts,
            reason=f"Nobody can say whether this was sent: {_lower_first(reason)}",
            condition="remote-server-timeout",
            error_type="wait",
        )
    pause = _pause(retry.reconcile_pauses, delivery.attempts, retry.reconcile_pauses[-1])
    due = min(now + pause, until)
    return Verdict(State.DOUBT, due, until, delivery.attempts + 1, uncertain=True, reason=reason)


def _gave_up(delivery: Delivery, reason: str, now: float, after: float) -> Verdict:
    return Verdict(
        State.FAILED,
        now,
        attempts=delivery.attempts + 1,
        reason=f"Not delivered: given up after {_duration(after)}. Last answer: {reason}",
        condition="remote-server-timeout",
        error_type="wait",
    )


def _pause(pauses: tuple[float, ...], attempts: int, then: float) -> float:
    return pauses[attempts] if attempts < len(pauses) else then


def _duration(seconds: float) -> str:
    for size, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{round(seconds)} seconds"


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


# --- lanes ---


@dataclass(frozen=True, slots=True)
class Standing:
    """One open delivery of a lane, as `may_go` sees it."""

    state: State
    due_at: float
    hold_until: float


def may_go(standing: Iterable[Standing], now: float, most: int) -> list[int]:
    """Which of a lane's open deliveries, given in order, may be tried now: their positions.

    A delivery that waits keeps the later ones back until its `hold_until`; after that they pass.
    One in doubt goes alone: what follows depends on what became of it.
    """
    chosen: list[int] = []
    for position, one in enumerate(standing):
        if one.state is State.CLAIMED or len(chosen) == most:
            break
        if one.due_at <= now:
            if one.state is State.DOUBT:
                if not chosen:
                    chosen.append(position)
                break
            chosen.append(position)
        elif one.hold_until > now:
            break
    return chosen


# --- rates ---


class Allowance:
    """How many messages one user may still write: two buckets, one for a minute and one for a day.

    Kept in memory: a restart fills them, which harms nobody.
    """

    __slots__ = ("_at", "_day", "_minute", "_per_day", "_per_minute")

    def __init__(self, per_minute: int, per_day: int, now: float) -> None:
        self._per_minute, self._per_day = per_minute, per_day
        self._minute, self._day, self._at = float(per_minute), float(per_day), now

    def take(self, now: float) -> float:
        """Take one. Answers 0 when it was there, else the seconds until the next one is."""
        passed = max(now - self._at, 0.0)
        self._at = now
        self._minute = min(self._per_minute, self._minute + passed * self._per_minute / MINUTE)
        self._day = min(self._per_day, self._day + passed * self._per_day / DAY)
        if self._day < 1.0:
            return (1.0 - self._day) * DAY / self._per_day
        if self._minute < 1.0:
            return (1.0 - self._minute) * MINUTE / self._per_minute
        self._minute -= 1.0
        self._day -= 1.0
        return 0.0

    def full(self, now: float) -> bool:
        """Whether nothing has been used, so that it need not be kept."""
        passed = max(now - self._at, 0.0)
        return self._day + passed * self._per_day / DAY >= self._per_day


def wait_in_words(seconds: float) -> str:
    """How long to wait, as a user would say it."""
    return _duration(max(seconds, 1.0)) if seconds >= MINUTE else "a minute"
