"""Gives out files under unguessable addresses: GET and HEAD of /files/TOKEN/NAME. Streams from disk.

Everything here was sent by strangers, so a browser is told to save it and to run nothing in it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from bridge.telemetry import METRICS

log = structlog.get_logger()

PREFIX = "/files/"
_PATH = re.compile(r"/files/([0-9a-f]{48})/[^/?#]+")
_AT_ONCE = 200  # files on their way; web-hooks keep the rest of the connections
_SECONDS = 900.0  # for one of them: a reader that stalls holds its place no longer
_LOOK_UP_SECONDS = 10.0
_HEADERS = {
    "Server": "passerelle",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


class Given(Protocol):
    """A file to be given out: bridge.files.Shown."""

    @property
    def path(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def media_type(self) -> str: ...


Lookup = Callable[[str], Awaitable[Given | None]]


class FilePages:
    """Answers requests below /files/. `lookup` finds what stands under a token, if it has not expired."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._under_way = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Never raises, and answers the same for what never was and what is over."""
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "Files are here to be read.\n", {"Allow": "GET, HEAD"})
        path = _PATH.fullmatch(request.raw_path.partition("?")[0])
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                found = await self._lookup(path[1]) if path is not None else None
        except Exception:
            METRICS.errors.labels("web").inc()
            log.exception("a file could not be looked up")
            return _plain(503, "Busy; please try again.\n", {"Retry-After": "10"})
        if found is None:
            return _plain(404, "Nothing here.\n")
        if self._under_way >= _AT_ONCE:
            return _plain(503, "Busy; please try again.\n", {"Retry-After": "10"})
        return _Sent(self, found)

    def began(self) -> None:
        self._under_way += 1

    def ended(self) -> None:
        self._under_way -= 1


class _Sent(web.FileResponse):
    """A file on its way: in chunks, ranges too (RFC 9110 section 14), within a time limit."""

    def __init__(self, pages: FilePages, found: Given) -> None:
        super().__init__(
            found.path,
            headers={
                **_HEADERS,
                "Content-Type": found.media_type,
                "Content-Disposition": disposition(found.name),
                "Cache-Control": "private, max-age=86400",
            },
        )
        self._pages = pages

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._pages.began()
        try:
            async with asyncio.timeout(_SECONDS):
                return await super().prepare(request)
        except TimeoutError as error:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the reader was too slow") from error
        finally:
            self._pages.ended()


def disposition(name: str) -> str:
    """Content-Disposition with a name for everybody (RFC 6266): ASCII, and as it is for who can read that."""
    plain = re.sub(r'[^ !#-\[\]-~]', "_", name).replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _plain(status: int, sentence: str, more: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, text=sentence, headers={**_HEADERS, "Cache-Control": "no-store", **(more or {})}
    )
