"""Fixtures for the bridge's own tests."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bridge.store.engine import Store, database_url
from tests.bridge.records import a_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return database_url("sqlite", tmp_path)
    new: Callable[[], str] | str = request.getfixturevalue("postgres_url")
    return database_url(str(new), tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with a_store(url) as store:
        yield store
