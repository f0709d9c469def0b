"""The worlds that walks go through."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from tests.walks.gateway import World, world


@pytest.fixture
async def walk(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    """A world with a Prosody of its own, which the test may stop and kill."""
    async with world(fresh_prosody()) as here:
        yield here
