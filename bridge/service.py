"""Tells systemd how the service is (sd_notify(3)). Without systemd each of these does nothing."""

import asyncio
import os
import socket
from collections.abc import Mapping


def notify(*states: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send assignments such as "READY=1". False if nobody listens: then the service runs all the same."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # a name in the kernel's own space
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(states).encode(), address)
    except OSError:
        return False
    return True


def ready(status: str = "") -> None:
    """Everything is started: units that come after this one may start."""
    notify("READY=1", *([f"STATUS={status}"] if status else []))


def stopping(status: str = "") -> None:
    """The stop has begun; what is under way is finished first."""
    notify("STOPPING=1", *([f"STATUS={status}"] if status else []))


def status(text: str) -> None:
    """One line that `systemctl status` shows."""
    notify(f"STATUS={text}")


def still_starting(seconds: float) -> None:
    """Ask for that much more time before READY: a migration takes as long as it takes."""
    notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def watchdog_interval(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two signs of life: half of WatchdogSec. None where none are wanted."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    wanted_of = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or wanted_of not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Give signs of life from the event loop until cancelled: when it hangs, systemd restarts us."""
    interval = watchdog_interval(environment)
    if interval is None:
        return
    while True:
        notify("WATCHDOG=1", environment=environment)
        await asyncio.sleep(interval)
