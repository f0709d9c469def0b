"""The main job under load, on SQLite on disk, beside a bare slixmpp echo on the same Prosody.

    python -m bench.first [--count 5000] [--rounds 3]

Prints JSON lines. Rates are messages a second; `ratio` is to the echo of the same run. Every figure
counts what arrived at the far end, not what was sent.
"""

import argparse
import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvloop

from bench import rig
from bench.chat import ChatLoad, Exchange, chat
from bench.mail import hand_in
from bridge.demo.chat_user import ChatUser
from bridge.demo.gateway_process import MAIL_DOMAIN, GatewayProcess
from bridge.demo.prosody import PrivateProsody

CONTACTS = 100
IN_FLIGHT = 100  # for each of four clients
PLAIN = "<message to='{to}' type='chat' id='m{n}'><body>m{n}:hello world, this is a message</body></message>"
ASKING = (
    "<message to='{to}' type='chat' id='m{n}'><body>m{n}:hello world, this is a message</body>"
    "<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='m{n}'/></message>"
)


async def main(count: int, rounds: int) -> None:
    with rig.prosody() as server:
        echo = await measure_echo(server, count, rounds)
        with rig.process("bench.mail") as sink:
            port = int(rig.read_line(sink))
            await measure_start(server, port)
            with rig.gateway(server, port) as (gateway, _):
                await register(server)
                await asyncio.sleep(2)  # greetings have gone, and the worker has not started yet
                rig.say(what="idle", resident_mb=rig.resident_mb(gateway.pid), target_mb=120)
                await measure_out(server, gateway, count, rounds, echo)
                await measure_in(server, gateway, count, rounds, echo)
                rig.say(what="after the load", resident_mb=rig.resident_mb(gateway.pid))
            await measure_recording(server, count, rounds, echo)


async def measure_echo(server: PrivateProsody, count: int, rounds: int) -> float:
    """The ceiling that is left to slixmpp: no plugins, nothing stored."""
    port = str(server.component_port)
    with rig.process("bench.echo", "sms.localhost", rig.SECRETS["sms.localhost"], port) as echo:
        rig.read_line(echo)
        async with sessions(server) as all_sessions:
            rates = []
            for n in range(rounds + 1):
                before = rig.cpu_seconds(echo.pid)
                times = await Exchange(all_sessions, IN_FLIGHT).run(
                    count, stanza(PLAIN, "sms.localhost"), 60, first=n * count
                )
                if n:  # the first round warms up
                    rates.append(count / times[-1])
            cpu = (rig.cpu_seconds(echo.pid) - before) / count
    rate, spread = rig.median_and_spread(rates)
    rig.say(what="bare slixmpp echo", rate=rate, spread=spread, cpu_us_per_message=round(cpu * 1e6))
    return rate


async def measure_start(server: PrivateProsody, port: int) -> None:
    """Process start to both components connected, with bytecode there: the first, which makes the database,
    and those on the database that is there. CPU time too: on a machine that others use it says more."""
    seconds, cpu = [], []
    with rig.gateway(server, port) as (gateway, first):
        for _ in range(3):
            gateway.stop()
            began = time.monotonic()
            gateway.start()
            seconds.append(time.monotonic() - began)
            cpu.append(rig.cpu_seconds(gateway.pid))
    rig.say(
        what="start to both components connected",
        seconds=round(min(seconds), 3),
        cpu_seconds=round(min(cpu), 2),
        first_seconds=round(first, 3),
        target=1.5,
    )


async def measure_out(
    server: PrivateProsody, gateway: GatewayProcess, count: int, rounds: int, echo: float
) -> None:
    """XMPP → recorded → taken by the SMTP sink → receipt back in the client."""
    async with sessions(server) as all_sessions:
        rates = []
        for n in range(rounds + 1):
            first = 1_000_000 + n * count
            before = rig.cpu_seconds(gateway.pid)
            times = await Exchange(all_sessions, IN_FLIGHT).run(
                count, stanza(ASKING, "mail.localhost"), 120, first=first
            )
            cpu = (rig.cpu_seconds(gateway.pid) - before) / count
            if n:
                rates.append(count / times[-1])
    rate, spread = rig.median_and_spread(rates)
    rig.say(
        what="XMPP to SMTP to receipt",
        rate=rate,
        spread=spread,
        ratio=round(rate / echo, 3),
        cpu_us_per_message=round(cpu * 1e6),
    )


