"""Who a contact is, stanza by stanza: gateway prompts, search, vCards, pictures."""

import base64
import hashlib
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from PIL import Image

from bridge.events import Denied, Transport
from bridge.files import Filing
from bridge.model import File
from bridge.options import LEAD
from bridge.store import recording
from bridge.xmpp import disco, stanzas
from bridge.xmpp.cards import CardDesk
from bridge.xmpp.presence import Presence
from bridge.xmpp.prompts import Prompts
from bridge.xmpp.search import Search
from tests.bridge.desk import BOSS, MIRA, NOBODY, Desk
from tests.bridge.records import GROUNDS, incoming
from tests.bridge.who import a_desk_of_people, picture
from tests.bridge.xmpp_stand_in import NOW, delivery, message

JANA = r"jana\40x.org@mail.localhost"
GATEWAY = "mail.localhost"
TEMP, FOUR = "{vcard-temp}", "{urn:ietf:params:xml:ns:vcard-4.0}"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
PAGES = "{http://jabber.org/protocol/rsm}"


class Wire:
    """One transport's desks, with a far end that collects what they send."""

    def __init__(self, desk: Desk, transport: Transport | None = None) -> None:
        self.sent: list[Element] = []
        self.desk = desk
        self.trouble = ""
        self.transport = transport or desk.gateway.transports["mail"]
        cards = desk.services.wishes.cards
        self.presence = Presence(self.transport, desk.gateway, self)
        self.handlers = {
            "{jabber:iq:gateway}query": Prompts(
                self.transport, desk.gateway, desk.services, self, lambda: self.trouble
            ).handle,
            "{jabber:iq:search}query": Search(self.transport, desk.gateway, cards, self).handle,
            **CardDesk(self.transport, desk.gateway, cards, self).requests(),
        }

    def reply(self, *stanzas: str) -> None:
        self.sent += map(fromstring, stanzas)

    async def paced(self, stanzas: Iterable[str]) -> None:
        self.reply(*stanzas)

    async def ask(
        self, inside: str, kind: str = "get", to: str = GATEWAY, by: str = MIRA, lang: str = "en"
    ) -> Element:
        """One request; the payload of its answer."""
        request = fromstring(
            f"<iq from='{by}/phone' to='{to}' type='{kind}' id='q1' xml:lang='{lang}'>{inside}</iq>"
        )
        await self.handlers[request[0].tag](request)
        answer = self.sent.pop()
        assert answer.attrib == {"id": "q1", "to": f"{by}/phone", "from": to, "type": "result"}
        return answer[0]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk_of_people(tmp_path) as here:
        yield here


@pytest.fixture
def wire(desk: Desk) -> Wire:
    return Wire(desk)


def phones(desk: Desk) -> Wire:
    return Wire(desk, desk.gateway.transports["sms"])


async def refused(asking: Any) -> Denied:
    with pytest.raises(Denied) as refusal:
        await asking
    return refusal.value


# --- jabber:iq:gateway ---

PROMPT = "<query xmlns='jabber:iq:gateway'>{}</query>"


def typed(text: str) -> str:
    return PROMPT.format(f"<prompt>{text}</prompt>")


async def test_the_gateway_asks_for_an_address_in_the_users_language(desk: Desk, wire: Wire) -> None:
    asked = await wire.ask(PROMPT.format(""))
    assert "alice@example.com" in (asked.findtext("{jabber:iq:gateway}desc") or "")
    assert asked.findtext("{jabber:iq:gateway}prompt") == "Mail address"
    german = await wire.ask(PROMPT.format(""), lang="de", by="neu@localhost")
    assert german.findtext("{jabber:iq:gateway}prompt") == "E-Mail-Adresse"
    assert (await phones(desk).ask(PROMPT.format(""), to="sms.localhost")).findtext(
        "{jabber:iq:gateway}prompt"
    ) == "Phone number"


@pytest.mark.parametrize(
    "text",
    [
        "jana@x.org",
        "  Jana@X.org ",
        "jana%x.org",
        r"jana\40x.org",
        r"jana\5c40x.org",
        r"jana\40x.org@mail.localhost",
        r"jana\5c40x.org@mail.localhost",
        "jana%x.org@mail.localhost",
    ],
)
async def test_every_way_to_write_an_address_becomes_the_same_jid(wire: Wire, text: str) -> None:
    answer = await wire.ask(typed(text), "set")
    assert answer.findtext("{jabber:iq:gateway}jid") == JANA


