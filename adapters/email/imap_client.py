"""A mailbox by IMAP: log in, look into a folder, fetch mails, mark them, wait for more.

Every call is bounded in time and octets, and raises ImapTrouble alone; after one the connection is of no
use any more, unless it was CommandRefused.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aioimaplib import aioimaplib as library

from adapters.email import imap_words
from adapters.email.imap_wire import Collecting, CommandRefused, ImapTrouble, LoginRefused, Wire

__all__ = ["Client", "CommandRefused", "ImapLogin", "ImapTrouble", "LoginRefused", "Selected", "connected"]

MOST_UIDS = 100  # in one FETCH: more make the answers slower, not the whole faster
_SLOWEST = 50_000.0  # octets per second that a fetch may come at
# RFC 5530: the login itself may be all right.
_COME_AGAIN = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN", "ALERT"})

# Host → the address to connect to. Raises ImapTrouble for one that may not be reached.
Resolve = Callable[[str], Awaitable[str]]


async def by_name(host: str) -> str:
    """Leave finding the address to the system."""
    return host


@dataclass(frozen=True, slots=True)
class ImapLogin:
    """Where a mailbox is and how it is opened. Times in seconds."""

    host: str
    port: int
    tls: str  # none, starttls, implicit
    username: str
    password: str = field(repr=False)
    method: str = "password"  # or "xoauth2": the password is an access token
    patience: float = 30.0  # for connecting, and for each command
    most_octets: int = 64 << 20  # that one command may bring
    tls_context: ssl.SSLContext | None = None  # None: the system's authorities
    resolve: Resolve = by_name

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as SELECT describes it."""

    validity: int
    next_uid: int | None


