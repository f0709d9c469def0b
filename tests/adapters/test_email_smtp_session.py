"""A mail on its way over the wire, to a server that pipelines and to one that misbehaves, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from adapters.email.compose import Mail
from adapters.email.smtp_out import Submitter
from adapters.email.smtp_pool import Pool, Smarthost
from bridge.ports import Fate, Refused, Scope, Sent, TryLater

LINE, ANN, BOB = "mira@chat.example.org", "ann@example.com", "bob@example.com"


@dataclass
class Scripted:
    """Answers each chunk of commands that reaches it with the next lines of its script."""

    script: Sequence[str | None]  # None: hang up
    chunks: list[str] = field(default_factory=list)
    port: int = 0
    served: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self._converse(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.served.release()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        await reader.readline()
        writer.write(b"250-here\r\n250-PIPELINING\r\n250 SIZE\r\n")
        for answer in self.script:
            chunk = await reader.read(65536)
            if not chunk:
                break
            self.chunks.append(chunk.decode())
            if answer is None:
                break
            writer.write(answer.replace("\n", "\r\n").encode())
        else:
            await reader.read(65536)


@asynccontextmanager
async def scripted(*script: str | None) -> AsyncIterator[Scripted]:
    one = Scripted(script)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        async with asyncio.timeout(10):
            await one.served.acquire()
        await server.wait_closed()


async def submit(server: Scripted, *recipients: str) -> dict[str, Fate]:
    host = Smarthost("127.0.0.1", server.port, connect_timeout=2, command_timeout=2, data_timeout=2)
    pool = Pool(host, asyncio.get_running_loop().time)
    mail = Mail(LINE, recipients, "<1@x>", b"Subject: x\r\n\r\n.hidden\r\n", False)
    try:
        return dict(await Submitter(pool, host).submit(mail))
    finally:
        await pool.close()


async def test_a_mail_takes_two_round_trips() -> None:
    async with scripted("250 a\n250 b\n250 c\n354 go\n", "250 2.0.0 taken\n", "221 bye\n") as server:
        fates = await submit(server, ANN, BOB)
    assert fates == {ANN: Sent("<1@x>"), BOB: Sent("<1@x>")}
    assert server.chunks[0].splitlines() == [
        f"MAIL FROM:<{LINE}> SIZE=23",
        f"RCPT TO:<{ANN}>",
        f"RCPT TO:<{BOB}>",
        "DATA",
    ]
    assert server.chunks[1] == "Subject: x\r\n\r\n..hidden\r\n.\r\n"


async def test_answers_may_have_several_lines() -> None:
    async with scripted("250-a\n250 b\n250 c\n354 go\n", "250-2.0.0 taken\n250 as 42\n", "221\n") as server:
        fates = await submit(server, ANN)
    assert fates[ANN] == Sent("<1@x>")


async def test_the_mail_goes_to_those_who_were_accepted() -> None:
    async with scripted("250 a\n550 5.1.1 who\n250 c\n354 go\n", "250 taken\n", "221\n") as server:
        fates = await submit(server, ANN, BOB)
    assert isinstance(fates[ANN], Refused)
    assert isinstance(fates[BOB], Sent)


async def test_with_nobody_accepted_nothing_is_sent_even_if_the_server_says_go_on() -> None:
    async with scripted(
        "250 a\n550 5.1.1 who\n550 5.1.1 who\n354 go\n", "554 no valid recipients\n", "250 reset\n", "221\n"
    ) as server:
        fates = await submit(server, ANN, BOB)
    assert all(isinstance(fate, Refused) for fate in fates.values())
    assert server.chunks[1:3] == [".\r\n", "RSET\r\n"]


async def test_a_refused_sender_refuses_all_and_the_connection_lives() -> None:
    async with scripted("553 5.1.8 not you\n503 bad\n503 bad\n", "250 reset\n", "221\n") as server:
        fates = await submit(server, ANN)
    assert isinstance(fates[ANN], Refused)
    assert server.chunks[1:] == ["RSET\r\n", "QUIT\r\n"]


async def test_a_server_that_leaves_in_the_middle_pauses_the_outlet() -> None:
    async with scripted("250 a\n421 4.3.2 going down\n", None) as server:
        fates = await submit(server, ANN, BOB)
    assert all(isinstance(fate, TryLater) and fate.scope is Scope.OUTLET for fate in fates.values())


async def test_a_mail_that_is_refused_at_its_end_fails_for_all_who_were_accepted() -> None:
    async with scripted(
        "250 a\n250 b\n354 go\n", "554 5.7.1 Spam\n", "250 reset\n", "221\n"
    ) as server:
        fates = await submit(server, ANN)
    assert isinstance(fates[ANN], Refused)


async def test_a_mail_whose_content_is_not_wanted_yet_waits() -> None:
    async with scripted("250 a\n250 b\n451 4.3.0 later\n", "250 reset\n", "221\n") as server:
        fates = await submit(server, ANN)
    assert isinstance(fates[ANN], TryLater)


@pytest.mark.parametrize("nonsense", ["hello\n", "250-\n" * 200, "x" * 70_000, "\0\0\0 \n"])
async def test_what_is_no_smtp_ends_the_connection(nonsense: str) -> None:
    async with scripted(nonsense, nonsense) as server:
        fates = await submit(server, ANN)
    assert isinstance(fates[ANN], TryLater)


async def test_a_server_that_hangs_up_after_the_mail_may_have_taken_it() -> None:
    async with scripted("250 a\n250 b\n354 go\n", None) as server:
        fates = await submit(server, ANN)
    fate = fates[ANN]
    assert isinstance(fate, TryLater)
    assert fate.scope is Scope.DELIVERY
