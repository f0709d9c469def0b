"""The XMPP side through a real Prosody, with a real client library at the other end."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.events import ClientReceipt, Denied
from bridge.model import Kind, Note
from bridge.ports import Sent
from bridge.xmpp import component as component_module
from bridge.xmpp.component import Component
from bridge.xmpp.outlet import XmppOutlet
from tests.bridge.xmpp_stand_in import ALICE, NOW, RecordingGateway, Server, delivery, message, running
from tests.support.client import ChatUser, RequestError, error_text, new_user

MAIL = "mail.localhost"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
FORM = (
    "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"
    "<field var='name'><value>{name}</value></field></x></query>"
)


@pytest.fixture(autouse=True)
def greet_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_module, "GREETING_AFTER", 0.0)


@pytest.fixture
def gateway() -> RecordingGateway:
    return RecordingGateway()


@pytest.fixture
async def line(prosody: PrivateProsody, gateway: RecordingGateway) -> AsyncIterator[Component]:
    async with running(gateway, Server(prosody.component_port)) as component:
        assert await component.wait_connected(10)
        yield component


@pytest.fixture
async def mira(prosody: PrivateProsody, line: Component) -> AsyncIterator[ChatUser]:
    async with new_user(prosody, "mira") as user:
        yield user


@contextmanager
def refused(condition: str) -> Iterator[None]:
    with pytest.raises(RequestError) as refusal:
        yield
    assert refusal.value.condition == condition
    assert refusal.value.text


async def test_the_gateway_and_its_contacts_say_what_they_are(mira: ChatUser) -> None:
    def described(answer: str) -> str:
        return f"{{{DISCO_INFO}}}{answer}"

    gateway_info = await mira.ask(MAIL, "get", f"<query xmlns='{DISCO_INFO}'/>")
    identity = next(gateway_info.iter(described("identity")))
    assert dict(identity.attrib) == {"category": "gateway", "type": "smtp", "name": "Email"}
    features = {feature.get("var") for feature in gateway_info.iter(described("feature"))}
    assert {"jabber:iq:register", "urn:xmpp:ping", DISCO_INFO} <= features

    contact_info = await mira.ask(ALICE, "get", f"<query xmlns='{DISCO_INFO}'/>")
    identity = next(contact_info.iter(described("identity")))
    assert (identity.get("category"), identity.get("type")) == ("account", "registered")
    features = {feature.get("var") for feature in contact_info.iter(described("feature"))}
    assert "urn:xmpp:receipts" in features
    assert "jabber:iq:register" not in features

    version = await mira.ask(MAIL, "get", "<query xmlns='jabber:iq:version'/>")
    assert next(version.iter("{jabber:iq:version}name")).text == "Passerelle"


async def test_every_request_is_answered(mira: ChatUser) -> None:
    await mira.ask(ALICE, "get", "<ping xmlns='urn:xmpp:ping'/>")
    with refused("service-unavailable"):
        await mira.ask(ALICE, "get", "<vCard xmlns='vcard-temp'/>")
    with refused("service-unavailable"):
        await mira.ask(MAIL, "set", "<query xmlns='urn:example:unheard-of'/>")
    with refused("service-unavailable"):
        await mira.ask(ALICE, "get", "<query xmlns='jabber:iq:register'/>")
    with refused("item-not-found"):
        await mira.ask(MAIL, "get", f"<query xmlns='{DISCO_INFO}' node='urn:example'/>")


async def test_two_users_register_and_one_edits_both_ways(
    prosody: PrivateProsody, mira: ChatUser, gateway: RecordingGateway
) -> None:
    async with new_user(prosody, "bob") as bob:
        for user, name in ((mira, "Mira"), (bob, "Bob")):
            assert (await user.registration_form(MAIL))["name"] == ""
            await user.register(MAIL, name=name)
            welcome = await user.message_from(MAIL)
            address = f"{user.bare.partition('@')[0]}@chat.example.org"
            assert address in welcome["body"]
            assert "Unencrypted" in welcome["body"]
            await user.presence_from(MAIL, "subscribed")

        form = await mira.registration_form(MAIL)
        assert "registered" in form
        assert form["name"] == "Mira"
        await mira.register(MAIL, name="Mira Berg")
        await mira.ask(MAIL, "set", FORM.format(name="Mira B."))
        assert (await mira.registration_form(MAIL))["name"] == "Mira B."
        assert (await bob.registration_form(MAIL))["name"] == "Bob"
    assert {line.name for line in gateway.lines.values()} == {"Mira B.", "Bob"}


async def test_leaving_ends_every_subscription(mira: ChatUser, gateway: RecordingGateway) -> None:
    await mira.register(MAIL, name="Mira")
    await mira.add_contact(ALICE)
    await mira.unregister(MAIL)
    for jid in (ALICE, MAIL):
        await mira.presence_from(jid, "unavailable")
    roster = await mira.ask(mira.bare, "get", "<query xmlns='jabber:iq:roster'/>")
    kept = {item.get("jid"): item.get("subscription") for item in roster.iter("{jabber:iq:roster}item")}
    assert all(subscription in ("none", "remove") for subscription in kept.values())
    with refused("registration-required"):
        await mira.unregister(MAIL)


async def test_a_contact_is_added_seen_and_dropped(mira: ChatUser, gateway: RecordingGateway) -> None:
    await mira.register(MAIL, name="Mira")
    presence = await mira.add_contact(ALICE)
    assert presence["show"] == "away"  # nobody is "online" by mail
    mira.presence(to=ALICE, kind="unsubscribe")
    await gateway.until(lambda: not gateway.contacts[mira.bare])
    await mira.presence_from(ALICE, "unavailable")


async def test_a_contact_that_cannot_be_is_refused_with_the_reason(mira: ChatUser) -> None:
    await mira.register(MAIL, name="Mira")
    mira.presence(to=f"bad@{MAIL}", kind="subscribe")
    refusal = await mira.presence_from(f"bad@{MAIL}", "error")
    assert error_text(refusal) == "That is no mail address."


async def test_strangers_cannot_subscribe_to_the_gateway(mira: ChatUser) -> None:
    mira.presence(to=MAIL, kind="subscribe")
    refusal = await mira.presence_from(MAIL, "error")
    assert refusal["error"]["condition"] == "registration-required"


async def test_contacts_are_seen_again_at_the_next_login(mira: ChatUser, gateway: RecordingGateway) -> None:
    await mira.register(MAIL, name="Mira")
    await mira.presence_from(MAIL, "subscribe")
    await mira.add_contact(ALICE)
    await gateway.until(lambda: gateway.came)
    before = len(gateway.came)
    await mira.login()
    await mira.presence_from(ALICE)
    await gateway.until(lambda: len(gateway.came) > before)


async def test_a_message_is_recorded_and_its_refusal_told(mira: ChatUser, gateway: RecordingGateway) -> None:
    gateway.deny["nobody there"] = Denied("There is nobody of that name.", "item-not-found", "cancel")
    mira.say(ALICE, "Hello <Alice> & all", stanza_id="m1")
    mira.say(ALICE, "nobody there", stanza_id="m2")
    error = await mira.error_for("m2")
    assert error_text(error) == "There is nobody of that name."
    assert error["from"].bare == ALICE
    first, second = gateway.written
    assert (first.body, first.stanza_id, first.local) == (
        "Hello <Alice> & all",
        "m1",
        ALICE.partition("@")[0],
    )
    assert (first.from_bare, first.from_full) == (mira.bare, mira.jid)
    assert first.wants_receipt
    assert second.stanza_id == "m2"


async def test_encrypted_text_gets_a_sentence_that_helps(mira: ChatUser, gateway: RecordingGateway) -> None:
    encrypted = "<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>x</payload></encrypted>"
    mira.say(ALICE, "I sent you an OMEMO encrypted message", stanza_id="m1", extra=encrypted)
    assert "switch encryption off" in error_text(await mira.error_for("m1"))
    assert gateway.events == []


async def test_the_gateway_itself_answers_with_help(mira: ChatUser) -> None:
    mira.say(MAIL, "hello?")
    assert "register" in (await mira.message_from(MAIL))["body"]


async def test_every_kind_of_delivery_reaches_the_client(
    mira: ChatUser, line: Component, gateway: RecordingGateway
) -> None:
    batch = [
        delivery(1, mira.bare, message("Good morning", subject="Flat", thread="t1")),
        delivery(2, mira.jid, Note("m1"), kind=Kind.RECEIPT),
        delivery(3, mira.jid, Note("m2", "No such mail.", "item-not-found", "cancel"), kind=Kind.ERROR),
        delivery(4, mira.bare, Note("m3", "It bounced."), kind=Kind.NOTICE),
    ]
    fates = await XmppOutlet(line, clock=lambda: NOW).send(batch)
    assert fates == {number: Sent() for number in (1, 2, 3, 4)}
    heard = await mira.message_from(ALICE, containing="Good morning")
    assert (heard["id"], heard["subject"], heard["thread"]) == ("s1", "Flat", "t1")
    assert (await mira.receipt_for("m1"))["from"].bare == ALICE
    assert error_text(await mira.error_for("m2")) == "No such mail."
    assert (await mira.message_from(ALICE, containing="bounced"))["id"] == "s4"
    await gateway.until(lambda: ClientReceipt(mira.bare, "s1") in gateway.events)


async def test_a_prosody_that_was_killed_is_found_again(
    fresh_prosody: Callable[..., PrivateProsody], gateway: RecordingGateway
) -> None:
    server = fresh_prosody()
    async with running(gateway, Server(server.component_port)) as line:
        assert await line.wait_connected(10)
        server.kill()
        await gateway.until(lambda: gateway.broken == 1)
        server.start()
        assert await line.wait_connected(20)
        async with new_user(server, "mira") as mira:
            assert await XmppOutlet(line).send([delivery(1, mira.bare)]) == {1: Sent()}
            await mira.message_from(ALICE)
