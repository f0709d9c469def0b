"""What every adapter must pass. Subclass `AdapterContract`, say how yours is set up, and run pytest.

The subclass gives the class attributes below and the fixture `far_end`; everything else is here.
See adapters/README.md.
"""

import asyncio
import contextlib
import pickle
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.model import (
    Address,
    ConversationId,
    Delivery,
    DeliveryId,
    Direction,
    Envelope,
    Incoming,
    Kind,
    Message,
    MessageId,
    Report,
)
from bridge.ports import (
    Account,
    Adapter,
    BadAddress,
    Context,
    MaybeSent,
    NamesMessages,
    Outlet,
    Refused,
    Scope,
    Sent,
    TellsHealth,
    TryLater,
)


@dataclass
class MemoryInbox:
    """An Inbox that keeps what it is given. `lines` are the addresses it knows."""

    lines: set[str] = field(default_factory=set)
    taken: list[tuple[bytes, Envelope]] = field(default_factory=list)
    accepted: list[Incoming] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    brought: list[Account] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)  # bare JID and what it was told
    read: list[tuple[str, list[str], list[str]]] = field(default_factory=list)  # elsewhere
    bindings: dict[str, DeliveryId] = field(default_factory=dict)  # remote ids of other deliveries
    conversations: set[int] = field(default_factory=set)  # those that are not new
    before: Callable[[], None] = field(default=lambda: None)  # may raise, as a full disk does
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        self.before()
        self.taken.append((raw, envelope))
        await self._tell()

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        self.before()
        self.accepted.extend(incoming)
        await self._tell()

    async def report(self, reports: Sequence[Report]) -> None:
        self.before()
        self.reports.extend(reports)
        await self._tell()

    async def take_in_all(
        self, items: Sequence[tuple[bytes, Envelope]], cursor: tuple[str, str] | None = None
    ) -> None:
        self.before()
        self.taken.extend(items)
        if cursor is not None:
            self.cursors[cursor[0]] = cursor[1]
        await self._tell()

    async def cursor(self, name: str) -> str:
        return self.cursors.get(name, "")

    async def accounts(self) -> Sequence[Account]:
        return list(self.brought)

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        self.told.append((jid, text))
        await self._tell()

    async def read_elsewhere(
        self, recipient: str, key: str, read: Collection[str], unread: Collection[str]
    ) -> None:
        self.read.append((recipient, sorted(read), sorted(unread)))
        await self._tell()

    async def knows(self, recipient: str) -> bool:
        self.before()
        return recipient in self.lines

    async def bound(self, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        return {one: self.bindings[one] for one in remote_ids if one in self.bindings}

    async def recorded(self, remote_ids: Sequence[str]) -> set[str]:
        return {one.remote_id for one in self.accepted} & set(remote_ids)

    async def opens(self, message: Message) -> bool:
        return message.conversation_id not in self.conversations

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, holds: Callable[[], bool], within: float = 10.0) -> None:
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(holds)


def context(transport: str = "here") -> Context:
    """A context as the gateway would give it, with keys that are no secret."""
    return Context(
        transport,
        "example.org",
        "https://gateway.example.org",
        lambda purpose: purpose.encode().ljust(32)[:32],
    )


_numbers = iter(range(1, 1_000_000))


def message(body: str = "Running late", **changes: Any) -> Message:
    """A message of a user, as the record holds it."""
    number = next(_numbers)
    made = Message(
        id=MessageId(number),
        uid=uuid.uuid4().hex,
        transport="here",
        direction=Direction.OUT,
        conversation_id=ConversationId(1),
        stanza_id=f"stanza-{number}",
        remote_id="",
        in_reply_to="",
        references=(),
        thread="",
        subject="",
        body=body,
        written_at=1_700_000_000.0,
    )
    return replace(made, **changes)


def delivery(
    recipient: str, *, sender: str, message: Message, lane: str = "here:out:1", **changes: Any
) -> Delivery:
    """A delivery as the dispatcher hands it over."""
    made = Delivery(
        id=DeliveryId(next(_numbers)),
        outlet="here",
        kind=Kind.MESSAGE,
        lane=lane,
        sender=sender,
        sender_name="Mira Berg",
        recipient=recipient,
        stanza_id="",
        message=message,
        note=None,
        attempts=0,
        uncertain=False,
        recorded_at=1_700_000_000.0,
        sender_jid="mira@example.org",
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class FarEnd:
    """A stand-in for the world at the other side, and how the adapter is set up to reach it."""

    settings: Mapping[str, Any]  # the transport's table, as the settings file would have it
    good: str  # canonical address that takes what comes
    bad: str  # canonical address that is refused for good
    leave: Callable[[], Any]  # make it unreachable; may be a coroutine function


_EACH_SUBCLASS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)


