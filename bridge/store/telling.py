"""What the writer of a message hears about it: one receipt or one error, as a delivery of its own."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from bridge.i18n import translate
from bridge.model import Kind, Note
from bridge.store.envelopes import UNDONE
from bridge.store.many import Many, among, insert_rows
from bridge.store.rows import Lane, delivery_row, note_lane
from bridge.store.tables import conversations, deliveries, messages, users

RECEIPT, ERROR = "receipt", "error"  # messages.told; empty before, UNDONE if it was taken back


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
    messages.c.lines,
    messages.c.envelope_id,
)
_COLUMNS = tuple(column.name for column in _MESSAGES.selected_columns)  # `id` first
_BY_ID = _MESSAGES.where(among(messages.c.id, "ids"))
_CARRIED = _MESSAGES.where(among(messages.c.envelope_id, "ids")).order_by(messages.c.id)

_LANGUAGES = (
    select(messages.c.id, users.c.language, users.c.spoken)
    .join(conversations, conversations.c.id == messages.c.conversation_id)
    .join(users, users.c.id == conversations.c.user_id)
    .where(among(messages.c.id, "ids"))
)


def _languages(connection: Connection, told: Sequence[Told]) -> dict[int, str]:
    """What the writers read who hear of a failure: a receipt has no words."""
    return languages_of(connection, {one.message_id for one in told if not one.good})


def languages_of(connection: Connection, message_ids: Collection[int]) -> dict[int, str]:
    """The languages of those who wrote these messages, or got them."""
    rows = connection.execute(_LANGUAGES, {"ids": list(message_ids)}) if message_ids else ()
    return {id_: chosen or spoken for id_, chosen, spoken in rows}


_TOLD = Many(
    update(messages)
    .where(messages.c.id == bindparam("b_id"))
    .values(parts_left=bindparam("b_parts_left"), told=bindparam("b_told")),
    *("b_id", "b_parts_left", "b_told"),
)


def tell(connection: Connection, told: Sequence[Told], now: float) -> list[Lane]:
    """Record the notes that follow. A receipt goes with the last good delivery, an error with the first
    bad one; a failure after a receipt is an error and a chat line besides, because clients ignore an
    error on a message that they show as received. Answers lanes to ring."""
    state = _lines_of(connection, {one.message_id for one in told})
    languages = _languages(connection, told)
    rows: list[dict[str, Any]] = []
    for one in told:
        carried = state.get(one.message_id)
        if carried is not None:
            if not one.good:
                one = replace(one, reason=translate(one.reason, languages.get(one.message_id, "")))
            rows += _notes_for(carried, one, now)
    _TOLD.run(
        connection,
        [
            {"b_id": line["id"], "b_parts_left": line["parts_left"], "b_told": line["told"]}
            for carried in state.values()
            for line in carried
        ],
    )
    insert_rows(connection, deliveries, rows)
    return [(row["outlet"], row["lane"]) for row in rows]


def _lines_of(connection: Connection, message_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Each message, followed by those that its delivery carries besides."""
    rows = connection.execute(_BY_ID, {"ids": message_ids})
    # Not row._mapping, which costs as much as the rest of a receipt.
    state = {row[0]: [dict(zip(_COLUMNS, row, strict=True))] for row in rows}
    several = [id_ for id_, (line,) in state.items() if line["lines"] > 1]
    for row in connection.execute(_CARRIED, {"ids": several}) if several else ():
        state[row.envelope_id].append(dict(row._mapping))
    return state


def _notes_for(lines: Sequence[dict[str, Any]], one: Told, now: float) -> list[dict[str, Any]]:
    """The rows that one end of a delivery causes; the lines that it carries are changed accordingly."""
    if one.good:
        first = lines[0]
        first["parts_left"] = max(first["parts_left"] - 1, 0)
        return [] if first["parts_left"] else [row for line in lines for row in _receipt(line, now)]
    late = next((line for line in lines if line["told"] == RECEIPT), None)
    rows = [row for line in lines for row in _error(line, one, now)]
    if late is not None:
        rows.append(_note_row(late, Kind.NOTICE, Note(late["stanza_id"], f"✗ {one.reason}"), now))
    return rows


def remark(connection: Connection, message_id: int, text: str, now: float) -> list[Lane]:
    """A chat line about a message whose end is open. Answers lanes to ring."""
    language = languages_of(connection, {message_id}).get(message_id, "")
    rows = [
        _note_row(dict(row._mapping), Kind.NOTICE, Note(row.stanza_id, translate(text, language)), now)
        for row in connection.execute(_BY_ID, {"ids": [message_id]})
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    return [(row["outlet"], row["lane"]) for row in rows]


def _receipt(line: dict[str, Any], now: float) -> list[dict[str, Any]]:
    if line["told"]:
        return []
    line["told"] = RECEIPT
    return [_note_row(line, Kind.RECEIPT, Note(line["stanza_id"]), now)] if line["wants_receipt"] else []


def _error(line: dict[str, Any], one: Told, now: float) -> list[dict[str, Any]]:
    if line["told"] in (ERROR, UNDONE):
        return []
    line["told"] = ERROR
    condition, error_type = one.condition or "undefined-condition", one.error_type or "cancel"
    return [_note_row(line, Kind.ERROR, Note(line["stanza_id"], one.reason, condition, error_type), now)]


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
