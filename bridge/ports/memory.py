"""An adapter's own notes in the gateway's store."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Kept:
    """A small JSON value, and for how many seconds it is remembered."""

    value: Any
    seconds: float


class NotRemembered(Exception):
    """The store could not be asked or written; nothing has changed."""


# From what is remembered under some keys (those that are there) to what shall be remembered under
# them (None: forget it) and an answer. Runs in a transaction: pure, quick, and maybe more than once.
Remember = Callable[[Mapping[str, Any]], tuple[Mapping[str, Kept | None], Any]]


class Memory(Protocol):
    """An adapter's own notes in the gateway's store: they outlive restarts and are shared by instances."""

    async def change(self, keys: Sequence[str], decide: Remember) -> Any:
        """Read keys, decide and write, as one transaction; on disk when this returns with `decide`'s
        answer. Raises NotRemembered."""
        ...

    async def every(self, prefix: str) -> Mapping[str, Any]:
        """All that is remembered under keys that begin so. Raises NotRemembered."""
        ...


class Forgetful:
    """A Memory for whoever runs without a store (`check`, tests): it lasts as long as the object."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    async def change(self, keys: Sequence[str], decide: Remember) -> Any:
        now = self._clock()
        found = {key: self._kept[key] for key in keys if key in self._kept}
        present = {key: json.loads(text) for key, (text, until) in found.items() if until > now}
        writes, answer = decide(present)
        for key, kept in writes.items():
            self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = (json.dumps(kept.value), now + kept.seconds)
        return answer

    async def every(self, prefix: str) -> Mapping[str, Any]:
        now = self._clock()
        return {
            key: json.loads(text)
            for key, (text, until) in self._kept.items()
            if key.startswith(prefix) and until > now
        }
