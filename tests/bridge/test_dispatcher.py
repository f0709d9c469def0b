"""The dispatcher on a real record, with outlets that play far ends: order, pauses, crashes, stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.dispatcher import Dispatcher
from bridge.model import Delivery, DeliveryId, Kind
from bridge.policy import RetryPolicy
from bridge.ports import Capabilities, Fate, MaybeSent, Outlet, Refused, Scope, Sent, TryLater
from bridge.store import recording
from bridge.store.drafts import Draft
from bridge.store.engine import Store, database_url
from tests.bridge.records import a_store, draft


class FarEnd:
    """An outlet whose far end answers as the test says."""

    def __init__(
        self, answer: Callable[[Delivery], Fate] = lambda delivery: Sent(), **capabilities: object
    ) -> None:
        self.capabilities = Capabilities(**capabilities)  # type: ignore[arg-type]
        self.answer = answer
        self.taken: list[Delivery] = []
        self.changed = asyncio.Condition()
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_a_time = self.most_at_a_time = 0

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        async with self.changed:
            self.changed.notify_all()
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            fates = {}
            for delivery in batch:
                fates[delivery.id] = fate = self.answer(delivery)
                if not isinstance(fate, Sent | Refused):
                    break
                self.taken.append(delivery)
            return fates
        finally:
            self.at_a_time -= 1
            async with self.changed:
                self.changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(holds)

    def bodies(self) -> list[str]:
        return [one.message.body for one in self.taken if one.message is not None]


@asynccontextmanager
async def dispatching(
    store: Store, retry: RetryPolicy | None = None, **outlets: Outlet
) -> AsyncIterator[Dispatcher]:
    named = {name.replace("__", ":"): outlet for name, outlet in outlets.items()}
    async with Dispatcher(store, named, dict.fromkeys(named, retry or RetryPolicy())) as dispatcher:
        yield dispatcher


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with a_store(database_url("sqlite", tmp_path)) as store:
        yield store


async def write(store: Store, dispatcher: Dispatcher | None, *drafts: Draft) -> None:
    answers = await store.do(recording.record_out, drafts, time.time())
    if dispatcher is not None:
        dispatcher.ring(lane for answer in answers for lane in answer.lanes)


async def test_what_was_recorded_before_the_start_goes(store: Store) -> None:
    await write(store, None, draft("one"), draft("two"))
    mail = FarEnd()
    async with dispatching(store, mail=mail):
        await mail.until(lambda: mail.bodies() == ["one", "two"])


async def test_a_sent_message_is_receipted_by_way_of_the_other_outlet(store: Store) -> None:
    mail, xmpp = FarEnd(), FarEnd(across_lanes=True, batch=500)
    async with dispatching(store, mail=mail, xmpp__mail=xmpp) as dispatcher:
        await write(store, dispatcher, draft("hello"))
        await xmpp.until(lambda: len(xmpp.taken) == 1)
    assert xmpp.taken[0].kind is Kind.RECEIPT


async def test_order_holds_within_a_conversation_and_not_across(store: Store) -> None:
    mail = FarEnd(concurrency=4, batch=3)
    people = [f"p{n}@example.com" for n in range(5)]
    async with dispatching(store, mail=mail) as dispatcher:
        for n in range(20):
            await write(store, dispatcher, *(draft(str(n), to=one) for one in people))
        await mail.until(lambda: len(mail.taken) == 100)
    for one in people:
        own = [d.message.body for d in mail.taken if d.recipient == one and d.message]
        assert own == [str(n) for n in range(20)]
    assert 1 < mail.most_at_a_time <= 4


async def test_one_stuck_lane_leaves_the_others_alone(store: Store) -> None:
    def answer(delivery: Delivery) -> Fate:
        return TryLater("greylisted") if delivery.recipient == "grey@example.com" else Sent()

    mail = FarEnd(answer)
    async with dispatching(store, mail=mail) as dispatcher:
        for body in ("stuck", "held"):
            await write(store, dispatcher, draft(body, to="grey@example.com"))
        await write(store, dispatcher, draft("free"))
        await mail.until(lambda: mail.bodies() == ["free"])
        assert dispatcher.paused() == {}


async def test_a_far_end_that_is_away_is_probed_by_one_and_then_gets_all(store: Store) -> None:
    up = False
    probes: list[int] = []

    def answer(delivery: Delivery) -> Fate:
        if not up:
            probes.append(delivery.id)
            return TryLater("connection refused", after=0.0, scope=Scope.OUTLET)
        return Sent()

    mail = FarEnd(answer, concurrency=5)
    async with dispatching(store, mail=mail) as dispatcher:
        await write(store, dispatcher, *(draft(str(n), to=f"p{n}@example.com") for n in range(30)))
        await mail.until(lambda: len(probes) >= 6)
        assert dispatcher.paused() == {"mail": "connection refused"}
        assert len(probes) <= 5 + 2  # those on their way when it went away, then one a second
        up = True
        await mail.until(lambda: len(mail.taken) == 30)
        assert dispatcher.paused() == {}
    assert all(one.attempts == 0 for one in mail.taken)


async def test_an_outlet_that_breaks_on_one_message_still_sends_the_others(store: Store) -> None:
    class Breaks(FarEnd):
        async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
            if any(one.message is not None and one.message.body == "poison" for one in batch):
                raise RuntimeError("a bug")
            return await super().send(batch)

    mail = Breaks(across_lanes=True, batch=100)
    async with dispatching(store, mail=mail) as dispatcher:
        drafts = [draft(body, to=f"{body}@example.com") for body in ("one", "poison", "two")]
        await write(store, dispatcher, *drafts)
        await mail.until(lambda: sorted(mail.bodies()) == ["one", "two"])


async def test_what_may_have_been_sent_is_never_sent_again_on_a_guess(store: Store) -> None:
    class Doubtful(FarEnd):
        asked = 0

        async def find(self, delivery: Delivery) -> Fate:
            self.asked += 1
            async with self.changed:
                self.changed.notify_all()
            return Sent("SM1") if self.asked == 2 else MaybeSent("not to be told yet")

    sends: list[int] = []

    def answer(delivery: Delivery) -> Fate:
        sends.append(delivery.id)
        return MaybeSent("the line broke") if len(sends) == 1 else Sent()

    sms = Doubtful(answer, repeatable=False, batch=1)
    retry = RetryPolicy(reconcile_pauses=(0.01,))
    async with dispatching(store, retry, sms=sms) as dispatcher:
        one, two = (draft(body, to="+15551234567", transport="sms") for body in ("one", "two"))
        await write(store, dispatcher, one, two)
        await sms.until(lambda: sms.bodies() == ["two"])
    assert sms.asked == 2
    assert len(set(sends)) == len(sends)


async def test_after_a_crash_a_claimed_text_is_looked_for_and_not_posted(store: Store) -> None:
    class Finds(FarEnd):
        found: list[int]

        async def find(self, delivery: Delivery) -> Fate:
            self.found.append(delivery.id)
            async with self.changed:
                self.changed.notify_all()
            return Sent("SM9")

    await write(store, None, draft("one", to="+15551234567", transport="sms"))
    hangs = FarEnd(repeatable=False, batch=1)
    hangs.gate.clear()
    async with dispatching(store, sms=hangs):
        await hangs.until(lambda: hangs.at_a_time == 1)
    # The process ends while the outlet is at it: nobody knows what the far end did.
    finds = Finds(repeatable=False, batch=1)
    finds.found = []
    async with dispatching(store, sms=finds):
        await finds.until(lambda: len(finds.found) == 1)
    assert finds.taken == []


async def test_a_stop_lets_end_what_is_on_its_way_and_leaves_the_rest(store: Store) -> None:
    mail = FarEnd(concurrency=1, batch=1)
    mail.gate.clear()
    async with dispatching(store, mail=mail) as dispatcher:
        await write(store, dispatcher, draft("one"), draft("two"), draft("three"))
        await mail.until(lambda: mail.at_a_time == 1)
        stop = asyncio.create_task(dispatcher.drain(5.0))
        await asyncio.sleep(0)
        mail.gate.set()
        await stop
        assert mail.bodies() == ["one"]
    again = FarEnd()
    async with dispatching(store, mail=again):
        await again.until(lambda: again.bodies() == ["two", "three"])


async def test_looking_finds_what_another_process_has_made_due(store: Store) -> None:
    mail = FarEnd()
    async with dispatching(store, mail=mail) as dispatcher:
        await write(store, None, draft("from beside"))
        dispatcher.look()
        await mail.until(lambda: mail.bodies() == ["from beside"])
