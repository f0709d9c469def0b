"""Users' rosters at a chat server: what is wanted there, what users change, privileges, blocks; on both
databases. The far end is a roster server that does what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from bridge.events import Denied
from bridge.model import Delivery, DeliveryId, Kind
from bridge.store import moving
from bridge.store.rosters import Entry
from bridge.xmpp import arrivals, moods, presence, roster_items, rosters
from bridge.xmpp.arrivals import Signs
from bridge.xmpp.blocking import Blocking
from bridge.xmpp.presence import Presence
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.roster_items import Item
from bridge.xmpp.rosters import Rosters
from bridge.xmpp.watching import HOLDS, Watch
from tests.bridge.desk import MIRA, Desk, a_desk

JANA, TOM = "jana@x.org", "tom@x.org"
JANA_JID = r"jana\40x.org@mail.localhost"
TWO, ONE = "urn:xmpp:privilege:2", "urn:xmpp:privilege:1"
_ROSTER = "{jabber:iq:roster}"


def grant(namespace: str = TWO, *, roster: str = "both", host: str = "localhost") -> Element:
    """How a server tells what it grants."""
    return fromstring(
        f"<message xmlns='jabber:component:accept' from='{host}' to='mail.localhost'>"
        f"<privilege xmlns='{namespace}'><perm access='roster' type='{roster}'/>"
        "<perm access='message' type='outgoing'/><perm access='presence' type='managed_entity'/>"
        "</privilege></message>"
    )


# --- privileges ---


@pytest.mark.parametrize("namespace", [TWO, ONE])
def test_what_a_server_grants_counts_for_its_own_users_and_as_long_as_the_stream(namespace: str) -> None:
    privilege = Privilege("mail.localhost")
    assert not privilege.may_send_messages(MIRA)
    assert privilege.take(grant(namespace))
    assert privilege.may_send_messages(MIRA)
    assert privilege.may_write_roster(MIRA)
    assert not privilege.may_write_roster("mira@elsewhere.example")
    written = fromstring(privilege.own_message(MIRA, JANA_JID, "o1", "<body>hi</body>") or "")
    (wrapped,) = written.iter("{jabber:client}message")
    assert written.find(f"{{{namespace}}}privilege") is not None
    assert (wrapped.get("from"), wrapped.get("to"), wrapped.get("id")) == (MIRA, JANA_JID, "o1")
    privilege.forget()
    assert not privilege.may_write_roster(MIRA)
    assert privilege.own_message(MIRA, JANA_JID, "o2", "") is None


def test_a_later_advertisement_replaces_the_first() -> None:
    privilege = Privilege("mail.localhost")
    privilege.take(grant())
    assert privilege.may_write_roster(MIRA)
    privilege.take(grant(roster="get"))
    assert privilege.may_read_roster(MIRA)
    assert not privilege.may_write_roster(MIRA)


def test_only_a_server_grants() -> None:
    privilege = Privilege("mail.localhost")
    assert not privilege.take(grant(host="eve@localhost"))
    assert not privilege.take(grant(host="localhost/eve"))
    assert not privilege.may_write_roster("eve@localhost")


def test_what_was_sent_in_a_users_name_comes_back_once() -> None:
    privilege = Privilege("mail.localhost")
    privilege.take(grant())
    privilege.own_message(MIRA, JANA_JID, "o1", "<body>hi</body>")
    echo = fromstring(f"<message from='{MIRA}' to='{JANA_JID}' id='o1'><body>hi</body></message>")
    other = fromstring(f"<message from='{MIRA}/r' to='{JANA_JID}' id='o2'><body>hi</body></message>")
    assert [privilege.is_echo(one) for one in (other, echo, echo)] == [False, True, False]


# --- how contacts are to stand there ---


@pytest.mark.parametrize(
    ("seen", "item", "name", "groups"),
    [
        (None, None, "Jana Berg", ("Email",)),
        (None, Item(subscription="from"), "Jana Berg", ("Email",)),
        (None, Item("Janchen", (), "both"), "Janchen", ()),
        (None, Item("", ("Friends",), "both"), "Jana Berg", ("Friends",)),
        ("jana@x.org", Item("jana@x.org", ("Email",), "both"), "Jana Berg", ("Email",)),
        ("jana@x.org", Item("jana@x.org", (), "both"), "Jana Berg", ()),
        ("jana@x.org", Item("Janchen", ("Friends",), "both"), "Janchen", ("Friends",)),
    ],
)
def test_a_name_or_group_that_the_user_gave_stays(
    seen: str | None, item: Item | None, name: str, groups: tuple[str, ...]
) -> None:
    entry = Entry(1, r"jana\40x.org", "Jana Berg", "Jana Berg", seen)
    assert roster_items.wished(entry, item, "Email") == Item(name, groups, "both")


def test_only_our_own_items_of_a_roster_are_looked_at() -> None:
    answer = fromstring(
        "<iq><query xmlns='jabber:iq:roster'><item jid='a@mail.localhost' name='A'><group>G</group></item>"
        "<item jid='a@elsewhere.example'/><item jid='mail.localhost'/></query></iq>"
    )
    assert roster_items.read(answer, "mail.localhost") == {"a": Item("A", ("G",), "none")}


# --- a server's roster ---


@dataclass
class RosterServer:
    """mira's server: keeps one roster, answers pings for who is online, remembers what it was sent."""

    items: dict[str, Element] = field(default_factory=dict)
    refuses: str = ""  # a condition with which sets are refused
    silent: bool = False
    blocks: set[str] = field(default_factory=set)
    features: tuple[str, ...] = ()  # of the clients
    zone: str = ""
    sets: int = 0
    sent: list[Element] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def reply(self, *stanzas: str) -> None:
        self.sent += map(fromstring, stanzas)

    async def paced(self, stanzas: Iterable[str]) -> None:
        self.reply(*stanzas)

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element:
        self.asked.set()
        if self.silent:
            raise TimeoutError
        query = fromstring(payload)
        if query.tag == f"{_ROSTER}query" and to == MIRA:
            return self._set(query) if kind == "set" else self._result(*self.items.values())
        if sender in self.blocks:
            return self._error("service-unavailable")
        if "disco" in query.tag:
            found = fromstring(payload)
            found.extend(
                Element(f"{{{query.tag[1:].split('}')[0]}}}feature", {"var": one}) for one in self.features
            )
            return self._with(found)
        if "time" in query.tag:
            return self._with(fromstring(f"<time xmlns='urn:xmpp:time'><tzo>{self.zone}</tzo></time>"))
        return self._result()

    def _set(self, query: Element) -> Element:
        self.sets += 1
        if self.refuses:
            return self._error(self.refuses)
        (item,) = query
        if item.get("subscription") == "remove":
            if self.items.pop(item.get("jid", ""), None) is None:
                return self._error("item-not-found")
        else:
            self.items[item.get("jid", "")] = item
        return self._result()

    @staticmethod
    def _result(*items: Element) -> Element:
        query = Element(f"{_ROSTER}query")
        query.extend(items)
        return RosterServer._with(query)

    @staticmethod
    def _with(payload: Element) -> Element:
        answer = Element("iq", {"type": "result"})
        answer.append(payload)
        return answer

    @staticmethod
    def _error(condition: str) -> Element:
        return fromstring(
            "<iq type='error'><error type='cancel'>"
            f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )

    def names(self) -> dict[str, str]:
        return {jid: item.get("name", "") for jid, item in self.items.items()}

    def types(self, sender: str) -> list[str]:
        return [one.get("type", "") for one in self.sent if one.get("from") == sender]


