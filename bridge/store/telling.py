"""What the writer of a message hears about it: one receipt or one error, as a delivery of its own."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from bridge.model import Kind, Note
from bridge.store.rows import Lane, delivery_row, note_lane
from bridge.store.tables import deliveries, messages

RECEIPT, ERROR = "receipt", "error"


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery of an outward message has come to its end."""

    message_id: int
    delivery_id: int
    good: bool
    reason: str = ""
    condition: str = ""
    error_type: str = ""


_MESSAGES = select(
    messages.c.id,
    messages.c.transport,
    messages.c.conversation_id,
    messages.c.stanza_id,
    messages.c.from_jid,
    messages.c.to_jid,
    messages.c.wants_receipt,
    messages.c.parts_left,
    messages.c.told,
).where(messages.c.id.in_(bindparam("ids", expanding=True)))

_TOLD = (
    update(messages)
    .where(messages.c.id == bindparam("b_id"))
    .values(parts_left=bindparam("parts_left"), told=bindparam("told"))
)


def tell(connection: Connection, told: Sequence[Told], now: float) -> list[Lane]:
    """Record the notes that follow. A receipt goes with the last good delivery, an error with the first
    bad one; a failure after a receipt is an error and a chat line besides, because clients ignore an
    error on a message that they show as received. Answers lanes to ring."""
    ids = list({one.message_id for one in told})
    state = {row.id: dict(row._mapping) for row in connection.execute(_MESSAGES, {"ids": ids})}
    rows: list[dict[str, Any]] = []
    for one in told:
        message = state.get(one.message_id)
        if message is not None:
            rows += _notes_for(message, one, now)
    connection.execute(
        _TOLD,
        [{"b_id": m["id"], "parts_left": m["parts_left"], "told": m["told"]} for m in state.values()],
    )
    if rows:
        connection.execute(insert(deliveries), rows)
    return [(row["outlet"], row["lane"]) for row in rows]


def _notes_for(message: dict[str, Any], one: Told, now: float) -> list[dict[str, Any]]:
    """The rows that one end of a delivery causes; `message` is changed accordingly."""
    if one.good:
        message["parts_left"] = max(message["parts_left"] - 1, 0)
        if message["parts_left"] or message["told"]:
            return []
        message["told"] = RECEIPT
        if not message["wants_receipt"]:
            return []
        return [_note_row(message, Kind.RECEIPT, Note(message["stanza_id"]), now)]
    before = message["told"]
    if before == ERROR:
        return []
    message["told"] = ERROR
    error = Note(
        message["stanza_id"],
        one.reason,
        one.condition or "undefined-condition",
        one.error_type or "cancel",
    )
    rows = [_note_row(message, Kind.ERROR, error, now)]
    if before == RECEIPT:
        rows.append(_note_row(message, Kind.NOTICE, Note(message["stanza_id"], f"✗ {one.reason}"), now))
    return rows


def _note_row(message: dict[str, Any], kind: Kind, note: Note, now: float) -> dict[str, Any]:
    return delivery_row(
        note_lane(message["transport"], message["conversation_id"]),
        kind,
        message["id"],
        sender=message["to_jid"],
        recipient=message["from_jid"],
        stanza_id=str(uuid.uuid4()),
        note=note,
        now=now,
    )
