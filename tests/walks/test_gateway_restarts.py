"""The gateway ends in the middle, politely or not: nothing is lost, and nothing arrives twice."""

import asyncio
import os
import random
import signal
import smtplib
from collections.abc import Callable

from bridge.demo.texts import Goes
from bridge.demo.world import MAIL
from tests.support.client import ChatUser, Stanza, body_of, is_chat, received_id
from tests.support.mail import client, hand_in
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE,
    ALICE_JID,
    BAKER,
    BAKER_JID,
    BOB,
    BOB_JID,
    PLUMBER,
    PLUMBER_JID,
    World,
    letter,
)

CONTACTS = (ALICE_JID, BOB_JID, PLUMBER_JID, BAKER_JID)
EACH = 12  # messages to each contact


async def outcomes(user: ChatUser, ids: list[str]) -> dict[str, str]:
    """What became of messages: a receipt or an error for each of them. Raises when one got neither."""

    def about(stanza_id: str) -> Callable[[Stanza], bool]:
        return lambda one: received_id(one) == stanza_id or (one["type"], one["id"]) == ("error", stanza_id)

    told = {}
    for one in ids:
        answer = await user.expect(about(one), f"a receipt or an error for {one}", within=AFTER_CRASH)
        told[one] = "error" if answer["type"] == "error" else "receipt"
    return told


def say_to_all(user: ChatUser) -> dict[str, tuple[str, str]]:
    """Messages to all contacts in turn; what was said to whom, by stanza id."""
    return {
        user.say(contact, f"{contact} {n}"): (contact, f"{contact} {n}")
        for n in range(EACH)
        for contact in CONTACTS
    }


def assert_each_arrived_once_in_order(walk: World, expected: list[tuple[str, str]]) -> None:
    for contact, address in ((ALICE_JID, ALICE), (BOB_JID, BOB)):
        assert walk.mail.texts(address) == [text for to, text in expected if to == contact]
    for contact, number in ((PLUMBER_JID, PLUMBER), (BAKER_JID, BAKER)):
        texts = [text.body for text in walk.carrier.sent_to(number)]
        assert texts == [text for to, text in expected if to == contact]


async def test_killed_in_the_middle_everything_recorded_goes_out_and_texts_go_once(walk: World) -> None:
    mira = await walk.user()
    walk.carrier.tries = 50  # what is reported meanwhile is reported again until somebody listens
    walk.mail.now.latency = lambda: random.uniform(0, 0.08)
    walk.carrier.latency = lambda: random.uniform(0, 0.08)
    said = say_to_all(mira)
    for transport in ("mail", "sms"):

        async def recorded(transport: str = transport) -> bool:
            count = await walk.metric("passerelle_stanzas_recorded_total", transport=transport)
            return count == 2 * EACH

        await walk.until(recorded)
    await walk.mail.arrived(f"{ALICE_JID} 1")
    await walk.carrier.until(lambda: len(walk.carrier.texts) >= 2)
    await walk.kill()
    assert len(walk.mail.mails) < 2 * EACH
    assert len(walk.carrier.texts) < 2 * EACH
    await walk.start()
    told = await outcomes(mira, list(said))
    assert set(told.values()) == {"receipt"}
    assert_each_arrived_once_in_order(walk, list(said.values()))


async def test_stopped_in_the_middle_whatever_got_no_error_goes_out_after_the_start(walk: World) -> None:
    """SIGTERM: what the server still hands over is recorded; what it cannot, it refuses itself."""
    mira = await walk.user()
    walk.carrier.tries = 50
    walk.mail.now.latency = lambda: random.uniform(0, 0.04)
    walk.carrier.latency = lambda: random.uniform(0, 0.04)
    said = say_to_all(mira)
    await walk.mail.arrived(f"{ALICE_JID} 0")
    await walk.stop()
    assert "Traceback" not in walk.log
    await walk.start()
    told = await outcomes(mira, list(said))
    assert "receipt" in told.values()
    arrived = [said[one] for one, what in told.items() if what == "receipt"]
    assert_each_arrived_once_in_order(walk, arrived)


async def test_a_stop_and_a_start_are_shown_as_presence_and_the_conversation_goes_on(walk: World) -> None:
    mira = await walk.user()
    await mira.add_contact(ALICE_JID)
    await walk.stop()
    await mira.presence_from(ALICE_JID, "unavailable")
    await walk.start()
    await mira.presence_from(ALICE_JID, within=AFTER_CRASH)
    await mira.receipt_for(mira.say(ALICE_JID, "still here"))
    await walk.write_mail(mira, "so am I")
    assert "so am I" in body_of(await mira.message_from(ALICE_JID))


