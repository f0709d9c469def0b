"""For tests of the XMPP side: a use-case layer that remembers what it was asked, and deliveries to send.

It stands in for gateway and store, which have tests of their own.
"""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

from bridge.events import ClientError, ClientReceipt, Denied, Transport, Written
from bridge.gateway import Gateway
from bridge.i18n import Languages
from bridge.model import (
    Contact,
    ContactId,
    ConversationId,
    Delivery,
    DeliveryId,
    Direction,
    Kind,
    Line,
    LineId,
    Message,
    MessageId,
    Note,
    UserId,
)
from bridge.ports import Adapter, Capabilities
from bridge.store.rosters import Farewell
from bridge.xmpp.component import Component
from bridge.xmpp.presence import Post, Presence
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.rosters import Asks, Rosters

Event = Written | ClientReceipt | ClientError
PATIENCE = 10.0


@dataclass(frozen=True)
class Server:
    """Where a component connects."""

    port: int
    host: str = "127.0.0.1"
    domain: str = "localhost"


class PlainAdapter:
    """What the XMPP side asks of an adapter."""

    def __init__(self, identity: tuple[str, str]) -> None:
        self.capabilities = Capabilities(identity=identity)

    def own_addresses(self, jid: str) -> Sequence[str]:
        user, _, domain = jid.partition("@")
        return [f"{user}@chat.example.org"] if domain == "localhost" else []


class NoRosters:
    """gateway.rosters, as far as stanzas go by: who left is to be parted; nothing else is wanted."""

    def __init__(self) -> None:
        self.left: list[Farewell] = []
        self.wrote: dict[str, float] = {}

    def part(self, jid: str, locals_: Sequence[str]) -> None:
        self.left += [Farewell(number, jid, local) for number, local in enumerate((*locals_, ""))]

    async def partings(self, transport: str) -> list[Farewell]:
        return self.left

    async def parted(self, ids: Sequence[int]) -> None:
        self.left = []

    async def last_wrote(self, transport: str, jid: str, locals_: Sequence[str] = ()) -> dict[str, float]:
        return self.wrote

    async def newcomers(self, transport: str) -> list[str]:
        return []

    async def welcomed(self, transport: str, jid: str) -> None:
        pass

    async def shut_out_by(self, transport: str, jid: str, most: int) -> list[str]:
        return []


