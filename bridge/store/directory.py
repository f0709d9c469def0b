"""People of the admin's own address book, whom everybody's users know: names and pictures by address.

They are in nobody's contact list by that. What a user calls somebody is theirs, and stands in cards.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, tuple_

from bridge.model import Attachment, ContactId, UserId
from bridge.model import Contact as ContactOf
from bridge.store import blobs
from bridge.store.rows import insert_new
from bridge.store.tables import contacts, directory, users

Key = tuple[str, str]  # transport, canonical address
_FOR_GOOD = 100 * 365 * 86400.0  # a picture stays as long as its person; see blobs.forget


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody as the book had them when it was read last."""

    original: str
    name: str
    source: str  # hash of the picture as it came; empty: none


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody as they are to stand here. Without `photo` the picture that they have stays, unless there
    is no `source` any more."""

    transport: str
    address: str
    known: Known
    photo: Attachment | None = None
    photo_hash: str = ""


def everybody(connection: Connection) -> dict[Key, Known]:
    rows = connection.execute(
        select(
            directory.c.transport,
            directory.c.address,
            directory.c.original,
            directory.c.name,
            directory.c.photo_source,
        )
    )
    return {(row.transport, row.address): Known(row.original, row.name, row.photo_source) for row in rows}


def put(connection: Connection, entries: Sequence[Entry], now: float) -> None:
    """Add these people, or change what is known of them."""
    for one in entries:
        values: dict[str, str | None] = {"original": one.known.original, "name": one.known.name}
        if one.photo is not None:
            blobs.name(connection, [one.photo], now, now + _FOR_GOOD)
            values |= {
                "photo": one.photo.blob,
                "photo_type": one.photo.media_type,
                "photo_hash": one.photo_hash,
            }
        elif not one.known.source:
            values |= {"photo": None, "photo_type": "", "photo_hash": ""}
        values["photo_source"] = one.known.source
        statement = insert_new(connection, directory).values(
            transport=one.transport, address=one.address, **values
        )
        connection.execute(
            statement.on_conflict_do_update(index_elements=["transport", "address"], set_=values)
        )


def drop(connection: Connection, keys: Collection[Key]) -> None:
    """These are in the book no more."""
    connection.execute(delete(directory).where(tuple_(directory.c.transport, directory.c.address).in_(keys)))


def clear(connection: Connection) -> None:
    """There is no such book any more."""
    connection.execute(delete(directory))


def whose(connection: Connection, keys: Collection[Key]) -> list[tuple[str, ContactOf]]:
    """Who sees one of these people among their contacts: bare JID and contact."""
    rows = connection.execute(
        select(contacts, users.c.jid)
        .join(users, users.c.id == contacts.c.user_id)
        .where(contacts.c.subscribed, tuple_(contacts.c.transport, contacts.c.address).in_(keys))
    )
    return [
        (
            row.jid,
            ContactOf(
                ContactId(row.id), UserId(row.user_id), row.transport, row.address, row.original,
                row.local, row.name, row.subscribed,
            ),
        )
        for row in rows
    ]  # fmt: skip
