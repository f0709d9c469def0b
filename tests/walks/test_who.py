"""Who a contact is, through real servers: prompts, cards, pictures, search, names, address books."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from xml.etree.ElementTree import Element

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL, SMS
from tests.bridge.who import picture
from tests.support.client import ChatUser, RequestError, Stanza, body_of
from tests.support.radicale import Radicale
from tests.support.servers import Ejabberd
from tests.walks.gateway import ALICE, ALICE_JID, PLUMBER, PLUMBER_JID, World, letter, world
from tests.walks.test_files import put, with_upload

TEMP = "{vcard-temp}"
GATEWAY = "{jabber:iq:gateway}"
PASSWORD = "a password"


@pytest.fixture(scope="module")
def radicale() -> Iterator[Radicale]:
    with Radicale({"mira": PASSWORD}) as server:
        yield server


@pytest.fixture(params=["prosody", "ejabberd"])
async def beside(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    server: PrivateProsody | Ejabberd = request.getfixturevalue(request.param)
    async with world(server) as here:
        yield here


@pytest.fixture
async def with_book(fresh_prosody: Callable[..., PrivateProsody], radicale: Radicale) -> AsyncIterator[World]:
    """A chat server that takes files, and an address book elsewhere; the gateway may reach both."""
    server = with_upload(fresh_prosody)
    places = f'"{radicale.place}", "127.0.0.1:{server.http_port}"'
    async with world(server, settings=f"fetch_allow = [{places}]") as here:
        yield here


async def prompted(user: ChatUser, gateway: str, text: str) -> str:
    """The JID that the gateway gives for what was typed."""
    query = f"<query xmlns='jabber:iq:gateway'><prompt>{text}</prompt></query>"
    answer = await user.ask(gateway, "set", query)
    return answer.findtext(f".//{GATEWAY}jid") or ""


async def card_of(user: ChatUser, jid: str) -> Element:
    answer = await user.ask(jid, "get", "<vCard xmlns='vcard-temp'/>")
    card = answer.find(f".//{TEMP}vCard")
    assert card is not None
    return card


def hash_in(stanza: Stanza) -> str:
    """The hash of a picture beside a presence."""
    return stanza.xml.findtext(".//{vcard-temp:x:update}photo") or ""


async def looked_for(user: ChatUser, gateway: str, **fields: str) -> list[dict[str, str]]:
    inside = "".join(f"<field var='{name}'><value>{text}</value></field>" for name, text in fields.items())
    form = f"<x xmlns='jabber:x:data' type='submit'>{inside}</x>"
    answer = await user.ask(gateway, "set", f"<query xmlns='jabber:iq:search'>{form}</query>")
    return [
        {
            field.get("var") or "": field.findtext("{jabber:x:data}value") or ""
            for field in item.findall("{jabber:x:data}field")
        }
        for item in answer.iter("{jabber:x:data}item")
    ]


def with_card(walk: World, user: ChatUser, colour: str) -> EmailMessage:
    """A mail of Alice's that carries her card with a picture."""
    photo = base64.b64encode(picture(colour)).decode()
    lines = ("BEGIN:VCARD", "VERSION:3.0", "FN:Alice", f"EMAIL:{ALICE}", f"PHOTO;ENCODING=b:{photo}")
    card = "\r\n".join((*lines, "END:VCARD", ""))
    mail = letter(ALICE, walk.address_of(user), "my card")
    mail.add_attachment(card.encode(), maintype="text", subtype="vcard", filename="alice.vcf")
    return mail


async def test_a_contact_is_found_named_and_seen(beside: World) -> None:
    mira = await beside.user()
    asked = await mira.ask(MAIL, "get", "<query xmlns='jabber:iq:gateway'/>")
    assert asked.findtext(f".//{GATEWAY}prompt") == "Mail address"
    assert await prompted(mira, MAIL, f" {ALICE} ") == ALICE_JID
    assert await prompted(mira, SMS, "+1 (202) 555-0142") == PLUMBER_JID
    with pytest.raises(RequestError, match="item-not-found"):
        await prompted(mira, MAIL, "nonsense")

    await mira.add_contact(ALICE_JID)
    await beside.hand_in(mira, with_card(beside, mira, "red"))
    await mira.message_from(ALICE_JID, containing="my card")
    shown = await mira.expect(lambda one: one["from"].bare == ALICE_JID and hash_in(one) != "", "a face")
    card = await card_of(mira, ALICE_JID)
    data = base64.b64decode(card.findtext(f"{TEMP}PHOTO/{TEMP}BINVAL") or "")
    assert hashlib.sha1(data).hexdigest() == hash_in(shown)
    assert card.findtext(f"{TEMP}FN") == "Alice Berg"

    mira.say(ALICE_JID, "/rename Mum Secret", receipt=False)
    await mira.message_from(ALICE_JID, containing="Mum Secret now")
    mira.say(ALICE_JID, "/note owes me ten euros", receipt=False)
    await mira.message_from(ALICE_JID, containing="Noted")
    card = await card_of(mira, ALICE_JID)
    assert card.findtext(f"{TEMP}FN") == "Mum Secret"
    assert "ten euros" in (card.findtext(f"{TEMP}NOTE") or "")
    assert await looked_for(mira, MAIL, name="mum") == [
        {"jid": ALICE_JID, "name": "Mum Secret", "address": ALICE}
    ]
    noor = await beside.user("noor")
    assert await looked_for(noor, MAIL, name="mum") == []
    assert (await card_of(noor, ALICE_JID)).findtext(f"{TEMP}FN") == ALICE

    await mira.receipt_for(mira.say(ALICE_JID, "see you"))
    await beside.mail.arrived("see you", to=ALICE)
    raw = bytes(beside.mail.mails[-1].message)
    assert b"Mum" not in raw, "what a user calls somebody is nobody else's business"
    assert b"ten euros" not in raw


