"""A user's own data on one transport, as plain values ready for JSON. Reads, and changes nothing.

What is held of strangers is left out, as is what carried a code (options.PROOF).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from bridge.model import Direction, State
from bridge.options import PROOF
from bridge.store import own_addresses
from bridge.store.rows import unpack
from bridge.store.tables import (
    attachments,
    cards,
    contacts,
    conversation_contacts,
    conversations,
    deliveries,
    lines,
    members,
    messages,
    users,
)


def person(connection: Connection, transport: str, user_id: int) -> dict[str, Any]:
    """Who the user is here, what they have set, and whom they know."""
    row = connection.execute(
        select(
            users.c.jid,
            users.c.language,
            users.c.created_at,
            lines.c.id,
            lines.c.address,
            lines.c.name,
            lines.c.choices,
        )
        .join(lines, lines.c.user_id == users.c.id)
        .where(users.c.id == user_id, lines.c.transport == transport)
    ).one()
    return {
        "jid": row.jid,
        "transport": transport,
        "address": row.address,
        "addresses": [one.address for one in own_addresses.addresses_of(connection, row.id)],
        "name": row.name,
        "registered": _moment(row.created_at),
        "settings": {"language": row.language, **unpack(row.choices)},
        "contacts": _contacts(connection, transport, user_id),
    }


def _contacts(connection: Connection, transport: str, user_id: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(contacts, cards.c.note)
        .outerjoin(cards, cards.c.contact_id == contacts.c.id)
        .where(contacts.c.user_id == user_id, contacts.c.transport == transport)
        .order_by(contacts.c.id)
    ).all()
    people: dict[int, list[str]] = {}
    for contact_id, address in connection.execute(
        select(members.c.contact_id, members.c.address)
        .join(contacts, contacts.c.id == members.c.contact_id)
        .where(contacts.c.user_id == user_id, contacts.c.transport == transport)
        .order_by(members.c.position)
    ):
        people.setdefault(contact_id, []).append(address)
    return [
        {
            "address": row.original,
            "name": row.name,
            "people": people.get(row.id, []),
            "note": row.note or "",
            "standing": row.standing,
            "muted": row.muted,
            "in_roster": row.subscribed,
            "since": _moment(row.created_at),
        }
        for row in rows
    ]


def written(
    connection: Connection, transport: str, user_id: int, after: int, most: int
) -> tuple[int, list[dict[str, Any]]]:
    """The user's messages after this id, oldest first, `most` at most; and the last id, 0 when none is
    left."""
    held = select(deliveries.c.message_id).where(
        deliveries.c.message_id == messages.c.id, deliveries.c.state == State.HELD
    )
    rows = connection.execute(
        select(messages)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            conversations.c.user_id == user_id,
            conversations.c.transport == transport,
            messages.c.id > after,
            ~messages.c.options.contains(f'"{PROOF}"'),
            ~held.exists(),
        )
        .order_by(messages.c.id)
        .limit(most)
    ).all()
    people = _people(connection, {row.conversation_id for row in rows})
    files = _files(connection, [row.id for row in rows])
    told = [
        {
            "time": _moment(row.written_at),
            "direction": "sent" if row.direction == Direction.OUT else "received",
            "with": people.get(row.conversation_id, []),
            "subject": row.subject,
            "text": row.body,
            "files": files.get(row.id, []),
        }
        for row in rows
    ]
    return (rows[-1].id if rows else 0), told


def _people(connection: Connection, wanted: set[int]) -> dict[int, list[str]]:
    """The addresses in each of these conversations."""
    found: dict[int, list[str]] = {}
    rows = connection.execute(
        select(conversation_contacts.c.conversation_id, contacts.c.original)
        .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
        .where(conversation_contacts.c.conversation_id.in_(wanted))
        .order_by(contacts.c.id)
    )
    for conversation_id, address in rows:
        found.setdefault(conversation_id, []).append(address)
    return found


def _files(connection: Connection, wanted: list[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    rows = connection.execute(
        select(attachments)
        .where(attachments.c.message_id.in_(wanted), attachments.c.position > 0)
        .order_by(attachments.c.id)
    )
    for row in rows:
        about = {"name": row.name, "type": row.media_type, "bytes": row.size, "kept": bool(row.blob)}
        found.setdefault(row.message_id, []).append(about)
    return found


def _moment(at: float) -> str:
    """As XEP-0082 writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
