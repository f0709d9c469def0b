"""An SMS adapter on loopback between a stand-in for Twilio and an inbox that keeps what it is given.

The real adapter, the real client, real HTTP both ways; every exchange is held against Twilio's file.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aiohttp import web

from adapters.sms.adapter import SmsAdapter
from adapters.sms.settings import SmsSettings
from bridge.demo.phone import TwilioStandIn
from bridge.model import (
    ConversationId,
    Delivery,
    DeliveryId,
    Direction,
    Envelope,
    Incoming,
    Kind,
    Message,
    MessageId,
    Report,
)
from bridge.ports import Context, Fate, WebRequest
from tests.support import twilio_contract

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "a token of the tests"
OURS = "+15550001000"
ALICE = "+15551234567"


@dataclass
class KeepingInbox:
    """The gateway's side of the port: what an adapter hands over, and a way to wait for it."""

    known: set[str] = field(default_factory=lambda: {OURS})
    accepted: list[Incoming] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    fault: Exception | None = None  # raised instead of keeping

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        raise AssertionError("an SMS transport hands over no raw inputs")

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        await self._keep(self.accepted, incoming)

    async def report(self, reports: Sequence[Report]) -> None:
        await self._keep(self.reports, reports)

    async def knows(self, recipient: str) -> bool:
        return recipient in self.known

    async def until(self, reached: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(reached)

    async def _keep(self, where: list[Any], what: Sequence[Any]) -> None:
        if self.fault:
            raise self.fault
        where.extend(what)
        async with self.changed:
            self.changed.notify_all()


@dataclass
class Rig:
    adapter: SmsAdapter
    inbox: KeepingInbox
    twilio: TwilioStandIn
    contract: twilio_contract.Report
    public_url: str
    now: list[float]  # the adapter's clock stands still at its only member

    async def send(self, delivery: Delivery) -> Fate:
        return (await self.adapter.send([delivery]))[delivery.id]


def settings(**changes: Any) -> SmsSettings:
    given = {
        "adapter": "sms",
        "jid": "sms.example.org",
        "secret": "s",
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "numbers": (OURS,),
    }
    return SmsSettings(**{**given, **changes})


def context(public_url: str) -> Context:
    return Context(
        transport="sms",
        domain="example.org",
        public_url=public_url,
        derive_key=lambda purpose: sha256(purpose.encode()).digest(),
    )


def delivery(body: str, number: int = 1, **changes: Any) -> Delivery:
    """A text from our number to Alice, recorded at second 1,000 unless told otherwise."""
    recorded_at = changes.setdefault("recorded_at", 1_000.0)
    message = Message(
        id=MessageId(number),
        uid=f"{number:032x}",
        transport="sms",
        direction=Direction.OUT,
        conversation_id=ConversationId(1),
        stanza_id=f"stanza-{number}",
        remote_id="",
        in_reply_to="",
        references=(),
        thread="",
        subject="",
        body=body,
        written_at=recorded_at,
    )
    given = {
        "id": DeliveryId(number),
        "outlet": "sms",
        "kind": Kind.MESSAGE,
        "lane": "sms out 1",
        "sender": OURS,
        "sender_name": "",
        "recipient": ALICE,
        "stanza_id": "",
        "message": message,
        "note": None,
        "attempts": 0,
        "uncertain": False,
    }
    return Delivery(**{**given, **changes})


@asynccontextmanager
async def rig(
    *, public: bool = True, transport_settings: dict[str, Any] | None = None, **stand_in: Any
) -> AsyncIterator[Rig]:
    """Everything running. `stand_in` are options of the stand-in. On leaving, the contract is checked."""
    contract = twilio_contract.Report()
    now = [1_000.0]
    async with _web_server() as (base, serve):
        twilio = TwilioStandIn(
            ACCOUNT, TOKEN, {OURS: f"{base}/hooks/sms/message"}, check=contract.check, **stand_in
        )
        async with twilio.running() as api_url:
            adapter = SmsAdapter(
                settings(api_url=api_url, **(transport_settings or {})),
                context(base if public else ""),
                clock=lambda: now[0],
            )
            serve(adapter)
            inbox = KeepingInbox()
            async with adapter.running(inbox):
                yield Rig(adapter, inbox, twilio, contract, base, now)
    assert contract.faults == []


@asynccontextmanager
async def _web_server() -> AsyncIterator[tuple[str, Callable[[SmsAdapter], None]]]:
    adapters: list[SmsAdapter] = []

    async def handle(request: web.Request) -> web.Response:
        answer = await adapters[0].webhook(
            WebRequest(
                method=request.method,
                path=request.rel_url.raw_path,
                query=request.rel_url.raw_query_string,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
                peer=request.remote or "",
            )
        )
        return web.Response(status=answer.status, content_type=answer.content_type, body=answer.body)

    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", adapters.append
    finally:
        await runner.cleanup()