async def measure_in(
    server: PrivateProsody, gateway: GatewayProcess, count: int, rounds: int, echo: float
) -> None:
    """SMTP → recorded → 250; and on to the client, until every delivery is proven."""
    accepted, arrived = [], []
    async with sessions(server, count=1) as (session,):
        recipient = f"{rig.USERS[0]}@{MAIL_DOMAIN}"
        for n in range(rounds + 1):
            first = n * count
            mails = [mail(first + k, recipient) for k in range(count)]
            seen = Arrivals(session, count, first)
            before, began = rig.cpu_seconds(gateway.pid), time.monotonic()
            await hand_in(gateway.smtp_port, mails, recipient, connections=10)
            accepting = time.monotonic() - began
            async with asyncio.timeout(120):
                await seen.all
                await until_settled(gateway)
            took = time.monotonic() - began
            cpu = (rig.cpu_seconds(gateway.pid) - before) / count
            if n:
                accepted.append(count / accepting)
                arrived.append(count / took)
    rate, spread = rig.median_and_spread(accepted)
    rig.say(what="SMTP to record to 250", rate=rate, spread=spread, ratio=round(rate / echo, 3))
    rate, spread = rig.median_and_spread(arrived)
    rig.say(
        what="SMTP to XMPP, proven",
        rate=rate,
        spread=spread,
        ratio=round(rate / echo, 3),
        cpu_us_per_message=round(cpu * 1e6),
    )


async def measure_recording(server: PrivateProsody, count: int, rounds: int, echo: float) -> None:
    """Stanza → record alone: nobody listens at the smarthost, so that nothing else has work."""
    with rig.gateway(server, 9) as (gateway, _), rig.record_of(gateway) as record:
        await register(server)
        async with sessions(server) as all_sessions:
            rates = []
            for n in range(rounds + 1):
                first = 2_000_000 + n * count
                before, began = rig.cpu_seconds(gateway.pid), time.monotonic()
                for k, session in enumerate(all_sessions):
                    make = stanza(ASKING, "mail.localhost")
                    session.write("".join(make(first + m) for m in range(k, count, len(all_sessions))))
                async with asyncio.timeout(60):
                    while recorded(record) < (n + 1) * count:
                        await asyncio.sleep(0.005)
                took = time.monotonic() - began
                cpu = (rig.cpu_seconds(gateway.pid) - before) / count
                if n:
                    rates.append(count / took)
    rate, spread = rig.median_and_spread(rates)
    rig.say(
        what="stanza to record",
        rate=rate,
        spread=spread,
        ratio=round(rate / echo, 3),
        target=0.5,
        cpu_us_per_message=round(cpu * 1e6),
    )


# --- parts ---


@asynccontextmanager
async def sessions(server: PrivateProsody, count: int = 4) -> AsyncIterator[list[ChatLoad]]:
    """Four clients that are logged in."""
    opened = [await chat(server.c2s_port, user, "pw") for user in rig.USERS[:count]]
    try:
        yield opened
    finally:
        for session in opened:
            session.transport.close()


async def register(server: PrivateProsody) -> None:
    for user in rig.USERS:
        async with ChatUser(f"{user}@localhost", "pw", server.c2s_port) as one:
            await one.register("mail.localhost", name=user)


def stanza(template: str, domain: str) -> Callable[[int], str]:
    return lambda n: template.format(to=f"contact{n % CONTACTS}\\40example.com@{domain}", n=n)


def mail(n: int, recipient: str) -> bytes:
    """A short mail as a phone writes it."""
    return (
        f"From: Contact {n % CONTACTS} <contact{n % CONTACTS}@example.com>\r\n"
        f"To: <{recipient}>\r\nSubject: Re: the flat\r\nMessage-ID: <{n}.bench@example.com>\r\n"
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        f"m{n}: hello world, this is a message\r\n"
    ).encode()


# The body may begin with what the gateway says about a new sender or thread.
_KEY = re.compile(rb"\bm\d+(?=:)")


class Arrivals:
    """Counts the bodies that a client sees."""

    def __init__(self, session: ChatLoad, count: int, first: int) -> None:
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted = {f"m{n}".encode() for n in range(first, first + count)}
        session.seen = self._see

    def _see(self, what: bytes) -> None:
        for key in _KEY.findall(what):
            self._wanted.discard(key)
        if not self._wanted and not self.all.done():
            self.all.set_result(None)


def recorded(record: sqlite3.Connection) -> int:
    return int(record.execute("SELECT count(*) FROM messages").fetchone()[0])


async def until_settled(gateway: GatewayProcess) -> None:
    """Until the record says that every delivery is proven."""
    with rig.record_of(gateway) as record:
        unsettled = "SELECT count(*) FROM deliveries WHERE state IN ('ready', 'waiting', 'claimed', 'doubt')"
        while record.execute(unsettled).fetchone()[0]:
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(arguments.count, arguments.rounds))