@pytest.mark.parametrize("text", ["+49 170-555 0199", "0170 5550199", "+49(170)5550199@sms.localhost"])
async def test_numbers_are_taken_as_people_write_them(desk: Desk, text: str) -> None:
    answer = await phones(desk).ask(typed(text), "set", to="sms.localhost")
    assert answer.findtext("{jabber:iq:gateway}jid") == "+491705550199@sms.localhost"


async def test_a_contact_that_is_known_keeps_its_own_node(desk: Desk, wire: Wire) -> None:
    await desk.services.wishes.gateway.add_contact("mail", MIRA, "jana%x.org")
    answer = await wire.ask(typed("jana@x.org"), "set")
    assert answer.findtext("{jabber:iq:gateway}jid") == "jana%x.org@mail.localhost"


async def test_what_cannot_be_translated_is_refused_with_the_conditions_of_the_specification(
    desk: Desk, wire: Wire
) -> None:
    bad = await refused(wire.ask(typed("nonsense"), "set"))
    assert (bad.condition, bad.text) == ("item-not-found", "That is no mail address.")
    assert (await refused(wire.ask(typed(" "), "set"))).condition == "not-acceptable"
    assert (await refused(wire.ask(typed("a@x.org"), "set", by=NOBODY))).condition == "registration-required"
    assert (await refused(wire.ask(typed("a@x.org"), "set", to=JANA))).condition == "service-unavailable"
    wire.trouble = "The mail server does not answer."
    down = await refused(wire.ask(typed("a@x.org"), "set"))
    assert (down.condition, down.error_type) == ("remote-server-timeout", "wait")


@pytest.mark.parametrize(
    "local", [r"+49\20170\205550199", "+49-170-5550199", "+49(170)5550199", "0170-5550199"]
)
async def test_a_jid_that_spells_a_number_otherwise_leads_to_the_right_one(desk: Desk, local: str) -> None:
    with pytest.raises(Denied) as refusal:
        desk.gateway.address_of("sms", local)
    assert (refusal.value.condition, refusal.value.gone) == ("gone", "+491705550199")
    assert desk.gateway.address_of("mail", r"jana\5c40x.org").canonical == "jana@x.org"
    assert desk.gateway.address_of("mail", "jana%x.org").canonical == "jana@x.org"


# --- search ---


def search(inside: str) -> str:
    return f"<query xmlns='jabber:iq:search'>{inside}</query>"


def form(**values: str) -> str:
    fields = "".join(f"<field var='{var}'><value>{text}</value></field>" for var, text in values.items())
    return f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"


def found(query: Element) -> list[dict[str, str]]:
    """The rows of a result form."""
    return [
        {
            field.get("var") or "": field.findtext("{jabber:x:data}value") or ""
            for field in item.findall("{jabber:x:data}field")
        }
        for item in query.iter("{jabber:x:data}item")
    ]


async def test_own_contacts_are_found_by_name_and_address_both_ways(desk: Desk, wire: Wire) -> None:
    await desk.services.wishes.add("mail", MIRA, "mum@y.org", "Mum & Dad")
    await desk.arrives(sender="jana@x.org", sender_name="Jana Berg")
    await desk.services.wishes.add("mail", BOSS, "secret@x.org", "Jana's boss")
    asked = await wire.ask(search(""))
    fields = [field.get("var") for field in asked.iter("{jabber:x:data}field")]
    assert fields == ["FORM_TYPE", "name", "address"]
    assert asked.find("{jabber:iq:search}nick") is not None
    assert found(await wire.ask(search(form(name="jana")), "set")) == [], "she has not been let in"
    await desk.says("accept 1")
    by_name = await wire.ask(search(form(name="jana")), "set")
    assert found(by_name) == [{"jid": JANA, "name": "Jana Berg", "address": "jana@x.org"}]
    by_address = await wire.ask(search(form(address="Y.ORG")), "set")
    assert [row["name"] for row in found(by_address)] == ["Mum & Dad"]
    plain = await wire.ask(search("<nick>mum</nick>"), "set")
    (item,) = plain.findall("{jabber:iq:search}item")
    assert item.get("jid") == r"mum\40y.org@mail.localhost"
    assert item.findtext("{jabber:iq:search}nick") == "Mum & Dad"
    assert item.findtext("{jabber:iq:search}email") == "mum@y.org"


