"""Numbers: the provider is told where texts go; a number that several share; reactions both ways."""

import asyncio
from collections.abc import Callable

from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Goes
from bridge.demo.world import SMS
from tests.support.client import error_text
from tests.walks.gateway import NUMBERS, PLUMBER, PLUMBER_JID, World, world

REACTIONS = "{urn:xmpp:reactions:0}reactions"


async def test_the_provider_is_asked_first_and_told_then(walk: World) -> None:
    number, hook = NUMBERS[0], walk.gateway.hook
    walk.carrier.numbers[number] = "https://elsewhere.example/old"
    told = await walk.passerelle("sms", "sync")
    assert f"{number}: texts go to https://elsewhere.example/old, not to {hook}" in told
    assert "--apply" in told
    assert walk.carrier.numbers[number] == "https://elsewhere.example/old"
    assert "sms: put right:" in await walk.passerelle("sms", "sync", "--apply")
    assert walk.carrier.numbers[number] == hook
    assert "as they should be" in await walk.passerelle("sms", "sync")


async def test_a_shared_number_answers_whoever_wrote_last(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), sms={"shared": [NUMBERS[0]]}) as walk:
        for n in range(len(NUMBERS) - 1):
            await walk.user(f"own{n}", on=(SMS,))
        ann, bob = await walk.user("ann", on=(SMS,)), await walk.user("bob", on=(SMS,))
        assert await walk.number_of(ann) == await walk.number_of(bob) == NUMBERS[0]
        plumber = walk.carrier.phone(PLUMBER)
        await plumber.reply("who is there?", to=NUMBERS[0])
        await asyncio.gather(*(one.message_from(PLUMBER_JID) for one in (ann, bob)))
        await bob.receipt_for(bob.say(PLUMBER_JID, "Bob"))
        await plumber.reply("hello Bob", to=NUMBERS[0])
        await bob.message_from(PLUMBER_JID, containing="hello Bob")
        await plumber.reply("and again", to=NUMBERS[0])
        await bob.message_from(PLUMBER_JID, containing="and again")
        assert ann.bodies_from(PLUMBER_JID) == ["who is there?"]


async def test_a_tapback_is_a_reaction_in_the_chat(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    said = mira.say(PLUMBER_JID, "See you “at six”")
    await mira.receipt_for(said)
    await walk.carrier.phone(PLUMBER).reply('Loved "See you "at six""')
    stanza = await mira.expect(lambda one: one.xml.find(REACTIONS) is not None, "a reaction")
    found = stanza.xml.find(REACTIONS)
    assert found is not None
    assert found.get("id") == said
    assert [one.text for one in found] == ["❤️"]
    await walk.carrier.phone(PLUMBER).reply('Removed a heart from "See you "at six""')
    stanza = await mira.expect(
        lambda one: (none := one.xml.find(REACTIONS)) is not None and not len(none), "no reaction any more"
    )
    gone = stanza.xml.find(REACTIONS)
    assert gone is not None
    assert gone.get("id") == said


async def test_carriers_that_refuse_are_told_in_words_and_the_code_kept_for_the_admin(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    walk.carrier.fail(PLUMBER, Goes(("sent", "undelivered"), 30034))
    error = await mira.error_for(mira.say(PLUMBER_JID, "hello"))
    assert "not registered" in error_text(error)
    assert error.xml.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}policy-violation") is not None
    assert "(30034)" in error_text(error)


async def test_a_reaction_in_the_chat_is_texted_as_phones_write_it(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    await walk.carrier.phone(PLUMBER).reply("Coming at six", to=number)
    arrived = await mira.message_from(PLUMBER_JID)
    mira.send_xml(
        f"<message to='{PLUMBER_JID}' type='chat' id='r1'>"
        f"<reactions xmlns='urn:xmpp:reactions:0' id='{arrived['id']}'><reaction>👍</reaction></reactions>"
        "</message>"
    )
    assert await walk.carrier.phone(PLUMBER).shows(1) == ["Liked “Coming at six”"]
    # Another one instead, which is taken back; taking back what is not there says nothing.
    for number, inside in enumerate(["<reaction>🎉</reaction>", "", ""], 2):
        mira.send_xml(
            f"<message to='{PLUMBER_JID}' type='chat' id='r{number}'>"
            f"<reactions xmlns='urn:xmpp:reactions:0' id='{arrived['id']}'>{inside}</reactions></message>"
        )
    await mira.receipt_for(mira.say(PLUMBER_JID, "and now?"))
    assert await walk.carrier.phone(PLUMBER).shows(4) == [
        "Liked “Coming at six”",
        "Reacted 🎉 to “Coming at six”",
        "Removed 🎉 from “Coming at six”",
        "and now?",
    ]
