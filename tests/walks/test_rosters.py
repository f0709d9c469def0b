"""Contacts in users' rosters and what their presence tells: real Prosody and ejabberd, each with and without
the privilege of XEP-0356."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest
from slixmpp.stanza import Presence

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from tests.conftest import COMPONENTS
from tests.support.client import ChatUser, Stanza, body_of
from tests.support.servers import Ejabberd
from tests.walks.gateway import (
    ALICE,
    ALICE_JID,
    BOB,
    BOB_JID,
    EJABBERD_BLOCKING,
    EJABBERD_PRIVILEGE,
    PLUMBER_JID,
    PROSODY_PRIVILEGE,
    World,
    world,
)

ROSTER = "jabber:iq:roster"
BLOCKING = "urn:xmpp:blocking"
Servers = Callable[[str], PrivateProsody | Ejabberd]


@dataclass(frozen=True)
class Item:
    name: str
    groups: tuple[str, ...]
    subscription: str


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Each kind starts once, for the tests that leave it as it is."""
    running: dict[str, PrivateProsody | Ejabberd] = {}
    with ExitStack() as stack:

        def named(name: str) -> PrivateProsody | Ejabberd:
            if name not in running:
                server = running[name] = _server(name)
                stack.enter_context(server)
            return running[name]

        yield named


def _server(name: str) -> PrivateProsody | Ejabberd:
    match name:
        case "prosody that grants":
            return PrivateProsody(COMPONENTS, **PROSODY_PRIVILEGE)
        case "prosody":
            return PrivateProsody(COMPONENTS, modules=("blocklist", "pep"))
        case "ejabberd that grants":
            return Ejabberd(COMPONENTS, extra_modules=EJABBERD_BLOCKING + EJABBERD_PRIVILEGE)
        case _:
            return Ejabberd(COMPONENTS, extra_modules=EJABBERD_BLOCKING)


# What does not depend on the privilege.
either_server = pytest.mark.parametrize("anywhere", ["prosody", "ejabberd"], indirect=True)


@pytest.fixture(params=["prosody that grants", "prosody", "ejabberd that grants", "ejabberd"])
async def anywhere(servers: Servers, request: pytest.FixtureRequest) -> AsyncIterator[tuple[World, str]]:
    async with world(servers(request.param), strangers="ask") as walk:
        yield walk, request.param


@pytest.fixture
async def granted(servers: Servers) -> AsyncIterator[World]:
    async with world(servers("prosody that grants"), strangers="ask") as walk:
        yield walk


async def roster(user: ChatUser) -> dict[str, Item]:
    answer = await user.ask(user.bare, "get", f"<query xmlns='{ROSTER}'/>")
    return {item.get("jid", ""): _item(item) for item in answer.iter(f"{{{ROSTER}}}item")}


def _item(item: Element) -> Item:
    groups = tuple(group.text or "" for group in item.findall(f"{{{ROSTER}}}group"))
    return Item(item.get("name", ""), groups, item.get("subscription", ""))


async def in_roster(walk: World, user: ChatUser, jid: str) -> Item:
    """Wait until a contact stands there."""

    async def there() -> bool:
        return jid in await roster(user)

    await walk.until(there)
    return (await roster(user))[jid]


async def write_item(user: ChatUser, jid: str, name: str, group: str) -> None:
    """What a user does in the roster with their client."""
    item = f"<item jid='{jid}' name='{name}'><group>{group}</group></item>"
    await user.ask(user.bare, "set", f"<query xmlns='{ROSTER}'>{item}</query>")


def presences(user: ChatUser, jid: str) -> list[Stanza]:
    return [one for one in user.heard if isinstance(one, Presence) and one["from"].bare == jid]


def kinds(user: ChatUser, jid: str) -> set[str]:
    return {one.xml.get("type", "available") for one in presences(user, jid)}


async def tell(user: ChatUser, text: str, *, containing: str) -> str:
    """A line to the gateway; its answer."""
    user.say(MAIL, text, receipt=False)
    return body_of(await user.message_from(MAIL, containing=containing))


async def test_a_stranger_who_is_let_in_stands_in_the_roster_before_the_message_comes(
    anywhere: tuple[World, str],
) -> None:
    walk, server = anywhere
    mira = await walk.user(on=(MAIL,))
    await walk.write_mail(mira, "May I come in?")
    await mira.message_from(MAIL, containing="accept 1")
    assert ALICE_JID not in await roster(mira), "who waits is no contact yet"
    await tell(mira, "accept 1", containing="may write")
    if server == "prosody that grants":
        await mira.message_from(ALICE_JID, containing="May I come in?")
        # Pushes and messages come in one order: the name is there when the message is shown.
        pushed = mira.client.client_roster[ALICE_JID]
        assert (pushed["name"], pushed["groups"], pushed["subscription"]) == ("Alice Berg", ["Email"], "both")
        assert "subscribe" not in kinds(mira, ALICE_JID), "nobody is asked"
    else:  # ejabberd before 23.10 grants the privilege, and fails when it is used
        asked = await mira.presence_from(ALICE_JID, "subscribe")
        assert asked.xml.findtext("{http://jabber.org/protocol/nick}nick") == "Alice Berg"
        await mira.message_from(ALICE_JID, containing="May I come in?")
        walk.expected_errors.append("cannot write them")


