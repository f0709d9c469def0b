"""Reads address books over CardDAV (RFC 6352): finds them (RFC 6764), lists them, gets their cards. Writes
nothing there. Servers are named by users, so every connection passes the guard (bridge.guard).
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

import aiohttp
from yarl import URL

from bridge import fetching, guard
from bridge.i18n import tr

DAV, CARDDAV = "{DAV:}", "{urn:ietf:params:xml:ns:carddav}"
MOST_CARDS = 5_000
MOST_BOOKS = 10
MOST_BYTES = 20_000_000  # of all answers together
PATIENCE = 300.0  # seconds for all of it
_BITE = 50  # cards in one request
_REDIRECTS = 5
_ABOUT = (
    "<propfind xmlns='DAV:' xmlns:c='urn:ietf:params:xml:ns:carddav'><prop><resourcetype/>"
    "<current-user-principal/><c:addressbook-home-set/></prop></propfind>"
)
_LIST = "<propfind xmlns='DAV:'><prop><resourcetype/><getetag/></prop></propfind>"
_GET = (
    "<c:addressbook-multiget xmlns='DAV:' xmlns:c='urn:ietf:params:xml:ns:carddav'><prop><c:address-data/>"
    "</prop>{hrefs}</c:addressbook-multiget>"
)


@dataclass(frozen=True, slots=True)
class Login:
    """Where an address book is, as people say it (a web address, a domain, a mail address), and as whom."""

    place: str
    username: str
    password: str = field(repr=False)


class NotRead(Exception):
    """An address book cannot be read. The message is a sentence for the user."""


Told = Callable[[int, int], Awaitable[None]]  # how many cards of how many are here


@dataclass(frozen=True, slots=True)
class Service:
    """Where a domain says that its address books are (RFC 6764 section 5)."""

    host: str
    port: int
    path: str


Lookup = Callable[[str], Awaitable[Service | None]]


async def look_up(domain: str) -> Service | None:
    """By the domain's SRV and TXT records; None if it has none."""
    # Imported here: 60 ms and 3 MB of every start, for what most gateways are never asked.
    import dns.asyncresolver
    import dns.exception

    name = f"_carddavs._tcp.{domain}"
    try:
        answer = await dns.asyncresolver.resolve(name, "SRV", lifetime=5.0)
    except (dns.exception.DNSException, OSError):
        return None
    best: Any = min(answer, key=lambda one: (one.priority, -one.weight))
    host = str(best.target).rstrip(".")
    if not host:
        return None
    path = ""
    try:
        for one in await dns.asyncresolver.resolve(name, "TXT", lifetime=5.0):
            text = b"".join(one.strings).decode("utf-8", "replace")
            path = text.removeprefix("path=") if text.startswith("path=/") else path
    except (dns.exception.DNSException, OSError):
        path = ""
    return Service(host, best.port, path)


async def read(login: Login, allowed: Collection[str], told: Told, *, lookup: Lookup = look_up) -> bytes:
    """The cards of all address books there, one after the other. Raises NotRead.

    `allowed` may be reached though it is not public, and without TLS (see guard.is_allowed).
    """
    try:
        async with asyncio.timeout(PATIENCE), _session(login) as session:
            reader = _Reader(session, allowed)
            start = await _start(login.place, lookup)
            books = await reader.books(start)
            return await reader.cards(books, told)
    except TimeoutError as error:
        raise NotRead(tr("The server of this address book is too slow. Try again later.")) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, fetching.ForbiddenAddress):
            raise NotRead(tr("This address book is in a private network, which is not read here.")) from error
        raise NotRead(tr("The server of this address book cannot be reached. Check the address.")) from error
    except (aiohttp.ClientError, OSError) as error:
        raise NotRead(tr("The connection to this address book broke. Try again later.")) from error


@asynccontextmanager
async def _session(login: Login) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """Two: for public places, and for those that are exempt from the guard."""
    proof = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    options: dict[str, Any] = {
        "cookie_jar": aiohttp.DummyCookieJar(),
        "auto_decompress": False,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0),
        "headers": {
            "Authorization": f"Basic {proof}",
            "User-Agent": "Passerelle",
            "Accept-Encoding": "identity",
        },
    }
    guarded = aiohttp.TCPConnector(socket_factory=fetching.guarded_socket, limit=2)
    async with (
        aiohttp.ClientSession(connector=guarded, **options) as public,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2), **options) as exempt,
    ):
        yield public, exempt


async def _start(place: str, lookup: Lookup) -> URL:
    """Where to begin to look."""
    text = place.strip()
    if "://" not in text and "/" not in text:
        domain = text.rpartition("@")[2]
        found = await lookup(domain)
        if found is not None:
            if not _near(domain, found.host):
                # Anybody may have changed an answer of the DNS (RFC 6764 section 8).
                raise _moved(found.host)
            text = f"https://{found.host}:{found.port}{found.path or '/.well-known/carddav'}"
        else:
            text = f"https://{domain}/.well-known/carddav"
    elif "://" not in text:
        text = f"https://{text}"
    try:
        url = URL(text)
    except ValueError as error:
        raise NotRead(tr("This is no address of an address book.")) from error
    if url.scheme not in ("https", "http") or not url.host or url.user or url.password:
        raise NotRead(tr("This is no address of an address book."))
    return url


@dataclass(frozen=True, slots=True)
class _Answer:
    """One resource of a multistatus (RFC 4918 section 14.16)."""

    url: URL
    properties: Mapping[str, Element]

    def has(self, kind: str) -> bool:
        """Whether its resource type is so."""
        types = self.properties.get(f"{DAV}resourcetype")
        return types is not None and types.find(kind) is not None

    def leads_to(self, name: str) -> URL | None:
        found = self.properties.get(name)
        href = found.findtext(f"{DAV}href") if found is not None else None
        return _joined(self.url, href) if href else None