async def test_nobody_finds_the_contacts_of_others_and_who_is_blocked_is_not_found(
    desk: Desk, wire: Wire
) -> None:
    await desk.services.wishes.add("mail", BOSS, "secret@x.org", "Secret")
    await desk.services.wishes.add("mail", MIRA, "foe@x.org", "Foe")
    line = await desk.gateway.line_of("mail", MIRA)
    assert line is not None
    await desk.services.wishes.block(line, "foe@x.org", blocked=True)
    assert found(await wire.ask(search(form(address="x.org")), "set")) == []
    assert (await refused(wire.ask(search(""), by=NOBODY))).condition == "registration-required"
    assert (await refused(wire.ask(search(""), to=JANA))).condition == "service-unavailable"
    assert (await refused(wire.ask(search(form(name=" ")), "set"))).condition == "not-acceptable"


async def test_many_results_come_page_by_page(desk: Desk, wire: Wire) -> None:
    for number in range(7):
        await desk.services.wishes.add("mail", MIRA, f"p{number}@x.org")

    async def page(inside: str) -> tuple[list[str], Element]:
        pages = f"<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>"
        query = await wire.ask(search(form(address="x.org") + pages), "set")
        told = query.find(f"{PAGES}set")
        assert told is not None
        return [row["address"][:2] for row in found(query)], told

    first, told = await page("<max>3</max>")
    assert first == ["p0", "p1", "p2"]
    assert told.findtext(f"{PAGES}count") == "7"
    second, told = await page(f"<max>3</max><after>{told.findtext(f'{PAGES}last')}</after>")
    assert second == ["p3", "p4", "p5"]
    first_of_second = told.find(f"{PAGES}first")
    assert first_of_second is not None
    assert first_of_second.get("index") == "3"
    before, _ = await page(f"<max>3</max><before>{first_of_second.text}</before>")
    assert before == first
    assert (await page("<max>2</max><before/>"))[0] == ["p5", "p6"]
    counted, told = await page("<max>0</max>")
    assert (counted, told.findtext(f"{PAGES}count")) == ([], "7")
    beyond = page("<max>3</max><after>99</after>")
    assert (await refused(beyond)).condition == "item-not-found"


# --- vCards ---

TEMP_GET = "<vCard xmlns='vcard-temp'/>"
FOUR_GET = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>"


def items(node: str, inside: str = "") -> str:
    return f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{inside}</items></pubsub>"


async def test_a_card_has_name_address_note_and_picture_for_its_own_user_only(desk: Desk, wire: Wire) -> None:
    await desk.arrives(sender="jana@x.org", sender_name="Jana Berg")
    await desk.says("rename jana@x.org Mum <3")
    await desk.says("note jana@x.org likes tea & cake")
    await desk.services.wishes.cards.learn([incoming(face=File("p.jpg", "image/jpeg", picture()))])
    card = await wire.ask(TEMP_GET, to=JANA)
    assert card.findtext(f"{TEMP}FN") == "Mum <3"
    assert card.findtext(f"{TEMP}EMAIL/{TEMP}USERID") == "jana@x.org"
    assert card.findtext(f"{TEMP}DESC") == "likes tea & cake"
    four = await wire.ask(FOUR_GET, to=JANA)
    assert four.findtext(f"{FOUR}fn/{FOUR}text") == "Mum <3"
    assert four.findtext(f"{FOUR}email/{FOUR}text") == "jana@x.org"
    assert four.findtext(f"{FOUR}note/{FOUR}text") == "likes tea & cake"
    by_item = await wire.ask(items("urn:xmpp:vcard4"), to=JANA)
    assert by_item.find(f".//{FOUR}fn") is not None
    nick = await wire.ask(items("http://jabber.org/protocol/nick"), to=JANA)
    assert "Mum <3" in "".join(nick.itertext())
    other = await wire.ask(TEMP_GET, to=JANA, by=BOSS)
    assert other.findtext(f"{TEMP}FN") == "jana@x.org"
    assert "tea" not in "".join(other.itertext())


