"""Users, their own lines, and their contacts."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from bridge.model import Address, Contact, Line, LineId, UserId
from bridge.policy import ALLOWED
from bridge.store import own_addresses, rosters
from bridge.store.cards import LISTED, PHOTO_HASH
from bridge.store.conversations import contact_of, ensure_contact
from bridge.store.rows import hash_key, insert_new, unpack
from bridge.store.tables import (
    cards,
    contacts,
    conversations,
    deliveries,
    directory,
    line_addresses,
    lines,
    messages,
    seen,
    users,
)

AddressTaken = own_addresses.AddressTaken

_LINES = select(
    lines.c.id,
    lines.c.user_id,
    lines.c.transport,
    lines.c.address,
    lines.c.name,
    lines.c.choices,
    users.c.jid,
    users.c.language,
    users.c.spoken,
).join(users, users.c.id == lines.c.user_id)


def _line(row: Any) -> Line:
    return Line(
        LineId(row.id),
        UserId(row.user_id),
        row.transport,
        row.jid,
        row.address,
        row.name,
        row.language or row.spoken or "en",
        unpack(row.choices),
    )


def line_of(connection: Connection, transport: str, jid: str) -> Line | None:
    """The line that a bare JID has on a transport."""
    row = connection.execute(_LINES.where(lines.c.transport == transport, users.c.jid == jid)).one_or_none()
    return _line(row) if row is not None else None


def line_with_address(connection: Connection, transport: str, address: str) -> Line | None:
    """Whose line an address is; one of them, where users share it."""
    row = connection.execute(
        _LINES.join(line_addresses, line_addresses.c.line_id == lines.c.id)
        .where(line_addresses.c.transport == transport, line_addresses.c.address == address)
        .limit(1)
    ).one_or_none()
    return _line(row) if row is not None else None


def lines_on(connection: Connection, transport: str) -> list[Line]:
    return [_line(row) for row in connection.execute(_LINES.where(lines.c.transport == transport))]


def all_lines(connection: Connection) -> list[Line]:
    """Every line, by user and transport."""
    return [_line(row) for row in connection.execute(_LINES.order_by(users.c.jid, lines.c.transport))]


def register(
    connection: Connection,
    transport: str,
    jid: str,
    name: str,
    candidates: Sequence[str],
    now: float,
    *,
    move: bool = False,
    language: str = "",
    shared: Set[str] = frozenset(),
    welcome: bool = False,
) -> Line:
    """Give a user a line with the first free address of `candidates`, or edit the one they have: its
    name, and its address if `move`. `language` is what a new user reads; addresses in `shared` are free
    for everybody. `welcome`: note that a new one is to be welcomed (rosters.newcomers). Raises
    AddressTaken."""
    came_back(connection, transport, jid)
    connection.execute(
        insert_new(connection, users)
        .values(jid=jid, created_at=now, spoken=language)
        .on_conflict_do_nothing()
    )
    user = connection.execute(select(users.c.id).where(users.c.jid == jid)).scalar_one()
    present = line_of(connection, transport, jid)
    if present is None:
        found = own_addresses.first_free(connection, transport, candidates, shared)
        values = {
            "user_id": user,
            "transport": transport,
            "name": name,
            "new_here": welcome,
            "created_at": now,
        }
        line_id = connection.execute(
            insert(lines).values(**values, address=found.address).returning(lines.c.id)
        ).scalar_one()
        own_addresses.keep(connection, line_id, transport, found, now)
        return _again(connection, transport, jid)
    connection.execute(update(lines).where(lines.c.id == present.id).values(name=name))
    if move and present.address not in candidates:
        _move(connection, present, candidates, shared, now)
    return _again(connection, transport, jid)


def _move(
    connection: Connection, line: Line, candidates: Sequence[str], shared: Set[str], now: float
) -> None:
    """Another address is the line's own from now on: one that it has besides, or else a free one, and the
    one before goes. Raises AddressTaken."""
    has = {one.address for one in own_addresses.addresses_of(connection, line.id)}
    besides = next((address for address in candidates if address in has), None)
    if besides is None:
        found = own_addresses.first_free(connection, line.transport, candidates, shared)
        own_addresses.keep(connection, line.id, line.transport, found, now)
        besides = found.address
        own_addresses.put_first(connection, line, besides)
        own_addresses.drop(connection, line, line.address)
        return
    own_addresses.put_first(connection, line, besides)


def _again(connection: Connection, transport: str, jid: str) -> Line:
    line = line_of(connection, transport, jid)
    if line is None:
        raise RuntimeError("a line that was just written is not there")
    return line


# --- who left is not registered again by their next word ---


def _left_key(transport: str, jid: str) -> str:
    return hash_key("left", transport, jid)


def has_left(connection: Connection, transport: str, jid: str) -> bool:
    """Whether somebody removed their registration (or an admin did) not long ago."""
    known = select(seen.c.key).where(seen.c.key == _left_key(transport, jid))
    return connection.execute(known).first() is not None


def went(connection: Connection, transport: str, jid: str, now: float) -> None:
    connection.execute(
        insert_new(connection, seen).values(key=_left_key(transport, jid), at=now).on_conflict_do_nothing()
    )


def came_back(connection: Connection, transport: str, jid: str) -> None:
    connection.execute(delete(seen).where(seen.c.key == _left_key(transport, jid)))


def leave(connection: Connection, transport: str, jid: str, now: float) -> list[Contact] | None:
    """Remove a user's line and all that belongs to it on this transport. Answers the contacts that were
    subscribed, or None if the user was not registered."""
    line = line_of(connection, transport, jid)
    if line is None:
        return None
    gone = contacts_of(connection, transport, jid)
    rosters.part(connection, transport, jid, [contact.local for contact in gone])
    went(connection, transport, jid, now)
    mine = select(conversations.c.id).where(
        conversations.c.user_id == line.user_id, conversations.c.transport == transport
    )
    connection.execute(
        delete(deliveries).where(
            deliveries.c.message_id.in_(select(messages.c.id).where(messages.c.conversation_id.in_(mine)))
        )
    )
    connection.execute(delete(messages).where(messages.c.conversation_id.in_(mine)))
    for table in (conversations, contacts):
        connection.execute(
            delete(table).where(table.c.user_id == line.user_id, table.c.transport == transport)
        )
    connection.execute(delete(lines).where(lines.c.id == line.id))
    left = connection.execute(
        select(func.count()).select_from(lines).where(lines.c.user_id == line.user_id)
    ).scalar_one()
    if not left:
        connection.execute(delete(users).where(users.c.id == line.user_id))
    return gone


# --- contacts ---

_CONTACTS = (
    select(contacts, users.c.jid, PHOTO_HASH.label("photo_hash"))
    .join(users, users.c.id == contacts.c.user_id)
    .outerjoin(cards, cards.c.contact_id == contacts.c.id)
    .outerjoin(directory, LISTED)
)
_SEEN = _CONTACTS.where(contacts.c.subscribed)


def _contact(row: Any) -> Contact:
    return contact_of(row, row.photo_hash or "")


def contacts_of(
    connection: Connection, transport: str, jid: str, locals_: Sequence[str] = ()
) -> list[Contact]:
    """The contacts whose presence a user sees; of those with these nodes in their JIDs, if some are named."""
    query = _SEEN.where(contacts.c.transport == transport, users.c.jid == jid)
    if locals_:
        query = query.where(contacts.c.local.in_(locals_))
    return [_contact(row) for row in connection.execute(query)]


def contacts_after(connection: Connection, transport: str, jid: str, after: int, most: int) -> list[Contact]:
    """The same piece by piece: the first that come after this contact's id."""
    query = _SEEN.where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.id > after)
    return [_contact(row) for row in connection.execute(query.order_by(contacts.c.id).limit(most))]


