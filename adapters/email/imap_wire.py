"""aioimaplib's protocol, made fit for use: any number of answers at a time, and a lost connection is told.

The library handles each line of a chunk one call deeper (978 lines end in RecursionError, and the command
never returns), copies what has come for each line, says nothing when the connection is lost, and never
answers a failed XOAUTH2. What is kept of it is its commands and how they wait.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from aioimaplib import aioimaplib as library

from adapters.email import imap_words

LONGEST_LINE = 8 << 20  # octets; a SEARCH answer for a million mails
_CRLF = b"\r\n"


class ImapTrouble(Exception):
    """The mailbox cannot be used just now. The message is for an admin, or for whose mailbox it is."""


class LoginRefused(ImapTrouble):
    """Name or password are wrong; trying again soon will not help."""


class CommandRefused(ImapTrouble):
    """The server answered NO or BAD to a command."""


class Collecting(library.Command):  # type: ignore[misc]  # aioimaplib is not typed
    """A command that keeps its untagged answers whole, each as its pieces."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.answers: list[Sequence[bytes]] = []


class Wire(library.IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib is not typed
    """One connection; one command at a time. `most_octets` bounds what one command may bring."""

    def __init__(self, where: str, most_octets: int) -> None:
        super().__init__(asyncio.get_running_loop())
        self.where = where
        self.most_octets = most_octets
        self.greeted: asyncio.Future[None] = self.loop.create_future()
        self.pushed = asyncio.Event()  # something came that nobody had asked for; or the connection is lost
        self.lost: ImapTrouble | None = None
        self.sasl: bytes | None = None  # what the next continuation is answered with
        self.literal: bytes = b""  # what APPEND sends when it may
        self._buffer = bytearray()
        self._searched = 0  # octets of the buffer in which there is no line break
        self._literal: int | None = None
        self._pieces: list[bytes] = []
        self._octets = 0  # that have come since the last command was sent

    # --- asyncio's side ---

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._octets += len(data)
        try:
            if self._octets > self.most_octets + LONGEST_LINE:
                raise ImapTrouble(f"{self.where} sends more than was asked for")
            while (pieces := self._next_answer()) is not None:
                self._take(pieces)
        except Exception as error:
            # Raised further it would only be logged: asyncio goes on reading.
            trouble = error if isinstance(error, ImapTrouble) else ImapTrouble(f"{self.where} speaks no IMAP")
            self.fail(trouble)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(ImapTrouble(f"{self.where} closed the connection"))

    def fail(self, trouble: ImapTrouble) -> None:
        """Tell everybody who waits, and close. Only the first trouble counts."""
        if self.lost is not None:
            return
        self.lost = trouble
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()
        if not self.greeted.done():
            self.greeted.set_exception(trouble)
            self.greeted.exception()  # perhaps nobody waits any more: no warning about it
        command = self._current()
        self.pending_sync_command = None
        self.pending_async_commands.clear()
        if command is not None:
            command._exception = trouble
            command._event.set()
        self.pushed.set()
        self._idle_event.set()

    def say_goodbye(self) -> None:
        """Log out without waiting for the answer, and hang up."""
        if self.lost is None and self.transport is not None:
            self.send(f"{self.new_tag()} LOGOUT")
            cast(asyncio.WriteTransport, self.transport).close()

    def start_afresh(self, transport: asyncio.BaseTransport) -> None:
        """TLS has begun: what came before it counts for nothing (RFC 3501 section 6.2.1)."""
        self.transport = transport
        self._buffer.clear()
        self._pieces.clear()
        self._searched, self._literal = 0, None
        self.capabilities: set[str] = set()

    # --- answers out of octets ---

    def _next_answer(self) -> list[bytes] | None:
        """The next whole answer as its pieces; None until more has come."""
        while True:
            if self._literal is not None:
                if len(self._buffer) < self._literal:
                    return None
                self._pieces.append(self._cut(self._literal))
                self._literal = None
            end = self._buffer.find(_CRLF, self._searched)
            if end < 0:
                self._searched = max(len(self._buffer) - 1, 0)
                if self._searched > LONGEST_LINE:
                    raise ImapTrouble(f"{self.where} sends a line without end")
                return None
            self._searched = 0
            line = self._cut(end)
            del self._buffer[:2]
            self._pieces.append(line)
            self._literal = imap_words.literal_size(line)
            if self._literal is None:
                pieces, self._pieces = self._pieces, []
                return pieces
            if self._literal > self.most_octets:
                raise ImapTrouble(f"{self.where} sends more than was asked for")

    def _cut(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            piece = bytes(view[:size])
        del self._buffer[:size]
        return piece

    # --- what an answer is for ---

    def _take(self, pieces: list[bytes]) -> None:
        line = pieces[0]
        if not self.greeted.done():
            self._greet(line)
        elif line.startswith(b"* "):
            self._untagged([line[2:], *pieces[1:]])
        elif line.startswith(b"+"):
            self._continue()
        elif line:
            self._response_done(line)

    def _greet(self, line: bytes) -> None:
        if line.startswith(b"* PREAUTH"):
            self.state = library.AUTH
        elif line.startswith(b"* OK"):
            self.state = library.NONAUTH
        else:
            raise ImapTrouble(f"{self.where} does not want us: {_words(line)}")
        self.greeted.set_result(None)

    def _untagged(self, pieces: list[bytes]) -> None:
        command = self._current()
        if command is None or command.name == "IDLE":
            if pieces[0].startswith(b"BYE"):
                raise ImapTrouble(f"{self.where} says goodbye: {_words(pieces[0][3:])}")
            self.pushed.set()
        elif isinstance(command, Collecting):
            command.answers.append(pieces)
        else:
            for piece in pieces:
                command.append_to_resp(piece)

    def _current(self) -> library.Command | None:
        if self.pending_sync_command is not None:
            return self.pending_sync_command
        return next(iter(self.pending_async_commands.values()), None)

    def _continue(self) -> None:
        command = self._current()
        if command is None:
            return
        if command.name == "IDLE":
            self._idle_event.set()
        elif command.name == "AUTHENTICATE":
            # An empty line answers the challenge by which XOAUTH2 tells of a failure.
            answer, self.sasl = self.sasl or b"", None
            cast(asyncio.WriteTransport, self.transport).write(answer + _CRLF)
        elif command.name == "APPEND":
            mail, self.literal = self.literal, b""
            cast(asyncio.WriteTransport, self.transport).write(mail + _CRLF)

    # --- commands ---

    async def ask(self, command: library.Command, patience: float) -> library.Command:
        """Send a command and wait for its end. Raises ImapTrouble; CommandRefused for NO and BAD.

        A command that is given up stays registered in the library, so the connection goes with it.
        """
        if self.lost is not None:
            raise self.lost
        self._octets = 0
        try:
            async with asyncio.timeout(patience):
                await self.execute(command)
        except TimeoutError as error:
            trouble = ImapTrouble(f"{self.where} did not answer within {patience:.0f} s ({command.name})")
            self.fail(trouble)
            raise trouble from error
        except library.AioImapException as error:
            trouble = ImapTrouble(f"{self.where}: {command.name} is out of order")
            self.fail(trouble)
            raise trouble from error
        except asyncio.CancelledError:
            self.fail(ImapTrouble("given up"))
            raise
        result = command.response.result
        if result != "OK":
            raise CommandRefused(_words(command.response.lines[-1]) if command.response.lines else result)
        return command

    async def wait_idling(self) -> None:
        """Until the server has said that it idles, or the connection is lost."""
        await self._idle_event.wait()


def _words(line: bytes) -> str:
    """A server's own words, for a sentence of ours."""
    text = bytes(line).decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
