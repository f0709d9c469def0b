"""What the gateway and its contacts say they are, as stanzas; and the capabilities' hash by other means."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from xml.etree.ElementTree import Element, fromstring

import pytest
from slixmpp import ComponentXMPP
from slixmpp.plugins.xep_0030.stanza import DiscoInfo

from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.ports import Adapter, Capabilities
from bridge.xmpp import caps, disco
from bridge.xmpp.component import Component
from tests.bridge.xmpp_server import ScriptedServer
from tests.bridge.xmpp_stand_in import ALICE, PlainAdapter, RecordingGateway, Server, transport

MIRA = "mira@localhost/phone"
GATEWAY = "mail.localhost"
INFO = "http://jabber.org/protocol/disco#info"
FORM = "{jabber:x:data}"


class Able(PlainAdapter):
    """An adapter that can do all there is."""

    def __init__(self, identity: tuple[str, str] = ("gateway", "smtp")) -> None:
        super().__init__(identity)
        self.capabilities = Capabilities(identity=identity, subjects=True, attachments=True, reactions=True)


def told(**more: Any) -> Transport:
    plain = replace(transport(), adapter=cast(Adapter, Able()))
    return replace(plain, helpers=("mailto:help@example.org", "xmpp:boss@localhost"), kept_hours=720, **more)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A chat server with our component on it."""
    async with (
        ScriptedServer() as scripted,
        Component(told(), cast(Gateway, RecordingGateway()), Server(scripted.port)).running() as component,
    ):
        assert await component.wait_connected(5)
        yield scripted


async def ask(server: ScriptedServer, payload: str, to: str = GATEWAY, kind: str = "get") -> Element:
    return await server.ask(payload, by=MIRA, to=to, kind=kind)


def condition(answer: Element) -> str:
    assert answer.get("type") == "error"
    return next(one.tag.rpartition("}")[2] for one in answer.iter() if "xmpp-stanzas" in one.tag)


def features(answer: Element) -> set[str]:
    return {one.get("var", "") for one in answer.iter(f"{{{INFO}}}feature")}


def forms(answer: Element) -> dict[str, dict[str, list[str]]]:
    found = {}
    for form in answer.iter(f"{FORM}x"):
        assert form.get("type") == "result"
        fields = {
            field.get("var", ""): [value.text or "" for value in field.iter(f"{FORM}value")]
            for field in form.iter(f"{FORM}field")
        }
        found[fields.pop("FORM_TYPE")[0]] = fields
    return found


async def test_the_gateway_is_the_same_under_its_other_name(server: ScriptedServer) -> None:
    first = await ask(server, f"<query xmlns='{INFO}'/>")
    other = await ask(server, f"<query xmlns='{INFO}'/>", to=f"help@{GATEWAY}")
    assert features(other) == features(first)
    (identity,) = other.iter(f"{{{INFO}}}identity")
    assert identity.get("category") == "gateway"


async def test_the_gateway_says_what_it_is_whom_to_ask_and_what_it_keeps(server: ScriptedServer) -> None:
    answer = await ask(server, f"<query xmlns='{INFO}'/>")
    (identity,) = answer.iter(f"{{{INFO}}}identity")
    assert dict(identity.attrib) == {"category": "gateway", "type": "smtp", "name": "Email"}
    assert {"jabber:iq:register", "urn:xmpp:ping", "jabber:iq:version", INFO} <= features(answer)
    found = forms(answer)
    assert found["http://jabber.org/network/serverinfo"]["admin-addresses"] == [
        "mailto:help@example.org",
        "xmpp:boss@localhost",
    ]
    assert found["urn:xmpp:data-policy:0"]["data_retention"] == ["720"]
    assert found["urn:xmpp:data-policy:identity:gateway:smtp:0"]["data_transmission"] == ["plain"]


def test_an_export_is_promised_only_where_a_file_can_surely_be_given() -> None:
    def promised(**more: bool) -> bool:
        about = dict(disco.describe(told(**more), "").forms)
        return "data_export" in dict(about[disco.DATA_POLICY])

    assert (promised(), promised(exports=True)) == (False, True)


async def test_a_contact_says_what_can_be_done_in_its_chat(server: ScriptedServer) -> None:
    answer = await ask(server, f"<query xmlns='{INFO}'/>", ALICE)
    (identity,) = answer.iter(f"{{{INFO}}}identity")
    assert dict(identity.attrib) == {"category": "account", "type": "registered"}
    assert {"urn:xmpp:receipts", "jabber:x:oob", "urn:xmpp:reply:0", "urn:xmpp:reactions:0"} <= features(
        answer
    )
    assert "jabber:iq:register" not in features(answer)
    # XEP-0444 section 2.2: Gajim replaces the reaction instead of adding one.
    assert forms(answer)["urn:xmpp:reactions:0:restrictions"] == {"max_reactions_per_user": ["1"]}


def test_phones_are_phones_and_announce_no_more_than_their_transport_can() -> None:
    plain = disco.describe(transport(identity=("gateway", "sms")), "+15551234567")
    assert (plain.category, plain.type) == ("client", "sms")
    assert not {"urn:xmpp:reactions:0", "urn:xmpp:reply:0", "jabber:x:oob"} & set(plain.features)
    assert plain.forms == ()