class Client:
    """One mailbox, logged in."""

    def __init__(self, wire: Wire, patience: float) -> None:
        self._wire = wire
        self._patience = patience

    def has(self, capability: str) -> bool:
        return capability in self._wire.capabilities

    async def _run(self, name: str, *args: str, patience: float = 0.0) -> library.Command:
        command = library.Command(name, self._wire.new_tag(), *args)
        return await self._wire.ask(command, patience or self._patience)

    async def _collect(
        self, name: str, *args: str, by_uid: bool = False, patience: float = 0.0
    ) -> Sequence[imap_words.Pieces]:
        command = Collecting(name, self._wire.new_tag(), *args, prefix="UID" if by_uid else None)
        await self._wire.ask(command, patience or self._patience)
        return command.answers

    async def folders(self) -> list[imap_words.Folder]:
        extra = ("RETURN", "(SPECIAL-USE)") if self.has("SPECIAL-USE") and self.has("LIST-EXTENDED") else ()
        answers = await self._collect("LIST", '""', '"*"', *extra)
        return [found for one in answers if (found := imap_words.folder_listed(one)) is not None]

    async def select(self, folder: str) -> Selected:
        """Look into a folder. Raises CommandRefused if there is none of this name."""
        name = imap_words.quoted(imap_words.to_utf7(folder))
        lines = (await self._run("SELECT", name)).response.lines
        self._wire.state = library.SELECTED
        told = {key: _number(lines, key) for key in (b"UIDVALIDITY", b"UIDNEXT")}
        validity = told[b"UIDVALIDITY"]
        if validity is None:
            raise ImapTrouble(f"{self._wire.where} gives mails no lasting numbers (UIDVALIDITY)")
        return Selected(validity, told[b"UIDNEXT"])

    async def noop(self) -> None:
        await self._run("NOOP")

    async def search(self, *criteria: str) -> list[int]:
        """UIDs, ascending. Without CHARSET: our criteria are ASCII, and servers refuse what they need not
        know."""
        return imap_words.uids_found(await self._collect("SEARCH", *criteria, by_uid=True))

    async def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Octets by UID; what is gone is left out."""
        answers = await self._collect("FETCH", imap_words.uid_set(uids), "(UID RFC822.SIZE)", by_uid=True)
        return imap_words.sizes_told(answers)

    async def fetch(self, uids: Sequence[int], octets: int, section: str = "") -> dict[int, bytes]:
        """Mails by UID, unread as before; what is gone is left out. `octets` is about how much that is.

        `section` is what stands in BODY.PEEK[…].
        """
        patience = self._patience + octets / _SLOWEST
        asked = f"(UID BODY.PEEK[{section}])"
        answers = await self._collect(
            "FETCH", imap_words.uid_set(uids), asked, by_uid=True, patience=patience
        )
        return imap_words.bodies_fetched(answers)

    async def mark_seen(self, uids: Sequence[int]) -> None:
        await self._collect("STORE", imap_words.uid_set(uids), "+FLAGS.SILENT", r"(\Seen)", by_uid=True)

    async def create(self, folder: str) -> None:
        await self._run("CREATE", imap_words.quoted(imap_words.to_utf7(folder)))

    async def append(self, folder: str, raw: bytes) -> None:
        """Put a mail into a folder, as read (RFC 3501 section 6.3.11)."""
        self._wire.literal = raw
        name = imap_words.quoted(imap_words.to_utf7(folder))
        patience = self._patience + len(raw) / _SLOWEST
        await self._run("APPEND", name, r"(\Seen)", f"{{{len(raw)}}}", patience=patience)

    async def idle(self, seconds: float, woken: asyncio.Event) -> None:
        """Wait until the folder changes, `woken` is set, or so many seconds have passed (RFC 2177)."""
        if not self.has("IDLE"):
            await _first_of(woken, self._wire.pushed, within=min(seconds, 60.0))
            self._wire.pushed.clear()
            return
        command = library.IdleCommand(self._wire.new_tag(), asyncio.Queue())
        self._wire._idle_event.clear()
        self._wire.pushed.clear()
        idling = asyncio.create_task(self._wire.ask(command, seconds + 3 * self._patience))
        begun = asyncio.create_task(self._wire.wait_idling())
        try:
            await asyncio.wait([idling, begun], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if begun.done() and not idling.done():
                await _first_of(woken, self._wire.pushed, within=seconds)
                if self._wire.lost is None:
                    self._wire.idle_done()
            async with asyncio.timeout(self._patience):
                await asyncio.shield(idling)
        except TimeoutError as error:
            raise ImapTrouble(f"{self._wire.where} does not end IDLE") from error
        finally:
            for task in (begun, idling):
                task.cancel()
            await asyncio.gather(begun, idling, return_exceptions=True)

    # --- coming in ---

    async def _greeted(self, login: ImapLogin, context: ssl.SSLContext | None) -> None:
        async with asyncio.timeout(login.patience):
            await asyncio.shield(self._wire.greeted)
        await self._learn_capabilities()
        if login.tls == "starttls":
            if not self.has("STARTTLS"):
                raise ImapTrouble(f"{login.where} offers no STARTTLS: use implicit TLS (port 993)")
            await self._run("STARTTLS")
            assert context is not None
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(login.patience):
                transport = await loop.start_tls(
                    cast(asyncio.WriteTransport, self._wire.transport),
                    self._wire,
                    context,
                    server_hostname=login.host,
                )
            if transport is None:
                raise ImapTrouble(f"{login.where} broke off while TLS began")
            self._wire.start_afresh(transport)
            await self._learn_capabilities()

    async def _learn_capabilities(self) -> None:
        answers = await self._collect("CAPABILITY")
        words = {word for one in answers for word in bytes(one[0]).decode("ascii", "replace").upper().split()}
        self._wire.capabilities = words

    async def _log_in(self, login: ImapLogin) -> None:
        if self._wire.state == library.AUTH:  # PREAUTH
            return
        try:
            await self._authenticate(login)
        except CommandRefused as error:
            if imap_words.code_of(str(error)) in _COME_AGAIN:
                raise ImapTrouble(f"{login.where} takes no logins just now: {error}") from error
            raise LoginRefused(f"{login.where} refused the login: {error}") from error
        self._wire.state = library.AUTH
        await self._learn_capabilities()  # there are more of them now, at many servers

    async def _authenticate(self, login: ImapLogin) -> None:
        is_plain = f"{login.username}{login.password}".isascii()
        if login.method == "xoauth2":
            token = f"user={login.username}\1auth=Bearer {login.password}\1\1"
            await self._sasl("XOAUTH2", token)
        elif self.has("AUTH=PLAIN") and (not is_plain or self.has("LOGINDISABLED")):
            await self._sasl("PLAIN", f"\0{login.username}\0{login.password}")
        elif self.has("LOGINDISABLED"):
            raise ImapTrouble(f"{login.where} takes no passwords on this connection: use TLS")
        else:
            try:
                await self._run("LOGIN", imap_words.quoted(login.username), imap_words.quoted(login.password))
            except ValueError as error:
                raise LoginRefused("the name or the password has a line break in it") from error

    async def _sasl(self, mechanism: str, answer: str) -> None:
        encoded = b64encode(answer.encode())
        if self.has("SASL-IR"):
            await self._run("AUTHENTICATE", mechanism, encoded.decode("ascii"))
            return
        self._wire.sasl = encoded
        await self._run("AUTHENTICATE", mechanism)


@asynccontextmanager
async def connected(login: ImapLogin) -> AsyncIterator[Client]:
    """A mailbox, logged in; leaving it hangs up. Raises ImapTrouble, LoginRefused."""
    context = None if login.tls == "none" else login.tls_context or ssl.create_default_context()
    wire = await _dial(login, context)
    client = Client(wire, login.patience)
    try:
        try:
            await client._greeted(login, context)
            await client._log_in(login)
        except (OSError, TimeoutError) as error:
            raise _unreachable(login, error) from error
        yield client
    finally:
        wire.say_goodbye()


async def _dial(login: ImapLogin, context: ssl.SSLContext | None) -> Wire:
    loop = asyncio.get_running_loop()
    implicit: dict[str, Any] = (
        {"ssl": context, "server_hostname": login.host} if login.tls == "implicit" else {}
    )
    try:
        async with asyncio.timeout(login.patience):
            address = await login.resolve(login.host)
            _, wire = await loop.create_connection(
                lambda: Wire(login.where, login.most_octets), address, login.port, **implicit
            )
    except (OSError, TimeoutError) as error:
        raise _unreachable(login, error) from error
    return wire


def _unreachable(login: ImapLogin, error: Exception) -> ImapTrouble:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ImapTrouble(f"the certificate of {login.host} is not valid: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return ImapTrouble(f"no TLS with {login.where}: check the port and the kind of TLS")
    if isinstance(error, TimeoutError):
        return ImapTrouble(f"{login.where} did not answer in time: check the host and the port")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ImapTrouble(f"cannot connect to {login.where}: {reason}")


async def _first_of(*events: asyncio.Event, within: float) -> None:
    """Until one of these is set, for at most so many seconds."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _number(lines: Sequence[bytes], key: bytes) -> int | None:
    """The number of a response code such as [UIDVALIDITY 7]."""
    for line in lines:
        _, found, rest = bytes(line).partition(b"[" + key + b" ")
        digits = rest.partition(b"]")[0].strip()
        if found and digits.isdigit():
            return int(digits)
    return None
