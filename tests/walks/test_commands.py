"""Commands by text and as forms, through a real Prosody: for users, in a contact's chat, for admins."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Literal
from xml.etree.ElementTree import Element

import aiohttp
import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS
from tests.support.client import ChatUser, RequestError, body_of
from tests.support.mail import hand_in
from tests.walks.gateway import (
    ALICE,
    ALICE_JID,
    BOB,
    BOB_JID,
    PLUMBER,
    PLUMBER_JID,
    World,
    letter,
    world,
)

COMMANDS = "http://jabber.org/protocol/commands"
FORM = "{jabber:x:data}"
ADMIN = "http://jabber.org/protocol/admin#"
BOSS = "boss@localhost"


async def tell(user: ChatUser, text: str, gateway: str = MAIL, **options: str) -> str:
    """Write a line to the gateway; its answer."""
    user.say(gateway, text, receipt=False)
    return body_of(await user.message_from(gateway, **options))


async def execute(
    user: ChatUser, node: str, *, to: str = MAIL, action: str = "", session: str = "", **values: str
) -> Element:
    """One step of an ad-hoc command; the `<command/>` of the answer."""
    fields = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in values.items())
    form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>" if session and action != "prev" else ""
    about = "".join(
        f" {name}='{value}'" for name, value in (("action", action), ("sessionid", session)) if value
    )
    answer = await user.ask(to, "set", f"<command xmlns='{COMMANDS}' node='{node}'{about}>{form}</command>")
    found = answer.find(f"{{{COMMANDS}}}command")
    assert found is not None
    return found


def note(command: Element) -> str:
    return command.findtext(f"{{{COMMANDS}}}note") or ""


async def nodes(user: ChatUser, jid: str = MAIL) -> list[str]:
    items = "http://jabber.org/protocol/disco#items"
    answer = await user.ask(jid, "get", f"<query xmlns='{items}' node='{COMMANDS}'/>")
    return [item.get("node", "") for item in answer.iter(f"{{{items}}}item")]


@pytest.fixture
async def asking(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    """A world whose users are asked about strangers, and that has an admin."""
    server = fresh_prosody()
    server.add_user("boss", "a password")
    async with world(server, settings=f'admins = ["{BOSS}"]', strangers="ask") as here:
        yield here


async def the_boss(walk: World) -> ChatUser:
    boss = ChatUser(BOSS, "a password", walk.server.c2s_port)
    await walk.users.enter_async_context(boss)
    return boss


# --- text to the gateway ---


async def test_somebody_on_the_allow_list_is_registered_by_their_first_word(walk: World) -> None:
    mira = await walk.user(on=())
    mira.say(MAIL, "hello?", receipt=False)
    welcome = await mira.message_from(MAIL, containing="Welcome")
    assert walk.address_of(mira) in body_of(welcome)
    assert "Unencrypted" in body_of(welcome)
    noor = await walk.user("noor", on=())
    await noor.receipt_for(noor.say(ALICE_JID, "straight to the contact"))
    await noor.message_from(MAIL, containing="Welcome")
    await walk.mail.arrived("straight to the contact")


async def test_an_address_and_a_first_line_make_contact_conversation_and_message(walk: World) -> None:
    mira = await walk.user()
    await mira.message_from(MAIL, containing="Welcome")
    answer = await tell(mira, f"{ALICE} Running late", containing="Goes to")
    assert walk.address_of(mira) in answer
    assert ALICE_JID in answer
    await walk.mail.arrived("Running late", to=ALICE)
    await mira.presence_from(ALICE_JID, "subscribe")
    await mira.message_from(SMS, containing="Welcome")
    assert await walk.number_of(mira) in await tell(mira, f"{PLUMBER} The tap drips", SMS)
    await walk.carrier.phone(PLUMBER).shows(1)
    assert "alice@gmail.com" in await tell(mira, "alice@gmial.com hi")
    assert len(walk.mail.mails) == 1, "a near miss is asked about, not mailed"


async def test_commands_forgive_spelling_and_find_old_messages(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    assert "find" in await tell(mira, "help")
    await mira.receipt_for(mira.say(ALICE_JID, "the key is under the mat"))
    await walk.write_mail(mira, "which key do you mean?")
    await mira.message_from(ALICE_JID)
    found = await tell(mira, "fnid key")
    assert "under the mat" in found
    assert "which key" in found
    assert ALICE in await tell(mira, "contacts")
    assert "accepted" in await tell(mira, "why")
    assert "do not understand" in await tell(mira, "xyzzy plugh")
    assert len(walk.mail.mails) == 1


async def test_leaving_lists_what_goes_and_asks_once(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    await mira.receipt_for(mira.say(ALICE_JID, "hello"))
    asked = await tell(mira, "leave")
    assert "1 message" in asked
    assert "Nothing was changed" in await tell(mira, "no")
    await tell(mira, "leave")
    assert "left" in await tell(mira, "yes")
    await mira.presence_from(MAIL, "unsubscribed")
    error = await mira.error_for(mira.say(ALICE_JID, "am I still here?"))
    assert error["error"]["condition"] == "registration-required"


async def test_a_german_word_switches_the_language_and_it_stays(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    assert "suche" in await tell(mira, "hilfe")
    assert "nicht" in await tell(mira, "xyzzy plugh")
    await walk.kill()
    await walk.start()
    await walk.ready()
    assert "nicht" in await tell(mira, "plugh xyzzy")
    assert "Kontakte" in note(await execute(mira, "contacts"))
    error = await mira.error_for(mira.say(ALICE_JID, "?OTR:AAQD", receipt=False))
    assert "verschlüsselt" in error["error"]["text"]
    mira.say(ALICE_JID, "/hilfe", receipt=False)
    await mira.message_from(ALICE_JID, containing="Schrägstrich")
    assert "Saved" in await tell(mira, "settings language en")
    assert "Nobody waits" in await tell(mira, "fremde"), "a choice stays above what is typed"


async def test_settings_are_changed_by_text_and_by_form(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    assert "quote" in await tell(mira, "settings")
    assert "Saved" in await tell(mira, "settings quote off")
    assert "none of these" in await tell(mira, "settings quote sometimes")
    form = await execute(mira, "settings")
    fields = {field.get("var"): field.findtext(f"{FORM}value") for field in form.iter(f"{FORM}field")}
    assert fields["quote"] == "off"
    session = form.get("sessionid", "")
    bad = await execute(mira, "settings", session=session, **{**_texts(fields), "coalesce": "1000"})
    assert bad.get("status") == "executing"
    assert "0 to 120" in note(bad)
    done = await execute(mira, "settings", session=session, **{**_texts(fields), "name": "Mira Lind"})
    assert done.get("status") == "completed"
    assert (await mira.registration_form(MAIL))["name"] == "Mira Lind"


def _texts(fields: dict[str | None, str | None]) -> dict[str, str]:
    return {str(name): value or "" for name, value in fields.items()}


# --- in a contact's chat ---


async def test_slash_commands_are_never_sent_out(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.receipt_for(mira.say(ALICE_JID, "the first line"))
    mira.say(ALICE_JID, "/help")
    assert "/why" in body_of(await mira.message_from(ALICE_JID))
    asked = mira.say(ALICE_JID, "/wyh")
    assert "/why" in body_of(await mira.message_from(ALICE_JID, containing="Nothing was sent"))
    await mira.receipt_for(asked)
    mira.say(ALICE_JID, "/frobnicate now")
    await mira.message_from(ALICE_JID, containing="nothing was sent")
    mira.say(ALICE_JID, "/why")
    assert "accepted" in body_of(await mira.message_from(ALICE_JID, containing="first line"))
    await mira.receipt_for(mira.say(ALICE_JID, "//etc/fstab is the file"))
    await walk.mail.arrived("/etc/fstab is the file")
    assert walk.mail.texts() == ["the first line", "/etc/fstab is the file"]


async def test_a_subject_is_given_to_the_next_line_and_copies_go_to_others(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    mira.say(ALICE_JID, "/subject Flat viewing", receipt=False)
    mira.say(ALICE_JID, "When can I come?", receipt=False)
    await walk.mail.arrived("When can I come?")
    assert walk.mail.mails[0].message["Subject"] == "Flat viewing"
    await mira.message_from(ALICE_JID, containing="Flat viewing")
    await mira.receipt_for(mira.say(ALICE_JID, f"/cc {BOB} You should know"))
    await walk.mail.arrived("You should know", to=BOB)
    assert "You should know" in walk.mail.texts(ALICE)


async def test_blocking_in_the_chat_drops_what_comes(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await mira.receipt_for(mira.say(ALICE_JID, "hello"))
    mira.say(ALICE_JID, "/block", receipt=False)
    await mira.message_from(ALICE_JID, containing="blocked")
    await walk.write_mail(mira, "you will not read this")
    await walk.write_mail(mira, "but this", sender=BOB)
    await mira.message_from(BOB_JID)
    assert all("not read this" not in body for body in mira.bodies_from(ALICE_JID))


async def test_a_file_and_the_whole_of_a_mail_are_given_again(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    mail = letter(ALICE, walk.address_of(mira), "see the plan")
    mail.add_attachment(b"%PDF-1.4 the plan", maintype="application", subtype="pdf", filename="plan.pdf")
    refused = await asyncio.to_thread(
        hand_in, walk.gateway.smtp_port, ALICE, [walk.address_of(mira)], bytes(mail)
    )
    assert refused == {}
    await mira.message_from(ALICE_JID, containing="see the plan")
    mira.say(ALICE_JID, "/file", receipt=False)
    await mira.message_from(ALICE_JID, containing="1  plan.pdf")
    mira.say(ALICE_JID, "/file 1", receipt=False)
    url = body_of(await mira.message_from(ALICE_JID, containing="http"))
    async with aiohttp.ClientSession() as session, session.get(url.strip()) as answer:
        assert await answer.read() == b"%PDF-1.4 the plan"
    mira.say(ALICE_JID, "/file 2", receipt=False)
    await mira.message_from(ALICE_JID, containing="from 1 to 1")
    mira.say(ALICE_JID, "/whole", receipt=False)
    await mira.message_from(ALICE_JID, containing="nothing more")
    assert walk.mail.mails == []


# --- strangers ---


async def test_strangers_wait_until_they_are_let_in_and_nothing_is_lost(asking: World) -> None:
    mira = await asking.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    await asking.write_mail(mira, "about the flat", subject="Flat viewing")
    told = body_of(await mira.message_from(MAIL, containing="✉"))
    assert f"✉ Alice Berg <{ALICE}> · Flat viewing" in told
    assert "accept 1" in told
    await asking.write_mail(mira, "one thing more")
    assert mira.bodies_from(ALICE_JID) == []
    await asking.kill()
    await asking.start()
    await asking.ready()
    assert "Alice" in await tell(mira, "strangers")
    assert ALICE in await tell(mira, "accept 1")
    await mira.presence_from(ALICE_JID, "subscribe")
    for expected in ("about the flat", "one thing more"):
        assert expected in body_of(await mira.message_from(ALICE_JID))
    await asking.write_mail(mira, "known by now")
    assert "known by now" in body_of(await mira.message_from(ALICE_JID))


async def test_a_wave_of_strangers_is_one_announcement_and_the_rest_is_blocked(asking: World) -> None:
    mira = await asking.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    await asking.write_mail(mira, "first")
    await mira.message_from(MAIL, containing="✉")
    for number in range(3):
        await asking.write_mail(mira, f"buy {number}", sender=f"spam{number}@example.net")

    async def all_there() -> bool:
        return "spam2" in await tell(mira, "strangers")

    await asking.until(all_there)
    assert len([body for body in mira.bodies_from(MAIL) if "accept 1 or block 1" in body]) == 1
    await tell(mira, "accept 1")
    await mira.message_from(ALICE_JID)
    assert "spam0@example.net" in await tell(mira, "block rest")
    await asking.write_mail(mira, "buy again", sender="spam1@example.net")
    await asking.write_mail(mira, "last word")
    await mira.message_from(ALICE_JID, containing="last word")
    assert "Nobody" in await tell(mira, "strangers")


async def test_whom_one_has_written_to_is_no_stranger_and_codes_pass(asking: World) -> None:
    mira = await asking.user()
    await mira.receipt_for(mira.say(ALICE_JID, "may I come?"))
    await asking.write_mail(mira, "you may")
    assert "you may" in body_of(await mira.message_from(ALICE_JID))
    await mira.message_from(SMS, containing="Welcome")
    await tell(mira, "settings strangers ask", SMS)
    code = await asking.carrier.phone("72645").reply("code 4711", to=await asking.number_of(mira))
    assert code.status == 200
    await mira.expect(lambda stanza: "4711" in (body_of(stanza) or ""), "the code")


# --- forms ---


async def test_a_wizard_goes_on_and_back_and_can_be_cancelled(asking: World) -> None:
    boss = await the_boss(asking)
    await boss.register(MAIL, name="Boss")
    mira = await asking.user(on=(MAIL,))
    first = await execute(boss, f"{ADMIN}delete-user")
    session = first.get("sessionid", "")
    assert first.get("status") == "executing"
    wrong = await execute(boss, f"{ADMIN}delete-user", session=session, accountjids="nonsense")
    assert "nonsense" in note(wrong)
    second = await execute(boss, f"{ADMIN}delete-user", session=session, action="next", accountjids=mira.bare)
    assert mira.bare in (second.findtext(f".//{FORM}instructions") or "")
    assert second.find(f"{{{COMMANDS}}}actions/{{{COMMANDS}}}prev") is not None
    back = await execute(boss, f"{ADMIN}delete-user", session=session, action="prev")
    assert back.findtext(f".//{FORM}field[@var='accountjids']/{FORM}value") == mira.bare
    ended = await execute(boss, f"{ADMIN}delete-user", session=session, action="cancel")
    assert ended.get("status") == "canceled"
    with pytest.raises(RequestError) as expired:
        await execute(boss, f"{ADMIN}delete-user", session=session, accountjids=mira.bare)
    assert expired.value.condition == "not-allowed"
    assert (await mira.registration_form(MAIL))["name"] == "Mira"

    again = (await execute(boss, f"{ADMIN}delete-user")).get("sessionid", "")
    await execute(boss, f"{ADMIN}delete-user", session=again, accountjids=mira.bare)
    done = await execute(boss, f"{ADMIN}delete-user", session=again, action="complete", sure="true")
    assert done.get("status") == "completed"
    assert mira.bare not in note(await execute(boss, f"{ADMIN}get-registered-users-list"))


async def test_admin_commands_are_hidden_from_others_and_refused(asking: World) -> None:
    mira, boss = await asking.user(on=(MAIL,)), await the_boss(asking)
    await boss.register(MAIL, name="Boss")
    mine, theirs = await nodes(mira), await nodes(boss)
    assert "settings" in mine
    assert not any(node.startswith(ADMIN) or node in ("queue", "invite") for node in mine)
    assert {f"{ADMIN}announce", "queue", "invite"} <= set(theirs)
    with pytest.raises(RequestError) as refused:
        await execute(mira, f"{ADMIN}announce")
    assert refused.value.condition == "forbidden"
    await mira.message_from(MAIL, containing="Welcome")
    assert "announce" not in await tell(mira, "help")
    assert "do not understand" in await tell(mira, "announce free beer")
    await boss.message_from(MAIL, containing="Welcome")
    await tell(boss, "announce The server moves on Sunday.", containing="Told")
    await mira.message_from(MAIL, containing="moves on Sunday")


async def test_a_stopped_transport_keeps_what_is_written_until_it_goes_on(asking: World) -> None:
    boss, mira = await the_boss(asking), await asking.user(on=(MAIL,))
    await boss.register(MAIL, name="Boss")
    await boss.message_from(MAIL, containing="Welcome")
    assert "stopped" in await tell(boss, "stop mail")
    waits = mira.say(ALICE_JID, "kept meanwhile")

    async def waiting() -> bool:
        return ALICE in await tell(boss, "queue")

    await asking.until(waiting)
    assert asking.mail.texts() == []
    assert "1 waiting" in await tell(boss, "stats")
    await tell(boss, "start mail")
    await mira.receipt_for(waits)
    assert asking.mail.texts() == ["kept meanwhile"]


# --- registration by invitation, and an address of one's own ---


async def test_an_invitation_lets_somebody_in_by_code_or_by_name(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    server = fresh_prosody()
    async with world(server, allow=("elsewhere.example",)) as walk:
        mira, noor = await walk.user(on=()), await walk.user("noor", on=())
        assert "register" in await tell(mira, "hello")
        with pytest.raises(RequestError) as refused:
            await mira.register(MAIL, name="Mira")
        assert refused.value.condition == "forbidden"
        told = await walk.passerelle("invite", "--any")
        code = re.search(r"register ([a-z0-9]{12})", told)
        assert code is not None, told
        await tell(mira, f"register {code[1]} Mira Lind", containing="registered")
        await mira.message_from(MAIL, containing="Welcome")
        assert (await mira.registration_form(MAIL))["name"] == "Mira Lind"
        assert "invitation" in await tell(noor, f"register {code[1]}"), "a code is for one person"
        await walk.passerelle("invite", noor.bare)
        await noor.message_from(MAIL, containing="register")
        assert "registered" in await tell(noor, "register", containing="registered")


async def test_an_address_of_ones_own_counts_when_a_code_has_proven_it(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), mail="proven_addresses = true") as walk:
        mira = await walk.user(on=(MAIL,))
        await mira.message_from(MAIL, containing="Welcome")
        own = "mira@home.example"
        assert own in await tell(mira, f"verify {own}")

        async def arrived() -> bool:
            return bool(walk.mail.texts(own))

        await walk.until(arrived)
        code = re.search(r"\d{6}", walk.mail.texts(own)[0])
        assert code is not None
        assert "not the code" in await tell(mira, "verify 000000" if code[0] != "000000" else "verify 111111")
        assert "Nothing found" in await tell(mira, f"find {code[0]}"), "nobody reads the code on this side"
        assert own in await tell(mira, f"verify {code[0]}")
        assert (await mira.registration_form(MAIL))["email"] == own


# --- everything answers ---


async def test_every_request_is_answered_on_every_jid(walk: World) -> None:
    mira = await walk.user()
    for jid in (MAIL, SMS, ALICE_JID, PLUMBER_JID, f"no-address@{MAIL}"):
        for payload in (
            "<query xmlns='urn:example:unheard-of'/>",
            f"<command xmlns='{COMMANDS}' node='unheard-of'/>",
            f"<command xmlns='{COMMANDS}' node='help' action='dance'/>",
            f"<command xmlns='{COMMANDS}' node='help' sessionid='none' action='next'/>",
            "<query xmlns='jabber:iq:register'><remove/></query>" if jid != MAIL else "<x xmlns='y'/>",
            "<vCard xmlns='vcard-temp'/>",
        ):
            kinds: tuple[Literal["get", "set"], ...] = ("get", "set")
            for kind in kinds:
                if "remove" in payload and kind == "set" and jid in (MAIL, SMS):
                    continue
                assert await outcome(mira, jid, kind, payload) != "timeout", (jid, kind, payload)
    assert await nodes(mira, ALICE_JID)


async def outcome(user: ChatUser, jid: str, kind: Literal["get", "set"], payload: str) -> str:
    """The condition of the error that answers a request; empty for a result."""
    try:
        await user.ask(jid, kind, payload)
    except RequestError as error:
        return error.condition
    return ""
