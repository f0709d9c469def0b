"""Raw inputs become messages in a worker process of their own, whatever they do to it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.intake import Intake, Worker
from bridge.model import Address, Envelope, Incoming, Report
from bridge.store import claiming, inputs
from bridge.store.engine import Store, database_url
from tests.bridge.records import GROUNDS, RECEIPTS_ON_SENT, a_store


def reads(raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
    """A parser that some inputs kill, some break, and one keeps busy for ever. Runs in the worker."""
    if raw == b"kill":
        os._exit(9)
    if raw == b"break":
        raise RuntimeError("a bug")
    if raw == b"hang":
        while True:
            time.sleep(1)
    # What no table takes, as a bug of ours might have it.
    memo: Any = {"odd": {1}} if raw == b"unrecordable" else {}
    return [
        Incoming(
            "mail",
            Address("a@example.com", "a@example.com"),
            recipient,
            raw.decode(),
            raw.decode(),
            1.0,
            memo=memo,
        )
        for recipient in envelope.recipients
    ]


@asynccontextmanager
async def taking_in(store: Store, raws: list[bytes], deadline: float = 20.0) -> AsyncIterator[asyncio.Event]:
    rang = asyncio.Event()
    envelope = Envelope("mail", "a@example.com", ("mira@chat.example",), 1.0)
    await store.do(inputs.keep, [(raw, envelope) for raw in raws])

    def ring(lanes: object) -> None:
        rang.set()

    worker = Worker(deadline)
    async with Intake(store, {"mail": reads}, GROUNDS, RECEIPTS_ON_SENT, ring, worker=worker):
        yield rang


async def bodies(store: Store) -> list[str]:
    lanes = await store.look(claiming.open_lanes, "xmpp:mail")
    found = await store.look(claiming.claim, "xmpp:mail", list(lanes), 1e12, 100)
    return sorted(
        one.delivery.message.body
        for batch in found.by_lane.values()
        for one in batch
        if one.delivery.message is not None
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with a_store(database_url("sqlite", tmp_path)) as store:
        yield store


async def arrive(store: Store, rang: asyncio.Event, count: int) -> list[str]:
    async with asyncio.timeout(30):
        while len(found := await bodies(store)) < count:
            await rang.wait()
            rang.clear()
    return found


async def test_inputs_are_read_and_gone(store: Store) -> None:
    async with taking_in(store, [b"one", b"two"]) as rang:
        assert await arrive(store, rang, 2) == ["one", "two"]
    assert await store.look(inputs.waiting) == 0


@pytest.mark.parametrize("poison", [b"kill", b"break", b"unrecordable"])
async def test_an_input_that_cannot_be_read_is_told_and_kept_and_spoils_no_other(
    store: Store, poison: bytes
) -> None:
    async with taking_in(store, [b"one", poison, b"two"]) as rang:
        found = await arrive(store, rang, 3)
    assert found[:2] == ["one", "two"]
    assert "could not be read" in found[2]
    assert await store.look(inputs.waiting) == 0
    kept = await store.look(inputs.kept)
    assert [one.raw for one in kept] == [poison]


async def test_a_parser_that_hangs_is_ended(store: Store) -> None:
    async with taking_in(store, [b"hang", b"one"], deadline=6.0) as rang:
        found = await arrive(store, rang, 2)
    assert found[0] == "one"
    assert "could not be read" in found[1]
