"""What users' rosters at the chat server should hold, and what they were last seen to hold.

The record knows which contacts a user has let in and under which name; `roster_items` what of it has
arrived there. The difference is what remains to be written: nothing is lost while it cannot be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, String, and_, cast, delete, func, insert, or_, select, update

from bridge.model import Direction, State
from bridge.policy import ALLOWED, BLOCKED
from bridge.store.cards import rename, said_name
from bridge.store.rows import insert_new
from bridge.store.tables import (
    cards,
    contacts,
    conversation_contacts,
    conversations,
    deliveries,
    farewells,
    lines,
    messages,
    roster_items,
    threads,
    users,
)

_LONGEST_NAME = 100
MOST = 500  # contacts, farewells looked at at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact that a user has let in, and how it was last seen in their roster."""

    contact_id: int
    local: str  # node of its JID
    name: str  # the user's own for it; may be empty
    called: str  # what to call it: that name, what they call themselves, or the address
    seen: str | None  # the name in the roster; None: it was never there


_ENTRIES = (
    select(
        contacts.c.id,
        contacts.c.local,
        contacts.c.name,
        contacts.c.original,
        said_name().label("said"),
        roster_items.c.contact_id,
        roster_items.c.name.label("seen"),
        users.c.jid,
    )
    .join(users, users.c.id == contacts.c.user_id)
    .outerjoin(roster_items, roster_items.c.contact_id == contacts.c.id)
)
_TALKS = select(conversation_contacts.c.contact_id).where(conversation_contacts.c.contact_id == contacts.c.id)
_QUIET = select(cards.c.contact_id).where(cards.c.contact_id == contacts.c.id, cards.c.quiet)
_MISSING = and_(
    contacts.c.standing == ALLOWED,
    or_(~_QUIET.exists(), contacts.c.subscribed, _TALKS.exists()),
    or_(
        roster_items.c.contact_id.is_(None),
        and_(~roster_items.c.gone, contacts.c.name != "", contacts.c.name != roster_items.c.name),
        # Whoever stands there by their address has told a name since; later changes of it are theirs.
        and_(
            ~roster_items.c.gone,
            contacts.c.name == "",
            roster_items.c.name == contacts.c.original,
            said_name().not_in(("", contacts.c.original)),
        ),
    ),
)


def _entry(row: Any) -> Entry:
    # What strangers call themselves is theirs to choose, but an address there would pass for somebody else.
    said = " ".join(row.said.split())[:_LONGEST_NAME] if "@" not in row.said else ""
    called = row.name or said or row.original
    return Entry(row.id, row.local, row.name, called, None if row.contact_id is None else row.seen)


def wanted(connection: Connection, transport: str, jid: str) -> list[Entry]:
    """What is to be written into a user's roster; MOST at a time."""
    query = _of(transport, jid).where(_MISSING).order_by(contacts.c.id).limit(MOST)
    return [_entry(row) for row in connection.execute(query)]


def wanted_among(connection: Connection, transport: str, senders: Sequence[tuple[str, str]]) -> set[str]:
    """Of these (bare JID of a user, node of a contact) the users whose roster lacks such a contact."""
    query = _ENTRIES.where(
        contacts.c.transport == transport,
        users.c.jid.in_({jid for jid, _ in senders}),
        contacts.c.local.in_({local for _, local in senders}),
        _MISSING,
    )
    pairs = set(senders)
    return {row.jid for row in connection.execute(query) if (row.jid, row.local) in pairs}


def seen_of(connection: Connection, transport: str, jid: str) -> list[Entry]:
    """What was last seen in a user's roster, but for what they have removed."""
    query = _of(transport, jid).where(roster_items.c.contact_id.is_not(None), ~roster_items.c.gone)
    return [_entry(row) for row in connection.execute(query)]


def _of(transport: str, jid: str) -> Select[Any]:
    return _ENTRIES.where(contacts.c.transport == transport, users.c.jid == jid)