async def test_killed_after_the_mail_was_taken_it_goes_again_under_the_same_message_id(walk: World) -> None:
    mira = await walk.user()
    held = asyncio.Event()
    walk.mail.now.after_data = lambda text: held.set() or "say nothing"
    said = mira.say(ALICE_JID, "taken, but you never heard of it")
    await asyncio.wait_for(held.wait(), 10)
    await walk.kill()
    walk.mail.now.after_data = lambda text: None
    await walk.start()
    await mira.receipt_for(said, within=AFTER_CRASH)
    first, second = walk.mail.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.raw == second.raw


async def test_killed_after_the_carrier_took_it_a_text_is_found_and_never_sent_again(walk: World) -> None:
    mira = await walk.user()
    gone = asyncio.Event()
    taken_at_death = []
    walk.carrier.fail(PLUMBER, Goes(("sending", "sent", "delivered"), early=True))

    def arrives_slowly() -> float:
        asyncio.get_running_loop().call_later(0.05, gone.set)
        return 1.0

    walk.carrier.latency = arrives_slowly
    said = mira.say(PLUMBER_JID, "once and only once")
    await asyncio.wait_for(gone.wait(), 10)
    await walk.kill()  # between the POST and whatever would come of it
    taken_at_death += walk.carrier.sent_to(PLUMBER)
    await walk.carrier.until(lambda: walk.carrier.sent_to(PLUMBER) != [])
    walk.carrier.latency = None
    after = mira.say(BAKER_JID, "to nobody: the gateway is down")
    await mira.error_for(after)
    await walk.start()
    await mira.receipt_for(said, within=AFTER_CRASH)
    await mira.receipt_for(mira.say(PLUMBER_JID, "and on it goes"))
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["once and only once", "and on it goes"]
    assert taken_at_death == []


async def test_a_250_means_on_disk(walk: World) -> None:
    mira = await walk.user()
    address = walk.address_of(mira)
    await mira.logout()

    def hand_over_and_kill() -> int:
        with client(walk.gateway.smtp_port) as session:
            session.mail(ALICE)
            session.rcpt(address)
            code, _ = session.data(bytes(letter(ALICE, address, "you said 250")))
            os.kill(walk.gateway.pid, signal.SIGKILL)  # at once, from the thread that read the 250
            return code

    assert await asyncio.to_thread(hand_over_and_kill) == 250
    await walk.kill()
    await walk.start()
    await mira.login()
    assert "you said 250" in body_of(await mira.message_from(ALICE_JID, within=AFTER_CRASH))
    assert len(mira.bodies_from(ALICE_JID)) == 1


async def test_killed_while_mails_stream_in_each_arrives_and_none_as_two(walk: World) -> None:
    """Their server does what servers do: without a 250 it hands the same mail over again."""
    mira = await walk.user(on=(MAIL,))
    address = walk.address_of(mira)
    count = 60

    async def a_mail_server() -> None:
        for n in range(count):
            mail = bytes(letter(ALICE, address, f"number {n};"))
            while True:
                try:
                    await asyncio.to_thread(hand_in, walk.gateway.smtp_port, ALICE, [address], mail)
                    break
                except (smtplib.SMTPException, OSError):
                    await asyncio.sleep(0.05)

    streaming = asyncio.create_task(a_mail_server())
    for some in (5, 25):
        await mira.message_from(ALICE_JID, containing=f"number {some};", within=AFTER_CRASH)
        await walk.kill()
        await walk.start()
    await streaming
    await mira.message_from(ALICE_JID, containing=f"number {count - 1};", within=AFTER_CRASH)
    heard = {one["id"]: body_of(one) for one in mira.heard if is_chat(one, ALICE_JID)}
    numbers = [int(body.split("number ")[1].split(";")[0]) for body in heard.values()]
    assert numbers == list(range(count))


async def test_a_200_for_a_web_hook_means_on_disk(walk: World) -> None:
    mira = await walk.user()
    number = await walk.number_of(mira)
    await mira.logout()
    assert (await walk.carrier.phone(PLUMBER).reply("you said 200", to=number)).status == 200
    await walk.kill()
    await walk.start()
    await mira.login()
    assert body_of(await mira.message_from(PLUMBER_JID, within=AFTER_CRASH)) == "you said 200"
    assert len(mira.bodies_from(PLUMBER_JID)) == 1
