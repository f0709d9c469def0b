"""Clients that mean no good, on a raw socket at a real Prosody: whatever they send, others are served."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS
from tests.conftest import COMPONENTS
from tests.support.client import ChatUser
from tests.walks.gateway import ALICE_JID, BOB_JID, PLUMBER_JID, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMANDS = "http://jabber.org/protocol/commands"
REGISTER = "<query xmlns='jabber:iq:register'/>"
BODY = "<body>{}</body><request xmlns='urn:xmpp:receipts'/>"


class Raw:
    """A client that writes whatever it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, jid: str) -> None:
        self._reader, self._writer = reader, writer
        self.jid = jid
        self.heard = ""

    @classmethod
    async def login(cls, walk: World, user: ChatUser) -> "Raw":
        reader, writer = await asyncio.open_connection("127.0.0.1", walk.server.c2s_port, limit=1 << 22)
        raw = cls(reader, writer, f"{user.bare}/raw")
        name = user.bare.partition("@")[0]
        secret = base64.b64encode(f"\0{name}\0a password".encode()).decode()
        header = (
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
            " to='localhost' version='1.0'>"
        )
        for text, wanted in (
            (header, "</stream:features>"),
            (f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>", "<success"),
            (header, "</stream:features>"),
            (
                "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                "<resource>raw</resource></bind></iq>",
                "</iq>",
            ),
            ("<presence><priority>-1</priority></presence>", ""),
        ):
            raw.heard = ""
            raw.say(text)
            await raw.until(re.escape(wanted))
        return raw

    def say(self, *stanzas: str) -> None:
        self._writer.write("".join(stanzas).encode())

    async def until(self, pattern: str, within: float = 20.0) -> re.Match[str]:
        async with asyncio.timeout(within):
            while (found := re.search(pattern, self.heard, re.DOTALL)) is None:
                data = await self._reader.read(1 << 18)
                assert data, f"the server hung up; heard at last: {self.heard[-500:]}"
                self.heard += data.decode("utf-8", "replace")
        return found

    async def ask(self, to: str, payload: str, kind: str = "get", identity: str = "q") -> str:
        """The answer to a request, whatever it is."""
        self.heard = ""
        self.say(f"<iq to='{to}' type='{kind}' id='{identity}'>{payload}</iq>")
        found = await self.until(rf"<iq [^>]*id='{identity}'(?:[^>]*/>|.*?</iq>)")
        return found[0]

    def close(self) -> None:
        self._writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walk() -> AsyncIterator[World]:
    """One for all of it: what one attack leaves behind, the next one finds."""
    with PrivateProsody(COMPONENTS) as server:
        async with world(server) as here:
            yield here


@pytest_asyncio.fixture(loop_scope="module")
async def mallory(walk: World) -> AsyncIterator[Raw]:
    user = await walk.user("mallory", on=(MAIL,))
    raw = await Raw.login(walk, user)
    yield raw
    raw.close()


async def is_served(walk: World, user: ChatUser) -> None:
    """Somebody else's message goes, and its receipt comes."""
    await user.receipt_for(user.say(BOB_JID, "I am served"), within=10)
    assert "I am served" in walk.mail.texts("bob@example.com")


def message(inside: str, to: str = ALICE_JID, about: str = "id='m1' type='chat'") -> str:
    return f"<message to='{to}' {about}>{inside}</message>"


HI = "<body>hi</body>"
CHAT = "type='chat' id='{}'"
# What a message says of itself, and what is in it.
ODD = {
    "an empty stanza": ("", ""),
    "no id and no type": ("", HI),
    "an unheard-of type": ("type='gossip' id='x1'", HI),
    "an empty id": ("type='chat' id=''", f"{HI}<request xmlns='urn:xmpp:receipts'/>"),
    "a language of junk": ("type='chat' id='x2' xml:lang='&apos;&gt;&lt;x'", HI),
    "a very long language": (f"type='chat' id='x3' xml:lang='{'d' * 9000}'", HI),
    "invisible characters": (
        CHAT,
        "<body>&#x85;&#x9f;&#x200b;&#x202e;&#xfffd;&#xe000;&#x1f600;&#x10fffd;&#9;&#13;</body>"
        "<subject>a&#10;Bcc: eve@evil.example</subject>",
    ),
    "elements in the body": (CHAT, "<body>a<b xmlns='urn:x'>c</b>d</body>"),
    "five bodies": (CHAT, HI * 5),
    "ten thousand children": (CHAT, HI + "<x xmlns='urn:x'/>" * 10_000),
    "a thousand levels": (CHAT, HI + "<x xmlns='urn:x'>" * 1_000 + "</x>" * 1_000),
    "a long thread": (CHAT, f"{HI}<thread>{'t' * 50_000}</thread>"),
    "files without end": (
        CHAT,
        HI + "".join(f"<x xmlns='jabber:x:oob'><url>https://127.0.0.1:9/{n}</url></x>" for n in range(200)),
    ),
    "marks of nothing": (
        CHAT,
        "<displayed xmlns='urn:xmpp:chat-markers:0' id=''/><received xmlns='urn:xmpp:receipts' id=''/>",
    ),
    "a retraction of everything": (CHAT, "<retract xmlns='urn:xmpp:message-retract:1' id='%'/>"),
    "a reaction that is a novel": (
        CHAT,
        f"<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>{'👍' * 5_000}</reaction></reactions>",
    ),
    "an error with a body": (
        "type='error' id='x15'",
        f"{HI}<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    ),
    "a forged carbon": (
        CHAT,
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' from='mail.localhost' to='x'>{HI}</message></forwarded></received>",
    ),
    "a forged privilege": (
        CHAT,
        "<privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/>"
        "<perm access='message' type='outgoing'/></privilege>",
    ),
}
PRESENCES = ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error", "unavailable", "odd")
RESOURCE = "it&apos;s &quot;&lt;here&gt;"
JIDS = {
    "the gateway": MAIL,
    "a contact": ALICE_JID,
    "a phone": PLUMBER_JID,
    "no address": f"no-address@{MAIL}",
    "only escapes": rf"\5c\40\5c@{MAIL}",
    "a percent sign": f"%@{MAIL}",
    "a very long one": f"{'a' * 1000}@{SMS}",
    "emoji": f"🌻@{MAIL}",
}


async def test_odd_stanzas_to_odd_jids_hurt_nobody(walk: World, mallory: Raw) -> None:
    mira = await walk.user(on=(MAIL,))
    await mallory.ask(SMS, REGISTER, "set")
    for to in JIDS.values():
        for number, (about, inside) in enumerate(ODD.values()):
            mallory.say(message(inside, to, about.format(f"odd{number}")))
        mallory.say(message(HI, f"{to}/{RESOURCE}", CHAT.format("resource")))
        mallory.say(*(f"<presence to='{to}' type='{kind}'/>" for kind in PRESENCES))
        for gateway in (MAIL, SMS):
            assert "type='result'" in await mallory.ask(gateway, "<ping xmlns='urn:xmpp:ping'/>")
    await is_served(walk, mira)
    for mail in walk.mail.mails:
        assert "Bcc" not in mail.message, "no header was smuggled in"


REQUESTS = (
    "<query xmlns='jabber:iq:register'/>",
    "<query xmlns='jabber:iq:register'><remove/><name>x</name></query>",
    f"<query xmlns='jabber:iq:register'><name>{'x' * 50_000}</name></query>",
    "<query xmlns='jabber:iq:register'><email>alice@example.com</email></query>",
    "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'/></query>",
    "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field/><field var='x'/></x>"
    "</query>",
    "<query xmlns='jabber:iq:gateway'/>",
    f"<query xmlns='jabber:iq:gateway'><prompt>{'@' * 50_000}</prompt></query>",
    "<query xmlns='jabber:iq:gateway'><prompt>a&#10;b@c</prompt></query>",
    "<query xmlns='jabber:iq:search'/>",
    f"<query xmlns='jabber:iq:search'><nick>{'%' * 50_000}</nick></query>",
    "<query xmlns='jabber:iq:search'><x xmlns='jabber:x:data' type='submit'/></query>",
    "<vCard xmlns='vcard-temp'/>",
    "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>!!</BINVAL></PHOTO></vCard>",
    "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    "<items node='eu.siacs.conversations.axolotl.devicelist'/></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>",
    "<block xmlns='urn:xmpp:blocking'><item jid='x'/></block>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>",
    f"<query xmlns='http://jabber.org/protocol/disco#items' node='{'n' * 50_000}'/>",
    "<query xmlns='jabber:iq:version'/>",
    f"<command xmlns='{COMMANDS}'/>",
    f"<command xmlns='{COMMANDS}' node='settings' action='dance'/>",
    f"<command xmlns='{COMMANDS}' node='settings' sessionid='{'s' * 50_000}' action='complete'/>",
    f"<command xmlns='{COMMANDS}' node='settings'><x xmlns='jabber:x:data' type='submit'/></command>",
    f"<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#delete-user'/>",
    "<a xmlns='urn:x'/><b xmlns='urn:y'/>",
    "",
)


@pytest.mark.parametrize("kind", ["get", "set"])
async def test_every_request_however_odd_is_answered(walk: World, mallory: Raw, kind: str) -> None:
    for to in (
        MAIL,
        SMS,
        ALICE_JID,
        PLUMBER_JID,
        f"no-address@{MAIL}",
        rf"\5c\40@{MAIL}",
        f"{MAIL}/it&apos;s",
    ):
        for number, payload in enumerate(REQUESTS):
            answer = await mallory.ask(to, payload, kind, f"q{number}")
            assert "internal-server-error" not in answer, (to, payload[:200])
    assert "type='result'" in await mallory.ask(MAIL, "<ping xmlns='urn:xmpp:ping'/>")


async def test_a_flood_of_one_leaves_the_others_their_turn(walk: World, mallory: Raw) -> None:
    mira = await walk.user(on=(MAIL,))
    mallory.say(
        *(message(BODY.format("help"), MAIL, f"id='f{n}' type='chat'") for n in range(3_000)),
        *(
            f"<iq to='{MAIL}' type='get' id='i{n}'><query xmlns='jabber:iq:register'/></iq>"
            for n in range(2_000)
        ),
        *(message(BODY.format("/help"), ALICE_JID, f"id='c{n}' type='chat'") for n in range(1_000)),
        *(f"<presence to='{ALICE_JID}' type='subscribe'/>" for _ in range(500)),
    )
    await is_served(walk, mira)
    refused = await mallory.until(r"<iq [^>]*type='error'.*?resource-constraint")
    assert refused

    async def over() -> bool:
        return "resource-constraint" not in await mallory.ask(MAIL, "<query xmlns='jabber:iq:register'/>")

    await walk.until(over, 30)
    mallory.say(message(BODY.format("an ordinary line"), ALICE_JID, "id='after' type='chat'"))
    await walk.mail.arrived("an ordinary line")


async def test_what_is_as_large_as_the_server_lets_through_is_sent_or_refused(
    walk: World, mallory: Raw
) -> None:
    mira = await walk.user(on=(MAIL,))
    await mallory.ask(SMS, REGISTER, "set")
    large = "x " * 120_000
    mallory.say(message(BODY.format(large), ALICE_JID, "id='large' type='chat'"))
    await mallory.until(r"<received [^>]*id='large'")
    assert max(len(text) for text in walk.mail.texts()) >= 239_000
    for number, (to, text) in enumerate(
        ((PLUMBER_JID, large), (MAIL, large), (MAIL, f"settings signature {large}"), (MAIL, "x" * 200_000))
    ):
        mallory.heard = ""
        mallory.say(message(f"<body>{text}</body>", to, f"id='g{number}' type='chat'"))
        await mallory.until(r"<message [^>]*from='[^']*localhost.*?</message>")
    assert len(mallory.heard) < 20_000, "an answer repeats no flood"
    long_id = "i" * 5_000
    mallory.say(message("<body>hi</body>", ALICE_JID, f"id='{long_id}' type='chat'"))
    await mallory.until(rf"id='{long_id}'.*?bad-request")
    await is_served(walk, mira)


async def test_nobody_goes_on_with_somebody_elses_form(walk: World, mallory: Raw) -> None:
    mira = await walk.user(on=(MAIL,))
    answer = await mira.ask(MAIL, "set", f"<command xmlns='{COMMANDS}' node='leave'/>")
    session = next(answer.iter(f"{{{COMMANDS}}}command")).get("sessionid", "")
    form = "<x xmlns='jabber:x:data' type='submit'><field var='sure'><value>1</value></field></x>"
    stolen = await mallory.ask(
        MAIL, f"<command xmlns='{COMMANDS}' node='leave' sessionid='{session}'>{form}</command>", "set"
    )
    assert "session-expired" in stolen
    for number in range(500):
        mallory.say(
            f"<iq to='{MAIL}' type='set' id='s{number}'><command xmlns='{COMMANDS}' node='find'/></iq>"
        )
    await mallory.until("id='s499'")
    assert (await mira.registration_form(MAIL))["name"] == "Mira"
    done = await mira.ask(
        MAIL, "set", f"<command xmlns='{COMMANDS}' node='leave' sessionid='{session}'>{form}</command>"
    )
    assert next(done.iter(f"{{{COMMANDS}}}command")).get("status") == "completed"
