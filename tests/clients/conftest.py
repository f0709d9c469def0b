"""One world for each module of client tests: a Prosody with all that clients use, and the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw

from bridge.demo.prosody import PrivateProsody
from tests.conftest import COMPONENTS
from tests.walks.gateway import PROSODY_PRIVILEGE, World, world

UPLOAD = """
Component "upload.localhost" "http_file_share"
    http_host = "127.0.0.1"
"""
# The page is not the server's own, and there is no TLS on loopback.
WEB = """
consider_websocket_secure = true
cross_domain_websocket = true
"""
PASSWORD = "a password"


@asynccontextmanager
async def _world(**options: Any) -> AsyncIterator[World]:
    modules = {"http", "websocket", "pep", "blocklist", *options.pop("modules", ())}
    with PrivateProsody(
        COMPONENTS,
        archive=True,
        modules=sorted(modules),
        extra_global=WEB,
        extra_host=f'http_host = "127.0.0.1"\n{options.pop("extra_host", "")}\n',
        extra_hosts=UPLOAD,
        **options,
    ) as server:
        async with world(server, settings=f'fetch_allow = ["127.0.0.1:{server.http_port}"]') as here:
            yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain() -> AsyncIterator[World]:
    """Everything, on a chat server whose admin has set up the components and no more."""
    async with _world() as here:
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def granted() -> AsyncIterator[World]:
    """Everything, on a chat server that lets the gateway write into rosters (XEP-0356)."""
    async with _world(**PROSODY_PRIVILEGE) as here:
        yield here


class Photo(NamedTuple):
    """A picture file, and what is in it."""

    path: Path
    content: bytes


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    """A small picture of a house."""
    picture = Image.new("RGB", (480, 320), (120, 170, 210))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((120, 140, 360, 300), fill=(210, 90, 60))
    draw.polygon([(100, 140), (240, 50), (380, 140)], fill=(90, 50, 40))
    draw.rectangle((210, 220, 270, 300), fill=(60, 40, 30))
    path = tmp_path_factory.mktemp("pictures") / "house.png"
    picture.save(path)
    return Photo(path, path.read_bytes())
