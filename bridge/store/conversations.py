"""Contacts and conversations as the record finds or makes them: one conversation for each set of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, cast, insert, select
from sqlalchemy.types import String

from bridge.addressing import to_local
from bridge.model import Address, Contact, ContactId, UserId
from bridge.store.many import among
from bridge.store.rows import insert_new
from bridge.store.tables import contacts, conversation_contacts, conversations, members


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
    own: str = ""  # the user's address that it goes on from; empty: their line's
    size: int = 0  # how many people the contact is; 0: one
    goes_to: str = ""  # of several people: whom a plain line goes to, as the user was told last
    name: str = ""  # of the contact
    muted_until: float = 0.0  # 0: until the user says otherwise
    said: str = ""  # what the contact called themselves last


def conversations_with(
    connection: Connection, wanted: Sequence[tuple[int, str, Address, str]], now: float
) -> list[Found]:
    """The conversation for each (user, transport, address, node or ""); made where there is none."""
    keys = list(dict.fromkeys((user, transport, address.canonical) for user, transport, address, _ in wanted))
    found = _find_conversations(connection, keys, now)
    missing = {
        (user, transport, address.canonical): (address, local)
        for user, transport, address, local in wanted
        if (user, transport, address.canonical) not in found
    }
    if missing:
        _make_conversations(connection, missing, now)
        found |= _find_conversations(connection, list(missing), now)
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
        contacts.c.muted_until,
        contacts.c.waiting,
        contacts.c.list_name,
        contacts.c.posts,
        contacts.c.size,
        contacts.c.goes_to,
        contacts.c.name,
        contacts.c.said,
        conversations.c.id,
        conversations.c.own,
    )
    .join(
        conversations,
        (conversations.c.user_id == contacts.c.user_id)
        & (conversations.c.transport == contacts.c.transport)
        & (conversations.c.people == cast(contacts.c.id, String)),
    )
    .where(
        among(contacts.c.user_id, "users"),
        among(contacts.c.transport, "transports"),
        among(contacts.c.address, "addresses"),
    )
)


def _find_conversations(
    connection: Connection, keys: Sequence[tuple[int, str, str]], now: float
) -> dict[tuple[int, str, str], Found]:
    rows = connection.execute(
        _CONVERSATIONS,
        {
            "users": list({user for user, _, _ in keys}),
            "transports": list({transport for _, transport, _ in keys}),
            "addresses": list({address for _, _, address in keys}),
        },
    )
    found = {}
    wanted = set(keys)
    # By position: a row's attribute costs a microsecond. What several users and several addresses have in
    # common beside what was asked for is passed over.
    for user, transport, address, *its in rows:
        if (user, transport, address) in wanted:
            found[user, transport, address] = _found(address, its, now)
    return found


def _found(address: str, columns: Sequence[Any], now: float) -> Found:
    """From the columns of `_CONVERSATIONS` after the address."""
    (
        original,
        local,
        contact_id,
        standing,
        muted,
        muted_until,
        waiting,
        list_name,
        posts,
        size,
        goes_to,
        name,
        said,
        id_,
        own,
    ) = columns
    return Found(
        id_,
        address,
        original,
        local,
        contact_id,
        standing,
        _is_muted(muted, muted_until, now),
        waiting,
        "" if posts else list_name,
        own,
        size,
        goes_to,
        name,
        muted_until,
        said,
    )


def is_muted(contact: Any, now: float) -> bool:
    """Whether a contact (muted, muted_until) is muted now."""
    return _is_muted(contact.muted, contact.muted_until, now)


def _is_muted(muted: bool, until: float, now: float) -> bool:
    return bool(muted) and (not until or until > now)


def _make_conversations(
    connection: Connection, missing: Mapping[tuple[int, str, str], tuple[Address, str]], now: float
) -> None:
    for (user, transport, canonical), (address, local) in missing.items():
        wanted = Address(canonical, address.original, address.people)
        contact = ensure_contact(connection, user, transport, wanted, local, now)
        made = connection.execute(
            insert_new(connection, conversations)
            .values(user_id=user, transport=transport, people=str(contact))
            .on_conflict_do_nothing()
            .returning(conversations.c.id)
        ).scalar_one_or_none()
        if made is not None:
            connection.execute(insert(conversation_contacts).values(conversation_id=made, contact_id=contact))


def contact_of(row: Any, photo: str = "") -> Contact:
    """A contact from a row with all columns of its table; `photo` is the hash of its picture."""
    return Contact(
        ContactId(row.id),
        UserId(row.user_id),
        row.transport,
        row.address,
        row.original,
        row.local,
        row.name,
        row.subscribed,
        photo,
    )


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
            size=len(address.people),
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
            _bring_together(connection, int(made), address.people)
            return int(made)
        known = connection.execute(same).scalar_one_or_none()
        if known is not None:
            return int(known)
    raise RuntimeError("a hundred addresses fold to the same node")


def _bring_together(connection: Connection, contact: int, people: Sequence[str]) -> None:
    """Note whom a new contact stands for, if that is several."""
    if people:
        rows = [
            {"contact_id": contact, "address": one, "position": position}
            for position, one in enumerate(people)
        ]
        connection.execute(insert(members), rows)
