"""Addresses that several users share: who gets what comes for them.

An answer goes to whoever last wrote to that contact from there; what answers nobody goes to all.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from bridge.model import Direction, Incoming, Kind
from bridge.store.tables import contacts, conversation_contacts, conversations, deliveries, messages

Owners = dict[tuple[str, str], Any]


def hand_out(
    connection: Connection, incoming: Sequence[Incoming], rows: Sequence[Any], own: Owners
) -> list[Incoming]:
    """The incoming messages, those for shared addresses once for each user who gets them. `rows` are the
    lines of all recipients; `own` learns whose line the copies are for."""
    sharing: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        sharing.setdefault((row.transport, row.address), []).append(row)
    handed_out = []
    for one in incoming:
        lines = sharing.get((one.transport, one.recipient), [])
        if len(lines) < 2:
            handed_out.append(one)
            continue
        for line in _who_gets(connection, one, lines):
            copy = replace(one, recipient=f"{one.recipient} {line.user_id}")
            own[one.transport, copy.recipient] = line
            handed_out.append(copy)
    return handed_out


def _who_gets(connection: Connection, one: Incoming, lines: Sequence[Any]) -> list[Any]:
    """The line of whoever wrote last to the contact, else all of them."""
    last = connection.execute(
        select(conversations.c.user_id)
        .join(messages, messages.c.conversation_id == conversations.c.id)
        .join(conversation_contacts, conversation_contacts.c.conversation_id == conversations.c.id)
        .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(
            conversations.c.transport == one.transport,
            conversations.c.user_id.in_([line.user_id for line in lines]),
            contacts.c.address == one.sender.canonical,
            messages.c.direction == Direction.OUT,
            deliveries.c.kind == Kind.MESSAGE,
            deliveries.c.sender == one.recipient,  # they may write to the same contact from elsewhere too
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    chosen = [line for line in lines if line.user_id == last]
    return chosen or list(lines)
