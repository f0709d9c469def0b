"""Mail by IMAP through a real Dovecot: a catch-all mailbox, and users' own accounts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from bridge.app import Running, running
from bridge.demo.chat_user import ChatUser
from bridge.demo.gateway_process import AUTH_TOKEN
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from bridge.events import Denied
from bridge.settings.read import load
from tests.support.client import NotSeenError, body_of
from tests.support.mail import Smarthost, smarthost
from tests.support.servers_mail import Dovecot
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE,
    ALICE_JID,
    BOB,
    BOB_JID,
    MAIL_DOMAIN,
    World,
    letter,
    world,
)
from tests.walks.mailbox import PASSWORD, count, number_anew, put_into_sent, texts, until, validity

CATCH_ALL = """
[transport.mail.mailbox]
host = "127.0.0.1"
port = {port}
tls = "none"
username = "gateway"
password = '{password}'
"""
ACCOUNTS = """
[transport.mail.accounts]
allowed = true
hosts = ["127.0.0.1"]
"""
OWN = "mira@family.example"


@pytest.fixture
def post_office() -> Iterator[Dovecot]:
    """A Dovecot of the test's own, to be killed at will."""
    with Dovecot(dict.fromkeys(("gateway", "mira", "noor"), PASSWORD)) as server:
        yield server


@pytest.fixture
async def walk(fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot) -> AsyncIterator[World]:
    """A gateway that fetches from the catch-all mailbox, in which an old mail lies."""
    post_office.deliver("gateway", bytes(letter(ALICE, f"mira@{MAIL_DOMAIN}", "from before the gateway")))
    extra = CATCH_ALL.format(port=post_office.imap_port, password=PASSWORD)
    async with world(fresh_prosody(), extra=extra) as here:
        yield here


async def deliver(server: Dovecot, user: str, *mails: bytes) -> None:
    def hand_over() -> None:
        for mail in mails:
            server.deliver(user, mail)

    await asyncio.to_thread(hand_over)


async def seen(server: Dovecot, user: str, how_many: int, within: float = 10.0) -> None:
    """Wait until so many mails are flagged as seen."""

    async def so_many() -> bool:
        return await asyncio.to_thread(count, server, user, "SEEN") == how_many

    await until(so_many, within)


async def all_of(user: ChatUser, jid: str, how_many: int, within: float = 30.0) -> list[str]:
    """So many bodies from a contact, and no more."""

    async def there() -> bool:
        return len(user.bodies_from(jid)) >= how_many

    await until(there, within)
    with pytest.raises(NotSeenError):
        await user.message_from(jid, containing="never said", within=0.3)
    return user.bodies_from(jid)


def number_in(body: str) -> int:
    return int(body.rpartition("number ")[2].split()[0])


# --- the catch-all ---


async def test_a_catch_all_brings_each_mail_to_whom_it_is_for(walk: World, post_office: Dovecot) -> None:
    mira, noor = await walk.user(on=(MAIL,)), await walk.user("noor", on=(MAIL,))
    to_mira = letter(ALICE, walk.address_of(mira), "for mira")
    blind = letter(ALICE, "undisclosed@example.com", "in blind copy")
    blind["X-Original-To"] = walk.address_of(noor)
    stray = letter(ALICE, f"nobody@{MAIL_DOMAIN}", "for nobody")
    await deliver(post_office, "gateway", bytes(stray), bytes(to_mira), bytes(blind))
    assert "for mira" in body_of(await mira.message_from(ALICE_JID))
    assert "in blind copy" in body_of(await noor.message_from(ALICE_JID))
    await seen(post_office, "gateway", 2)  # what is nobody's stays unread, for the admin to find
    # The one from before the gateway never came.
    assert len(await all_of(mira, ALICE_JID, 1)) == 1
    assert len(await all_of(noor, ALICE_JID, 1)) == 1


async def test_three_hundred_mails_at_once_come_in_order(walk: World, post_office: Dovecot) -> None:
    mira = await walk.user(on=(MAIL,))
    own = walk.address_of(mira)
    mails = [bytes(letter(ALICE, own, f"mail number {n} of many")) for n in range(300)]
    await deliver(post_office, "gateway", *mails)
    bodies = await all_of(mira, ALICE_JID, 300, within=60)
    lying = await asyncio.to_thread(texts, post_office, "gateway")
    assert [number_in(body) for body in bodies] == [number_in(text) for text in lying[1:]]
    assert sorted(map(number_in, bodies)) == list(range(300))
    await seen(post_office, "gateway", 300)