async def test_who_has_no_name_of_the_users_own_is_called_as_they_call_themselves(
    desk: Desk, wire: Wire
) -> None:
    await desk.arrives(sender="jana@x.org", sender_name="Jana B.")
    await desk.arrives(sender="jana@x.org", sender_name="Jana Berg")
    await desk.arrives(sender="jana@x.org")
    assert (await wire.ask(TEMP_GET, to=JANA)).findtext(f"{TEMP}FN") == "Jana Berg"


async def test_the_gateway_has_a_card_too_and_cards_are_read_only(desk: Desk, wire: Wire) -> None:
    card = await wire.ask(TEMP_GET)
    assert card.findtext(f"{TEMP}FN") == "Email"
    assert "Email" in (card.findtext(f"{TEMP}DESC") or "")
    assert (await wire.ask(FOUR_GET)).findtext(f"{FOUR}fn/{FOUR}text") == "Email"
    assert (await refused(wire.ask(TEMP_GET, "set", to=JANA))).condition == "not-allowed"
    assert (await refused(wire.ask(TEMP_GET, to="nonsense@mail.localhost"))).condition == "item-not-found"
    number = await phones(desk).ask(TEMP_GET, to="+12025550142@sms.localhost")
    assert number.findtext(f"{TEMP}TEL/{TEMP}NUMBER") == "+12025550142"


@pytest.mark.parametrize(
    "node",
    [
        "eu.siacs.conversations.axolotl.devicelist",
        "urn:xmpp:omemo:2:devices",
        "urn:xmpp:avatar:metadata",
        "x",
    ],
)
async def test_personal_nodes_that_we_have_not_are_not_there(wire: Wire, node: str) -> None:
    assert (await refused(wire.ask(items(node), to=JANA))).condition == "item-not-found"


# --- pictures ---


async def learned(desk: Desk, data: bytes, sender: str = "jana@x.org") -> None:
    one = incoming(sender=sender, face=File("photo", "image/jpeg", data))
    await desk.services.wishes.cards.learn([one])


async def test_a_picture_is_shown_by_hash_card_and_item_and_is_small_and_clean(
    desk: Desk, wire: Wire
) -> None:
    await desk.arrives(sender="jana@x.org")
    await learned(desk, picture())
    card = await wire.ask(TEMP_GET, to=JANA)
    shown = base64.b64decode(card.findtext(f"{TEMP}PHOTO/{TEMP}BINVAL") or "")
    digest = hashlib.sha1(shown).hexdigest()
    with Image.open(io.BytesIO(shown)) as opened:
        assert (opened.format, opened.size) == ("PNG", (128, 85))
    assert b"taken at home" not in shown
    metadata = await wire.ask(items("urn:xmpp:avatar:metadata"), to=JANA)
    info = metadata.find(".//{urn:xmpp:avatar:metadata}info")
    assert info is not None
    assert info.attrib == {"bytes": str(len(shown)), "id": digest, "type": "image/png"}
    data = await wire.ask(items("urn:xmpp:avatar:data", f"<item id='{digest}'/>"), to=JANA)
    assert base64.b64decode(data.findtext(".//{urn:xmpp:avatar:data}data") or "") == shown
    other = items("urn:xmpp:avatar:data", "<item id='another'/>")
    assert (await refused(wire.ask(other, to=JANA))).condition == "item-not-found"


def hashes(sent: list[Element]) -> list[str]:
    return [text for one in sent if (text := one.findtext(".//{vcard-temp:x:update}photo"))]


async def test_presence_carries_the_hash_and_a_new_picture_is_shown_at_once(desk: Desk, wire: Wire) -> None:
    await desk.services.wishes.add("mail", MIRA, "jana@x.org", "Jana")
    work = wire.presence.take(fromstring(f"<presence from='{MIRA}/phone' to='{GATEWAY}'/>"))
    assert work is not None
    await work()
    assert hashes(wire.sent) == []
    shown: list[Any] = []
    cards = desk.services.wishes.cards
    cards.changed.setdefault("mail", []).append(lambda jid, contacts: shown.append((jid, contacts)))
    await learned(desk, picture("blue"))
    ((jid, contacts),) = shown
    assert jid == MIRA
    (contact,) = await desk.gateway.contacts_of("mail", MIRA)
    await wire.presence.look_again(jid, [contact])
    assert hashes(wire.sent) == [contact.photo]
    assert contacts[0].photo == contact.photo
    await learned(desk, picture("blue"))
    assert len(shown) == 1, "the same picture again changes nothing"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        picture(size=(4, 4), kind="PNG"),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(2_000_000),
    ],
    ids=["empty", "text", "a pixel", "broken", "too large"],
)
async def test_what_is_no_picture_is_left_out(desk: Desk, wire: Wire, data: bytes) -> None:
    await desk.arrives(sender="jana@x.org")
    await learned(desk, data)
    assert (await wire.ask(TEMP_GET, to=JANA)).find(f"{TEMP}PHOTO") is None


