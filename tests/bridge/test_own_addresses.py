"""Several addresses of one line, in the record itself."""

from typing import Any

import pytest

from bridge.model import Line
from bridge.store import claiming, own_addresses, people, recording
from bridge.store.engine import Store
from bridge.store.own_addresses import AddressTaken, Held, InUse, NoMore
from tests.bridge.records import GROUNDS, draft, incoming

NOW = 1_000.0
FIRST, SECOND, SHARED = "+15550001000", "+15550001001", "+15550001009"
POOL = (FIRST, SECOND, SHARED)
PLUMBER = "+12025550142"


async def mira(store: Store) -> Line:
    line = await store.look(people.line_of, "sms", "mira@localhost")
    assert line is not None
    return line


async def take(store: Store, *wanted: str, most: int = 3) -> str:
    shared = frozenset({SHARED})
    return await store.do(own_addresses.take, await mira(store), wanted or POOL, most, shared, NOW)


async def say(store: Store, body: str, to: str = PLUMBER, **more: Any) -> None:
    await store.do(recording.record_out, [draft(body, to, transport="sms", **more)], NOW)


async def text(store: Store, body: str, to: str, sender: str = PLUMBER) -> None:
    one = incoming(body, sender, transport="sms", recipient=to)
    await store.do(recording.record_in, [one], GROUNDS, NOW)


async def claimed(store: Store, outlet: str) -> list[Any]:
    lanes = await store.look(claiming.open_lanes, outlet)
    found = await store.look(claiming.claim, outlet, list(lanes), NOW, 50)
    return sorted((one.delivery for batch in found.by_lane.values() for one in batch), key=lambda it: it.id)


async def test_one_takes_as_many_as_are_allowed_and_free(store: Store) -> None:
    assert await take(store) == SECOND
    assert await take(store) == SHARED
    with pytest.raises(NoMore):
        await take(store)
    with pytest.raises(AddressTaken):
        await take(store, FIRST, most=9)  # it is one's own already
    held = await store.look(own_addresses.addresses_of, (await mira(store)).id)
    assert held == [Held(FIRST, False, True), Held(SECOND, False), Held(SHARED, True)]


async def test_an_answer_goes_from_where_the_question_came_to(store: Store) -> None:
    await take(store)
    await text(store, "one", SECOND)
    await text(store, "two", SECOND)
    await text(store, "three", FIRST)
    await say(store, "answer")
    await say(store, "new", to="+12025550143")
    leads = [one.message.options.get("lead", "") for one in await claimed(store, "xmpp:sms")]
    assert leads == [f"(to {SECOND}) ", "", f"(to {FIRST}) "]
    assert [one.sender for one in await claimed(store, "sms")] == [FIRST, FIRST]


async def test_another_number_of_one_s_own_moves_no_chat(store: Store) -> None:
    await take(store)
    await say(store, "one")
    await store.do(own_addresses.put_first, await mira(store), SECOND)
    await say(store, "two")
    await say(store, "three", to="+12025550143")
    assert [one.sender for one in await claimed(store, "sms")] == [FIRST, FIRST, SECOND]


async def test_a_number_from_which_something_waits_is_not_given_back(store: Store) -> None:
    with pytest.raises(NoMore):
        await store.do(own_addresses.give_back, await mira(store), FIRST)
    await take(store)
    await say(store, "waits")
    with pytest.raises(InUse) as refused:
        await store.do(own_addresses.give_back, await mira(store), FIRST)
    assert refused.value.count == 1
    await store.do(own_addresses.give_back, await mira(store), SECOND)
    assert await store.look(own_addresses.taken_of, "sms", POOL) == {FIRST}


async def test_to_a_shared_number_answers_come_for_who_wrote_from_there(store: Store) -> None:
    await take(store, SHARED)
    await store.do(people.register, "sms", "ann@localhost", "Ann", [SHARED], NOW, shared=frozenset({SHARED}))
    await say(store, "from mine")  # later than Ann's, but from another number
    await say(store, "from the shared one", jid="ann@localhost", from_jid="ann@localhost/x")
    await say(store, "again from mine")
    await text(store, "for Ann", SHARED)
    assert [one.recipient for one in await claimed(store, "xmpp:sms")] == ["ann@localhost"]


async def test_leaving_gives_all_of_them_back(store: Store) -> None:
    await take(store)
    await store.do(people.leave, "sms", "mira@localhost", NOW)
    assert await store.look(own_addresses.taken_of, "sms", POOL) == set()
