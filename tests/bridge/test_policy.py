"""Decisions as tables: what follows an attempt, what a lane lets go, who may write."""

import pytest

from bridge.model import Delivery, DeliveryId, Kind, State
from bridge.policy import (
    DAY,
    HOUR,
    MINUTE,
    Allowance,
    RetryPolicy,
    Standing,
    Verdict,
    after_attempt,
    may_go,
    wait_in_words,
)
from bridge.ports import Fate, MaybeSent, Refused, Scope, Sent, TryLater

RETRY = RetryPolicy()
NOW = 1_000_000.0


def delivery(attempts: int = 0, age: float = 0.0) -> Delivery:
    return Delivery(
        id=DeliveryId(1),
        outlet="mail",
        kind=Kind.MESSAGE,
        lane="out/1",
        sender="mira@chat.example",
        sender_name="Mira",
        recipient="alice@example.com",
        stanza_id="",
        message=None,
        note=None,
        attempts=attempts,
        uncertain=False,
        recorded_at=NOW - age,
    )


def verdict(fate: Fate, attempts: int = 0, age: float = 0.0, *, repeatable: bool = True) -> Verdict:
    return after_attempt(delivery(attempts, age), NOW - age, fate, NOW, RETRY, repeatable=repeatable)


@pytest.mark.parametrize(
    ("attempts", "pause"),
    [(0, 1 * MINUTE), (1, 5 * MINUTE), (2, 15 * MINUTE), (3, 30 * MINUTE), (4, 2 * HOUR), (20, 2 * HOUR)],
)
def test_the_pauses_grow(attempts: int, pause: float) -> None:
    found = verdict(TryLater("busy"), attempts)
    assert (found.state, found.due_at, found.attempts) == (State.WAITING, NOW + pause, attempts + 1)


@pytest.mark.parametrize(
    ("fate", "age", "state", "says"),
    [
        (Sent("<1@x>"), 0, State.SENT, ""),
        (Refused("No such mailbox."), 0, State.FAILED, "No such mailbox."),
        (TryLater("busy"), 2 * DAY, State.FAILED, "given up after 2 days. Last answer: busy"),
        (TryLater("away", scope=Scope.OUTLET), 1 * DAY, State.WAITING, "away"),
        (TryLater("away", scope=Scope.OUTLET), 3 * DAY, State.FAILED, "given up after 2 days"),
        (TryLater("offline", scope=Scope.RECIPIENT), 3 * DAY, State.WAITING, "offline"),
        (TryLater("offline", scope=Scope.RECIPIENT), 5 * DAY, State.FAILED, "given up after 4 days"),
        (MaybeSent("broke"), 0, State.WAITING, "broke"),
    ],
)
def test_what_follows_a_fate(fate: Fate, age: float, state: State, says: str) -> None:
    found = verdict(fate, age=age)
    assert found.state is state
    assert says in found.reason


def test_a_far_end_that_is_away_costs_nobody_an_attempt() -> None:
    found = verdict(TryLater("away", scope=Scope.OUTLET), attempts=3)
    assert (found.attempts, found.due_at) == (3, NOW)


def test_one_that_says_when_is_believed() -> None:
    assert verdict(TryLater("busy", after=7.0)).due_at == NOW + 7.0


def test_what_must_not_be_repeated_is_in_doubt_and_then_told_as_unknown() -> None:
    doubt = verdict(MaybeSent("The line broke."), repeatable=False)
    assert (doubt.state, doubt.uncertain, doubt.final) == (State.DOUBT, True, False)
    assert doubt.hold_until == NOW + 10 * MINUTE
    end = verdict(MaybeSent("The line broke."), attempts=9, age=10 * MINUTE, repeatable=False)
    assert (end.state, end.final) == (State.UNKNOWN, True)
    assert "Nobody can say" in end.reason


def test_a_waiting_one_holds_its_lane_for_ten_minutes_from_its_first_try() -> None:
    assert verdict(TryLater("busy"), attempts=1, age=4 * MINUTE).hold_until == NOW + 6 * MINUTE
    assert verdict(TryLater("busy"), attempts=3, age=HOUR).hold_until == NOW


READY = Standing(State.READY, NOW, 0.0)
HOLDS = Standing(State.WAITING, NOW + 60, NOW + 60)
HELD_ENOUGH = Standing(State.WAITING, NOW + 60, NOW - 1)
DUE_AGAIN = Standing(State.WAITING, NOW - 1, NOW + 60)
DOUBT = Standing(State.DOUBT, NOW - 1, NOW + 60)
DOUBT_LATER = Standing(State.DOUBT, NOW + 5, NOW + 60)
CLAIMED = Standing(State.CLAIMED, NOW, 0.0)


@pytest.mark.parametrize(
    ("lane", "goes"),
    [
        ([], []),
        ([READY, READY, READY], [0, 1, 2]),
        ([READY] * 9, [0, 1, 2, 3, 4]),
        ([HOLDS, READY], []),
        ([READY, HOLDS, READY], [0]),
        ([HELD_ENOUGH, READY], [1]),
        ([DUE_AGAIN, READY], [0, 1]),
        ([CLAIMED, READY], []),
        ([DOUBT, READY], [0]),
        ([READY, DOUBT, READY], [0]),
        ([DOUBT_LATER, READY], []),
    ],
)
def test_what_a_lane_lets_go(lane: list[Standing], goes: list[int]) -> None:
    assert may_go(lane, NOW, most=5) == goes


def test_an_allowance_is_used_up_and_comes_back() -> None:
    allowance = Allowance(per_minute=60, per_day=2000, now=NOW)
    assert [allowance.take(NOW) for _ in range(60)] == [0.0] * 60
    assert allowance.take(NOW) == pytest.approx(1.0)
    assert allowance.take(NOW + 1.0) == 0.0


def test_the_day_has_an_allowance_of_its_own() -> None:
    allowance = Allowance(per_minute=60, per_day=3, now=NOW)
    assert [allowance.take(NOW + n) for n in range(3)] == [0.0] * 3
    assert allowance.take(NOW + 3) == pytest.approx(DAY / 3, rel=0.01)
    assert not allowance.full(NOW + 10)
    assert allowance.full(NOW + 2 * DAY)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "a minute"), (61, "1 minute"), (7200, "2 hours"), (90_000, "1 day")]
)
def test_waits_are_told_in_words(seconds: float, words: str) -> None:
    assert wait_in_words(seconds) == words