async def test_what_the_user_changes_in_the_roster_stays(granted: World) -> None:
    mira = await granted.user(on=(MAIL,))
    await tell(mira, f"{ALICE} Hello", containing=ALICE)
    first = await in_roster(granted, mira, ALICE_JID)
    assert first == Item(ALICE, ("Email",), "both")
    await write_item(mira, ALICE_JID, "My Alice", "Friends")
    await tell(mira, f"{BOB} Hello", containing=BOB)
    await in_roster(granted, mira, BOB_JID)
    assert (await roster(mira))[ALICE_JID] == Item("My Alice", ("Friends",), "both")
    assert "My Alice" in await tell(mira, "contacts", containing="Alice")

    await tell(mira, f"rename {ALICE} Mrs Berg", containing="Mrs Berg")

    async def renamed() -> bool:
        return (await roster(mira))[ALICE_JID] == Item("Mrs Berg", ("Friends",), "both")

    await granted.until(renamed)
    # Who was removed is not put back by what they or the user write, but by the user's wish.
    await mira.ask(
        mira.bare, "set", f"<query xmlns='{ROSTER}'><item jid='{BOB_JID}' subscription='remove'/></query>"
    )
    await mira.receipt_for(mira.say(BOB_JID, "one more thing"))
    await granted.write_mail(mira, "What?", BOB)
    await mira.message_from(BOB_JID, containing="What?")
    assert BOB_JID not in await roster(mira)
    await tell(mira, f"add {BOB}", containing=BOB)
    assert (await in_roster(granted, mira, BOB_JID)).groups == ("Email",)


