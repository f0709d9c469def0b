"""Connections and transactions: one writer thread with group commit, and readers of its own.

A transaction is an ordinary function whose first argument is a SQLAlchemy connection. `do` runs it
on the writer thread and resolves after COMMIT; `look` runs it on a reading connection. What the
functions do is written in the other modules of this package.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

# One transaction takes at most this many queued calls, so that the first of them is not kept waiting.
_JOINED = 64
_READERS = 2
# How long a transaction waits for whoever else has locked the database file: a backup, a shell, a CLI
# command. It is the writer thread that waits; the event loop goes on.
_BUSY_SECONDS = 30.0


class StoreFailed(Exception):
    """The database refused; nothing of this call was written."""

    @property
    def passes(self) -> bool:
        """Whether the same may go well later: the database is away, busy or full. Else it is what it was
        given that it does not take."""
        return isinstance(self.__cause__, OperationalError | InterfaceError | InternalError)


def is_about_input(error: Exception) -> bool:
    """Whether a call failed by what it was given, so that others' calls may go well at the same time."""
    return not (isinstance(error, StoreFailed) and error.passes)


class StoreLocked(Exception):
    """Another process runs on this data_dir."""


class _Call:
    __slots__ = ("args", "function", "future", "loop")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


def database_url(database: str, data_dir: Path) -> str:
    """The SQLAlchemy URL for `[gateway].database`: "sqlite" or a postgresql:// URL (psycopg 3)."""
    if database == "sqlite":
        return f"sqlite:///{data_dir / 'passerelle.db'}"
    return database.replace("postgresql://", "postgresql+psycopg://", 1)


def make_engine(url: str) -> Engine:
    """An engine whose transactions begin and end where this module says so."""
    if not url.startswith("sqlite"):
        return create_engine(
            url, poolclass=NullPool, isolation_level="READ COMMITTED", hide_parameters=True
        )
    # Autocommit in the driver: sqlite3's own implicit BEGIN is deferred and would let a reader in between.
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,  # they are what people wrote
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": _BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={int(_BUSY_SECONDS * 1000)}",
            "cache_size=-8000",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        readonly = connection.get_execution_options().get("passerelle_reading", False)
        begin = "BEGIN" if readonly else "BEGIN IMMEDIATE"
        # Past SQLAlchemy, which takes 100 µs to say so little.
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute(begin)
        except sqlite3.Error as error:
            raise OperationalError(begin, None, error) from error

    return engine


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data_dir's lock file: one `run` on one SQLite database. Raises StoreLocked."""
    handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreLocked(
                f"another passerelle runs on {data_dir}: stop it first, or give this one another data_dir"
            ) from error
        yield
    finally:
        os.close(handle)


class Store:
    """The record. Use as an async context manager; leaving it finishes what is queued."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._local = threading.local()
        self._reading: list[Connection] = []
        self._failure = ""

    async def __aenter__(self) -> Self:
        self._writer = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)
        for connection in self._reading:
            connection.close()
        self._engine.dispose()

    @property
    def failure(self) -> str:
        """Why the last transaction failed; empty when the last one committed."""
        return self._failure

    async def do(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a writing transaction; on return it is on disk. Raises StoreFailed, or what it raised."""
        call = _Call(partial(function, **kwargs) if kwargs else function, args)
        self._queue.put(call)
        result: T = await call.future
        return result

    async def look(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a reading transaction."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._read, partial(function, **kwargs) if kwargs else function, args
        )

    def _read(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._engine.connect().execution_options(passerelle_reading=True)
            self._local.connection = connection
            self._reading.append(connection)
        with connection.begin():
            return function(connection, *args)

    # --- the writer thread ---

    def _write(self) -> None:
        connection: Connection | None = None
        while True:
            calls, last = self._gather()
            if calls:
                connection = self._commit_together(connection, calls)
            if last:
                if connection is not None:
                    connection.close()
                return

    def _gather(self) -> tuple[list[_Call], bool]:
        calls: list[_Call] = []
        call = self._queue.get()
        while call is not None:
            calls.append(call)
            if len(calls) == _JOINED:
                return calls, False
            try:
                call = self._queue.get_nowait()
            except queue.Empty:
                return calls, False
        return calls, True

    def _commit_together(self, connection: Connection | None, calls: list[_Call]) -> Connection | None:
        """One transaction for all; if it fails, each call alone, so that none suffers for another."""
        answers: list[tuple[_Call, Any, BaseException | None]] = []
        try:
            connection = connection or self._engine.connect()
            with connection.begin():
                results = [call.function(connection, *call.args) for call in calls]
            answers = [(call, result, None) for call, result in zip(calls, results, strict=True)]
            self._failure = ""
        except Exception as error:
            if len(calls) == 1:
                answers = [(calls[0], None, error)]
                self._note_failure(error)
                _discard(connection)
                connection = None
            else:
                _discard(connection)
                connection = None
                for call in calls:
                    connection = self._commit_together(connection, [call])
                return connection
        _resolve(answers)
        return connection

    def _note_failure(self, error: BaseException) -> None:
        if isinstance(error, SQLAlchemyError):
            self._failure = f"{type(error).__name__}: {error}"[:300]
            log.error("transaction failed", error=type(error).__name__, detail=str(error)[:300])


def _discard(connection: Connection | None) -> None:
    # After a failure the connection's own state is in doubt (a lost server, a full disk): take a new one.
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.invalidate()
        with contextlib.suppress(Exception):
            connection.close()


def _resolve(answers: list[tuple[_Call, Any, BaseException | None]]) -> None:
    """Hand the answers over to their event loops, with one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Call, Any, BaseException | None]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].loop, []).append(answer)
    for loop, mine in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
            loop.call_soon_threadsafe(_settle_futures, mine)


def _settle_futures(answers: list[tuple[_Call, Any, BaseException | None]]) -> None:
    for call, result, error in answers:
        if call.future.done():
            continue
        if error is None:
            call.future.set_result(result)
        elif isinstance(error, SQLAlchemyError):
            failure = StoreFailed(str(error)[:300])
            failure.__cause__ = error
            call.future.set_exception(failure)
        else:
            call.future.set_exception(error)


def ping(connection: Connection) -> None:
    """A transaction that proves that the database can be written (used by /readyz)."""
    connection.execute(text("SELECT 1"))