async def test_a_dovecot_killed_in_idle_loses_and_repeats_nothing(walk: World, post_office: Dovecot) -> None:
    mira = await walk.user(on=(MAIL,))
    own = walk.address_of(mira)
    await deliver(post_office, "gateway", bytes(letter(ALICE, own, "before")))
    assert "before" in body_of(await mira.message_from(ALICE_JID))
    for turn in range(2):
        await asyncio.to_thread(post_office.kill)
        await asyncio.to_thread(post_office.start)
        await deliver(
            post_office, "gateway", *(bytes(letter(ALICE, own, f"after {turn} {n}")) for n in range(3))
        )
        await mira.message_from(ALICE_JID, containing=f"after {turn} 2", within=AFTER_CRASH)
    assert len(await all_of(mira, ALICE_JID, 7)) == 7


async def test_the_gateway_killed_while_it_fetches_loses_and_repeats_nothing(
    walk: World, post_office: Dovecot
) -> None:
    mira = await walk.user(on=(MAIL,))
    own = walk.address_of(mira)
    mails = [bytes(letter(ALICE, own, f"mail number {n} of many")) for n in range(250)]
    handing = asyncio.create_task(deliver(post_office, "gateway", *mails))
    await mira.message_from(ALICE_JID)
    await walk.kill()
    await handing
    await walk.start()

    async def all_there() -> bool:
        return len(set(mira.bodies_from(ALICE_JID))) == 250

    await until(all_there, AFTER_CRASH)
    numbers = [number_in(body) for body in mira.bodies_from(ALICE_JID)]
    assert sorted(set(numbers)) == list(range(250))
    # What was on its way to the chat server when the gateway died may be said again, under the same id.
    assert len(numbers) - len(set(numbers)) <= 60


async def test_a_mailbox_that_is_numbered_anew_repeats_nothing_and_goes_on(
    walk: World, post_office: Dovecot
) -> None:
    mira = await walk.user(on=(MAIL,))
    own = walk.address_of(mira)
    await deliver(post_office, "gateway", *(bytes(letter(ALICE, own, f"known {n}")) for n in range(3)))
    await mira.message_from(ALICE_JID, containing="known 2")
    before = await asyncio.to_thread(validity, post_office, "gateway")
    await asyncio.to_thread(post_office.stop)
    number_anew(post_office, "gateway")
    await asyncio.to_thread(post_office.start)
    assert await asyncio.to_thread(validity, post_office, "gateway") != before
    await deliver(post_office, "gateway", bytes(letter(ALICE, own, "new after all that")))
    await mira.message_from(ALICE_JID, containing="new after", within=AFTER_CRASH)
    bodies = await all_of(mira, ALICE_JID, 4)
    assert sum("known" in body for body in bodies) == 3


# --- users' own accounts ---


@asynccontextmanager
async def accounts(
    server: PrivateProsody, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, Running]]:
    """A gateway in this process, so that an account can be brought without a client that knows how."""
    monkeypatch.setenv("DEMO_TWILIO_TOKEN", AUTH_TOKEN)
    async with world(server, run=False, extra=ACCOUNTS) as here:
        (here.gateway.folder / "output.log").touch()
        async with running(load(here.gateway.settings_file)) as state:
            for component in state.components.values():
                assert await component.wait_connected(10)
            yield here, state


def fields(imap: int, smtp: int, user: str = "mira", password: str = PASSWORD) -> dict[str, str]:
    return {
        "address": f"{user}@family.example",
        "username": user,
        "password": password,
        "imap_host": "127.0.0.1",
        "imap_port": str(imap),
        "imap_tls": "none",
        "smtp_host": "127.0.0.1",
        "smtp_port": str(smtp),
        "smtp_tls": "none",
    }


async def bring(state: Running, user: ChatUser, post_office: Dovecot, provider: Smarthost, name: str) -> None:
    """The account, followed and up to date."""
    line = await state.gateway.bring_account(
        "mail", user.bare, name="Mira Berg", fields=fields(post_office.imap_port, provider.port, name)
    )
    assert line.address == f"{name}@family.example"
    await moved_on(state, f"account/{line.id}/inbox", "")


async def moved_on(state: Running, cursor: str, before: str) -> str:
    """The place of a folder, once it is another than before."""

    async def another() -> bool:
        return await state.gateway.sources.cursor("mail", cursor) != before

    await until(another, 15)
    return await state.gateway.sources.cursor("mail", cursor)


