"""What every private server has in common: a folder, loopback ports, an unprivileged user, a process.

Knows no particular server. The demo and the tests derive theirs from `PrivateServer`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A private server did not start or did not stop. The message has the end of its log."""


class HeldPorts:
    """Loopback ports chosen by the kernel and kept until `release`, also while no server listens.

    A socket that is bound with SO_REUSEADDR and never listens lets a server bind the same port, yet
    the kernel gives it to nobody else: not to another bind(0), and not as the local end of a client
    that is just reconnecting to the very port whose server is down.
    """

    def __init__(self, count: int) -> None:
        self._sockets = [_bound_socket() for _ in range(count)]
        self.numbers: tuple[int, ...] = tuple(held.getsockname()[1] for held in self._sockets)

    def release(self) -> None:
        for held in self._sockets:
            held.close()


def _bound_socket() -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((LOOPBACK, 0))
    return held


def answers(port: int, say: bytes, until: bytes, patience: float = 1.0) -> bool:
    """Whether a server on a loopback port answers `say` with something that contains `until`.

    A connect is no proof: ejabberd and Prosody accept before they are ready to talk.
    """
    try:
        with socket.create_connection((LOOPBACK, port), patience) as peer:
            peer.settimeout(patience)
            peer.sendall(say)
            heard = b""
            while until not in heard:
                chunk = peer.recv(4096)
                if not chunk:
                    return False
                heard += chunk
            return True
    except OSError:
        return False


class PrivateServer(ABC):
    """A server of one's own, in the foreground, in a temporary folder; a context manager.

    As root it runs as `nobody`, except where a subclass says otherwise. All methods block, for some
    tenths of a second; call them by `asyncio.to_thread` where a loop must go on.
    """

    name = "server"
    port_count = 1
    start_seconds = 30.0
    stop_seconds = 10.0
    demoted = True  # as root, run as `nobody`

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"passerelle-{self.name}-"))
        self._held = HeldPorts(self.port_count)
        self.ports = self._held.numbers
        self.last_pid = 0  # of the process that runs, or ran last
        self._process: subprocess.Popen[bytes] | None = None

    # --- what a subclass says ---

    @abstractmethod
    def prepare(self) -> None:
        """Write configuration into the folder. Called once, before the first start."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What to run; it must stay in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it greets, tried again until it does."""

    def environment(self) -> Mapping[str, str] | None:
        """The environment of the process; None is ours."""
        return None

    # --- life ---

    def __enter__(self) -> Self:
        try:
            self._give_away()  # twice: `prepare` may already run a program as the owner
            self.prepare()
            self._give_away()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it greets. On the same ports and with the same data as before."""
        self._process = self._spawn()
        self.last_pid = self._process.pid
        self._wait_until(self.ready)

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.ask_to_stop()
            try:
                self._process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def ask_to_stop(self) -> None:
        """Tell the running process to end; SIGTERM, unless a subclass knows better."""
        if self._process is not None:
            self._process.terminate()

    def signal_interrupt(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it by SIGKILL: what a crash or the out-of-memory killer does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Until the running process ends by itself or is stopped."""
        if self._process is not None:
            self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it, give back its ports and remove its folder."""
        try:
            self.stop()
        finally:
            self._held.release()
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it wrote, for an error message."""
        texts = [path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])

    def run_as_owner(self, *command: str) -> None:
        """Run a program to its end as the user that the server runs as. Raises ServerError."""
        owner = self._owner()
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.folder,
            user=owner and owner.pw_uid,
            group=owner and owner.pw_gid,
            extra_groups=owner and (),
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')}")

    # --- parts ---

    def _spawn(self) -> subprocess.Popen[bytes]:
        owner = self._owner()
        command = self.command()
        with (self.folder / "output.log").open("ab") as output:
            try:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=self.environment(),
                    start_new_session=True,  # a Ctrl-C in the terminal is for us; we stop it in our order
                    user=owner and owner.pw_uid,
                    group=owner and owner.pw_gid,
                    extra_groups=owner and (),
                )
            except FileNotFoundError:
                raise ServerError(f"there is no {command[0]} here: `make dev packages` brings it") from None

    def _owner(self) -> pwd.struct_passwd | None:
        """The user to run as, if that is not who we are."""
        return pwd.getpwnam("nobody") if os.geteuid() == 0 and self.demoted else None

    def _give_away(self) -> None:
        """Make the user that the server runs as the owner of the folder and all in it."""
        if owner := self._owner():
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.start_seconds
        while not condition():
            if not self.running:
                raise ServerError(f"{self.name} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not greet on {self.ports}:\n{self.log_tail()}")
            time.sleep(0.01)
