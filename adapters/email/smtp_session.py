"""The wire of an SMTP session that has been opened and logged in: commands out, replies in (RFC 5321).

Where the server offers PIPELINING (RFC 2920) the commands of a group go in one write. aiosmtplib opens the
session, with its TLS and its logins; from then on it is ours, because aiosmtplib reads one reply for each
write, and its way through a mail costs four round trips.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.email.replies import Reply

_MOST_BUFFERED = 64 * 1024  # bytes of replies that nobody has asked for, or that never end
_STUFFED = re.compile(rb"(?m)^\.")
_PROHIBITED = re.compile(rb"[\x00-\x1f\x7f]")


class ConnectionLost(Exception):
    """The connection is gone, or what came over it was no SMTP, or nothing came in time."""


@dataclass(slots=True, eq=False)
class _Asked:
    """Replies that are waited for, in order."""

    count: int
    within: float  # seconds for each
    answered: asyncio.Future[None]
    heard: list[Reply] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Session(asyncio.Protocol):
    """One connection, as the protocol of its transport."""

    def __init__(self, transport: asyncio.Transport, extensions: Sequence[str]) -> None:
        self.extensions = frozenset(one.lower() for one in extensions)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Asked] = deque()
        self._rest = b""  # the beginning of a line
        self._lines: list[bytes] = []
        self._room = asyncio.Event()
        self._room.set()
        self._lost = False

    @property
    def open(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        self._fail("the connection was closed")
        self._transport.abort()

    # --- speaking ---

    async def command(self, line: bytes, within: float) -> Reply:
        """Send one command; its reply. Raises ConnectionLost."""
        (reply,) = await self.commands([line], within)
        return reply

    async def commands(self, lines: Sequence[bytes], within: float) -> list[Reply]:
        """Send commands in one write, which only a server that pipelines may get; their replies, in order.
        Seconds are for each reply. A server that says 421 and leaves owes no more replies. Raises
        ConnectionLost, and ValueError for what is no command."""
        if any(_PROHIBITED.search(line) for line in lines):
            raise ValueError("a command holds a control character")
        asked = self._ask(len(lines), within)
        self._transport.write(b"\r\n".join((*lines, b"")))
        try:
            await self._answer(asked)
        except ConnectionLost:
            if not any(reply.code == 421 for reply in asked.heard):
                raise
        return asked.heard

    async def content(self, raw: bytes, within: float) -> Reply:
        """Send a mail after the 354; the reply to it. Raises ConnectionLost."""
        asked = self._ask(1, within)
        ending = b".\r\n" if raw.endswith(b"\r\n") or not raw else b"\r\n.\r\n"
        self._transport.write(_STUFFED.sub(b"..", raw) + ending)
        if not self._room.is_set():
            await self._drained(within)
        await self._answer(asked)
        return asked.heard[0]

    async def _drained(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._room.wait()
        except TimeoutError as error:
            self.close()
            raise ConnectionLost("the server stopped reading") from error

    def _ask(self, count: int, within: float) -> _Asked:
        if not self.open:
            raise ConnectionLost("the connection is closed")
        asked = _Asked(count, within, self._loop.create_future())
        self._waiting.append(asked)
        return asked

    async def _answer(self, asked: _Asked) -> None:
        """Wait until all of it is heard. A timer of our own: asyncio.timeout costs as much as the rest of
        a round trip."""
        if not asked.answered.done():
            asked.timer = self._loop.call_later(asked.within, self._too_late)
        try:
            await asked.answered
        except asyncio.CancelledError:
            self.close()  # a reply that is left behind would be taken for the next command's
            raise
        finally:
            if asked.timer is not None:
                asked.timer.cancel()

    def _too_late(self) -> None:
        self._fail("no reply in time")
        self._transport.abort()

    # --- hearing ---

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST_BUFFERED:
            self.close()
            return
        for line in lines:
            self._line(line.rstrip(b"\r"))
        if lines and self._waiting and (timer := self._waiting[0].timer) is not None:
            timer.cancel()
            asked = self._waiting[0]
            asked.timer = self._loop.call_later(asked.within, self._too_late)

    def _line(self, line: bytes) -> None:
        if not self._waiting or not line[:3].isdigit() or len(self._lines) > 100:
            self.close()  # it speaks without being asked (421 before it hangs up), or no SMTP
            return
        self._lines.append(line[4:].strip())
        if line[3:4] == b"-":
            return
        text = b"\n".join(self._lines).decode("utf-8", "replace")
        self._lines.clear()
        asked = self._waiting[0]
        asked.heard.append(Reply(int(line[:3]), text))
        if len(asked.heard) == asked.count:
            self._waiting.popleft()
            if not asked.answered.done():
                asked.answered.set_result(None)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the connection was lost")

    def _fail(self, why: str) -> None:
        self._lost = True
        self._room.set()
        while self._waiting:
            answered = self._waiting.popleft().answered
            if not answered.done():
                answered.set_exception(ConnectionLost(why))
                answered.exception()  # whoever asked may have been cancelled
