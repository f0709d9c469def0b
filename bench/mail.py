"""Mail at the far ends of a benchmark: a sink that takes everything, and a source that hands mails in."""

import asyncio
import sys
from typing import cast

import uvloop


class Sink(asyncio.Protocol):
    """The least SMTP server that aiosmtplib talks to. Counts mails; keeps nothing."""

    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._in_data = False
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            if self._in_data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    return
                self._buffer = self._buffer[end + 5 :]
                self._in_data = False
                Sink.taken += 1
                self._transport.write(b"250 2.0.0 taken\r\n")
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._answer(line[:4].upper())

    def _answer(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._transport.write(b"250-sink\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n")
        elif verb == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.1.0 ok\r\n")


async def _source(port: int, raw: list[bytes], recipient: str) -> None:
    """Hand mails in over one connection, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(text: bytes, code: bytes) -> None:
        writer.write(text)
        while True:
            line = await reader.readline()
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise RuntimeError(line.decode())

    await say(b"", b"220")
    await say(b"EHLO source.example\r\n", b"250")
    for one in raw:
        await say(b"MAIL FROM:<alice@example.com>\r\n", b"250")
        await say(b"RCPT TO:<" + recipient.encode() + b">\r\n", b"250")
        await say(b"DATA\r\n", b"354")
        await say(one + b"\r\n.\r\n", b"250")
    writer.write(b"QUIT\r\n")
    writer.close()


async def hand_in(port: int, mails: list[bytes], recipient: str, connections: int) -> None:
    """All mails over so many reused connections at the same time."""
    async with asyncio.TaskGroup() as group:
        for first in range(connections):
            group.create_task(_source(port, mails[first::connections], recipient))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # A line on standard input asks for the count.
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        print(Sink.taken, flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
