"""The wire of an SMTP session that has been opened and logged in: commands out, replies in (RFC 5321).

Where the server offers PIPELINING (RFC 2920) the commands of a group go in one write. aiosmtplib opens the
session, with its TLS and its logins; from then on it is ours, because aiosmtplib reads one reply for each
write, and its way through a mail costs four round trips.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence

from adapters.email.replies import Reply

_MOST_BUFFERED = 64 * 1024  # bytes of replies that nobody has asked for, or that never end
_STUFFED = re.compile(rb"(?m)^\.")
_PROHIBITED = re.compile(rb"[\x00-\x1f\x7f]")


class ConnectionLost(Exception):
    """The connection is gone, or what came over it was no SMTP, or nothing came in time."""


class Session(asyncio.Protocol):
    """One connection, as the protocol of its transport."""

    def __init__(self, transport: asyncio.Transport, extensions: Sequence[str]) -> None:
        self.extensions = frozenset(one.lower() for one in extensions)
        self._transport = transport
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._room = asyncio.Event()
        self._room.set()
        self._lost = False

    @property
    def open(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        self._fail()
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
        expected = self._expect(len(lines))
        self._transport.write(b"".join(line + b"\r\n" for line in lines))
        heard: list[Reply] = []
        for one in expected:
            try:
                heard.append(await self._reply(one, within))
            except ConnectionLost:
                if any(reply.code == 421 for reply in heard):
                    break
                raise
        return heard

    async def content(self, raw: bytes, within: float) -> Reply:
        """Send a mail after the 354; the reply to it. Raises ConnectionLost."""
        (expected,) = self._expect(1)
        ending = b".\r\n" if raw.endswith(b"\r\n") or not raw else b"\r\n.\r\n"
        self._transport.write(_STUFFED.sub(b"..", raw) + ending)
        if not self._room.is_set():
            await self._drained(within)
        return await self._reply(expected, within)

    async def _drained(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._room.wait()
        except TimeoutError as error:
            self.close()
            raise ConnectionLost("the server stopped reading") from error

    def _expect(self, count: int) -> list[asyncio.Future[Reply]]:
        if not self.open:
            raise ConnectionLost("the connection is closed")
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in range(count)]
        self._waiting.extend(futures)
        return futures

    async def _reply(self, expected: asyncio.Future[Reply], within: float) -> Reply:
        if not expected.done():
            try:
                async with asyncio.timeout(within):
                    return await expected
            except TimeoutError as error:
                self.close()
                raise ConnectionLost("no reply in time") from error
            except BaseException:
                self.close()  # a reply that is left behind would be taken for the next command's
                raise
        return expected.result()

    # --- hearing ---

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MOST_BUFFERED:
            self.close()
            return
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._line(line)

    def _line(self, line: bytes) -> None:
        if not self._waiting or not line[:3].isdigit() or len(self._lines) > 100:
            self.close()  # it speaks without being asked (421 before it hangs up), or no SMTP
            return
        self._lines.append(line[4:].strip())
        if line[3:4] == b"-":
            return
        text = b"\n".join(self._lines).decode("utf-8", "replace")
        self._lines.clear()
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result(Reply(int(line[:3]), text))

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail()

    def _fail(self) -> None:
        self._lost = True
        self._room.set()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionLost("the connection was lost"))
                waiting.exception()  # with several replies outstanding only the first is awaited
