"""A gateway on a real record with one mail-like transport: for tests of commands, without any stanza."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from bridge.commands.dialogue import Dialogue
from bridge.commands.model import Context
from bridge.commands.services import Services
from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.model import Address
from bridge.office import Office
from bridge.ports import Adapter, BadAddress, Capabilities
from bridge.store import claiming, people, recording
from bridge.store.engine import Store
from bridge.store.schema import migrate
from bridge.wishes import Wishes
from tests.bridge.records import Clock, incoming

MIRA, BOSS, NOBODY = "mira@localhost", "boss@localhost", "nobody@elsewhere"


class MailLike:
    """As much of an adapter as commands and recording ask for."""

    capabilities = Capabilities(identity=("gateway", "smtp"), subjects=True, reactions=True)

    def canonical(self, text: str) -> Address:
        local, at, domain = text.strip().rpartition("@")
        if not (local and at and "." in domain):
            raise BadAddress("That is no mail address.")
        return Address(text.strip().lower(), text.strip())

    def own_addresses(self, jid: str) -> Sequence[str]:
        return [f"{jid.partition('@')[0]}@chat.example"]


class Desk:
    """A gateway with its record, and a chat with its commands."""

    def __init__(self, store: Store, clock: Clock) -> None:
        transport = Transport(
            "mail", "mail.localhost", "secret", cast(Adapter, MailLike()), "Email", strangers="ask"
        )
        self.store = store
        self.clock = clock
        self.gateway = Gateway(store, {"mail": transport}, ["localhost"], clock=clock)
        wishes = Wishes(self.gateway, store, clock=clock)
        self.services = Services(wishes, Office(self.gateway, store, [BOSS], clock=clock))
        self.dialogue = Dialogue(clock)
        self._numbers = iter(range(1, 1000))

    async def context(self, jid: str = MIRA, chat: str = "", language: str = "") -> Context:
        return Context(
            self.services,
            "mail",
            jid,
            f"{jid}/phone",
            language or self.gateway.languages.of(jid),
            await self.gateway.line_of("mail", jid),
            local=chat.replace("@", "%"),
            address=chat,
            stanza_id=f"s{next(self._numbers)}",
        )

    async def says(self, text: str, jid: str = MIRA) -> str:
        return (await self.dialogue.at_gateway(await self.context(jid), text)).text

    async def in_chat(self, text: str, chat: str = "jana@x.org") -> str:
        return (await self.dialogue.in_chat(await self.context(chat=chat), text)).text

    async def arrives(self, body: str = "hi", sender: str = "jana@x.org", **more: Any) -> None:
        one = incoming(body, sender, **more)
        await self.store.do(recording.record_in, [one], self.gateway.grounds, self.clock())

    async def outbox(self, outlet: str = "mail") -> list[Any]:
        """What is to be delivered now."""
        lanes = await self.store.look(claiming.open_lanes, outlet)
        found = await self.store.look(claiming.claim, outlet, list(lanes), self.clock(), 50)
        deliveries = [one.delivery for batch in found.by_lane.values() for one in batch]
        return sorted(deliveries, key=lambda one: one.id)

    async def shown(self) -> list[str]:
        return [one.message.body for one in await self.outbox("xmpp:mail") if one.message is not None]

    async def told(self) -> list[str]:
        return [one.note.text for one in await self.outbox("xmpp:mail") if one.note is not None]


@asynccontextmanager
async def a_desk(url: str) -> AsyncIterator[Desk]:
    """An empty record with mira and boss registered; boss is an admin."""
    migrate(url)
    async with Store(url) as store:
        for jid in (MIRA, BOSS):
            await store.do(people.register, "mail", jid, "", [f"{jid.partition('@')[0]}@chat.example"], 1.0)
        yield Desk(store, Clock())
