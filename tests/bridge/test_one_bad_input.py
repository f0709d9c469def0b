"""One input that cannot be recorded is its own sender's trouble."""

import asyncio
from dataclasses import replace

import pytest

from bridge.events import Written
from bridge.ports import Addressed, Outward
from bridge.store import strangers
from bridge.store.engine import Store
from tests.bridge.company import MIRA, Company

ALICE, BOB, BAD = (rf"{name}\40x.example" for name in ("alice", "bob", "bad"))


def said(chat: str, body: str) -> Written:
    return Written(
        MIRA, local=chat, body=body, stanza_id=f"{chat}-{body}", from_full=f"{MIRA}/phone", wants_receipt=True
    )


@pytest.fixture
async def here(store: Store) -> Company:
    company = Company(store)
    await company.gateway.register("mail", MIRA, name="Mira")
    return company


async def test_a_stanza_that_an_adapter_stumbles_over_is_refused_and_its_neighbours_go(here: Company) -> None:
    transport = here.gateway.transports["mail"]

    class Stumbles:
        def addressed(self, outward: Outward) -> Addressed:
            if outward.contact.startswith("bad"):
                raise KeyError("a fault of ours")
            return Addressed((outward.contact,))

    here.gateway.transports["mail"] = replace(transport, addresses=Stumbles())  # type: ignore[index]
    before, bad, after = await here.gateway.carry_out(
        "mail", [said(ALICE, "one"), said(BAD, "two"), said(BOB, "three")]
    )
    assert (before, after) == (None, None)
    assert bad is not None
    assert bad.condition == "internal-server-error"
    here.clock.now += 3600  # quick lines wait for each other
    assert {frozenset(to) for to, _, _ in await here.mails()} == {
        frozenset({"alice@x.example"}),
        frozenset({"bob@x.example"}),
    }


async def test_what_comes_from_outside_and_cannot_be_recorded_fails_its_own_caller_only(
    here: Company,
) -> None:
    alice, bob = here.read("alice@x.example", "good"), here.read("bob@x.example", "good too")
    # What no adapter should ever make of its input.
    broken = [replace(one, written_at=None) for one in here.read("bad@x.example", "bad")]  # type: ignore[arg-type]
    answers: list[BaseException | None] = await asyncio.gather(
        *(here.gateway.accept(one) for one in (alice, broken, bob)), return_exceptions=True
    )
    assert [isinstance(one, Exception) for one in answers] == [False, True, False]
    assert {local for local, _ in await here.shown()} == {ALICE, BOB}


async def test_however_many_wait_a_new_stranger_is_asked_about(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who are known to wait do not push a newcomer out of the list."""
    monkeypatch.setattr(strangers, "_MOST_LISTED", 2)
    company = Company(store, strangers="ask")
    await company.gateway.register("mail", MIRA, name="Mira")
    for name in ("one", "two", "three"):
        for words in ("buy", "buy more", "and more"):
            await company.mail(f"{name}@x.example", words)
        company.clock.now += 3600
        (told,) = await company.told()
        assert f"{name}@x.example" in told
