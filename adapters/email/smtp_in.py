"""Takes mail from mail servers, by SMTP or LMTP: records it first, and says 250 after that.

Reads envelopes only; what a mail says is read later, in a worker. Never a relay: only our own lines
are recipients.
"""

import asyncio
import ipaddress
import logging
import re
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Session, syntax
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from adapters.email import addresses, authenticity, spam
from adapters.email.authenticity import Outcome, Verdict
from bridge.model import Envelope
from bridge.ports import Inbox

log = structlog.get_logger()

# aiosmtpd writes every address and command there.
logging.getLogger("mail.log").setLevel(logging.ERROR)

_OUR_FAULT = "451 4.3.0 Something went wrong here. Please try again later"
_BUSY = "421 4.7.0 Too many connections from you. Please try again later"
_FULL_HOUSE = "421 4.3.2 Too many connections. Please try again later"
_CLOSING = "421 4.3.2 Going down. Please try again later"
_STRANGER = "554 5.7.1 This host takes mail from its own relays only"
_UNPROVEN = "550 5.7.26 Nothing proves that this comes from its sender: neither SPF nor DKIM is aligned"
_UNCHECKED = "451 4.7.24 The sender could not be checked now. Please try again later"
_NO_ROOM = "452 4.3.1 Too much mail at a time. Please try again later"
_TOO_LARGE = "552 5.3.4 This mail is larger than we take"
_OUR_WORDS = {"552 Error: message size exceeds fixed maximum message size": _TOO_LARGE}
_ODD_IN_PATH = re.compile(r'[\s"<\\:,()]')
_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener bears. Times in seconds."""

    message_bytes: int = 25 * 1_000_000
    all_bytes: int = 200 * 1_000_000  # of mails that are being received, together
    recipients: int = 100
    connections: int = 100
    connections_each: int = 30  # from one address
    silence: float = 300.0  # RFC 5321 section 4.5.3.2.7; also the most that one DATA may last
    farewell: float = 5.0  # for mails in the middle of being recorded, at a stop


@dataclass(frozen=True, slots=True)
class Door:
    """Who may hand mail over, for whom, and by which protocol."""

    transport: str
    domains: tuple[str, ...]
    trusted: tuple[str, ...] = ()
    lmtp: bool = False
    limits: Limits = field(default_factory=Limits)
    authserv_id: str = ""  # whose Authentication-Results are believed in mail from relays
    verifies: bool = False  # takes mail from anybody, and checks the sender
    refuses: bool = False  # what fails the check, instead of marking it
    tells_spam: bool = False  # whether relays' word on spam counts

    def admits(self, peer: str) -> bool:
        """Relays always; others only if senders are checked."""
        return self.verifies or self.relays(peer)

    def relays(self, peer: str) -> bool:
        """Whether a host hands over what it has checked itself: loopback, and those that are named."""
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return address.is_loopback or any(address in ipaddress.ip_network(one) for one in self.trusted)


class Check(Protocol):
    """Whether a mail comes from whom it says. Must not raise."""

    async def __call__(self, raw: bytes, peer: str, helo: str, sender: str) -> Verdict: ...


class Hooks(Protocol):
    """What aiosmtpd calls. It finds hooks by their names, and a misspelt one is silently never called."""

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope, hostname: str, responses: list[str]
    ) -> list[str]: ...

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str: ...

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope
    ) -> str: ...

    async def handle_exception(self, error: Exception) -> str: ...


class Handler:
    """Decides about recipients, and records."""

    def __init__(
        self, inbox: Inbox, door: Door, clock: Callable[[], float], check: Check | None = None
    ) -> None:
        self._inbox = inbox
        self._door = door
        self._clock = clock
        self._check = check

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # aiosmtpd reads one command after the other from its buffer, which is all that RFC 2920 asks.
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._door.limits.recipients:
            return "452 4.5.3 Too many recipients. Send the rest in another mail"
        line = await self._line_of(address)
        if line is None:
            domain = address.rpartition("@")[2].lower()
            if domain in self._door.domains:
                return "550 5.1.1 Nobody has this address here. Please check the spelling"
            return "550 5.7.1 This host does not pass mail on to other domains"
        envelope.rcpt_tos.append(line)
        if line != address:
            envelope.rcpt_options.append(f"{line} {address}")
        return "250 2.1.5 OK"

    async def _line_of(self, address: str) -> str | None:
        """The line that an envelope recipient belongs to. What follows a plus may be a token of ours."""
        try:
            asked = addresses.canonical(address)
        except addresses.NotAnAddress:
            return None
        base = addresses.without_token(asked)
        if addresses.is_always_taken(base, self._door.domains):
            return base
        for one in dict.fromkeys((asked, base)):
            if await self._inbox.knows(one):
                return one
        return None

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: SmtpEnvelope
    ) -> str:
        raw = envelope.original_content
        if raw is None:
            return _OUR_FAULT
        spelled = dict(option.split(" ", 1) for option in envelope.rcpt_options)
        told = {f"rcpt:{line}": _readable(address) for line, address in spelled.items()}
        sender = _readable((envelope.mail_from or "").strip("<>"))
        try:
            refusal = await self._judge(raw, sender, session, told)
            if refusal:
                return refusal
            await self._inbox.take_in(
                raw,
                Envelope(
                    transport=self._door.transport,
                    sender=sender,
                    recipients=tuple(dict.fromkeys(envelope.rcpt_tos)),
                    received_at=self._clock(),
                    peer=peer_of(session),
                    headers=told,
                ),
            )
        except Exception as error:
            # Here and not in handle_exception: aiosmtpd takes a ConnectionResetError, a database's
            # perhaps, for its own client's.
            return await self.handle_exception(error)
        return "250 2.0.0 OK, recorded"

    async def _judge(self, raw: bytes, sender: str, session: Session, told: dict[str, str]) -> str:
        """Check the sender and write what came of it into `told`. Answers a refusal, or "".

        What a relay hands over is never refused for that: its bounce would go to a forged sender.
        """
        peer = peer_of(session)
        if self._door.relays(peer):
            if self._door.tells_spam:
                told[spam.BELIEVE] = "yes"
            if self._door.authserv_id:
                told[authenticity.BELIEVE] = self._door.authserv_id
            return ""
        if self._check is None:
            return ""
        verdict = await self._check(raw, peer, str(session.host_name or ""), sender)
        if verdict.outcome is Outcome.LATER:
            return _UNCHECKED
        if verdict.outcome is Outcome.FAIL and self._door.refuses:
            return _UNPROVEN
        told[authenticity.VERDICT] = authenticity.pack(verdict)
        return ""

    async def handle_exception(self, error: Exception) -> str:
        # No traceback: a database's error may quote the mail.
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        log.error("mail not taken", error=type(error).__name__, where=where)
        return _OUR_FAULT


def _readable(address: str) -> str:
    """An address without the surrogates by which aiosmtpd keeps octets that are no UTF-8."""
    return address.encode("utf-8", "replace").decode()


def peer_of(session: Session) -> str:
    """The address of the host at the other end."""
    peer: Any = session.peer
    return str(peer[0]) if isinstance(peer, (tuple, list)) and peer else ""


class House:
    """All connections of one listener: how many there are, and how much they hold."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.held = 0  # bytes of mails that are being received
        self.closing = False
        self.quiet = asyncio.Event()  # set while no mail is being received or recorded
        self.quiet.set()
        self._busy = 0
        self._by_peer: Counter[str] = Counter()
        self._inside: dict[asyncio.BaseTransport, asyncio.Task[Any]] = {}

    def refusal(self, peer: str) -> str:
        """Why this peer may not come in; empty if it may."""
        limits = self.door.limits
        if self.closing:
            return _CLOSING
        if not self.door.admits(peer):
            return _STRANGER
        if len(self._inside) >= limits.connections:
            return _FULL_HOUSE
        return _BUSY if self._by_peer[peer] >= limits.connections_each else ""

    def too_much(self, size: int, more: int) -> str:
        """What to answer to a mail of this size so far, of which so much has just come; empty: go on."""
        if size > self.door.limits.message_bytes + len(_END):
            return _TOO_LARGE
        return _NO_ROOM if self.held + more > self.door.limits.all_bytes else ""

    @contextmanager
    def visit(self, peer: str, transport: asyncio.BaseTransport) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a visit takes place in a task")
        self._inside[transport] = task
        self._by_peer[peer] += 1
        try:
            yield
        finally:
            del self._inside[transport]
            self._by_peer[peer] -= 1
            self._by_peer += Counter()  # forget those who are at nought

    @contextmanager
    def receiving(self) -> Iterator[None]:
        self._busy += 1
        self.quiet.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self.quiet.set()

    async def empty(self) -> None:
        """Let mails that are being recorded finish for a while, then close every connection."""
        self.closing = True
        try:
            await asyncio.wait_for(self.quiet.wait(), self.door.limits.farewell)
        except TimeoutError:
            log.warning("mails cut off at the stop; their servers will send them again")
        tasks = list(self._inside.values())
        for transport in list(self._inside):
            transport.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Smtp(SMTP):
    """What we change in aiosmtpd: who comes in, how a mail's content is read, and some of its words.

    Its own reading keeps an object for each line, so that 25 MB of empty lines fill a gigabyte, and
    refuses a whole mail for one line over 1,000 bytes; ours keeps one buffer and takes any line.
    """

    house: House
    one_answer_each = False
    line_length_limit = 65_536  # here: how much is read at a time

    async def push(self, status: Any) -> None:
        await super().push(_OUR_WORDS.get(status, status))

    async def _handle_client(self) -> None:
        if self.session is None or self.transport is None:
            return
        peer = peer_of(self.session)
        refusal = self.house.refusal(peer)
        # A peer that leaves in the middle of an answer is nobody's fault.
        with suppress(ConnectionError):
            if refusal:
                await self.push(refusal)
                self.transport.close()
                return
            with self.house.visit(peer, self.transport):
                await super()._handle_client()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A path in angle brackets and what follows it. The library's way costs 60 µs, and does not
        know `<postmaster>` without a domain (RFC 5321 section 4.5.1)."""
        path, bracket, rest = arg.partition(">")
        address = path[1:]
        if bracket and path.startswith("<") and address.isascii() and not _ODD_IN_PATH.search(address):
            if not address:
                return "<>", rest.strip()
            if address.lower() == "postmaster":
                return f"{address}@{self.house.door.domains[0]}", rest.strip()
            if address.count("@") == 1:
                return address, rest.strip()
        return super()._getaddr(arg)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await self.check_helo_needed() or self.envelope is None:
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 No valid recipients")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        # One transaction records all of them, so each has the same answer.
        answers = len(self.envelope.rcpt_tos) if self.one_answer_each else 1
        with self.house.receiving():
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            content, answer = await self._read_content()
            try:
                if content is not None:
                    self.envelope.content = self.envelope.original_content = content
                    answer = await self._call_handler_hook("DATA")
            finally:
                self.envelope = self._create_envelope()
            await self.push("\r\n".join([_OUR_WORDS.get(answer, answer)] * answers))

    async def _read_content(self) -> tuple[bytes | None, str]:
        """The content, or None and what to answer instead.

        Only CRLF.CRLF ends it: a bare LF beside the dot is how mails are smuggled.
        """
        kept, size, refusal = bytearray(), 0, ""
        try:
            while not (kept.endswith(_END) or kept == _END[2:]):
                try:
                    piece = await self._reader.readuntil(_END[2:])
                except asyncio.LimitOverrunError as overrun:
                    piece = await self._reader.read(overrun.consumed)
                before = len(kept)
                kept += piece
                size += len(piece)
                refusal = refusal or self.house.too_much(size, len(piece))
                if refusal:
                    # Read on to the end without keeping it; the end may lie across two pieces. With
                    # an `x` in front, what is kept never looks like an empty content.
                    kept[:] = b"x" + kept[-len(_END) :]
                self.house.held += len(kept) - before
        finally:
            self.house.held -= len(kept)
        return (None, refusal) if refusal else (_without_dots(kept), "")


class _Lmtp(_Smtp, LMTP):
    """LHLO instead of EHLO, and after DATA an answer for each recipient (RFC 2033 section 4.2)."""

    one_answer_each = True


def _without_dots(content: bytearray) -> bytes:
    """What was sent, less the dots that SMTP put before dots (RFC 5321 section 4.5.2) and the last."""
    text = bytes(content[: -len(_END[2:])])
    if text.startswith(b"."):
        text = text[1:]
    return text.replace(b"\r\n.", b"\r\n") if b"\r\n." in text else text


@asynccontextmanager
async def listening(
    host: str, port: int, hooks: Hooks, door: Door, hostname: str
) -> AsyncIterator[Sequence[tuple[str, int]]]:
    """Listen; leaving it lets mails in the middle finish, and closes. Gives the (host, port)s that it has."""
    house = House(door)

    def protocol() -> SMTP:
        server = (_Lmtp if door.lmtp else _Smtp)(
            hooks,
            data_size_limit=door.limits.message_bytes,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="ready",
            timeout=door.limits.silence,
            loop=asyncio.get_running_loop(),
        )
        server.house = house
        return server

    server = await asyncio.get_running_loop().create_server(protocol, host, port, reuse_address=True)
    try:
        yield [socket.getsockname()[:2] for socket in server.sockets]
    finally:
        server.close()
        await house.empty()
        await server.wait_closed()
