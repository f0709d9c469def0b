"""Joins what many callers want at the same time into one call: few transactions for many rows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gather(Generic[Item, Answer]):
    """Callers wait for `put`; at most one `run` is in flight and takes all that has gathered, in order.

    `run` answers one value for each item. If it raises, every caller of that round gets the exception.
    """

    def __init__(self, run: Callable[[list[Item]], Awaitable[Sequence[Answer]]], most: int = 500) -> None:
        self._run = run
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        # Shielded by being a plain future: a caller that is cancelled does not take its item back.
        return await future

    async def settled(self) -> None:
        """Wait until nothing is in flight."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._waiting:
                taken = self._waiting[: self._most]
                del self._waiting[: self._most]
                await self._round(taken)
        finally:
            self._task = None

    async def _round(self, taken: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._run([item for item, _ in taken])
        except BaseException as error:
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():
                future.set_result(answer)
