"""The memory that an adapter is given: bridge.ports.Memory on the store, many changes in one transaction."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from bridge.gather import Gather
from bridge.ports import NotRemembered, Remember
from bridge.store import remembering
from bridge.store.engine import Store, StoreFailed
from bridge.store.remembering import Broken, Wanted


class Memories:
    """One for the process: what all adapters want at the same time shares a transaction."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._changing: Gather[Wanted, Any] = Gather(self._change)

    def of(self, transport: str) -> "StoreMemory":
        return StoreMemory(self, transport)

    async def change(self, wanted: Wanted) -> Any:
        try:
            answer = await self._changing.put(wanted)
        except StoreFailed as error:
            raise NotRemembered(str(error)) from error
        if isinstance(answer, Broken):
            raise answer.error
        return answer

    async def every(self, transport: str, prefix: str) -> Mapping[str, Any]:
        try:
            return await self._store.look(remembering.every, transport, prefix, self._clock())
        except (StoreFailed, SQLAlchemyError) as error:
            raise NotRemembered(str(error)) from error

    async def _change(self, wanted: list[Wanted]) -> list[Any]:
        return await self._store.do(remembering.change, wanted, self._clock())


class StoreMemory:
    """A Memory (bridge.ports) for one transport."""

    def __init__(self, memories: Memories, transport: str) -> None:
        self._memories = memories
        self._transport = transport

    async def change(self, keys: Sequence[str], decide: Remember) -> Any:
        return await self._memories.change(Wanted(self._transport, tuple(keys), decide))

    async def every(self, prefix: str) -> Mapping[str, Any]:
        return await self._memories.every(self._transport, prefix)
