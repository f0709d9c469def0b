"""Many messages stay in order; one that breaks something breaks nothing else."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from xml.etree.ElementTree import Element

import pytest

from bridge import app
from bridge.demo.gateway_process import AUTH_TOKEN
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from bridge.settings import load
from bridge.xmpp import stanzas
from tests.support.client import body_of, error_text
from tests.support.mail import client
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE,
    ALICE_JID,
    BOB_JID,
    PLUMBER,
    PLUMBER_JID,
    World,
    children,
    letter,
    world,
)

MANY = 200
NO_LIMIT = """
[transport.mail.limits]
per_minute = 100000
[transport.sms.limits]
per_minute = 100000
"""


async def test_two_hundred_messages_to_one_contact_arrive_in_order_by_mail_and_by_text(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(
        fresh_prosody(), extra=NO_LIMIT, carrier={"latency": lambda: random.uniform(0, 0.05)}
    ) as walk:
        mira = await walk.user()
        walk.mail.now.latency = lambda: random.uniform(0, 0.05)
        ids = []
        for n in range(MANY):
            ids += [mira.say(ALICE_JID, f"mail {n}"), mira.say(PLUMBER_JID, f"text {n}")]
        for stanza_id in ids:
            await mira.receipt_for(stanza_id, within=60)
        assert walk.mail.texts(ALICE) == [f"mail {n}" for n in range(MANY)]
        assert len(walk.mail.mails) == MANY
        assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == [f"text {n}" for n in range(MANY)]


async def test_two_hundred_mails_of_one_sender_are_read_in_order(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    address = walk.address_of(mira)

    def hand_over() -> None:
        with client(walk.gateway.smtp_port) as session:
            for n in range(MANY):
                session.sendmail(ALICE, [address], bytes(letter(ALICE, address, f"line {n};")))

    await asyncio.to_thread(hand_over)
    for n in range(MANY):
        assert f"line {n};" in body_of(await mira.message_from(ALICE_JID))


async def test_a_stanza_whose_handling_breaks_gets_an_error_and_all_others_go_on(
    fresh_prosody: Callable[..., PrivateProsody], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, since the exception is put into the component's own reading."""
    monkeypatch.setenv("DEMO_TWILIO_TOKEN", AUTH_TOKEN)

    def read(stanza: Element) -> stanzas.Reading:
        if "poison" in (stanza.findtext("{jabber:component:accept}body") or ""):
            raise RuntimeError("a bug that nobody foresaw")
        return stanzas.read(stanza)

    async with world(fresh_prosody(), run=False) as walk:
        (walk.gateway.folder / "output.log").touch()
        async with app.running(load(walk.gateway.settings_file), read=read):
            mira, noor = await walk.user(on=(MAIL,)), await walk.user("noor", on=(MAIL,))
            before = mira.say(ALICE_JID, "before")
            broken = mira.say(ALICE_JID, "poison")
            after = mira.say(ALICE_JID, "after")
            others = noor.say(BOB_JID, "somebody else's")
            error = await mira.error_for(broken)
            assert error["error"]["condition"] == "internal-server-error"
            assert error["from"].bare == ALICE_JID
            assert error_text(error)
            assert "bug" not in error_text(error)
            for user, stanza_id in ((mira, before), (mira, after), (noor, others)):
                await user.receipt_for(stanza_id)
            assert walk.mail.texts(ALICE) == ["before", "after"]
            await walk.write_mail(mira, "and in again")
            assert "and in again" in body_of(await mira.message_from(ALICE_JID))


async def worker_of(walk: World) -> int:
    """The process that reads mails, once there is one."""

    async def there() -> list[int]:
        return children(walk.gateway.pid)

    await walk.until(there)
    (pid,) = children(walk.gateway.pid)
    return pid


async def test_a_worker_that_dies_while_it_reads_a_mail_costs_nothing(walk: World) -> None:
    walk.expected_errors.append("the worker died while reading")
    mira = await walk.user(on=(MAIL,))
    await walk.write_mail(mira, "the worker is up")
    await mira.message_from(ALICE_JID)
    worker = await worker_of(walk)
    os.kill(worker, signal.SIGSTOP)  # so that it surely has the next mail in hand
    await walk.write_mail(mira, "read by its successor")
    await walk.write_mail(mira, "and so is this")
    os.kill(worker, signal.SIGKILL)
    assert "read by its successor" in body_of(await mira.message_from(ALICE_JID, within=AFTER_CRASH))
    assert "and so is this" in body_of(await mira.message_from(ALICE_JID, within=AFTER_CRASH))
    assert len(mira.bodies_from(ALICE_JID)) == 3


async def test_a_mail_that_kills_every_worker_is_told_of_and_the_next_one_is_read(walk: World) -> None:
    walk.expected_errors.append("the worker died while reading")
    mira = await walk.user(on=(MAIL,))
    killed: set[int] = set()

    async def kill_workers(count: int) -> None:
        """As a hostile mail would: each as soon as it is there, before it has read anything."""
        while len(killed) < count:
            for pid in set(children(walk.gateway.pid)) - killed:
                killed.add(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.002)

    killing = asyncio.create_task(kill_workers(2))
    await walk.write_mail(mira, "hostile")
    notice = body_of(await mira.message_from(ALICE_JID, within=AFTER_CRASH))
    await killing
    assert "could not be read" in notice
    assert "hostile" not in notice
    await walk.write_mail(mira, "harmless")
    assert "harmless" in body_of(await mira.message_from(ALICE_JID))
