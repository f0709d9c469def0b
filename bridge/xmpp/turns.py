"""Work for one user in the order in which it was asked for, for different users side by side; bounded.

For the rare stanzas (requests, presence), whose handling waits for the store. Messages have the
pipeline.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

Work = Callable[[], Awaitable[None]]

MOST_WAITING = 1_000  # past this the stream is not read
MOST_OF_ONE = 200  # of one user; past this their requests are refused
AT_A_TIME = 20  # users


class Turns:
    """`hold` pauses reading while too much waits."""

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._holding = False
        self._waiting = 0
        self._queues: dict[str, deque[Work]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_A_TIME)

    def put(self, key: str, work: Work) -> None:
        """Do this work after whatever else waits under the same key. It should not raise."""
        self._waiting += 1
        if not self._holding and self._waiting > MOST_WAITING:
            self._holding = True
            self._hold(True)
        if key in self._queues:
            self._queues[key].append(work)
            return
        self._queues[key] = deque((work,))
        task = asyncio.create_task(self._work_off(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def is_full(self, key: str) -> bool:
        """Whether so much waits under one key already that others would have to wait for it."""
        return len(self._queues.get(key, ())) >= MOST_OF_ONE

    async def drained(self) -> None:
        """Wait until nothing waits and nothing works."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Give up what waits and works."""
        for task in self._tasks:
            task.cancel()
        await self.drained()

    async def _work_off(self, key: str) -> None:
        queue = self._queues[key]
        try:
            async with self._room:
                while queue:
                    await self._one(queue.popleft())
        finally:
            self._waiting -= len(queue)
            del self._queues[key]

    async def _one(self, work: Work) -> None:
        try:
            await work()
        except Exception as error:
            log.error("work for a user failed", exc_info=error)
        finally:
            self._waiting -= 1
            if self._holding and self._waiting <= MOST_WAITING // 2:
                self._holding = False
                self._hold(False)