class Here:
    """mira's gateway with its roster desk, beside her server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.server = RosterServer()
        self.privilege = Privilege("mail.localhost")
        self.privilege.take(grant())
        self.clients: Sequence[str] = ()
        transport = desk.gateway.transports["mail"]
        self.presence = Presence(transport, desk.gateway, self.server, clock=desk.clock)
        self.rosters = Rosters(
            transport,
            desk.gateway,
            self.privilege,
            self.server,
            shown=self.presence.show,
            parted=self.presence.gone,
            clients=lambda _user: self.clients,
        )
        self.blocking = Blocking(transport, desk.gateway, self.server, lambda _user: self.clients)

    async def knows(self, *addresses: str) -> None:
        for address in addresses:
            await self.desk.services.wishes.add("mail", MIRA, address)

    async def names_here(self) -> dict[str, str]:
        return {one.contact.address: one.contact.name for one in await self.known()}

    async def known(self) -> list[Any]:
        return await self.desk.services.wishes.contacts("mail", MIRA)


@pytest.fixture
async def here(url: str) -> AsyncIterator[Here]:
    async with a_desk(url) as desk:
        yield Here(desk)


async def test_contacts_are_written_once_and_changed_names_follow(here: Here) -> None:
    await here.knows(JANA, TOM)
    await here.desk.arrives(sender="eve@x.org")  # waits
    await here.rosters.update(MIRA)
    assert here.server.names() == {JANA_JID: JANA, r"tom\40x.org@mail.localhost": TOM}
    await here.rosters.update(MIRA)
    assert here.server.sets == 2
    await here.desk.says(f"rename {JANA} Jana Berg")
    await here.rosters.update(MIRA)
    assert here.server.names()[JANA_JID] == "Jana Berg"


async def test_a_sender_may_choose_a_name_but_not_somebody_elses_address(here: Here) -> None:
    await here.desk.arrives(sender=JANA, sender_name="Jana\n  Berg")
    await here.desk.arrives(sender=TOM, sender_name="boss@bank.example")
    await here.desk.says("accept all")
    await here.rosters.update(MIRA)
    assert here.server.names() == {JANA_JID: "Jana Berg", r"tom\40x.org@mail.localhost": TOM}


async def test_of_many_contacts_each_is_shown_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_FEW", 2)
    people = [f"p{number}@x.org" for number in range(5)]
    await here.knows(*people)
    jids = sorted(f"p{number}\\40x.org@mail.localhost" for number in range(5))

    came = here.presence.take(fromstring(f"<presence from='{MIRA}/r' to='mail.localhost'/>"))
    assert came is not None
    await came()
    assert sorted(one.get("from", "") for one in here.server.sent) == jids
    probe = f"<presence from='{MIRA}' to='{{}}' type='probe'/>"
    works = [here.presence.take(fromstring(probe.format(jid))) for jid in (*jids, "mail.localhost")]
    here.server.sent.clear()
    for work in works:
        if work is not None:
            await work()
    assert sorted(one.get("from", "") for one in here.server.sent) == sorted([*jids, "mail.localhost"])


async def test_names_and_removals_in_the_roster_are_learned(here: Here) -> None:
    await here.knows(JANA, TOM)
    await here.rosters.update(MIRA)
    here.server.items[JANA_JID].set("name", "Janchen")
    del here.server.items[r"tom\40x.org@mail.localhost"]
    await here.rosters.update(MIRA)
    assert (await here.names_here())[JANA] == "Janchen"
    assert list(here.server.items) == [JANA_JID], "who was removed is not put back"
    seen = [one.address for one in await here.desk.gateway.contacts_of("mail", MIRA)]
    assert seen == [JANA]
    await here.rosters.introduce(MIRA, [r"tom\40x.org"])
    assert len(here.server.items) == 2, "but by the user's own wish"


async def test_a_push_of_the_servers_is_answered_and_learned_from(here: Here) -> None:
    await here.knows(JANA)
    await here.rosters.update(MIRA)
    here.server.items[JANA_JID].set("name", "Janchen")
    push = fromstring(
        f"<iq from='{MIRA}' to='mail.localhost' type='set' id='p1'><query xmlns='jabber:iq:roster'>"
        f"<item jid='{JANA_JID}' name='Janchen'/></query></iq>"
    )
    await here.rosters.pushed(push)
    assert [(one.get("type"), one.get("id")) for one in here.server.sent if one.tag == "iq"] == [
        ("result", "p1")
    ]
    here.server.asked.clear()
    working = asyncio.create_task(here.rosters.run())
    await asyncio.wait_for(here.server.asked.wait(), 10)
    await here.rosters.update(MIRA)  # waits for the one that is at work
    working.cancel()
    assert (await here.names_here())[JANA] == "Janchen"
    push.set("from", "eve@elsewhere.example")
    with pytest.raises(Denied):
        await here.rosters.pushed(push)


async def test_a_roster_that_cannot_be_written_falls_back_to_asking(here: Here) -> None:
    """ejabberd before 23.10 grants it, and breaks."""
    here.server.refuses = "internal-server-error"
    await here.knows(JANA)
    await here.rosters.introduce(MIRA, [r"jana\40x.org"])
    assert here.server.types(JANA_JID) == ["subscribe"]
    await here.knows(TOM)
    await here.rosters.introduce(MIRA, [r"tom\40x.org"])
    assert here.server.sets == 1, "it is not tried again on this stream"


async def seated(here: Here, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the roster desk work until nobody is left without a welcome; who was greeted late."""
    greeted: list[str] = []

    async def welcome(user: str) -> None:
        greeted.append(user)
        here.rosters.seat(user, ["<presence from='mail.localhost' type='subscribe'/>"])

    here.rosters.welcome = welcome
    book, done = here.desk.gateway.rosters, asyncio.Event()
    welcomed = book.welcomed

    async def noted(transport: str, jid: str) -> None:
        await welcomed(transport, jid)
        done.set()

    monkeypatch.setattr(book, "welcomed", noted)
    working = asyncio.create_task(here.rosters.run())
    try:
        if await book.newcomers("mail"):
            await asyncio.wait_for(done.wait(), 10)
    finally:
        working.cancel()
    return greeted


