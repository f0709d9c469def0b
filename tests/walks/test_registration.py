"""Registering, editing, leaving: with several users, since one's edit must never hurt another."""

import asyncio
from xml.etree.ElementTree import Element

import pytest

from bridge.demo.world import MAIL, SMS
from tests.support.client import ChatUser, RequestError, body_of
from tests.walks.gateway import ALICE_JID, BAKER, BAKER_JID, MAIL_DOMAIN, PLUMBER, PLUMBER_JID, World

_ROSTER = "jabber:iq:roster"


async def test_an_edited_registration_hurts_nobody_else(walk: World) -> None:
    """Where this stops the gateway, everybody loses it: slidge does so with two users registered."""
    mira, noor = await asyncio.gather(walk.user("mira"), walk.user("noor"))
    pid = walk.gateway.pid
    before = await mira.registration_form(MAIL)

    await mira.register(MAIL, name="Mira Lind")
    await mira.register(SMS, name="Mira Lind")
    await noor.register(MAIL, name="Noor Amrani", email=(await noor.registration_form(MAIL))["email"])

    after = await mira.registration_form(MAIL)
    assert after["name"] == "Mira Lind"
    assert after["email"] == before["email"]
    assert "registered" in after
    for user, name, phone in ((mira, "Mira Lind", PLUMBER), (noor, "Noor Amrani", BAKER)):
        await user.receipt_for(user.say(ALICE_JID, f"from {name}"))
        await walk.mail.arrived(f"from {name}")
        assert name in walk.mail.mails[-1].message["From"]
        await walk.write_mail(user, f"for {name}")
        assert f"for {name}" in body_of(await user.message_from(ALICE_JID))
        contact = PLUMBER_JID if phone == PLUMBER else BAKER_JID
        await user.receipt_for(user.say(contact, f"text of {name}"))
        assert (await walk.carrier.phone(phone).reply(f"hello {name}")).status == 200
        assert body_of(await user.message_from(contact)) == f"hello {name}"
    numbers = [(await user.registration_form(SMS))["phone"] for user in (mira, noor)]
    assert len(set(numbers)) == 2
    assert walk.gateway.pid == pid
    assert walk.gateway.running


async def test_a_wish_for_somebody_elses_address_is_refused_and_changes_nothing(walk: World) -> None:
    mira, noor = await walk.user("mira"), await walk.user("noor")
    own, others = walk.address_of(mira), walk.address_of(noor)
    refused = await refusal(mira, MAIL, f"<email>{others}</email><name>Mira</name>")
    assert refused
    taken = await refusal(mira, SMS, f"<phone>{await walk.number_of(noor)}</phone>")
    assert taken
    assert (await mira.registration_form(MAIL))["email"] == own
    await walk.write_mail(noor, "still mine")
    assert "still mine" in body_of(await noor.message_from(ALICE_JID))
    assert mira.bodies_from(ALICE_JID) == []


async def test_leaving_cleans_the_roster_and_one_may_come_back(walk: World) -> None:
    mira = await walk.user()
    noor = await walk.user("noor")
    await mira.presence_from(MAIL)
    await mira.add_contact(ALICE_JID)
    await mira.receipt_for(mira.say(ALICE_JID, "before"))
    assert ALICE_JID in await roster(mira)

    await mira.unregister(MAIL)
    for jid in (ALICE_JID, MAIL):
        for kind in ("unsubscribe", "unsubscribed", "unavailable"):
            await mira.presence_from(jid, kind)
    assert (await roster(mira)).get(ALICE_JID, "none") == "none"
    assert (await roster(mira)).get(MAIL, "none") == "none"
    assert (await mira.registration_form(MAIL))["email"] == ""
    error = await mira.error_for(mira.say(ALICE_JID, "after"))
    assert error["error"]["condition"] == "registration-required"
    await mira.receipt_for(mira.say(PLUMBER_JID, "by text still"))
    await noor.receipt_for(noor.say(ALICE_JID, "others stay"))

    await mira.register(MAIL, name="Mira again")
    assert (await mira.registration_form(MAIL))["email"] == f"{mira.bare.partition('@')[0]}@{MAIL_DOMAIN}"
    await mira.receipt_for(mira.say(ALICE_JID, "back again"))
    await walk.write_mail(mira, "welcome back")
    assert "welcome back" in body_of(await mira.message_from(ALICE_JID))


async def test_a_pool_that_is_used_up_is_told_and_a_number_that_is_given_back_goes_to_the_next(
    walk: World,
) -> None:
    users = [await walk.user(name) for name in ("mira", "noor", "olga")]
    late = await walk.user("pia", on=(MAIL,))
    assert "free" in await refusal(late, SMS, "<name>Pia</name>")
    given_back = await walk.number_of(users[1])
    await users[1].unregister(SMS)
    await late.register(SMS, name="Pia")
    assert await walk.number_of(late) == given_back
    await late.receipt_for(late.say(PLUMBER_JID, "it is my number now"))
    assert (await walk.carrier.phone(PLUMBER).reply("hello Pia")).status == 200
    assert body_of(await late.message_from(PLUMBER_JID)) == "hello Pia"
    assert users[1].bodies_from(PLUMBER_JID) == []


async def refusal(user: ChatUser, gateway: str, fields: str) -> str:
    """The sentence by which a registration is refused."""
    with pytest.raises(RequestError) as refused:
        await user.ask(gateway, "set", f"<query xmlns='jabber:iq:register'>{fields}</query>")
    return refused.value.text


async def roster(user: ChatUser) -> dict[str, str]:
    """The JIDs of a roster and their subscriptions."""
    answer = await user.ask(user.bare, "get", f"<query xmlns='{_ROSTER}'/>")
    items: list[Element] = answer.findall(f".//{{{_ROSTER}}}item")
    return {item.get("jid", ""): item.get("subscription", "") for item in items}


async def test_who_may_use_the_gateway_is_registered_by_adding_a_contact(walk: World) -> None:
    mira = await walk.user(on=())
    await mira.add_contact(PLUMBER_JID)
    assert await walk.number_of(mira) in body_of(await mira.message_from(SMS, containing="Welcome"))
    await mira.receipt_for(mira.say(PLUMBER_JID, "The tap drips"))
