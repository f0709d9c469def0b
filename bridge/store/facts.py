"""What is known about a message of a user's, for `/why`: when it was written and tried, what was said."""

from typing import Any

from sqlalchemy import Connection, select

from bridge.model import OPEN_STATES, Direction, Fact, Kind, State
from bridge.store.changing import Talk, conversation_of
from bridge.store.tables import deliveries, messages, statuses


def facts(connection: Connection, talk: Talk, stanza_id: str) -> list[Fact]:
    """The history of the user's message with this id, or of the newest in the conversation; oldest fact
    first. Empty if there is none."""
    conversation = conversation_of(connection, talk)
    if conversation is None:
        return []
    wanted = select(messages).where(
        messages.c.conversation_id == conversation, messages.c.direction == Direction.OUT
    )
    if stanza_id:
        wanted = wanted.where(messages.c.stanza_id == stanza_id)
    message = connection.execute(wanted.order_by(messages.c.id.desc()).limit(1)).one_or_none()
    if message is None:
        return []
    found = [Fact(message.written_at, "written")]
    carrier = message.envelope_id or message.id
    rows = connection.execute(
        select(deliveries)
        .where(deliveries.c.message_id == carrier, deliveries.c.outlet == talk.transport)
        .where(deliveries.c.kind == Kind.MESSAGE)
        .order_by(deliveries.c.id)
    ).all()
    for row in rows:
        found += _of_delivery(row)
    found += _reported(connection, talk.transport, [row.remote_id for row in rows if row.remote_id])
    if message.delayed_at is not None:
        found.append(Fact(message.delayed_at, "told"))
    return sorted(found, key=lambda fact: fact.at)


def _of_delivery(row: Any) -> list[Fact]:
    part, parts = row.part, row.parts
    known = []
    if row.first_tried_at is not None:
        known.append(Fact(row.first_tried_at, "tried", part=part, parts=parts))
    if row.state in OPEN_STATES:
        what = "doubt" if row.state == State.DOUBT else "waits"
        known.append(Fact(row.due_at, what, row.waits_for or row.reason, row.code, "", part, parts))
    else:
        at = row.settled_at if row.settled_at is not None else row.due_at
        known.append(Fact(at, row.state, row.reason, row.code, row.remote_id, part, parts))
    return known


def _reported(connection: Connection, transport: str, remote_ids: list[str]) -> list[Fact]:
    """What the far end has said by call-backs and notifications."""
    if not remote_ids:
        return []
    rows = connection.execute(
        select(statuses)
        .where(statuses.c.transport == transport, statuses.c.remote_id.in_(remote_ids))
        .order_by(statuses.c.at)
    )
    return [Fact(row.at, row.outcome, code=row.code, remote_id=row.remote_id) for row in rows]
