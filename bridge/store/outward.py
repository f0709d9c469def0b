"""All that a stream brings from users in one transaction, in order: messages, corrections, retractions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection

from bridge.store import changing, envelopes
from bridge.store.changing import Changed, Reach, Retraction
from bridge.store.drafts import Draft, Recorded
from bridge.store.recording import record_out
from bridge.store.rows import Lane
from bridge.store.unthreading import Name


@dataclass(frozen=True, slots=True)
class Typing:
    """The user types on, or no longer: what waits for more lines in this lane is due then."""

    lane: Lane
    due_at: float


Step = Draft | Retraction | Typing


def carry(
    connection: Connection,
    steps: Sequence[Step],
    names: Mapping[str, Name],
    untouched: frozenset[Lane],
    now: float,
) -> list[Recorded | Changed]:
    """Carry out steps, in order; answers one value for each. `names` are by transport."""
    reach = Reach(untouched, frozenset(step.uid for step in steps if isinstance(step, Draft)))
    answers: list[Recorded | Changed] = []
    for plain, run in groupby(steps, key=_is_plain):
        if plain:
            answers += record_out(connection, [step for step in run if isinstance(step, Draft)], now)
        else:
            answers += _one_by_one(connection, list(run), names, reach, now)
    return answers


def _is_plain(step: Step) -> bool:
    return isinstance(step, Draft) and not step.replaces


def _one_by_one(
    connection: Connection, steps: Sequence[Step], names: Mapping[str, Name], reach: Reach, now: float
) -> Iterator[Recorded | Changed]:
    for step in steps:
        if isinstance(step, Draft):
            yield changing.correct(connection, step, names[step.transport], now)
        elif isinstance(step, Retraction):
            yield changing.retract(connection, step, reach, names[step.talk.transport], now)
        else:
            envelopes.move(connection, step.lane, step.due_at)
            yield Changed((step.lane,))
