"""Where mail is fetched from: how far each source has been read, and what its users have read.

Every function is one transaction.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from bridge.i18n import translate
from bridge.model import Direction, Envelope, Kind, Note
from bridge.ports import Displayed
from bridge.store import inputs
from bridge.store.rows import Lane, delivery_row, hash_key, insert_new, unpack
from bridge.store.tables import conversations, cursors, deliveries, lines, messages, seen, users

_MOST_DISPLAYED = 500


def keep(
    connection: Connection, items: Sequence[tuple[bytes, Envelope]], name: str, value: str | None
) -> None:
    """Record raw inputs together with how far their source has been read (unless `value` is None)."""
    if items:
        inputs.keep(connection, items)
    if value is None:
        return
    statement = insert_new(connection, cursors).values(name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[cursors.c.name], set_={"value": value})
    )


def cursor(connection: Connection, name: str) -> str:
    found = connection.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar_one_or_none()
    return found or ""


# --- what users hear, and what they have read ---


def tell(
    connection: Connection, sender: str, outlet: str, jid: str, text: str, once: str, now: float
) -> Lane:
    """Record a line of the gateway's own for a user, unless it has been told already. Answers its lane."""
    lane = (outlet, f"tell/{hash_key(jid)}")
    if once:
        key = {"key": hash_key("tell", outlet, jid, once), "at": now}
        statement = insert_new(connection, seen).values(**key).on_conflict_do_nothing().returning(seen.c.key)
        if connection.execute(statement).scalar_one_or_none() is None:
            return lane
    row = delivery_row(
        lane,
        Kind.NOTICE,
        None,
        sender=sender,
        recipient=jid,
        stanza_id=str(uuid.uuid4()),
        note=Note("", translate(text, _language_of(connection, jid))),
        now=now,
    )
    connection.execute(insert(deliveries), [row])
    return lane


def _language_of(connection: Connection, jid: str) -> str:
    found = connection.execute(select(users.c.language, users.c.spoken).where(users.c.jid == jid)).first()
    return (found.language or found.spoken) if found is not None else ""


def displayed(connection: Connection, transport: str, jid: str, stanza_ids: Sequence[str]) -> list[Displayed]:
    """The user has read these messages, and what came before them in their conversations. Answers what was
    not known to be read yet, and has a memo of its adapter."""
    newest = connection.execute(
        select(messages.c.conversation_id, func.max(messages.c.id))
        .where(
            messages.c.transport == transport,
            messages.c.stanza_id.in_(stanza_ids),
            messages.c.direction == Direction.IN,
            messages.c.to_jid == jid,
        )
        .group_by(messages.c.conversation_id)
    ).all()
    read: list[Displayed] = []
    for conversation, message in newest:
        read += _read_up_to(connection, conversation, message)
    return read


_UNREAD = (
    select(messages.c.memo, lines.c.address)
    .join(conversations, conversations.c.id == messages.c.conversation_id)
    .join(lines, (lines.c.user_id == conversations.c.user_id) & (lines.c.transport == messages.c.transport))
    .where(
        messages.c.conversation_id == bindparam("conversation"),
        messages.c.id > conversations.c.displayed_id,
        messages.c.id <= bindparam("message"),
        messages.c.direction == Direction.IN,
        messages.c.memo != "",
    )
    .order_by(messages.c.id.desc())
    .limit(_MOST_DISPLAYED)
)


def _read_up_to(connection: Connection, conversation: int, message: int) -> list[Displayed]:
    rows = connection.execute(_UNREAD, {"conversation": conversation, "message": message}).all()
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation, conversations.c.displayed_id < message)
        .values(displayed_id=message)
    )
    return [Displayed(row.address, unpack(row.memo)) for row in rows]


_UNREAD_OF_LINE = (
    select(
        messages.c.id,
        messages.c.conversation_id,
        messages.c.stanza_id,
        messages.c.from_jid,
        messages.c.to_jid,
        messages.c.memo,
    )
    .join(conversations, conversations.c.id == messages.c.conversation_id)
    .join(
        lines,
        (lines.c.user_id == conversations.c.user_id) & (lines.c.transport == conversations.c.transport),
    )
    .where(
        lines.c.transport == bindparam("transport"),
        lines.c.address == bindparam("address"),
        messages.c.id > conversations.c.displayed_id,
        messages.c.direction == Direction.IN,
    )
    .order_by(messages.c.id.desc())
    .limit(_MOST_DISPLAYED)
)


def read_elsewhere(
    connection: Connection,
    transport: str,
    recipient: str,
    key: str,
    read: Collection[str],
    unread: Collection[str],
) -> list[tuple[str, str, str]]:
    """What lay at these places has been read by whose line this is. A mark speaks for all before it, so it
    goes as far as nothing unread lies in between. Answers (user, contact's JID, stanza id) for each chat."""
    rows = connection.execute(_UNREAD_OF_LINE, {"transport": transport, "address": recipient}).all()
    chats: dict[int, list[Any]] = {}
    for row in reversed(rows):
        chats.setdefault(row.conversation_id, []).append(row)
    marks = []
    for conversation, written in chats.items():
        places = [unpack(row.memo).get(key, "") for row in written]
        until = next((n for n, place in enumerate(places) if place in unread), len(places))
        if not any(place in read for place in places[:until]):
            continue
        last = written[until - 1]
        connection.execute(
            update(conversations).where(conversations.c.id == conversation).values(displayed_id=last.id)
        )
        marks.append((last.to_jid, last.from_jid, last.stanza_id))
    return marks
