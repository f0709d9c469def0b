"""Files as the public listener gives them out, over real sockets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bridge.files import Shown
from bridge.ports import WebRequest, WebResponse
from bridge.settings import HostPort
from bridge.web.files import FilePages, disposition
from bridge.web.pages import Probes
from bridge.web.server import serving

TOKEN = "ab" * 24
DATA = bytes(range(256)) * 1000


@dataclass
class Site:
    url: str
    session: aiohttp.ClientSession

    def file(self, token: str = TOKEN, name: str = "gr%C3%B6%C3%9Fe.png") -> str:
        return f"{self.url}/files/{token}/{name}"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / TOKEN).write_bytes(DATA)

    async def shown(token: str) -> Shown | None:
        if token == "ee" * 24:
            raise OSError("the database is away")
        return Shown(tmp_path / TOKEN, 'grö"ße.png', "image/png", len(DATA)) if token == TOKEN else None

    async def hook(request: WebRequest) -> WebResponse:
        return WebResponse(200)

    anywhere = HostPort("127.0.0.1", 0)
    async with (
        serving(anywhere, None, hooks={"sms": hook}, probes=Probes(), files=FilePages(shown)) as at,
        aiohttp.ClientSession() as session,
    ):
        yield Site(f"http://127.0.0.1:{at.public}", session)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_is_given_out_to_be_saved_and_nothing_in_it_runs(site: Site, method: str) -> None:
    async with site.session.request(method, site.file()) as answer:
        assert answer.status == 200
        assert await answer.read() == (DATA if method == "GET" else b"")
        told = answer.headers
    assert told["Content-Type"] == "image/png"
    assert told["Content-Length"] == str(len(DATA))
    assert told["Content-Disposition"].startswith("attachment;")
    assert told["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in told["Content-Security-Policy"]
    assert "aiohttp" not in told["Server"]


async def test_a_part_can_be_asked_for(site: Site) -> None:
    async with site.session.get(site.file(), headers={"Range": "bytes=256-511"}) as answer:
        assert answer.status == 206
        assert await answer.read() == bytes(range(256))
        assert answer.headers["Content-Range"] == f"bytes 256-511/{len(DATA)}"
    async with site.session.get(site.file(), headers={"Range": "bytes=9999999-"}) as answer:
        assert answer.status == 416


async def test_what_is_not_there_is_answered_always_the_same(site: Site) -> None:
    answers = set()
    for path in (
        f"/files/{'cd' * 24}/x.png",
        f"/files/{TOKEN}",
        f"/files/{TOKEN}/",
        f"/files/{TOKEN}/a/b",
        f"/files/{TOKEN.upper()}/x.png",
        "/files/",
        "/files/../key",
        f"/files/..%2f{TOKEN}/x",
    ):
        url = aiohttp.client.URL(f"{site.url}{path}", encoded=True)
        async with site.session.get(url) as answer:
            if "files" in str(answer.url):
                answers.add((answer.status, await answer.text(), answer.headers.get("Content-Disposition")))
    assert answers == {(404, "Nothing here.\n", None)}


async def test_files_are_read_only_and_hooks_stay_where_they_are(site: Site) -> None:
    async with site.session.post(site.file(), data=b"x") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
    async with site.session.post(f"{site.url}/hooks/sms/message", data=b"x") as answer:
        assert answer.status == 200


async def test_a_database_that_is_away_is_no_file_that_is_gone(site: Site) -> None:
    async with site.session.get(site.file("ee" * 24)) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.png", "attachment; filename=\"a.png\"; filename*=UTF-8''a.png"),
        ('x"; e="1.png', "attachment; filename=\"x_; e=_1.png\"; filename*=UTF-8''x%22%3B%20e%3D%221.png"),
        ("größe 5%.md", "attachment; filename=\"gr__e 5_.md\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%205%25.md"),
    ],
)
def test_a_name_stands_in_the_header_for_old_and_new(name: str, header: str) -> None:
    assert disposition(name) == header
