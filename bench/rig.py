"""What benchmarks share: private servers, the gateway as a process, its CPU time and memory."""

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.demo.gateway_process import FarEnds, GatewayProcess
from bridge.demo.prosody import PrivateProsody

SECRETS = {"mail.localhost": "mail-secret", "sms.localhost": "sms-secret"}
USERS = ("load0", "load1", "load2", "load3")
_TICKS = os.sysconf("SC_CLK_TCK")


def say(**values: object) -> None:
    """One result, as a JSON line."""
    print(json.dumps(values), flush=True)


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    total = 0.0
    for one in (pid, *children_of(pid)):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children."""
    total = 0
    for one in (pid, *children_of(pid)):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
    return round(total / 1024, 1)


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A helper process of ours with pipes; ended with the block."""
    started = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.terminate()
        started.wait(10)
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()


def read_line(of: subprocess.Popen[str]) -> str:
    assert of.stdout is not None
    return of.stdout.readline().strip()


@contextlib.contextmanager
def prosody() -> Iterator[PrivateProsody]:
    """Configured for measuring: memory storage, no archive, Nagle off, generational collector."""
    with PrivateProsody(SECRETS, storage="memory", log_level="warn") as server:
        for user in USERS:
            server.add_user(user, "pw")
        yield server


class Loaded(GatewayProcess):
    """The gateway as users run it, but for limits that a load test passes in no time."""

    def connect(self, ends: FarEnds) -> None:
        super().connect(ends)
        self._settings += "".join(
            f"[transport.{name}.limits]\nper_minute = 100000000\nper_day = 100000000\n"
            for name in ("mail", "sms")
        )


@contextlib.contextmanager
def gateway(
    server: PrivateProsody, smarthost_port: int, api_url: str = "http://127.0.0.1:9"
) -> Iterator[tuple[GatewayProcess, float]]:
    """The gateway, and the seconds from its start to both components connected."""
    one = Loaded()
    one.connect(FarEnds(server, "mail.localhost", "sms.localhost", smarthost_port, api_url))
    began = time.monotonic()
    with one:
        yield one, time.monotonic() - began


@contextlib.contextmanager
def record_of(one: GatewayProcess) -> Iterator[sqlite3.Connection]:
    """A look into the gateway's record from beside."""
    path = one.folder / "data" / "passerelle.db"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def quantile(values: list[float], part: float) -> float:
    """In milliseconds."""
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 2)


def median_and_spread(values: list[float]) -> tuple[float, float]:
    """The median, and the distance between the largest and the smallest as a part of it."""
    middle = statistics.median(values)
    return round(middle, 1), round((max(values) - min(values)) / middle, 2)
