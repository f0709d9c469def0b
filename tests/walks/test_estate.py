"""All that somebody has: handed out as a file, and taken along to another chat address."""

import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS
from tests.conftest import COMPONENTS
from tests.support.client import ChatUser, body_of
from tests.walks.gateway import ALICE, ALICE_JID, PLUMBER_JID, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walk() -> AsyncIterator[World]:
    with PrivateProsody(COMPONENTS) as server:
        async with world(server) as here:
            yield here


async def tell(user: ChatUser, text: str, containing: str = "") -> str:
    user.say(MAIL, text, receipt=False)
    return body_of(await user.message_from(MAIL, containing=containing))


async def test_an_export_can_be_fetched_and_holds_what_was_said(walk: World) -> None:
    mira = await walk.user()
    await mira.message_from(MAIL, containing="Welcome")
    await mira.receipt_for(mira.say(ALICE_JID, "is the flat still free?"))
    await walk.write_mail(mira, "it is, come on Tuesday")
    await mira.message_from(ALICE_JID)
    url = re.search(r"https?://\S+", await tell(mira, "export", containing="http"))
    assert url is not None
    async with aiohttp.ClientSession() as session, session.get(url[0]) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        found = json.loads(await answer.text())
    assert found["jid"] == mira.bare
    assert [one["text"] for one in found["messages"]] == ["is the flat still free?", "it is, come on Tuesday"]
    assert [one["address"] for one in found["contacts"]] == [ALICE]


async def test_somebody_moves_with_all_they_have(walk: World) -> None:
    old, new = await walk.user("mira"), await walk.user("newmira", on=())
    await old.message_from(MAIL, containing="Welcome")
    await old.add_contact(ALICE_JID)
    await old.receipt_for(old.say(PLUMBER_JID, "the tap drips"))
    address, number = walk.address_of(old), await walk.number_of(old)
    assert "move to" in await tell(old, f"move {new.bare}")
    await tell(old, "yes", containing=new.bare)
    told = body_of(await new.message_from(MAIL, containing=old.bare))
    code = re.search(r"move (\d{6})", told)
    assert code is not None
    assert "not the code" in await tell(new, "move 000001", containing="code")
    assert address in await tell(new, f"move {code[1]}", containing="Welcome here")

    for gateway in (MAIL, SMS):
        await old.presence_from(gateway, "unavailable")
        await new.message_from(gateway, containing="Welcome!")
    await old.presence_from(ALICE_JID, "unsubscribed")
    await new.presence_from(ALICE_JID, "subscribe")
    assert (await new.registration_form(MAIL))["email"] == address
    assert (await new.registration_form(SMS))["phone"] == number
    answered = await walk.carrier.phone(PLUMBER_JID.partition("@")[0]).reply("I come at noon", to=number)
    assert answered.status == 200
    await new.message_from(PLUMBER_JID, containing="at noon")
    assert "not registered" in (await tell(old, "contacts"))
