"""Texts and reports in: from web-hooks, and from looking for what web-hooks have missed.

Recorded first, then acknowledged. A text with files is noted down, acknowledged, and recorded as a
message when its files are here: carriers' web-hooks have no time to wait for them.
"""

import asyncio
import base64
import binascii
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import structlog

from adapters.sms import guards, incoming, refusals
from adapters.sms.provider import Arrived, Media, NotFetched, NotListed, Provider, Rejected, Status
from adapters.sms.sending import Shared, learn
from bridge.i18n import tr
from bridge.model import File, Outcome, Report
from bridge.ports import Inbox, Kept, NotRemembered, WebRequest, WebResponse

log = structlog.get_logger()

_LOOK_BACK = 48 * 3600.0
_TRIES = (0.0, 2.0, 10.0, 30.0, 60.0)  # seconds before each try to fetch a file
_AT_ONCE = 4  # texts whose files are fetched at the same time
_MOST_KNOWN = 20_000
_STARTING = WebResponse(status=503, body=b"The gateway is starting or stopping.")


class Receiver:
    """The inward half of the adapter. Enter `running` to poll and to fetch."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()  # what a look need not report again

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        polling = asyncio.create_task(self._poll_for_ever(), name="sms poll")
        try:
            yield
        finally:
            tasks = [polling, *self._fetching.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- web-hooks ---

    async def webhook(self, request: WebRequest) -> WebResponse:
        hooks = self._shared.hooks
        try:
            event = hooks.read(request)
        except Rejected as rejected:
            log.warning("web-hook rejected", status=rejected.response.status, reason=str(rejected))
            return rejected.response
        if self._shared.inbox is None:
            return _STARTING
        try:
            match event:
                case Arrived():
                    await self._take_text(event, self._shared.inbox)
                case Status():
                    await self._take_status(event, self._shared.inbox)
        except NotRemembered:
            return WebResponse(status=503, body=b"The gateway can't write to its store at the moment.")
        return hooks.acknowledge(event)

    async def _take_text(self, arrived: Arrived, inbox: Inbox) -> None:
        settings, transport = self._shared.settings, self._shared.context.transport
        made = incoming.message(arrived, transport, settings.region, self._shared.clock())
        if not await inbox.knows(made.recipient):
            # Acknowledged all the same: a refusal would only be repeated, or shown as our fault.
            log.warning("text for a number of nobody", sid=arrived.sid)
            return
        self._shared.hear(made.recipient, made.sender.canonical)
        if any(media.url for media in arrived.media):
            await self._note_down(arrived, inbox)
            return
        files, notices = self._enclosed(arrived)
        if notice := await self._opt(arrived, made.recipient, made.sender.canonical):
            notices = (*notices, notice)
        if files or notices:
            made = incoming.message(
                arrived, transport, settings.region, self._shared.clock(), files=files, notices=notices
            )
        await inbox.accept([made])

    async def _opt(self, arrived: Arrived, ours: str, theirs: str) -> str:
        """Remember STOP and START words; the notice for the user, once."""
        word = guards.opt_word(arrived.body, arrived.opt)
        if not word:
            return ""
        key = guards.stop_key(self._shared.pool(ours), theirs)
        change = guards.opt(key, out=word == "STOP", by="STOP", now=self._shared.clock())
        news = await self._shared.context.memory.change([key], change)
        if not news:
            return ""
        return incoming.STOPPED if word == "STOP" else incoming.STARTED

    async def _take_status(self, found: Status, inbox: Inbox) -> None:
        shared = self._shared
        if found.outcome is None and (found.delivery is None or shared.bindings.knows(found.sid)):
            return  # it proves nothing new
        if found.outcome is Outcome.FAILED:
            if shared.provider is not None:
                shared.provider.carrier_refused(found.sender, found.code)
            await learn(shared, found.sender, found.recipient, found.code)
        await inbox.report([_report(found, shared.context.transport)])
        if found.delivery is not None:
            shared.bindings.bind(found.delivery, found.sid)

    # --- files ---

    def _enclosed(self, arrived: Arrived) -> tuple[tuple[File, ...], tuple[str, ...]]:
        """The files that came in the web-hook itself, and what is to be said of the others."""
        files: list[File] = []
        notices: list[str] = []
        for number, media in enumerate(arrived.media, 1):
            try:
                files.append(_file(media, self._decoded(media), number))
            except NotFetched as error:
                notices.append(incoming.file_notice(media.media_type, error.why))
        return tuple(files), tuple(notices)

    def _decoded(self, media: Media) -> bytes:
        if not media.data:
            raise NotFetched(tr("It was not handed over."))
        if len(media.data) * 3 // 4 > self._shared.settings.media_megabytes * 1_000_000:
            raise NotFetched(tr("It is too large."))
        try:
            # Some base64 of Java's has line breaks in it.
            return base64.b64decode("".join(media.data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotFetched(tr("It could not be read.")) from error

    async def _note_down(self, arrived: Arrived, inbox: Inbox) -> None:
        """Keep a text until its files are here; on disk when this returns."""
        if arrived.sid in self._fetching or await inbox.recorded([arrived.sid]):
            return
        key = f"mms/{arrived.sid}"
        await self._shared.context.memory.change(
            [key], lambda known: ({} if key in known else {key: Kept(asdict(arrived), 7 * guards.DAY)}, None)
        )
        self._fetch(arrived)

    def _fetch(self, arrived: Arrived) -> None:
        if arrived.sid in self._fetching:
            return
        task = asyncio.create_task(self._fetch_and_accept(arrived), name=f"files of {arrived.sid}")
        self._fetching[arrived.sid] = task
        task.add_done_callback(lambda done: self._fetched(arrived.sid, done))

    def _fetched(self, sid: str, task: asyncio.Task[None]) -> None:
        self._fetching.pop(sid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays noted down: the next start takes it up again.
            log.error("a text with files could not be recorded", sid=sid, error=type(error).__name__)

    async def _fetch_and_accept(self, arrived: Arrived) -> None:
        shared = self._shared
        provider, inbox = shared.provider, shared.inbox
        if provider is None or inbox is None:
            return
        files: list[File] = []
        notices: list[str] = []
        async with self._slots:
            for number, media in enumerate(arrived.media, 1):
                try:
                    data = await self._fetched_data(provider, arrived.sid, media)
                    files.append(_file(media, data, number))
                except NotFetched as error:
                    log.info("file of a text not had", sid=arrived.sid, why=error.why)
                    notices.append(incoming.file_notice(media.media_type, error.why))
        at = shared.clock() if arrived.at is None else arrived.at
        made = incoming.message(
            arrived,
            shared.context.transport,
            shared.settings.region,
            at,
            files=tuple(files),
            notices=tuple(notices),
        )
        await inbox.accept([made])
        await shared.context.memory.change([], lambda known: ({f"mms/{arrived.sid}": None}, None))
        await self._discard(provider, arrived)

    async def _fetched_data(self, provider: Provider, sid: str, media: Media) -> bytes:
        for pause in _TRIES:
            await asyncio.sleep(pause)
            try:
                return await provider.fetch(sid, media)
            except NotFetched as error:
                failed = error
                if not error.again:
                    break
        raise failed

    async def _discard(self, provider: Provider, arrived: Arrived) -> None:
        for media in arrived.media:
            if not media.url:
                continue
            try:
                await provider.discard(arrived.sid, media)
            except NotFetched as error:
                log.info("file not deleted at the provider", sid=arrived.sid, why=error.why)

    # --- what web-hooks have missed ---

    async def _poll_for_ever(self) -> None:
        every = self._shared.settings.poll_seconds
        await self._take_up_files()
        while every:
            try:
                await self.poll()
            except Exception as error:
                log.warning(
                    "looking for missed texts failed", error=type(error).__name__, detail=str(error)[:200]
                )
            await asyncio.sleep(every)

    async def _take_up_files(self) -> None:
        """Texts whose files had not come when the last process ended."""
        try:
            waiting = await self._shared.context.memory.every("mms/")
        except NotRemembered as error:
            log.error("the adapter's memory failed", error=str(error)[:200])
            return
        for value in waiting.values():
            media = tuple(Media(**one) for one in value.pop("media"))
            others = tuple(value.pop("others"))
            self._fetch(Arrived(**value, media=media, others=others))

    async def poll(self) -> None:
        """Take in what came, and what became of ours, within the last two days and is not known yet."""
        provider, inbox = self._shared.provider, self._shared.inbox
        if provider is None or inbox is None:
            return
        since = self._shared.clock() - _LOOK_BACK
        for number in self._shared.settings.numbers:
            try:
                arrivals = self._fresh("in", await provider.arrivals(number, since))
                outcomes = self._fresh("out", await provider.outcomes(number, since))
            except NotListed as error:
                log.warning("missed texts can't be looked for", number=number, error=str(error))
                continue
            there = await inbox.recorded([one.sid for one in arrivals]) if arrivals else set()
            for one in arrivals:
                if one.sid not in there:
                    await self._take_text(one, inbox)
                self._know("in", one.sid)
            told = [one for one in outcomes if one.outcome in (Outcome.DELIVERED, Outcome.FAILED)]
            mine = await inbox.bound([one.sid for one in told]) if told else {}
            for status in told:
                if status.sid in mine:
                    await self._take_status(status, inbox)
                self._know("out", status.sid)

    def _fresh(self, way: str, found: Iterable[Arrived] | Iterable[Status]) -> list[Any]:
        return [one for one in found if (way, one.sid) not in self._known]

    def _know(self, way: str, sid: str) -> None:
        self._known[way, sid] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _file(media: Media, data: bytes, number: int) -> File:
    """Raises NotFetched for one of no bytes."""
    if not data:
        raise NotFetched(tr("It is empty."))
    ending = media.media_type.partition("/")[2].partition(";")[0]
    return File(media.name or f"{number}.{ending or 'bin'}", media.media_type, data)


def _report(found: Status, transport: str) -> Report:
    failed = found.outcome is Outcome.FAILED
    condition, error_type = refusals.kind_of_failure(found.code) if failed else ("", "")
    return Report(
        transport=transport,
        outcome=found.outcome or Outcome.SENT,
        remote_id=found.sid,
        delivery_id=found.delivery,
        recipient=found.recipient,
        reason=(found.reason or refusals.of_failure(found.code)) if failed else "",
        code=str(found.code) if failed and found.code else "",
        condition=condition,
        error_type=error_type,
    )
