"""Everybody in the scene, started and connected: Prosody, the gateway, Mira, Alice, a phone."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bridge.demo.chat_user import ChatUser
from bridge.demo.correspondent import Correspondent
from bridge.demo.gateway_process import ACCOUNT_SID, AUTH_TOKEN, OWN_NUMBER, FarEnds, GatewayProcess
from bridge.demo.phone import Phone, TwilioStandIn
from bridge.demo.private import PrivateServer
from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Refuse
from bridge.demo.transcript import Transcript

MAIL = "mail.localhost"
SMS = "sms.localhost"
ALICE = "alice@example.com"
NOBODY = "landlrod@example.com"  # misspelt, as people do
PLUMBER = "+12025550142"
LANDLINE = "+12025550199"


def mail_contact(address: str) -> str:
    """The JID of a mail address (XEP-0106)."""
    return address.replace("@", r"\40") + "@" + MAIL


def sms_contact(number: str) -> str:
    return f"{number}@{SMS}"


@dataclass(frozen=True, slots=True)
class World:
    prosody: PrivateProsody
    gateway: GatewayProcess
    mira: ChatUser
    password: str
    alice: Correspondent
    carrier: TwilioStandIn
    plumber: Phone
    transcript: Transcript


@asynccontextmanager
async def living_world(transcript: Transcript) -> AsyncIterator[World]:
    """All of them, up and ready; undone at the end, in the opposite order."""
    async with AsyncExitStack() as stack:
        transcript.progress("starting a private Prosody")
        components = {MAIL: secrets.token_hex(16), SMS: secrets.token_hex(16)}
        prosody = PrivateProsody(components)
        _enter(stack, prosody)
        gateway = GatewayProcess()
        stack.callback(gateway.close)
        carrier = TwilioStandIn(ACCOUNT_SID, AUTH_TOKEN, {OWN_NUMBER: gateway.hook})
        carrier.always(LANDLINE, Refuse(21614, 400, "'To' number is not a valid mobile number"))
        api_url = await stack.enter_async_context(carrier.running())
        alice = await stack.enter_async_context(Correspondent("Alice Berg", ALICE, gateway.smtp_port))
        transcript.progress("starting the gateway")
        gateway.connect(FarEnds(prosody, MAIL, SMS, alice.port, api_url))
        _enter(stack, gateway)
        password = secrets.token_urlsafe(9)
        mira = ChatUser(prosody.add_user("mira", password), password, prosody.c2s_port)
        await mira.login()
        stack.push_async_callback(mira.logout)
        yield World(prosody, gateway, mira, password, alice, carrier, carrier.phone(PLUMBER), transcript)


def _enter(stack: AsyncExitStack, server: PrivateServer) -> None:
    # Blocks the loop for about a second, while nobody else has anything to do yet: a start in a
    # thread could not be undone when Ctrl-C comes in the middle of it. A stop is given a thread, since
    # what is stopped may still be talking to us.
    server.__enter__()
    stack.push_async_callback(asyncio.to_thread, server.close)