class AdapterContract:
    """Every adapter passes this."""

    name: ClassVar[str]  # in the entry-point group
    table: ClassVar[Mapping[str, Any]]  # settings of a transport whose far end need not exist
    typed: ClassVar[Mapping[str, str]]  # what a person types → its canonical form
    nonsense: ClassVar[Sequence[str]]  # what is no address
    line: ClassVar[str]  # canonical address of a line, the sender of what goes out
    served: ClassVar[str] = "mira@example.org"  # a JID that may register
    stranger: ClassVar[str | None] = "mira@elsewhere.example"  # one that may not; None: everybody may

    @pytest.fixture
    async def far_end(self) -> AsyncIterator[FarEnd]:
        raise NotImplementedError("the subclass starts its far end")
        yield  # noqa: PT022 - what makes it a generator, as the subclass's is

    # --- building ---

    def build(self, table: Mapping[str, Any] | None = None) -> Any:
        kind: Any = self.adapter_class()
        return kind.from_settings(kind.Settings.model_validate(dict(table or self.table)), context())

    def adapter_class(self) -> type[Adapter]:
        (found,) = entry_points(group="passerelle.adapters", name=self.name)
        loaded: type[Adapter] = found.load()
        return loaded

    def test_it_is_found_by_its_entry_point_and_is_an_outlet(self) -> None:
        assert isinstance(self.build(), Outlet)

    def test_building_it_is_cheap_and_needs_no_event_loop(self) -> None:
        self.build()
        began = time.perf_counter()
        self.build()
        assert time.perf_counter() - began < 0.1

    def test_its_capabilities_can_be_lived_with(self) -> None:
        can = self.build().capabilities
        assert all(can.identity)
        assert can.concurrency >= 1
        assert can.batch >= 1

    def test_a_setting_that_does_not_exist_is_a_fault(self) -> None:
        with pytest.raises(ValueError, match="nonsuch"):
            self.adapter_class().Settings.model_validate({**self.table, "nonsuch": 1})

    # --- addresses ---

    def test_what_people_type_is_understood(self) -> None:
        adapter = self.build()
        assert {text: adapter.canonical(text).canonical for text in self.typed} == dict(self.typed)

    def test_a_canonical_address_is_its_own_canonical_form(self) -> None:
        adapter = self.build()
        for address in self.typed.values():
            assert adapter.canonical(address) == Address(address, address)

    def test_what_is_no_address_is_refused_in_a_sentence(self) -> None:
        adapter = self.build()
        for text in self.nonsense:
            with pytest.raises(BadAddress) as refusal:
                adapter.canonical(text)
            assert len(str(refusal.value)) > 15
            assert str(refusal.value)[-1] in ".!?"
            if refusal.value.correct:
                assert adapter.canonical(refusal.value.correct).canonical == refusal.value.correct

    @_EACH_SUBCLASS
    @given(st.text(max_size=80))
    def test_any_text_is_an_address_or_a_bad_address(self, text: str) -> None:
        adapter = self.build()
        with contextlib.suppress(BadAddress):
            canonical = adapter.canonical(text).canonical
            assert adapter.canonical(canonical).canonical == canonical

    def test_a_user_is_offered_canonical_addresses(self) -> None:
        adapter = self.build()
        offered = adapter.own_addresses(self.served)
        assert offered
        assert [adapter.canonical(address).canonical for address in offered] == list(offered)
        assert len(set(offered)) == len(offered)

    def test_a_stranger_is_offered_none(self) -> None:
        if self.stranger is None:
            pytest.skip("everybody may register")
        with contextlib.suppress(BadAddress):
            assert not self.build().own_addresses(self.stranger)

    def test_remote_ids_are_the_same_each_time(self) -> None:
        one, other = self.build(), self.build()
        if not isinstance(one, NamesMessages):
            pytest.skip("it does not name messages beforehand")
        assert one.remote_id("a" * 32) == other.remote_id("a" * 32) != one.remote_id("b" * 32)
        assert not set(one.remote_id("a" * 32)) & set(" \t\r\n")

    # --- reading ---

    def test_the_parser_travels_to_a_worker(self) -> None:
        parser = self.build().parser()
        again = pickle.loads(pickle.dumps(parser))
        envelope = self._envelope()
        assert list(again(b"hello", envelope)) == list(parser(b"hello", envelope))

    @_EACH_SUBCLASS
    @given(
        st.one_of(
            st.binary(max_size=2000), st.text(max_size=500).map(lambda text: text.encode("utf-8", "replace"))
        )
    )
    def test_the_parser_never_raises_and_says_something(self, raw: bytes) -> None:
        for found in self.build().parser()(raw, self._envelope()):
            assert isinstance(found, Incoming | Report)
            assert found.transport == "here"
            if isinstance(found, Incoming):
                assert found.recipient == self.line
                assert found.body.strip() or found.files
                assert "\0" not in found.body
                assert all(" " not in one for one in (found.remote_id, *found.references))

    def _envelope(self) -> Envelope:
        return Envelope("here", "somebody@example.com", (self.line,), 1_700_000_000.0)

    # --- sending ---

    def deliveries(self, *recipients: str, lane: str = "here:out:1") -> list[Delivery]:
        """One message for each recipient, in one lane."""
        return [
            delivery(recipient, sender=self.line, message=message(f"Line {number}"), lane=lane)
            for number, recipient in enumerate(recipients, 1)
        ]

    def running(self, adapter: Any) -> AbstractAsyncContextManager[None]:
        entered: AbstractAsyncContextManager[None] = adapter.running(MemoryInbox({self.line}))
        return entered

    async def test_what_the_far_end_takes_is_sent(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        async with self.running(adapter):
            batch = self.deliveries(far_end.good, far_end.good, far_end.good)
            fates = await adapter.send(batch)
        assert list(fates) == [one.id for one in batch]
        assert all(isinstance(fate, Sent) for fate in fates.values())

    async def test_what_the_far_end_refuses_is_refused_in_a_sentence(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        async with self.running(adapter):
            (one,) = self.deliveries(far_end.bad)
            fate = (await adapter.send([one]))[one.id]
        assert isinstance(fate, Refused)
        assert len(fate.reason) > 15
        assert fate.code

    async def test_a_lane_stops_at_the_first_that_was_not_sent(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        async with self.running(adapter):
            batch = self.deliveries(far_end.good, far_end.bad, far_end.good)
            fates = await adapter.send(batch)
        tried = [isinstance(fates[one.id], Sent) if one.id in fates else None for one in batch]
        assert tried == [True, False, None]

    async def test_one_refusal_does_not_stop_other_lanes(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        async with self.running(adapter):
            (bad,) = self.deliveries(far_end.bad, lane="here:out:1")
            (good,) = self.deliveries(far_end.good, lane="here:out:2")
            fates = [await adapter.send([one]) for one in (bad, good)]
        assert isinstance(fates[1][good.id], Sent)

    async def test_a_far_end_that_is_away_is_waited_for(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        gone = far_end.leave()
        if asyncio.iscoroutine(gone):
            await gone
        async with self.running(adapter):
            batch = self.deliveries(far_end.good, far_end.good)
            fates = await adapter.send(batch)
            fate = fates[batch[0].id]
            if isinstance(adapter, TellsHealth):
                assert adapter.health()
        assert isinstance(fate, TryLater | MaybeSent)
        if isinstance(fate, TryLater):
            assert fate.scope is Scope.OUTLET
        assert batch[1].id not in fates

    async def test_leaving_it_leaves_nothing_behind(self, far_end: FarEnd) -> None:
        adapter = self.build(far_end.settings)
        before = asyncio.all_tasks()
        for _ in range(2):
            async with self.running(adapter):
                assert await adapter.send(self.deliveries(far_end.good))
        async with asyncio.timeout(5):
            while left := [task for task in asyncio.all_tasks() - before if _ours(task)]:
                await asyncio.wait(left, timeout=1)


def _ours(task: asyncio.Task[Any]) -> bool:
    """Whether a task runs code of ours, not the far end's."""
    return any(
        "/adapters/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename
        for frame in task.get_stack()
    )
