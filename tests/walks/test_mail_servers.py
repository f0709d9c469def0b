"""Mail's far ends misbehave, and strangers knock: nothing is lost, nobody else waits, nothing is relayed."""

import asyncio

import pytest

from bridge.demo.world import MAIL
from tests.support.client import NotSeenError, body_of, error_text
from tests.support.mail import client
from tests.walks.gateway import ALICE, ALICE_JID, BOB, BOB_JID, MAIL_DOMAIN, World, chat_with, letter


async def test_a_smarthost_that_was_away_gets_everything_in_order_and_nobody_pays_with_an_attempt(
    walk: World,
) -> None:
    """Connection refused, then 421, then back."""
    mira, noor = await walk.user(on=(MAIL,)), await walk.user("noor", on=(MAIL,))
    await walk.mail.go()
    said = {user: [user.say(ALICE_JID, f"{user.bare} {n}") for n in range(5)] for user in (mira, noor)}
    await walk.deliveries("mail", "TryLater", 1)

    async def told() -> bool:
        return (await walk.page("/readyz"))[0] == 503

    await walk.until(told)
    waiting = await walk.queue()
    assert [row[8] for row in waiting if row[1] == "mail"] == ["0"] * 10

    busy = asyncio.Event()

    def come_back_later(address: str) -> str:
        busy.set()
        return "421 4.3.2 Closing for a moment"

    await walk.mail.come(on_mail=come_back_later)
    await asyncio.wait_for(busy.wait(), 15)
    said[mira].append(mira.say(ALICE_JID, f"{mira.bare} 5"))
    with pytest.raises(NotSeenError):
        await mira.error_for(said[mira][0], within=0.2)
    walk.mail.now.on_mail = lambda address: None

    for user, ids in said.items():
        for stanza_id in ids:
            await user.receipt_for(stanza_id, within=20)
        own = [text for text in walk.mail.texts(ALICE) if text.startswith(user.bare)]
        assert own == [f"{user.bare} {n}" for n in range(len(ids))]
    assert all(text.count(" ") == 1 for text in walk.mail.texts(ALICE))
    assert await walk.queue() == []
    await walk.ready()


async def test_one_contact_that_is_stuck_holds_up_nobody_else(walk: World) -> None:
    """451 for one address: later lines wait behind the first, all else flows. The admin hastens it."""
    mira = await walk.user(on=(MAIL,))
    grey = True
    walk.mail.now.on_rcpt = lambda address: "451 4.7.1 Greylisted" if grey and address == BOB else None
    stuck = [mira.say(BOB_JID, f"stuck {n}") for n in range(3)]
    await walk.deliveries("mail", "TryLater", 1)
    flowing = [mira.say(ALICE_JID, f"flows {n}") for n in range(10)]
    for stanza_id in flowing:
        await mira.receipt_for(stanza_id)
    await walk.write_mail(mira, "Bob's own words come in all the same", BOB)
    assert "own words" in body_of(await mira.message_from(BOB_JID))
    assert walk.mail.texts(BOB) == []
    grey = False
    await walk.passerelle("queue", "retry", "--all")
    for stanza_id in stuck:
        await mira.receipt_for(stanza_id)
    assert walk.mail.texts(BOB) == [f"stuck {n}" for n in range(3)]


async def test_only_our_own_addresses_are_taken_and_nothing_is_passed_on(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    own = walk.address_of(mira)

    def knock() -> list[tuple[int, bytes]]:
        with client(walk.gateway.smtp_port) as session:
            assert session.mail(ALICE)[0] == 250
            answers = [
                session.rcpt(address)
                for address in (f"nobody@{MAIL_DOMAIN}", BOB, f"bob%example.com@{MAIL_DOMAIN}", own)
            ]
            session.rset()
            session.mail("")  # the null sender of bounces
            return [*answers, session.rcpt(f"postmaster@{MAIL_DOMAIN}")]

    unknown, relay, routed, known, postmaster = await asyncio.to_thread(knock)
    assert (unknown[0], unknown[1][:5]) == (550, b"5.1.1")
    assert relay[0] == 550
    assert routed[0] == 550
    assert known[0] == 250
    assert postmaster[0] == 250
    assert walk.mail.mails == []


async def test_a_mail_that_is_too_large_is_refused_and_leaves_the_way_free(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))

    def announced() -> tuple[int, bytes]:
        with client(walk.gateway.smtp_port) as session:
            return session.mail(ALICE, ["SIZE=30000000"])

    def unannounced() -> tuple[int, bytes]:
        with client(walk.gateway.smtp_port) as session:
            session.mail(ALICE)
            session.rcpt(walk.address_of(mira))
            return session.data(b"Subject: big\r\n\r\n" + b"x" * 998 * 26_100)

    for answer in (await asyncio.to_thread(announced), await asyncio.to_thread(unannounced)):
        assert (answer[0], answer[1][:5]) == (552, b"5.3.4")
    await walk.write_mail(mira, "a small one")
    assert "a small one" in body_of(await mira.message_from(ALICE_JID))
    assert len(mira.bodies_from(ALICE_JID)) == 1


async def test_one_mail_to_two_of_us_reaches_both_and_its_repeat_neither(walk: World) -> None:
    mira, noor = await walk.user(on=(MAIL,)), await walk.user("noor", on=(MAIL,))
    both = [walk.address_of(mira), walk.address_of(noor)]
    mail = bytes(letter(ALICE, ", ".join(both), "to both of you"))

    def hand_over() -> dict[str, tuple[int, bytes]]:
        with client(walk.gateway.smtp_port) as session:
            return session.sendmail(ALICE, both, mail)

    assert await asyncio.to_thread(hand_over) == {}
    assert await asyncio.to_thread(hand_over) == {}  # its sender never heard our first 250
    for user, other in zip((mira, noor), reversed(both), strict=True):
        chat = chat_with(ALICE, other)
        assert "to both of you" in body_of(await user.message_from(chat))
        await walk.write_mail(user, "and one more")
        assert "and one more" in body_of(await user.message_from(ALICE_JID))
        assert len(user.bodies_from(chat)) == 1


async def test_a_conversation_keeps_its_thread_and_its_subject(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await walk.write_mail(mira, "How about Thursday?", message_id="<first@example.com>", subject="The flat")
    await mira.message_from(ALICE_JID)
    await mira.receipt_for(mira.say(ALICE_JID, "Thursday is fine."))
    mail = walk.mail.mails[0].message
    assert mail["In-Reply-To"] == "<first@example.com>"
    assert "<first@example.com>" in mail["References"]
    assert mail["Subject"] == "Re: The flat"
    assert mail["Date"]
    assert mail["Message-ID"].strip("<>").endswith(MAIL_DOMAIN)


async def test_a_mail_that_is_refused_for_good_is_told_and_the_next_line_goes(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    walk.mail.now.on_data = lambda text: "554 5.7.1 Looks like spam" if "lottery" in text else None
    ids = [mira.say(ALICE_JID, words) for words in ("one", "you won the lottery", "three")]
    assert "spam" in error_text(await mira.error_for(ids[1])).lower()
    for stanza_id in (ids[0], ids[2]):
        await mira.receipt_for(stanza_id)
    assert walk.mail.texts(ALICE) == ["one", "three"]
