"""Address books from the chat's side: asked first, counted, taken over, told; and what stays private."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bridge import importing
from bridge.commands.importing import COMMANDS
from bridge.commands.model import Kind
from bridge.store.tables import books, cards, contacts
from tests.bridge.desk import BOSS, MIRA, Desk
from tests.bridge.who import a_desk_of_people, picture
from tests.support.address_book import PASSWORD, USER, AddressBook, address_book

FACE = base64.b64encode(picture(size=(40, 40), kind="PNG")).decode()


def card(name: str, *lines: str) -> str:
    return "\r\n".join(("BEGIN:VCARD", "VERSION:3.0", f"FN:{name}", *lines, "END:VCARD", ""))


CARDS = {
    "jana.vcf": card(
        "Jana Berg", "EMAIL:jana@x.org", "TEL:0170 5550199", f"PHOTO;ENCODING=b;TYPE=PNG:{FACE}"
    ),
    "mum.vcf": card("Mum", "EMAIL:mum@y.org", "NOTE:likes tea"),
    "plumber.vcf": card("Plumber", "TEL;TYPE=CELL:+1 202 555 0142", "TEL;TYPE=FAX:+1 202 555 0143"),
    "nobody.vcf": card("Nobody"),
    "bad.vcf": card("Bad", "EMAIL:nonsense"),
}


@pytest.fixture
async def book() -> AsyncIterator[AddressBook]:
    async with address_book(CARDS) as served:
        yield served


@pytest.fixture
async def desk(tmp_path: Path, book: AddressBook) -> AsyncIterator[Desk]:
    async with a_desk_of_people(tmp_path, allow_hosts={book.host}) as here:
        yield here


async def work(desk: Desk, jid: str = MIRA) -> list[str]:
    """Wait for what goes on in the background; what was told."""
    assert desk.services.importing is not None
    async with asyncio.timeout(10):
        while jid in desk.services.importing._working:
            await asyncio.wait([desk.services.importing._working[jid]])
            await asyncio.sleep(0)
    return await desk.told()


def known(connection: Connection) -> list[tuple[str, str, str, bool]]:
    rows = connection.execute(
        select(contacts.c.address, contacts.c.name, contacts.c.standing, contacts.c.subscribed).order_by(
            contacts.c.address
        )
    )
    return [tuple(row) for row in rows]


async def test_a_shared_file_is_counted_asked_about_and_taken_over(desk: Desk, book: AddressBook) -> None:
    asked = await desk.says(f"import http://{book.host}/people.vcf")
    assert "4 contacts: 3 with mail, 2 with numbers; 4 addresses" in asked
    assert "\nyes – import them\nall – " in asked
    assert await desk.store.look(known) == [], "nothing is taken before the user says so"
    assert "Importing 4 addresses" in await desk.says("yes")
    assert any("Imported: 4 addresses, 4 of them new; 0 have another name now, 2 a picture." in one
               for one in await work(desk))  # fmt: skip
    assert await desk.store.look(known) == [
        ("+12025550142", "Plumber", "allowed", False),
        ("+491705550199", "Jana Berg", "allowed", False),
        ("jana@x.org", "Jana Berg", "allowed", False),
        ("mum@y.org", "Mum", "allowed", False),
    ]
    profile = await desk.services.wishes.cards.profile("mail", MIRA, "mum@y.org")
    assert profile is not None
    assert profile.note == "likes tea"
    jana = await desk.services.wishes.cards.profile("mail", MIRA, "jana@x.org")
    assert jana is not None
    assert jana.photo is not None


async def test_who_is_imported_stays_out_of_the_roster_unless_all_are_wanted(
    desk: Desk, book: AddressBook
) -> None:
    introduced: list[str] = []
    desk.services.wishes.cards.introduced.setdefault("mail", []).append(
        lambda _, nodes: introduced.extend(nodes)
    )

    def kept_out(connection: Connection) -> int:
        return len(connection.execute(select(cards.c.contact_id).where(cards.c.quiet)).all())

    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("yes")
    await work(desk)
    assert (introduced, await desk.store.look(kept_out)) == ([], 4)
    await desk.says(f"import http://{book.host}/people.vcf?again")
    await desk.says("all")
    await work(desk)
    assert introduced == [r"jana\40x.org", r"mum\40y.org"]
    assert await desk.store.look(kept_out) == 0


async def test_the_users_own_names_and_blocks_stay_and_a_second_import_only_completes(
    desk: Desk, book: AddressBook
) -> None:
    line = await desk.gateway.line_of("mail", MIRA)
    assert line is not None
    await desk.says("add mum@y.org")
    await desk.says("rename mum@y.org Mama")
    await desk.says("note mum@y.org calls on Sundays")
    await desk.services.wishes.block(line, "jana@x.org", blocked=True)
    for name in ("Jana Berg", "Jana Meyer"):
        book.cards = {**CARDS, "jana.vcf": card(name, "EMAIL:jana@x.org")}
        await desk.says(f"import http://{book.host}/{name[5:]}.vcf")
        await desk.says("yes")
        await work(desk)
    rows = {address: (name, standing) for address, name, standing, _ in await desk.store.look(known)}
    assert rows["mum@y.org"] == ("Mama", "allowed")
    assert rows["jana@x.org"] == ("Jana Meyer", "blocked")
    profile = await desk.services.wishes.cards.profile("mail", MIRA, "mum@y.org")
    assert profile is not None
    assert profile.note == "calls on Sundays"


async def test_no_means_no_and_a_book_is_asked_about_again_later(desk: Desk, book: AddressBook) -> None:
    await desk.says(f"import http://{book.host}/people.vcf")
    assert "Nothing was imported" in await desk.says("no")
    assert "There is no address book" in await desk.says("import yes")
    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("help")
    assert "4 contacts" in await desk.says("import")
    assert await desk.store.look(known) == []
    desk.clock.now += importing.KEPT + 1
    assert "vcf" in await desk.says("import")


async def test_what_is_no_address_book_is_told(desk: Desk, book: AddressBook) -> None:
    assert "shared here" in await desk.says(f"import http://{book.host}/photo.jpg")
    book.cards = {"empty.vcf": card("Nobody")}
    assert "nobody in it" in await desk.says(f"import http://{book.host}/empty.vcf")
    assert "not encrypted" in await desk.says("import http://elsewhere.example/people.vcf")
    book.status = 404
    assert "no longer there" in await desk.says(f"import http://{book.host}/gone.vcf")


async def test_an_address_book_elsewhere_is_read_and_its_password_kept_sealed(
    desk: Desk, book: AddressBook
) -> None:
    place = f"http://{book.host}/dav/"
    assert "User name" in await desk.says(f"import {place}")
    assert "Password" in await desk.says(USER)
    assert "Reading" in await desk.says(PASSWORD)
    assert any("4 contacts" in one and "import yes" in one for one in await work(desk))
    assert "Importing 4" in await desk.says("import yes")
    assert any("Imported: 4" in one for one in await work(desk))

    def sealed(connection: Connection) -> list[bytes]:
        return list(connection.execute(select(books.c.sealed)).scalars())

    (kept,) = await desk.store.look(sealed)
    assert PASSWORD.encode() not in kept
    assert book.host.encode() not in kept
    assert "forgotten" in await desk.says("import forget")
    assert await desk.store.look(sealed) == []


async def test_a_wrong_password_is_told_and_not_kept(desk: Desk, book: AddressBook) -> None:
    await desk.says(f"import http://{book.host}/dav/ {USER} wrong")
    assert any("user name and password" in one for one in await work(desk))
    assert desk.services.importing is not None
    line = await desk.gateway.line_of("mail", MIRA)
    assert line is not None
    assert await desk.services.importing.known_book(line) is None


async def test_progress_is_told_and_one_import_at_a_time_is_enough(
    desk: Desk, book: AddressBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "TOLD_EVERY", 0.0)
    book.cards = {f"{n}.vcf": card(f"P{n}", f"EMAIL:p{n}@x.org") for n in range(212)}
    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("yes")
    assert "under way" in await desk.says(f"import http://{book.host}/more.vcf")
    told = await work(desk)
    assert any("Importing: 50 of 212." in one for one in told)
    assert any("Imported: 212 addresses" in one for one in told)


async def test_what_is_imported_is_found_and_belongs_to_one_user_alone(desk: Desk, book: AddressBook) -> None:
    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("yes")
    await work(desk)
    search = desk.services.wishes.cards.search
    assert (await search("mail", MIRA, name="berg", address="", start=0, most=9)).total == 1
    assert (await search("mail", BOSS, name="berg", address="", start=0, most=9)).total == 0
    assert "Mum" in await desk.says("contacts")


async def test_the_password_is_asked_for_by_a_private_field(desk: Desk, book: AddressBook) -> None:

    (command,) = COMMANDS
    step = await command.steps(await desk.context(), {"place": f"http://{book.host}/dav/"})
    assert step is not None
    assert [one.kind for one in step.fields] == [Kind.TEXT, Kind.SECRET]
    assert command.has_secret(f"http://{book.host}/dav/ mira secret")


async def test_an_import_that_a_stop_cut_off_is_told_after_the_next_start(
    desk: Desk, book: AddressBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.cards = {f"{n}.vcf": card(f"P{n}", f"EMAIL:p{n}@x.org") for n in range(120)}
    cards_here, importing_here = desk.services.wishes.cards, desk.services.importing
    assert importing_here is not None
    take_over, bites, stuck = cards_here.take_over, [], asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        bites.append(args)
        if len(bites) > 1:
            stuck.set()
            await asyncio.Event().wait()
        return await take_over(*args, **more)

    monkeypatch.setattr(cards_here, "take_over", slow)
    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("yes")
    await stuck.wait()
    await importing_here.__aexit__()  # the gateway stops
    await desk.told()
    await importing_here.tell_cut_off()  # and is there again
    (told,) = await desk.told()
    assert told.startswith("The import was interrupted at 50 of 120.")
    await importing_here.tell_cut_off()
    assert await desk.told() == [told], "it is said once"
    monkeypatch.setattr(cards_here, "take_over", take_over)
    await desk.says(f"import http://{book.host}/people.vcf")
    await desk.says("yes")
    assert any("Imported: 120 addresses, 70 of them new" in one for one in await work(desk))
