"""A component against a far end that misbehaves on command."""

import asyncio
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from bridge.events import ClientError, Written
from bridge.model import Kind
from bridge.ports import Refused, Scope, Sent, TryLater
from bridge.xmpp import component as component_module
from bridge.xmpp import stanzas, stream
from bridge.xmpp.component import next_pause
from bridge.xmpp.outlet import XmppOutlet
from bridge.xmpp.stream import Ended
from tests.bridge.xmpp_server import ScriptedServer
from tests.bridge.xmpp_stand_in import ALICE, NOW, RecordingGateway, Server, delivery, running

MIRA = "mira@localhost"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture(autouse=True)
def short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PROOF", 0.3)


def bounce(stanza_id: str, condition: str, to: str = MIRA, error_type: str = "cancel") -> str:
    return (
        f"<message from='{to}' to='{ALICE}' id='{stanza_id}' type='error'><error type='{error_type}'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )


def chat(stanza_id: str, body: str) -> str:
    return f"<message from='{MIRA}/r' to='{ALICE}' id='{stanza_id}' type='chat'><body>{body}</body></message>"


@pytest.mark.parametrize(
    ("pause", "ended", "expected"),
    [
        (0.125, None, 0.25),
        (0.25, None, 0.5),
        (8.0, None, 15.0),
        (15.0, None, 15.0),
        (15.0, Ended(established=True, clean=False), 0.25),
        (15.0, Ended(established=False, clean=True, condition="conflict"), 1.0),
        (2.0, Ended(established=False, clean=True, condition="not-authorized"), 4.0),
    ],
)
def test_the_pause_before_another_try_grows_and_is_capped(
    pause: float, ended: Ended | None, expected: float
) -> None:
    assert next_pause(pause, ended) == expected


async def test_a_batch_is_sent_when_the_ping_is_answered(server: ScriptedServer) -> None:
    async with running(RecordingGateway(), Server(server.port)) as line:
        outlet = XmppOutlet(line, clock=lambda: NOW)
        fates = await outlet.send([delivery(1, MIRA), delivery(2, f"{MIRA}/r")])
    assert fates == {1: Sent(), 2: Sent()}
    assert server.heard.index("id='s1'") < server.heard.index("id='s2'") < server.heard.index("urn:xmpp:ping")


async def test_errors_before_the_proof_decide_the_fate_of_their_delivery(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    server.bounces = bounce("s1", "service-unavailable") + bounce("s2", "gone", f"{MIRA}/r")
    async with running(gateway, Server(server.port)) as line:
        fates = await XmppOutlet(line).send([delivery(1, MIRA), delivery(2, f"{MIRA}/r"), delivery(3, MIRA)])
    away, gone, sent = (fates[number] for number in sorted(fates))
    assert isinstance(away, TryLater)
    assert away.scope is Scope.RECIPIENT
    assert isinstance(gone, Refused)
    assert sent == Sent()
    assert gateway.events == []


async def test_an_error_after_the_proof_is_recorded(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        await XmppOutlet(line).send([delivery(1, MIRA)])
        server.say(bounce("s1", "recipient-unavailable", error_type="wait"))
        await gateway.until(lambda: gateway.events)
    assert gateway.events == [ClientError(MIRA, "s1", "recipient-unavailable", "wait")]


async def test_a_ping_without_an_answer_ends_the_stream_and_nothing_counts_as_sent(
    server: ScriptedServer,
) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.answers_pings = False
        fates = await XmppOutlet(line).send([delivery(1, MIRA)])
        assert isinstance(fate := fates[delivery(1, MIRA).id], TryLater)
        assert fate.scope is Scope.OUTLET
        server.answers_pings = True
        await server.until("handshake", connection=2)
        await gateway.until(lambda: gateway.broken == 1)
        assert await XmppOutlet(line).send([delivery(1, MIRA)]) == {1: Sent()}


async def test_a_server_that_stops_reading_is_left(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.xmpp.outlet.MOST_AT_ONCE", 1 << 30)
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.stop_reading()
        batch = [delivery(number, MIRA, "x" * 190_000) for number in range(100)]
        fates = await XmppOutlet(line).send(batch)
        assert all(isinstance(fate, TryLater) for fate in fates.values())
        await server.until("handshake", connection=2)


async def test_a_slow_store_that_pauses_our_reading_is_not_taken_for_a_dead_server(
    server: ScriptedServer,
) -> None:
    gateway = RecordingGateway()
    gateway.gate.clear()
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.say("".join(chat(f"m{number}", "hi") for number in range(1_200)))
        sending = asyncio.create_task(XmppOutlet(line).send([delivery(1, MIRA)]))
        await server.until("urn:xmpp:ping")
        done, _ = await asyncio.wait([sending], timeout=3 * stream.PROOF)
        assert not done
        gateway.gate.set()
        assert (await sending) == {1: Sent()}
        await gateway.until(lambda: len(gateway.events) == 1_200)
    assert [event.stanza_id for event in gateway.events] == [f"m{number}" for number in range(1_200)]
    assert server.connections == 1
    assert gateway.broken == 0


async def test_without_a_stream_the_whole_batch_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.xmpp.outlet.PATIENCE", 0.05)
    async with ScriptedServer() as gone:
        port = gone.port
    async with running(RecordingGateway(), Server(port)) as line:
        fates = await XmppOutlet(line).send([delivery(1, MIRA), delivery(2, MIRA)])
        assert not line.connected
    assert all(isinstance(fate, TryLater) and fate.scope is Scope.OUTLET for fate in fates.values())
    assert len(fates) == 2


async def test_a_delivery_from_a_foreign_jid_is_refused_and_the_others_go(server: ScriptedServer) -> None:
    async with running(RecordingGateway(), Server(server.port)) as line:
        fates = await XmppOutlet(line).send([delivery(1, MIRA, sender="eve@evil.example"), delivery(2, MIRA)])
    assert isinstance(fates[delivery(1, MIRA).id], Refused)
    assert fates[delivery(2, MIRA).id] == Sent()
    assert "evil" not in server.heard


async def test_one_write_reaches_only_so_far_and_the_rest_stays_due(server: ScriptedServer) -> None:
    async with running(RecordingGateway(), Server(server.port)) as line:
        batch = [delivery(number, MIRA, "x" * 190_000) for number in range(10)]
        fates = await XmppOutlet(line).send(batch)
    assert 1 <= len(fates) < 10
    assert set(fates) == set(range(len(fates)))


async def test_a_stanza_whose_handling_fails_gets_an_error_and_the_others_go_on(
    server: ScriptedServer,
) -> None:
    def read(stanza: Element) -> stanzas.Reading:
        reading = stanzas.read(stanza)
        if isinstance(reading, Written) and reading.body == "poison":
            raise RuntimeError("a bug")
        return reading

    gateway = RecordingGateway()
    async with running(gateway, Server(server.port), read=read) as line:
        assert await line.wait_connected(5)
        server.say(chat("m1", "before") + chat("m2", "poison") + chat("m3", "after"))
        heard = await server.until("id='m2' type='error'")
        await gateway.until(lambda: len(gateway.written) == 2)
    assert [written.body for written in gateway.written] == ["before", "after"]
    assert "internal-server-error" in heard
    assert server.connections == 1


async def test_what_cannot_be_saved_is_told_to_its_sender_and_the_process_lives(
    server: ScriptedServer,
) -> None:
    gateway = RecordingGateway()
    gateway.failing = True
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.say(chat("m1", "one"))
        heard = await server.until("id='m1' type='error'")
        assert "could not be saved" in heard
        assert "<error type='wait'>" in heard
        gateway.failing = False
        server.say(chat("m2", "two"))
        await gateway.until(lambda: gateway.written)
    assert [written.stanza_id for written in gateway.written] == ["m2"]


async def test_another_holder_of_the_component_is_waited_for(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component_module, "CONFLICT_PAUSE", 0.1)
    server.refuse_with = (
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        await server.until("handshake", connection=2)
        server.refuse_with = ""
        assert await line.wait_connected(5)
    assert gateway.broken == 0


async def test_a_stream_that_breaks_is_opened_again_and_told(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        for number in (1, 2, 3):
            await server.until("handshake", connection=number)
            assert await line.wait_connected(5)
            server.hang_up()
            await gateway.until(lambda number=number: gateway.broken == number)
        assert await line.wait_connected(5)


async def test_what_is_no_xml_ends_the_stream_and_not_the_process(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.say("<message></presence>")
        await server.until("handshake", connection=2)
        assert await line.wait_connected(5)


async def test_a_stop_records_what_the_server_still_sends(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    gateway.gate.clear()
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        server.say("".join(chat(f"m{number}", "hi") for number in range(200)))
        stopping = asyncio.create_task(line.stop(5.0))
        await server.until("</stream:stream>")
        gateway.gate.set()
        await stopping
        assert len(gateway.written) == 200
        assert not line.connected
    assert gateway.broken == 0
    assert "unavailable" not in server.heard  # a restart makes no roster flap


async def test_a_stop_does_not_wait_for_a_server_that_is_not_there() -> None:
    async with ScriptedServer() as gone:
        port = gone.port
    async with asyncio.timeout(3), running(RecordingGateway(), Server(port)) as line:
        assert not await line.wait_connected(0.05)


async def test_a_real_stop_says_farewell(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    await gateway.register("mail", MIRA, name="Mira")
    async with running(gateway, Server(server.port)) as line:
        assert await line.wait_connected(5)
        await line.stop(5.0, farewell=True)
    assert f"<presence from='mail.localhost' to='{MIRA}' type='unavailable'/>" in server.heard


async def test_who_writes_has_come_back_though_the_presence_is_not_seen(server: ScriptedServer) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as component:
        await component.wait_connected(5)
        server.say(chat("1", "I am here") + chat("2", "still here"))
        await gateway.until(lambda: len(gateway.written) == 2)
        await gateway.until(lambda: gateway.came == [MIRA])
        server.say(f"<presence from='{MIRA}/r' to='mail.localhost'/>" + chat("3", "now you see me"))
        await gateway.until(lambda: len(gateway.written) == 3)
        assert gateway.came == [MIRA], "one sign of life is enough for a while"


async def test_a_server_that_takes_no_own_message_ends_it_all_the_same(server: ScriptedServer) -> None:
    """It has gone already: that the user's clients do not show it is no reason to try for ever."""
    gateway = RecordingGateway()
    async with running(gateway, Server(server.port)) as component:
        outlet = XmppOutlet(component)
        outlet.write_own = lambda one, _now: (
            f"<message from='mail.localhost' to='localhost' id='{one.stanza_id}'/>"
        )
        await component.wait_connected(5)
        server.bounces = (
            "<message from='localhost' to='mail.localhost' id='s1' type='error'><error type='auth'>"
            "<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
        own = delivery(1, MIRA, kind=Kind.OWN)
        assert await outlet.send([own]) == {own.id: Sent()}
