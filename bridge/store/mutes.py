"""Chats that a user wants to hear nothing from, for a while or until further notice.

What comes meanwhile is kept: for good it is held, for a while it waits until then, as any delivery does
that is due later. No timer is in memory.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from bridge.model import Kind, State
from bridge.policy import Admission
from bridge.store import floods
from bridge.store.admitting import Arrived, judge
from bridge.store.floods import Chat
from bridge.store.rows import Lane
from bridge.store.tables import contacts, deliveries

FOLLOW = 10  # messages that come at once when a chat of several is heard again; the rest is told of

_SHOWN = deliveries.c.kind.in_((Kind.MESSAGE, Kind.FILE))


def park(connection: Connection, arrived: Sequence[Arrived], message_ids: Sequence[int], now: float) -> None:
    """Of messages that were recorded and held: those from a chat that is muted for a while, and that would
    be shown otherwise, wait until then. A mute that is over is forgotten."""
    until: dict[float, list[int]] = {}
    over = set()
    for id_, one in zip(message_ids, arrived, strict=True):
        found = one.found
        if not found.muted_until:
            continue
        if not found.muted:
            over.add(found.contact_id)
        elif not one.owner.paused and _would_be_shown(one):
            until.setdefault(found.muted_until, []).append(id_)
    for at, ids in until.items():
        _wait(connection, deliveries.c.message_id.in_(ids) & (deliveries.c.waits_for == ""), at)
    if over:
        mine = contacts.c.id.in_(over) & (contacts.c.muted_until <= now)
        connection.execute(update(contacts).where(mine).values(muted=False, muted_until=0.0))


def _would_be_shown(one: Arrived) -> bool:
    verdict = judge(one.owner, one.incoming.sender.canonical, one.standing, muted=False)
    return verdict is Admission.SHOW


def mute(connection: Connection, chat: Chat, until: float, now: float) -> None:
    """Hear nothing from a chat until then; 0: until `unmute`. What is kept already stays kept."""
    connection.execute(
        update(contacts).where(contacts.c.id == chat.contact_id).values(muted=True, muted_until=until)
    )
    floods.hush(connection, chat, now)
    if until:
        _wait(connection, _parked(chat), until)
    else:
        connection.execute(update(deliveries).where(_parked(chat)).values(state=State.HELD))
        connection.execute(update(contacts).where(contacts.c.id == chat.contact_id).values(waiting=True))


def unmute(connection: Connection, chat: Chat, now: float, *, several: bool) -> tuple[int, list[Lane]]:
    """Hear a chat again. What came meanwhile follows; of `several` people only the first of it, and the
    rest stays kept: answers how many messages that is, and lanes to ring."""
    connection.execute(
        update(contacts).where(contacts.c.id == chat.contact_id).values(muted=False, muted_until=0.0)
    )
    if several:
        _keep_rest(connection, chat)
    lanes = _due(connection, chat, now)
    return floods.kept(connection, chat), lanes


def _due(connection: Connection, chat: Chat, now: float) -> list[Lane]:
    rows = connection.execute(
        update(deliveries)
        .where(_parked(chat))
        .values(state=State.READY, due_at=now, recorded_at=now)
        .returning(deliveries.c.outlet, deliveries.c.lane)
    ).all()
    return list({(row.outlet, row.lane) for row in rows})


def _keep_rest(connection: Connection, chat: Chat) -> None:
    """All but the first few that are kept without another word, or until a time, wait to be shown."""
    parked = connection.execute(select(deliveries.c.message_id).where(_parked(chat)).distinct())
    ids = sorted({*floods.held_for(connection, chat, ""), *parked.scalars()})
    if ids[FOLLOW:]:
        kept = (deliveries.c.state == State.HELD) | _parked(chat)
        rest = deliveries.c.message_id.in_(ids[FOLLOW:]) & kept
        connection.execute(
            update(deliveries).where(rest).values(state=State.HELD, waits_for=floods.SHOW, hold_until=0.0)
        )


def _parked(chat: Chat) -> Any:
    """What waits only because its chat was muted for a while: it has never been tried."""
    mine = floods.messages_of(chat)
    return (
        deliveries.c.message_id.in_(mine)
        & _SHOWN
        & (deliveries.c.outlet == f"xmpp:{chat.transport}")
        & (deliveries.c.state == State.WAITING)
        & (deliveries.c.attempts == 0)
    )


def _wait(connection: Connection, which: Any, until: float) -> None:
    # Counted from then on, so that a long silence uses up nobody's patience.
    later = {"state": State.WAITING, "due_at": until, "hold_until": 0.0, "recorded_at": until}
    connection.execute(
        update(deliveries).where(which, deliveries.c.state.in_((State.HELD, State.WAITING))).values(**later)
    )