async def test_a_newcomer_whom_a_stop_left_without_a_welcome_gets_it_after_the_next_start(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.desk.gateway.leave("mail", MIRA)
    await here.desk.gateway.register("mail", MIRA, name="Mira", welcome=True)
    assert await here.desk.gateway.rosters.newcomers("mail") == [MIRA]
    assert await seated(here, monkeypatch) == [MIRA]
    assert here.server.names() == {"mail.localhost": "Email"}
    assert here.server.types("mail.localhost")[-1:] == ["subscribe"]
    again = Here(here.desk)
    assert await seated(again, monkeypatch) == []
    assert again.server.sets == 0


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_server_that_cannot_write_rosters_gets_a_subscription_request(
    here: Here, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    """ejabberd before 23.10 breaks at it; others grant nothing at all."""
    if refuses:
        here.server.refuses = "internal-server-error"
    else:
        here.privilege.forget()
        here.privilege.take(grant(ONE, roster="get"))
    await here.desk.gateway.leave("mail", MIRA)
    await here.desk.gateway.register("mail", MIRA, name="Mira", welcome=True)
    assert await seated(here, monkeypatch) == [MIRA]
    assert here.server.items == {}
    assert here.server.types("mail.localhost")[-1:] == ["subscribe"]


async def test_clients_that_know_roster_item_exchange_get_names_and_groups_by_it(here: Here) -> None:
    here.privilege.forget()
    here.clients, here.server.features = [f"{MIRA}/gajim"], (rosters.EXCHANGE,)
    await here.knows(JANA)
    await here.rosters.introduce(MIRA, [r"jana\40x.org"])
    (told,) = here.server.sent
    (item,) = told.iter(f"{{{rosters.EXCHANGE}}}item")
    assert (told.get("to"), item.get("jid"), item.get("action")) == (f"{MIRA}/gajim", JANA_JID, "add")
    assert item.findtext(f"{{{rosters.EXCHANGE}}}group") == "Email"
    here.server.features = ()
    await here.rosters.introduce(MIRA, [r"jana\40x.org"])
    assert here.server.sent[-1].get("type") == "subscribe"


async def test_a_server_that_does_not_answer_holds_nobody_up(here: Here) -> None:
    here.server.silent = True
    await here.knows(JANA)
    await here.rosters.ahead([delivery(JANA_JID)])
    here.server.silent = False
    await here.rosters.ahead([delivery(JANA_JID)])
    assert here.server.sets == 0, "not on this stream"


async def test_a_messages_sender_is_written_ahead_of_it(here: Here) -> None:
    await here.knows(JANA)
    await here.rosters.ahead([delivery(r"eve\40x.org@mail.localhost")])
    assert here.server.sets == 0
    await here.rosters.ahead([delivery(JANA_JID)])
    assert list(here.server.items) == [JANA_JID]


def delivery(sender: str) -> Delivery:
    return Delivery(
        DeliveryId(1), "xmpp:mail", Kind.MESSAGE, "l", sender, "", MIRA, "s1", None, None, 0, False, 1.0
    )


async def test_who_leaves_is_parted_from_all_even_if_the_gateway_stops_in_between(here: Here) -> None:
    await here.knows(JANA)
    await here.rosters.update(MIRA)
    await here.desk.gateway.leave("mail", MIRA)
    again = Here(here.desk)
    again.server = here.server
    await here.rosters.part()
    assert here.server.items == {}
    for jid in (JANA_JID, "mail.localhost"):
        assert here.server.types(jid)[-3:] == ["unsubscribe", "unsubscribed", "unavailable"]
    assert await here.desk.gateway.rosters.partings("mail") == []


async def test_who_is_back_before_the_parting_keeps_the_transport_and_what_is_known_again(here: Here) -> None:
    await here.knows(JANA, TOM)
    await here.rosters.update(MIRA)
    await here.desk.gateway.leave("mail", MIRA)
    await here.desk.gateway.register("mail", MIRA, name="Mira")
    await here.knows(JANA)
    assert [one.local for one in await here.desk.gateway.rosters.partings("mail")] == [r"tom\40x.org"]


async def test_who_moves_is_parted_from_the_old_roster_and_comes_into_the_new(here: Here) -> None:
    await here.knows(JANA)
    await here.rosters.update(MIRA)
    await here.desk.store.do(moving.move, MIRA, "neu@localhost", 2.0)
    left = await here.desk.gateway.rosters.partings("mail")
    assert {(one.jid, one.local) for one in left} == {(MIRA, r"jana\40x.org"), (MIRA, "")}
    wanted = await here.desk.gateway.rosters.wanted("mail", "neu@localhost")
    assert [one.local for one in wanted] == [r"jana\40x.org"]


# --- blocks ---


async def test_a_block_at_the_users_server_is_told_from_absence_by_a_ping(here: Here) -> None:
    await here.knows(JANA)
    await here.desk.arrives("buy this")
    here.clients = [f"{MIRA}/phone"]
    suspicion = here.blocking.suspect(MIRA, r"jana\40x.org", "service-unavailable")
    assert suspicion is not None
    assert here.blocking.suspect(MIRA, r"jana\40x.org", "service-unavailable") is None, "one at a time"
    await suspicion()
    assert await here.desk.shown() == ["buy this"], "nobody is blocked: the user was away"
    here.server.blocks = {JANA_JID}
    suspicion = here.blocking.suspect(MIRA, r"jana\40x.org", "service-unavailable")
    assert suspicion is not None
    await suspicion()
    assert await here.desk.shown() == []
    await here.desk.arrives("buy that")
    assert await here.desk.shown() == []
    await here.blocking.recheck(MIRA)
    assert [one.standing for one in await here.known()] == ["blocked"]
    here.server.blocks = set()
    await here.blocking.recheck(MIRA)
    assert [one.standing for one in await here.known()] == ["allowed"]


async def test_a_block_of_the_users_own_is_not_lifted_by_the_server(here: Here) -> None:
    await here.knows(JANA)
    await here.desk.says(f"block {JANA}")
    here.clients = [f"{MIRA}/phone"]
    await here.blocking.recheck(MIRA)
    assert [one.standing for one in await here.known()] == ["blocked"]


async def test_a_server_that_blocks_the_whole_gateway_blocks_nobody_here(here: Here) -> None:
    await here.knows(JANA)
    here.clients = [f"{MIRA}/phone"]
    here.server.blocks = {JANA_JID, "mail.localhost"}
    suspicion = here.blocking.suspect(MIRA, r"jana\40x.org", "service-unavailable")
    assert suspicion is not None
    await suspicion()
    assert [one.standing for one in await here.known()] == ["allowed"]


# --- what presence tells ---

_NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday


@pytest.mark.parametrize(
    ("ago", "zone", "language", "text"),
    [
        (timedelta(minutes=5), UTC, "en", "last wrote 11:55"),
        (timedelta(minutes=5), timezone(timedelta(hours=2)), "en", "last wrote 13:55"),
        (timedelta(hours=13), UTC, "en", "last wrote Tue"),
        (timedelta(hours=13), timezone(timedelta(hours=2)), "en", "last wrote 01:00"),
        (timedelta(days=6), UTC, "en", "last wrote Thu"),
        (timedelta(days=7), UTC, "en", "last wrote 2026-11-11"),
        (timedelta(days=1), UTC, "de", "schrieb zuletzt Di"),
    ],
)
def test_when_somebody_wrote_is_said_as_people_say_it(
    ago: timedelta, zone: timezone, language: str, text: str
) -> None:
    assert moods.last_wrote(_NOON - ago.total_seconds(), _NOON, zone, language) == text


@pytest.mark.parametrize(
    ("offset", "hours"),
    [
        ("+02:00", 2.0),
        ("-09:30", -9.5),
        ("Z", 0.0),
        ("", None),
        ("+2", None),
        ("+99:00", None),
        ("CET", None),
    ],
)
def test_zones_are_read_as_clients_tell_them(offset: str, hours: float | None) -> None:
    zone = moods.zone_of(offset)
    away = zone.utcoffset(None) if zone is not None else None
    assert away == (timedelta(hours=hours) if hours is not None else None)


async def test_the_clock_of_a_client_counts_in_presence(here: Here) -> None:
    await here.knows(JANA)
    here.desk.clock.now = _NOON
    await here.desk.arrives(written_at=_NOON - 600)
    here.server.zone = "+05:30"
    visits = arrivals.Arrivals(
        here.desk.gateway.transports["mail"],
        here.desk.gateway,
        here.server,
        here.blocking,
        tells_time=True,
        clock_changed=here.presence.show_times,
    )
    came = here.presence.take(
        fromstring(f"<presence xmlns='jabber:component:accept' from='{MIRA}/r' to='mail.localhost'/>")
    )
    assert came is not None
    await came()
    await visits.visit(MIRA, f"{MIRA}/r")
    shown = [one for one in here.server.sent if one.get("from") == JANA_JID]
    assert shown[-1].findtext("status") == "last wrote 17:20"
    here.desk.clock.now += 86_400
    await here.presence.new_day()
    assert here.server.sent[-1].findtext("status") == "last wrote Wed"


async def test_trouble_is_told_when_it_lasts_and_its_end_as_well(here: Here) -> None:
    trouble = ""
    watch = Watch(here.presence, lambda: trouble, here.desk.clock)
    here.presence.take(fromstring("<presence/>"))
    trouble = "Our mail server cannot be reached just now."
    await watch.look()
    assert here.presence.trouble is None
    here.desk.clock.now += HOLDS
    await watch.look()
    told = fromstring(here.presence.transport_here(MIRA))
    assert (told.findtext("show"), "Our mail server" in (told.findtext("status") or "")) == ("xa", True)
    trouble = ""
    for _ in range(2):
        await watch.look()
        here.desk.clock.now += HOLDS
    assert fromstring(here.presence.transport_here(MIRA)).find("status") is None


def test_who_writes_on_and_on_gives_one_sign() -> None:
    now = 100.0
    signs = Signs(lambda: now)
    assert [signs.is_news(MIRA), signs.is_news(MIRA), signs.is_news("bob@localhost")] == [True, False, True]
    now += arrivals.SIGN_EVERY
    assert signs.is_news(MIRA)


async def test_a_client_that_takes_a_contact_for_a_room_is_refused(here: Here) -> None:
    asked = here.presence.take(
        fromstring(
            f"<presence from='{MIRA}/r' to='{JANA_JID}/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
    )
    assert asked is not None
    with pytest.raises(Denied) as refused:
        await asked()
    assert refused.value.condition == "service-unavailable"
