"""A world to walk through: a real XMPP server, the gateway as a process, mail servers and a carrier.

The far ends are real protocols on loopback; what they answer is scripted by the walk.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bridge.demo.chat_user import ChatUser
from bridge.demo.gateway_process import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    MAIL_DOMAIN,
    FarEnds,
    GatewayProcess,
)
from bridge.demo.phone import TwilioStandIn
from bridge.demo.private import LOOPBACK, HeldPorts
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS, mail_contact, sms_contact
from tests.support import twilio_contract
from tests.support.client import new_user
from tests.support.mail import Received, Smarthost, hand_in, smarthost
from tests.support.servers import Ejabberd

_QUOTE = re.compile(r"\r?\n\r?\nOn [^\n]{1,200} wrote:\r?\n>")
NUMBERS = ("+15550001000", "+15550001001", "+15550001002")
ALICE = "alice@example.com"
BOB = "bob@example.com"
PLUMBER = "+12025550142"
BAKER = "+12025550143"

ALICE_JID, BOB_JID = mail_contact(ALICE), mail_contact(BOB)
PLUMBER_JID, BAKER_JID = sms_contact(PLUMBER), sms_contact(BAKER)

# How each server is told what the components may do in users' names (XEP-0356); for PrivateProsody and
# for Ejabberd.
PROSODY_PRIVILEGE: dict[str, Any] = {
    "modules": ("privilege", "blocklist", "carbons", "pep"),
    "component_modules": ("privilege",),
    "extra_host": "privileged_entities = {"
    + "".join(
        f'["{jid}"] = {{ roster = "both"; message = "outgoing"; presence = "managed_entity" }}; '
        for jid in (MAIL, SMS)
    )
    + "}",
}
EJABBERD_PRIVILEGE = """
  mod_privilege:
    roster: { both: gateways }
    message: { outgoing: gateways }
    presence: { managed_entity: gateways }
"""
EJABBERD_BLOCKING = """
  mod_privacy: {}
  mod_blocking: {}
