"""converse.js in Chromium through Prosody's websocket: registers, chats, sees pictures, ticks and errors."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.demo.world import MAIL, SMS, mail_contact
from bridge.xmpp.words import ALIAS
from tests.clients.conftest import PASSWORD, Photo
from tests.clients.converse import Converse, converse
from tests.clients.needs import needs, unable
from tests.support import fetch_converse
from tests.walks.gateway import ALICE, ALICE_JID, BOB, BOB_JID, PLUMBER, PLUMBER_JID, World, letter
from tests.walks.test_files import attached

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELP_JID = f"{ALIAS}@{MAIL}"


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    needs("chromium")
    if not fetch_converse.TARGET.is_dir():
        unable("converse.js is not here; `python -m tests.support.fetch_converse` fetches it")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def noor(granted: World) -> AsyncIterator[Converse]:
    """Noor, who has an account, and no word with any gateway yet."""
    jid = await asyncio.to_thread(granted.server.add_user, "noor", PASSWORD)
    async with converse(jid, PASSWORD, granted.server.http_port) as client:
        yield client
        assert client.stumbles == []


async def test_where_a_bare_domain_cannot_be_written_to_its_other_name_can(
    granted: World, noor: Converse
) -> None:
    await noor.start_chat(HELP_JID)
    await noor.say("hello")
    assert f"Your own address here is {granted.address_of(noor)}" in (said := await noor.announcements(MAIL))
    assert HELP_JID in said
    await noor.screenshot("welcome")
    await noor.is_shown_as(MAIL, "Email")
    await noor.open(HELP_JID)
    await noor.say(f"{ALICE} Are you home on Friday?")
    await noor.reads(f"Goes to {ALICE} from {granted.address_of(noor)}", HELP_JID)
    await granted.mail.arrived("Are you home on Friday?", to=ALICE)
    await noor.is_shown_as(ALICE_JID, ALICE)
    await granted.write_mail(noor, "From six on.", subject="Re: Are you home on Friday?")
    await noor.is_shown_as(ALICE_JID, "Alice Berg")


async def test_registration_by_a_form_and_a_chat_with_a_phone(granted: World, noor: Converse) -> None:
    async with noor.commands(SMS) as menu:
        nodes = await menu.nodes()
        assert "register" in nodes
        assert "contacts" not in nodes, "a stranger has none yet"
        said = await menu.run("register", name="Noor")
        await noor.screenshot("registered")
    assert "Your address here is +1555000100" in said

    await noor.add_contact(PLUMBER_JID, "The plumber")
    await noor.is_shown_as(PLUMBER_JID, "The plumber")
    await noor.say("The tap drips")
    await noor.ticked("The tap drips")
    phone = granted.carrier.phone(PLUMBER)
    assert await phone.shows(1) == ["The tap drips"]
    await phone.reply("On my way")
    await noor.reads("On my way", PLUMBER_JID)
    await noor.screenshot("phone")


async def test_mail_both_ways_with_pictures_and_ticks(granted: World, noor: Converse, photo: Photo) -> None:
    await noor.start_chat(BOB_JID)
    await noor.say("Is the house still to let?")
    await noor.ticked("Is the house still to let?")
    await granted.mail.arrived("Is the house still to let?", to=BOB)

    answer = letter(
        BOB, granted.address_of(noor), "It is! Here it is:", subject="Re: Is the house still to let?"
    )
    answer["In-Reply-To"] = str(granted.mail.mails[-1].message["Message-ID"])
    answer.add_attachment(photo.content, maintype="image", subtype="png", filename="house.png")
    await granted.hand_in(noor, answer, BOB)
    await noor.reads("It is! Here it is:", BOB_JID)
    await noor.sees_picture(1)

    before = len(granted.mail.mails)
    await noor.share(photo.path)
    await granted.mail.now.arrived(before + 1)
    assert attached(granted.mail.mails[-1]) == [("house.png", "image/png", photo.content)]
    await noor.sees_picture(2)
    await noor.screenshot("mail")


async def test_a_misspelt_address_is_complained_of_under_the_message(granted: World, noor: Converse) -> None:
    await granted.mail.come(on_rcpt=lambda _: "550 5.1.1 No such user")
    await noor.start_chat(mail_contact("landlrod@example.com"))
    await noor.say("Is the house still to let?")
    error = await noor.complaint("Is the house still to let?")
    await noor.screenshot("misspelt")
    assert "landlrod@example.com does not exist there. Check the spelling." in error
    assert await noor.messages.count() == 1, "what is wrong is said once"
    await granted.mail.come()


async def test_commands_are_listed_and_completed(granted: World, noor: Converse) -> None:
    async with noor.commands(MAIL) as menu:
        assert {"add", "contacts", "find", "settings"} <= set(await menu.nodes())
        said = await menu.run("add", address="carol@example.com", name="Carol Chen")
        await noor.screenshot("added")
    assert "carol@example.com is a contact now" in said


async def test_a_slash_command_is_answered_and_never_mailed(granted: World, noor: Converse) -> None:
    await noor.start_chat(ALICE_JID)
    await noor.say("The key is under the mat")
    await noor.ticked("The key is under the mat")
    await noor.say("/why")
    await noor.reads("accepted by the next server", ALICE_JID)
    await noor.screenshot("why")
    assert not any("/why" in text for text in granted.mail.texts())
