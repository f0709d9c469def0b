"""The XMPP server goes away in the middle, comes back, or is not there yet: what came in waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import Refuse
from bridge.demo.world import MAIL
from tests.conftest import COMPONENTS
from tests.support.client import ChatUser, body_of, is_chat
from tests.support.servers import Ejabberd
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE_JID,
    BAKER,
    BAKER_JID,
    BOB,
    BOB_JID,
    PLUMBER,
    PLUMBER_JID,
    World,
    world,
)


def once(user: ChatUser, jid: str) -> list[str]:
    """The last lines of the messages from a contact, in order; each stanza id once.

    (A first mail's subject and sender stand above what it says.)
    """
    heard = {one["id"]: body_of(one) for one in user.heard if is_chat(one, jid)}
    return [body.strip().rpartition("\n")[2] for body in heard.values()]


async def serve_again(walk: World) -> None:
    await asyncio.to_thread(walk.server.start)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_came_in_while_prosody_was_away_is_read_after(walk: World, end: str) -> None:
    mira = await walk.user()
    number = await walk.number_of(mira)
    pid = walk.gateway.pid
    await walk.write_mail(mira, "before")
    await mira.message_from(ALICE_JID)
    await asyncio.to_thread(getattr(walk.server, end))
    await mira.offline.wait()

    async def away() -> bool:
        status, why = await walk.page("/readyz")
        return status == 503 and "XMPP" in why

    await walk.until(away)
    assert (await walk.page("/healthz"))[0] == 200
    for n in range(5):
        await walk.write_mail(mira, f"mail {n}")
        assert (await walk.carrier.phone(PLUMBER).reply(f"text {n}", to=number)).status == 200
    await walk.write_mail(mira, "from Bob", BOB)

    await serve_again(walk)
    await mira.login()
    await mira.message_from(BOB_JID, containing="from Bob", within=AFTER_CRASH)
    for n in range(5):
        await mira.message_from(ALICE_JID, containing=f"mail {n}", within=AFTER_CRASH)
        await mira.message_from(PLUMBER_JID, containing=f"text {n}", within=AFTER_CRASH)
    await mira.receipt_for(mira.say(ALICE_JID, "after"))
    # What a kill made doubtful may come again, under the same id: for clients that is no message more.
    assert once(mira, ALICE_JID) == ["before", *(f"mail {n}" for n in range(5))]
    assert once(mira, PLUMBER_JID) == [f"text {n}" for n in range(5)]
    assert walk.gateway.pid == pid
    await walk.ready()


async def test_what_a_killed_server_may_have_lost_is_said_again_under_the_same_id(walk: World) -> None:
    """Only what had no receipt, and only to clients that send receipts."""
    mira = await walk.user(on=(MAIL,))
    await walk.write_mail(mira, "read and receipted")
    known = await mira.message_from(ALICE_JID)
    marker = mira.say(ALICE_JID, "the receipt before this is recorded with it")
    await mira.receipt_for(marker)
    mira.sends_receipts = False
    await walk.write_mail(mira, "perhaps lost")
    first = await mira.message_from(ALICE_JID)
    await walk.deliveries("xmpp:mail", "Sent", 2)
    await asyncio.to_thread(walk.server.kill)
    await mira.offline.wait()
    await serve_again(walk)
    mira.sends_receipts = True
    await mira.login()
    again = await mira.message_from(ALICE_JID, within=AFTER_CRASH)
    assert again["id"] == first["id"]
    assert body_of(again) == body_of(first)
    await mira.receipt_for(mira.say(ALICE_JID, "I have it now"))
    ids = [one["id"] for one in mira.heard if is_chat(one, ALICE_JID)]
    assert ids == [known["id"], first["id"], first["id"]]


async def test_receipts_and_errors_that_fall_due_meanwhile_are_read_after(walk: World) -> None:
    mira = await walk.user()
    # Long enough for the server to be dead by then, on a busy machine too.
    walk.mail.now.latency = walk.carrier.latency = lambda: 2.5
    walk.carrier.fail(BAKER, Refuse(21614, 400, "not a mobile number"))
    mailed, texted = mira.say(ALICE_JID, "slow mail"), mira.say(PLUMBER_JID, "slow text")
    mira.say(BAKER_JID, "to a landline")
    for transport, count in (("mail", 1), ("sms", 2)):

        async def recorded(transport: str = transport, count: int = count) -> bool:
            return await walk.metric("passerelle_stanzas_recorded_total", transport=transport) == count

        await walk.until(recorded)
    await asyncio.to_thread(walk.server.kill)
    await mira.offline.wait()
    await walk.mail.arrived("slow mail")
    await walk.carrier.until(lambda: walk.carrier.sent_to(PLUMBER) != [])
    await serve_again(walk)
    await walk.ready()
    # Everything goes to the server before she is there again: what it does not keep must come otherwise.
    await walk.until(lambda: nothing_waits(walk))
    await mira.login()
    for stanza_id in (mailed, texted):
        await mira.receipt_for(stanza_id, within=AFTER_CRASH)
    await mira.message_from(BAKER_JID, containing="landline", within=AFTER_CRASH)
    assert walk.mail.texts() == ["slow mail"]
    assert len(walk.carrier.sent_to(PLUMBER)) == 1


async def nothing_waits(walk: World) -> bool:
    return await walk.metric("passerelle_queue_deliveries") == 0


async def test_killed_while_messages_stream_in_none_is_lost(walk: World) -> None:
    """Mails come all the time; the server is killed among them, and twice."""
    mira = await walk.user(on=(MAIL,))
    await walk.write_mail(mira, "first")
    await mira.message_from(ALICE_JID)
    count = 60

    async def mails() -> None:
        for n in range(count):
            await walk.write_mail(mira, f"number {n};")

    writing = asyncio.create_task(mails())
    for _ in range(2):
        await mira.message_from(ALICE_JID, within=AFTER_CRASH)
        await asyncio.to_thread(walk.server.kill)
        await mira.offline.wait()
        await serve_again(walk)
        await mira.login()
    await writing

    async def all_there() -> bool:
        return len(once(mira, ALICE_JID)) == count + 1

    await walk.until(all_there, AFTER_CRASH)
    numbers = [int(body.split("number ")[1].split(";")[0]) for body in once(mira, ALICE_JID)[1:]]
    assert sorted(numbers) == list(range(count))


async def test_the_gateway_starts_without_an_xmpp_server_and_delivers_when_there_is_one(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    server = fresh_prosody()
    account = server.add_user("mira", "a password")
    await asyncio.to_thread(server.stop)
    async with world(server, run=False) as walk:
        walk.gateway.ready_when = "/healthz"
        await walk.start()
        assert (await walk.page("/readyz"))[0] == 503
        for transport in ("mail", "sms"):
            await walk.passerelle("users", "add", account, "--transport", transport, "--name", "Mira")
        mira = ChatUser(account, "a password", server.c2s_port)
        await walk.write_mail(mira, "nobody is home yet")
        await asyncio.to_thread(server.start)
        async with mira:
            message = await mira.message_from(ALICE_JID, within=AFTER_CRASH)
            assert "nobody is home yet" in body_of(message)
            await walk.ready()
            await mira.receipt_for(mira.say(ALICE_JID, "now I am"))


@pytest.fixture
async def beside_ejabberd() -> AsyncIterator[World]:
    server = Ejabberd(COMPONENTS)
    await asyncio.to_thread(server.__enter__)
    try:
        async with world(server) as here:
            yield here
    finally:
        await asyncio.to_thread(server.close)


async def test_ejabberd_restarted_loses_nothing_either(beside_ejabberd: World) -> None:
    walk = beside_ejabberd
    mira = await walk.user()
    number = await walk.number_of(mira)
    pid = walk.gateway.pid
    await walk.write_mail(mira, "before")
    await mira.message_from(ALICE_JID)
    await asyncio.to_thread(walk.server.stop)
    await mira.offline.wait()
    await walk.write_mail(mira, "meanwhile")
    assert (await walk.carrier.phone(PLUMBER).reply("a text", to=number)).status == 200
    await serve_again(walk)
    await mira.login()
    await mira.message_from(ALICE_JID, containing="meanwhile", within=AFTER_CRASH)
    await mira.message_from(PLUMBER_JID, containing="a text", within=AFTER_CRASH)
    await walk.ready()
    await mira.receipt_for(mira.say(ALICE_JID, "after"))
    await mira.receipt_for(mira.say(PLUMBER_JID, "after"))
    assert once(mira, ALICE_JID) == ["before", "meanwhile"]
    assert once(mira, PLUMBER_JID) == ["a text"]
    assert walk.gateway.pid == pid
