"""Raw inputs on their way from the acknowledgement to the record."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from bridge.model import Envelope, IntakeId
from bridge.store.tables import intake


@dataclass(frozen=True, slots=True)
class RawInput:
    id: IntakeId
    raw: bytes
    envelope: Envelope
    attempts: int  # how often a worker has died on it


def keep(connection: Connection, inputs: Sequence[tuple[bytes, Envelope]]) -> None:
    """Record raw inputs."""
    connection.execute(
        insert(intake),
        [
            {
                "transport": envelope.transport,
                "raw": raw,
                "envelope": json.dumps(asdict(envelope), ensure_ascii=False),
                "received_at": envelope.received_at,
            }
            for raw, envelope in inputs
        ],
    )


def oldest(connection: Connection, most: int, most_bytes: int) -> list[RawInput]:
    """The raw inputs that have waited longest: at most so many, and no more bytes than that but for one."""
    sizes = connection.execute(
        select(intake.c.id, func.length(intake.c.raw))
        .where(~intake.c.set_aside)
        .order_by(intake.c.id)
        .limit(most)
    ).all()
    chosen: list[int] = []
    total = 0
    for id_, size in sizes:
        total += size
        if chosen and total > most_bytes:
            break
        chosen.append(id_)
    rows = connection.execute(
        select(intake).where(intake.c.id.in_(bindparam("ids", expanding=True))).order_by(intake.c.id),
        {"ids": chosen},
    )
    return [
        RawInput(IntakeId(row.id), bytes(row.raw), _envelope(row.envelope), row.attempts) for row in rows
    ]


def _envelope(text: str) -> Envelope:
    values = json.loads(text)
    values["recipients"] = tuple(values["recipients"])
    return Envelope(**values)


def done(connection: Connection, ids: Sequence[int]) -> None:
    """These have been read and recorded (in this same transaction)."""
    connection.execute(delete(intake).where(intake.c.id == bindparam("b_id")), [{"b_id": id_} for id_ in ids])


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
    return [
        RawInput(IntakeId(row.id), bytes(row.raw), _envelope(row.envelope), row.attempts) for row in rows
    ]


def waiting(connection: Connection) -> int:
    """How many inputs wait to be read."""
    counted = select(func.count()).select_from(intake).where(~intake.c.set_aside)
    return int(connection.execute(counted).scalar_one())
