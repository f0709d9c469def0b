"""Two HTTP listeners: the public one hands web-hooks to adapters, the admin one shows pages.

It reads requests into values and writes answers; what they mean is the adapters' and the pages'
business. aiohttp's low-level server is used as it is, without routers, middlewares or access log:
each would cost every web-hook.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException

from bridge.ports import WebRequest, WebResponse
from bridge.telemetry import METRICS
from bridge.web.files import PREFIX, FilePages
from bridge.web.pages import Pages, Probes

log = structlog.get_logger()

Answer = Callable[[WebRequest], Awaitable[WebResponse]]

_LARGEST_BODY = 256 * 1024  # bytes, but where a transport has asked for more
_LARGE_AT_ONCE = 2  # larger ones in memory: anybody may post, who it was is known afterwards
_BODY_SECONDS = 10.0
_HANDLER_SECONDS = 14.0  # a database may be locked for a while; Twilio waits 15 seconds
_STOP_SECONDS = 10.0
_KEEPALIVE_SECONDS = 75.0
_CONNECTIONS = 1000
_SERVER = "passerelle"  # aiohttp would name its version and Python's


class Place(Protocol):
    """Where to listen: bridge.settings.HostPort. Port 0 takes a free one."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Listening:
    """The ports that were taken; None where there is no such listener."""

    public: int | None
    admin: int | None


@contextlib.asynccontextmanager
async def serving(
    listen: Place | None,
    admin: Place | None,
    *,
    hooks: Mapping[str, Answer],
    probes: Probes,
    files: FilePages | None = None,
    handler_seconds: float = _HANDLER_SECONDS,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> AsyncIterator[Listening]:
    """Listen until the block ends; then answer what has come in, and close.

    `hooks` is looked into at each request: transport → what answers /hooks/TRANSPORT/…
    `files` answers what is below /files/ on the public listener; `sizes` are the largest bodies, in
    bytes, of transports that need more than is usual.
    Raises OSError where a port is taken.
    """
    async with contextlib.AsyncExitStack() as stack:
        public_port = admin_port = None
        if listen is not None:
            answer = _hooks(hooks)
            public_port = await stack.enter_async_context(
                _listening(listen, answer, handler_seconds, files, sizes)
            )
        if admin is not None:
            pages = Pages(admin.host, probes)
            admin_port = await stack.enter_async_context(_listening(admin, pages, handler_seconds))
        yield Listening(public_port, admin_port)


def _hooks(hooks: Mapping[str, Answer]) -> Answer:
    async def answer(request: WebRequest) -> WebResponse:
        parts = request.path.split("/", 3)  # "", "hooks", transport, the rest
        hook = hooks.get(parts[2]) if len(parts) == 4 and parts[1] == "hooks" else None
        return await hook(request) if hook is not None else WebResponse(404, body=b"Nothing here.\n")

    return answer


@contextlib.asynccontextmanager
async def _listening(
    place: Place,
    answer: Answer,
    seconds: float,
    files: FilePages | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    protocol = _Server(_Boundary(answer, seconds, files, sizes))
    server = await loop.create_server(protocol, place.host, place.port, backlog=256)
    port: int = server.sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        server.close()
        protocol.pre_shutdown()
        await protocol.shutdown(_STOP_SECONDS)
        await server.wait_closed()


class _Boundary:
    """From aiohttp's request to ours and back, within limits of size and time. Leaks no error."""

    def __init__(
        self, answer: Answer, seconds: float, files: FilePages | None, sizes: Mapping[str, int]
    ) -> None:
        self._answer = answer
        self._seconds = seconds
        self._files = files
        self._sizes = sizes
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._files is not None and request.raw_path.startswith(PREFIX):
            return await self._files(request)  # streamed, and bounded by its own limits
        try:
            asked = await self._asked(request)
        except _Unreadable as error:
            return _written(WebResponse(error.status, body=f"{error}\n".encode()), close=True)
        try:
            async with asyncio.timeout(self._seconds):
                return _written(await self._answer(asked))
        except TimeoutError:
            log.warning("request took too long", path=asked.path, seconds=self._seconds)
            return _written(WebResponse(503, body=b"Busy; please try again.\n"))
        except Exception:
            METRICS.errors.labels("web").inc()
            log.exception("request failed", path=asked.path)
            return _written(WebResponse(500, body=b"Something went wrong here.\n"))

    async def _asked(self, request: web.BaseRequest) -> WebRequest:
        parts = request.raw_path.split("/", 3)  # "", "hooks", transport, the rest
        most = self._sizes.get(parts[2], _LARGEST_BODY) if len(parts) == 4 else _LARGEST_BODY
        if min(request.content_length or most, most) <= _LARGEST_BODY:
            return await _read(request, most)
        async with self._large:
            return await _read(request, most)


class _Unreadable(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def _read(request: web.BaseRequest, most: int) -> WebRequest:
    """Signatures cover the address and the body as they were sent: neither is decoded."""
    path, _, query = request.raw_path.partition("?")
    return WebRequest(
        method=request.method,
        path=path,
        query=query,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await _body(request, most) if request.can_read_body else b"",
        peer=request.remote or "",
    )


async def _body(request: web.BaseRequest, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise _Unreadable(413, "That is too large.")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise _Unreadable(413, "That is too large.")
    except TimeoutError as error:
        raise _Unreadable(408, "The request did not come to its end.") from error
    except (HttpProcessingError, HTTPException, web.RequestPayloadError) as error:
        raise _Unreadable(400, "That is not HTTP.") from error
    return bytes(body)


def _written(answer: WebResponse, *, close: bool = False) -> web.Response:
    headers = {
        "Content-Type": answer.content_type,
        "Server": _SERVER,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if close:
        response.force_close()
    return response


class _Connection(web.RequestHandler):
    """aiohttp's connection, quiet about what it is and about what it could not read."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        log.debug("not HTTP", status=status, error=type(exc).__name__)
        return _written(WebResponse(status, body=b"That is not HTTP.\n"), close=True)


class _Server(web.Server):
    """Makes connections of the quiet kind, no more than a fixed number at a time."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler)
        self._count = 0
        self._options: Mapping[str, Any] = {
            "access_log": None,
            "keepalive_timeout": _KEEPALIVE_SECONDS,
            "lingering_time": 2.0,
            "auto_decompress": False,  # signatures cover what was sent; and no small body grows large
        }

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._count += 1
        if self._count > _CONNECTIONS:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._count -= 1
