"""Turns recorded raw inputs into messages: reads them in a worker process, then records what they hold.

A parser that dies twice on an input yields a plain notice, and the input is kept: nothing is lost to a bug.
"""

import asyncio
import contextlib
import pickle
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import structlog
from sqlalchemy import Connection

from bridge.files import Filing
from bridge.model import Address, Envelope, File, Incoming, Report
from bridge.ports import Parser
from bridge.store import inputs, recording, reports
from bridge.store.drafts import Ground
from bridge.store.engine import Store, StoreFailed, is_about_input
from bridge.store.inputs import RawInput
from bridge.store.rows import Lane
from bridge.telemetry import METRICS
from bridge.worker import HEADER, Answer, Task

log = structlog.get_logger()

_BATCH, _BATCH_BYTES = 50, 4 << 20
_DEADLINE = 20.0  # seconds for a batch; a parser is bounded well below that
_START_DEADLINE = 60.0  # seconds, on a machine that is very busy
_IDLE = 300.0  # seconds after which an unused worker is ended, to give its memory back
_LOOK_ANYWAY = 30.0
_ANSWER_LIMIT = 64 << 20  # bytes


class WorkerDied(Exception):
    """The worker crashed, or was ended because it took too long."""


class Worker:
    """One worker process, started when it is needed."""

    def __init__(self, deadline: float = _DEADLINE) -> None:
        self._deadline = deadline
        self._process: asyncio.subprocess.Process | None = None

    async def read(self, task: Task) -> Answer:
        """Raises WorkerDied; the next call starts another process."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        data = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        try:
            async with asyncio.timeout(self._deadline):
                process.stdin.write(HEADER.pack(len(data)) + data)
                await process.stdin.drain()
                (length,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
                if length > _ANSWER_LIMIT:
                    raise WorkerDied("the answer is too large")
                answer: Answer = pickle.loads(await process.stdout.readexactly(length))
                return answer
        except Exception as error:
            # Whatever it is: uvloop raises RuntimeError for a pipe that has just closed, and a spoilt
            # pickle may raise anything.
            await self.end()
            raise WorkerDied(type(error).__name__) from error
        except BaseException:
            await self.end()  # what it answers now would belong to no question
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bridge.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            await self._greeted(self._process)
        return self._process

    async def _greeted(self, process: asyncio.subprocess.Process) -> None:
        """The time for reading a mail begins when the worker is there, not when it is being started."""
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_DEADLINE):
                await process.stdout.readexactly(HEADER.size)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self.end()
            raise WorkerDied("it did not start") from error

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Intake:
    """Enter it to start; leaving it lets the batch in hand be recorded."""

    def __init__(
        self,
        store: Store,
        parsers: Mapping[str, Parser],
        grounds: Mapping[str, Ground],
        receipts_on_sent: Mapping[str, bool],
        ring: Callable[[Iterable[Lane]], None],
        *,
        files: Filing | None = None,
        clock: Callable[[], float] = time.time,
        worker: Worker | None = None,
        learn: Callable[[Sequence[Incoming]], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._parsers = parsers
        self._grounds = grounds
        self._receipts_on_sent = receipts_on_sent
        self._ring = ring
        self._files = files
        self._clock = clock
        self._worker = worker or Worker()
        self._learn = learn  # hears of recorded messages that show their sender's face
        self._bell = asyncio.Event()
        self._bell.set()
        self._task: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """A raw input was recorded."""
        self._bell.set()

    async def __aenter__(self) -> "Intake":
        self._task = asyncio.create_task(self._run(), name="intake")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._worker.end()

    async def _run(self) -> None:
        idle_since = self._clock()
        while True:
            self._bell.clear()
            try:
                if await self._turn():
                    idle_since = self._clock()
                    self._bell.set()
            except StoreFailed as error:
                log.error("cannot read the intake", error=str(error)[:200])
                await self._rest()
            except Exception as error:  # nobody else would ever notice that mail is no longer read
                log.exception("the intake broke, and goes on", error=type(error).__name__)
                METRICS.errors.labels("intake").inc()
                await self._rest()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_ANYWAY):
                    await self._bell.wait()
            if self._clock() - idle_since > _IDLE:
                await self._worker.end()

    async def _rest(self) -> None:
        """A little, and then once more."""
        await asyncio.sleep(1.0)
        self._bell.set()

    async def _turn(self) -> bool:
        """Read and record what has waited longest. Answers whether there was anything."""
        found = await self._store.look(inputs.oldest, _BATCH, _BATCH_BYTES)
        for transport, group in groupby(found, key=lambda one: one.envelope.transport):
            await self._read(transport, list(group))
        return bool(found)

    async def _read(self, transport: str, batch: list[RawInput]) -> None:
        parser = self._parsers.get(transport)
        if parser is None:
            log.error("inputs of a transport that is not configured are kept", transport=transport)
            await self._store.do(inputs.set_aside, [one.id for one in batch])
            return
        suspects = [one for one in batch if one.attempts]
        for one in suspects:
            await self._read_together(parser, [one])
        rest = [one for one in batch if not one.attempts]
        if rest:
            await self._read_together(parser, rest)

    async def _read_together(self, parser: Parser, batch: list[RawInput]) -> None:
        if batch[0].attempts >= 2:
            await self._give_notice(batch)
            return
        try:
            answer = await self._worker.read((parser, [(one.raw, one.envelope) for one in batch]))
        except WorkerDied as error:
            log.error("the worker died while reading", inputs=len(batch), error=str(error))
            METRICS.errors.labels("worker").inc()
            await self._store.do(inputs.blame, [one.id for one in batch])
            return
        good = [(one, parts) for one, parts in zip(batch, answer, strict=True) if parts is not None]
        bad = [one for one, parts in zip(batch, answer, strict=True) if parts is None]
        if good:
            await self._record(good)
        if bad:
            log.error("a parser broke", inputs=[one.id for one in bad])
            METRICS.errors.labels("parser").inc(len(bad))
            await self._give_notice(bad)

    async def _record(self, good: Sequence[tuple[RawInput, Sequence[Incoming | Report]]]) -> None:
        kept = await self._kept([part for one, parts in good for part in _with_original(one, parts)])
        ids = [one.id for one, _ in good]
        try:
            lanes = await self._store.do(
                _record_read, ids, kept, self._grounds, self._receipts_on_sent, self._clock()
            )
        except Exception as error:
            if not is_about_input(error):
                raise
            # One of them cannot be recorded, ever; it must not keep the others from it, nor what comes later.
            log.exception("what was read cannot be recorded", inputs=ids, error=type(error).__name__)
            METRICS.errors.labels("intake").inc()
            await self._store.do(inputs.blame, ids)
            return
        METRICS.inputs_recorded.labels(good[0][0].envelope.transport).inc(len(good))
        self._ring(lanes)
        faces = [part for _, parts in good for part in parts if isinstance(part, Incoming) and part.face]
        if faces and self._learn is not None:
            await self._learn(faces)

    async def _kept(self, parts: Sequence[Incoming | Report]) -> list[Incoming | Report]:
        """The same, with the files of messages on disk."""
        messages = [part for part in parts if isinstance(part, Incoming)]
        kept: Sequence[Incoming] = await self._files.keep_all(messages) if self._files else messages
        return [*kept, *(part for part in parts if isinstance(part, Report))]

    async def _give_notice(self, batch: Sequence[RawInput]) -> None:
        """Say that something came which cannot be read, and keep it."""
        notices = [notice for one in batch for notice in unreadable(one)]
        ids = [one.id for one in batch]
        try:
            lanes = await self._store.do(_record_unreadable, ids, notices, self._grounds, self._clock())
        except Exception as error:
            if not is_about_input(error):
                raise
            log.exception("an input is kept, and nobody is told", inputs=ids, error=type(error).__name__)
            await self._store.do(inputs.set_aside, ids)
            return
        self._ring(lanes)


def unreadable(one: RawInput) -> list[Incoming]:
    """What the recipients of an input that cannot be read are told."""
    envelope: Envelope = one.envelope
    sender = envelope.sender or f"postmaster@{envelope.recipients[0].rpartition('@')[2]}"
    return [
        Incoming(
            transport=envelope.transport,
            sender=Address(sender.lower(), sender),
            recipient=recipient,
            body="⚠ Something arrived from this sender that could not be read here. It has been kept as "
            f"number {one.id}: the administrator of this gateway can give it to you.",
            dedupe=f"unreadable {one.id}",
            written_at=envelope.received_at,
        )
        for recipient in envelope.recipients
    ]


def _with_original(one: RawInput, parts: Sequence[Incoming | Report]) -> Iterator[Incoming | Report]:
    """The same, where more than is shown is asked for with the input itself beside it."""
    original = File("message.eml", "message/rfc822", one.raw)
    for part in parts:
        yield replace(part, original=original) if isinstance(part, Incoming) and part.keep_raw else part


def _record_read(
    connection: Connection,
    ids: Sequence[int],
    parts: Sequence[Incoming | Report],
    grounds: Mapping[str, Ground],
    receipts_on_sent: Mapping[str, bool],
    now: float,
) -> list[Lane]:
    """One transaction: the messages are there and the inputs are gone, or neither."""
    incoming = [part for part in parts if isinstance(part, Incoming)]
    told = [part for part in parts if isinstance(part, Report)]
    for one in told:
        if one.otherwise and not reports.knows(connection, one):
            incoming += one.otherwise
    lanes = recording.record_in(connection, incoming, grounds, now) if incoming else []
    if told:
        lanes += reports.report(connection, told, receipts_on_sent, now)
    inputs.done(connection, ids)
    return lanes


def _record_unreadable(
    connection: Connection,
    ids: Sequence[int],
    notices: Sequence[Incoming],
    grounds: Mapping[str, Ground],
    now: float,
) -> list[Lane]:
    lanes = recording.record_in(connection, notices, grounds, now)
    inputs.set_aside(connection, ids)
    return lanes
