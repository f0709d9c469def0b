"""Texts under load, on SQLite on disk: web-hooks in, sends out, each beside its measure in the same run.

    python -m bench.sms [--count 5000] [--rounds 3]

Prints JSON lines; rates are a second. Web-hooks: beside a bare aiohttp handler that verifies the
signature. Sends: beside Twilio's own client posting to the same stand-in, both without pacing. Every
figure counts what arrived (rows in the record, texts at the stand-in, receipts in the client).
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import uvloop
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from bench import rig
from bench.chat import Exchange, chat
from bench.first import ASKING, sessions
from bench.hooks import post_all, request
from bridge.demo.chat_user import ChatUser
from bridge.demo.gateway_process import ACCOUNT_SID, AUTH_TOKEN, FarEnds, GatewayProcess
from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Text, inbound_form

NUMBERS = tuple(f"+1555000100{n}" for n in range(len(rig.USERS)))
CONTACTS = 100


async def main(count: int, rounds: int) -> None:
    bare = await measure_bare(count, rounds)
    with rig.prosody() as server, gateway(server) as (one, carrier):
        for user in rig.USERS:
            async with ChatUser(f"{user}@localhost", "pw", server.c2s_port) as person:
                await person.register("sms.localhost", name=user)
        client = await measure_client(carrier, count, rounds)
        await measure_sends(server, one, carrier, count, rounds, client)
        await measure_in(server, one, count, rounds, bare)
        await asyncio.to_thread(server.stop)  # nothing is left to do but to record
        await measure_recording(one, count, rounds, bare)


@contextmanager
def gateway(server: PrivateProsody) -> Iterator[tuple[GatewayProcess, "Carrier"]]:
    """The gateway and the carrier, each a process, with a number for each user."""
    one = rig.Loaded(numbers=NUMBERS, sms={"poll_seconds": 0, "hold_first_seconds": 0})
    hooks = [f"{number}={one.hook}" for number in NUMBERS]
    with rig.process("bench.carrier", ACCOUNT_SID, AUTH_TOKEN, *hooks) as process:
        carrier = Carrier(process)
        one.connect(FarEnds(server, "mail.localhost", "sms.localhost", 9, carrier.url))
        with one:
            yield one, carrier


class Carrier:
    """The stand-in's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = rig.read_line(process)

    def taken(self) -> dict[str, object]:
        """What it took since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, object] = json.loads(rig.read_line(self._process))
        return answer


async def measure_bare(count: int, rounds: int) -> float:
    with rig.process("bench.hooks", AUTH_TOKEN) as process:
        base = rig.read_line(process)
        rates = []
        for n in range(rounds + 1):
            seconds = await post_all(port_of(base), texts(base, count))
            if n:
                rates.append(count / seconds)
    rate, spread = rig.median_and_spread(rates)
    rig.say(what="bare aiohttp handler that verifies the signature", rate=rate, spread=spread)
    return rate


async def measure_recording(one: GatewayProcess, count: int, rounds: int, bare: float) -> None:
    """Web-hook → recorded → 200, while the chat server is away."""
    rates = []
    with rig.record_of(one) as record:
        for n in range(rounds + 1):
            before, cpu = recorded(record), rig.cpu_seconds(one.pid)
            seconds = await post_all(one.web_port, texts(one.public_url, count))
            if recorded(record) - before != count:
                raise RuntimeError("acknowledged, but not recorded")
            cpu = (rig.cpu_seconds(one.pid) - cpu) / count
            if n:
                rates.append(count / seconds)
    rate, spread = rig.median_and_spread(rates)
    rig.say(
        what="web-hook to record to 200",
        rate=rate,
        spread=spread,
        ratio=round(rate / bare, 3),
        target=0.5,
        cpu_us_per_message=round(cpu * 1e6),
    )


async def measure_in(
    server: PrivateProsody, one: GatewayProcess, count: int, rounds: int, bare: float
) -> None:
    """Web-hook → recorded → 200 → in the client, and every delivery proven."""
    session = await chat(server.c2s_port, rig.USERS[0], "pw")
    rates = []
    for n in range(rounds + 1):
        wanted = {f"m{k}".encode() for k in range(count)}
        arrived = asyncio.get_running_loop().create_future()

        def seen(what: bytes, wanted: set[bytes] = wanted, arrived: asyncio.Future[None] = arrived) -> None:
            wanted.discard(what.partition(b":")[0])
            if not wanted and not arrived.done():
                arrived.set_result(None)

        session.seen = seen
        began = time.monotonic()
        await post_all(one.web_port, texts(one.public_url, count))
        async with asyncio.timeout(120):
            await arrived
        if n:
            rates.append(count / (time.monotonic() - began))
    session.transport.close()
    rate, spread = rig.median_and_spread(rates)
    rig.say(what="web-hook to XMPP", rate=rate, spread=spread, ratio=round(rate / bare, 3), target=0.4)


async def measure_client(carrier: Carrier, count: int, rounds: int) -> float:
    """The official client alone, 100 posts at a time, as its documentation has it."""
    rates = []
    async with AsyncTwilioHttpClient(pool_connections=True) as http:
        client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=_Redirected(http, carrier.url))
        for n in range(rounds + 1):
            left = iter(range(count))

            async def work(left: Iterator[int] = left) -> None:
                for number in left:
                    await client.messages.create_async(
                        to=contact(number), from_=NUMBERS[0], body=f"m{number}: hello world"
                    )

            began = time.monotonic()
            await asyncio.gather(*(work() for _ in range(100)))
            if n:
                rates.append(count / (time.monotonic() - began))
            carrier.taken()
    rate, spread = rig.median_and_spread(rates)
    rig.say(what="Twilio's own client alone", rate=rate, spread=spread)
    return rate


async def measure_sends(
    server: PrivateProsody, one: GatewayProcess, carrier: Carrier, count: int, rounds: int, client: float
) -> None:
    """XMPP → recorded → taken by the stand-in → its call-back → receipt in the client."""
    rates = []
    kept = True
    async with sessions(server) as all_sessions:
        for n in range(rounds + 1):
            first = 10_000_000 + n * count
            cpu = rig.cpu_seconds(one.pid)
            times = await Exchange(all_sessions, 100).run(count, stanza, 240, first=first)
            cpu = (rig.cpu_seconds(one.pid) - cpu) / count
            taken = carrier.taken()
            kept = kept and bool(taken["in_order"]) and taken["texts"] == count
            if n:
                rates.append(count / times[-1])
    rate, spread = rig.median_and_spread(rates)
    rig.say(
        what="XMPP to SMS API to receipt",
        rate=rate,
        spread=spread,
        ratio=round(rate / client, 3),
        target=0.5,
        in_order_and_none_twice=kept,
        cpu_us_per_message=round(cpu * 1e6),
    )


# --- parts ---


class _Redirected:
    """Twilio's HTTP client, asked at the stand-in's address."""

    def __init__(self, http: AsyncTwilioHttpClient, url: str) -> None:
        self._http = http
        self._url = url
        self.is_async = True
        self.logger = http.logger

    async def request(self, method: str, url: str, **rest: object) -> object:
        return await self._http.request(method, url.replace("https://api.twilio.com", self._url), **rest)


def contact(number: int) -> str:
    return f"+120255501{number % CONTACTS:02}"


def stanza(number: int) -> str:
    return ASKING.format(to=f"{contact(number)}@sms.localhost", n=number)


def texts(base: str, count: int) -> list[bytes]:
    """Signed web-hooks, no two of one SID."""
    made = []
    for n in range(count):
        sid = f"SM{uuid.uuid4().hex}"
        body = f"m{n}: hello world, this is a text"
        text = Text(sid, ACCOUNT_SID, contact(n), NUMBERS[0], body, "received", True, _NOW)
        made.append(request(base, AUTH_TOKEN, inbound_form(text)))
    return made


def recorded(record: sqlite3.Connection) -> int:
    return int(record.execute("SELECT count(*) FROM messages WHERE direction = 'in'").fetchone()[0])


def port_of(base: str) -> int:
    return int(base.rpartition(":")[2])


_NOW = datetime.now(UTC)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(given.count, given.rounds))
