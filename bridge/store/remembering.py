"""What adapters remember: small JSON values by key. What they mean is the adapters' business."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bridge.ports import Kept, Remember
from bridge.store.tables import adapter_memory

_MOST = 10_000  # values in one answer of `every`


@dataclass(frozen=True, slots=True)
class Wanted:
    """One change: read these keys, decide, write."""

    transport: str
    keys: tuple[str, ...]
    decide: Remember


@dataclass(frozen=True, slots=True)
class Broken:
    """The answer to a change whose `decide` raised."""

    error: Exception


def change(connection: Connection, wanted: Sequence[Wanted], now: float) -> list[Any]:
    """Carry out changes, in order, each on what the ones before it left. Answers what they decided."""
    _lock(connection, wanted)
    known = _read(connection, wanted, now)
    writes: dict[tuple[str, str], Kept | None] = {}
    answers = []
    for one in wanted:
        present = {key: known[one.transport, key] for key in one.keys if (one.transport, key) in known}
        try:
            decided, answer = one.decide(present)
        except Exception as error:  # a bug of one adapter: its own call fails, the others' do not
            answers.append(Broken(error))
            continue
        for key, kept in decided.items():
            writes[one.transport, key] = kept
            if kept is None:
                known.pop((one.transport, key), None)
            else:
                known[one.transport, key] = kept.value
        answers.append(answer)
    _write(connection, writes, now)
    return answers


def every(connection: Connection, transport: str, prefix: str, now: float) -> dict[str, Any]:
    """All that a transport remembers under keys that begin so."""
    rows = connection.execute(
        select(adapter_memory.c.key, adapter_memory.c.value)
        .where(
            adapter_memory.c.transport == transport,
            adapter_memory.c.key.startswith(prefix, autoescape=True),
            adapter_memory.c.until > now,
        )
        .order_by(adapter_memory.c.key)
        .limit(_MOST)
    )
    return {row.key: json.loads(row.value) for row in rows}


_READ = select(adapter_memory).where(
    adapter_memory.c.transport.in_(bindparam("transports", expanding=True)),
    adapter_memory.c.key.in_(bindparam("keys", expanding=True)),
    adapter_memory.c.until > bindparam("now"),
)
_FORGET = delete(adapter_memory).where(
    adapter_memory.c.transport == bindparam("b_transport"), adapter_memory.c.key == bindparam("b_key")
)


def _read(connection: Connection, wanted: Sequence[Wanted], now: float) -> dict[tuple[str, str], Any]:
    keys = list({key for one in wanted for key in one.keys})
    transports = list({one.transport for one in wanted})
    rows = connection.execute(_READ, {"transports": transports, "keys": keys, "now": now}) if keys else ()
    return {(row.transport, row.key): json.loads(row.value) for row in rows}


def _write(connection: Connection, writes: Mapping[tuple[str, str], Kept | None], now: float) -> None:
    rows = [
        {
            "transport": transport,
            "key": key,
            "value": json.dumps(kept.value, ensure_ascii=False, separators=(",", ":")),
            "until": now + kept.seconds,
        }
        for (transport, key), kept in writes.items()
        if kept is not None
    ]
    if rows:
        connection.execute(_remember(connection.dialect.name == "sqlite"), rows)
    gone = [{"b_transport": t, "b_key": key} for (t, key), kept in writes.items() if kept is None]
    if gone:
        connection.execute(_FORGET, gone)


@cache
def _remember(sqlite: bool) -> Any:
    statement = (sqlite_insert if sqlite else postgresql_insert)(adapter_memory)
    return statement.on_conflict_do_update(
        index_elements=["transport", "key"],
        set_={"value": statement.excluded.value, "until": statement.excluded.until},
    )


def _lock(connection: Connection, wanted: Sequence[Wanted]) -> None:
    """Keys that are not there yet cannot be locked as rows; two instances must not both make them.

    In ascending order, so that nobody waits in a circle. SQLite has one writer anyway.
    """
    if connection.dialect.name != "postgresql":
        return
    numbers = {
        int.from_bytes(
            hashlib.blake2b(f"{one.transport} {key}".encode(), digest_size=8).digest(), signed=True
        )
        for one in wanted
        for key in one.keys
    }
    for number in sorted(numbers):
        connection.execute(select(func.pg_advisory_xact_lock(text(str(number)))))
