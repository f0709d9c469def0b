"""Decisions, as functions of values: what follows an attempt, what a lane may send, who may write.

Touches nothing and asks nobody for the time.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum, auto

from bridge.i18n import Phrase, tr, trn
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
    tell_delay_after: float = 10 * MINUTE  # a writer hears then that a message is still being tried


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
            # It goes again, and the far end can tell; but nobody may say any more that it did not go.
            return replace(_later(delivery, first_tried_at, TryLater(reason), now, retry), uncertain=True)
        case TryLater():
            verdict = _later(delivery, first_tried_at, fate, now, retry)
            return replace(verdict, uncertain=True) if delivery.uncertain and repeatable else verdict


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
            reason=tr("Nobody can say whether this was sent. What was heard last: {answer}", answer=reason),
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
        reason=tr(
            "Not delivered: given up after {time}. Last answer: {answer}",
            time=_duration(after),
            answer=_phrase(reason),
        ),
        condition="remote-server-timeout",
        error_type="wait",
    )


def _pause(pauses: tuple[float, ...], attempts: int, then: float) -> float:
    return pauses[attempts] if attempts < len(pauses) else then


def _phrase(sentence: str) -> str:
    """A reason that may be a sentence of ours, so that it is translated inside another one."""
    return sentence if isinstance(sentence, Phrase) else tr(sentence)


def _duration(seconds: float) -> Phrase:
    if seconds >= DAY:
        return trn("{number} day", "{number} days", round(seconds / DAY))
    if seconds >= HOUR:
        return trn("{number} hour", "{number} hours", round(seconds / HOUR))
    if seconds >= MINUTE:
        return trn("{number} minute", "{number} minutes", round(seconds / MINUTE))
    return trn("{number} second", "{number} seconds", round(seconds))


# --- who may write to a user ---

ALLOWED, BLOCKED = "allowed", "blocked"  # how a contact stands; unknown senders stand nowhere


class Admission(StrEnum):
    """What happens to a message from outside."""

    SHOW = auto()
    ASK = auto()  # kept, and the user is asked about its sender
    HOLD = auto()  # kept without a word
    DROP = auto()


def admission(address: str, standing: str, strangers: str, *, set_aside: bool) -> Admission:
    """`strangers` is the user's policy for unknown senders: everyone, ask or contacts. `set_aside`: the
    user wants to see nothing (of this sender) just now."""
    if standing == BLOCKED:
        return Admission.DROP
    if set_aside:
        return Admission.HOLD
    if standing == ALLOWED or strangers == "everyone" or is_short_code(address):
        return Admission.SHOW
    return Admission.ASK if strangers == "ask" else Admission.HOLD


def is_short_code(address: str) -> bool:
    """A bank's, a parcel service's: nobody waits for a code while being asked. Senders without a number
    of their own (`PARCELS`) are such too."""
    return "@" not in address and not address.startswith("+")


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


# --- lines that become one message, and second thoughts ---

LONGEST_WINDOW = 2 * MINUTE  # after the first line
MOST_LINES = 100  # in one message


@dataclass(frozen=True, slots=True)
class Tie:
    """What lines must have in common to go as one message."""

    thread: int  # any number that names it
    subject: str  # of a line: empty takes whatever its thread has
    options: str
    answers: int | None  # the message that was chosen to be answered; None: nothing in particular
    alone: bool = False  # goes by itself, whatever stands beside it


def joins(first: Tie, line: Tie, lines: int, due_at: float, now: float) -> bool:
    """Whether a line joins those (`lines` of them) that wait with `first` until `due_at`."""
    return (
        now < due_at
        and lines < MOST_LINES
        and not (first.alone or line.alone)
        and line.thread == first.thread
        and line.subject in ("", first.subject)
        and line.options == first.options
        and line.answers in (None, first.answers)
    )


def window_end(first_at: float, now: float, seconds: float) -> float:
    """When lines of which the first was written at `first_at` go, if nothing comes after `now`."""
    return min(now + seconds, first_at + LONGEST_WINDOW)


def own_window(chosen: str, default: float) -> float:
    """The window of a user who may have chosen one (Line.choices), in seconds; 0 is none."""
    try:
        seconds = float(chosen)
    except ValueError:
        return default
    return min(max(seconds, 0.0), LONGEST_WINDOW) if seconds == seconds else default


@dataclass(frozen=True, slots=True)
class Part:
    """One delivery of a message, as `too_late` sees it."""

    state: State
    at: float  # when it was settled, or is due
    uncertain: bool
    in_hand: bool  # its outlet may have it at this moment


def too_late(parts: Iterable[Part]) -> str:
    """Why a message can't be taken back any more, as a sentence; empty if it can: nothing of it went."""
    sentence = ""
    for part in parts:
        if part.state in (State.SENT, State.DELIVERED):
            return tr("Already sent {time}; it can't be taken back.", time=clock_time(part.at))
        if part.state in (State.DOUBT, State.UNKNOWN) or (
            part.uncertain and part.state not in (State.FAILED, State.CANCELLED)
        ):
            sentence = tr("It may have been sent already; it can't be taken back.")
        elif (part.state is State.CLAIMED or part.in_hand) and not sentence:
            sentence = tr("It is being sent just now; it can't be taken back.")
    return sentence


def clock_time(at: float) -> str:
    """A time of day as the machine's clock shows it; with the day if that is not today's."""
    then = time.localtime(at)
    same_day = time.strftime("%Y%m%d", then) == time.strftime("%Y%m%d")
    return time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", then)


def answers_too_often(answers: int) -> bool:
    """Whether so many automatic answers in one conversation within an hour are programs that answer each
    other."""
    return answers > 10


def still_trying(reason: str) -> str:
    """What the writer of a message hears that has not got through for a while."""
    if not reason:
        return tr("Still trying. /cancel gives up.")
    sentence = reason if reason.endswith((".", "!", "?")) else f"{reason}."
    return tr("Still trying: {reason} /cancel gives up.", reason=sentence)


def shortened(text: str) -> str:
    """The beginning of a text, in one line, to say which one is meant."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59].rstrip() + "…"


def held_back(address: str, seconds: float) -> str:
    """What the writer of a first message to somebody hears."""
    wait = f"{seconds:g}"
    return tr("To {address}, new. Goes in {seconds} s; /undo stops it.", address=address, seconds=wait)


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


def wait_in_words(seconds: float) -> Phrase:
    """How long to wait, as a user would say it."""
    return _duration(seconds) if seconds >= MINUTE else tr("a minute")
