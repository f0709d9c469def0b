"""Files that belong to messages: kept before they are recorded, fetched where a user shared them,
published under addresses of ours, and removed when their time is over.

The bytes lie in `store.blobs`, fetching is `fetching`'s; how files travel is the outlets' business.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import structlog

from bridge import fetching, media
from bridge.fetching import FetchLimits, NotFetched
from bridge.model import Attachment, File, Incoming
from bridge.ports import FileUnavailable, Refused, TryLater
from bridge.store import blobs
from bridge.store.blobs import Blobs
from bridge.store.engine import Store, StoreFailed

log = structlog.get_logger()

T = TypeVar("T")

DAY = 86400.0
_LENT_FOR = 4 * DAY  # what a provider is to fetch: longer than it goes on trying
_ORPHANED_AFTER = DAY  # what belongs to no message; far longer than recording one takes
_BITE = 200
_AT_ONCE = 4  # files fetched or read at the same time: each is in memory as a whole
_GONE = "The file {name} is no longer kept here. Please send it again."


@dataclass(frozen=True, slots=True)
class Shown:
    """A file as the web listener gives it out."""

    path: Path
    name: str
    media_type: str
    size: int


class Filing:
    """One for the process. `keep_for` is in seconds; `allow_hosts` may be fetched from though they are
    not public (see bridge.guard)."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        public_url: str = "",
        keep_for: float = 30 * DAY,
        allow_hosts: Collection[str] = (),
        limits: FetchLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.blobs = Blobs(folder)
        self._store = store
        self._public_url = public_url
        self._keep_for = keep_for
        self._allowed = set(allow_hosts)
        self._limits = limits or FetchLimits()
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def allow(self, place: str) -> None:
        """Exempt a host:port from the guard: the chat server's own upload service."""
        self._allowed.add(place)

    # --- inwards ---

    async def keep_all(self, incoming: Sequence[Incoming]) -> list[Incoming]:
        """The same messages, with their files on disk and recorded as blobs. Raises StoreFailed."""
        found = (file for one in incoming for file in (*one.files, one.original))
        files = {id(file): file for file in found if isinstance(file, File)}
        if not files:
            return list(incoming)
        kept = dict(zip(files, await self._keep(list(files.values())), strict=True))
        return [
            replace(
                one,
                files=(),
                attachments=tuple(kept[id(file)] for file in one.files),
                original=kept.get(id(one.original)),
            )
            for one in incoming
        ]

    async def _keep(self, files: Sequence[File]) -> list[Attachment]:
        kept = await self._on_disk(self._write, files)
        now = self._clock()
        await self._store.do(blobs.name, kept, now, now + self._keep_for)
        return kept

    def _write(self, files: Sequence[File]) -> list[Attachment]:
        kept = []
        for file in files:
            kind = media.media_type(file.data[:64], file.media_type, file.name)
            name = media.safe_name(file.name, kind)
            kept.append(Attachment(name, kind, self.blobs.write(file.data), len(file.data)))
        return kept

    async def _on_disk(self, work: Callable[[Sequence[File]], T], files: Sequence[File]) -> T:
        try:
            return await asyncio.to_thread(work, files)
        except OSError as error:
            raise StoreFailed(f"files cannot be written: {error.strerror}") from error

    async def uploaded(self, token: str, url: str) -> None:
        """Remember where a blob has been put, so that a repeated delivery need not put it there again."""
        await self._store.do(blobs.placed, token, url)

    # --- outwards: bridge.ports.Files ---

    async def read(self, attachment: Attachment) -> bytes:
        async with self._slots:
            attachment = await self._as_it_stands(attachment)
            if attachment.blob:
                return await self._read_blob(attachment)
            return (await self._fetch(attachment))[1]

    async def publish(self, attachment: Attachment) -> str:
        if not self._public_url:
            raise FileUnavailable(
                Refused("This gateway has no public address, so files cannot be sent this way.")
            )
        return self.address(await self.at_hand(attachment))

    async def at_hand(self, attachment: Attachment) -> Attachment:
        """The file on disk, fetched if need be, and kept there for some days more. Raises FileUnavailable."""
        async with self._slots:
            attachment = await self._as_it_stands(attachment)
            if not attachment.blob:
                attachment, _ = await self._fetch(attachment)
        now = self._clock()
        try:
            there = await self._store.do(blobs.lend, attachment.blob, now, now + _LENT_FOR)
        except StoreFailed as error:
            raise FileUnavailable(TryLater("The file cannot be given out just now.")) from error
        if not there:
            raise FileUnavailable(Refused(_GONE.format(name=attachment.name)))
        return attachment

    async def keep(self, file: File) -> Attachment:
        try:
            return (await self._keep([file]))[0]
        except StoreFailed as error:
            raise FileUnavailable(TryLater("The file could not be saved just now.")) from error

    async def put(self, name: str, media_type: str, data: bytes) -> Attachment:
        """Bytes on disk, for a transaction that names them; unnamed they are swept away after a day.
        Raises FileUnavailable."""
        try:
            token = await self._on_disk(lambda _: self.blobs.write(data), ())
        except StoreFailed as error:
            raise FileUnavailable(TryLater("The file could not be saved just now.")) from error
        return Attachment(name, media_type, token, len(data))

    async def download(self, url: str, most: int) -> bytes:
        """What stands at an address that a user has named; at most `most` bytes. Raises NotFetched."""
        async with self._slots:
            return (await fetching.fetch(url, replace(self._limits, bytes=most), self._allowed)).data

    @property
    def allowed(self) -> Collection[str]:
        """What may be fetched from though it is not public (see bridge.guard)."""
        return self._allowed

    async def _as_it_stands(self, attachment: Attachment) -> Attachment:
        """The attachment as the record has it now: it may have been fetched since it was handed out."""
        if attachment.blob or not attachment.id:
            return attachment
        return await self._store.look(blobs.attached, attachment.id) or attachment

    async def _read_blob(self, attachment: Attachment) -> bytes:
        try:
            return await asyncio.to_thread(self.blobs.read, attachment.blob)
        except FileNotFoundError as error:
            raise FileUnavailable(Refused(_GONE.format(name=attachment.name))) from error
        except OSError as error:
            log.error("a file cannot be read", error=error.strerror)
            raise FileUnavailable(TryLater("The file could not be read here just now.")) from error

    async def _fetch(self, attachment: Attachment) -> tuple[Attachment, bytes]:
        """Fetch what a user shared, and put it by: the next attempt finds it here."""
        if not attachment.source:
            raise FileUnavailable(Refused(_GONE.format(name=attachment.name or "you shared")))
        try:
            got = await fetching.fetch(attachment.source, self._limits, self._allowed)
        except NotFetched as error:
            fate = TryLater(str(error)) if error.later else Refused(str(error), "not-acceptable", "modify")
            raise FileUnavailable(fate, too_large=error.too_large) from error
        name = media.safe_name(attachment.name, got.media_type) if attachment.name else got.name
        kept = replace(attachment, name=name, media_type=got.media_type, size=len(got.data))
        try:
            token = await self._on_disk(lambda _: self.blobs.write(got.data), ())
            kept = replace(kept, blob=token)
            now = self._clock()
            await self._store.do(blobs.fetched, attachment.id, kept, now, now + self._keep_for)
        except StoreFailed as error:
            raise FileUnavailable(TryLater("The file could not be saved just now.")) from error
        return kept, got.data

    # --- addresses of ours ---

    def address(self, attachment: Attachment) -> str:
        """Where our own listener gives this file out; empty when there is no public address."""
        if not self._public_url or not attachment.blob:
            return ""
        return f"{self._public_url}/files/{attachment.blob}/{quote(attachment.name, safe='')}"

    async def shown(self, token: str) -> Shown | None:
        """What stands under a token, for the web listener. Raises StoreFailed."""
        found = await self._store.look(blobs.find, token, self._clock())
        if found is None:
            return None
        return Shown(self.blobs.path(token), found.name, found.media_type, found.size)

    # --- upkeep ---

    async def tidy(self) -> None:
        """Remove what is over its time, and files that nobody names. Raises StoreFailed."""
        try:
            await self._tidy()
        except OSError as error:
            log.warning("old files cannot be removed", error=error.strerror)

    async def _tidy(self) -> None:
        now = self._clock()
        while tokens := await self._store.do(blobs.forget, now, now - _ORPHANED_AFTER, _BITE):
            await asyncio.to_thread(self.blobs.remove, tokens)
        for folder in await asyncio.to_thread(self.blobs.folders):
            tokens = await asyncio.to_thread(self.blobs.older_than, now - _ORPHANED_AFTER, folder)
            for start in range(0, len(tokens), _BITE):
                await self._sweep(tokens[start : start + _BITE])

    async def _sweep(self, tokens: Sequence[str]) -> None:
        named = await self._store.look(blobs.known, tokens)
        await asyncio.to_thread(self.blobs.remove, [one for one in tokens if one not in named])
