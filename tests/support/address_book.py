"""A CardDAV server for tests: one principal, one address book, as RFC 6352 and RFC 6764 have them answer.

Gives its cards as one file, too.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

from aiohttp import web

USER, PASSWORD = "mira", "sésame"
_HEAD = "<?xml version='1.0'?><multistatus xmlns='DAV:' xmlns:c='urn:ietf:params:xml:ns:carddav'>"


@dataclass
class AddressBook:
    """`cards` are vCards by name; `asked` what was asked for. `status` is answered to everything, if set."""

    cards: Mapping[str, str]
    port: int = 0
    status: int = 0
    location: str = ""  # where the well-known address leads
    body: str = ""  # instead of any answer
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        if self.status:
            return web.Response(status=self.status)
        if request.method == "GET":
            return web.Response(text="".join(self.cards.values()), content_type="text/vcard")
        if request.path == "/.well-known/carddav":
            return web.Response(status=301, headers={"Location": self.location or "/dav/"})
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        inside = self.body or await self._inside(request)
        return web.Response(status=207, text=inside, content_type="application/xml")

    async def _inside(self, request: web.Request) -> str:
        path, depth = request.path, request.headers.get("Depth")
        if request.method == "REPORT":
            hrefs = [one.text or "" for one in fromstring(await request.text()).iter("{DAV:}href")]
            return self._all(
                (href, f"<c:address-data>{escape(self.cards[href.rpartition('/')[2]])}</c:address-data>")
                for href in hrefs
            )
        if path == "/dav/":
            return self._all(
                [(path, "<current-user-principal><href>/dav/mira/</href></current-user-principal>")]
            )
        book = (
            "/dav/mira/book/",
            "<resourcetype><collection/><c:addressbook/></resourcetype>",
        )
        if path == "/dav/mira/" and depth == "0":
            home = "<c:addressbook-home-set><href>/dav/mira/</href></c:addressbook-home-set>"
            return self._all([(path, home)])
        if path == "/dav/mira/":
            plain = "<resourcetype><collection/></resourcetype>"
            return self._all([(path, plain), book, ("/dav/mira/calendar/", plain)])
        listed = [(f"/dav/mira/book/{name}", "<resourcetype/><getetag>1</getetag>") for name in self.cards]
        return self._all([book, *(listed if depth == "1" else [])])

    @staticmethod
    def _all(answers: object) -> str:
        inside = "".join(
            f"<response><href>{href}</href><propstat><prop>{prop}</prop><status>HTTP/1.1 200 OK</status>"
            f"</propstat></response>"
            for href, prop in answers  # type: ignore[attr-defined]
        )
        return f"{_HEAD}{inside}</multistatus>"


@asynccontextmanager
async def address_book(cards: Mapping[str, str]) -> AsyncIterator[AddressBook]:
    """Listening on loopback."""
    book = AddressBook(cards)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", book.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = site._server
    book.port = server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield book
    finally:
        await runner.cleanup()