async def test_only_the_newest_picture_is_kept_and_message_files_may_expire_around_it(
    desk: Desk, wire: Wire, tmp_path: Path
) -> None:
    await desk.arrives(sender="jana@x.org")
    for colour in ("red", "green", "blue"):
        await learned(desk, picture(colour))
    kept = [one for one in (tmp_path / "blobs").rglob("*") if one.is_file()]
    assert len(kept) == 3
    filing = Filing(desk.store, tmp_path / "blobs", clock=desk.clock)
    desk.clock.now += 1000 * 86400.0
    await filing.tidy()
    assert len([one for one in kept if one.exists()]) == 1
    cards = desk.services.wishes.cards
    profile = await cards.profile("mail", MIRA, "jana@x.org")
    assert profile is not None
    assert profile.photo is not None
    assert filing.blobs.read(profile.photo.blob) == await cards.picture(profile.photo)


# --- names ---


async def test_names_and_notes_are_given_in_the_chat_and_from_the_gateway(desk: Desk) -> None:
    await desk.arrives(sender="jana@x.org", sender_name="Jana Berg")
    assert "Mum now" in await desk.says("rename jana@x.org Mum")
    assert "Mum" in await desk.says("contacts")
    assert "Noted" in await desk.in_chat("/note birthday: 3 May")
    assert "birthday: 3 May" in await desk.in_chat("/note")
    assert "birthday: 3 May" in await desk.says("note jana@x.org")
    assert "gone" in await desk.in_chat("/note -")
    assert "no note" in await desk.in_chat("/note")
    assert "Auntie now" in await desk.in_chat("/rename Auntie")
    assert "Jana Berg" in await desk.says("rename jana@x.org -")
    assert "no contact" in await desk.says("rename nobody@x.org Somebody")
    assert "no mail address" in await desk.says("rename mum Mum")


def test_a_stranger_is_named_beside_the_message_and_somebody_known_is_not() -> None:
    nick = "{http://jabber.org/protocol/nick}nick"
    written = replace(message("Hello"), options={LEAD: "✉ Jana Berg <jana@x.org> · Flat\n"})
    stranger = replace(delivery(1, MIRA, written), sender_name="Jana Berg")
    assert fromstring(stanzas.write(stranger, GATEWAY, NOW)).findtext(nick) == "Jana Berg"
    known = replace(delivery(1, MIRA, "Hello"), sender_name="Jana Berg")
    assert fromstring(stanzas.write(known, GATEWAY, NOW)).find(nick) is None


def test_all_of_it_is_announced(desk: Desk) -> None:
    cards = {"vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0"}
    for transport in desk.gateway.transports.values():
        told = disco.describe(transport, "").features
        assert {"jabber:iq:gateway", "jabber:iq:search", *cards} <= set(told)
        assert cards <= set(disco.describe(transport, "somebody").features)


# --- the gateway's other name ---


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("<vCard xmlns='vcard-temp'/>", "get"),
        ("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>", "get"),
        (PROMPT.format(""), "get"),
        (typed("tom@y.org"), "set"),
        ("<query xmlns='jabber:iq:search'/>", "get"),
    ],
)
async def test_the_gateway_answers_under_its_other_name_as_under_the_first(
    wire: Wire, query: str, kind: str
) -> None:
    first, other = [tostring(await wire.ask(query, kind, to=to)) for to in (GATEWAY, f"help@{GATEWAY}")]
    assert other == first


async def test_a_sender_named_help_is_somebody_else(desk: Desk) -> None:
    one = replace(incoming(sender="help", sender_name="HELP"), transport="sms", recipient="+15550001000")
    await desk.store.do(recording.record_in, [one], {"sms": GROUNDS["sms"]}, 1.0)
    (shown,) = await desk.outbox("xmpp:sms")
    assert shown.sender == "help~@sms.localhost"