class OneWay(Able):
    def is_one_way(self, address: str) -> bool:
        return address == "mybank"


def test_whom_nobody_can_answer_says_so() -> None:
    """XEP-0506, and no promise of what belongs to a conversation."""
    sms = replace(told(), adapter=cast(Adapter, OneWay(("gateway", "sms"))))
    shown = disco.Shown(sms)
    assert "urn:xmpp:noreply:0" in shown.described("mybank").features
    assert "urn:xmpp:receipts" not in shown.described("mybank").features
    for local in ("", "+15551234567", "mybanker"):
        assert "urn:xmpp:noreply:0" not in shown.described(local).features
    assert shown.caps("mybank") != shown.caps("+15551234567") == shown.caps("mybanker")


@pytest.mark.parametrize("local", ["", "somebody"])
async def test_the_hash_is_what_another_program_computes(local: str) -> None:
    """slixmpp's own computation, from the stanza that we send."""
    described = disco.describe(told(), local)
    other = ComponentXMPP("other.localhost", "secret", "127.0.0.1", 1)
    other.register_plugin("xep_0004")
    other.register_plugin("xep_0115")
    info = DiscoInfo(fromstring(disco.written(described)))
    assert other.plugin["xep_0115"].generate_verstring(info, "sha-1") == described.caps


def test_the_hash_is_that_of_the_specifications_examples() -> None:
    exodus = [("client", "pc", "", "Exodus 0.9.1")]
    common = ["http://jabber.org/protocol/caps", INFO]
    common += ["http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc"]
    assert caps.verification(exodus, common) == "QgayPKawpkPSDYmwT/WM94uAlu0="  # XEP-0115 section 5.2
    psi = [("client", "pc", "en", "Psi 0.11"), ("client", "pc", "el", "Ψ 0.11")]
    software = (
        ("ip_version", ("ipv6", "ipv4")),
        ("os", ("Mac",)),
        ("os_version", ("10.5.1",)),
        ("software", ("Psi",)),
        ("software_version", ("0.11",)),
    )
    form = ("urn:xmpp:dataforms:softwareinfo", software)
    assert caps.verification(psi, common, [form]) == "q07IKJEyjvHSyhy//CH0CxmKi8w="  # section 5.3


@pytest.mark.parametrize("to", [GATEWAY, ALICE])
async def test_what_presence_promises_is_found_at_its_node(server: ScriptedServer, to: str) -> None:
    shown = fromstring(disco.Shown(told()).caps("" if to == GATEWAY else "alice"))
    node = f"{shown.get('node')}#{shown.get('ver')}"
    answer = await ask(server, f"<query xmlns='{INFO}' node='{node}'/>", to)
    query = answer.find(f"{{{INFO}}}query")
    assert query is not None
    assert query.get("node") == node
    assert features(answer) == features(await ask(server, f"<query xmlns='{INFO}'/>", to))
    assert condition(await ask(server, f"<query xmlns='{INFO}' node='{node}x'/>", to)) == "item-not-found"


@pytest.mark.parametrize("to", [GATEWAY, ALICE, f"{ALICE}/anywhere", "no-address@mail.localhost"])
async def test_every_jid_answers_pings_and_tells_its_version(server: ScriptedServer, to: str) -> None:
    assert (await ask(server, "<ping xmlns='urn:xmpp:ping'/>", to)).get("type") == "result"
    version = await ask(server, "<query xmlns='jabber:iq:version'/>", to)
    assert version.findtext("{jabber:iq:version}query/{jabber:iq:version}name") == "Passerelle"
    assert version.findtext("{jabber:iq:version}query/{jabber:iq:version}version")
    items = await ask(server, "<query xmlns='http://jabber.org/protocol/disco#items'/>", to)
    assert items.get("type") == "result"


@pytest.mark.parametrize(
    ("payload", "kind", "expected"),
    [
        ("<query xmlns='urn:example:unheard-of'/>", "get", "service-unavailable"),
        ("<query xmlns='jabber:iq:last'/>", "get", "service-unavailable"),
        ("<query xmlns='jabber:iq:roster'/>", "set", "service-unavailable"),
        ("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate'/>", "set", "service-unavailable"),
        ("", "get", "bad-request"),
        ("<a xmlns='urn:x'/><b xmlns='urn:x'/>", "set", "bad-request"),
        (f"<query xmlns='{INFO}'/>", "set", "not-allowed"),
        ("<ping xmlns='urn:xmpp:ping'/>", "set", "not-allowed"),
        (f"<query xmlns='{INFO}' node='urn:example'/>", "get", "item-not-found"),
        ("<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>", "get", "item-not-found"),
    ],
)
@pytest.mark.parametrize("to", [GATEWAY, ALICE])
async def test_what_is_not_served_is_said_to_be_so(
    server: ScriptedServer, to: str, payload: str, kind: str, expected: str
) -> None:
    assert condition(await ask(server, payload, to, kind)) == expected


async def test_results_and_errors_are_answered_by_nobody(server: ScriptedServer) -> None:
    for kind in ("result", "error", "unheard-of", ""):
        server.say(f"<iq from='{MIRA}' to='{GATEWAY}' type='{kind}' id='stray-{kind}'/>")
    await ask(server, "<ping xmlns='urn:xmpp:ping'/>")
    assert "stray-" not in server.heard
