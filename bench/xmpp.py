"""What the XMPP side costs: a message with everything on, and a contact's place in memory.

    python -m bench.xmpp [--count 5000] [--rounds 3] [--contacts 1000 10000]

Prints JSON lines. Rates are messages a second from stanza to record, on SQLite on disk; `ratio` is to the
bare slixmpp echo of the same run. Rich and lean rounds take turns on one gateway, so that whatever else
the machine does meets both.
"""

import argparse
import asyncio
import itertools
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop

from bench import rig
from bench.chat import ChatLoad
from bench.first import measure_echo, recorded, register, sessions, stanza
from bridge.demo.gateway_process import FarEnds, GatewayProcess
from bridge.demo.prosody import PrivateProsody

LEAN = "<message to='{to}' type='chat' id='l{n}'><body>m{n}:hello world, this is a message</body></message>"
# All that a client of today puts around such a line; the quote of an answer is cut off again.
RICH = (
    "<message to='{to}' type='chat' id='r{n}' xml:lang='en'>"
    "<body>&gt; hello from the other side\nm{n}:hello world, this is a message</body>"
    "<reply xmlns='urn:xmpp:reply:0' to='{to}' id='s{n}'/>"
    "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='28'/></fallback>"
    "<thread>t{n}</thread><active xmlns='http://jabber.org/protocol/chatstates'/>"
    "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='r{n}'/><store xmlns='urn:xmpp:hints'/>"
    "<nick xmlns='http://jabber.org/protocol/nick'>Load</nick></message>"
)
TARGET_BYTES = 1024  # a contact


async def main(count: int, rounds: int, contacts: Sequence[int]) -> None:
    if count:
        await measure_against_prosody(count, rounds)
    if contacts:
        await measure_contacts(contacts)


async def measure_against_prosody(count: int, rounds: int) -> None:
    with rig.prosody() as server:
        echo = await measure_echo(server, count, rounds)
        await measure_messages(server, count, rounds, echo)


# --- messages ---


async def measure_messages(server: PrivateProsody, count: int, rounds: int, echo: float) -> None:
    """Nobody listens at the smarthost, so that nothing but recording has work."""
    rates: dict[str, list[float]] = {"lean": [], "rich": []}
    cpu: dict[str, list[float]] = {"lean": [], "rich": []}
    done = 0
    with rig.gateway(server, 9) as (gateway, _), rig.record_of(gateway) as record:
        await register(server)
        async with sessions(server) as all_sessions:
            for n, (kind, template) in itertools.product(range(rounds + 1), (("lean", LEAN), ("rich", RICH))):
                before = rig.cpu_seconds(gateway.pid)
                rate = await _one_round(all_sessions, record, template, done, count)
                done += count
                if n:  # the first of each warms up
                    rates[kind].append(rate)
                    cpu[kind].append((rig.cpu_seconds(gateway.pid) - before) / count)
    lean, _ = rig.median_and_spread(rates["lean"])
    for kind in ("lean", "rich"):
        rate, spread = rig.median_and_spread(rates[kind])
        rig.say(
            what=f"stanza to record, {kind}",
            rate=rate,
            spread=spread,
            ratio=round(rate / echo, 3),
            ratio_to_lean=round(rate / lean, 3),
            cpu_us_per_message=round(1e6 * min(cpu[kind])),
        )


async def _one_round(
    all_sessions: Sequence[ChatLoad], record: sqlite3.Connection, template: str, done: int, count: int
) -> float:
    make = stanza(template, "mail.localhost")
    began = time.monotonic()
    for k, session in enumerate(all_sessions):
        session.write("".join(make(done + m) for m in range(k, count, len(all_sessions))))
    async with asyncio.timeout(120):
        while recorded(record) < done + count:
            await asyncio.sleep(0.005)
    return count / (time.monotonic() - began)


# --- contacts ---