def wrote(connection: Connection, names: Mapping[int, str]) -> None:
    """These contacts are in the roster now, under these names; their presence is seen there."""
    for contact_id, name in names.items():
        _set(connection, contact_id, name=name[:1023], gone=False)
    connection.execute(update(contacts).where(contacts.c.id.in_(names)).values(subscribed=True))


def learned(connection: Connection, names: Mapping[int, str], removed: Sequence[int]) -> None:
    """The user has given contacts these names in the roster, or has removed some from it."""
    for contact_id, name in names.items():
        rename(connection, contact_id, name[:256])
        _set(connection, contact_id, name=name[:1023])
    remove(connection, removed)


def remove(connection: Connection, contact_ids: Sequence[int]) -> None:
    """The user does not want to see these in the roster any more."""
    for contact_id in contact_ids:
        _set(connection, contact_id, gone=True)
    connection.execute(update(contacts).where(contacts.c.id.in_(contact_ids)).values(subscribed=False))


def want_again(connection: Connection, transport: str, jid: str, locals_: Sequence[str]) -> None:
    """The user has asked for these contacts: that they once removed them counts no more."""
    mine = (
        select(contacts.c.id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.local.in_(locals_))
    )
    connection.execute(
        delete(roster_items).where(roster_items.c.contact_id.in_(mine.scalar_subquery()), roster_items.c.gone)
    )


def forget(connection: Connection, user_id: int) -> None:
    """The user has another roster from now on: nothing was seen there."""
    mine = select(contacts.c.id).where(contacts.c.user_id == user_id)
    connection.execute(delete(roster_items).where(roster_items.c.contact_id.in_(mine.scalar_subquery())))


def _set(connection: Connection, contact_id: int, **values: Any) -> None:
    if connection.execute(select(contacts.c.id).where(contacts.c.id == contact_id)).first() is None:
        return  # the user has left meanwhile
    statement = insert_new(connection, roster_items).values(contact_id=contact_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["contact_id"], set_=values))


def last_wrote(connection: Connection, transport: str, jid: str, locals_: Sequence[str]) -> dict[str, float]:
    """When contacts (by the nodes of their JIDs; all, if none are named) wrote last to a user, in seconds
    since 1970; those who never did are left out. Knows transports with threads only."""
    query = (
        select(contacts.c.local, func.max(messages.c.written_at).label("at"))
        .join(users, users.c.id == contacts.c.user_id)
        .join(
            conversations,
            (conversations.c.user_id == contacts.c.user_id)
            & (conversations.c.transport == contacts.c.transport)
            & (conversations.c.people == cast(contacts.c.id, String)),
        )
        .join(threads, threads.c.conversation_id == conversations.c.id)
        .join(messages, messages.c.id == threads.c.last_in_id)
        .where(contacts.c.transport == transport, users.c.jid == jid)
        .group_by(contacts.c.local)
    )
    if locals_:
        query = query.where(contacts.c.local.in_(locals_))
    return {row.local: row.at for row in connection.execute(query)}


# --- whom the user's server keeps out ---


def shut_out(connection: Connection, transport: str, jid: str, local: str, now: float) -> bool:
    """The user has blocked a contact at their server: from now on here, too, and what is on its way to
    the user ends. False if it was so already."""
    found = _standing(connection, transport, jid, local)
    if found is None:
        return False
    if found.standing != BLOCKED:
        blocked = update(contacts).where(contacts.c.id == found.id)
        connection.execute(blocked.values(standing=BLOCKED, asked=0))
        _set(connection, found.id, shut_out=True)
    theirs = (
        select(messages.c.id)
        .join(conversation_contacts, conversation_contacts.c.conversation_id == messages.c.conversation_id)
        .where(conversation_contacts.c.contact_id == found.id, messages.c.direction == Direction.IN)
    )
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id.in_(theirs.scalar_subquery()),
            deliveries.c.state.in_((State.READY, State.WAITING, State.HELD)),
        )
        .values(state=State.CANCELLED, settled_at=now)
    )
    return bool(found.standing != BLOCKED)


