"""Takes what is due out of the record and pushes it through its outlet. Knows no direction."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import structlog
from prometheus_client import Counter

from bridge.gather import Gather
from bridge.lanes import Lanes
from bridge.model import Delivery, DeliveryId, Kind, State
from bridge.policy import RetryPolicy, Verdict, after_attempt
from bridge.ports import Fate, MaybeSent, Outlet, ReceiptOn, Reconciles, Refused, Scope, Sent, TryLater
from bridge.store import claiming, delays, envelopes, settling
from bridge.store.claiming import Claimed
from bridge.store.engine import Store, StoreFailed
from bridge.store.settling import Settlement
from bridge.telemetry import METRICS

log = structlog.get_logger()

_LOOK_ANYWAY = 30.0  # seconds: a bell may have been missed
_LANES_AT_ONCE = 200  # lanes in one claim
_APART_AT_ONCE = 6  # calls of an outlet with what takes long
_MOST_UNSETTLED = 200  # sends that have ended and wait to be written down
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Dispatcher:
    """One queue runner for each outlet. Enter it to start; `drain` it, then leave it."""

    def __init__(
        self,
        store: Store,
        outlets: Mapping[str, Outlet],
        retry: Mapping[str, RetryPolicy],
        *,
        clock: Callable[[], float] = time.time,
        on_sent: Callable[[str, Sequence[Delivery]], None] = lambda outlet, deliveries: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_sent = on_sent
        self._settling: Gather[Settlement, None] = Gather(self._settle)
        self._runners = {
            name: _Runner(name, outlet, retry[name], store, self._settling, clock, self.ring)
            for name, outlet in outlets.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    def ring(self, lanes: Iterable[tuple[str, str]]) -> None:
        """These lanes have something due: (outlet, lane)."""
        for outlet, lane in lanes:
            runner = self._runners.get(outlet)
            if runner is not None:
                runner.ring(lane)

    def look(self) -> None:
        """Somebody else has changed the record (`passerelle queue`): look at all of it."""
        for runner in self._runners.values():
            runner.look()

    @contextlib.contextmanager
    def untouched(self, lanes: Iterable[tuple[str, str]]) -> Iterator[frozenset[tuple[str, str]]]:
        """Those of these lanes of which no outlet has anything in hand; and none takes any of it inside."""
        kept: set[tuple[str, str]] = set()
        try:
            for outlet, lane in lanes:
                if (runner := self._runners.get(outlet)) is not None and runner.keep(lane):
                    kept.add((outlet, lane))
            yield frozenset(kept)
        finally:
            for outlet, lane in kept:
                self._runners[outlet].let_go(lane)

    def halt(self, outlet: str, halted: bool) -> None:
        """An admin stops an outlet, or lets it go on."""
        runner = self._runners.get(outlet)
        if runner is not None:
            runner.halt(halted)

    def paused(self) -> dict[str, str]:
        """Which outlets are paused, and why: for health and presence."""
        return {name: runner.pause_reason for name, runner in self._runners.items() if runner.pause_reason}

    async def __aenter__(self) -> "Dispatcher":
        now = self._clock()
        for name, runner in self._runners.items():
            recovered = await self._store.do(claiming.recover, name, now)
            if recovered:
                log.warning("deliveries in doubt after a crash", outlet=name, count=recovered)
            self._tasks.append(asyncio.create_task(runner.run(), name=f"dispatch {name}"))
        return self

    async def drain(self, grace: float) -> None:
        """Take nothing more; let what is on its way end, for at most `grace` seconds."""
        for runner in self._runners.values():
            runner.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                for runner in self._runners.values():
                    await runner.idle()
                await self._settling.settled()

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners.values():
            await runner.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._settling.settled()

    async def _settle(self, settlements: list[Settlement]) -> list[None]:
        """Write it down, however long the database is away: a fate that is known must not be forgotten."""
        pause = 0.1
        while True:
            try:
                lanes = await self._store.do(settling.settle, settlements, self._clock())
                break
            except StoreFailed:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
        self.ring(lanes)
        by_outlet: dict[str, list[Delivery]] = {}
        for one in settlements:
            if one.verdict.state is State.SENT and one.claimed.delivery.kind in (Kind.MESSAGE, Kind.FILE):
                by_outlet.setdefault(one.claimed.delivery.outlet, []).append(one.claimed.delivery)
        for outlet, deliveries in by_outlet.items():
            self._on_sent(outlet, deliveries)
        return [None] * len(settlements)


class _Runner:
    """Serves one outlet."""

    def __init__(
        self,
        name: str,
        outlet: Outlet,
        retry: RetryPolicy,
        store: Store,
        settling: Gather[Settlement, None],
        clock: Callable[[], float],
        ring_others: Callable[[Iterable[tuple[str, str]]], None],
    ) -> None:
        self._name = name
        self._ring_others = ring_others
        self._outlet = outlet
        self._can = outlet.capabilities
        self._retry = retry
        self._store = store
        self._settling = settling
        self._clock = clock
        self._lanes = Lanes()
        self._claimed: deque[list[Claimed]] = deque()  # batches that wait for a free slot
        self._sending = 0  # calls of the outlet
        self._apart: deque[list[Claimed]] = deque()  # what takes long waits for slots of its own
        self._sending_apart = 0
        self._tasks: set[asyncio.Task[None]] = set()  # those, and the settling that follows
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._looking = True
        self._looked_at = 0.0
        self._paused_until = 0.0
        self._pause = 0.0
        self.pause_reason = ""
        self._halted = False
        self._counters: dict[type, Counter] = {}
        self._reconciles = outlet if isinstance(outlet, Reconciles) else None

    # --- what others tell it ---

    def ring(self, lane: str) -> None:
        self._lanes.ring(lane)
        self._bell.set()

    def halt(self, halted: bool) -> None:
        """Claim nothing more until told otherwise."""
        self._halted = halted
        self._bell.set()

    def look(self) -> None:
        self._looking = True
        self._bell.set()

    def keep(self, lane: str) -> bool:
        """Take nothing of this lane until `let_go`. False: something of it may be in hand already."""
        return self._lanes.keep(lane)

    def let_go(self, lane: str) -> None:
        self._lanes.free([lane], again=True)
        self._bell.set()

    def stop(self) -> None:
        """Claim nothing more. What was claimed and not begun stays due; but what had to be recorded as
        claimed is begun nevertheless: otherwise the next start would have to doubt it."""
        self._stopping = True
        if self._can.repeatable:
            self._claimed.clear()
            self._apart.clear()
        self._bell.set()

    async def idle(self) -> None:
        await self._idle.wait()

    async def cut(self) -> None:
        """End what is still on its way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- its loop ---

    async def run(self) -> None:
        while True:
            try:
                await self._turn()
            except StoreFailed as error:
                log.error("cannot read the queue", outlet=self._name, error=str(error)[:200])
                await asyncio.sleep(1.0)
            except Exception as error:  # nobody else would ever notice that nothing goes out any more
                log.exception("dispatching broke, and goes on", outlet=self._name, error=type(error).__name__)
                METRICS.errors.labels("dispatcher").inc()
                await asyncio.sleep(1.0)

    async def _turn(self) -> None:
        self._bell.clear()
        if not self._stopping and (self._looking or self._clock() - self._looked_at > _LOOK_ANYWAY):
            await self._look_at_all()
        self._lanes.wake(self._clock())
        self._start_sending()
        if self._may_claim():
            await self._claim()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._until_something_is_due()):
                await self._bell.wait()

    async def _look_at_all(self) -> None:
        self._looking = False
        self._looked_at = self._clock()
        for lane, due_at in (await self._store.look(claiming.open_lanes, self._name)).items():
            self._lanes.found(lane, due_at)
        await self._tell_delays()

    async def _tell_delays(self) -> None:
        """Whoever has waited for long hears so, once; a bounded number in each look."""
        now = self._clock()
        before = now - self._retry.tell_delay_after
        late = await self._store.look(delays.find, self._name, before) if before > 0 else []
        if late:
            self._ring_others(await self._store.do(delays.tell, self._name, late, self.pause_reason, now))

    def _may_claim(self) -> bool:
        if self._stopping or self._halted or not self._lanes.any_due or self._clock() < self._paused_until:
            return False
        if len(self._tasks) - self._sending - self._sending_apart > _MOST_UNSETTLED:
            return False
        if self._pause and self._tasks:
            return False  # a single probe is on its way
        if self._can.across_lanes:
            return self._sending < self._can.concurrency
        # Claim ahead, so that one statement serves many lanes.
        return len(self._claimed) < max(self._can.concurrency // 2, 1)

    def _until_something_is_due(self) -> float:
        now = self._clock()
        until = min(now + _LOOK_ANYWAY, self._lanes.next_wake)
        if self._lanes.any_due and self._paused_until > now:
            until = min(until, self._paused_until)
        return max(until - now, 0.001)

    async def _claim(self) -> None:
        lanes = self._lanes.take(1 if self._pause else self._lanes_at_once())
        per_lane = 1 if self._pause else self._can.batch
        function = claiming.claim if self._can.repeatable else claiming.claim_for_good
        access = self._store.look if self._can.repeatable else self._store.do
        try:
            found = await access(function, self._name, lanes, self._clock(), per_lane)
        except BaseException:
            self._lanes.free(lanes, again=True)
            raise
        for lane, at in found.wake_at.items():
            self._lanes.sleep(lane, at)
        for lane in found.more:
            self._lanes.ring(lane)
        self._lanes.free([lane for lane in lanes if lane not in found.by_lane], again=False)
        by_lane = self._part(found.by_lane) if self._can.apart else found.by_lane
        if self._can.across_lanes:
            together = [one for batch in by_lane.values() for one in batch]
            most = self._can.batch
            self._claimed += [together[n : n + most] for n in range(0, len(together), most)]
        else:
            self._claimed += by_lane.values()
        self._start_sending()
        if found.to_close:
            await self._close(found.to_close)

    async def _close(self, to_close: Mapping[int, str]) -> None:
        """What waited for more lines, or for second thoughts, is as it is from now on."""
        try:
            await self._store.do(envelopes.close_due, list(to_close), self._clock())
        finally:
            for lane in to_close.values():
                self._lanes.ring(lane)

    def _part(self, by_lane: Mapping[str, list[Claimed]]) -> dict[str, list[Claimed]]:
        """Set what takes long apart, each alone. What stands behind it in its lane is looked at again."""
        others: dict[str, list[Claimed]] = {}
        for lane, batch in by_lane.items():
            kinds = [one.delivery.kind for one in batch]
            first = next((n for n, kind in enumerate(kinds) if kind in self._can.apart), len(batch))
            if first:
                others[lane] = batch[:first]
            else:
                self._apart.append(batch[:1])
            if len(batch) > max(first, 1):
                self._lanes.ring(lane)
        return others

    def _lanes_at_once(self) -> int:
        if self._can.across_lanes:
            return _LANES_AT_ONCE
        if not self._can.repeatable:
            # A claim is a promise to try soon: no more of them than one round ahead. Fewer would make
            # each free slot a transaction of its own.
            return max(2 * self._can.concurrency - self._sending - len(self._claimed), 1)
        return self._can.concurrency * 5

    # --- sending ---

    def _start_sending(self) -> None:
        while self._claimed and self._sending < self._can.concurrency:
            self._sending += self._start(self._claimed.popleft(), apart=False)
        while self._apart and self._sending_apart < _APART_AT_ONCE:
            self._sending_apart += self._start(self._apart.popleft(), apart=True)

    def _start(self, batch: list[Claimed], *, apart: bool) -> bool:
        """Try a batch in a task of its own, unless the outlet pauses."""
        if self._clock() < self._paused_until and self._can.repeatable:
            self._lanes.free({one.delivery.lane for one in batch}, again=True)
            return False
        self._idle.clear()
        task = asyncio.create_task(self._send(batch, apart=apart))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and not self._claimed and not self._apart:
            self._idle.set()
        self._bell.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a send task broke", outlet=self._name, exc_info=error)

    async def _send(self, batch: list[Claimed], *, apart: bool) -> None:
        """Try a batch and write down what became of it. Its lanes are busy until then; its slot is free
        as soon as the outlet has answered."""
        lanes = {one.delivery.lane for one in batch}
        again = lanes
        try:
            try:
                fates = await self._fates([one.delivery for one in batch])
            finally:
                self._sending -= not apart
                self._sending_apart -= apart
                self._bell.set()
            now = self._clock()
            self._note_pause(fates.values())
            settlements = [
                Settlement(one, self._verdict(one, fates[one.delivery.id], now), self._receipt_on_sent)
                for one in batch
                if one.delivery.id in fates
            ]
            await self._settling.put_all(settlements)
            again = self._lanes_to_look_at(batch, settlements, now)
        finally:
            self._lanes.free(lanes - again, again=False)
            self._lanes.free(again, again=True)

    @property
    def _receipt_on_sent(self) -> bool:
        return self._can.receipt_on is ReceiptOn.SENT

    def _verdict(self, one: Claimed, fate: Fate, now: float) -> Verdict:
        self._count(fate)
        verdict = after_attempt(
            one.delivery, one.first_tried_at, fate, now, self._retry, repeatable=self._can.repeatable
        )
        # One line for each fate of a message; what the gateway itself says about one is detail.
        tell = log.info if one.delivery.kind in (Kind.MESSAGE, Kind.FILE) else log.debug
        tell(
            "delivery",
            id=one.delivery.id,
            outlet=self._name,
            kind=one.delivery.kind,
            state=verdict.state,
            attempts=verdict.attempts,
            code=verdict.code or None,
        )
        return verdict

    def _count(self, fate: Fate) -> None:
        kind = type(fate)
        if kind not in self._counters:
            self._counters[kind] = METRICS.deliveries.labels(self._name, kind.__name__)
        self._counters[kind].inc()

    def _lanes_to_look_at(
        self, batch: Sequence[Claimed], settlements: Sequence[Settlement], now: float
    ) -> set[str]:
        """Lanes that need another look at once; those that wait are put to sleep until then."""
        settled = {one.claimed.delivery.id for one in settlements}
        again = {one.delivery.lane for one in batch if one.delivery.id not in settled}
        for one in settlements:
            if not one.verdict.final:
                lane = one.claimed.delivery.lane
                at = min(one.verdict.due_at, max(one.verdict.hold_until, now))
                if at <= now:
                    again.add(lane)
                else:
                    self._lanes.sleep(lane, at)
        return again

    async def _fates(self, deliveries: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        first = deliveries[0]
        try:
            if not first.uncertain or self._can.repeatable:
                return await self._outlet.send(deliveries)
            if self._reconciles is not None:
                return {first.id: await self._reconciles.find(first)}
            return {first.id: MaybeSent("The line broke while this was being sent.")}
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("an outlet broke", outlet=self._name, error=type(error).__name__)
            METRICS.errors.labels("outlet").inc()
            if len(deliveries) > 1 and self._can.repeatable:
                return await self._one_by_one(deliveries)
            return {first.id: self._fate_of_a_bug()}

    async def _one_by_one(self, deliveries: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        """One of them breaks the outlet: find out which, so that the others go."""
        fates: dict[DeliveryId, Fate] = {}
        for delivery in deliveries:
            try:
                fates.update(await self._outlet.send([delivery]))
            except Exception as error:
                log.error("a delivery breaks its outlet", id=delivery.id, error=type(error).__name__)
                fates[delivery.id] = self._fate_of_a_bug()
        return fates

    def _fate_of_a_bug(self) -> Fate:
        reason = "The gateway could not handle this message; its administrator has been told."
        return TryLater(reason) if self._can.repeatable else MaybeSent(reason)

    def _note_pause(self, fates: Collection[Fate]) -> None:
        stop = next((f for f in fates if isinstance(f, TryLater) and f.scope is Scope.OUTLET), None)
        if stop is None:
            if any(isinstance(fate, Sent | Refused) for fate in fates):
                self._pause, self._paused_until, self.pause_reason = 0.0, 0.0, ""
            return
        now = self._clock()
        if now >= self._paused_until:  # several sends may fail at the same time: they pause it once
            self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._paused_until = now + (self._pause if stop.after is None else max(stop.after, _FIRST_PAUSE))
            if not self.pause_reason:
                log.warning("outlet paused", outlet=self._name, reason=stop.reason[:200])
        self.pause_reason = stop.reason
