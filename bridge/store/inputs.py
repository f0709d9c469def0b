"""Raw inputs on their way from the acknowledgement to the record."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, bindparam, delete, func, select, update

from bridge.model import Envelope, IntakeId
from bridge.store.many import among, insert_rows
from bridge.store.tables import intake


@dataclass(frozen=True, slots=True)
class RawInput:
    id: IntakeId
    raw: bytes
    envelope: Envelope
    attempts: int  # how often a worker has died on it


def keep(connection: Connection, inputs: Sequence[tuple[bytes, Envelope]]) -> None:
    """Record raw inputs."""
    insert_rows(
        connection,
        intake,
        [
            {
                "transport": envelope.transport,
                "raw": raw,
                # Not dataclasses.asdict: that copies deeply, 20 µs each.
                "envelope": json.dumps(
                    {name: getattr(envelope, name) for name in _ENVELOPE}, ensure_ascii=False, default=dict
                ),
                "received_at": envelope.received_at,
            }
            for raw, envelope in inputs
        ],
    )


_ENVELOPE = tuple(one.name for one in fields(Envelope))
_SIZES = (
    select(intake.c.id, func.length(intake.c.raw))
    .where(~intake.c.set_aside)
    .order_by(intake.c.id)
    .limit(bindparam("most"))
)
_CHOSEN = (
    select(intake.c.id, intake.c.raw, intake.c.envelope, intake.c.attempts)
    .where(among(intake.c.id, "ids"))
    .order_by(intake.c.id)
)


def oldest(connection: Connection, most: int, most_bytes: int) -> list[RawInput]:
    """The raw inputs that have waited longest: at most so many, and no more bytes than that but for one."""
    sizes = connection.execute(_SIZES, {"most": most}).all()
    chosen: list[int] = []
    total = 0
    for id_, size in sizes:
        total += size
        if chosen and total > most_bytes:
            break
        chosen.append(id_)
    rows = connection.execute(_CHOSEN, {"ids": chosen}) if chosen else ()
    return [
        RawInput(IntakeId(id_), bytes(raw), _envelope(envelope), attempts)
        for id_, raw, envelope, attempts in rows
    ]


def _envelope(text: str) -> Envelope:
    values = json.loads(text)
    values["recipients"] = tuple(values["recipients"])
    return Envelope(**values)


def done(connection: Connection, ids: Sequence[int]) -> None:
    """These have been read and recorded (in this same transaction)."""
    connection.execute(_DONE, {"ids": ids})


_DONE = delete(intake).where(among(intake.c.id, "ids"))


def blame(connection: Connection, ids: Sequence[int]) -> None:
    """A worker died on these."""
    connection.execute(
        update(intake).where(intake.c.id == bindparam("b_id")).values(attempts=intake.c.attempts + 1),
        [{"b_id": id_} for id_ in ids],
    )


def set_aside(connection: Connection, ids: Sequence[int]) -> None:
    """Keep these, but try to read them no more: an administrator looks at them."""
    connection.execute(
        update(intake).where(intake.c.id == bindparam("b_id")).values(set_aside=True),
        [{"b_id": id_} for id_ in ids],
    )


def kept(connection: Connection, most: int = 100) -> list[RawInput]:
    """Those that nobody could read, oldest first."""
    rows = connection.execute(select(intake).where(intake.c.set_aside).order_by(intake.c.id).limit(most))
    return [RawInput(IntakeId(row.id), bytes(row.raw), _envelope(row.envelope), row.attempts) for row in rows]


def waiting(connection: Connection) -> int:
    """How many inputs wait to be read."""
    counted = select(func.count()).select_from(intake).where(~intake.c.set_aside)
    return int(connection.execute(counted).scalar_one())
