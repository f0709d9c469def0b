"""The admin's address book: its people are known to everybody, and stand in nobody's contact list."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bridge.carddav import Login
from bridge.directory import Directory
from bridge.model import Attachment, Contact
from bridge.store import cards, directory, people, rosters
from bridge.store.directory import Entry, Known
from bridge.store.engine import Store
from bridge.store.tables import contacts
from tests.bridge.desk import BOSS, MIRA, Desk
from tests.bridge.records import incoming
from tests.bridge.test_importing import CARDS, card
from tests.bridge.test_xmpp_who import Wire
from tests.bridge.who import a_desk_of_people, picture
from tests.support.address_book import PASSWORD, USER, AddressBook, address_book


@pytest.fixture
async def book() -> AsyncIterator[AddressBook]:
    async with address_book(CARDS) as served:
        yield served


@pytest.fixture
async def desk(tmp_path: Path, book: AddressBook) -> AsyncIterator[Desk]:
    async with a_desk_of_people(tmp_path, allow_hosts={book.host}) as here:
        yield here


def directory_at(desk: Desk, book: AddressBook, password: str = PASSWORD) -> Directory:
    login = Login(f"http://{book.host}/dav/", USER, password)
    wishes = desk.services.wishes
    files = wishes.cards._files
    assert files is not None
    return Directory(login, 3600.0, wishes, desk.store, files, clock=desk.clock)


async def found(
    desk: Desk, name: str = "", jid: str = MIRA, transport: str = "mail"
) -> list[tuple[str, str]]:
    search = desk.services.wishes.cards.search
    page = await search(transport, jid, name=name, address="" if name else "@", start=0, most=9)
    return [(one.contact.address, one.shown) for one in page.profiles]


async def test_everybody_finds_the_people_of_the_book_and_nobody_has_them_as_contacts(
    desk: Desk, book: AddressBook
) -> None:
    await directory_at(desk, book).refresh()
    assert await found(desk) == [("jana@x.org", "Jana Berg"), ("mum@y.org", "Mum")]
    assert await found(desk, jid=BOSS, name="berg") == [("jana@x.org", "Jana Berg")]
    assert await found(desk, name="plumber", transport="sms") == [("+12025550142", "Plumber")]

    def known(connection: Connection) -> int:
        return len(connection.execute(select(contacts.c.id)).all())

    assert await desk.store.look(known) == 0
    assert await desk.store.look(rosters.wanted, "mail", MIRA) == []


async def test_a_client_finds_them_and_sees_name_and_picture(desk: Desk, book: AddressBook) -> None:
    await directory_at(desk, book).refresh()
    wire = Wire(desk)
    query = "<query xmlns='jabber:iq:search'><nick>berg</nick></query>"
    (item,) = await wire.ask(query, "set", by=BOSS)
    jid = item.get("jid", "")
    assert jid == r"jana\40x.org@mail.localhost"
    shown = await wire.ask("<vCard xmlns='vcard-temp'/>", to=jid, by=BOSS)
    assert shown.findtext("{vcard-temp}FN") == "Jana Berg"
    face = base64.b64decode(shown.findtext(".//{vcard-temp}BINVAL") or "")
    assert face.startswith(b"\x89PNG")


async def test_a_users_own_name_and_picture_win(desk: Desk, book: AddressBook) -> None:
    await desk.says("add jana@x.org")
    await desk.arrives(sender="jana@x.org", sender_name="JB")
    assert await found(desk) == [("jana@x.org", "JB")]
    await directory_at(desk, book).refresh()
    assert await found(desk, name="jana") == [("jana@x.org", "Jana Berg")]
    assert await desk.services.wishes.cards.called("mail", MIRA, r"jana\40x.org") == "Jana Berg"
    await desk.says("rename jana@x.org Janchen")
    assert await found(desk, name="janchen") == [("jana@x.org", "Janchen")]
    assert await found(desk, jid=BOSS, name="berg") == [("jana@x.org", "Jana Berg")]
    await desk.says("block jana@x.org")
    assert await found(desk, name="jana") == []


async def test_who_has_them_as_contacts_sees_changes_and_a_picture_is_made_once(
    desk: Desk, book: AddressBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards_here, made = desk.services.wishes.cards, []
    portrayed = cards_here.portrayed

    async def counted(data: bytes) -> tuple[Attachment, str] | None:
        made.append(data)
        return await portrayed(data)

    monkeypatch.setattr(cards_here, "portrayed", counted)
    told: list[tuple[str, list[str]]] = []

    def hear(jid: str, changed: list[Contact]) -> None:
        told.append((jid, [one.address for one in changed if one.photo]))

    cards_here.changed["mail"] = [hear]  # type: ignore[list-item]
    await desk.says("add jana@x.org")
    told.clear()
    reading = directory_at(desk, book)
    await reading.refresh()
    assert told == [(MIRA, ["jana@x.org"])]
    book.cards = {"jana.vcf": CARDS["jana.vcf"].replace("Jana Berg", "Jana Meyer")}
    await reading.refresh()
    await reading.refresh()
    assert await found(desk, name="meyer") == [("jana@x.org", "Jana Meyer")]
    assert await found(desk, name="mum") == []
    assert told == [(MIRA, ["jana@x.org"])] * 2
    assert len(made) == 2, "once by mail and once by number"
    other = base64.b64encode(picture("blue", (40, 40), "PNG")).decode()
    book.cards = {"j.vcf": card("Jana Meyer", "EMAIL:jana@x.org", f"PHOTO;ENCODING=b;TYPE=PNG:{other}")}
    await reading.refresh()
    assert len(made) == 3


async def test_a_book_that_cannot_be_read_is_told_to_the_admin_and_nobody_is_forgotten(
    desk: Desk, book: AddressBook
) -> None:
    reading = directory_at(desk, book)
    await reading.refresh()
    book.status = 503
    await reading.refresh()
    assert reading.trouble == "The server of this address book refuses (503)."
    assert len(await found(desk)) == 2
    book.status = 0
    await reading.refresh()
    assert reading.trouble == ""
    wrong = directory_at(desk, book, "wrong")
    await wrong.refresh()
    assert "user name and password" in wrong.trouble


async def test_without_a_book_in_the_settings_its_people_are_forgotten(desk: Desk, book: AddressBook) -> None:
    await directory_at(desk, book).refresh()
    files = desk.services.wishes.cards._files
    assert files is not None
    async with Directory(None, 1.0, desk.services.wishes, desk.store, files).kept():
        assert await found(desk) == []


async def test_a_page_of_a_search_goes_over_own_and_common_people_alike(store: Store) -> None:
    everybody = [Entry("mail", f"p{n}@x.org", Known(f"P{n}@x.org", f"Person {n}", "")) for n in range(1, 7)]
    await store.do(directory.put, everybody, 1.0)
    await store.do(directory.put, everybody, 2.0)
    for number in (2, 9):
        address = incoming(sender=f"p{number}@x.org").sender
        await store.do(people.subscribe, "mail", "mira@localhost", address, "", 1.0)
    shown = []
    for start in (0, 3, 6):
        page = await store.look(cards.search, "mail", "mira@localhost", "", "p", start, 3)
        assert page.total == 7
        shown += [(one.contact.address, bool(one.contact.id), one.shown) for one in page.profiles]
    assert shown == [
        ("p1@x.org", False, "Person 1"),
        ("p2@x.org", True, "Person 2"),
        *((f"p{n}@x.org", False, f"Person {n}") for n in range(3, 7)),
        ("p9@x.org", True, ""),
    ]
    await store.do(directory.drop, [("mail", "p1@x.org")])
    assert (await store.look(cards.search, "mail", "mira@localhost", "PERSON", "", 0, 9)).total == 5
    assert await store.look(directory.whose, [("mail", "p2@x.org"), ("mail", "p3@x.org")]) != []
