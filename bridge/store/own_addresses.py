"""The addresses that a line has, and which of them a conversation goes on from.

A conversation goes on from the address that its contact wrote to last, or that the user chose since;
one that has neither goes from the line's own. Every function is part of one transaction.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from bridge.i18n import tr, translate
from bridge.model import OPEN_STATES, Kind, Line
from bridge.store.conversations import Found
from bridge.store.tables import conversations, deliveries, line_addresses, lines, messages


class AddressTaken(Exception):
    """Every address that this user could have is somebody else's."""


class NoMore(Exception):
    """The user has as many addresses as they may have."""


class InUse(Exception):
    """Messages wait to go from an address. `count` says how many."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@dataclass(frozen=True, slots=True)
class Held:
    """An address that a line has."""

    address: str
    shared: bool
    first: bool = False  # the line's own: from it goes what goes from no other


def addresses_of(connection: Connection, line_id: int) -> list[Held]:
    """All addresses of a line, its own first, the others as they came."""
    rows = connection.execute(
        select(line_addresses.c.address, line_addresses.c.shared, lines.c.address.label("own"))
        .join(lines, lines.c.id == line_addresses.c.line_id)
        .where(line_addresses.c.line_id == line_id)
        .order_by(line_addresses.c.created_at, line_addresses.c.address)
    ).all()
    held = [Held(row.address, row.shared, row.address == row.own) for row in rows]
    return sorted(held, key=lambda one: not one.first)


def besides(connection: Connection) -> dict[int, list[str]]:
    """The addresses that lines have besides their own, by line."""
    rows = connection.execute(
        select(line_addresses.c.line_id, line_addresses.c.address)
        .join(lines, lines.c.id == line_addresses.c.line_id)
        .where(line_addresses.c.address != lines.c.address)
        .order_by(line_addresses.c.created_at, line_addresses.c.address)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row.line_id, []).append(row.address)
    return found


def taken_of(connection: Connection, transport: str, candidates: Sequence[str]) -> set[str]:
    """Which of these addresses somebody has."""
    rows = connection.execute(
        select(line_addresses.c.address).where(
            line_addresses.c.transport == transport, line_addresses.c.address.in_(candidates)
        )
    )
    return set(rows.scalars())


def free_of(
    connection: Connection, transport: str, line_id: int, candidates: Sequence[str], shared: Set[str]
) -> list[str]:
    """Those of these addresses that a line could have besides those that it has (0: a new line)."""
    own = {one.address for one in addresses_of(connection, line_id)}
    taken = taken_of(connection, transport, candidates) - shared
    return [candidate for candidate in candidates if candidate not in taken | own]


def first_free(connection: Connection, transport: str, candidates: Sequence[str], shared: Set[str]) -> Held:
    """The address that whoever asks may have. One of one's own goes before a shared one. Raises
    AddressTaken."""
    taken = taken_of(connection, transport, candidates)
    for candidate in candidates:
        if candidate not in taken and candidate not in shared:
            return Held(candidate, shared=False)
    for candidate in candidates:
        if candidate in shared:
            return Held(candidate, shared=True)
    raise AddressTaken


def keep(connection: Connection, line_id: int, transport: str, found: Held, now: float) -> None:
    """Give a line an address."""
    connection.execute(
        insert(line_addresses).values(
            line_id=line_id,
            transport=transport,
            address=found.address,
            shared=found.shared,
            created_at=now,
        )
    )


def drop(connection: Connection, line: Line, address: str) -> None:
    """Take an address from a line. Conversations that went on from it go on from the line's own."""
    connection.execute(
        delete(line_addresses).where(line_addresses.c.line_id == line.id, line_addresses.c.address == address)
    )
    connection.execute(
        update(conversations)
        .where(
            conversations.c.user_id == line.user_id,
            conversations.c.transport == line.transport,
            conversations.c.own == address,
        )
        .values(own="")
    )


def put_first(connection: Connection, line: Line, address: str) -> None:
    """One of a line's addresses is its own from now on; conversations that there are go on from where
    they went."""
    if address == line.address:
        return
    connection.execute(
        update(conversations)
        .where(
            conversations.c.user_id == line.user_id,
            conversations.c.transport == line.transport,
            conversations.c.own == "",
        )
        .values(own=line.address)
    )
    connection.execute(update(lines).where(lines.c.id == line.id).values(address=address))


# --- what users do ---


def take(
    connection: Connection,
    line: Line,
    candidates: Sequence[str],
    most: int,
    shared: Set[str],
    now: float,
) -> str:
    """One address more for a line: the first free one of `candidates`. Raises NoMore, AddressTaken."""
    if len(addresses_of(connection, line.id)) >= most:
        raise NoMore
    free = free_of(connection, line.transport, line.id, candidates, shared)
    found = first_free(connection, line.transport, free, shared)
    keep(connection, line.id, line.transport, found, now)
    return found.address


def give_back(connection: Connection, line: Line, address: str) -> None:
    """The line has this address no more; whoever registers next may have it. If it was the line's own,
    the next one is. Raises InUse, or NoMore if it is the only one."""
    others = [one.address for one in addresses_of(connection, line.id) if one.address != address]
    if not others:
        raise NoMore
    waiting = connection.execute(
        select(func.count())
        .select_from(deliveries)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            conversations.c.user_id == line.user_id,
            deliveries.c.outlet == line.transport,
            deliveries.c.kind == Kind.MESSAGE,
            deliveries.c.sender == address,
            deliveries.c.state.in_(OPEN_STATES),
        )
    ).scalar_one()
    if waiting:
        raise InUse(waiting)
    if address == line.address:
        put_first(connection, line, others[0])
    drop(connection, line, address)


def go_on_from(connection: Connection, conversation_id: int, address: str) -> None:
    """A conversation goes on from this address of the user's."""
    connection.execute(update(conversations).where(conversations.c.id == conversation_id).values(own=address))


# --- what comes ---


class Reached:
    """Which of a user's addresses messages from outside came to, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._moved: dict[int, str] = {}

    def lead(self, line: Any, found: Found) -> str:
        """What tells the user that a contact wrote to another address than usual, once: its answers go
        from there now. `line` has the address that was written to, and `first`, the line's own."""
        usual = self._moved.get(found.id, found.own) or line.first
        if line.address == usual:
            return ""
        self._moved[found.id] = line.address
        go_on_from(self._connection, found.id, line.address)
        language = line.language or line.spoken
        return translate(tr("(to {address})", address=line.address), language) + " "
