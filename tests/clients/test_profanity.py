"""profanity through a real Prosody: registered by its first word, chats, files, forms, errors."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.demo.world import MAIL, SMS, sms_contact
from tests.clients.conftest import PASSWORD, Photo
from tests.clients.needs import needs
from tests.clients.profanity import Profanity, profanity
from tests.walks.gateway import ALICE, ALICE_JID, BAKER, BAKER_JID, PLUMBER, PLUMBER_JID, World
from tests.walks.test_files import attached

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIRA = "mira"
GLAZIER = "+12025550144"
GLAZIER_JID = sms_contact(GLAZIER)


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    needs("profanity", "tmux")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mira(plain: World) -> AsyncIterator[Profanity]:
    """Mira, who has said hello to the mail gateway and has been welcomed."""
    jid = await asyncio.to_thread(plain.server.add_user, MIRA, PASSWORD)
    async with profanity(jid, PASSWORD, plain.server.c2s_port) as client:
        await client.open(MAIL)
        await client.type("hello")
        await client.shows("Welcome!", f"Your own address here is {plain.address_of(client)}")
        await client.accept(MAIL)
        yield client


async def test_an_address_and_a_line_typed_to_the_gateway_become_a_chat(
    plain: World, mira: Profanity
) -> None:
    await mira.open(MAIL)
    await mira.type(f"{ALICE} Running late, sorry")
    await mira.shows(f"Goes to {ALICE} from {plain.address_of(mira)}", ALICE_JID)
    await plain.mail.arrived("Running late, sorry", to=ALICE)

    await mira.accept(ALICE_JID)
    await plain.write_mail(mira, "No hurry.", subject="Re: Running late, sorry")
    await mira.shows(f"{ALICE_JID}: ", "No hurry.")
    await plain.mail.come(latency=lambda: 0.5)  # so that one sees the line wait for its receipt
    await mira.type("Ten minutes more")
    await mira.receipted("Ten minutes more")
    await plain.mail.arrived("Ten minutes more", to=ALICE)
    await plain.mail.come()
    await mira.type("/win 1")
    await mira.type("/roster")
    await mira.shows(f"{ALICE_JID} - both", f"{MAIL} - both")


async def test_a_phone_answers_into_the_same_chat(plain: World, mira: Profanity) -> None:
    await mira.open(SMS)
    await mira.type(f"{PLUMBER} The tap drips")  # the first word here: registers, and is sent as well
    await mira.shows("Welcome!", f"Goes to {PLUMBER}", PLUMBER_JID)
    phone = plain.carrier.phone(PLUMBER)
    assert await phone.shows(1) == ["The tap drips"]

    await mira.accept(PLUMBER_JID)
    await phone.reply("On my way")
    await mira.shows(f"{PLUMBER_JID}: On my way")
    await mira.type("Thank you")
    await mira.receipted("Thank you")
    assert (await phone.shows(2))[-1] == "Thank you"


async def test_a_correction_after_sending_goes_out_as_a_second_line(plain: World, mira: Profanity) -> None:
    await mira.open(BAKER_JID)
    await mira.type("Two loaves, please")
    await mira.receipted("Two loaves, please")
    await mira.type("/correct Three loaves, please")
    await mira.shows("me: Three loaves, please")
    texts = await plain.carrier.phone(BAKER).shows(2)
    assert texts == ["Two loaves, please", "Correction: Three loaves, please"]


async def test_a_file_is_attached_to_a_mail(plain: World, mira: Profanity, photo: Photo) -> None:
    before = len(plain.mail.mails)
    await mira.open(ALICE_JID)
    await mira.type(f"/sendfile {photo.path}")
    await plain.mail.now.arrived(before + 1)
    assert attached(plain.mail.mails[-1]) == [("house.png", "image/png", photo.content)]


async def test_what_goes_wrong_is_said_in_words(plain: World, mira: Profanity) -> None:
    await plain.mail.come(on_rcpt=lambda _: "550 5.1.1 No such user")
    await mira.open(ALICE_JID)
    await mira.type("Are you still there?")
    error = f"{ALICE} does not exist there. Check the spelling. (550 5.1.1)"
    screen = await mira.shows(f"Error from {ALICE_JID}: {error}")
    assert screen.count(error) == 1, "it is said once"
    await plain.mail.come()


async def test_commands_are_listed_and_filled_in_as_forms(plain: World, mira: Profanity) -> None:
    await mira.open(MAIL)
    await mira.type("/cmd list")
    await mira.shows("Ad hoc commands:", "contacts", "settings", "strangers")
    await mira.type("/cmd exec add")
    await mira.shows("Form title: Add a contact", "[field1] Address (required)")
    await mira.type("/field1 bob@example.com")
    await mira.type("/field2 Bob Baker")
    await mira.type("/form submit")
    await mira.open(MAIL)
    await mira.shows("add completed", "bob@example.com is a contact now")


async def test_slash_commands_reach_the_gateway_and_never_the_contact(plain: World, mira: Profanity) -> None:
    await mira.open(GLAZIER_JID)
    await mira.type("It is the window at the back")
    await mira.receipted("It is the window at the back")
    await mira.type("//undo")  # profanity keeps single slashes for itself
    await mira.shows("me: /undo", f"{GLAZIER_JID}: Too late")
    assert [text.body for text in plain.carrier.sent_to(GLAZIER)] == ["It is the window at the back"]
