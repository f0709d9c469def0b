"""What the record knows of contacts, on both databases."""

from sqlalchemy import Connection, select, update

from bridge.model import Address, Attachment
from bridge.policy import ALLOWED
from bridge.store import blobs, books, cards, people, recording, rosters
from bridge.store.cards import FROM_MAIL, Person
from bridge.store.engine import Store
from bridge.store.tables import contacts, users
from tests.bridge.records import GROUNDS, incoming

MIRA = "mira@localhost"
DAY = 86400.0


async def contact_of(store: Store, name: str = "Alice Berg") -> cards.Profile:
    await store.do(recording.record_in, [incoming(sender_name=name)], GROUNDS, 100.0)
    found = await store.look(cards.profile, "mail", MIRA, "alice@example.com")
    assert found is not None
    return found


def user_id(connection: Connection) -> int:
    return int(connection.execute(select(users.c.id).where(users.c.jid == MIRA)).scalar_one())


async def test_a_name_and_a_note_are_kept_beside_what_people_call_themselves(store: Store) -> None:
    profile = await contact_of(store)
    assert (profile.shown, profile.said, profile.note) == ("Alice Berg", "Alice Berg", "")
    await store.do(cards.rename, profile.contact.id, "Mum")
    await store.do(cards.annotate, profile.contact.id, "tea")
    profile = await contact_of(store, "Alice B.")
    assert (profile.shown, profile.said, profile.note) == ("Mum", "Alice B.", "tea")
    found = await store.look(cards.search, "mail", MIRA, "alice", "", 0, 10)
    assert [one.contact.id for one in found.profiles] == [profile.contact.id]
    assert (await store.look(cards.search, "mail", MIRA, "", "100%", 0, 10)).total == 0


async def test_whom_the_user_let_in_is_found_though_they_are_muted_and_a_stranger_is_not(
    store: Store,
) -> None:
    profile = await contact_of(store)
    await store.do(_stand, profile.contact.id, "")
    assert (await store.look(cards.search, "mail", MIRA, "alice", "", 0, 10)).total == 0
    await store.do(_stand, profile.contact.id, ALLOWED)
    assert (await store.look(cards.search, "mail", MIRA, "alice", "", 0, 10)).total == 1


def _stand(connection: Connection, contact_id: int, standing: str) -> None:
    """Something of theirs waits, and they stand so."""
    mine = update(contacts).where(contacts.c.id == contact_id)
    connection.execute(mine.values(waiting=True, standing=standing))


async def test_a_picture_keeps_its_blob_from_expiring_and_the_one_before_goes(store: Store) -> None:
    profile = await contact_of(store)
    for number in (1, 2):
        picture = Attachment("photo.png", "image/png", f"{number:048}", 3)
        await store.do(cards.wear, profile.contact.id, picture, f"hash{number}", FROM_MAIL, 100.0)
    later = 100.0 + 200 * 365 * DAY
    assert await store.do(blobs.forget, later, later - DAY, 10) == [f"{1:048}"]
    profile = await contact_of(store)
    assert profile.photo is not None
    assert (profile.photo.hash, profile.contact.photo) == ("hash2", "hash2")
    (wearer,) = await store.look(cards.wearers, "mail", "mira@chat.example", "alice@example.com")
    assert (wearer.jid, wearer.photo_hash, wearer.photo_from) == (MIRA, "hash2", FROM_MAIL)
    await store.do(people.leave, "mail", MIRA, later)
    assert await store.do(blobs.forget, later, later - DAY, 10) == [f"{2:048}"]


async def test_people_are_taken_over_once(store: Store) -> None:
    mira = await store.look(user_id)
    jana = Person(Address("jana@x.org", "Jana@x.org"), "Jana", "a note")
    (first,) = await store.do(cards.take_over, mira, "mail", [jana], True, 100.0)
    (again,) = await store.do(cards.take_over, mira, "mail", [jana], True, 200.0)
    assert (first.is_new, again.is_new, again.renamed) == (True, False, False)
    assert first.contact_id == again.contact_id
    found = await store.look(cards.profile, "mail", MIRA, "jana@x.org")
    assert found is not None
    assert (found.contact.original, found.shown, found.note) == ("Jana@x.org", "Jana", "a note")


async def test_who_is_imported_comes_into_the_roster_with_the_first_message(store: Store) -> None:
    mira = await store.look(user_id)
    known = [Person(Address(f"{name}@x.org", f"{name}@x.org"), name) for name in ("jana", "tom", "zoe")]
    await store.do(cards.take_over, mira, "mail", known, True, 100.0)
    assert await store.look(rosters.wanted, "mail", MIRA) == []
    await store.do(recording.record_in, [incoming(sender="tom@x.org")], GROUNDS, 100.0)
    await store.do(people.subscribe, "mail", MIRA, known[2].address, r"zoe\40x.org", 100.0)
    assert [one.called for one in await store.look(rosters.wanted, "mail", MIRA)] == ["tom", "zoe"]
    await store.do(cards.take_over, mira, "mail", known[:1], False, 100.0)
    assert [one.called for one in await store.look(rosters.wanted, "mail", MIRA)] == ["jana", "tom", "zoe"]


async def test_an_address_book_goes_with_its_user(store: Store) -> None:
    mira = await store.look(user_id)
    await store.do(books.keep, mira, b"sealed", 1.0)
    await store.do(books.keep, mira, b"again", 2.0)
    assert await store.look(books.sealed_of, mira) == b"again"
    for transport in ("mail", "sms"):
        await store.do(people.leave, transport, MIRA, 3.0)
    assert await store.look(books.sealed_of, mira) is None
