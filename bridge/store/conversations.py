"""Contacts and conversations as the record finds or makes them: one conversation for each set of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, cast, insert, select
from sqlalchemy.types import String

from bridge.addressing import to_local
from bridge.model import Address
from bridge.store.rows import insert_new
from bridge.store.tables import contacts, conversation_contacts, conversations


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation with one contact."""

    id: int
    address: str
    original: str
    local: str
    contact_id: int
    standing: str  # of the contact: "", allowed, blocked
    muted: bool
    waiting: bool  # something of theirs is held
    list_name: str  # of a mailing list to which the user has not posted yet; else empty


def conversations_with(
    connection: Connection, wanted: Sequence[tuple[int, str, Address, str]], now: float
) -> list[Found]:
    """The conversation for each (user, transport, address, node or ""); made where there is none."""
    keys = list(dict.fromkeys((user, transport, address.canonical) for user, transport, address, _ in wanted))
    found = _find_conversations(connection, keys)
    missing = {
        (user, transport, address.canonical): (address, local)
        for user, transport, address, local in wanted
        if (user, transport, address.canonical) not in found
    }
    if missing:
        _make_conversations(connection, missing, now)
        found |= _find_conversations(connection, list(missing))
    return [found[user, transport, address.canonical] for user, transport, address, _ in wanted]


_CONVERSATIONS = (
    select(
        contacts.c.user_id,
        contacts.c.transport,
        contacts.c.address,
        contacts.c.original,
        contacts.c.local,
        contacts.c.id.label("contact_id"),
        contacts.c.standing,
        contacts.c.muted,
        contacts.c.waiting,
        contacts.c.list_name,
        contacts.c.posts,
        conversations.c.id,
    )
    .join(
        conversations,
        (conversations.c.user_id == contacts.c.user_id)
        & (conversations.c.transport == contacts.c.transport)
        & (conversations.c.people == cast(contacts.c.id, String)),
    )
    .where(
        contacts.c.user_id.in_(bindparam("users", expanding=True)),
        contacts.c.transport.in_(bindparam("transports", expanding=True)),
        contacts.c.address.in_(bindparam("addresses", expanding=True)),
    )
)


def _find_conversations(
    connection: Connection, keys: Sequence[tuple[int, str, str]]
) -> dict[tuple[int, str, str], Found]:
    rows = connection.execute(
        _CONVERSATIONS,
        {
            "users": list({user for user, _, _ in keys}),
            "transports": list({transport for _, transport, _ in keys}),
            "addresses": list({address for _, _, address in keys}),
        },
    )
    return {
        (row.user_id, row.transport, row.address): Found(
            row.id,
            row.address,
            row.original,
            row.local,
            row.contact_id,
            row.standing,
            row.muted,
            row.waiting,
            "" if row.posts else row.list_name,
        )
        for row in rows
    }


def _make_conversations(
    connection: Connection, missing: Mapping[tuple[int, str, str], tuple[Address, str]], now: float
) -> None:
    for (user, transport, canonical), (address, local) in missing.items():
        wanted = Address(canonical, address.original)
        contact = ensure_contact(connection, user, transport, wanted, local, now)
        made = connection.execute(
            insert_new(connection, conversations)
            .values(user_id=user, transport=transport, people=str(contact))
            .on_conflict_do_nothing()
            .returning(conversations.c.id)
        ).scalar_one_or_none()
        if made is not None:
            connection.execute(insert(conversation_contacts).values(conversation_id=made, contact_id=contact))


def ensure_contact(
    connection: Connection, user: int, transport: str, address: Address, local: str, now: float
) -> int:
    """The id of a user's contact; made if it is not there. Its node in the JID is free for this user."""
    same = select(contacts.c.id).where(
        contacts.c.user_id == user, contacts.c.transport == transport, contacts.c.address == address.canonical
    )
    known = connection.execute(same).scalar_one_or_none()
    if known is not None:
        return int(known)
    statement = (
        insert_new(connection, contacts)
        .values(
            user_id=user,
            transport=transport,
            address=address.canonical,
            original=address.original,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(contacts.c.id)
    )
    wanted = local or to_local(address.canonical)
    # Nodeprep folds ß and ss to one node: the second address to come gets a node of its own.
    for candidate in (wanted, *(f"{wanted}~{n}" for n in range(2, 100))):
        made = connection.execute(statement.values(local=candidate)).scalar_one_or_none()
        if made is not None:
            return int(made)
        known = connection.execute(same).scalar_one_or_none()
        if known is not None:
            return int(known)
    raise RuntimeError("a hundred addresses fold to the same node")
