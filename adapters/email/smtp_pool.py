"""Connections to the smarthost: made when needed, used again, never more than so many at a time.

Connects, greets, logs in; knows nothing of mails.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import aiosmtplib
from aiosmtplib.errors import SMTPAuthenticationError, SMTPException, SMTPResponseException

from adapters.email.replies import shortened
from adapters.email.smtp_session import ConnectionLost, Session
from bridge.i18n import tr

_FAREWELL = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where our mail goes, and how patiently. All times in seconds."""

    host: str
    port: int
    tls: str = "none"  # none, starttls, implicit
    username: str = ""
    password: str = field(default="", repr=False)
    our_name: str = "localhost"  # for EHLO
    connect_timeout: float = 15.0
    command_timeout: float = 60.0
    data_timeout: float = 300.0  # RFC 5321 section 4.5.3.2.6 asks for ten minutes
    connections: int = 10
    mails_each: int = 100  # then it is closed: some servers count
    idle_seconds: float = 30.0
    tls_context: ssl.SSLContext | None = None  # None: the system's authorities


class NoConnection(Exception):
    """The smarthost could not be reached, or does not want us. The message is for a user.

    `remedy` is for the admin: what to look at.
    """

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.remedy = remedy


@dataclass(slots=True, eq=False)
class Connection:
    """A connection that is logged in. Its `client` opened it; mails go over `session()`."""

    client: aiosmtplib.SMTP
    mails: int = 0
    rested_at: float = 0.0
    _session: Session | None = None

    def session(self) -> Session:
        """The wire. Once it has been asked for, the client hears nothing any more. Raises ConnectionLost."""
        if self._session is None:
            transport = cast(asyncio.Transport | None, self.client.transport)
            if transport is None or not self.client.is_connected:
                raise ConnectionLost("the connection is closed")
            self._session = Session(transport, list(self.client.esmtp_extensions))
            transport.set_protocol(self._session)
        return self._session

    @property
    def open(self) -> bool:
        return self._session.open if self._session is not None else self.client.is_connected

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self.client.close()

    async def goodbye(self) -> None:
        """Leave as it is polite, without waiting long."""
        if self._session is None:
            with suppress(SMTPException, OSError):
                await self.client.quit(timeout=_FAREWELL)
        elif self._session.open:
            with suppress(ConnectionLost):
                await self._session.command(b"QUIT", _FAREWELL)
        self.close()

    @property
    def fresh(self) -> bool:
        """Whether it carried no mail yet, so that a loss is not just its age."""
        return self.mails == 0


class Pool:
    """Leases connections. One whose lease ends by an exception is closed, never given to another."""

    def __init__(self, smarthost: Smarthost, clock: Callable[[], float]) -> None:
        self._smarthost = smarthost
        self._clock = clock
        self._places = asyncio.Semaphore(smarthost.connections)
        self._resting: list[Connection] = []

    @asynccontextmanager
    async def lease(self, *, new: bool = False) -> AsyncIterator[Connection]:
        """A connection that is logged in. Raises NoConnection. `new` takes none that has rested."""
        async with self._places:
            connection = (None if new else self._rested()) or Connection(await _connect(self._smarthost))
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._put_back(connection)

    def _rested(self) -> Connection | None:
        while self._resting:
            connection = self._resting.pop()
            if connection.open:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection) -> None:
        if not connection.open or connection.mails >= self._smarthost.mails_each:
            connection.close()
            return
        connection.rested_at = self._clock()
        self._resting.append(connection)

    async def tidy(self) -> None:
        """Say goodbye to connections that have rested for too long. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._smarthost.idle_seconds / 2)
            oldest = self._clock() - self._smarthost.idle_seconds
            tired = [one for one in self._resting if one.rested_at <= oldest]
            self._resting = [one for one in self._resting if one.rested_at > oldest]
            await asyncio.gather(*(one.goodbye() for one in tired))

    async def close(self) -> None:
        """Say goodbye to all that rest."""
        resting, self._resting = self._resting, []
        await asyncio.gather(*(one.goodbye() for one in resting))


async def _connect(smarthost: Smarthost) -> aiosmtplib.SMTP:
    client = aiosmtplib.SMTP(
        hostname=smarthost.host,
        port=smarthost.port,
        username=smarthost.username or None,
        password=smarthost.password or None,
        local_hostname=smarthost.our_name,
        timeout=smarthost.command_timeout,
        use_tls=smarthost.tls == "implicit",
        start_tls=smarthost.tls == "starttls",
        tls_context=smarthost.tls_context,
    )
    try:
        await client.connect(timeout=smarthost.connect_timeout)
        if client.is_ehlo_or_helo_needed:
            await _greet(client)
    except (SMTPException, OSError, ssl.CertificateError, ValueError) as error:
        client.close()
        raise _no_connection(smarthost, error) from error
    return client


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


def _no_connection(smarthost: Smarthost, error: Exception) -> NoConnection:
    where = f"{smarthost.host}:{smarthost.port}"
    sentence = tr("Our mail server cannot be reached just now. It will be tried again automatically.")
    match error:
        case SMTPAuthenticationError():
            remedy = f"{where} refused our login ({error.code}): check username and password under outbound"
        case SMTPResponseException():
            remedy = f"{where} does not want us: {error.code} {shortened(error.message)}"
        case TimeoutError():
            remedy = f"{where} did not answer in time: check host and port under outbound, and the firewall"
        case _ if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            remedy = f"no TLS with {where}: {_cause(error)}. Check tls under outbound, and its certificate"
        case OSError():
            remedy = f"cannot connect to {where}: {_cause(error)}. Check host and port under outbound"
        case _:
            remedy = f"{where}: {shortened(str(error))} Check tls and username under outbound"
    return NoConnection(sentence, remedy)


def _cause(error: BaseException) -> str:
    root = error.__cause__ or error
    if isinstance(root, ssl.SSLCertVerificationError):
        return root.verify_message
    spoken = root.strerror if isinstance(root, OSError) else None
    return spoken or shortened(str(root)) or type(root).__name__
