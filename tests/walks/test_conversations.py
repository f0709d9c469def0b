"""Out, in, receipt, error: both transports, through real Prosody and real ejabberd."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.email.addresses import without_token
from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Goes, Refuse
from bridge.demo.world import MAIL, SMS, mail_contact
from tests.support.client import ChatUser, NotSeenError, RequestError, body_of, error_text
from tests.support.servers import Ejabberd
from tests.walks.gateway import ALICE, ALICE_JID, BAKER, BAKER_JID, PLUMBER, PLUMBER_JID, World, world


@pytest.fixture(params=["prosody", "ejabberd"])
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    server: PrivateProsody | Ejabberd = request.getfixturevalue(request.param)
    async with world(server) as here:
        yield here


async def test_mail_goes_out_and_comes_back_with_receipts_and_errors(anywhere: World) -> None:
    mira = await anywhere.user(on=(MAIL,))
    presence = await mira.add_contact(ALICE_JID)
    assert presence["from"].bare == ALICE_JID

    asked = mira.say(ALICE_JID, "Is the flat still free?")
    await anywhere.mail.arrived("Is the flat still free?")
    mail = anywhere.mail.mails[0]
    assert mail.recipients == (ALICE,)
    assert without_token(mail.sender) == anywhere.address_of(mira)
    assert anywhere.address_of(mira) in mail.message["From"]
    assert "Mira" in mail.message["From"]
    await mira.receipt_for(asked)

    await anywhere.write_mail(mira, "Yes, it is.")
    answer = await mira.message_from(ALICE_JID)
    assert "Yes, it is." in body_of(answer)
    assert answer["type"] == "chat"

    def nobody(address: str) -> str | None:
        return "550 5.1.1 no such mailbox" if address == "landlrod@example.com" else None

    anywhere.mail.now.on_rcpt = nobody
    wrong = mira.say(mail_contact("landlrod@example.com"), "Hello?")
    error = await mira.error_for(wrong)
    assert error["from"].bare == mail_contact("landlrod@example.com")
    assert error["error"]["condition"] == "item-not-found"
    assert "landlrod@example.com" in error_text(error)


async def test_texts_go_out_and_come_back_with_receipts_and_errors(anywhere: World) -> None:
    mira = await anywhere.user(on=(SMS,))
    number = await anywhere.number_of(mira)
    await mira.add_contact(PLUMBER_JID)
    plumber = anywhere.carrier.phone(PLUMBER)

    drips = mira.say(PLUMBER_JID, "The tap drips again.")
    assert await plumber.shows(1) == ["The tap drips again."]
    assert anywhere.carrier.sent_to(PLUMBER)[0].sender == number
    await mira.receipt_for(drips)

    assert (await plumber.reply("Friday at nine")).status == 200
    assert body_of(await mira.message_from(PLUMBER_JID)) == "Friday at nine"

    anywhere.carrier.fail(BAKER, Refuse(21614, 400, "'To' number is not a valid mobile number"))
    landline = mira.say(BAKER_JID, "Bread?")
    assert "landline" in error_text(await mira.error_for(landline))

    anywhere.carrier.fail(BAKER, Goes(("sent", "undelivered"), error_code=30003))
    off = mira.say(BAKER_JID, "Rolls?")
    assert "phone" in error_text(await mira.error_for(off)).lower()


async def test_a_receipt_for_a_text_waits_for_the_carrier(walk: World) -> None:
    """SMS.md, cases 3 and 4: reports out of order, twice, and before the API's own answer."""
    mira = await walk.user(on=(SMS,))
    walk.carrier.fail(PLUMBER, Goes(("sending", "sent")))
    on_its_way = mira.say(PLUMBER_JID, "Are you coming?")
    walk.carrier.fail(BAKER, Goes(("delivered", "sent", "delivered"), early=True))
    there = mira.say(BAKER_JID, "Six rolls, please.")
    await mira.receipt_for(there)
    last = mira.say(BAKER_JID, "And bread.")
    await mira.receipt_for(last)
    receipts = [one for one in mira.heard if one.xml.find("{urn:xmpp:receipts}received") is not None]
    assert len(receipts) == 2
    with pytest.raises(NotSeenError):
        await mira.receipt_for(on_its_way, within=0.3)