def subscribe(
    connection: Connection, transport: str, jid: str, address: Address, local: str, now: float
) -> Contact | None:
    """Make or find a contact, and subscribe the user to it. None if the user is not registered."""
    line = line_of(connection, transport, jid)
    if line is None:
        return None
    contact_id = ensure_contact(connection, line.user_id, transport, address, local, now)
    connection.execute(
        update(contacts).where(contacts.c.id == contact_id).values(subscribed=True, standing=ALLOWED, asked=0)
    )
    rosters.want_again(connection, transport, jid, [local])
    return _contact(connection.execute(_CONTACTS.where(contacts.c.id == contact_id)).one())


def unsubscribe(connection: Connection, transport: str, jid: str, address: str) -> None:
    """The user does not want to see this contact any more."""
    known = (
        select(contacts.c.id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(users.c.jid == jid, contacts.c.transport == transport, contacts.c.address == address)
    )
    rosters.remove(connection, list(connection.execute(known).scalars()))


# --- for the command line ---


@dataclass(frozen=True, slots=True)
class UserSummary:
    jid: str
    lines: tuple[Line, ...]
    contacts: int
    messages: int


def summary_of(connection: Connection, jid: str) -> UserSummary | None:
    """What `passerelle users show` tells."""
    user = connection.execute(select(users.c.id).where(users.c.jid == jid)).scalar_one_or_none()
    if user is None:
        return None
    own = tuple(_line(row) for row in connection.execute(_LINES.where(users.c.jid == jid)))
    known = connection.execute(
        select(func.count()).select_from(contacts).where(contacts.c.user_id == user)
    ).scalar_one()
    written = connection.execute(
        select(func.count())
        .select_from(messages)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(conversations.c.user_id == user)
    ).scalar_one()
    return UserSummary(jid, own, known, written)
