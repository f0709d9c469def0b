"""Address books that users read contacts from: where each is, sealed by who keeps the key, and which
imports are under way."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from bridge.store.rows import insert_new
from bridge.store.tables import books, imports, users


def keep(connection: Connection, user_id: int, sealed: bytes, now: float) -> None:
    values = {"sealed": sealed, "read_at": now}
    statement = insert_new(connection, books).values(user_id=user_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))


def sealed_of(connection: Connection, user_id: int) -> bytes | None:
    return connection.execute(select(books.c.sealed).where(books.c.user_id == user_id)).scalar_one_or_none()


def forget(connection: Connection, user_id: int) -> None:
    connection.execute(delete(books).where(books.c.user_id == user_id))


# --- imports ---


@dataclass(frozen=True, slots=True)
class CutOff:
    """An import that did not come to its end."""

    transport: str  # where the user asked for it
    jid: str  # bare
    done: int
    people: int  # of how many; 0: the book was still being read


def note(connection: Connection, user_id: int, transport: str, done: int, people: int) -> None:
    """An import is under way, and so far. Nothing, if its user has left meanwhile."""
    if connection.execute(select(users.c.id).where(users.c.id == user_id)).first() is None:
        return
    values = {"transport": transport, "done": done, "people": people}
    statement = insert_new(connection, imports).values(user_id=user_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))


def ended(connection: Connection, user_id: int) -> None:
    connection.execute(delete(imports).where(imports.c.user_id == user_id))


def cut_off(connection: Connection) -> list[tuple[int, CutOff]]:
    """The imports that are noted, with the ids of their users. At a start nobody is at work on them."""
    rows = connection.execute(
        select(imports, users.c.jid).join(users, users.c.id == imports.c.user_id).order_by(imports.c.user_id)
    )
    return [(row.user_id, CutOff(row.transport, row.jid, row.done, row.people)) for row in rows]
