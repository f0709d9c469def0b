"""Address books read over real HTTP on loopback: found, listed, got; and what is no address book."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from bridge import carddav, vcards
from bridge.carddav import Login, NotRead, Service, read
from tests.support.address_book import PASSWORD, USER, AddressBook, address_book

CARDS = {
    f"p{number:03}.vcf": f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Person {number} &amp; Söhne\r\n"
    f"EMAIL:p{number}@x.org\r\nEND:VCARD\r\n"
    for number in range(120)
}


@pytest.fixture
async def book() -> AsyncIterator[AddressBook]:
    async with address_book(CARDS) as served:
        yield served


async def nowhere(domain: str) -> Service | None:
    return None


async def fetched(
    book: AddressBook, path: str = "/dav/", password: str = PASSWORD, lookup: carddav.Lookup = nowhere
) -> tuple[list[str], list[tuple[int, int]]]:
    """The names in the book, and what was told on the way."""
    told: list[tuple[int, int]] = []

    async def tell(done: int, of: int) -> None:
        told.append((done, of))

    login = Login(f"http://{book.host}{path}", USER, password)
    data = await read(login, {book.host}, tell, lookup=lookup)
    return [card.name for card in vcards.read(data).cards], told


@pytest.mark.parametrize("path", ["/dav/", "/dav/mira/", "/dav/mira/book/", "/.well-known/carddav"])
async def test_the_book_is_found_from_wherever_one_begins(book: AddressBook, path: str) -> None:
    names, told = await fetched(book, path)
    assert len(names) == 120
    assert names[7] == "Person 7 & Söhne".replace("&", "&amp;")
    assert told == [(0, 120), (50, 120), (100, 120), (120, 120)]
    assert all(method in ("PROPFIND", "REPORT") for method, _ in book.asked), "nothing is written there"


async def test_a_mail_address_leads_there_by_the_records_of_its_domain() -> None:
    looked_up: list[str] = []

    async def lookup(domain: str) -> Service:
        looked_up.append(domain)
        return Service("dav.example.org", 8443, "/home/")

    assert await carddav._start("mira@example.org", lookup) == URL("https://dav.example.org:8443/home/")
    assert looked_up == ["example.org"]
    start = await carddav._start("example.org", nowhere)
    assert start == URL("https://example.org/.well-known/carddav")
    assert await carddav._start("example.org/dav", nowhere) == URL("https://example.org/dav")


async def test_a_password_goes_to_no_other_domain(book: AddressBook) -> None:
    async def lookup(domain: str) -> Service:
        return Service("evil.example", 443, "")

    with pytest.raises(NotRead, match="at evil"):
        await carddav._start("mira@example.org", lookup)
    book.location = "https://evil.example/dav/"
    with pytest.raises(NotRead, match="at evil"):
        await fetched(book, "/.well-known/carddav")


async def test_private_places_and_open_lines_are_refused(book: AddressBook) -> None:
    async def tell(done: int, of: int) -> None:
        return None

    with pytest.raises(NotRead, match="https"):
        await read(Login(f"http://{book.host}/dav/", USER, PASSWORD), (), tell)
    with pytest.raises(NotRead, match="private"):
        await read(Login(f"https://{book.host}/dav/", USER, PASSWORD), (), tell)
    assert book.asked == []


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"status": 503}, "refuses"),
        ({"status": 404}, "no address book"),
        ({"body": "<html>"}, "not understood"),
        ({"body": "<!DOCTYPE x [<!ENTITY a 'b'>]><multistatus xmlns='DAV:'/>"}, "not understood"),
        ({"body": "<multistatus xmlns='DAV:'/>"}, "no address book"),
    ],
)
async def test_what_is_no_address_book_is_told(book: AddressBook, what: dict[str, Any], words: str) -> None:
    for name, value in what.items():
        setattr(book, name, value)
    with pytest.raises(NotRead, match=words):
        await fetched(book)


async def test_a_wrong_password_and_an_absent_server_are_told(book: AddressBook) -> None:
    with pytest.raises(NotRead, match="user name and password"):
        await fetched(book, password="wrong")
    gone = AddressBook({}, port=9)
    with pytest.raises(NotRead, match="cannot be reached"):
        await fetched(gone)


async def test_a_book_without_end_is_left(book: AddressBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carddav, "MOST_BYTES", 2_000)
    with pytest.raises(NotRead, match="too large"):
        await fetched(book)


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("icloud.com", "p12-contacts.icloud.com", True),
        ("contacts.icloud.com", "p12-contacts.icloud.com", True),
        ("dav.example.co.uk", "cards.example.co.uk", True),
        ("example.org", "example.com", False),
        ("example.org", "evil.org", False),
        ("example.co.uk", "evil.co.uk", False),  # all of Britain is beside it
        ("example.com.au", "evil.com.au", False),
        ("127.0.0.1", "9.0.0.1", False),
    ],
)
def test_a_password_goes_to_hosts_of_the_same_owner_only(here: str, there: str, may: bool) -> None:
    assert carddav._near(here, there) is may