async def test_who_is_neither_registered_nor_admitted_is_told_so_and_nothing_goes_out(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), allow=("somebody.else@localhost",)) as walk:
        stranger = await walk.user(on=())
        for contact in (ALICE_JID, PLUMBER_JID):
            error = await stranger.error_for(stranger.say(contact, "Let me in"))
            assert error["error"]["condition"] in ("registration-required", "forbidden")
            assert "regist" in error_text(error).lower() or "administrator" in error_text(error)
        assert walk.mail.mails == []
        assert walk.carrier.sent_to(PLUMBER) == []


async def test_wrong_addresses_are_answered_with_a_sentence_and_where_it_can_be_the_right_one(
    walk: World,
) -> None:
    mira = await walk.user()
    for wrong in (f"nonsense@{MAIL}", f"call-me-maybe@{SMS}"):
        error = await mira.error_for(mira.say(wrong, "Hello"))
        assert error["error"]["condition"] == "item-not-found"
        assert error_text(error).endswith(".")

    error = await mira.error_for(mira.say(f"12125551212@{SMS}", "Hello"))
    assert error["error"]["condition"] == "gone"
    gone = error.xml.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}gone")
    assert gone is not None
    assert gone.text == f"xmpp:+12125551212@{SMS}"

    emergency = await mira.error_for(mira.say(f"911@{SMS}", "Help"))
    assert emergency["error"]["condition"] == "not-allowed"
    assert walk.carrier.texts == {}


async def test_only_who_is_on_the_allow_list_may_register(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    server = fresh_prosody()
    server.add_user("mira", "a password")
    async with world(server, allow=("mira@localhost",)) as walk:
        noor = await walk.user("noor", on=())
        with pytest.raises(RequestError) as refused:
            await noor.register(MAIL, name="Noor")
        assert refused.value.condition == "forbidden"
        assert "administrator" in refused.value.text
        async with ChatUser("mira@localhost", "a password", server.c2s_port) as mira:
            await mira.register(MAIL, name="Mira")
            await mira.receipt_for(mira.say(ALICE_JID, "I am in"))


async def test_the_sixty_first_message_within_a_minute_must_wait_and_the_other_sixty_arrive(
    walk: World,
) -> None:
    mira = await walk.user(on=(MAIL,))
    noor = await walk.user("noor", on=(MAIL,))
    # The allowance grows by one a second: on a slow machine a 61st may just have become possible.
    ids = [mira.say(ALICE_JID, f"line {n}") for n in range(65)]
    error = await mira.error_for(ids[-1])
    assert error["error"]["condition"] == "resource-constraint"
    assert error["error"]["type"] == "wait"
    assert error_text(error)
    await noor.receipt_for(noor.say(ALICE_JID, "it is not my turn that is used up"))
    for stanza_id in ids[:60]:
        await mira.receipt_for(stanza_id)
    own = [text for text in walk.mail.texts(ALICE) if text.startswith("line")]
    assert own[:60] == [f"line {n}" for n in range(60)]
    assert len(own) < 65


async def test_a_user_who_is_offline_reads_it_at_the_next_login(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    """With the server's own offline storage and without it, which Prosody answers by an error."""

    async def walk_through(server: PrivateProsody, *, bounces: bool) -> None:
        async with world(server) as walk:
            mira = await walk.user()
            for transport in (MAIL, SMS):  # whose presence they don't see would have to wait for an hour
                await mira.presence_from(transport, "subscribe")
            await mira.logout()
            await walk.write_mail(mira, "while you were out")
            number = (await walk.passerelle("users", "show", mira.bare)).split("sms", 1)[1].split()[0]
            await walk.carrier.phone(PLUMBER).reply("call me", to=number)
            for outlet in ("xmpp:mail", "xmpp:sms"):
                await walk.deliveries(outlet, "TryLater" if bounces else "Sent", 1)
            await mira.login()
            assert "while you were out" in body_of(await mira.message_from(ALICE_JID))
            assert body_of(await mira.message_from(PLUMBER_JID)) == "call me"
            assert len(mira.bodies_from(ALICE_JID) + mira.bodies_from(PLUMBER_JID)) == 2

    keeps = fresh_prosody()
    forgets = fresh_prosody(extra_host='modules_disabled = { "offline" }')
    await asyncio.gather(walk_through(keeps, bounces=False), walk_through(forgets, bounces=True))