class _Reader:
    def __init__(
        self, sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession], allowed: Collection[str]
    ) -> None:
        self._public, self._exempt = sessions
        self._allowed = allowed
        self._room = MOST_BYTES

    async def books(self, start: URL) -> list[URL]:
        """The address books that can be found from here: itself, or those at the principal's home."""
        about = await self._about(start)
        if about.has(f"{CARDDAV}addressbook"):
            return [about.url]
        home = about.leads_to(f"{CARDDAV}addressbook-home-set")
        if home is None and (principal := about.leads_to(f"{DAV}current-user-principal")) is not None:
            home = (await self._about(_same_place(start, principal))).leads_to(
                f"{CARDDAV}addressbook-home-set"
            )
        listed = await self._ask("PROPFIND", _same_place(start, home or about.url), _LIST, depth="1")
        books = [one.url for one in listed if one.has(f"{CARDDAV}addressbook")]
        if not books:
            raise NotRead(tr("There is no address book there. Check the address."))
        return [_same_place(start, one) for one in books[:MOST_BOOKS]]

    async def _about(self, url: URL) -> _Answer:
        found = await self._ask("PROPFIND", url, _ABOUT, depth="0")
        if not found:
            raise NotRead(tr("There is no address book there. Check the address."))
        return found[0]

    async def cards(self, books: Sequence[URL], told: Told) -> bytes:
        hrefs = [
            (book, one.url)
            for book in books
            for one in await self._ask("PROPFIND", book, _LIST, depth="1")
            if not one.has(f"{DAV}collection") and one.url != book
        ][:MOST_CARDS]
        got: list[str] = []
        await told(0, len(hrefs))
        for book in books:
            mine = [url for of, url in hrefs if of == book]
            for start in range(0, len(mine), _BITE):
                got += await self._get(book, mine[start : start + _BITE])
                await told(len(got), len(hrefs))
        return "\r\n".join(got).encode()

    async def _get(self, book: URL, urls: Sequence[URL]) -> list[str]:
        hrefs = "".join(f"<href>{escape(one.raw_path_qs)}</href>" for one in urls)
        found = await self._ask("REPORT", book, _GET.format(hrefs=hrefs), depth="1")
        data = (one.properties.get(f"{CARDDAV}address-data") for one in found)
        return [one.text for one in data if one is not None and one.text]

    # --- one request ---

    async def _ask(self, method: str, url: URL, body: str, *, depth: str) -> list[_Answer]:
        for _ in range(_REDIRECTS):
            exempt = guard.is_allowed(url.scheme, url.host or "", url.port, self._allowed)
            if url.scheme != "https" and not exempt:
                raise NotRead(tr("Your password would go there in clear: the address must begin with https."))
            session = self._exempt if exempt else self._public
            headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
            async with session.request(
                method, url, data=body.encode(), headers=headers, allow_redirects=False
            ) as response:
                location = response.headers.get("Location")
                if response.status in (301, 302, 303, 307, 308) and location:
                    url = _same_place(url, _joined(url, location))
                    continue
                _check(response.status)
                return _multistatus(await self._body(response), url)
        raise NotRead(tr("The address of this address book leads from one place to the next."))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            data += chunk
            self._room -= len(chunk)
            if self._room < 0:
                raise NotRead(tr("This address book is too large to be read here."))
        return bytes(data)


def _check(status: int) -> None:
    if status == 207:
        return
    if status in (401, 403):
        raise NotRead(tr("The server of this address book does not accept this user name and password."))
    if status in (404, 405, 410):
        raise NotRead(tr("There is no address book there. Check the address."))
    raise NotRead(tr("The server of this address book refuses ({status}).", status=status))


def _multistatus(data: bytes, url: URL) -> list[_Answer]:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # nothing of WebDAV needs them
        raise NotRead(tr("The server of this address book answers in a way not understood here."))
    try:
        root = fromstring(data)
    except ParseError as error:
        raise NotRead(tr("The server of this address book answers in a way not understood here.")) from error
    found = []
    for response in root.iter(f"{DAV}response"):
        href = response.findtext(f"{DAV}href")
        if not href:
            continue
        properties = {
            one.tag: one
            for stat in response.findall(f"{DAV}propstat")
            if " 200" in (stat.findtext(f"{DAV}status") or "")
            for prop in stat.findall(f"{DAV}prop")
            for one in prop
        }
        found.append(_Answer(_joined(url, href), properties))
    return found


def _joined(url: URL, href: str) -> URL:
    try:
        return url.join(URL(href.strip()))
    except ValueError as error:
        raise NotRead(tr("The server of this address book answers in a way not understood here.")) from error


def _same_place(url: URL, other: URL) -> URL:
    """The other, if the password may go there too. Raises NotRead."""
    if not _near(url.host or "", other.host or "") or (url.scheme == "https" and other.scheme != "https"):
        raise _moved(other.host or "")
    return other


def _near(here: str, there: str) -> bool:
    """Whether it is the same host, or one below or beside it."""
    here, there = here.lower(), there.lower()
    if there == here or there.endswith(f".{here}"):
        return True
    beside = here.partition(".")[2]
    if here.rpartition(".")[2].isdigit() or _PUBLIC.fullmatch(beside):
        return False
    return "." in beside and there.endswith(f".{beside}")


# Domains under which anybody has one: co.uk, com.au, ne.jp. Too many are meant rather than one too few.
_PUBLIC = re.compile(r"[a-z]{2,3}\.[a-z]{2}")


def _moved(host: str) -> NotRead:
    return NotRead(tr("This address book is at {host}: give that address.", host=host))
