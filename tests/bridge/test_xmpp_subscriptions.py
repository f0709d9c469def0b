"""Presence and subscriptions stanza by stanza (RFC 6121 sections 3 and 4), with the shapes of clients."""

import re
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element, fromstring

import pytest

from bridge.xmpp import component as component_module
from bridge.xmpp import disco
from tests.bridge.xmpp_server import ScriptedServer
from tests.bridge.xmpp_stand_in import ALICE, RecordingGateway, Server, running, transport

MIRA = "mira@localhost"
GATEWAY = "mail.localhost"


@pytest.fixture
def gateway() -> RecordingGateway:
    return RecordingGateway()


@pytest.fixture
async def server(gateway: RecordingGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedServer]:
    """A chat server with our component on it; mira is registered and knows nobody."""
    monkeypatch.setattr(component_module, "GREETING_AFTER", 60.0)
    await gateway.register("mail", MIRA, name="Mira")
    async with ScriptedServer() as scripted, running(gateway, Server(scripted.port)) as component:
        assert await component.wait_connected(5)
        yield scripted


async def told(server: ScriptedServer, stanza: str, by: str = MIRA) -> list[Element]:
    """The presence stanzas that answer one. A ping after it shows that there are no more."""
    before = len(server.heard)
    server.say(stanza)
    await server.ask("<ping xmlns='urn:xmpp:ping'/>", by=f"{by}/probe", to=GATEWAY)
    found = re.findall(r"<presence [^>]*?(?:/>|>.*?</presence>)", server.heard[before:], re.DOTALL)
    return list(map(fromstring, found))


def kinds(stanzas: list[Element]) -> list[tuple[str | None, str]]:
    return [(one.get("from"), one.get("type") or "available") for one in stanzas]


async def test_a_contact_says_yes_asks_back_and_is_there(
    server: ScriptedServer, gateway: RecordingGateway
) -> None:
    # Gajim and Psi write whom they mean by name (XEP-0172) into the request.
    stanza = (
        f"<presence from='{MIRA}' to='{ALICE}' type='subscribe' id='p1'>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Mira</nick><status>May I?</status></presence>"
    )
    answers = await told(server, stanza)
    assert kinds(answers) == [(ALICE, "subscribed"), (ALICE, "subscribe"), (ALICE, "available")]
    assert {one.get("to") for one in answers} == {MIRA}
    available = answers[-1]
    assert available.findtext("show") == "away"
    shown = available.find("{http://jabber.org/protocol/caps}c")
    assert shown is not None
    assert shown.get("ver") == disco.describe(transport(), "alice").caps
    assert shown.get("hash") == "sha-1"
    again = await told(server, stanza)
    assert kinds(again)[0] == (ALICE, "subscribed"), "asked twice, answered twice (section 3.1.3)"


async def test_whoever_is_probed_answers_truly(server: ScriptedServer, gateway: RecordingGateway) -> None:
    await gateway.add_contact("mail", MIRA, r"alice\40example.com")
    probe = f"<presence from='{MIRA}' to='{{}}' type='probe'/>"
    assert kinds(await told(server, probe.format(ALICE))) == [(ALICE, "available")]
    assert kinds(await told(server, probe.format(GATEWAY))) == [(GATEWAY, "available")]
    nobody = rf"bob\40example.com@{GATEWAY}"
    assert kinds(await told(server, probe.format(nobody))) == [(nobody, "unsubscribed")]
    stranger = "<presence from='eve@localhost' to='{}' type='probe'/>"
    assert kinds(await told(server, stranger.format(ALICE), "eve@localhost")) == [(ALICE, "unsubscribed")]
    assert kinds(await told(server, stranger.format(GATEWAY), "eve@localhost")) == [(GATEWAY, "unsubscribed")]


async def test_the_gateway_itself_can_be_subscribed_to(server: ScriptedServer) -> None:
    answers = await told(server, f"<presence from='{MIRA}' to='{GATEWAY}' type='subscribe'/>")
    assert kinds(answers) == [(GATEWAY, "subscribed"), (GATEWAY, "subscribe"), (GATEWAY, "available")]
    assert answers[-1].find("show") is None
    refused = await told(
        server, f"<presence from='eve@localhost' to='{GATEWAY}' type='subscribe'/>", "eve@localhost"
    )
    assert kinds(refused) == [(GATEWAY, "error"), (GATEWAY, "unsubscribed")]


async def test_a_contact_that_is_given_up_goes_away(
    server: ScriptedServer, gateway: RecordingGateway
) -> None:
    await gateway.add_contact("mail", MIRA, r"alice\40example.com")
    answers = await told(server, f"<presence from='{MIRA}' to='{ALICE}' type='unsubscribe'/>")
    assert {("unsubscribed"), ("unavailable")} <= {kind for _, kind in kinds(answers)}
    assert await gateway.contacts_of("mail", MIRA) == []


@pytest.mark.parametrize(
    "stanza",
    [
        "<presence from='{user}/phone' to='{contact}'><show>dnd</show><priority>5</priority></presence>",
        "<presence from='{user}/phone' to='{contact}' type='unavailable'/>",
        "<presence from='{user}' to='{contact}' type='subscribed'/>",
        "<presence from='{user}' to='{contact}' type='unsubscribed'/>",
        "<presence from='{user}' to='{contact}' type='error'><error type='cancel'/></presence>",
        "<presence from='{user}' to='{contact}' type='unheard-of'/>",
        "<presence from='{user}' to='{contact}' type=''/>",
    ],
)
async def test_what_asks_for_nothing_is_answered_with_nothing(server: ScriptedServer, stanza: str) -> None:
    assert await told(server, stanza.format(user=MIRA, contact=ALICE)) == []
