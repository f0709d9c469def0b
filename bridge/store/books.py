"""Address books elsewhere that users read contacts from: one for each, sealed by who keeps the key."""

from sqlalchemy import Connection, delete, select

from bridge.store.rows import insert_new
from bridge.store.tables import books


def keep(connection: Connection, user_id: int, sealed: bytes, now: float) -> None:
    values = {"sealed": sealed, "read_at": now}
    statement = insert_new(connection, books).values(user_id=user_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))


def sealed_of(connection: Connection, user_id: int) -> bytes | None:
    return connection.execute(select(books.c.sealed).where(books.c.user_id == user_id)).scalar_one_or_none()


def forget(connection: Connection, user_id: int) -> None:
    connection.execute(delete(books).where(books.c.user_id == user_id))
