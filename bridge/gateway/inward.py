"""What comes in from outside through an adapter, and what adapters ask the record."""

from collections.abc import Callable, Collection, Mapping, Sequence

from bridge.files import Filing
from bridge.gateway.house import House
from bridge.gather import Gather
from bridge.model import DeliveryId, Envelope, Incoming, Message, Report
from bridge.ports import Account, Inbox
from bridge.sources import Sources
from bridge.store import asking, inputs, people, recording, reports
from bridge.store.engine import is_about_input

_KNOWN_FOR = 30.0  # seconds that an answer to RCPT TO is remembered
_MOST_KNOWN = 10_000


class Inward:
    """One for the process: what many connections bring at the same time shares a transaction."""

    def __init__(
        self,
        house: House,
        sources: Sources,
        files: Filing | None,
        receipts_on_sent: Mapping[str, bool],
        ring_intake: Callable[[], None],
    ) -> None:
        self._house = house
        self._sources = sources
        self._files = files
        self._receipts_on_sent = receipts_on_sent
        self._ring_intake = ring_intake
        self._known: dict[tuple[str, str], float] = {}
        self._keeping: Gather[tuple[bytes, Envelope], None] = Gather(self._keep, blames=is_about_input)
        self._accepting: Gather[Incoming, None] = Gather(self._accept, blames=is_about_input)
        self._reporting: Gather[Report, None] = Gather(self._report, blames=is_about_input)

    def inbox(self, transport: str) -> Inbox:
        """The gateway as this transport's adapter sees it."""
        return _TransportInbox(self, self._house, self._sources, transport)

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        await self._keeping.put((raw, envelope))

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        """Record messages from outside."""
        await self._accepting.put_all(incoming)

    async def report(self, told: Sequence[Report]) -> None:
        await self._reporting.put_all(told)

    async def knows(self, transport: str, recipient: str) -> bool:
        """Whether an address is somebody's line."""
        now = self._house.clock()
        if self._known.get((transport, recipient), 0.0) > now:
            return True
        if await self._house.store.look(people.line_with_address, transport, recipient) is None:
            return False
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[transport, recipient] = now + _KNOWN_FOR
        return True

    def forget_lines(self) -> None:
        """Who is registered may have changed."""
        self._known.clear()

    async def presume(self) -> None:
        """Give the receipts of what went long ago and was never reported on."""
        now = self._house.clock()
        for name, transport in self._house.transports.items():
            after = transport.adapter.capabilities.presume_after
            if after is not None:
                while lanes := await self._house.store.do(asking.presume, name, now - after, now):
                    self._house.ring(lanes)

    async def _keep(self, gathered: list[tuple[bytes, Envelope]]) -> list[None]:
        await self._house.store.do(inputs.keep, gathered)
        self._ring_intake()
        return [None] * len(gathered)

    async def _accept(self, gathered: list[Incoming]) -> list[None]:
        kept = await self._files.keep_all(gathered) if self._files is not None else gathered
        now = self._house.clock()
        self._house.ring(await self._house.store.do(recording.record_in, kept, self._house.grounds, now))
        return [None] * len(gathered)

    async def _report(self, gathered: list[Report]) -> list[None]:
        now = self._house.clock()
        self._house.ring(await self._house.store.do(reports.report, gathered, self._receipts_on_sent, now))
        return [None] * len(gathered)


class _TransportInbox:
    """bridge.ports.Inbox for one transport."""

    def __init__(self, inward: Inward, house: House, sources: Sources, transport: str) -> None:
        self.take_in = inward.take_in
        self.accept = inward.accept
        self.report = inward.report
        self._inward = inward
        self._store = house.store
        self._sources = sources
        self._transport = transport

    async def take_in_all(
        self, items: Sequence[tuple[bytes, Envelope]], cursor: tuple[str, str] | None = None
    ) -> None:
        await self._sources.take_in_all(self._transport, items, cursor)

    async def cursor(self, name: str) -> str:
        return await self._sources.cursor(self._transport, name)

    async def accounts(self) -> Sequence[Account]:
        return await self._sources.accounts(self._transport)

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        await self._sources.tell(self._transport, jid, text, once)

    async def read_elsewhere(
        self, recipient: str, key: str, read: Collection[str], unread: Collection[str]
    ) -> None:
        await self._sources.read_elsewhere(self._transport, recipient, key, read, unread)

    async def knows(self, recipient: str) -> bool:
        return await self._inward.knows(self._transport, recipient)

    async def bound(self, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        return await self._store.look(asking.bound, self._transport, remote_ids)

    async def recorded(self, remote_ids: Sequence[str]) -> set[str]:
        return await self._store.look(asking.recorded, self._transport, remote_ids)

    async def opens(self, message: Message) -> bool:
        return await self._store.look(asking.opens, message.conversation_id, message.id)
