"""The tree of commands and the dialogue over it, on a real record and without any stanza."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.commands import addressing, model, tree
from bridge.commands.dialogue import LASTS, Dialogue
from bridge.commands.model import Choice, Context, Field, Invalid, Kind, Refused, Step, Where, Who
from bridge.commands.services import Services
from bridge.gateway import Asked, Gateway, Transport, Written
from bridge.model import Address
from bridge.office import Office
from bridge.options import MEMO_INVITATION, MEMO_LIST, MEMO_OTHERS
from bridge.ports import Adapter, BadAddress, Capabilities
from bridge.store import claiming, people, recording
from bridge.store.engine import Store, database_url
from bridge.store.schema import migrate
from bridge.wishes import Wishes
from tests.bridge.records import Clock, incoming

MIRA, BOSS, NOBODY = "mira@localhost", "boss@localhost", "nobody@elsewhere"
MANY = ", ".join(f"P{number} <p{number}@x.org>" for number in range(1, 9))


class MailLike:
    """As much of an adapter as commands and recording ask for."""

    capabilities = Capabilities(identity=("gateway", "smtp"), subjects=True, reactions=True)

    def canonical(self, text: str) -> Address:
        local, at, domain = text.strip().rpartition("@")
        if not (local and at and "." in domain):
            raise BadAddress("That is no mail address.")
        return Address(text.strip().lower(), text.strip())

    def own_addresses(self, jid: str) -> Sequence[str]:
        return [f"{jid.partition('@')[0]}@chat.example"]


class Desk:
    """A gateway with its record, and a chat with its commands."""

    def __init__(self, store: Store, clock: Clock) -> None:
        transport = Transport(
            "mail", "mail.localhost", "secret", cast(Adapter, MailLike()), "Email", strangers="ask"
        )
        self.store = store
        self.clock = clock
        self.gateway = Gateway(store, {"mail": transport}, ["localhost"], clock=clock)
        wishes = Wishes(self.gateway, store, clock=clock)
        self.services = Services(wishes, Office(self.gateway, store, [BOSS], clock=clock))
        self.dialogue = Dialogue(clock)
        self._numbers = iter(range(1, 1000))

    async def context(self, jid: str = MIRA, chat: str = "", language: str = "") -> Context:
        return Context(
            self.services,
            "mail",
            jid,
            f"{jid}/phone",
            language or self.gateway.languages.of(jid),
            await self.gateway.line_of("mail", jid),
            local=chat.replace("@", "%"),
            address=chat,
            stanza_id=f"s{next(self._numbers)}",
        )

    async def says(self, text: str, jid: str = MIRA) -> str:
        return (await self.dialogue.at_gateway(await self.context(jid), text)).text

    async def in_chat(self, text: str, chat: str = "jana@x.org") -> str:
        return (await self.dialogue.in_chat(await self.context(chat=chat), text)).text

    async def arrives(self, body: str = "hi", sender: str = "jana@x.org", **more: Any) -> None:
        one = incoming(body, sender, **more)
        await self.store.do(recording.record_in, [one], self.gateway.grounds, self.clock())

    async def outbox(self, outlet: str = "mail") -> list[Any]:
        """What is to be delivered now."""
        lanes = await self.store.look(claiming.open_lanes, outlet)
        found = await self.store.look(claiming.claim, outlet, list(lanes), self.clock(), 50)
        deliveries = [one.delivery for batch in found.by_lane.values() for one in batch]
        return sorted(deliveries, key=lambda one: one.id)

    async def shown(self) -> list[str]:
        return [one.message.body for one in await self.outbox("xmpp:mail") if one.message is not None]

    async def told(self) -> list[str]:
        return [one.note.text for one in await self.outbox("xmpp:mail") if one.note is not None]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = database_url("sqlite", tmp_path)
    migrate(url)
    async with Store(url) as store:
        for jid in (MIRA, BOSS):
            await store.do(people.register, "mail", jid, "", [f"{jid.partition('@')[0]}@chat.example"], 1.0)
        yield Desk(store, Clock())


# --- the tree ---


def test_names_and_nodes_are_told_apart() -> None:
    for where in (Where.GATEWAY, Where.CHAT):
        names = [name for one in tree.TREE if one.is_typed(where) for name in one.every_name()]
        assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
        assert all(name == name.casefold() and " " not in name for name in names)
    nodes = [one.ad_hoc_node for one in tree.TREE]
    assert len(nodes) == len(set(nodes))


async def test_each_sees_what_is_theirs(desk: Desk) -> None:
    async def names(jid: str) -> set[str]:
        return {one.name for one in tree.offered(await desk.context(jid))}

    assert await names(NOBODY) == {"help", "register"}
    mira, boss = await names(MIRA), await names(BOSS)
    admins = {one.name for one in tree.TREE if one.who is Who.ADMIN}
    assert not mira & admins
    assert boss == mira | admins
    assert "verify" not in mira, "the transport takes no address of one's own"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("fnid", "find"), ("setings", "settings"), ("hilfr", "hilfe"), ("kontakt", "kontakte"), ("xyzzy", None)],
)
async def test_a_misspelled_word_is_understood_or_not(desk: Desk, typed: str, meant: str | None) -> None:
    found = tree.nearest(await desk.context(), typed, Where.GATEWAY)
    assert (found[1] if found else None) == meant


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (Field("x", "X"), "  a text ", "a text"),
        (Field("x", "X", required=False), "", ""),
        (Field("x", "X"), "", None),
        (Field("x", "X"), "y" * 5000, None),
        (Field("x", "X", Kind.BOOL), "Ja!", "1"),
        (Field("x", "X", Kind.BOOL), "false", "0"),
        (Field("x", "X", Kind.BOOL), "perhaps", None),
        (Field("x", "X", Kind.NUMBER, least=0, most=120), "30", "30"),
        (Field("x", "X", Kind.NUMBER, least=0, most=120), "121", None),
        (Field("x", "X", Kind.NUMBER), "-1", None),
        (Field("x", "X", Kind.NUMBER), "٣", None),
        (
            Field("x", "X", Kind.CHOICE, choices=(Choice("off", "not"), Choice("full", "all of it"))),
            "NOT",
            "off",
        ),
        (Field("x", "X", Kind.CHOICE, choices=(Choice("off", "not"),)), "on", None),
        (Field("x", "X", Kind.JID), "Mira@Example.org/phone", "mira@example.org"),
        (Field("x", "X", Kind.JID), "example.org", None),
        (Field("x", "X", Kind.LONG, required=False), "\na\n\nb\n", "a\n\nb"),
    ],
)
def test_fields_take_what_they_can_use(field: Field, text: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(Invalid):
            model.check(Step("", (field,)), {"x": text})
    else:
        assert model.check(Step("", (field,)), {"x": text}) == {"x": value}


# --- addresses as people type them ---


@pytest.mark.parametrize(
    ("typed", "address", "text"),
    [
        ("mum@gmail.com Running late", "mum@gmail.com", "Running late"),
        ("mum@gmail.com", "mum@gmail.com", ""),
        ("mailto:mum@gmail.com: hi", "mum@gmail.com", "hi"),
        ("Mum <mum@gmail.com> hi\nthere", "mum@gmail.com", "hi\nthere"),
        ("mum@gmx.at hi", "mum@gmx.at", "hi"),
        ("mum@gmail.com\nhi", "mum@gmail.com", "hi"),
    ],
)
def test_an_address_and_a_first_line_are_told_apart(typed: str, address: str, text: str) -> None:
    found = addressing.first_line(cast(Adapter, MailLike()), typed)
    assert found is not None
    assert (found.address, found.text) == (address, text)


@pytest.mark.parametrize("typed", ["mum@gmial.com hi", "mum@hotmial.com", "mum@nowhere hi"])
def test_a_slip_of_the_finger_is_asked_about(typed: str) -> None:
    with pytest.raises(Refused):
        addressing.first_line(cast(Adapter, MailLike()), typed)


@pytest.mark.parametrize("typed", ["hello there", "find mum@gmail.com", "what about mum@gmail.com?", ""])
def test_other_text_is_no_address(typed: str) -> None:
    assert addressing.first_line(cast(Adapter, MailLike()), typed) is None


class PhoneLike(MailLike):
    capabilities = Capabilities(identity=("gateway", "sms"))

    def canonical(self, text: str) -> Address:
        number = re.sub(r"[^\d+]", "", text)
        return Address(number, text)


@pytest.mark.parametrize(
    ("typed", "address", "text"),
    [
        ("+1 (202) 555-0142 The tap drips", "+12025550142", "The tap drips"),
        ("+12025550142: 5 o'clock?", None, None),
        ("2025550142 hi", "2025550142", "hi"),
        ("tel:+12025550142 hi", "+12025550142", "hi"),
    ],
)
def test_a_number_ends_where_the_text_begins(typed: str, address: str | None, text: str | None) -> None:
    found = addressing.first_line(cast(Adapter, PhoneLike()), typed)
    assert (found.address, found.text) == (address, text) if found is not None else address is None


# --- the dialogue ---


async def test_what_is_missing_is_asked_and_the_answer_goes_on(desk: Desk) -> None:
    assert "word" in await desk.says("find")
    assert "Nothing found with “flat”" in await desk.says("flat")
    assert "Address" in await desk.says("add")
    assert "changed" in await desk.says("cancel")
    await desk.says("add")
    assert "no mail address" in await desk.says("nonsense")


async def test_a_question_lasts_for_five_minutes(desk: Desk) -> None:
    assert "cannot be undone" in await desk.says("leave")
    desk.clock.now += LASTS + 1
    assert "do not understand" in await desk.says("yes")
    assert await desk.gateway.line_of("mail", MIRA) is not None


async def test_another_command_takes_the_place_of_a_question(desk: Desk) -> None:
    await desk.says("find")
    assert "no contacts yet" in await desk.says("contacts")
    await desk.says("leave")
    assert "no contacts yet" in await desk.says("contacts")
    assert "do not understand" in await desk.says("yes"), "the question is gone"


async def test_dangerous_words_must_be_spelled_right(desk: Desk) -> None:
    assert "Did you mean leave" in await desk.says("leav")
    assert "Did you mean block" in await desk.says("blcok all")


async def test_a_language_is_learnt_from_commands_and_a_choice_stays(desk: Desk) -> None:
    assert "noch keine Kontakte" in await desk.says("kontakte")
    line = await desk.gateway.line_of("mail", MIRA)
    assert line is not None
    assert line.language == "de"
    assert "no contacts yet" in await desk.says("contacts")
    assert "Gespeichert" in await desk.says("settings language de")
    assert "noch keine Kontakte" in await desk.says("contacts")


async def test_an_answer_to_all_beyond_five_people_is_asked_about_first(desk: Desk) -> None:
    await desk.arrives("party!", memo={MEMO_OTHERS: MANY})
    assert "Reaches 8 people (P1, P2, +6). /yes within 5 minutes." in await desk.in_chat("/all I come")
    assert await desk.outbox() == []
    await desk.in_chat("/yes")
    (sent,) = await desk.outbox()
    assert (sent.message.body, sent.message.options) == ("I come", {"all": "1"})
    assert "nothing to answer" in await desk.in_chat("/all hi", "tom@x.org")


async def test_an_answer_to_few_goes_at_once_and_no_ends_the_question(desk: Desk) -> None:
    await desk.arrives("party!", memo={MEMO_OTHERS: "Tom <tom@x.org>"})
    await desk.in_chat("/all I come")
    assert len(await desk.outbox()) == 1
    await desk.arrives("again!", memo={MEMO_OTHERS: MANY})
    await desk.in_chat("/all me too")
    assert "Nothing was sent" in await desk.in_chat("/no")
    assert len(await desk.outbox()) == 1


async def test_invitations_are_answered_and_nothing_else_is(desk: Desk) -> None:
    await desk.arrives("no invitation")
    assert "no invitation" in await desk.in_chat("/yes")
    await desk.arrives("come!", memo={MEMO_INVITATION: "1"})
    await desk.in_chat("/maybe")
    (sent,) = await desk.outbox()
    assert sent.message.options == {"rsvp": "tentative"}
    assert sent.message.answered is not None


async def test_a_private_answer_finds_people_by_their_first_name(desk: Desk) -> None:
    await desk.arrives(
        "party!", memo={MEMO_OTHERS: "Tom Ray <tom@x.org>, Eva <eva@x.org>", "from": "Jana <jana@x.org>"}
    )
    assert "tom@x.org" in await desk.in_chat("/to Tom between us")
    (sent,) = await desk.outbox()
    assert (sent.recipient, sent.message.body) == ("tom@x.org", "between us")
    assert "not clear" in await desk.in_chat("/to Otto hi")


@pytest.mark.parametrize(
    "text",
    [
        "/al hi",
        "/",
        "/etc/passwd",
        "/all",
        "/cc",
        "/cc nonsense hi",
        "/to x",
        "/react no",
        "/ help",
        "/leave",
    ],
)
async def test_a_slash_that_says_nothing_good_sends_nothing(desk: Desk, text: str) -> None:
    assert await desk.in_chat(text)
    assert await desk.outbox() == []


async def test_a_mailing_list_asks_before_the_first_post(desk: Desk) -> None:
    await desk.says("accept debian@lists.example")
    await desk.arrives("news", "debian@lists.example", memo={MEMO_LIST: "debian-user"})
    line = Written(MIRA, f"{MIRA}/phone", "debian%lists.example", "s-list", "my question")
    (verdict,) = await desk.gateway.carry_out("mail", [line])
    assert isinstance(verdict, Asked)
    assert "debian-user" in verdict.text
    assert await desk.outbox() == []
    (verdict,) = await desk.gateway.carry_out("mail", [replace(line, options={"posts": "1"})])
    assert verdict is None
    (verdict,) = await desk.gateway.carry_out("mail", [replace(line, stanza_id="s2", body="and another")])
    assert verdict is None
    assert len(await desk.outbox()) == 2


# --- strangers ---


async def test_a_decision_lets_go_in_order_or_drops(desk: Desk) -> None:
    for number in (1, 2, 3):
        await desk.arrives(f"jana {number}")
    await desk.arrives("tom 1", "tom@x.org")
    assert await desk.shown() == []
    assert "✉ jana@x.org" in (await desk.told())[0]
    assert "There is no number 7" in await desk.says("accept 7")
    assert "3 messages are coming" in await desk.says("accept 1")
    assert await desk.shown() == ["jana 1", "jana 2", "jana 3"]
    assert "Blocked: tom@x.org" in await desk.says("block rest")
    await desk.arrives("tom 2", "tom@x.org")
    assert await desk.shown() == ["jana 1", "jana 2", "jana 3"]
    assert "may write to you again" in await desk.says("unblock tom@x.org")
    await desk.arrives("tom 3", "tom@x.org")
    assert (await desk.shown())[-1] == "tom 3"


async def test_the_policy_can_be_changed_and_what_waited_follows(desk: Desk) -> None:
    await desk.arrives("held")
    await desk.says("settings strangers contacts")
    await desk.arrives("silent", "tom@x.org")
    assert len(await desk.told()) == 1
    await desk.says("settings strangers everyone")
    assert await desk.shown() == ["held", "silent"]


async def test_muting_and_pausing_keep_what_comes(desk: Desk) -> None:
    await desk.says("add jana@x.org")
    await desk.in_chat("/mute")
    await desk.arrives("one")
    assert await desk.shown() == []
    await desk.says("pause")
    await desk.in_chat("/unmute")
    assert await desk.shown() == []
    await desk.arrives("two")
    await desk.says("resume")
    assert await desk.shown() == ["one", "two"]


async def test_writing_to_a_stranger_lets_them_in(desk: Desk) -> None:
    await desk.arrives("may I?")
    await desk.says("jana@x.org of course")
    assert await desk.shown() == ["may I?"]
    await desk.arrives("thanks")
    assert await desk.shown() == ["may I?", "thanks"]


async def test_what_is_held_is_not_found_by_a_search(desk: Desk) -> None:
    await desk.arrives("buy this pill")
    assert "Nothing found" in await desk.says("find pill")
    await desk.says("accept all")
    assert "pill" in await desk.says("find PILL")


async def test_after_a_wave_numbers_begin_anew(desk: Desk) -> None:
    for number in range(3):
        await desk.arrives("x", f"s{number}@x.org")
    desk.clock.now += 61
    gathered = (await desk.told())[-1]
    assert gathered.startswith("3 new senders:")
    assert "block rest" in gathered
    await desk.says("block all")
    desk.clock.now += 61
    await desk.arrives("y", "later@x.org")
    assert "accept 1 or block 1" in (await desk.told())[-1]