"""

AFTER_CRASH = 40.0  # seconds for what must find its way after something was killed


class MailServer:
    """Everybody's mail server: one port for good; it may be away for a while. Keeps what it took."""

    def __init__(self) -> None:
        self._held = HeldPorts(1)
        self.port = self._held.numbers[0]
        self.mails: list[Received] = []
        self._changed = asyncio.Condition()
        self._open: AsyncExitStack | None = None
        self.now: Smarthost = Smarthost()

    async def come(self, **scripts: Any) -> Smarthost:
        """Listen, and answer by these scripts (tests.support.mail.Smarthost)."""
        await self.go()
        self._open = AsyncExitStack()
        options = {"port": self.port, "mails": self.mails, "changed": self._changed, **scripts}
        self.now = await self._open.enter_async_context(smarthost(**options))
        return self.now

    async def go(self) -> None:
        """Connections are refused from now on, and those that were there are cut."""
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    async def close(self) -> None:
        await self.go()
        self._held.release()

    def texts(self, recipient: str = "") -> list[str]:
        """What mails newly say, in the order in which they came; each Message-ID once."""
        seen: dict[str, str] = {}
        for mail in self.mails:
            if not recipient or recipient in mail.recipients:
                written = _QUOTE.split(mail.text, maxsplit=1)[0]
                seen.setdefault(str(mail.message["Message-ID"]), written.strip())
        return list(seen.values())

    async def arrived(self, *texts: str, to: str = "", within: float = 10.0) -> None:
        """Wait until these texts are there."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: set(texts) <= set(self.texts(to)))


@dataclass
class World:
    server: PrivateProsody | Ejabberd
    gateway: GatewayProcess
    mail: MailServer
    carrier: TwilioStandIn
    contract: twilio_contract.Report
    users: AsyncExitStack
    expected_errors: list[str] = field(default_factory=list)  # words of log lines at level error

    # --- people ---

    async def user(
        self, name: str = "mira", *, on: tuple[str, ...] = (MAIL, SMS), **options: Any
    ) -> ChatUser:
        """Somebody with an account and a client, registered with these transports."""
        person = await asyncio.to_thread(new_user, self.server, name, **options)
        await self.users.enter_async_context(person)
        for transport in on:
            await person.register(transport, name=name.capitalize())
        return person

    def address_of(self, user: ChatUser) -> str:
        return f"{user.bare.partition('@')[0]}@{MAIL_DOMAIN}"

    async def number_of(self, user: ChatUser) -> str:
        return (await user.registration_form(SMS))["phone"]

    async def write_mail(
        self, user: ChatUser, text: str, sender: str = ALICE, *, message_id: str = "", subject: str = "Hello"
    ) -> None:
        """A mail for a user, handed in as a mail server does; returns after the 250."""
        mail = letter(sender, self.address_of(user), text, message_id=message_id, subject=subject)
        await self.hand_in(user, mail, sender)

    async def hand_in(self, user: ChatUser, mail: EmailMessage, sender: str = ALICE) -> None:
        """Any mail for a user; returns after the 250."""
        refused = await asyncio.to_thread(
            hand_in, self.gateway.smtp_port, sender, [self.address_of(user)], bytes(mail)
        )
        assert refused == {}

    # --- the gateway and the XMPP server ---

    async def kill(self) -> None:
        await asyncio.to_thread(self.gateway.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self.gateway.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.gateway.stop)

    async def passerelle(self, *words: str, status: int = 0) -> str:
        """What a command prints, beside the running gateway."""
        process = await asyncio.create_subprocess_exec(
            *self.gateway.command_line(*words),
            env=dict(self.gateway.environment()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        # A command imports for a second: several at once beside other tests on two cores take their time.
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert process.returncode == status, errors.decode()
        return (output + errors).decode()

    async def queue(self) -> list[list[str]]:
        """`passerelle queue list`: the columns of each line."""
        return [line.split("\t") for line in (await self.passerelle("queue", "list")).splitlines()]

    async def page(self, path: str) -> tuple[int, str]:
        """A page of the admin listener."""
        url = f"http://{LOOPBACK}:{self.gateway.admin_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        _, text = await self.page("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until(self, holds: Callable[[], Any], within: float = 10.0) -> None:
        """Ask again until it holds: for what tells nobody when it changes."""
        async with asyncio.timeout(within):
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    if await holds():
                        return
                await asyncio.sleep(0.05)

    async def ready(self, within: float = AFTER_CRASH) -> None:
        """Until /readyz says so."""

        async def says_so() -> bool:
            return (await self.page("/readyz"))[0] == 200

        await self.until(says_so, within)

    async def deliveries(self, outlet: str, fate: str, at_least: int) -> None:
        """Until so many attempts have ended so."""

        async def there() -> bool:
            return await self.metric("passerelle_deliveries_total", outlet=outlet, fate=fate) >= at_least

        await self.until(there)

    @property
    def log(self) -> str:
        return (self.gateway.folder / "output.log").read_text(encoding="utf-8")

    def assert_no_surprises(self) -> None:
        """Nothing that Twilio would refuse was asked of it, and nothing broke that nobody foresaw."""
        assert self.contract.faults == []
        errors = [line for line in self.log.splitlines() if "level=error" in line or "Traceback" in line]
        surprises = [line for line in errors if not any(words in line for words in self.expected_errors)]
        assert surprises == []


@asynccontextmanager
async def world(
    server: PrivateProsody | Ejabberd,
    *,
    run: bool = True,
    allow: tuple[str, ...] = (),
    settings: str = "",
    extra: str = "",
    carrier: Mapping[str, Any] | None = None,
    sms: Mapping[str, Any] | None = None,
    strangers: str = "everyone",
    mail: str = "",
) -> AsyncIterator[World]:
    """All of it, started; undone at the end. With `run=False` the gateway has its settings only.

    `allow`, `settings` (its `gateway`), `extra`, `strangers` and `mail` are GatewayProcess's, `carrier`
    are the stand-in's options.
    """
    async with AsyncExitStack() as stack:
        contract = twilio_contract.Report()
        mail_server = MailServer()
        stack.push_async_callback(mail_server.close)
        await mail_server.come()
        gateway = GatewayProcess(
            numbers=NUMBERS,
            allow=allow,
            gateway=settings,
            extra=extra,
            strangers=strangers,
            mail=mail,
            sms=sms,
        )
        stack.callback(gateway.close)
        hooks = dict.fromkeys(NUMBERS, gateway.hook)
        twilio = TwilioStandIn(ACCOUNT_SID, AUTH_TOKEN, hooks, check=contract.check, **(carrier or {}))
        api_url = await stack.enter_async_context(twilio.running())
        gateway.connect(FarEnds(server, MAIL, SMS, mail_server.port, api_url))
        gateway.prepare()
        stack.push_async_callback(asyncio.to_thread, gateway.stop)
        if run:
            await asyncio.to_thread(gateway.start)
        users = await stack.enter_async_context(AsyncExitStack())
        here = World(server, gateway, mail_server, twilio, contract, users)
        try:
            yield here
            here.assert_no_surprises()
        finally:
            sys.stdout.write(gateway.log_tail(60))  # pytest shows it when the walk fails


def chat_with(*people: str) -> str:
    """The JID of a chat with these (addresses, with or without a name), as a user may type it."""
    return mail_contact(",".join(sorted(address for _, address in getaddresses(people))))


def letter(
    sender: str, recipient: str, text: str, *, message_id: str = "", subject: str = "Hello"
) -> EmailMessage:
    """A plain mail, as a mail program writes it."""
    mail = EmailMessage()
    mail["From"] = f"Alice Berg <{sender}>" if sender == ALICE else sender
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = message_id or make_msgid(domain=sender.partition("@")[2])
    mail.set_content(text + "\n")
    return mail


def children(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found