async def measure_contacts(contacts: Sequence[int]) -> None:
    """Resident memory after everybody in all rosters was announced and probed, against empty ones."""
    empty = await _resident(0, 1)
    for number in contacts:
        for users in dict.fromkeys((max(number // ROSTER, 1), 1)):
            bare = await _resident(number, users, probed=False)
            full = await _resident(number, users)
            rig.say(
                what=f"{number} contacts in {users} rosters, each shown and probed",
                resident_mb=full,
                bytes_per_contact=round((full - empty) * 1024 * 1024 / number),
                merely_in_the_store=round((bare - empty) * 1024 * 1024 / number),
                target=TARGET_BYTES,
            )


async def _resident(contacts: int, users: int, *, probed: bool = True) -> float:
    """Megabytes of a fresh gateway for so many users who share so many contacts evenly."""
    async with ProbingServer() as server, _gateway(server) as gateway:
        for k in range(users):
            async with asyncio.timeout(30):
                await server.ask(REGISTER.format(k=k))
        await asyncio.to_thread(gateway.stop)
        _fill(gateway, contacts // users)
        await asyncio.to_thread(gateway.start)
        async with asyncio.timeout(300):
            await server.greeted()
            for k in range(users if probed else 0):
                server.say(f"<presence from='load{k}@localhost/load' to='mail.localhost'/>")
                await server.heard((2 * k + 1) * contacts // users)
                server.say(
                    "".join(
                        f"<presence from='load{k}@localhost' to='{_contact(n)}' type='probe'/>"
                        for n in range(contacts // users)
                    )
                )
                await server.heard((2 * k + 2) * contacts // users)
        await asyncio.sleep(2)
        return rig.resident_mb(gateway.pid)


@asynccontextmanager
async def _gateway(server: "ProbingServer") -> AsyncIterator[GatewayProcess]:
    """Started from a thread: its chat server lives in this very loop."""
    one = rig.Loaded()
    one.connect(FarEnds(server, "mail.localhost", "sms.localhost", 9, "http://127.0.0.1:9"))
    await asyncio.to_thread(one.__enter__)
    try:
        yield one
    finally:
        await asyncio.to_thread(one.__exit__, None, None, None)


ROSTER = 1_000  # contacts of one user, where they are spread over several
REGISTER = (
    "<iq from='load{k}@localhost/load' to='mail.localhost' type='set' id='reg'>"
    "<query xmlns='jabber:iq:register'><name>Load</name></query></iq>"
)


def _contact(n: int) -> str:
    return f"contact{n}\\40example.com@mail.localhost"


def _fill(gateway: GatewayProcess, contacts: int) -> None:
    """Rosters that have grown over years, straight into the record."""
    with sqlite3.connect(gateway.folder / "data" / "passerelle.db") as record:
        users = [row[0] for row in record.execute("SELECT id FROM users")]
        rows = (
            (
                user,
                f"contact{n}@example.com",
                f"contact{n}@example.com",
                f"contact{n}\\40example.com",
                f"C{n}",
            )
            for user in users
            for n in range(contacts)
        )
        record.executemany(
            "INSERT INTO contacts (user_id, transport, address, original, local, name, subscribed, standing,"
            " created_at) VALUES (?, 'mail', ?, ?, ?, ?, 1, 'allowed', 0)",
            rows,
        )


class ProbingServer:
    """As much of a chat server as two components need, and one that probes as often as it is told."""

    domain = "localhost"

    def __init__(self) -> None:
        self.components = rig.SECRETS
        self.component_port = 0
        self._presences = 0
        self._connected = 0
        self._answered = asyncio.Event()
        self._news = asyncio.Condition()
        self._mail: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "ProbingServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.component_port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    def say(self, text: str) -> None:
        if self._mail is not None:
            self._mail.write(text.encode())

    async def ask(self, request: str) -> None:
        self._answered.clear()
        self.say(request)
        await self._answered.wait()

    async def greeted(self) -> None:
        """Until the user has been told that the transport is there again."""
        async with self._news:
            await self._news.wait_for(lambda: self._greeted)
        self._presences = 0

    async def heard(self, presences: int) -> None:
        """Until so many contacts have shown themselves since the greeting."""
        async with self._news:
            await self._news.wait_for(lambda: self._presences >= presences)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        self._greeted = False
        try:
            while data := await reader.read(1 << 18):
                rest = await self._take(rest + data, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _take(self, text: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Answer what is whole; the rest waits for more."""
        whole, end, rest = text.rpartition(b">")
        whole += end
        if found := re.search(rb"<stream:stream [^>]*to='([^']+)'", whole):
            writer.write(HEADER.format(domain=found[1].decode()).encode())
            if found[1] == b"mail.localhost":
                self._mail = writer
        if b"<handshake>" in whole:
            writer.write(b"<handshake/>")
        for sender, identity in re.findall(
            rb"<iq from='([^']+)' to='localhost' type='get' id='([^']+)'", whole
        ):
            writer.write(b"<iq from='localhost' to='%s' type='result' id='%s'/>" % (sender, identity))
        if b"id='reg' type='result'" in whole:
            self._answered.set()
        if b"</stream:stream>" in whole:
            writer.write(b"</stream:stream>")
        async with self._news:
            self._presences += len(re.findall(rb"<presence from='contact[^']*' to='[^']*'>", whole))
            self._greeted |= b"type='probe'" in whole
            self._news.notify_all()
        return rest


HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    " xmlns:stream='http://etherx.jabber.org/streams' from='{domain}' id='abc'>"
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contacts", type=int, nargs="*", default=[1_000, 10_000])
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(arguments.count, arguments.rounds, arguments.contacts))
