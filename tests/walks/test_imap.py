"""Mail by IMAP through a real Dovecot: a catch-all mailbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from bridge.demo.chat_user import ChatUser
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from tests.support.client import NotSeenError, body_of
from tests.support.servers_mail import Dovecot
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE,
    ALICE_JID,
    MAIL_DOMAIN,
    World,
    letter,
    world,
)
from tests.walks.mailbox import PASSWORD, deliver, lose_oldest, number_anew, seen, texts, until, validity

CATCH_ALL = """
[transport.mail.mailbox]
host = "127.0.0.1"
port = {port}
tls = "none"
username = "gateway"
password = '{password}'
"""


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
    lose_oldest(post_office, "gateway", 2)  # so that the next mail's number is one that was read before
    number_anew(post_office, "gateway")
    await asyncio.to_thread(post_office.start)
    assert await asyncio.to_thread(validity, post_office, "gateway") != before
    await deliver(post_office, "gateway", bytes(letter(ALICE, own, "new after all that")))
    await mira.message_from(ALICE_JID, containing="new after", within=AFTER_CRASH)
    bodies = await all_of(mira, ALICE_JID, 4)
    assert sum("known" in body for body in bodies) == 3
