"""Mail: how fast it is read, how long the worst of it takes, and how many go through the whole gateway.

    python -m bench.email [--count 2000] [--rounds 3] [--no-gateway]

Prints JSON lines. Reading is measured in seconds of this process's own time, on one core. The aim for
every hostile mail is 200 ms, through the visible text alone and through the whole parser.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

import uvloop

from adapters.email.parse import MailParser
from adapters.email.visible_text import from_mail
from bench import first, rig
from bridge.model import Envelope
from tests.adapters import visible_text_samples as samples
from tests.adapters.test_visible_text_hostile import CASES

TARGET_MS = 200
_ANSWER = "Thanks, I will be there at three.\n\nJana\n"
_OLD = "".join(f"> line {n} of what was written before, which nobody needs twice\n" for n in range(30))
_KILO = 1024

# What the issue names comes first; the rest is what the tests have found worth guarding.
HOSTILE: Mapping[str, bytes] = {
    "200 KB of On On": CASES["on on on"],
    "50,000 From: lines": CASES["from lines"],
    "1 MB of open links": CASES["open links"],
    "3,000 nested mails": CASES["nested mails"],
    "100 KB of dashes": CASES["dashes"],
    **CASES,
    "5,000 recipients": b"From: a@b.example\nTo: "
    + b", ".join(b"p%d@example.com" % n for n in range(5000))
    + b"\n\nhello",
    "nested comments": b"From: " + b"(" * 20_000 + b"a@b.example\n\nhello",
    "5,000 references": b"References: " + b"<a@b> " * 5000 + b"\n\nhello",
    "a calendar of one line": b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\n"
    + b"BEGIN:VEVENT\nSUMMARY:" + b"x;=\":" * 200 * _KILO,
    "a report of 50,000 groups": b"Content-Type: multipart/report; boundary=b; report-type=delivery-status"
    b"\n\n--b\n\nx\n--b\nContent-Type: message/delivery-status\n\n"
    + b"Action: failed\n\n" * 50_000 + b"--b--\n",
}  # fmt: skip


def main(count: int, rounds: int, *, gateway: bool) -> None:
    mails = list(_replies())
    parse = _parser()
    _throughput("visible text", from_mail, mails, rounds)
    _throughput("whole parser", parse, mails, rounds)
    _worst("visible text", from_mail, rounds)
    _worst("whole parser", parse, rounds)
    if gateway:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_through_the_gateway(count, rounds))


def _parser() -> Callable[[bytes], object]:
    parser = MailParser(("chat.example.org",), b"k" * 32)
    envelope = Envelope("mail", "jana@berg.example", ("mira@chat.example.org",), 1_800_000_000.0, "127.0.0.1")
    return lambda raw: parser(raw, envelope)


def _replies() -> Iterator[bytes]:
    """Replies as some hundred mail programs write them, in text and in HTML."""
    for words in (*samples.ATTRIBUTIONS, *samples.BLOCKS):
        yield _mail(f"{_ANSWER}\n{words[1]}\n\n{_OLD}", "plain")
    for sample in samples.HTML:
        yield _mail(next(text for text in sample[1:] if isinstance(text, str)), "html")


def _mail(text: str, kind: str) -> bytes:
    head = (
        "From: Jana Berg <jana@berg.example>\r\nTo: Mira <mira@chat.example.org>\r\n"
        "Subject: Re: the flat\r\nMessage-ID: <1@berg.example>\r\nIn-Reply-To: <0@chat.example.org>\r\n"
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return (head + text.replace("\n", "\r\n")).encode()


def _throughput(what: str, read: Callable[[bytes], object], mails: list[bytes], rounds: int) -> None:
    rates, times = [], []
    for turn in range(rounds + 1):
        began = time.process_time()
        for raw in mails:
            before = time.process_time()
            read(raw)
            if turn:
                times.append(time.process_time() - before)
        if turn:  # the first one warms up
            rates.append(len(mails) / (time.process_time() - began))
    rate, spread = rig.median_and_spread(rates)
    rig.say(
        what=f"{what}: replies of many programs",
        mails=len(mails),
        mails_per_second=rate,
        spread=spread,
        megabytes_per_second=round(rate * sum(map(len, mails)) / len(mails) / 1e6, 2),
        p50_ms=rig.quantile(times, 0.5),
        p95_ms=rig.quantile(times, 0.95),
        max_ms=rig.quantile(times, 1.0),
    )


def _worst(what: str, read: Callable[[bytes], object], rounds: int) -> None:
    """The least of several runs counts: what a mail costs, not what else the machine did."""
    worst = {name: min(_took(read, raw) for _ in range(rounds)) for name, raw in HOSTILE.items()}
    for name, seconds in list(worst.items())[:5]:
        rig.say(what=f"{what}: {name}", ms=round(1000 * seconds, 1), target_ms=TARGET_MS)
    name, seconds = max(worst.items(), key=lambda one: one[1])
    rig.say(
        what=f"{what}: the worst of {len(worst)} hostile mails",
        mail=name,
        ms=round(1000 * seconds, 1),
        target_ms=TARGET_MS,
        within=1000 * seconds < TARGET_MS,
    )


def _took(read: Callable[[bytes], object], raw: bytes) -> float:
    began = time.process_time()
    read(raw)
    return time.process_time() - began


async def _through_the_gateway(count: int, rounds: int) -> None:
    """SMTP → recorded → read → proven to the chat client, beside a bare echo on the same server."""
    with rig.prosody() as server:
        echo = await first.measure_echo(server, count, rounds)
        with rig.process("bench.mail") as sink:
            port = int(rig.read_line(sink))
            with rig.gateway(server, port) as (gateway, _):
                await first.register(server)
                await first.measure_in(server, gateway, count, rounds, echo)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--no-gateway", action="store_true")
    arguments = options.parse_args()
    main(arguments.count, arguments.rounds, gateway=not arguments.no_gateway)
