"""A user goes on under another chat address: everything of theirs, on every transport, in one transaction."""

from sqlalchemy import Connection, or_, select, update

from bridge.model import OPEN_STATES, Direction, Line, State
from bridge.store import rosters
from bridge.store.people import all_lines, came_back, contacts_of, went
from bridge.store.rows import Lane
from bridge.store.tables import conversations, deliveries, lines, messages, users

_NOT_YET_TOLD = (*OPEN_STATES, State.HELD)


class Occupied(Exception):
    """The other address has a registration of its own."""


def lines_of(connection: Connection, jid: str) -> list[Line]:
    """What a bare JID has, by transport."""
    return [line for line in all_lines(connection) if line.jid == jid]


def move(connection: Connection, old: str, new: str, now: float) -> tuple[list[Line], list[Lane]]:
    """Put `new` in the place of `old` (bare JIDs). What has not reached the old address goes to the new
    one. Answers the lines as they are now, none if nobody of that name is here; and lanes to ring. Raises
    Occupied."""
    user = connection.execute(select(users.c.id).where(users.c.jid == old)).scalar_one_or_none()
    if user is None:
        return [], []
    if connection.execute(select(users.c.id).where(users.c.jid == new)).first() is not None:
        raise Occupied
    _leave_behind(connection, old, now)
    rosters.forget(connection, user)
    connection.execute(update(users).where(users.c.id == user).values(jid=new))
    connection.execute(update(lines).where(lines.c.user_id == user).values(new_here=True))
    mine = select(conversations.c.id).where(conversations.c.user_id == user)
    theirs = update(messages).where(messages.c.conversation_id.in_(mine))
    connection.execute(theirs.where(messages.c.direction == Direction.OUT).values(from_jid=new))
    connection.execute(theirs.where(messages.c.direction == Direction.IN).values(to_jid=new))
    waiting = (
        deliveries.c.outlet.startswith("xmpp:", autoescape=True),
        deliveries.c.state.in_(_NOT_YET_TOLD),
        or_(
            deliveries.c.recipient == old,
            deliveries.c.recipient.startswith(f"{old}/", autoescape=True),
        ),
    )
    rows = connection.execute(select(deliveries.c.outlet, deliveries.c.lane).where(*waiting).distinct())
    lanes = [(row.outlet, row.lane) for row in rows]
    connection.execute(update(deliveries).where(*waiting).values(recipient=new))
    found = lines_of(connection, new)
    for line in found:
        came_back(connection, line.transport, new)
    return found, lanes


def _leave_behind(connection: Connection, old: str, now: float) -> None:
    """The old address parts from everybody, and is not registered again by its next word."""
    for line in lines_of(connection, old):
        seen_by = [contact.local for contact in contacts_of(connection, line.transport, old)]
        rosters.part(connection, line.transport, old, seen_by)
        went(connection, line.transport, old, now)
