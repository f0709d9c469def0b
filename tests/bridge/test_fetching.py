"""Fetching over real HTTP on loopback, and the guard that keeps strangers' links out of there."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bridge import guard
from bridge.fetching import FetchLimits, NotFetched, fetch

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 1000


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "2a00:1450:4001:830::200e",
    ],
)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert guard.may_dial(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "192.88.99.1", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
        "2002:808:808::", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%2", "fec0::1", "ff02::1",
        "5f00::1", "3fff::1", "localhost", "", "1.2.3", "2130706433",
    ],
)  # fmt: skip
def test_nothing_else_may(address: str) -> None:
    assert not guard.may_dial(address)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "allowed", "is_so"),
    [
        ("https", "upload.example.org", None, {"upload.example.org"}, True),
        ("https", "UPLOAD.example.org.", 443, {"upload.example.org"}, True),
        ("http", "upload.example.org", 80, {"upload.example.org"}, True),
        ("http", "upload.example.org", 5280, {"upload.example.org"}, False),  # another service of that host
        ("http", "upload.example.org", 5280, {"upload.example.org:5280"}, True),
        ("https", "evil-upload.example.org", 443, {"upload.example.org"}, False),
        ("http", "::1", 8080, {"[::1]:8080"}, True),
        ("https", "::1", None, {"::1"}, True),
        ("https", "example.org", None, set(), False),
    ],
)
def test_exempt_hosts_are_exempt_on_their_own_ports(
    scheme: str, host: str, port: int | None, allowed: set[str], is_so: bool
) -> None:
    assert guard.is_allowed(scheme, host, port, allowed) is is_so


@dataclass
class Far:
    """A web server of somebody's, and what it was asked."""

    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hang: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def here(self) -> set[str]:
        return {f"127.0.0.1:{self.port}"}

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.headers)))
        match request.path:
            case "/photo%20of%20me.jpg" | "/photo of me.jpg":
                return web.Response(body=JPEG, content_type="application/octet-stream")
            case "/named":
                disposition = {"Content-Disposition": "attachment; filename*=UTF-8''..%2Fgr%C3%B6%C3%9Fe"}
                return web.Response(body=JPEG, headers=disposition)
            case "/endless":
                return await self._endless(request)
            case "/large":
                return web.Response(body=b"x" * 5_000)
            case "/packed":
                return web.Response(body=gzip.compress(b"x" * 5_000), headers={"Content-Encoding": "gzip"})
            case "/to-private":
                return web.Response(status=302, headers={"Location": f"http://127.0.0.2:{self.port}/named"})
            case "/elsewhere":
                return web.Response(status=302, headers={"Location": f"http://localhost:{self.port}/named"})
            case "/round":
                return web.Response(status=302, headers={"Location": "/round"})
            case "/hang":
                await self.hang.wait()
                return web.Response()
            case path:
                return web.Response(status=int(path[1:]))

    async def _endless(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except (ConnectionError, asyncio.CancelledError):
            return response


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    server = Far()
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    server.hang.set()
    await runner.cleanup()


async def test_a_file_is_fetched_with_the_type_that_its_bytes_tell(far: Far) -> None:
    got = await fetch(far.url("/photo%20of%20me.jpg"), allow_hosts=far.here)
    assert (got.data, got.name, got.media_type) == (JPEG, "photo of me.jpg", "image/jpeg")
    got = await fetch(far.url("/named"), allow_hosts=far.here)
    assert (got.name, got.media_type) == ("größe.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1:{port}/named", "private network"),
        ("https://[::1]:{port}/named", "private network"),
        ("https://[::ffff:127.0.0.1]:{port}/named", "private network"),
        ("https://localhost:{port}/named", "private network"),
        ("https://2130706433:{port}/named", "no web address"),
        ("https://0.0.0.0:{port}/named", "private network"),
        ("http://example.org/", "not encrypted"),
        ("ftp://example.org/x", "no web address"),
        ("https:///x", "no web address"),
        ("https://user:secret@example.org/x", "password"),
        ("aesgcm://example.org/x.jpg#00", "encryption"),
        ("https://[::1", "no web address"),
    ],
)
async def test_a_link_to_where_none_may_lead_is_refused(far: Far, url: str, words: str) -> None:
    with pytest.raises(NotFetched, match=words) as refused:
        await fetch(url.format(port=far.port))
    assert not refused.value.later
    assert far.asked == []


@pytest.mark.parametrize("path", ["/to-private", "/elsewhere"])
async def test_a_redirect_is_judged_like_a_link(far: Far, path: str) -> None:
    with pytest.raises(NotFetched, match="not encrypted"):
        await fetch(far.url(path), allow_hosts=far.here)
    assert [asked for asked, _ in far.asked] == [path]


async def test_a_login_does_not_go_along_to_another_host(far: Far) -> None:
    allowed = far.here | {f"localhost:{far.port}"}
    await fetch(far.url("/elsewhere"), allow_hosts=allowed, headers={"Authorization": "Basic c2VjcmV0"})
    (_, first), (_, second) = far.asked
    assert first["Authorization"] == "Basic c2VjcmV0"
    assert "Authorization" not in second


async def test_what_is_too_large_is_cut_off_while_it_streams(far: Far) -> None:
    for path in ("/endless", "/large"):
        with pytest.raises(NotFetched, match="too large: at most 1 kB") as refused:
            await fetch(far.url(path), FetchLimits(bytes=1_000), far.here)
        assert refused.value.too_large


async def test_redirects_end_and_small_answers_do_not_grow(far: Far) -> None:
    with pytest.raises(NotFetched, match="from one place to the next"):
        await fetch(far.url("/round"), allow_hosts=far.here)
    assert len(far.asked) == 4
    with pytest.raises(NotFetched, match="packs it"):
        await fetch(far.url("/packed"), allow_hosts=far.here)


@pytest.mark.parametrize(
    ("path", "words", "later"),
    [
        ("/404", "no longer there", False),
        ("/410", "no longer there", False),
        ("/403", "refuses it", False),
        ("/503", "trouble just now", True),
        ("/429", "trouble just now", True),
        ("/hang", "too slow", True),
    ],
)
async def test_a_failure_says_whether_to_try_again(far: Far, path: str, words: str, later: bool) -> None:
    with pytest.raises(NotFetched, match=words) as failed:
        await fetch(far.url(path), FetchLimits(seconds=0.5), far.here)
    assert failed.value.later is later


async def test_a_server_that_is_away_may_come_back(far: Far, unused_tcp_port: int) -> None:
    with pytest.raises(NotFetched, match="cannot be reached") as failed:
        await fetch(f"http://127.0.0.1:{unused_tcp_port}/x", allow_hosts={f"127.0.0.1:{unused_tcp_port}"})
    assert failed.value.later
