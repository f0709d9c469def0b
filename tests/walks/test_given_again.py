"""`/file` and `/whole` where files have nowhere to go: neither an upload service nor a public address."""

import re
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from tests.support.client import body_of
from tests.walks.gateway import ALICE, ALICE_JID, World, letter, world

LONG = "\n".join(f"line {number} of many, and a few words more to fill it" for number in range(400))


@pytest.fixture
async def walk(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    async with world(fresh_prosody(), run=False) as here:
        path = here.gateway.settings_file
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\[transport\.sms\].*", "", text, flags=re.DOTALL)
        path.write_text(re.sub(r"public_url = .*\n", "", text), encoding="utf-8")
        await here.start()
        yield here


async def test_small_texts_and_whole_mails_are_read_out_and_the_rest_is_explained(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    answer = letter(
        ALICE,
        walk.address_of(mira),
        f"The key is here.\n\nOn Mon, 3 Feb 2025 at 9:12, Mira <mira@x.example> wrote:\n> {LONG[:300]}",
    )
    answer.add_attachment("milk\nbread\n", subtype="plain", filename="list.txt")
    answer.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="plan.pdf")
    await walk.hand_in(mira, answer)
    assert "The key is here." in body_of(await mira.message_from(ALICE_JID))

    async def asks(words: str, containing: str) -> str:
        mira.say(ALICE_JID, words, receipt=False)
        return body_of(await mira.message_from(ALICE_JID, containing=containing))

    whole = await asks("/whole", "line 0 of many")
    assert whole.startswith("From: Alice Berg <alice@example.com>")
    assert "The key is here." in whole
    listed = await asks("/file", "1  ")
    number = next(line.split()[0] for line in listed.splitlines() if "list.txt" in line)
    assert await asks(f"/file {number}", "milk") == "milk\nbread"
    number = next(line.split()[0] for line in listed.splitlines() if "plan.pdf" in line)
    assert "no place to put files" in await asks(f"/file {number}", "📎 plan.pdf: ")
    assert walk.mail.mails == []


async def test_a_long_mail_comes_in_a_few_pieces_and_says_that_it_goes_on(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    words = "Short.\n\nOn Mon, 3 Feb 2025 at 9:12, Mira <mira@x.example> wrote:\n" + "".join(
        f"> {line}\n" for line in LONG.splitlines()
    )
    await walk.hand_in(mira, letter(ALICE, walk.address_of(mira), words))
    await mira.message_from(ALICE_JID, containing="Short.")
    before = len(mira.bodies_from(ALICE_JID))
    mira.say(ALICE_JID, "/whole", receipt=False)
    await mira.message_from(ALICE_JID, containing="too long for a chat")
    pieces = mira.bodies_from(ALICE_JID)[before:]
    assert len(pieces) == 6
    assert all(len(piece) <= 3_000 for piece in pieces)
    assert all(piece.endswith("fill it") for piece in pieces[:-1])
