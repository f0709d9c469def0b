"""A bell between processes on one machine: `passerelle queue retry` rings it, `passerelle run` looks.

A datagram socket in data_dir, for the owner only. It carries no message: whoever hears it looks into
the record. Nothing depends on it, since the dispatcher looks by itself every 30 s.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

_NAME = "bell"


def ring(data_dir: Path) -> bool:
    """Wake the gateway that runs on `data_dir`. False if none listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            with _short_path(data_dir) as path:
                sender.sendto(b"!", path)
        except BlockingIOError:
            return True  # it has been rung more often than it could look: it will
        except OSError:
            return False
    return True


@contextlib.asynccontextmanager
async def listening(data_dir: Path, on_ring: Callable[[], None]) -> AsyncIterator[None]:
    """Call `on_ring` whenever somebody rings. Any number of rings may come as one."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
        # Linux makes the socket's file with the mode that the unbound socket has.
        os.fchmod(receiver.fileno(), 0o600)
        (data_dir / _NAME).unlink(missing_ok=True)  # of a run that was killed; run's lock keeps others out
        with _short_path(data_dir) as path:
            receiver.bind(path)

        def hear() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(1000):
                    receiver.recv(1)
            on_ring()

        loop.add_reader(receiver.fileno(), hear)
        try:
            yield
        finally:
            loop.remove_reader(receiver.fileno())
            (data_dir / _NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def _short_path(data_dir: Path) -> Iterator[str]:
    """The bell's path by way of an open folder: a Unix socket's own may not exceed 107 bytes."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{_NAME}"
    finally:
        os.close(folder)
