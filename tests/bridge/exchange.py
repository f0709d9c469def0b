"""A gateway with its dispatcher on a real record, far ends that do as the test says, and a clock in hand."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, ClassVar

from bridge.dispatcher import Dispatcher
from bridge.events import ChatState, Denied, Retracted, Transport, Written
from bridge.gateway import Gateway
from bridge.kit import TransportSettings
from bridge.model import Address, Delivery, DeliveryId, Kind
from bridge.policy import RetryPolicy
from bridge.ports import Adapter, Capabilities, Fate, Inbox, Parser, Refused, Sent
from bridge.store.engine import Store
from tests.bridge.records import Clock

ALICE = r"alice\40example.com"
PLUMBER = "+15557654321"
_ids = itertools.count(1)


class FarEnd:
    """An adapter (towards XMPP: an outlet) whose far end answers as the test says."""

    Settings: ClassVar[type[TransportSettings]] = TransportSettings

    def __init__(self, **capabilities: Any) -> None:
        self.capabilities = Capabilities(**capabilities)
        self.answer: Callable[[Delivery], Fate] = lambda delivery: Sent(f"<{delivery.id}@far>")
        self.taken: list[Delivery] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._changed = asyncio.Condition()

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        self.begun += 1
        await self._tell()
        await self.gate.wait()
        fates = {}
        for delivery in batch:
            fates[delivery.id] = fate = self.answer(delivery)
            if isinstance(fate, Sent):
                self.taken.append(delivery)
            elif not isinstance(fate, Refused):
                break
        await self._tell()
        return fates

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(holds)

    @property
    def bodies(self) -> list[str]:
        return [one.message.body for one in self.taken if one.message is not None]

    async def gets(self, *bodies: str) -> None:
        """Until exactly these texts have arrived, in order."""
        await self.until(lambda: len(self.bodies) >= len(bodies))
        assert self.bodies == list(bodies)

    def notes(self, kind: Kind) -> list[str]:
        """Towards XMPP: what was told; for receipts and errors the ids, for notices the texts."""
        notes = [one.note for one in self.taken if one.kind is kind and one.note is not None]
        return [note.text if kind is Kind.NOTICE else note.stanza_id for note in notes]

    async def told(self, kind: Kind, *what: str) -> None:
        await self.until(lambda: len(self.notes(kind)) >= len(what))
        assert self.notes(kind) == list(what)

    # --- the rest of an adapter ---

    def canonical(self, text: str) -> Address:
        return Address(text.lower(), text)

    def own_addresses(self, jid: str) -> Sequence[str]:
        return ()

    def parser(self) -> Parser:
        return lambda raw, envelope: ()

    def running(self, inbox: Inbox) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    @classmethod
    def from_settings(cls, settings: Any, context: Any) -> "FarEnd":
        return cls()


class MailFarEnd(FarEnd):
    """One that names messages and threads."""

    def remote_id(self, uid: str) -> str:
        return f"<{uid}@chat.example>"

    def first_subject(self, body: str) -> str:
        return body.partition("\n")[0][:60]


class Exchange:
    def __init__(self, store: Store, *, coalesce: float | None = 30.0, first_hold: float = 10.0) -> None:
        self.store = store
        self.clock = Clock(1_700_000_000.0)
        self.mail = MailFarEnd(subjects=True, attachments=True, coalesce_seconds=coalesce, reactions=True)
        self.sms = FarEnd(repeatable=False, batch=1, first_hold=first_hold)
        self.told_by_mail = FarEnd(across_lanes=True, batch=500)
        self.told_by_sms = FarEnd(across_lanes=True, batch=500)
        adapters: dict[str, Adapter] = {"mail": self.mail, "sms": self.sms}
        transports = {
            name: Transport.of(name, f"{name}.localhost", "", adapter, name, 1000, 1000)
            for name, adapter in adapters.items()
        }
        self.gateway = Gateway(store, transports, ["*"], clock=self.clock)
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> Dispatcher:
        outlets = {
            "mail": self.mail,
            "sms": self.sms,
            "xmpp:mail": self.told_by_mail,
            "xmpp:sms": self.told_by_sms,
        }
        return Dispatcher(self.store, outlets, dict.fromkeys(outlets, RetryPolicy()), clock=self.clock)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        """A process's life; what it knew is gone afterwards, but for the record."""
        self.dispatcher = self._dispatcher()
        self.gateway.ring = self.dispatcher.ring
        self.gateway.changes.untouched = self.dispatcher.untouched
        async with self.dispatcher:
            yield

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.dispatcher.look()

    # --- what the user does ---

    def line(self, body: str, to: str = ALICE, **more: Any) -> Written:
        values: dict[str, Any] = {"stanza_id": f"s{next(_ids)}", "wants_receipt": True}
        return Written("mira@localhost", "mira@localhost/phone", to, body=body, **values | more)

    async def say(self, *bodies: str, on: str = "mail", to: str = ALICE, **more: Any) -> list[str]:
        """Write lines, all at once; answers their ids."""
        lines = [self.line(body, to, **more) for body in bodies]
        assert await self.gateway.carry_out(on, lines) == [None] * len(lines)
        return [line.stanza_id for line in lines]

    async def text(self, *bodies: str, **more: Any) -> list[str]:
        return await self.say(*bodies, on="sms", to=PLUMBER, **more)

    async def retract(self, target: str, on: str = "mail", to: str = ALICE, **more: Any) -> Denied | None:
        wish = Retracted("mira@localhost", "mira@localhost/phone", to, f"r{next(_ids)}", target, **more)
        (answer,) = await self.gateway.carry_out(on, [wish])
        return answer

    async def types(self, composes: bool) -> None:
        await self.gateway.carry_out("mail", [ChatState("mira@localhost", ALICE, composes)])
