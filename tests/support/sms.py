"""An SMS adapter on loopback between a stand-in for Twilio and an inbox that keeps what it is given.

The real adapter, the real client, real HTTP both ways; every exchange is held against Twilio's file.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp import web

from adapters.sms.adapter import SmsAdapter
from adapters.sms.settings import SmsSettings
from bridge.demo.phone import TwilioStandIn
from bridge.model import Delivery, DeliveryId, Incoming
from bridge.ports import Context, Fate, Files, Forgetful, Kept, Memory, NoFiles, WebRequest
from tests.adapters import contract
from tests.adapters.contract import MemoryInbox
from tests.support import twilio_contract

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "a token of the tests"
OURS = "+15550001000"
ALICE = "+15551234567"


@dataclass
class Rig:
    adapter: SmsAdapter
    inbox: MemoryInbox
    twilio: TwilioStandIn
    contract: twilio_contract.Report
    public_url: str
    now: list[float]  # the adapter's clock stands still at its only member
    context: Context
    given: dict[str, Any]  # what the settings say beside the usual

    def another(self, **changes: Any) -> SmsAdapter:
        """An adapter as after a restart: it has the memory, and nothing else."""
        return SmsAdapter(
            settings(**{"api_url": self.twilio.api_url, **self.given, **changes}),
            self.context,
            clock=lambda: self.now[0],
        )

    async def handed_over(self, delivery: Delivery) -> None:
        """The text was about to be posted when the last process ended."""
        key = f"turn/{delivery.id}"
        gone = Kept({"gone": self.now[0]}, 3 * 86400)
        await self.context.memory.change([key], lambda known: ({key: gone}, None))

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
        "poll_seconds": 0,  # nothing is asked of the stand-in but what a test is about
        "segments_per_second": 0,
        "segments_per_day": 0,
        "new_numbers_per_day": 0,
    }
    return SmsSettings(**{**given, **changes})


def context(public_url: str, memory: Memory | None = None, files: Files | None = None) -> Context:
    return Context(
        transport="sms",
        domain="example.org",
        public_url=public_url,
        derive_key=lambda purpose: sha256(purpose.encode()).digest(),
        memory=memory or Forgetful(),
        files=files or NoFiles(),
    )


def shown(incoming: Incoming) -> str:
    """What the user reads of it, who reads English."""
    return "\n".join(line for line in (incoming.body, *incoming.notices) if line)


def delivery(body: str, number: int = 1, **changes: Any) -> Delivery:
    """A text from our number to Alice, recorded at second 1,000 unless told otherwise."""
    given = {
        "id": DeliveryId(number),
        "outlet": "sms",
        "lane": "sms out 1",
        "recorded_at": 1_000.0,
        **changes,
    }
    recipient, sender = given.pop("recipient", ALICE), given.pop("sender", OURS)
    message = contract.message(body, **given.pop("message", {}))
    return contract.delivery(recipient, sender=sender, message=message, **given)


@asynccontextmanager
async def rig(
    *,
    public: bool = True,
    transport_settings: dict[str, Any] | None = None,
    numbers: Sequence[str] = (OURS,),
    files: Files | None = None,
    **stand_in: Any,
) -> AsyncIterator[Rig]:
    """Everything running. `stand_in` are options of the stand-in. On leaving, the contract is checked."""
    report = twilio_contract.Report()
    now = [1_000.0]
    async with _web_server() as (base, serve):
        hooks = dict.fromkeys(numbers, f"{base}/hooks/sms/message")
        twilio = TwilioStandIn(ACCOUNT, TOKEN, hooks, check=report.check, **stand_in)
        async with twilio.running() as api_url:
            given = {"numbers": tuple(numbers), **(transport_settings or {})}
            around = context(base if public else "", Forgetful(lambda: now[0]), files)
            adapter = SmsAdapter(settings(api_url=api_url, **given), around, clock=lambda: now[0])
            serve(adapter)
            inbox = MemoryInbox(set(numbers))
            async with adapter.running(inbox):
                yield Rig(adapter, inbox, twilio, report, base, now, around, given)
        assert twilio.given_away == []
    assert report.faults == []


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