class RecordingGateway:
    """Records in a list. `deny` maps bodies to refusals; `failing` makes the store fail."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self.deny: dict[str, Denied] = {}
        self.failing = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.lines: dict[str, Line] = {}
        self.contacts: dict[str, dict[str, Contact]] = {}
        self.came: list[str] = []
        self.broken = 0
        self.changed = asyncio.Condition()
        self.languages = Languages("en")
        self.rosters = NoRosters()
        self.newcomer: dict[str, Any] = {}

    async def until(self, wanted: Any) -> None:
        """Wait until `wanted()` holds, looked at whenever something was asked."""
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(wanted)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    @property
    def written(self) -> list[Written]:
        return [event for event in self.events if isinstance(event, Written)]

    async def carry_out(self, transport: str, events: Sequence[Event]) -> list[Denied | None]:
        self.calls += 1
        await self.gate.wait()
        if self.failing:
            raise OSError("the disk is full")
        self.events.extend(events)
        await self._tell()
        return [self.deny.get(event.body) if isinstance(event, Written) else None for event in events]

    async def line_of(self, transport: str, jid: str) -> Line | None:
        return self.lines.get(jid)

    def may_use(self, jid: str) -> bool:
        return jid.endswith("@localhost")

    async def admit(self, transport: str, jid: str, language: str) -> Line | None:
        return None  # strangers stay strangers here: registering by the first word is the real gateway's

    async def register(
        self,
        transport: str,
        jid: str,
        *,
        name: str,
        address: str = "",
        token: str = "",
        language: str = "",
        welcome: bool = False,
    ) -> Line:
        if not jid.endswith("@localhost"):
            raise Denied("This gateway is not open to you.", "forbidden", "auth")
        self.lines[jid] = Line(
            LineId(1), UserId(1), transport, jid, address or f"{jid.partition('@')[0]}@chat.example.org", name
        )
        return self.lines[jid]

    async def free_addresses(self, transport: str, jid: str) -> Sequence[str]:
        user, _, domain = jid.partition("@")
        if domain != "localhost":
            raise Denied("This gateway does not serve your account.", "not-allowed", "cancel")
        return [f"{user}@chat.example.org"]

    async def leave(self, transport: str, jid: str) -> list[Contact]:
        if self.lines.pop(jid, None) is None:
            raise Denied("You are not registered here.", "registration-required", "auth")
        gone = list(self.contacts.pop(jid, {}).values())
        self.rosters.part(jid, [contact.local for contact in gone])
        return gone

    async def add_contact(self, transport: str, jid: str, local: str) -> Contact:
        if local == "bad":
            raise Denied("That is no mail address.", "item-not-found", "cancel")
        contact = Contact(ContactId(1), UserId(1), transport, local, local, local, "", True)
        self.contacts.setdefault(jid, {})[local] = contact
        return contact

    async def drop_contact(self, transport: str, jid: str, local: str) -> None:
        self.contacts.get(jid, {}).pop(local, None)
        await self._tell()

    async def contacts_of(self, transport: str, jid: str, locals_: Sequence[str] = ()) -> list[Contact]:
        known = self.contacts.get(jid, {})
        return [one for local, one in known.items() if not locals_ or local in locals_]

    async def contacts_after(self, transport: str, jid: str, after: int, most: int) -> list[Contact]:
        return list(self.contacts.get(jid, {}).values()) if not after else []

    async def users_of(self, transport: str) -> list[str]:
        return list(self.lines)

    async def came_back(self, transport: str, jid: str) -> None:
        self.came.append(jid)
        await self._tell()

    async def stream_broke(self, transport: str) -> None:
        self.broken += 1
        await self._tell()

    def new_name(self) -> str:
        return uuid.uuid4().hex


def transport(
    jid: str = "mail.localhost",
    secret: str = "mail-secret",
    identity: tuple[str, str] = ("gateway", "smtp"),
    title: str = "Email",
) -> Transport:
    return Transport("mail", jid, secret, cast(Adapter, PlainAdapter(identity)), title)


def rosters(transport: Transport, gateway: Gateway, presence: Presence, post: Post) -> Rosters:
    """A component's roster desk, at a server that grants nothing."""
    return Rosters(
        transport,
        gateway,
        Privilege(transport.jid),
        cast(Asks, post),
        shown=presence.show,
        parted=presence.gone,
        clients=presence.clients_of,
    )


def component(gateway: RecordingGateway, server: Server, **options: Any) -> Component:
    return Component(transport(), cast(Gateway, gateway), server, **options)


def running(
    gateway: RecordingGateway, server: Server, **options: Any
) -> AbstractAsyncContextManager[Component]:
    return component(gateway, server, **options).running()


ALICE = r"alice\40example.com@mail.localhost"
NOW = 1_700_000_000.0


def message(body: str, *, subject: str = "", thread: str = "", written_at: float = NOW) -> Message:
    return Message(
        id=MessageId(1),
        uid="0" * 32,
        transport="mail",
        direction=Direction.IN,
        conversation_id=ConversationId(1),
        stanza_id="",
        remote_id="",
        in_reply_to="",
        references=(),
        thread=thread,
        subject=subject,
        body=body,
        written_at=written_at,
    )


def delivery(
    number: int,
    recipient: str,
    what: Message | Note | str = "Hello",
    *,
    kind: Kind = Kind.MESSAGE,
    sender: str = ALICE,
) -> Delivery:
    """A delivery with the stanza id `s` and its number."""
    about = message(what) if isinstance(what, str) else what
    return Delivery(
        id=DeliveryId(number),
        outlet="xmpp:mail",
        kind=kind,
        lane="lane",
        sender=sender,
        sender_name="",
        recipient=recipient,
        stanza_id=f"s{number}",
        message=about if isinstance(about, Message) else None,
        note=about if isinstance(about, Note) else None,
        attempts=0,
        uncertain=False,
        recorded_at=NOW,
    )
