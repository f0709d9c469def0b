"""Many callers, one call."""

import asyncio

import pytest

from bridge.gather import Gather


async def test_what_comes_while_a_round_is_on_its_way_goes_together() -> None:
    rounds: list[list[int]] = []
    gate = asyncio.Event()

    async def run(items: list[int]) -> list[int]:
        rounds.append(items)
        await gate.wait()
        return [item * 10 for item in items]

    gather: Gather[int, int] = Gather(run, most=3)
    callers = [asyncio.create_task(gather.put(n)) for n in range(6)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*callers) == [0, 10, 20, 30, 40, 50]
    assert [n for items in rounds for n in items] == list(range(6))
    assert len(rounds) < 6
    assert max(map(len, rounds)) <= 3
    await gather.settled()


async def test_a_round_that_fails_fails_its_callers_and_nobody_else() -> None:
    async def run(items: list[str]) -> list[str]:
        if "bad" in items:
            raise ValueError("no")
        return items

    gather: Gather[str, str] = Gather(run, most=1)
    good, bad = asyncio.create_task(gather.put("good")), asyncio.create_task(gather.put_all(["bad", "x"]))
    assert await good == "good"
    with pytest.raises(ValueError, match="no"):
        await bad
    assert await gather.put("again") == "again"


async def test_nothing_asks_for_nothing() -> None:
    async def run(items: list[int]) -> list[int]:
        raise AssertionError("called")

    assert await Gather(run).put_all([]) == []
