import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from bridge.events import ClientReceipt, Denied, Written
from bridge.xmpp import errors, pipeline
from bridge.xmpp.pipeline import Event, Pipeline
from bridge.xmpp.turns import Turns

BAD = Denied("No.", "item-not-found", "cancel")


class Desk:
    """The world around a pipeline: a store with a gate, and what was asked of the stream."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.refused: list[tuple[str, Denied]] = []
        self.held: list[bool] = []
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.failing = False

    async def record(self, events: Sequence[Event]) -> list[Denied | None]:
        self.rounds.append([event.stanza_id for event in events])
        self.entered.set()
        await self.gate.wait()
        if self.failing:
            raise OSError("the disk is full")
        return [BAD if isinstance(event, Written) and event.body == "bad" else None for event in events]

    def refuse(self, event: Event, denied: Denied) -> None:
        self.refused.append((event.stanza_id, denied))


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[Pipeline]:
    line = Pipeline("mail", desk.record, desk.refuse, desk.held.append)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def written(stanza_id: str, body: str = "hi") -> Written:
    return Written("mira@localhost", "mira@localhost/r", "alice", stanza_id, body)


async def test_one_transaction_is_in_flight_and_takes_all_that_gathered_in_order() -> None:
    desk = Desk()
    async with running(desk) as line:
        line.put(written("0"))
        await desk.entered.wait()
        for number in range(1, 6):
            line.put(written(str(number)))
        desk.gate.set()
        await line.drained()
    assert desk.rounds == [["0"], ["1", "2", "3", "4", "5"]]


async def test_each_refusal_reaches_its_sender() -> None:
    desk = Desk()
    desk.gate.set()
    async with running(desk) as line:
        for number, body in enumerate(["good", "bad", "good"]):
            line.put(written(str(number), body))
        await line.drained()
    assert desk.refused == [("1", BAD)]


async def test_a_store_that_fails_costs_its_round_and_nothing_else() -> None:
    desk = Desk()
    desk.gate.set()
    async with running(desk) as line:
        desk.failing = True
        line.put(written("1"))
        line.put(ClientReceipt("mira@localhost", "2"))
        await line.drained()
        desk.failing = False
        line.put(written("3"))
        await line.drained()
    assert desk.refused == [("1", errors.NOT_SAVED), ("2", errors.NOT_SAVED)]
    assert desk.rounds[-1] == ["3"]


async def test_past_a_thousand_unrecorded_reading_pauses_until_they_are_recorded() -> None:
    desk = Desk()
    async with running(desk) as line:
        for number in range(pipeline.MOST_UNRECORDED):
            line.put(written(str(number)))
        assert desk.held == []
        line.put(written("one more"))
        assert desk.held == [True]
        line.put(written("and another that had been read already"))
        desk.gate.set()
        await line.drained()
    assert desk.held == [True, False]


async def test_one_user_is_served_in_order_and_others_meanwhile() -> None:
    done: list[str] = []
    gate = asyncio.Event()
    turns = Turns(lambda held: None)

    async def slow() -> None:
        await gate.wait()
        done.append("mira 1")

    async def say(what: str) -> None:
        done.append(what)
        if what == "bob":
            gate.set()

    turns.put("mira", slow)
    turns.put("mira", lambda: say("mira 2"))
    turns.put("bob", lambda: say("bob"))
    await turns.drained()
    assert done == ["bob", "mira 1", "mira 2"]


async def test_work_that_fails_does_not_keep_the_next_from_its_turn() -> None:
    done: list[str] = []
    turns = Turns(lambda held: None)

    async def fail() -> None:
        raise RuntimeError("a bug")

    async def succeed() -> None:
        done.append("next")

    turns.put("mira", fail)
    turns.put("mira", succeed)
    await turns.drained()
    assert done == ["next"]


async def test_reading_pauses_while_too_much_waits_for_its_turn() -> None:
    held: list[bool] = []
    gate = asyncio.Event()
    turns = Turns(held.append)

    async def wait() -> None:
        await gate.wait()

    for number in range(1_001):
        turns.put(f"user{number % 3}", wait)
    assert held == [True]
    gate.set()
    await turns.drained()
    assert held == [True, False]