def shut_out_by(connection: Connection, transport: str, jid: str, most: int) -> list[str]:
    """Nodes of the contacts that are blocked here because the user's server did so."""
    query = (
        select(contacts.c.local)
        .join(users, users.c.id == contacts.c.user_id)
        .join(roster_items, roster_items.c.contact_id == contacts.c.id)
        .where(
            contacts.c.transport == transport,
            users.c.jid == jid,
            roster_items.c.shut_out,
            contacts.c.standing == BLOCKED,
        )
        .limit(most)
    )
    return list(connection.execute(query).scalars())


def let_in_again(connection: Connection, transport: str, jid: str, local: str) -> None:
    """The user's server keeps a contact out no more."""
    found = _standing(connection, transport, jid, local)
    if found is not None and found.standing == BLOCKED:
        allowed = update(contacts).where(contacts.c.id == found.id)
        connection.execute(allowed.values(standing=ALLOWED))
        _set(connection, found.id, shut_out=False)


def blocked_of(connection: Connection, transport: str, jid: str) -> list[str]:
    """Nodes of all contacts that a user has blocked, whichever way."""
    query = (
        select(contacts.c.local)
        .join(users, users.c.id == contacts.c.user_id)
        .where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.standing == BLOCKED)
        .order_by(contacts.c.id)
        .limit(MOST)
    )
    return list(connection.execute(query).scalars())


def _standing(connection: Connection, transport: str, jid: str, local: str) -> Any:
    return connection.execute(
        select(contacts.c.id, contacts.c.standing)
        .join(users, users.c.id == contacts.c.user_id)
        .where(contacts.c.transport == transport, users.c.jid == jid, contacts.c.local == local)
    ).one_or_none()


# --- who is new here ---


def newcomers(connection: Connection, transport: str) -> list[str]:
    """Bare JIDs of users who are still to be welcomed."""
    query = (
        select(users.c.jid)
        .join(lines, lines.c.user_id == users.c.id)
        .where(lines.c.transport == transport, lines.c.new_here)
    )
    return list(connection.execute(query.order_by(lines.c.id)).scalars())


def welcomed(connection: Connection, transport: str, jid: str) -> None:
    """This user has been welcomed, and has the transport in the roster if that could be."""
    mine = select(users.c.id).where(users.c.jid == jid)
    connection.execute(
        update(lines)
        .where(lines.c.transport == transport, lines.c.user_id.in_(mine.scalar_subquery()))
        .values(new_here=False)
    )


# --- those who left ---


def part(connection: Connection, transport: str, jid: str, locals_: Sequence[str]) -> None:
    """A user leaves a transport: note from whom the chat server still has to part them."""
    rows = [{"transport": transport, "jid": jid, "local": local} for local in (*locals_, "")]
    connection.execute(insert(farewells), rows)


@dataclass(frozen=True, slots=True)
class Farewell:
    id: int
    jid: str
    local: str


def partings(connection: Connection, transport: str) -> list[Farewell]:
    """Whom to part from whom, oldest first; MOST at a time. Who is registered again keeps the transport,
    and the contacts that they have again."""
    mine = (users.c.jid == farewells.c.jid, farewells.c.transport == transport)
    again = (
        select(lines.c.id)
        .join(users, users.c.id == lines.c.user_id)
        .where(*mine, lines.c.transport == transport, farewells.c.local == "")
    )
    known = (
        select(contacts.c.id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(*mine, contacts.c.transport == transport, contacts.c.local == farewells.c.local)
    )
    connection.execute(delete(farewells).where(or_(again.exists(), known.exists())))
    rows = connection.execute(
        select(farewells.c.id, farewells.c.jid, farewells.c.local)
        .where(farewells.c.transport == transport)
        .order_by(farewells.c.id)
        .limit(MOST)
    )
    return [Farewell(row.id, row.jid, row.local) for row in rows]


def parted(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(delete(farewells).where(farewells.c.id.in_(ids)))
