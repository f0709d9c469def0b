"""Fetches a file from an address that somebody else has named, within limits and behind the guard.

What the fetched file means, and where it is kept, is its caller's business.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
from yarl import URL

from bridge import guard, media
from bridge.i18n import tr

REDIRECTS = 3
_CHUNK = 64 * 1024
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class FetchLimits:
    bytes: int = 25_000_000
    seconds: float = 60.0  # for all of it, redirects included
    to_connect: float = 10.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched. Name and type are safe, and the type is what its first bytes say."""

    data: bytes = field(repr=False)
    name: str
    media_type: str


class NotFetched(Exception):
    """The message is a sentence for the user. `later` tells whether it may work another time."""

    def __init__(self, sentence: str, *, later: bool = False, too_large: bool = False) -> None:
        super().__init__(sentence)
        self.later = later
        self.too_large = too_large


class ForbiddenAddress(OSError):
    """The guard has refused to dial an address."""


async def fetch(
    url: str,
    limits: FetchLimits | None = None,
    allow_hosts: Collection[str] = (),
    *,
    headers: dict[str, str] | None = None,
) -> Fetched:
    """The file at `url`. Raises NotFetched.

    Only https and public addresses, but for `allow_hosts` (see `guard.is_allowed`). `headers` (a login)
    go to the host of `url` and are dropped when it redirects elsewhere.
    """
    limits = limits or FetchLimits()
    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow(_parsed(url), limits, allow_hosts, headers or {})
    except TimeoutError as error:
        raise NotFetched(tr("The file could not be fetched: its server is too slow."), later=True) from error


async def _follow(
    url: URL, limits: FetchLimits, allow_hosts: Collection[str], headers: dict[str, str]
) -> Fetched:
    for _ in range(REDIRECTS + 1):
        exempt = guard.is_allowed(url.scheme, url.host or "", url.port, allow_hosts)
        if url.scheme != "https" and not exempt:
            raise NotFetched(tr("The file could not be fetched: its link is not encrypted (https)."))
        async with _asked(url, limits, headers, guarded=not exempt) as response:
            location = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and location:
                there = _joined(url, location)
                if there.origin() != url.origin():
                    headers = {}
                url = there
                continue
            return await _received(response, url, limits)
    raise NotFetched(tr("The file could not be fetched: its link leads from one place to the next."))


def _parsed(url: str) -> URL:
    if url.lower().startswith("aesgcm:"):
        raise NotFetched(
            tr(
                "This file is encrypted, and beyond this gateway nobody could open it. Please switch "
                "encryption off for this chat and send it again."
            )
        )
    try:
        parsed = URL(url)
    except ValueError as error:
        raise NotFetched(tr("The file could not be fetched: its link is no web address.")) from error
    return _checked(parsed)


def _joined(url: URL, location: str) -> URL:
    try:
        return _checked(url.join(URL(location)))
    except ValueError as error:
        raise NotFetched(tr("The file could not be fetched: its link leads nowhere.")) from error


def _checked(url: URL) -> URL:
    if url.scheme not in ("https", "http") or not url.host:
        raise NotFetched(tr("The file could not be fetched: its link is no web address."))
    if url.user is not None or url.password is not None:
        raise NotFetched(tr("The file could not be fetched: its link has a password in it."))
    return url


@asynccontextmanager
async def _asked(
    url: URL, limits: FetchLimits, headers: dict[str, str], *, guarded: bool
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request on a connection of its own: neither cookies nor anything else is shared."""
    connector = aiohttp.TCPConnector(
        socket_factory=guarded_socket if guarded else None, force_close=True, use_dns_cache=False
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a small answer must not grow large here
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.to_connect, sock_read=20.0),
        headers={"User-Agent": "Passerelle", "Accept-Encoding": "identity"},
    ) as session:
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                yield response
        except aiohttp.InvalidURL as error:
            raise NotFetched(tr("The file could not be fetched: its link is no web address.")) from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddress):
                raise NotFetched(
                    tr("The file could not be fetched: its link leads into a private network.")
                ) from error
            raise NotFetched(
                tr("The file could not be fetched: its server cannot be reached."), later=True
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise NotFetched(
                tr("The file could not be fetched: the connection broke."), later=True
            ) from error


def guarded_socket(info: Any) -> socket.socket:
    """For aiohttp: a socket for an address that is about to be dialled. The name has been resolved by
    now, so no second answer of a resolver can slip past."""
    family, kind, protocol, _, address = info
    if not guard.may_dial(str(address[0])):
        raise ForbiddenAddress("not a public address")
    return socket.socket(family, kind, protocol)


async def _received(response: aiohttp.ClientResponse, url: URL, limits: FetchLimits) -> Fetched:
    _check_status(response.status)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotFetched(tr("The file could not be fetched: its server packs it in a way not known here."))
    too_large = NotFetched(
        tr("The file is too large: at most {size} go through here.", size=media.in_words(limits.bytes)),
        too_large=True,
    )
    if (response.content_length or 0) > limits.bytes:
        raise too_large
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > limits.bytes:
            raise too_large
    name = _name(response, url)
    kind = media.media_type(bytes(data[:64]), response.headers.get("Content-Type", ""), name)
    return Fetched(bytes(data), media.safe_name(name, kind), kind)


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in _LATER:
        raise NotFetched(
            tr("The file could not be fetched: its server is in trouble just now ({status}).", status=status),
            later=True,
        )
    if status in (404, 410):
        raise NotFetched(
            tr("The file could not be fetched: it is no longer there ({status}).", status=status)
        )
    raise NotFetched(tr("The file could not be fetched: its server refuses it ({status}).", status=status))


def _name(response: aiohttp.ClientResponse, url: URL) -> str:
    given = response.content_disposition
    if given is not None and given.filename:
        return given.filename
    return unquote(url.raw_name)
