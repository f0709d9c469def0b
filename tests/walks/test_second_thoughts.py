"""Lines that become one mail, and what a user takes back or corrects: through real Prosody and SMTP."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS
from tests.support.client import ChatUser, error_text
from tests.walks.gateway import ALICE_JID, PLUMBER, PLUMBER_JID, World, world

CORRECT = "urn:xmpp:message-correct:0"
RETRACT = "urn:xmpp:message-retract:1"


@pytest.fixture
async def slow(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    """A world in which lines wait for more of them, and first texts for second thoughts."""
    async with world(fresh_prosody(), run=False) as here:
        settings = here.gateway.settings_file.read_text()
        settings = settings.replace("coalesce_seconds = 0\n", "coalesce_seconds = 2.5\n")
        settings = settings.replace("hold_first_seconds = 0\n", "hold_first_seconds = 2.5\n")
        here.gateway.settings_file.write_text(settings)
        await here.start()
        yield here


def correct(user: ChatUser, to: str, body: str, which: str) -> str:
    return user.say(to, body, extra=f"<replace xmlns='{CORRECT}' id='{which}'/>")


def retract(user: ChatUser, to: str, which: str) -> str:
    stanza_id = f"retract-{which}"
    user.send_xml(
        f"<message to='{to}' type='chat' id='{stanza_id}'><retract xmlns='{RETRACT}' id='{which}'/>"
        "<body>/me retracted a message</body></message>"
    )
    return stanza_id


async def test_quick_lines_arrive_as_one_mail_as_their_writer_left_them(slow: World) -> None:
    mira = await slow.user(on=(MAIL,))
    first = mira.say(ALICE_JID, "Helo Alice,")
    fool = mira.say(ALICE_JID, "you old fool,")
    last = mira.say(ALICE_JID, "is the flat still free?")
    fixed = correct(mira, ALICE_JID, "Hello Alice,", first)
    retract(mira, ALICE_JID, fool)
    await slow.mail.arrived("Hello Alice,\r\nis the flat still free?")
    (mail,) = slow.mail.mails
    assert mail.message["Subject"] == "Hello Alice,"
    for one in (first, last, fixed):
        await mira.receipt_for(one)

    refused = retract(mira, ALICE_JID, last)
    assert "Already sent" in error_text(await mira.error_for(refused))
    follow_up = correct(mira, ALICE_JID, "Is the house still free?", last)
    await mira.receipt_for(follow_up)
    assert slow.mail.texts()[1:] == ["Correction: Is the house still free?"]
    assert slow.mail.mails[1].message["In-Reply-To"] == mail.message["Message-ID"]


async def test_a_kill_inside_the_window_loses_no_line(slow: World) -> None:
    mira = await slow.user(on=(MAIL,))
    ids = [mira.say(ALICE_JID, text) for text in ("one", "two")]
    await slow.until(recorded(slow, 2))
    await slow.kill()
    assert slow.mail.mails == []
    await slow.start()
    await slow.mail.arrived("one\r\ntwo")
    for one in ids:
        await mira.receipt_for(one)
    assert slow.mail.texts() == ["one\r\ntwo"]


def recorded(here: World, count: int) -> Callable[[], object]:
    async def so_many() -> bool:
        return await here.metric("passerelle_stanzas_recorded_total", transport="mail") >= count

    return so_many


async def test_a_first_text_can_be_taken_back(slow: World) -> None:
    mira = await slow.user(on=(SMS,))
    wrong = mira.say(PLUMBER_JID, "I love you")
    notice = await mira.message_from(PLUMBER_JID, containing="/undo stops it")
    assert notice.xml.find("{urn:xmpp:hints}no-store") is not None
    retract(mira, PLUMBER_JID, wrong)
    right = mira.say(PLUMBER_JID, "The tap drips")
    assert await slow.carrier.phone(PLUMBER).shows(1) == ["The tap drips"]
    await mira.receipt_for(right)


async def test_undo_in_the_chat_stops_a_first_text(slow: World) -> None:
    mira = await slow.user(on=(SMS,))
    mira.say(PLUMBER_JID, "I love you")
    await mira.message_from(PLUMBER_JID, containing="/undo stops it")
    mira.say(PLUMBER_JID, "/undo")
    await mira.message_from(PLUMBER_JID, containing="not sent")
    mira.say(PLUMBER_JID, "The tap drips")
    mira.say(PLUMBER_JID, "/send")
    assert await slow.carrier.phone(PLUMBER).shows(1) == ["The tap drips"]
