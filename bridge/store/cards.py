"""What is known of a user's contacts: names, the user's note, a picture. Each user has their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, update

from bridge.model import Address, Attachment, Contact, ContactId, Direction, UserId
from bridge.policy import ALLOWED, BLOCKED
from bridge.store import blobs
from bridge.store.conversations import ensure_contact
from bridge.store.rows import insert_new
from bridge.store.tables import blobs as pictures
from bridge.store.tables import (
    cards,
    contacts,
    conversation_contacts,
    deliveries,
    line_addresses,
    lines,
    messages,
    users,
)

BY_USER, BY_IMPORT = "user", "import"
FROM_MAIL, FROM_IMPORT = "mail", "import"
_FOR_GOOD = 100 * 365 * 86400.0  # a picture stays as long as its contact; see blobs.forget


@dataclass(frozen=True, slots=True)
class Photo:
    """A contact's picture; its bytes are a blob."""

    blob: str
    media_type: str
    hash: str  # SHA-1 in hex, as XEP-0084 and XEP-0153 have it
    size: int


@dataclass(frozen=True, slots=True)
class Profile:
    """All that is known of a contact."""

    contact: Contact  # its name is the user's own for it, which nobody else may see
    said: str  # what they call themselves in what they write; may be empty
    note: str = ""
    photo: Photo | None = None

    @property
    def shown(self) -> str:
        """What to call them; empty if there is nothing but the address."""
        return self.contact.name or self.said


def said_name() -> ColumnElement[str]:
    """What the contact of a row calls themselves: the name on the newest message of theirs that has one.
    Several people in one chat have none."""
    newest = (
        select(deliveries.c.sender_name)
        .select_from(conversation_contacts)
        .join(messages, messages.c.conversation_id == conversation_contacts.c.conversation_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(
            conversation_contacts.c.contact_id == contacts.c.id,
            messages.c.direction == Direction.IN,
            deliveries.c.sender_name != "",
            contacts.c.size == 0,
        )
        .order_by(messages.c.id.desc())
        .limit(1)
        .correlate(contacts)
        .scalar_subquery()
    )
    return func.coalesce(newest, "")


_PROFILES = (
    select(
        contacts,
        said_name().label("said"),
        cards.c.note,
        cards.c.photo,
        cards.c.photo_type,
        cards.c.photo_hash,
        pictures.c.size.label("photo_size"),
    )
    .join(users, users.c.id == contacts.c.user_id)
    .outerjoin(cards, cards.c.contact_id == contacts.c.id)
    .outerjoin(pictures, pictures.c.token == cards.c.photo)
)


def profile(connection: Connection, transport: str, jid: str, address: str) -> Profile | None:
    """What a user knows of a canonical address; None if nothing."""
    row = connection.execute(
        _PROFILES.where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.address == address)
    ).one_or_none()
    return _profile(row) if row is not None else None


def _profile(row: Row[Any]) -> Profile:
    contact = Contact(
        ContactId(row.id),
        UserId(row.user_id),
        row.transport,
        row.address,
        row.original,
        row.local,
        row.name,
        row.subscribed,
        row.photo_hash or "",
    )
    photo = Photo(row.photo, row.photo_type, row.photo_hash, row.photo_size or 0) if row.photo else None
    return Profile(contact, row.said, row.note or "", photo)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search."""

    profiles: tuple[Profile, ...]
    total: int
    first: int  # index of the page's first in the whole


def search(
    connection: Connection, transport: str, jid: str, name: str, address: str, start: int, most: int
) -> Found:
    """A user's own contacts whose name and address contain these, but for who is blocked or not let in yet;
    ordered by address, `most` from index `start` on. What is empty is not asked for."""
    query = _PROFILES.where(
        contacts.c.transport == transport,
        users.c.jid == jid,
        contacts.c.standing != BLOCKED,
        ~contacts.c.waiting,
    )
    if name:
        wanted = name.lower()
        query = query.where(
            or_(
                func.lower(contacts.c.name).contains(wanted, autoescape=True),
                func.lower(said_name()).contains(wanted, autoescape=True),
            )
        )
    if address:
        query = query.where(
            or_(
                contacts.c.address.contains(address.lower(), autoescape=True),
                func.lower(contacts.c.original).contains(address.lower(), autoescape=True),
            )
        )
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    page = query.order_by(contacts.c.address).offset(start).limit(most)
    return Found(tuple(_profile(row) for row in connection.execute(page)), total, start)


# --- changing ---


def rename(connection: Connection, contact_id: int, name: str) -> None:
    """The user's own name for a contact; empty leaves it to what they call themselves."""
    connection.execute(update(contacts).where(contacts.c.id == contact_id).values(name=name))
    _set(connection, contact_id, named_by=BY_USER if name else "")


