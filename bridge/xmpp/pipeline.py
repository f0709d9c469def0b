"""Records what a stream brings: in order, at most one transaction in flight, which takes all that gathered.

Knows no stanzas but the events that were read from them, and leaves answering to its caller.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bridge.events import Denied, Event
from bridge.xmpp import errors

log = structlog.get_logger()


MOST_UNRECORDED = 1_000  # past this the stream is not read


class Pipeline:
    """`record` takes events and answers one verdict each; `refuse` tells a sender; `hold` pauses reading."""

    def __init__(
        self,
        name: str,
        record: Callable[[Sequence[Event]], Awaitable[list[Denied | None]]],
        refuse: Callable[[Event, Denied], None],
        hold: Callable[[bool], None],
    ) -> None:
        self._name = name
        self._record = record
        self._refuse = refuse
        self._hold = hold
        self._gathered: list[Event] = []
        self._in_flight = 0
        self._holding = False
        self._failing = False
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._count = 0  # of all events that were put
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []  # up to which event somebody waits

    def put(self, event: Event) -> None:
        """Take an event. Never waits: past the limit it asks for reading to pause instead."""
        if not self._gathered:
            self._wake.set()
            self._empty.clear()
        self._gathered.append(event)
        self._count += 1
        if not self._holding and self.unrecorded > MOST_UNRECORDED:
            self._holding = True
            self._hold(True)

    @property
    def unrecorded(self) -> int:
        return len(self._gathered) + self._in_flight

    async def run(self) -> None:
        """Record for ever. Ends by cancellation; wait for `drained` before."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._round()
        finally:
            if self.unrecorded:
                log.warning("stanzas were read and not recorded", transport=self._name, count=self.unrecorded)
            self._empty.set()
            self._tell_waiters(self._count)

    async def reached(self) -> None:
        """Wait until what was put before this has its verdict, whatever is put meanwhile."""
        if self.unrecorded:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((self._count, reached))
            await reached

    def _tell_waiters(self, done: int) -> None:
        while self._waiters and self._waiters[0][0] <= done:
            _, reached = self._waiters.pop(0)
            if not reached.done():
                reached.set_result(None)

    async def drained(self) -> None:
        """Wait until everything that was put has its verdict, or `run` has been given up."""
        await self._empty.wait()

    async def _round(self) -> None:
        taken, self._gathered = self._gathered, []
        self._in_flight = len(taken)
        await self._record_all(taken)
        self._in_flight = 0
        self._tell_waiters(self._count - len(self._gathered))
        if self._holding and self.unrecorded <= MOST_UNRECORDED:
            self._holding = False
            self._hold(False)
        if not self._gathered:
            self._empty.set()

    async def _record_all(self, events: list[Event]) -> None:
        try:
            verdicts = await self._record(events)
        except Exception as error:
            self._tell_failing(error, len(events))
            verdicts = [errors.NOT_SAVED] * len(events)
        else:
            self._failing = False
        for event, verdict in zip(events, verdicts, strict=False):
            if verdict is not None:
                self._refuse(event, verdict)

    def _tell_failing(self, error: Exception, count: int) -> None:
        """Once for each time of failing: a store that is down would fill the log with every message."""
        if not self._failing:
            log.error(
                "what came by XMPP cannot be recorded", transport=self._name, events=count, exc_info=error
            )
        self._failing = True
