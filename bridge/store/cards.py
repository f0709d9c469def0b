"""What is known of a user's contacts: names, the user's note, a picture. Each user has their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    union_all,
    update,
)

from bridge.addressing import to_local
from bridge.model import Address, Attachment, Contact, ContactId, UserId
from bridge.policy import ALLOWED, BLOCKED
from bridge.store import blobs
from bridge.store.conversations import contact_of, ensure_contact
from bridge.store.rows import insert_new
from bridge.store.tables import blobs as pictures
from bridge.store.tables import (
    cards,
    contacts,
    directory,
    line_addresses,
    lines,
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
    said: str  # what they call themselves in what they write, or everybody's address book calls them
    note: str = ""
    photo: Photo | None = None

    @property
    def shown(self) -> str:
        """What to call them; empty if there is nothing but the address."""
        return self.contact.name or self.said


def said_name() -> ColumnElement[str]:
    """What the contact of a row is called but for the user's own name: as everybody's address book has
    them, else what they call themselves."""
    listed = (
        select(func.nullif(directory.c.name, ""))
        .where(directory.c.transport == contacts.c.transport, directory.c.address == contacts.c.address)
        .correlate(contacts)
        .scalar_subquery()
    )
    return func.coalesce(listed, contacts.c.said)


# A picture that the user imported goes before everybody's, and that before one from a mail.
_OWN_PHOTO = and_(
    cards.c.photo.is_not(None), or_(cards.c.photo_from != FROM_MAIL, directory.c.photo.is_(None))
)
PHOTO_HASH = case((_OWN_PHOTO, cards.c.photo_hash), else_=directory.c.photo_hash)
LISTED = (directory.c.transport == contacts.c.transport) & (directory.c.address == contacts.c.address)
_PHOTO = case((_OWN_PHOTO, cards.c.photo), else_=directory.c.photo)
_PROFILES = (
    select(
        contacts,
        said_name().label("called"),
        cards.c.note,
        _PHOTO.label("photo"),
        case((_OWN_PHOTO, cards.c.photo_type), else_=directory.c.photo_type).label("photo_type"),
        PHOTO_HASH.label("photo_hash"),
        pictures.c.size.label("photo_size"),
    )
    .join(users, users.c.id == contacts.c.user_id)
    .outerjoin(cards, cards.c.contact_id == contacts.c.id)
    .outerjoin(directory, LISTED)
    .outerjoin(pictures, pictures.c.token == _PHOTO)
)
_LISTED = select(directory, pictures.c.size.label("photo_size")).outerjoin(
    pictures, pictures.c.token == directory.c.photo
)


def profile(connection: Connection, transport: str, jid: str, address: str) -> Profile | None:
    """What a user knows of a canonical address; None if nothing."""
    row = connection.execute(
        _PROFILES.where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.address == address)
    ).one_or_none()
    if row is not None:
        return _profile(row)
    listed = _LISTED.where(directory.c.transport == transport, directory.c.address == address)
    row = connection.execute(listed).one_or_none()
    return _listed(row) if row is not None else None


def _listed(row: Row[Any]) -> Profile:
    """Somebody of everybody's address book who is no contact of the user's."""
    contact = Contact(
        ContactId(0), UserId(0), row.transport, row.address, row.original, to_local(row.address), "",
        subscribed=False,
    )  # fmt: skip
    return Profile(contact, row.name, photo=_photo(row))


def _photo(row: Row[Any]) -> Photo | None:
    return Photo(row.photo, row.photo_type, row.photo_hash, row.photo_size or 0) if row.photo else None


def _profile(row: Row[Any]) -> Profile:
    contact = contact_of(row, row.photo_hash or "")
    return Profile(contact, row.called, row.note or "", _photo(row))


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search."""

    profiles: tuple[Profile, ...]
    total: int
    first: int  # index of the page's first in the whole


def search(
    connection: Connection, transport: str, jid: str, name: str, address: str, start: int, most: int
) -> Found:
    """A user's own contacts, and people of everybody's address book, whose name and address contain these;
    but for who is blocked or not let in yet. Ordered by address, `most` from index `start` on. What is
    empty is not asked for."""
    known = (
        select(contacts.c.address, contacts.c.id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(
            contacts.c.transport == transport,
            users.c.jid == jid,
            contacts.c.standing != BLOCKED,
            # Of who was let in something may wait all the same: they are muted.
            or_(~contacts.c.waiting, contacts.c.standing == ALLOWED),
            *_containing(name, contacts.c.name, said_name()),
            *_containing(address, contacts.c.address, contacts.c.original),
        )
    )
    mine = (
        select(contacts.c.id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(LISTED, users.c.jid == jid, or_(~contacts.c.waiting, contacts.c.standing == BLOCKED))
        .correlate(directory)
    )
    others = select(directory.c.address, cast(None, BigInteger)).where(
        directory.c.transport == transport,
        ~mine.exists(),
        *_containing(name, directory.c.name),
        *_containing(address, directory.c.address, directory.c.original),
    )
    both = union_all(known, others).subquery()
    total = connection.execute(select(func.count()).select_from(both)).scalar_one()
    page = connection.execute(select(both).order_by(both.c.address).offset(start).limit(most)).all()
    ids = [row.id for row in page if row.id is not None]
    rows = connection.execute(_PROFILES.where(contacts.c.id.in_(ids))) if ids else ()
    found = {row.address: _profile(row) for row in rows}
    addresses = [row.address for row in page if row.id is None]
    wanted = _LISTED.where(directory.c.transport == transport, directory.c.address.in_(addresses))
    found |= {row.address: _listed(row) for row in (connection.execute(wanted) if addresses else ())}
    return Found(tuple(found[row.address] for row in page), total, start)


def _containing(wanted: str, *columns: ColumnElement[str]) -> list[ColumnElement[bool]]:
    if not wanted:
        return []
    folded = wanted.lower()
    return [or_(*(func.lower(column).contains(folded, autoescape=True) for column in columns))]


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
            line_addresses.c.transport == transport,
            line_addresses.c.address == recipient,
        )
    )
    return [
        Wearer(
            contact_of(row),
            row.jid,
            row.photo_hash or "",
            row.photo_from or "",
        )
        for row in rows
    ]


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
