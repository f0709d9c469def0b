"""Who may write to whom, on SQLite and PostgreSQL: strangers, blocks, mutes, pauses, and their decisions."""

from collections.abc import AsyncIterator

import pytest

from bridge.policy import Admission, admission, is_short_code
from bridge.store import upkeep
from tests.bridge.desk import Desk, a_desk


@pytest.fixture
async def desk(url: str) -> AsyncIterator[Desk]:
    async with a_desk(url) as here:
        yield here


@pytest.mark.parametrize(
    ("standing", "policy", "set_aside", "verdict"),
    [
        ("", "everyone", False, Admission.SHOW),
        ("", "ask", False, Admission.ASK),
        ("", "contacts", False, Admission.HOLD),
        ("allowed", "contacts", False, Admission.SHOW),
        ("allowed", "everyone", True, Admission.HOLD),
        ("", "ask", True, Admission.HOLD),
        ("blocked", "everyone", False, Admission.DROP),
        ("blocked", "everyone", True, Admission.DROP),
    ],
)
def test_who_is_let_in(standing: str, policy: str, set_aside: bool, verdict: Admission) -> None:
    assert admission("jana@x.org", standing, policy, set_aside=set_aside) is verdict


@pytest.mark.parametrize(
    ("sender", "is_code"),
    [("72645", True), ("PARCELS", True), ("+12025550142", False), ("bank@example.org", False)],
)
def test_codes_pass_at_once(sender: str, is_code: bool) -> None:
    assert is_short_code(sender) is is_code
    shown = admission(sender, "", "ask", set_aside=False) is Admission.SHOW
    assert shown is is_code


async def test_what_nobody_decided_upon_goes_with_the_bodies(desk: Desk) -> None:
    await desk.arrives("buy this", written_at=desk.clock.now)
    desk.clock.now += 40 * 86400
    await upkeep.tidy_all(desk.store, desk.clock.now, 30 * 86400)
    await desk.says("accept all")
    assert await desk.shown() == []


async def test_a_decision_lets_go_in_order_or_drops(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.arrives(f"jana {number}")
    await desk.arrives("tom 1", "tom@x.org")
    assert await desk.shown() == []
    assert "✉ jana@x.org" in (await desk.told())[0]
    assert "There is no number 7" in await desk.says("accept 7")
    assert "3 messages are coming" in await desk.says("accept 1")
    assert await desk.shown() == ["jana 1", "jana 2", "jana 3"]
    assert "Blocked: tom@x.org" in await desk.says("block rest")
    await desk.arrives("tom 2", "tom@x.org")
    assert await desk.shown() == ["jana 1", "jana 2", "jana 3"]
    assert "may write to you again" in await desk.says("unblock tom@x.org")
    await desk.arrives("tom 3", "tom@x.org")
    assert (await desk.shown())[-1] == "tom 3"


async def test_the_policy_can_be_changed_and_what_waited_follows(desk: Desk) -> None:
    await desk.arrives("held")
    await desk.says("settings strangers contacts")
    await desk.arrives("silent", "tom@x.org")
    assert len(await desk.told()) == 1
    await desk.says("settings strangers everyone")
    assert await desk.shown() == ["held", "silent"]


async def test_muting_and_pausing_keep_what_comes(desk: Desk) -> None:
    await desk.says("add jana@x.org")
    await desk.in_chat("/mute")
    await desk.arrives("one")
    assert await desk.shown() == []
    await desk.says("pause")
    await desk.in_chat("/unmute")
    assert await desk.shown() == []
    await desk.arrives("two")
    await desk.says("resume")
    assert await desk.shown() == ["one", "two"]


async def test_writing_to_a_stranger_lets_them_in(desk: Desk) -> None:
    await desk.arrives("may I?")
    await desk.says("jana@x.org of course")
    assert await desk.shown() == ["may I?"]
    await desk.arrives("thanks")
    assert await desk.shown() == ["may I?", "thanks"]


async def test_what_is_held_is_not_found_by_a_search(desk: Desk) -> None:
    await desk.arrives("buy this pill")
    assert "Nothing found" in await desk.says("find pill")
    await desk.says("accept all")
    assert "pill" in await desk.says("find PILL")


async def test_after_a_wave_numbers_begin_anew(desk: Desk) -> None:
    for number in range(3):
        await desk.arrives("x", f"s{number}@x.org")
    desk.clock.now += 61
    gathered = (await desk.told())[-1]
    assert gathered.startswith("3 new senders:")
    assert "block rest" in gathered
    await desk.says("block all")
    desk.clock.now += 61
    await desk.arrives("y", "later@x.org")
    assert "accept 1 or block 1" in (await desk.told())[-1]
