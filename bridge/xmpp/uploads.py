"""Puts files where the chat server keeps them (XEP-0363), so that every client can get them.

Finds the server's upload service, asks it for a place and puts the file there. What cannot be put there
is given out by our own listener: `place` answers an address either way, if there is one at all.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree.ElementTree import Element

import aiohttp
import structlog
from yarl import URL

from bridge.files import Filing
from bridge.model import Attachment
from bridge.store.engine import StoreFailed
from bridge.xmpp import xml

log = structlog.get_logger()

NAMESPACE = "urn:xmpp:http:upload:0"
_INFO = "http://jabber.org/protocol/disco#info"
_ITEMS = "http://jabber.org/protocol/disco#items"
PATIENCE = 5.0  # seconds for each answer of the server
_MOST_ITEMS = 30
_FOUND_FOR, _MISSING_FOR = 3600.0, 60.0  # seconds that an answer to the search is remembered
_REST = 60.0  # seconds after a failure before the service is tried again; files go our own way meanwhile
_SLOWEST = 50_000.0  # bytes a second; a put slower than that is given up
_LONGEST_PUT = 300.0
_HEADERS = frozenset({"authorization", "cookie", "expires"})  # XEP-0363 section 4 allows no others


class Asks(Protocol):
    """What is needed of a component."""

    jid: str

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element: ...


@dataclass(frozen=True, slots=True)
class Service:
    jid: str
    most: int  # bytes in one file; 0: it does not say


@dataclass(frozen=True, slots=True)
class Slot:
    put: str
    get: str
    headers: dict[str, str]


class NotUploaded(Exception):
    """The service does not take it; the message says why, for the log. `rest` in seconds."""

    def __init__(self, why: str, rest: float = _REST) -> None:
        super().__init__(why)
        self.rest = rest


class Uploads:
    """For one component. `domain` is the chat server's own host."""

    def __init__(
        self, wire: Asks, domain: str, filing: Filing, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wire = wire
        self._domain = domain
        self._filing = filing
        self._clock = clock
        self._service: Service | None = None
        self._searched_until = -1.0
        self._resting_until = -1.0
        self._searching = asyncio.Lock()

    async def place(self, file: Attachment, sender: str) -> str:
        """Where a client gets this file; empty if nowhere. `sender` is the contact's JID, in whose name
        it is put there: servers count quotas by uploader. Raises StreamLost."""
        if file.url or not file.blob:
            return file.url
        if self._clock() >= self._resting_until:
            try:
                return await self._upload(file, sender)
            except NotUploaded as error:
                self._resting_until = self._clock() + error.rest
                log.info("a file is given out by ourselves", reason=str(error)[:200], size=file.size)
        return self._filing.address(file)

    async def _upload(self, file: Attachment, sender: str) -> str:
        service = await self.find()
        if service is None:
            raise NotUploaded("the chat server has no upload service", rest=0.0)
        if service.most and file.size > service.most:
            raise NotUploaded(f"the upload service takes {service.most} bytes at most", rest=0.0)
        slot = await self._slot(service, file, sender)
        await _put(slot, self._filing.blobs.path(file.blob), file)
        place = URL(slot.get)
        self._filing.allow(f"{place.host_subcomponent}:{place.port}")
        try:
            await self._filing.uploaded(file.blob, slot.get)
        except StoreFailed:
            log.warning("where a file was put could not be recorded: it may be put there once more")
        return slot.get

    # --- the service ---

    async def find(self) -> Service | None:
        """The server's upload service, as disco tells it; remembered for a while. Raises StreamLost."""
        async with self._searching:
            if self._clock() >= self._searched_until:
                self._service = await self._search()
                if self._service is not None:
                    self._filing.allow(self._service.jid)  # users share from there, and it may be next door
                self._searched_until = self._clock() + (_FOUND_FOR if self._service else _MISSING_FOR)
            return self._service

    async def _search(self) -> Service | None:
        items = await self._query(self._domain, _ITEMS)
        names = [item.get("jid", "") for item in items if item.get("jid")] if items is not None else []
        candidates = dict.fromkeys([self._domain, *names[:_MOST_ITEMS]])
        answers = await asyncio.gather(*(self._query(jid, _INFO) for jid in candidates))
        for jid, info in zip(candidates, answers, strict=True):
            if info is not None and any(one.get("var") == NAMESPACE for one in info):
                return Service(jid, _most(info))
        return None

    async def _query(self, jid: str, namespace: str) -> Element | None:
        question = f"<query xmlns='{namespace}'/>"
        try:
            answer = await self._wire.ask(self._wire.jid, jid, "get", question, PATIENCE)
        except TimeoutError:
            return None
        return answer.find(f"{{{namespace}}}query") if answer.get("type") == "result" else None

    async def _slot(self, service: Service, file: Attachment, sender: str) -> Slot:
        request = (
            f"<request xmlns='{NAMESPACE}' filename='{xml.attribute(file.name)}' size='{file.size}'"
            f" content-type='{xml.attribute(file.media_type)}'/>"
        )
        try:
            answer = await self._wire.ask(sender, service.jid, "get", request, PATIENCE)
        except TimeoutError as error:
            raise NotUploaded("the upload service does not answer") from error
        if answer.get("type") != "result":
            raise NotUploaded(f"the upload service refuses: {_refusal(answer)}")
        return _read_slot(answer)


def _most(info: Element) -> int:
    """The service's limit, from its form (XEP-0128)."""
    for form in info.iter(f"{{{xml.DATA_FORM}}}x"):
        for field in form:
            value = field.findtext(f"{{{xml.DATA_FORM}}}value") or ""
            if field.get("var") == "max-file-size" and value.strip().isdigit():
                return int(value)
    return 0


def _refusal(answer: Element) -> str:
    told = [child for error in answer if xml.name_of(error.tag) == "error" for child in error]
    return ", ".join(xml.name_of(one.tag) for one in told) or "no reason given"


def _read_slot(answer: Element) -> Slot:
    put = answer.find(f"{{{NAMESPACE}}}slot/{{{NAMESPACE}}}put")
    get = answer.find(f"{{{NAMESPACE}}}slot/{{{NAMESPACE}}}get")
    if put is None or get is None or not all(_is_usable(one.get("url", "")) for one in (put, get)):
        raise NotUploaded("the upload service's answer has no addresses")
    headers = {
        name: (header.text or "").replace("\n", "").replace("\r", "")
        for header in put
        if (name := header.get("name", "").strip()).lower() in _HEADERS
    }
    return Slot(put.get("url", ""), get.get("url", ""), headers)


def _is_usable(url: str) -> bool:
    try:
        return URL(url).scheme in ("https", "http") and bool(URL(url).host)
    except ValueError:
        return False


async def _put(slot: Slot, path: Path, file: Attachment) -> None:
    """Stream the file to its place. The address is the chat server's own word, so no guard is asked."""
    headers = {**slot.headers, "Content-Type": file.media_type, "Content-Length": str(file.size)}
    patience = min(30.0 + file.size / _SLOWEST, _LONGEST_PUT)
    timeout = aiohttp.ClientTimeout(total=patience, sock_connect=PATIENCE)
    try:
        opened = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise NotUploaded("the file is not on disk any more", rest=0.0) from error
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.put(slot.put, data=opened, headers=headers, allow_redirects=False) as response,
        ):
            if response.status not in (200, 201, 204):
                raise NotUploaded(f"the upload service answered {response.status}")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotUploaded(f"the upload broke: {type(error).__name__}") from error
    finally:
        opened.close()
