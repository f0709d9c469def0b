"""Deliveries to XMPP: a batch of stanzas and a ping in one write; the ping's answer proves them all.

XEP-0114 has no acknowledgements, and 200 of 200 stanzas in flight vanished at a server's crash. What
is not proven is not sent. Decides nothing about when to try again but the reason it gives.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from bridge.events import ClientError
from bridge.model import Attachment, Delivery, DeliveryId, Kind
from bridge.ports import Capabilities, Fate, Refused, Scope, Sent, TryLater
from bridge.xmpp import errors, files, stanzas, xml
from bridge.xmpp.stream import ForeignSender, StreamLost

log = structlog.get_logger()

CAPABILITIES = Capabilities(
    repeatable=True,  # same stanza id, same origin-id
    concurrency=2,  # one batch is read by the server while the next is written
    batch=500,
    across_lanes=True,
    apart=frozenset({Kind.FILE}),  # an upload may take minutes: nobody else waits for it
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

    def is_online(self, user: str) -> bool:
        """Whether a user (bare JID) is known to be available."""
        ...

    async def wait_connected(self, patience: float | None = None) -> bool: ...

    async def prove(self, stanzas: Sequence[str]) -> None: ...

    def watch(
        self, keys: Mapping[Bounced, DeliveryId], told: Callable[[DeliveryId, ClientError], None]
    ) -> None:
        """Errors that answer these go to `told` instead of the record, until `unwatch`."""
        ...

    def unwatch(self, keys: Mapping[Bounced, DeliveryId]) -> None: ...


class Places(Protocol):
    """Where files are put: bridge.xmpp.uploads."""

    async def place(self, file: Attachment, sender: str) -> str:
        """Where a client gets it; empty if nowhere. Raises StreamLost."""
        ...


class XmppOutlet:
    """The outlet `xmpp:NAME` of one transport."""

    capabilities = CAPABILITIES

    def __init__(
        self, wire: Wire, clock: Callable[[], float] = time.time, places: Places | None = None
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._places = places
        # Writes what the user wrote elsewhere as a stanza of their own, where the server lets us
        # (XEP-0356); None: it does not, and such a delivery ends without a stanza.
        self.write_own: Callable[[Delivery, float], str | None] = lambda _delivery, _now: None
        # Waits, not for long, until the server has told whether it lets us; set beside `write_own`.
        self.settled: Callable[[], Awaitable[None]] = _at_once
        # What must come before a batch (its senders into the rosters), and who hears of what has gone.
        self.ahead: Callable[[Sequence[Delivery]], Awaitable[None]] = _nothing
        self.gone: Callable[[Sequence[Delivery]], None] = lambda _deliveries: None

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        if not await self._wire.wait_connected(PATIENCE):
            return {delivery.id: _NOT_CONNECTED for delivery in batch}
        try:
            if any(delivery.kind is Kind.OWN for delivery in batch):
                await self.settled()
            await self.ahead(batch)
            urls = await self._put_files(batch)
        except StreamLost:
            return {delivery.id: _NOT_PROVEN for delivery in batch}
        fates, written = self._write(batch, urls)
        if not written:
            return fates
        watched = {
            (delivery.stanza_id, _who_answers(delivery)): delivery.id
            for delivery, _ in written
            if delivery.kind is not Kind.ERROR
        }
        own = {delivery.id for delivery, _ in written if delivery.kind is Kind.OWN}

        def told(delivery_id: DeliveryId, error: ClientError) -> None:
            if delivery_id in own:  # it has gone already; the user's clients do not show it, that is all
                log.warning("the chat server did not take a user's own message", condition=error.condition)
            else:
                fates[delivery_id] = errors.fate(error.condition, error.error_type)

        self._wire.watch(watched, told)
        try:
            await self._wire.prove([stanza for _, stanza in written])
        except StreamLost:
            return fates | {delivery.id: _NOT_PROVEN for delivery, _ in written if delivery.id not in fates}
        finally:
            self._wire.unwatch(watched)
        self.gone([delivery for delivery, _ in written if delivery.id not in fates])
        return {delivery.id: Sent() for delivery, _ in written} | fates

    async def _put_files(self, batch: Sequence[Delivery]) -> dict[DeliveryId, str]:
        """Where the files among these can be had from now on; empty for what cannot. Raises StreamLost."""
        return {
            one.id: await self._places.place(file, one.sender) if self._places is not None else ""
            for one in batch
            if one.kind is Kind.FILE and (file := _file_of(one)) is not None
        }

    def _line_besides(self, delivery: Delivery, now: float) -> str:
        """Servers drop an error stanza for somebody who is away (RFC 6121 section 8.5.2.2.1), and keep a
        chat line: then the sentence goes as one, too."""
        user = xml.bare(delivery.recipient)
        if delivery.kind is not Kind.ERROR or delivery.note is None or self._wire.is_online(user):
            return ""
        note = replace(delivery.note, text=f"✗ {delivery.note.text}")
        line = replace(delivery, kind=Kind.NOTICE, recipient=user, note=note)
        return stanzas.write(line, self._wire.jid, now)

    def _write(
        self, batch: Sequence[Delivery], urls: Mapping[DeliveryId, str]
    ) -> tuple[dict[DeliveryId, Fate], list[tuple[Delivery, str]]]:
        """Fates of what cannot be written, and what can be, as far as one write should reach."""
        fates: dict[DeliveryId, Fate] = {}
        written: list[tuple[Delivery, str]] = []
        size = 0
        now = self._clock()
        for delivery in batch:
            try:
                if delivery.kind is Kind.OWN:
                    own = self.write_own(delivery, now)
                    if own is None:
                        fates[delivery.id] = Sent()
                        continue
                    stanza = own
                elif (file := _file_of(delivery)) is not None:
                    stanza = files.write(delivery, file, urls.get(delivery.id, ""), self._wire.jid, now)
                else:
                    stanza = stanzas.write(delivery, self._wire.jid, now) + self._line_besides(delivery, now)
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


async def _at_once() -> None:
    """There is nothing to wait for."""


async def _nothing(_batch: Sequence[Delivery]) -> None:
    """Nothing need come before."""


def _who_answers(delivery: Delivery) -> str:
    """Where an error about this delivery would come from: an own message is wrapped for the user's server."""
    user = xml.bare(delivery.recipient)
    return user.rpartition("@")[2] if delivery.kind is Kind.OWN else user


def _file_of(delivery: Delivery) -> Attachment | None:
    """The file that a delivery carries, if it is one of a file."""
    if delivery.kind is not Kind.FILE or delivery.message is None:
        return None
    attached = delivery.message.attachments
    return attached[delivery.part - 1] if delivery.part <= len(attached) else None
