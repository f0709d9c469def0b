"""What systemd is told, and the bell between processes, over real sockets."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from bridge import bell, service


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # a generator
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "n"))
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        yield end


def test_each_turn_of_life_is_told(manager: socket.socket) -> None:
    service.still_starting(90)
    service.ready("2 transports")
    service.status("mail is not connected")
    service.stopping()

    told = [manager.recv(1000).decode() for _ in range(4)]
    assert told == [
        "EXTEND_TIMEOUT_USEC=90000000",
        "READY=1\nSTATUS=2 transports",
        "STATUS=mail is not connected",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"passerelle-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.settimeout(5)
        assert service.notify("READY=1", environment={"NOTIFY_SOCKET": f"@{name}"})
        assert end.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens() -> None:
    assert not service.notify("READY=1", environment={})
    assert not service.notify("READY=1", environment={"NOTIFY_SOCKET": "/nonexistent/socket"})


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "nonsense"}, None),
    ],
)
def test_signs_of_life_are_given_twice_as_often_as_wanted(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert service.watchdog_interval(environment) == seconds


async def test_signs_of_life_go_on(manager: socket.socket) -> None:
    environment = {"WATCHDOG_USEC": "20000", "NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"]}
    alive = asyncio.create_task(service.keep_alive(environment))
    signs = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
    alive.cancel()

    assert signs == [b"WATCHDOG=1"] * 3


async def test_the_bell_is_heard(tmp_path: Path) -> None:
    heard = asyncio.Event()
    async with bell.listening(tmp_path, heard.set):
        assert await asyncio.to_thread(bell.ring, tmp_path)
        async with asyncio.timeout(5):
            await heard.wait()
        assert stat.S_IMODE(os.stat(tmp_path / "bell").st_mode) == 0o600

    assert not (tmp_path / "bell").exists()


async def test_ringing_where_nobody_listens_harms_nobody(tmp_path: Path) -> None:
    assert not bell.ring(tmp_path)
    assert not bell.ring(tmp_path / "nowhere")


async def test_a_bell_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "bell"))
    heard = asyncio.Event()
    async with bell.listening(tmp_path, heard.set):
        assert bell.ring(tmp_path)
        async with asyncio.timeout(5):
            await heard.wait()


async def test_a_long_path_is_no_trouble(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    heard = asyncio.Event()
    async with bell.listening(deep, heard.set):
        for _ in range(10_000):  # far more than a socket holds: rings come together
            assert bell.ring(deep)
        async with asyncio.timeout(5):
            await heard.wait()
