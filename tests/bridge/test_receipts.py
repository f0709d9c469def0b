"""Receipts (XEP-0184): to whom, from whom, and for what."""

from collections.abc import AsyncIterator

import pytest

from bridge.model import Kind
from bridge.ports import Refused, Sent
from bridge.store import asking
from bridge.store.engine import Store
from tests.bridge.exchange import ALICE, Exchange


@pytest.fixture
async def here(store: Store) -> AsyncIterator[Exchange]:
    exchange = Exchange(store, coalesce=None)
    async with exchange.dispatching():
        yield exchange


async def test_a_receipt_is_for_who_asked_and_comes_from_whom_they_wrote_to(here: Exchange) -> None:
    await here.say("nobody asks about this", wants_receipt=False)
    (asked,) = await here.say("did this arrive?")
    await here.mail.gets("nobody asks about this", "did this arrive?")
    await here.told_by_mail.told(Kind.RECEIPT, asked)
    (receipt,) = (one for one in here.told_by_mail.taken if one.kind is Kind.RECEIPT)
    assert (receipt.sender, receipt.recipient) == (f"{ALICE}@mail.localhost", "mira@localhost/phone")


async def test_what_was_not_sent_has_no_receipt_but_an_error(here: Exchange) -> None:
    here.mail.answer = lambda delivery: Refused("There is nobody of that name.")
    (asked,) = await here.say("did this arrive?")
    await here.told_by_mail.told(Kind.ERROR, asked)
    assert here.told_by_mail.notes(Kind.RECEIPT) == []


async def test_who_was_written_to_in_vain_is_still_a_stranger(here: Exchange) -> None:
    here.mail.answer = lambda delivery: Refused("There is nobody of that name.")
    (asked,) = await here.say("is this you?")
    await here.told_by_mail.told(Kind.ERROR, asked)
    here.mail.answer = lambda delivery: Sent(f"<{delivery.id}@far>")
    await here.say("and now?")
    await here.say("good")
    await here.mail.gets("and now?", "good")
    found = [one.message for one in here.mail.taken if one.message is not None]
    opening = [await here.store.look(asking.opens, one.conversation_id, one.id) for one in found]
    assert opening == [True, False]
