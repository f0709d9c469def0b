"""Files in stanzas, and uploads to a server that answers by script: refusing, silent, slow or gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from bridge.events import Denied, Written
from bridge.files import Filing
from bridge.model import Attachment, Delivery, File, Kind
from bridge.ports import Sent
from bridge.store.engine import Store, database_url
from bridge.xmpp import files, stanzas
from bridge.xmpp.outlet import XmppOutlet
from bridge.xmpp.stream import StreamLost
from bridge.xmpp.uploads import Uploads
from tests.bridge.records import a_store
from tests.bridge.xmpp_stand_in import ALICE, NOW, delivery, message

JPEG = b"\xff\xd8\xff\xe0picture"
URL = "https://upload.example.org/abc/cat%20one.jpg"
OOB = "<x xmlns='jabber:x:oob'><url>{url}</url></x>"
SHARING = (
    "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>"
    "<name>../my cat.jpg</name><media-type>image/jpeg</media-type><size>1234</size></file><sources>"
    "<url-data xmlns='http://jabber.org/protocol/url-data' target='{url}'/></sources></file-sharing>"
)
FALLBACK = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body{range}/></fallback>"


def read(body: str, *parts: str) -> stanzas.Reading:
    inside = f"<body>{body}</body>" if body else ""
    return stanzas.read(
        ElementTree.fromstring(
            "<message xmlns='jabber:component:accept' from='mira@localhost/x' to='alice@mail.localhost'"
            f" type='chat' id='m1'>{inside}{''.join(parts)}</message>"
        )
    )


@pytest.mark.parametrize(
    ("body", "parts", "text", "shared"),
    [
        (URL, [OOB.format(url=URL)], "", [("cat one.jpg", "", 0)]),
        ("", [OOB.format(url=URL)], "", [("cat one.jpg", "", 0)]),
        (f"Look!\n{URL}", [OOB.format(url=URL)], "Look!", [("cat one.jpg", "", 0)]),
        ("Look!", [OOB.format(url=URL)], "Look!", [("cat one.jpg", "", 0)]),
        (URL, [SHARING.format(url=URL), OOB.format(url=URL)], "", [("my cat.jpg", "image/jpeg", 1234)]),
        (URL, [OOB.format(url=URL), SHARING.format(url=URL)], "", [("my cat.jpg", "image/jpeg", 1234)]),
        (
            "A cat",
            [SHARING.format(url=URL), FALLBACK.format(range="")],
            "",
            [("my cat.jpg", "image/jpeg", 1234)],
        ),
        (
            "A cat: see above",
            [SHARING.format(url=URL), FALLBACK.format(range=" start='0' end='7'")],
            "see above",
            [("my cat.jpg", "image/jpeg", 1234)],
        ),
        ("Hello", [], "Hello", []),
        (URL, [], URL, []),  # a link is a link
        ("Hello", [OOB.format(url="javascript:alert(1)")], "Hello", []),
        ("Hello", [OOB.format(url="file:///etc/passwd")], "Hello", []),
        ("Hello", [OOB.format(url="https://x/" + "y" * 5_000)], "Hello", []),
    ],
)
def test_what_a_client_shares_is_told_apart_from_what_it_says(
    body: str, parts: list[str], text: str, shared: list[tuple[str, str, int]]
) -> None:
    reading = read(body, *parts)
    assert isinstance(reading, Written)
    assert reading.body == text
    assert [(one.name, one.media_type, one.size) for one in reading.files] == shared
    assert {one.source for one in reading.files} <= {URL}


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("aesgcm://upload.example.org/abc.jpg#0011", []),
        ("aesgcm://x/abc.jpg#0011", [OOB.format(url="aesgcm://x/abc.jpg#0011")]),
        ("", [OOB.format(url="aesgcm://x/abc.jpg#0011")]),
    ],
)
def test_a_file_that_only_the_client_could_open_is_refused(body: str, parts: list[str]) -> None:
    denied = read(body, *parts)
    assert isinstance(denied, Denied)
    assert "switch encryption off" in denied.text


def test_many_files_in_one_stanza_are_bounded() -> None:
    reading = read("", *(OOB.format(url=f"https://example.org/{n}.jpg") for n in range(100)))
    assert isinstance(reading, Written)
    assert len(reading.files) == files.MOST


def file_delivery(number: int = 1, **changes: object) -> Delivery:
    one = Attachment("cat & co.jpg", "image/jpeg", "ab" * 24, 1234)
    about = replace(message(""), attachments=(replace(one, **changes),))  # type: ignore[arg-type]
    return delivery(number, "mira@localhost", about, kind=Kind.FILE)


def test_a_file_is_written_with_its_url_alone_in_the_body() -> None:
    url = "https://upload.example.org/a/cat%20%26%20co.jpg?x=1&y='2'"
    one = file_delivery()
    assert one.message is not None
    text = files.write(one, one.message.attachments[0], url, "mail.localhost", NOW + 1000)
    stanza = ElementTree.fromstring(text)
    assert stanza.findtext("body") == url
    assert stanza.findtext("{jabber:x:oob}x/{jabber:x:oob}url") == url
    assert stanza.find("{urn:xmpp:receipts}request") is not None
    assert stanza.find("{urn:xmpp:delay}delay") is not None
    assert [child.tag for child in stanza].count("body") == 1
    parts = [ElementTree.tostring(child, "unicode") for child in stanza if child.tag != "body"]
    shared = read(escape(url), *parts)
    assert isinstance(shared, Written)  # we read what we write
    (file,) = shared.files
    assert (shared.body, file.source, file.name, file.media_type, file.size) == (
        "", url, "cat & co.jpg", "image/jpeg", 1234
    )  # fmt: skip


def test_a_file_that_cannot_be_given_out_is_at_least_named() -> None:
    one = file_delivery()
    assert one.message is not None
    (file,) = one.message.attachments
    kept = ElementTree.fromstring(files.write(one, file, "", "mail.localhost", NOW))
    assert "cat & co.jpg (1 kB)" in (kept.findtext("body") or "")
    assert "administrator" in (kept.findtext("body") or "")
    gone = files.write(one, replace(file, blob=""), "", "mail.localhost", NOW)
    assert "no longer kept" in gone


# --- uploads ---


@dataclass
class ChatServer:
    """The chat server's side: what it answers to whom, and the web server that takes files."""

    jid: str = "mail.localhost"
    items: tuple[str, ...] = ("rooms.localhost", "upload.localhost")
    most: str = "1000000"
    error: str = ""  # the condition with which slots are refused
    silent: set[str] = field(default_factory=set)
    status: int = 201
    lost: bool = False
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    taken: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    during_put: Callable[[], None] = field(default=lambda: None)

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element:
        request = ElementTree.fromstring(payload)
        self.asked.append((sender, to, request.tag.rpartition("}")[2]))
        if self.lost:
            raise StreamLost("gone")
        if to in self.silent:
            raise TimeoutError
        answer = self._answer(to, request)
        return ElementTree.fromstring(f"<iq xmlns='jabber:component:accept' from='{to}' {answer}</iq>")

    def _answer(self, to: str, request: Element) -> str:
        match request.tag:
            case "{http://jabber.org/protocol/disco#items}query":
                items = "".join(f"<item jid='{item}'/>" for item in self.items)
                return f"type='result'><query xmlns='http://jabber.org/protocol/disco#items'>{items}</query>"
            case "{http://jabber.org/protocol/disco#info}query":
                form = (
                    "<feature var='urn:xmpp:http:upload:0'/><x xmlns='jabber:x:data' type='result'>"
                    f"<field var='max-file-size'><value>{self.most}</value></field></x>"
                )
                features = form if to == "upload.localhost" else ""
                return f"type='result'><query xmlns='http://jabber.org/protocol/disco#info'>{features}</query>"
            case _ if self.error:
                condition = f"<{self.error} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                return f"type='error'><error type='wait'>{condition}</error>"
        site, name = f"http://127.0.0.1:{self.port}", quote(request.get("filename", ""))
        return (
            f"type='result'><slot xmlns='urn:xmpp:http:upload:0'><put url='{site}/put/{name}'>"
            "<header name='Authorization'>Basic abc</header><header name='X-Evil'>1</header></put>"
            f"<get url='{site}/get/{name}'/></slot>"
        )

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        self.taken[request.path] = (await request.content.read(), dict(request.headers))
        self.during_put()
        return web.Response(status=self.status)

    @property
    def slots(self) -> list[str]:
        return [sender for sender, _, name in self.asked if name == "request"]


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    made = ChatServer()
    runner = web.ServerRunner(web.Server(made.take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with a_store(database_url("sqlite", tmp_path)) as made:
        yield made


@pytest.fixture
def filing(store: Store, tmp_path: Path) -> Filing:
    return Filing(store, tmp_path / "blobs", public_url="https://gateway.example.org")


@pytest.fixture
async def cat(filing: Filing) -> Attachment:
    return await filing.keep(File("cat.jpg", "image/jpeg", JPEG))


def ours(url: str) -> bool:
    return url.startswith("https://gateway.example.org/files/")


async def test_a_file_is_put_in_the_contacts_name_with_the_headers_it_was_given(
    server: ChatServer, filing: Filing, cat: Attachment
) -> None:
    uploads = Uploads(server, "localhost", filing)
    assert await uploads.place(cat, ALICE) == f"http://127.0.0.1:{server.port}/get/cat.jpg"
    data, headers = server.taken["/put/cat.jpg"]
    assert data == JPEG
    assert (headers["Authorization"], headers["Content-Type"]) == ("Basic abc", "image/jpeg")
    assert headers["Content-Length"] == str(len(JPEG))
    assert "X-Evil" not in headers
    assert server.slots == [ALICE]
    await uploads.place(cat, ALICE)
    assert len([one for one in server.asked if one[2] == "query"]) == 4  # the service is looked for once


@pytest.mark.parametrize(
    "trouble",
    [
        {"items": ("rooms.localhost",)},
        {"items": ()},
        {"silent": {"localhost"}},
        {"silent": {"upload.localhost"}},
        {"error": "resource-constraint"},
        {"error": "forbidden"},
        {"most": "5"},
        {"status": 413},
        {"status": 500},
    ],
    ids=str,
)
async def test_whatever_the_service_does_there_is_an_address(
    server: ChatServer, filing: Filing, cat: Attachment, trouble: dict[str, object]
) -> None:
    for name, value in trouble.items():
        setattr(server, name, value)
    assert ours(await Uploads(server, "localhost", filing).place(cat, ALICE))


async def test_a_service_in_trouble_is_left_alone_for_a_while(
    server: ChatServer, filing: Filing, cat: Attachment
) -> None:
    now = 100.0
    uploads = Uploads(server, "localhost", filing, clock=lambda: now)
    server.error = "resource-constraint"
    for _ in range(3):
        assert ours(await uploads.place(cat, ALICE))
    assert len(server.slots) == 1
    server.error, now = "", 200.0
    assert not ours(await uploads.place(cat, ALICE))


async def test_without_a_public_address_there_is_none_but_no_error(
    server: ChatServer, store: Store, tmp_path: Path
) -> None:
    private = Filing(store, tmp_path / "blobs")
    cat = await private.keep(File("cat.jpg", "image/jpeg", JPEG))
    server.items = ()
    assert await Uploads(server, "localhost", private).place(cat, ALICE) == ""


async def test_a_stream_that_breaks_is_not_the_services_fault(
    server: ChatServer, filing: Filing, cat: Attachment
) -> None:
    server.lost = True
    with pytest.raises(StreamLost):
        await Uploads(server, "localhost", filing).place(cat, ALICE)


class Wire:
    """A component that is connected and proves what it is given."""

    jid = "mail.localhost"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def guard(self, stanza: str) -> None:
        pass

    async def wait_connected(self, patience: float | None = None) -> bool:
        return True

    async def prove(self, texts: object) -> None:
        self.sent += texts  # type: ignore[operator]

    def watch(self, keys: object, told: object) -> None:
        pass

    def unwatch(self, keys: object) -> None:
        pass


async def test_a_crash_between_upload_and_stanza_costs_no_second_upload(
    server: ChatServer, filing: Filing, store: Store, cat: Attachment
) -> None:
    outlet = XmppOutlet(Wire(), places=Uploads(server, "localhost", filing))
    crashing = asyncio.create_task(outlet.send([file_delivery(blob=cat.blob, size=cat.size)]))
    server.during_put = crashing.cancel
    with pytest.raises(asyncio.CancelledError):
        await crashing
    server.during_put = lambda: None
    again = Uploads(server, "localhost", filing)
    url = await again.place(cat, ALICE)  # it may have to go once more, at worst
    found = await filing.shown(cat.blob)
    assert found is not None
    wire = Wire()
    fates = await XmppOutlet(wire, places=again).send([file_delivery(blob=cat.blob, url=url)])
    assert fates == {1: Sent()}
    assert len(server.slots) == 2
    assert f"<body>{url}</body>" in wire.sent[0]
