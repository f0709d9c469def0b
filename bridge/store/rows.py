"""Rows as the record writes them: lanes, keys, messages, deliveries. What the other modules share."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Table, bindparam, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bridge.model import Kind, Note, State
from bridge.store.many import Values, insert_rows, next_ids
from bridge.store.tables import messages

Lane = tuple[str, str]  # outlet, lane


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT for this database that knows ON CONFLICT."""
    return sqlite_insert(table) if connection.dialect.name == "sqlite" else postgresql_insert(table)


def hash_key(*parts: str) -> str:
    """A dedupe key of fixed size."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def not_seen(connection: Connection, keys: Iterable[str], now: float) -> set[str]:
    """Those dedupe keys that were not known; they are known from now on."""
    wanted = {key for key in keys if key}
    if not wanted:
        return set()
    statement = _SEEN_ON_SQLITE if connection.dialect.name == "sqlite" else _SEEN_ON_POSTGRESQL
    return set(connection.execute(statement, {"keys": wanted, "now": now}).scalars())


_SEEN_ON_SQLITE, _SEEN_ON_POSTGRESQL = (
    text(
        f"INSERT INTO seen (key, at) SELECT value, :now FROM {values} WHERE true "
        "ON CONFLICT DO NOTHING RETURNING key"
    ).bindparams(bindparam("keys", type_=Values(numbers=False)))
    for values in ("json_each(:keys)", "unnest(:keys) AS value")
)


def out_lane(transport: str, conversation: int) -> Lane:
    return transport, f"out/{conversation}"


def in_lane(transport: str, conversation: int) -> Lane:
    return f"xmpp:{transport}", f"in/{conversation}"


def note_lane(transport: str, conversation: int) -> Lane:
    return f"xmpp:{transport}", f"note/{conversation}"


def pack(values: Mapping[str, str]) -> str:
    """A small mapping as a column keeps it."""
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":")) if values else ""


def unpack(text: str | None) -> dict[str, str]:
    return json.loads(text) if text else {}


_NOTE = {one.name: one.default for one in fields(Note)}


def pack_note(note: Note) -> str:
    # Not dataclasses.asdict: that copies deeply, 30 µs a note.
    values = {name: value for name, default in _NOTE.items() if (value := getattr(note, name)) != default}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def insert_messages(connection: Connection, rows: list[dict[str, Any]]) -> list[int]:
    """Insert message rows, which all have the same columns; their ids, in order."""
    ids = list(next_ids(connection, messages, len(rows)))
    insert_rows(connection, messages, [{"id": id_, **row} for id_, row in zip(ids, rows, strict=True)])
    return ids


def delivery_row(
    lane: Lane,
    kind: Kind,
    message_id: int | None,
    *,
    sender: str,
    recipient: str,
    now: float,
    sender_name: str = "",
    stanza_id: str = "",
    note: Note | None = None,
    part: int = 1,
    parts: int = 1,
    waits_for: str = "",
    until: float = 0.0,
) -> dict[str, Any]:
    """A row of the deliveries table, due at once; or at `until`, and its lane with it, if it waits for
    something."""
    return {
        "outlet": lane[0],
        "lane": lane[1],
        "kind": kind,
        "message_id": message_id,
        "sender": sender,
        "sender_name": sender_name,
        "recipient": recipient,
        "stanza_id": stanza_id,
        "note": pack_note(note) if note is not None else "",
        "part": part,
        "parts": parts,
        "state": State.WAITING if waits_for else State.READY,
        "due_at": until if waits_for else now,
        "hold_until": until if waits_for else 0.0,
        "waits_for": waits_for,
        "recorded_at": now,
    }