async def test_contacts_that_were_let_in_without_the_privilege_come_with_it(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    """What cannot be written is kept in mind, over restarts of both."""
    server = fresh_prosody(**PROSODY_PRIVILEGE)
    configuration = server.folder / "prosody.cfg.lua"
    granting = configuration.read_text(encoding="utf-8")
    configuration.write_text(granting.replace('roster = "both"', 'roster = "none"'), encoding="utf-8")
    await asyncio.to_thread(server.restart)
    async with world(server) as walk:
        mira = await walk.user(on=(MAIL,))
        await mira.receipt_for(mira.say(ALICE_JID, "hello"))
        assert ALICE_JID not in await roster(mira)
        await walk.stop()
        configuration.write_text(granting, encoding="utf-8")
        await asyncio.to_thread(server.restart)
        await walk.start()
        await mira.login()
        assert (await in_roster(walk, mira, ALICE_JID)).groups == ("Email",)


async def test_leaving_takes_everything_out_of_the_roster(anywhere: tuple[World, str]) -> None:
    walk, server = anywhere
    mira = await walk.user(on=(MAIL,))
    await mira.add_contact(ALICE_JID)
    await mira.presence_from(MAIL)
    await mira.unregister(MAIL)
    for jid in (ALICE_JID, MAIL):
        for kind in ("unsubscribe", "unsubscribed", "unavailable"):
            await mira.presence_from(jid, kind)

    async def cleaned() -> bool:
        left = await roster(mira)
        if server == "prosody that grants":
            return left == {}
        return all(item.subscription == "none" for item in left.values())

    await walk.until(cleaned)
    walk.expected_errors.append("cannot write them")


async def test_a_newcomer_whom_a_crash_left_without_a_welcome_gets_it_at_the_next_start(
    anywhere: tuple[World, str],
) -> None:
    """As if the gateway had died between the registration and what follows from it."""
    walk, server = anywhere
    mira = await walk.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome!")
    await walk.stop()
    await mira.ask(
        mira.bare, "set", f"<query xmlns='{ROSTER}'><item jid='{MAIL}' subscription='remove'/></query>"
    )
    with closing(sqlite3.connect(walk.gateway.folder / "data/passerelle.db")) as record, record:
        record.execute("UPDATE lines SET new_here = 1 WHERE transport = 'mail'")
    await walk.start()
    await mira.message_from(MAIL, containing="Welcome!")
    if server == "prosody that grants":
        assert (await in_roster(walk, mira, MAIL)).subscription == "both"
    else:
        await mira.presence_from(MAIL, "subscribe")
    walk.expected_errors.append("cannot write them")


@pytest.mark.parametrize("at_work", [True, False])
async def test_who_is_removed_on_the_command_line_is_parted_from_all_contacts(
    granted: World, at_work: bool
) -> None:
    """At once by a gateway that runs, else at its next start."""
    mira = await granted.user(on=(MAIL,))
    await mira.add_contact(ALICE_JID)
    await in_roster(granted, mira, ALICE_JID)
    if not at_work:
        await granted.stop()
    assert "is removed" in await granted.passerelle("users", "remove", mira.bare, "--yes")
    if not at_work:
        assert ALICE_JID in await roster(mira)
        await granted.start()
    await mira.presence_from(ALICE_JID, "unsubscribed")
    await mira.presence_from(MAIL, "unsubscribed")

    async def empty() -> bool:
        return await roster(mira) == {}

    await granted.until(empty)


# --- presence ---


@either_server
async def test_presence_says_when_somebody_wrote_last(anywhere: tuple[World, str]) -> None:
    walk, _ = anywhere
    mira = await walk.user()
    asleep = await mira.add_contact(ALICE_JID)
    assert (asleep["show"], asleep["status"]) == ("away", "")
    assert (await mira.add_contact(PLUMBER_JID))["show"] == ""
    await walk.write_mail(mira, "Here I am")
    await mira.message_from(ALICE_JID, containing="Here I am")

    await says_when(mira)
    mira.heard.clear()
    await mira.login()
    await says_when(mira)


async def says_when(user: ChatUser) -> None:
    """Wait for a presence of Alice's that tells when she wrote last."""
    async with asyncio.timeout(10):
        while not any(
            re.fullmatch(r"last wrote \d\d:\d\d", one["status"]) for one in presences(user, ALICE_JID)
        ):
            await user.presence_from(ALICE_JID)


async def test_a_transport_in_trouble_says_so_in_its_presence_and_recovers(granted: World) -> None:
    mira = await granted.user(on=(MAIL,))
    await mira.presence_from(MAIL)
    await granted.mail.go()
    waiting = mira.say(ALICE_JID, "Does this go?")
    troubled = await mira.expect(
        lambda one: one["from"].bare == MAIL and "Your messages wait here" in one["status"],
        "a presence that tells the trouble",
        within=20,
    )
    assert re.match(r"Since \d\d:\d\d: .*mail server", troubled["status"])
    assert troubled["show"] == "xa"
    await granted.mail.come()
    await mira.receipt_for(waiting, within=30)
    well = await mira.presence_from(MAIL, within=20)
    assert (well["show"], well["status"]) == ("", "")


async def test_a_restart_does_not_make_rosters_flap_and_a_stop_is_seen(granted: World) -> None:
    mira = await granted.user(on=(MAIL,))
    await mira.add_contact(ALICE_JID)
    await granted.kill()
    await granted.start()
    await mira.presence_from(ALICE_JID)
    assert "unavailable" not in kinds(mira, ALICE_JID) | kinds(mira, MAIL)
    await granted.stop()
    await mira.presence_from(ALICE_JID, "unavailable")
    await mira.presence_from(MAIL, "unavailable")


# --- blocking ---


@either_server
async def test_whom_a_user_blocks_in_their_client_is_blocked_here(anywhere: tuple[World, str]) -> None:
    """Servers do not tell: they answer as if the user were away."""
    walk, _ = anywhere
    mira = await walk.user(on=(MAIL,))
    await mira.add_contact(ALICE_JID)
    item = f"<item jid='{ALICE_JID}'/>"
    await mira.ask(mira.bare, "set", f"<block xmlns='{BLOCKING}'>{item}</block>")
    await walk.write_mail(mira, "Buy this")

    async def noticed() -> bool:
        return await walk.metric("passerelle_contacts_blocked_total", transport="mail") == 1

    await walk.until(noticed)

    async def given_up() -> bool:
        return await walk.queue() == []

    await walk.until(given_up)
    await walk.write_mail(mira, "Buy that")

    async def dropped() -> bool:
        return await walk.metric("passerelle_messages_dropped_total", transport="mail") == 1

    await walk.until(dropped)
    await mira.ask(mira.bare, "set", f"<unblock xmlns='{BLOCKING}'>{item}</unblock>")
    await mira.login()

    async def let_in() -> bool:
        return await blocked(mira) == []

    await walk.until(let_in)
    await walk.write_mail(mira, "Sorry for all that")
    await mira.message_from(ALICE_JID, containing="Sorry for all that")
    assert not [text for text in mira.bodies_from(ALICE_JID) if "Buy" in text]


async def blocked(user: ChatUser) -> list[str]:
    """Whom the gateway keeps out for a user."""
    answer = await user.ask(MAIL, "get", f"<blocklist xmlns='{BLOCKING}'/>")
    return [item.get("jid", "") for item in answer.iter(f"{{{BLOCKING}}}item")]


async def test_a_block_list_that_is_sent_to_the_gateway_is_its_own(granted: World) -> None:
    mira = await granted.user(on=(MAIL,))
    report = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>"
    await mira.ask(MAIL, "set", f"<block xmlns='{BLOCKING}'><item jid='{BOB_JID}'>{report}</item></block>")
    assert await blocked(mira) == [BOB_JID]
    assert await granted.metric("passerelle_spam_reports_total", transport="mail") == 1
    await granted.write_mail(mira, "spam", BOB)
    await mira.ask(MAIL, "set", f"<unblock xmlns='{BLOCKING}'/>")
    assert await blocked(mira) == []
    await granted.write_mail(mira, "no spam", BOB)
    await mira.message_from(MAIL, containing="accept 1")