def annotate(connection: Connection, contact_id: int, note: str) -> None:
    _set(connection, contact_id, note=note)


def _set(connection: Connection, contact_id: int, **values: Any) -> None:
    statement = insert_new(connection, cards).values(contact_id=contact_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["contact_id"], set_=values))


@dataclass(frozen=True, slots=True)
class Wearer:
    """A contact who might be given a picture."""

    contact: Contact
    jid: str  # of the user
    photo_hash: str
    photo_from: str


def wearers(connection: Connection, transport: str, recipient: str, address: str) -> list[Wearer]:
    """The contacts with this address, of the users whose line has the address `recipient`."""
    rows = connection.execute(
        select(contacts, users.c.jid, cards.c.photo_hash, cards.c.photo_from)
        .join(users, users.c.id == contacts.c.user_id)
        .join(lines, (lines.c.user_id == users.c.id) & (lines.c.transport == contacts.c.transport))
        .join(line_addresses, line_addresses.c.line_id == lines.c.id)
        .outerjoin(cards, cards.c.contact_id == contacts.c.id)
        .where(
            contacts.c.transport == transport,
            contacts.c.address == address,
            line_addresses.c.address == recipient,
        )
    )
    return [
        Wearer(
            Contact(
                ContactId(row.id), UserId(row.user_id), row.transport, row.address, row.original,
                row.local, row.name, row.subscribed,
            ),
            row.jid,
            row.photo_hash or "",
            row.photo_from or "",
        )
        for row in rows
    ]  # fmt: skip


def wear(
    connection: Connection, contact_id: int, picture: Attachment, digest: str, source: str, now: float
) -> None:
    """Give a contact a picture that is on disk. The one before belongs to nobody then and is swept away."""
    if not connection.execute(select(contacts.c.id).where(contacts.c.id == contact_id)).first():
        return  # gone meanwhile
    blobs.name(connection, [picture], now, now + _FOR_GOOD)
    _set(
        connection,
        contact_id,
        photo=picture.blob,
        photo_type=picture.media_type,
        photo_hash=digest,
        photo_from=source,
    )


# --- importing ---


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody from an address book, with one address on a transport."""

    address: Address
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one of them."""

    contact_id: int
    local: str
    is_new: bool
    renamed: bool
    photo_hash: str  # of the picture that they have


def take_over(
    connection: Connection, user_id: int, transport: str, people: Sequence[Person], quietly: bool, now: float
) -> list[Taken]:
    """Make people from an address book contacts of a user, or complete those who are: in order. A name that
    the user has given stays, and so does a note. They may write to the user; who is blocked stays so.
    `quietly`: who is new stays out of the roster until one of them writes to the other."""
    return [_take_over(connection, user_id, transport, one, quietly, now) for one in people]


def _take_over(
    connection: Connection, user_id: int, transport: str, one: Person, quietly: bool, now: float
) -> Taken:
    same = (
        select(contacts, cards.c.named_by, cards.c.note, cards.c.photo_hash)
        .outerjoin(cards, cards.c.contact_id == contacts.c.id)
        .where(
            contacts.c.user_id == user_id,
            contacts.c.transport == transport,
            contacts.c.address == one.address.canonical,
        )
    )
    row = connection.execute(same).one_or_none()
    is_new = row is None
    if row is None:
        ensure_contact(connection, user_id, transport, one.address, "", now)
        row = connection.execute(same).one()
    named = bool(one.name) and one.name != row.name and (not row.name or row.named_by == BY_IMPORT)
    values: dict[str, Any] = {"name": one.name[:256]} if named else {}
    if not row.standing:
        values["standing"] = ALLOWED
    if values:
        connection.execute(update(contacts).where(contacts.c.id == row.id).values(**values))
    known: dict[str, Any] = {"named_by": BY_IMPORT} if named else {}
    if one.note and not row.note:
        known["note"] = one.note
    if is_new or not quietly:
        known["quiet"] = quietly
    if known:
        _set(connection, row.id, **known)
    return Taken(row.id, row.local, is_new, named and not is_new, row.photo_hash or "")