async def test_an_address_book_comes_in_over_the_wire(with_book: World, radicale: Radicale) -> None:
    face = base64.b64encode(picture("blue", (64, 64), "PNG")).decode()
    cards = {
        f"{n}.vcf": f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{n}\r\nFN:Person {n}\r\nN:{n};Person;;;\r\n"
        f"EMAIL:p{n}@x.org\r\nEND:VCARD\r\n"
        for n in range(60)
    }
    cards["plumber.vcf"] = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:plumber\r\nFN:Plumber Grün\r\nN:Grün;Plumber;;;\r\n"
        f"TEL;TYPE=CELL:(202) 555-0142\r\nPHOTO;ENCODING=b;TYPE=PNG:{face}\r\nEND:VCARD\r\n"
    )
    await asyncio.to_thread(radicale.fill, "mira", cards)
    mira = await with_book.user()
    await mira.message_from(MAIL, containing="Welcome")
    mira.say(MAIL, f"import http://{radicale.place}/", receipt=False)
    await mira.message_from(MAIL, containing="User name")
    mira.say(MAIL, "mira", receipt=False)
    await mira.message_from(MAIL, containing="Password")
    mira.say(MAIL, PASSWORD, receipt=False)
    counted = body_of(await mira.message_from(MAIL, containing="61 contacts"))
    assert "60 with mail, 1 with numbers; 61 addresses" in counted
    mira.say(MAIL, "import yes", receipt=False)
    done = body_of(await mira.message_from(MAIL, containing="Imported"))
    assert "61 addresses, 61 of them new" in done
    assert (await card_of(mira, PLUMBER_JID)).findtext(f"{TEMP}FN") == "Plumber Grün"
    assert (await card_of(mira, PLUMBER_JID)).find(f"{TEMP}PHOTO") is not None
    assert len(await looked_for(mira, MAIL, address="x.org")) == 50
    assert await looked_for(mira, SMS, name="grün") == [
        {"jid": PLUMBER_JID, "name": "Plumber Grün", "address": PLUMBER}
    ]
    await mira.receipt_for(mira.say(PLUMBER_JID, "The tap drips"))
    assert PASSWORD not in with_book.log


async def test_the_settings_name_a_book_whose_people_everybody_knows(prosody: PrivateProsody) -> None:
    def card(number: str) -> str:
        return (
            f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{number}\r\nFN:Plumber Grün\r\nN:Grün;Plumber;;;\r\n"
            f"TEL;TYPE=CELL:{number}\r\nEND:VCARD\r\n"
        )

    with Radicale({"team": PASSWORD}) as server:
        await asyncio.to_thread(server.fill, "team", {"plumber.vcf": card(PLUMBER)})
        book = f'[address_book]\nurl = "http://{server.place}/"\nusername = "team"\npassword = "{PASSWORD}"\n'
        async with world(prosody, settings=f'fetch_allow = ["{server.place}"]', extra=book) as here:
            noor = await here.user("noor")

            async def found() -> bool:
                return len(await looked_for(noor, SMS, name="grün")) == 1

            await here.until(found)
            assert (await card_of(noor, PLUMBER_JID)).findtext(f"{TEMP}FN") == "Plumber Grün"
            assert (await card_of(noor, f"help@{SMS}")).findtext(f"{TEMP}FN") == "SMS"
            await here.ready()
            await asyncio.to_thread(server.stop)
            await here.stop()
            await here.start()

            async def told() -> bool:
                return "address book: The server of this address book" in (await here.page("/healthz"))[1]

            await here.until(told)
            assert PASSWORD not in here.log
            assert len(await looked_for(noor, SMS, name="grün")) == 1


async def test_a_vcard_file_that_is_shared_with_the_gateway_is_counted_first(with_book: World) -> None:
    mira = await with_book.user(on=(MAIL,))
    await mira.message_from(MAIL, containing="Welcome")
    cards = "".join(
        f"BEGIN:VCARD\r\nVERSION:2.1\r\nN:Berg;{name}\r\nEMAIL;INTERNET:{name}@x.org\r\nEND:VCARD\r\n"
        for name in ("jana", "tom")
    )
    url = await put(mira, "people.vcf", "text/vcard", cards.encode())
    mira.say(MAIL, url, receipt=False, extra=f"<x xmlns='jabber:x:oob'><url>{url}</url></x>")
    asked = body_of(await mira.message_from(MAIL, containing="2 contacts"))
    assert asked.endswith(
        "Import them?\nyes – import them\nall – import them, into my contact list too\nno – leave it"
    )
    assert await looked_for(mira, MAIL, address="x.org") == []
    mira.say(MAIL, "all", receipt=False)
    await mira.message_from(MAIL, containing="Imported: 2 addresses")
    for name in ("jana", "tom"):
        await mira.presence_from(rf"{name}\40x.org@{MAIL}", "subscribe")
    assert [row["name"] for row in await looked_for(mira, MAIL, address="x.org")] == ["jana Berg", "tom Berg"]
