"""Ad-hoc commands stanza by stanza: what goes over the wire, sessions, and what is wrong with requests."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, fromstring

import pytest

from bridge.events import Denied
from bridge.store.engine import database_url
from bridge.xmpp import adhoc
from bridge.xmpp.adhoc import LASTS, AdHoc
from bridge.xmpp.bot import Bot
from bridge.xmpp.pipeline import Pipeline
from bridge.xmpp.presence import Presence
from tests.bridge.desk import BOSS, MIRA, NOBODY, Desk, a_desk
from tests.bridge.records import Clock
from tests.bridge.xmpp_stand_in import rosters

FORM = "{jabber:x:data}"
ADMIN = "http://jabber.org/protocol/admin#"
COMMAND = adhoc.COMMAND
_SPACE = f"{{{adhoc.NAMESPACE}}}"


class Wire:
    """Collects what is sent, and hands requests in."""

    def __init__(self, desk: Desk) -> None:
        self.sent: list[Element] = []
        self.clock = Clock()
        transport = desk.gateway.transports["mail"]
        presence = Presence(transport, desk.gateway, self)
        self.rosters = rosters(transport, desk.gateway, presence, self)
        pipeline = cast(Pipeline, None)  # forms wait for no line
        bot = Bot(transport, desk.gateway, desk.services, self, presence, self.rosters, pipeline, desk.clock)
        self.adhoc = AdHoc(transport, desk.gateway, desk.services, self, bot, self.clock)

    def reply(self, *stanzas: str) -> None:
        self.sent += map(fromstring, stanzas)

    async def paced(self, stanzas: Iterable[str]) -> None:
        self.reply(*stanzas)

    async def ask(
        self,
        node: str,
        *,
        by: str = MIRA,
        to: str = "mail.localhost",
        session: str = "",
        action: str = "",
        language: str = "",
        **values: str,
    ) -> Element:
        """One request; the answering IQ."""
        fields = "".join(
            f"<field var='{name}'><value>{text}</value></field>" for name, text in values.items()
        )
        form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>" if values else ""
        about = f" sessionid='{session}'" if session else ""
        about += f" action='{action}'" if action else ""
        lang = f" xml:lang='{language}'" if language else ""
        request = fromstring(
            f"<iq from='{by}/phone' to='{to}' type='set' id='q1'{lang}>"
            f"<command xmlns='{adhoc.NAMESPACE}' node='{node}'{about}>{form}</command></iq>"
        )
        before = len(self.sent)
        await self.adhoc.handle(request)
        answer = self.sent[before]
        assert (answer.get("id"), answer.get("to"), answer.get("from")) == ("q1", f"{by}/phone", to)
        return answer


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(database_url("sqlite", tmp_path)) as here:
        yield here


@pytest.fixture
def wire(desk: Desk) -> Wire:
    return Wire(desk)


def command(answer: Element) -> Element:
    assert answer.get("type") == "result", answer
    return answer[0]


def fields(answer: Element) -> dict[str, str]:
    return {f.get("var", ""): f.findtext(f"{FORM}value") or "" for f in answer.iter(f"{FORM}field")}


def note(answer: Element) -> tuple[str, str]:
    found = command(answer).find(f"{_SPACE}note")
    return ("", "") if found is None else (found.get("type", ""), found.text or "")


def conditions(answer: Element) -> list[str]:
    assert answer.get("type") == "error"
    return [child.tag.rpartition("}")[2] for child in answer[0] if not child.tag.endswith("}text")]


async def test_a_command_without_questions_is_completed_at_once(desk: Desk, wire: Wire) -> None:
    await desk.says("add jana@x.org Jana & <Co>")
    answer = await wire.ask("contacts")
    assert command(answer).get("status") == "completed"
    assert "jana@x.org" in note(answer)[1]
    rows = [[v.text for v in item.iter(f"{FORM}value")] for item in answer.iter(f"{FORM}item")]
    assert rows == [["jana@x.org", "Jana & <Co>", None]]
    assert [f.get("var") for f in next(answer.iter(f"{FORM}reported"))] == ["address", "name", "standing"]


async def test_commands_are_the_gateways_under_its_other_name_too(desk: Desk, wire: Wire) -> None:
    await desk.says("add jana@x.org")
    answer = await wire.ask("contacts", to="help@mail.localhost")
    assert "jana@x.org" in note(answer)[1]


async def test_a_form_says_what_it_takes(wire: Wire) -> None:
    answer = await wire.ask("settings")
    assert command(answer).get("status") == "executing"
    actions = command(answer).find(f"{_SPACE}actions")
    assert actions is not None
    assert (actions.get("execute"), [a.tag for a in actions]) == ("complete", [f"{_SPACE}complete"])
    by_name = {f.get("var"): f for f in answer.iter(f"{FORM}field")}
    seconds = by_name["coalesce"].find("{http://jabber.org/protocol/xdata-validate}validate")
    assert seconds is not None
    assert seconds.get("datatype") == "xs:integer"
    assert dict(seconds[0].attrib) == {"min": "0", "max": "120"}
    assert [o[0].text for o in by_name["quote"].iter(f"{FORM}option")] == ["off", "short", "full"]
    assert by_name["signature"].get("type") == "text-multi"


async def test_what_is_wrong_in_a_form_is_said_beside_it_and_stays_filled_in(wire: Wire) -> None:
    first = await wire.ask("add")
    session = command(first).get("sessionid", "")
    wrong = await wire.ask("add", session=session, action="complete", address="nonsense", name="Jana")
    assert command(wrong).get("status") == "executing"
    assert note(wrong)[0] == "error"
    assert fields(wrong) == {"address": "nonsense", "name": "Jana"}
    right = await wire.ask("add", session=session, action="complete", address="jana@x.org", name="Jana")
    assert command(right).get("status") == "completed"
    asked = wire.sent[-1]
    assert (asked.tag, asked.get("type"), asked.get("to")) == ("presence", "subscribe", MIRA)


async def test_admins_forms_are_those_of_the_specification(wire: Wire) -> None:
    answer = await wire.ask(f"{ADMIN}delete-user", by=BOSS)
    assert fields(answer)["FORM_TYPE"] == "http://jabber.org/protocol/admin"
    listed = await wire.ask(f"{ADMIN}get-registered-users-list", by=BOSS)
    jids = next(f for f in listed.iter(f"{FORM}field") if f.get("var") == "registereduserjids")
    assert [value.text for value in jids] == [BOSS, MIRA]


async def test_texts_are_in_the_language_of_who_asks(desk: Desk, wire: Wire) -> None:
    await desk.says("settings language de")
    answer = await wire.ask("find")
    assert next(answer.iter(f"{FORM}title")).text == "Suchen"
    desk.gateway.languages.forget(MIRA)
    assert next((await wire.ask("find", language="de-AT")).iter(f"{FORM}title")).text == "Suchen"
    assert next((await wire.ask("find", language="fr")).iter(f"{FORM}title")).text == "Find"


async def test_a_form_is_its_owners_and_expires(desk: Desk, wire: Wire) -> None:
    session = command(await wire.ask("find")).get("sessionid", "")
    stolen = await wire.ask("find", by=BOSS, session=session, word="x")
    assert conditions(stolen) == ["not-allowed", "session-expired"]
    wire.clock.now += LASTS + 1
    late = await wire.ask("find", session=session, word="x")
    assert conditions(late) == ["not-allowed", "session-expired"]


async def test_wrong_requests_get_the_errors_of_the_specification(wire: Wire) -> None:
    session = command(await wire.ask("find")).get("sessionid", "")
    assert conditions(await wire.ask("find", action="dance")) == ["bad-request", "malformed-action"]
    assert conditions(await wire.ask("find", session=session, action="prev")) == ["bad-request", "bad-action"]
    assert conditions(await wire.ask("find", session=session, action="next")) == [
        "bad-request",
        "bad-payload",
    ]
    for node, by, condition in (
        ("unheard-of", MIRA, "item-not-found"),
        ("cc", MIRA, "item-not-found"),
        ("queue", MIRA, "forbidden"),
        ("contacts", NOBODY, "registration-required"),
    ):
        with pytest.raises(Denied) as refused:
            await wire.ask(node, by=by)
        assert refused.value.condition == condition, node


async def test_a_client_that_opens_forms_without_end_keeps_the_last_ones(wire: Wire) -> None:
    sessions = [command(await wire.ask("find")).get("sessionid", "") for _ in range(12)]
    assert conditions(await wire.ask("find", session=sessions[0], word="x"))[0] == "not-allowed"
    assert command(await wire.ask("find", session=sessions[-1], word="x")).get("status") == "completed"


async def test_strangers_by_the_thousand_push_nobody_out(desk: Desk, wire: Wire) -> None:
    """A server out there can invent as many of them as it likes."""
    mine = command(await wire.ask("find")).get("sessionid", "")
    for number in range(1_100):
        await wire.ask("register", by=f"bot{number}@evil.example")
    assert len(wire.adhoc._sessions) <= 101
    assert command(await wire.ask("find", session=mine, word="x")).get("status") == "completed"


async def test_what_is_too_long_is_neither_taken_nor_kept(wire: Wire) -> None:
    session = command(await wire.ask("add")).get("sessionid", "")
    answer = await wire.ask("add", session=session, address="a" * 300_000, name="Jana")
    assert "too long" in note(answer)[1]
    assert len(fields(answer)["address"]) < 5_000


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("<x xmlns='jabber:x:data' type='form'/>", "bad-payload"),
        ("<x xmlns='jabber:x:data'/>", "bad-payload"),
        (
            "<x xmlns='jabber:x:data' type='result'><field var='word'><value>x</value></field></x>",
            "bad-payload",
        ),
        ("<x xmlns='urn:example' type='submit'/>", "bad-payload"),
        ("", "bad-payload"),
        ("<x xmlns='jabber:x:data' type='submit'/>", "executing"),
        ("<x xmlns='jabber:x:data' type='submit'><field/><field var='word'/></x>", "executing"),
        ("<x xmlns='jabber:x:data' type='submit'><field var='word'><value/></field></x>", "executing"),
        (
            "<x xmlns='jabber:x:data' type='submit'><field var='word' type='hidden'><value>x</value></field>"
            "</x>",
            "completed",
        ),
        ("<x xmlns='jabber:x:data' type='cancel'/>", "canceled"),
    ],
)
async def test_forms_of_every_kind_of_wrongness(wire: Wire, form: str, expected: str) -> None:
    session = command(await wire.ask("find")).get("sessionid", "")
    request = fromstring(
        f"<iq from='{MIRA}/phone' to='mail.localhost' type='set' id='q9'>"
        f"<command xmlns='{adhoc.NAMESPACE}' node='find' sessionid='{session}'>{form}</command></iq>"
    )
    await wire.adhoc.handle(request)
    answer = wire.sent[-1]
    if answer.get("type") == "error":
        assert conditions(answer) == ["bad-request", expected]
    else:
        assert command(answer).get("status") == expected


async def test_a_command_is_set_and_not_asked_for(wire: Wire) -> None:
    request = fromstring(
        f"<iq from='{MIRA}/phone' to='mail.localhost' type='get' id='q9'>"
        f"<command xmlns='{adhoc.NAMESPACE}' node='contacts'/></iq>"
    )
    await wire.adhoc.handle(request)
    assert conditions(wire.sent[-1]) == ["bad-request"]


async def test_several_users_are_removed_with_one_form(wire: Wire, desk: Desk) -> None:
    """XEP-0133 section 4.2: jid-multi."""
    node = f"{ADMIN}delete-user"
    first = await wire.ask(node, by=BOSS)
    (asked,) = (f for f in first.iter(f"{FORM}field") if f.get("var") == "accountjids")
    assert asked.get("type") == "jid-multi"
    session = command(first).get("sessionid", "")
    sure = await wire.ask(node, by=BOSS, session=session, accountjids=f"{MIRA}\n{BOSS}")
    assert MIRA in (next(sure.iter(f"{FORM}instructions")).text or "")
    done = await wire.ask(node, by=BOSS, session=session, sure="true")
    assert note(done)[1].count("is removed from mail") == 2
    assert await desk.gateway.users_of("mail") == []
    await wire.rosters.part()
    ends = {(one.get("to"), one.get("type")) for one in wire.sent if one.tag == "presence"}
    assert (MIRA, "unsubscribed") in ends, "the roster of who was removed is cleaned, too"


async def test_leaving_by_form_ends_every_subscription(desk: Desk, wire: Wire) -> None:
    await desk.says("add jana@x.org")
    session = command(await wire.ask("leave")).get("sessionid", "")
    done = await wire.ask("leave", session=session, action="complete", sure="1")
    assert command(done).get("status") == "completed"
    await wire.rosters.part()
    ends = {(one.get("from"), one.get("type")) for one in wire.sent if one.tag == "presence"}
    for jid in (r"jana\40x.org@mail.localhost", "mail.localhost"):
        assert {(jid, kind) for kind in ("unsubscribe", "unsubscribed", "unavailable")} <= ends


async def test_a_contacts_jid_offers_what_can_be_done_in_its_chat(desk: Desk, wire: Wire) -> None:
    jid = r"jana\40x.org@mail.localhost"
    await desk.says("add jana@x.org")
    session = command(await wire.ask("mute", to=jid)).get("sessionid", "")
    done = await wire.ask("mute", to=jid, session=session, until="")
    assert "Muted" in note(done)[1]
    with pytest.raises(Denied):
        await wire.ask("settings", to=jid)
