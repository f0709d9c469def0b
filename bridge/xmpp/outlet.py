"""Deliveries to XMPP: a batch of stanzas and a ping in one write; the ping's answer proves them all.

XEP-0114 has no acknowledgements, and 200 of 200 stanzas in flight vanished at a server's crash. What
is not proven is not sent. Decides nothing about when to try again but the reason it gives.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from bridge.gateway import ClientError
from bridge.model import Delivery, DeliveryId, Kind
from bridge.ports import Capabilities, Fate, Refused, Scope, Sent, TryLater
from bridge.xmpp import errors, stanzas, xml
from bridge.xmpp.stream import ForeignSender, StreamLost

log = structlog.get_logger()

CAPABILITIES = Capabilities(
    repeatable=True,  # same stanza id, same origin-id
    concurrency=2,  # one batch is read by the server while the next is written
    batch=500,
    across_lanes=True,
    subjects=True,
)
MOST_AT_ONCE = 1024 * 1024  # characters in one write; the rest of the batch stays due
PATIENCE = 2.0  # seconds for a stream that is just being opened again
_NOT_CONNECTED = TryLater("The chat server is not connected just now.", after=1.0, scope=Scope.OUTLET)
_NOT_PROVEN = TryLater("The connection to the chat server broke.", after=1.0, scope=Scope.OUTLET)
_UNWRITABLE = Refused(
    "This message could not be put into the form that chat needs.", "not-acceptable", "modify"
)

Bounced = tuple[str, str]  # stanza id and bare JID that an error stanza answers


class Wire(Protocol):
    """What the outlet needs of a component."""

    jid: str

    def guard(self, stanza: str) -> None: ...

    async def wait_connected(self, patience: float | None = None) -> bool: ...

    async def prove(self, stanzas: Sequence[str]) -> None: ...

    def watch(
        self, keys: Mapping[Bounced, DeliveryId], told: Callable[[DeliveryId, ClientError], None]
    ) -> None:
        """Errors that answer these go to `told` instead of the record, until `unwatch`."""
        ...

    def unwatch(self, keys: Mapping[Bounced, DeliveryId]) -> None: ...


class XmppOutlet:
    """The outlet `xmpp:NAME` of one transport."""

    capabilities = CAPABILITIES

    def __init__(self, wire: Wire, clock: Callable[[], float] = time.time) -> None:
        self._wire = wire
        self._clock = clock

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        if not await self._wire.wait_connected(PATIENCE):
            return {delivery.id: _NOT_CONNECTED for delivery in batch}
        fates, written = self._write(batch)
        if not written:
            return fates
        watched = {
            (delivery.stanza_id, xml.bare(delivery.recipient)): delivery.id
            for delivery, _ in written
            if delivery.kind is not Kind.ERROR
        }

        def told(delivery_id: DeliveryId, error: ClientError) -> None:
            fates[delivery_id] = errors.fate(error.condition, error.error_type)

        self._wire.watch(watched, told)
        try:
            await self._wire.prove([stanza for _, stanza in written])
        except StreamLost:
            return fates | {delivery.id: _NOT_PROVEN for delivery, _ in written if delivery.id not in fates}
        finally:
            self._wire.unwatch(watched)
        return {delivery.id: Sent() for delivery, _ in written} | fates

    def _write(self, batch: Sequence[Delivery]) -> tuple[dict[DeliveryId, Fate], list[tuple[Delivery, str]]]:
        """Fates of what cannot be written, and what can be, as far as one write should reach."""
        fates: dict[DeliveryId, Fate] = {}
        written: list[tuple[Delivery, str]] = []
        size = 0
        now = self._clock()
        for delivery in batch:
            try:
                stanza = stanzas.write(delivery, self._wire.jid, now)
                self._wire.guard(stanza)
            except (ValueError, OverflowError, ForeignSender) as error:
                log.error("a delivery cannot be written", delivery=delivery.id, error=str(error))
                fates[delivery.id] = _UNWRITABLE
                continue
            size += len(stanza)
            if written and size > MOST_AT_ONCE:
                break
            written.append((delivery, stanza))
        return fates, written
