"""A component's sending half: answers at once, batches that are proven, errors that somebody waits for.

Everything that leaves passes the stream's guard. Keeps answers for a while when there is no stream.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from xml.etree.ElementTree import Element

from bridge.events import ClientError
from bridge.model import DeliveryId
from bridge.xmpp.stream import Stream, StreamLost

PACE = 50  # stanzas of presence between two proofs
MOST_UNSENT = 1_000  # answers kept while there is no stream


class Sending:
    """What the parts of a component, and its outlet, send through."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._unsent: deque[str] = deque(maxlen=MOST_UNSENT)
        self._watched: dict[
            tuple[str, str], tuple[DeliveryId, Callable[[DeliveryId, ClientError], None]]
        ] = {}
        self._pacing = asyncio.Lock()

    def guard(self, stanza: str) -> None:
        """Raises ForeignSender unless the stanza's `from` is in our domain."""
        if self._stream is not None:
            self._stream.guard(stanza)

    def reply(self, *texts: str) -> None:
        """Answer at once, or as soon as there is a stream again; the oldest of very many are dropped."""
        if self._stream is not None and self._stream.established:
            self._stream.write(texts)
        else:
            self._unsent.extend(texts)

    def _flush(self) -> None:
        unsent = tuple(self._unsent)
        self._unsent.clear()
        self.reply(*unsent)

    async def paced(self, texts: Iterable[str]) -> None:
        """Small batches, each proven before the next, one sender of such at a time. Raises StreamLost."""
        remaining = iter(texts)
        async with self._pacing:
            while batch := tuple(islice(remaining, PACE)):
                await self.prove(batch)

    async def prove(self, texts: Sequence[str]) -> None:
        """Write stanzas; returns when the server has read them all. Raises StreamLost."""
        if self._stream is None:
            raise StreamLost("there is no stream yet")
        await self._stream.prove(texts)

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element:
        """Ask by IQ in the name of one of our JIDs; answers a result or an error. Raises StreamLost or
        TimeoutError."""
        if self._stream is None:
            raise StreamLost("there is no stream yet")
        return await self._stream.ask(sender, to, kind, payload, patience)

    def watch(
        self,
        keys: Mapping[tuple[str, str], DeliveryId],
        told: Callable[[DeliveryId, ClientError], None],
    ) -> None:
        """Errors that answer these (stanza id, bare JID) go to `told` instead of the record."""
        for key, delivery in keys.items():
            self._watched[key] = (delivery, told)

    def unwatch(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            self._watched.pop(key, None)
