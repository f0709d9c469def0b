"""Mail through a real Postfix: out to a sink, its own bounces back, and in by SMTP and by LMTP."""

import asyncio
from collections.abc import Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, mail_contact
from tests.support.client import body_of, error_text
from tests.support.mail import hand_in
from tests.support.servers_mail import Postfix
from tests.walks.gateway import ALICE, ALICE_JID, MAIL_DOMAIN, World, chat_with, letter, world

StartPostfix = Callable[..., Postfix]

# A relay that forgets nothing between two tries would make a walk long.
QUICK = "bounce_queue_lifetime = 5s\nmaximal_queue_lifetime = 60s"


async def between(start_postfix: StartPostfix, walk: World, *, protocol: str = "smtp") -> Postfix:
    """A Postfix that brings our mail to the gateway by `protocol`, and everybody else's to the sink."""
    ours = f"{{ {MAIL_DOMAIN} = {protocol}:[127.0.0.1]:{walk.gateway.smtp_port} }}"
    others = f"{{ * = smtp:[127.0.0.1]:{walk.mail.port} }}"
    extra = f"{QUICK}\ntransport_maps = inline:{{ {ours}, {others} }}"
    return await asyncio.to_thread(lambda: start_postfix({}, extra=extra))


async def send_by(walk: World, postfix: Postfix) -> None:
    """The gateway, with this Postfix as its smarthost."""
    await walk.stop()
    change(walk, f"port = {walk.mail.port}\n", f"port = {postfix.port}\n")
    await walk.start()


def change(walk: World, before: str, after: str) -> None:
    """One place of the gateway's settings."""
    settings = walk.gateway.settings_file
    text = settings.read_text(encoding="utf-8")
    assert text.count(before) == 1
    settings.write_text(text.replace(before, after), encoding="utf-8")


async def test_a_mail_goes_out_through_postfix_and_its_answer_comes_back(
    walk: World, start_postfix: StartPostfix
) -> None:
    postfix = await between(start_postfix, walk)
    await send_by(walk, postfix)
    mira = await walk.user(on=(MAIL,))
    await mira.receipt_for(mira.say(ALICE_JID, "Grüße — by way of Postfix"))
    await walk.mail.arrived("Grüße — by way of Postfix", to=ALICE)
    sent = walk.mail.mails[0]
    answer = letter(ALICE, walk.address_of(mira), "and back", subject=f"Re: {sent.message['Subject']}")
    answer["In-Reply-To"] = sent.message["Message-ID"]
    await asyncio.to_thread(hand_in, postfix.port, ALICE, [sent.sender], bytes(answer))
    assert "and back" in body_of(await mira.message_from(ALICE_JID, within=20))


async def test_a_bounce_that_postfix_writes_reaches_the_user_as_an_error_and_a_line(
    walk: World, start_postfix: StartPostfix
) -> None:
    """Postfix takes the mail (a receipt), the next hop refuses it, and Postfix sends it back."""
    postfix = await between(start_postfix, walk)
    await send_by(walk, postfix)
    walk.mail.now.on_rcpt = lambda address: (
        "550 5.1.1 No such user here" if address.startswith("nobody@") else None
    )
    mira = await walk.user(on=(MAIL,))
    nobody = mail_contact("nobody@example.com")
    stanza_id = mira.say(nobody, "Is anybody there?")
    await mira.receipt_for(stanza_id)
    error = await mira.error_for(stanza_id, within=30)
    assert "nobody@example.com" in error_text(error)
    line = await mira.message_from(nobody, within=10)
    assert "nobody@example.com" in body_of(line)
    assert "Undelivered" not in body_of(line)  # Postfix's own words for machines
    # The others go on.
    await mira.receipt_for(mira.say(ALICE_JID, "You, then"))
    await walk.mail.arrived("You, then", to=ALICE)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
async def test_mail_comes_in_through_postfix(
    fresh_prosody: Callable[..., PrivateProsody], start_postfix: StartPostfix, protocol: str
) -> None:
    """One mail to two of us and to nobody: each of us has it once, and the sender hears of nobody."""
    async with world(fresh_prosody(), run=False) as walk:
        inbound = "[transport.mail.inbound]\n"
        change(walk, inbound, f'{inbound}protocol = "{protocol}"\n')
        await walk.start()
        mira, noor = await walk.user(on=(MAIL,)), await walk.user("noor", on=(MAIL,))
        postfix = await between(start_postfix, walk, protocol=protocol)
        owns = {user: walk.address_of(user) for user in (mira, noor)}
        ours = [owns[mira], f"nobody@{MAIL_DOMAIN}", owns[noor]]
        mail = letter(ALICE, ", ".join(ours), "to two of you, and one who is not there")
        await asyncio.to_thread(hand_in, postfix.port, ALICE, ours, bytes(mail))
        chats = {user: chat_with(ALICE, *(one for one in ours if one != own)) for user, own in owns.items()}
        for user, chat in chats.items():
            assert "to two of you" in body_of(await user.message_from(chat, within=20))
        bounce = (await walk.mail.now.arrived(1, within=20))[0]
        assert bounce.recipients == (ALICE,)
        assert bounce.sender in ("", "<>")
        assert f"nobody@{MAIL_DOMAIN}" in bounce.raw.decode()
        assert "5.1.1" in bounce.raw.decode()
        # Postfix has nothing left to try again.
        assert [len(user.bodies_from(chat)) for user, chat in chats.items()] == [1, 1]