async def test_an_own_account_reads_and_sends_under_its_own_address(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliver(post_office, "mira", bytes(letter(ALICE, OWN, "years ago")))
    async with (
        accounts(fresh_prosody(), monkeypatch) as (walk, state),
        smarthost(login=("mira", PASSWORD)) as provider,
    ):
        mira = await walk.user(on=())
        await bring(state, mira, post_office, provider, "mira")
        await deliver(post_office, "mira", bytes(letter(ALICE, OWN, "are you coming?")))
        stanza = await mira.message_from(ALICE_JID)
        assert "are you coming?" in body_of(stanza)
        await mira.receipt_for(mira.say(ALICE_JID, "On my way"))
        (mail,) = provider.mails
        assert mail.sender == OWN
        assert mail.message["From"] == f"Mira Berg <{OWN}>"
        assert mail.text.strip().startswith("On my way")
        assert walk.mail.mails == []
        # Unread until the user has read it.
        assert await asyncio.to_thread(count, post_office, "mira", "SEEN") == 0
        mira.send_xml(
            f"<message to='{ALICE_JID}' type='chat' id='d1'>"
            f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{stanza['id']}'/></message>"
        )
        await seen(post_office, "mira", 1)
        assert len(mira.bodies_from(ALICE_JID)) == 1


async def test_what_is_sent_from_another_program_belongs_to_the_thread(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        accounts(fresh_prosody(), monkeypatch) as (walk, state),
        smarthost(login=("mira", PASSWORD)) as provider,
    ):
        old = letter(OWN, BOB, "an old one", message_id="<old@x.example>")
        await asyncio.to_thread(put_into_sent, post_office, "mira", bytes(old))
        mira = await walk.user(on=())
        await bring(state, mira, post_office, provider, "mira")
        place = await moved_on(state, "account/1/sent", "")
        written = letter(OWN, BOB, "Shall we?", message_id="<elsewhere@family.example>", subject="Picnic")
        await asyncio.to_thread(put_into_sent, post_office, "mira", bytes(written))
        await moved_on(state, "account/1/sent", place)
        answer = letter(BOB, OWN, "With pleasure", subject="Re: Picnic")
        answer["In-Reply-To"] = "<elsewhere@family.example>"
        await deliver(post_office, "mira", bytes(answer))
        assert "With pleasure" in body_of(await mira.message_from(BOB_JID))
        await mira.receipt_for(mira.say(BOB_JID, "At three"))
        mail = provider.mails[0].message
        assert "<elsewhere@family.example>" in mail["References"]
        assert mail["Subject"] == "Re: Picnic"
        # What the gateway sent itself and finds there changes nothing.
        await asyncio.to_thread(put_into_sent, post_office, "mira", provider.mails[0].raw)
        await mira.receipt_for(mira.say(BOB_JID, "Bring a blanket"))
        assert len(mira.bodies_from(BOB_JID)) == 1
        assert [one.text.strip().splitlines()[0] for one in provider.mails] == ["At three", "Bring a blanket"]


async def test_an_account_that_does_not_work_is_refused_with_a_reason(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        accounts(fresh_prosody(), monkeypatch) as (walk, state),
        smarthost(login=("mira", PASSWORD)) as provider,
    ):
        mira = await walk.user(on=())
        right = fields(post_office.imap_port, provider.port)
        cases = {
            "Your mailbox does not open": {"password": "wrong"},
            "Your mail cannot be sent": {"smtp_password": "wrong"},
            "cannot connect": {"imap_port": "1"},
            "is no email address": {"address": "mira"},
            "this gateway's own": {"address": f"mira@{MAIL_DOMAIN}"},
            "Accounts at imap.example.com cannot be used here": {"imap_host": "imap.example.com"},
        }
        for words, changes in cases.items():
            with pytest.raises(Denied, match=words):
                await state.gateway.bring_account(
                    "mail", mira.bare, name="Mira", fields={**right, **changes}
                )
        assert await state.gateway.line_of("mail", mira.bare) is None


async def test_one_account_that_breaks_is_told_once_and_hurts_nobody_else(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        accounts(fresh_prosody(), monkeypatch) as (walk, state),
        smarthost(login=("noor", PASSWORD)) as provider,
        smarthost(login=("mira", PASSWORD)) as doomed,
    ):
        mira, noor = await walk.user(on=()), await walk.user("noor", on=())
        await bring(state, mira, post_office, doomed, "mira")
        await bring(state, noor, post_office, provider, "noor")
        users = post_office.folder / "users"
        await asyncio.to_thread(post_office.stop)
        users.write_text(users.read_text().replace(f"mira:{{PLAIN}}{PASSWORD}", "mira:{PLAIN}changed"))
        await asyncio.to_thread(post_office.start)
        doomed.on_mail = lambda address: "421 4.3.2 Away"
        notice = await mira.message_from(MAIL, within=AFTER_CRASH)
        assert f"{OWN} does not open any more" in body_of(notice)
        began = time.monotonic()
        mira.say(ALICE_JID, "into the void")
        await noor.receipt_for(noor.say(ALICE_JID, "I am well"), within=5)
        assert time.monotonic() - began < 5
        await deliver(post_office, "noor", bytes(letter(ALICE, "noor@family.example", "hello noor")))
        assert "hello noor" in body_of(await noor.message_from(ALICE_JID, within=AFTER_CRASH))
        assert len(mira.bodies_from(MAIL)) == 1
        assert [one.sender for one in provider.mails] == ["noor@family.example"]
        sealed = [one.sealed for one in await state.gateway.sources.accounts("mail")]
        assert len(sealed) == 2
        assert not any(PASSWORD.encode() in one for one in sealed)
