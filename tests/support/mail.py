"""Mail's far ends for tests: a smarthost that answers by script, and small words with our listener."""

import asyncio
import email
import email.policy
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

HANG_UP = "hang up"  # instead of an answer
SAY_NOTHING = "say nothing"
PIPELINING = False  # whether smarthosts offer it (RFC 2920)

Script = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    connection: int  # which of the connections brought it, from 1
    options: tuple[str, ...] = ()

    @property
    def message(self) -> EmailMessage:
        read = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        return read

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return str(body.get_content()) if body is not None else ""


@dataclass
class Smarthost:
    """Takes mail over real SMTP and keeps it. What a script answers goes to the client instead of 250.

    Scripts see the argument of their command: an address, or for `on_data` the mail's text.
    """

    host: str = "127.0.0.1"
    port: int = 0
    on_mail: Script = field(default=lambda address: None)
    on_rcpt: Script = field(default=lambda address: None)
    on_data: Script = field(default=lambda text: None)
    after_data: Script = field(default=lambda text: None)  # the mail is kept, then this happens
    latency: Callable[[], float] = field(default=lambda: 0.0)  # seconds before a mail's content is judged
    greeting: str = ""  # instead of 220
    login: tuple[str, str] | None = None
    mails: list[Received] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_at_once: int = 0
    commands: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def arrived(self, count: int, within: float = 10.0) -> list[Received]:
        """Wait until so many mails are there."""
        await self.until(lambda: len(self.mails) >= count, within)
        return self.mails

    async def until(self, holds: Callable[[], bool], within: float = 10.0) -> None:
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(holds)

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # --- aiosmtpd's hooks ---

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *(["250-PIPELINING"] if PIPELINING else []), responses[-1]]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = await self._scripted(server, self.on_mail(address))
        if answer is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = await self._scripted(server, self.on_rcpt(address))
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        text = envelope.original_content.decode("utf-8", "replace")
        await asyncio.sleep(self.latency())
        answer = await self._scripted(server, self.on_data(text))
        if answer is not None:
            return answer
        self.mails.append(
            Received(
                envelope.mail_from,
                tuple(envelope.rcpt_tos),
                envelope.original_content,
                server.number,
                tuple(envelope.mail_options),
            )
        )
        await self.notify()
        return await self._scripted(server, self.after_data(text)) or "250 2.0.0 OK"

    async def _scripted(self, server: Any, answer: str | None) -> str | None:
        if answer == HANG_UP:
            server.transport.abort()
            await asyncio.Event().wait()  # until aiosmtpd notices, and cancels
        if answer == SAY_NOTHING:
            await asyncio.Event().wait()
        return answer


class _Server(SMTP):
    number = 0

    def __init__(self, smarthost: Smarthost, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._smarthost = smarthost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._original_transport is None:
            self._smarthost.connections += 1
            self._smarthost.open_now += 1
            self._smarthost.most_at_once = max(self._smarthost.most_at_once, self._smarthost.open_now)
            self.number = self._smarthost.connections
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._smarthost.open_now -= 1
        super().connection_lost(error)

    async def push(self, status: Any) -> None:
        if self._smarthost.greeting and isinstance(status, str) and status.startswith("220 "):
            status = self._smarthost.greeting
        await super().push(status)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
        self._smarthost.commands.append(f"EHLO {hostname}")
        await super().smtp_EHLO(hostname)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        self._smarthost.commands.append("QUIT")
        await self._smarthost.notify()
        await super().smtp_QUIT(arg)


@asynccontextmanager
async def smarthost(
    *,
    port: int = 0,
    smtputf8: bool = False,
    login: tuple[str, str] | None = None,
    starttls: ssl.SSLContext | None = None,
    implicit_tls: ssl.SSLContext | None = None,
    size: int = 2**25,
    **scripts: Any,
) -> AsyncIterator[Smarthost]:
    """A smarthost on a port of its own."""
    one = Smarthost(login=login, **scripts)
    servers: list[_Server] = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == one.login, handled=False)

    def protocol() -> _Server:
        server = _Server(
            one,
            one,
            enable_SMTPUTF8=smtputf8,
            data_size_limit=size,
            hostname="smarthost.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=starttls is not None,  # what it knows of TLS is STARTTLS
            auth_required=login is not None and starttls is not None,
            authenticator=authenticate,
            loop=asyncio.get_running_loop(),
        )
        servers.append(server)
        return server

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, ssl=implicit_tls)
    one.port = listener.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        listener.close()
        tasks = [server._handler_coroutine for server in servers if server._handler_coroutine is not None]
        for server in servers:
            if server.transport is not None:
                server.transport.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


@contextmanager
def client(port: int, *, lmtp: bool = False) -> Iterator[smtplib.SMTP]:
    """Python's own SMTP client, greeted. Blocks: use it in a thread."""
    session = (smtplib.LMTP if lmtp else smtplib.SMTP)("127.0.0.1", port, timeout=10)
    try:
        session.ehlo_or_helo_if_needed()
        yield session
    finally:
        session.close()


def hand_in(port: int, sender: str, recipients: list[str], raw: bytes) -> dict[str, tuple[int, bytes]]:
    """Send one mail as a mail server would. Answers the recipients that were refused."""
    with client(port) as session:
        return session.sendmail(sender, recipients, raw)
