"""Joins what many callers want at the same time into one call: few transactions for many rows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gather(Generic[Item, Answer]):
    """Callers wait for `put`; at most one `run` is in flight and takes what has gathered, in order.

    `run` answers one value for each item. If it raises, every caller of that round gets the exception;
    but if `blames` says that it is about what it was given, each caller's items are run again alone, so
    that one bad item is its own caller's trouble. A caller that is cancelled does not take back what it
    put.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        most: int = 500,
        *,
        blames: Callable[[Exception], bool] = lambda _error: False,
    ) -> None:
        self._run = run
        self._blames = blames
        self._most = most  # items in one round, unless one caller brings more
        self._waiting: deque[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Answer:
        return (await self.put_all([item]))[0]

    async def put_all(self, items: Sequence[Item]) -> Sequence[Answer]:
        """All of these in one round."""
        if not items:
            return []
        future: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def settled(self) -> None:
        """Wait until nothing is in flight."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._round(self._next())
        finally:
            self._task = None

    def _next(self) -> list[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]]:
        taken = [self._waiting.popleft()]
        size = len(taken[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= self._most:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][0])
        return taken

    async def _round(self, taken: list[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]]) -> None:
        try:
            answers = iter(await self._run([item for items, _ in taken for item in items]))
        except BaseException as error:
            if len(taken) > 1 and isinstance(error, Exception) and self._blames(error):
                for one in taken:
                    await self._round([one])
                return
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for items, future in taken:
            own = list(islice(answers, len(items)))
            if not future.done():
                future.set_result(own)
