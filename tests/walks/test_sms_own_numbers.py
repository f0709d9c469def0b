"""A user with several numbers: what goes from which, what comes to which, and who may have them."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.chat_user import ChatUser
from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Goes, Refuse
from bridge.demo.world import MAIL, SMS, mail_contact
from tests.support.client import RequestError, body_of, error_text
from tests.walks.gateway import BAKER, BAKER_JID, NUMBERS, PLUMBER, PLUMBER_JID, World, world
from tests.walks.test_commands import execute, note

FIRST, SECOND, THIRD = NUMBERS


@pytest.fixture
async def walk(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    async with world(fresh_prosody(), sms={"numbers_per_user": 2}) as here:
        yield here


async def tell(user: ChatUser, text: str, to: str = SMS, containing: str = "") -> str:
    user.say(to, text, receipt=False)
    return body_of(await user.message_from(to, containing=containing))


async def senders(walk: World, number: str, *bodies: str) -> list[str]:
    """From which of our numbers these texts came, in this order."""
    await walk.carrier.until(lambda: set(bodies) <= {text.body for text in walk.carrier.sent_to(number)})
    by_body = {text.body: text.sender for text in walk.carrier.sent_to(number)}
    return [by_body[body] for body in bodies]


async def test_a_chat_goes_on_from_the_number_that_was_written_to_last_or_chosen(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    assert await tell(mira, "numbers", containing="1.") == f"1. {FIRST}\nYou may have 1 more: numbers add."
    assert f"{SECOND} is yours too" in await tell(mira, "numbers add", containing="yours too")
    # A new contact gets the user's own number.
    await mira.receipt_for(mira.say(PLUMBER_JID, "one"))
    plumber = walk.carrier.phone(PLUMBER)
    await plumber.reply("hi", to=SECOND)
    assert body_of(await mira.message_from(PLUMBER_JID)) == f"(to {SECOND}) hi"
    await plumber.reply("still here", to=SECOND)
    await mira.message_from(PLUMBER_JID, containing="still here")
    assert mira.bodies_from(PLUMBER_JID)[-1] == "still here"  # said once
    await mira.receipt_for(mira.say(PLUMBER_JID, "two"))
    assert await tell(mira, f"/from {FIRST}", PLUMBER_JID, "goes on") == f"This chat goes on from {FIRST}."
    await mira.receipt_for(mira.say(PLUMBER_JID, "three"))
    assert await senders(walk, PLUMBER, "one", "two", "three") == [FIRST, SECOND, FIRST]
    # Another number of one's own for new chats moves none that there is.
    assert SECOND in await tell(mira, f"numbers default {SECOND[-4:]}", containing="New chats go from")
    assert (await walk.number_of(mira)) == SECOND
    await mira.receipt_for(mira.say(PLUMBER_JID, "four"))
    await mira.receipt_for(mira.say(BAKER_JID, "hello"))
    assert await senders(walk, PLUMBER, "four") == [FIRST]
    assert await senders(walk, BAKER, "hello") == [SECOND]
    assert f"This chat goes from {SECOND}." in await tell(mira, "/from", BAKER_JID, "goes from")


async def test_an_opt_out_binds_one_of_the_user_s_numbers(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    await tell(mira, "numbers add", containing="yours too")
    await mira.receipt_for(mira.say(PLUMBER_JID, "one"))
    await walk.carrier.phone(PLUMBER).reply("STOP", to=FIRST)
    assert "opted out" in body_of(await mira.message_from(PLUMBER_JID))
    error = await mira.error_for(mira.say(PLUMBER_JID, "two"))
    assert "opted out" in error_text(error)
    await tell(mira, f"/from {SECOND}", PLUMBER_JID, "goes on")
    await mira.receipt_for(mira.say(PLUMBER_JID, "three"))
    assert await senders(walk, PLUMBER, "one", "three") == [FIRST, SECOND]


async def test_a_number_given_back_is_free_for_others_and_reaches_its_user_no_more(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    await tell(mira, f"numbers add {THIRD}", containing="yours too")
    assert "You may have 2 numbers here" in await tell(mira, "numbers add", containing="You may have")
    await mira.receipt_for(mira.say(PLUMBER_JID, "one"))
    assert "no longer yours" in await tell(mira, f"numbers drop {FIRST}", containing="no longer")
    assert await walk.number_of(mira) == THIRD
    await mira.receipt_for(mira.say(PLUMBER_JID, "two"))  # the chat goes on from the one that is left
    assert "your only number" in await tell(mira, f"numbers drop {THIRD}", containing="only")
    ann = await walk.user("ann", on=())
    form = await ann.registration_form(SMS)
    assert form["phone"] == ""
    await ann.register(SMS, name="Ann", phone=FIRST)
    assert await walk.number_of(ann) == FIRST
    await walk.carrier.phone(PLUMBER).reply("for whom?", to=FIRST)
    assert body_of(await ann.message_from(PLUMBER_JID)) == "for whom?"
    assert await senders(walk, PLUMBER, "one", "two") == [FIRST, THIRD]
    assert mira.bodies_from(PLUMBER_JID) == []
    assert f"{THIRD} is somebody's already" in await tell(
        ann, f"numbers add {THIRD}", containing="somebody's"
    )
    table = await walk.passerelle("users", "show", mira.bare)
    assert THIRD in table


async def test_numbers_are_chosen_by_form_too(walk: World) -> None:
    mira = await walk.user(on=())
    with pytest.raises(RequestError):
        await mira.register(SMS, name="Mira", phone="+15550009999")
    first = await execute(mira, "register", to=SMS)
    offered = [one.text for one in first.iter("{jabber:x:data}value")]
    assert {FIRST, SECOND, THIRD} <= set(offered)
    await execute(
        mira, "register", to=SMS, action="complete", session=first.get("sessionid", ""), name="Mira",
        address=SECOND,
    )  # fmt: skip
    assert await walk.number_of(mira) == SECOND
    begun = await execute(mira, "numbers", to=SMS)
    session = begun.get("sessionid", "")
    await execute(mira, "numbers", to=SMS, action="next", session=session, what="add")
    done = await execute(mira, "numbers", to=SMS, action="complete", session=session, number=THIRD)
    assert f"{THIRD} is yours too" in note(done)
    await walk.carrier.phone(PLUMBER).reply("hello", to=THIRD)
    assert body_of(await mira.message_from(PLUMBER_JID)) == f"(to {THIRD}) hello"
    shown = await walk.passerelle("users", "list")
    assert SECOND in shown
    assert THIRD in shown


async def test_what_carriers_and_adapters_say_is_read_in_the_user_s_language(walk: World) -> None:
    mira = await walk.user(on=(MAIL, SMS))
    await tell(mira, "nummern add", containing="gehört")
    plumber = walk.carrier.phone(PLUMBER)
    await plumber.reply("hallo", to=SECOND)
    assert body_of(await mira.message_from(PLUMBER_JID)) == f"(an {SECOND}) hallo"
    # Refused at once, failed on the way, no number at all, and what an adapter adds to a text.
    walk.carrier.fail(PLUMBER, Refuse(21211), Goes(("sent", "undelivered"), 30005))
    error = await mira.error_for(mira.say(PLUMBER_JID, "eins"))
    assert error_text(error) == "Diese Nummer kann keine SMS empfangen: prüf die Ziffern. (21211)"
    error = await mira.error_for(mira.say(PLUMBER_JID, "zwei"))
    assert "Diese Nummer ist nicht vergeben" in error_text(error)
    error = await mira.error_for(mira.say(f"12025550142@{SMS}", "drei"))
    assert error_text(error) == "Die Landesvorwahl fehlt: meintest du +12025550142?"
    await plumber.reply("STOP", to=SECOND)
    told = body_of(await mira.message_from(PLUMBER_JID, containing="STOP"))
    assert told.startswith("STOP\n(Sie haben SMS von deiner Nummer abbestellt.")
    # The same by mail: refused by a server, in our words around its own.
    await walk.mail.come(on_rcpt=lambda _: "550 5.1.1 No such user")
    error = await mira.error_for(mira.say(mail_contact("nobody@example.com"), "vier"))
    assert error_text(error).startswith("nobody@example.com gibt es dort nicht. Prüf die Schreibweise.")
