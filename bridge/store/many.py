"""Statements for many rows or values whose text stays the same however many there are.

SQLAlchemy spends 8 µs on the parameters of each row of an executemany, and writes the text of an IN anew
for each number of values, so that no database keeps it prepared. On the hot path that was a third of what
a message costs. Elsewhere its own ways are good enough.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    Text,
    UpdateBase,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine


class Values(TypeDecorator[Collection[Any]]):
    """A collection of numbers or texts: an array, or what SQLite has for one."""

    impl = Text
    cache_ok = True

    def __init__(self, numbers: bool) -> None:
        super().__init__()
        self.numbers = numbers

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(ARRAY(BigInteger() if self.numbers else Text()))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return json.dumps(values) if dialect.name == "sqlite" else values


def among(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Whether a column has one of the values that are given under this name when the statement runs."""
    return _Among(column, parameter)


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], parameter: str) -> None:
        numbers = isinstance(column.type, Integer)
        super().__init__(column, bindparam(parameter, type_=Values(numbers)))

    def self_group(self, against: OperatorType | None = None) -> "_Among":
        """As it stands: where SQLite is asked, SQLAlchemy would write `… = 1` behind it, and no index serves
        that."""
        return self


@compiles(_Among, "sqlite")
def _among_on_sqlite(element: _Among, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, values = (compiler.process(one, **kwargs) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_Among, "postgresql")
def _among_on_postgresql(element: _Among, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, values = (compiler.process(one, **kwargs) for one in element.clauses)
    return f"{column} = ANY ({values})"


@lru_cache(maxsize=64)
def _insertion(table: Table, names: tuple[str, ...]) -> "Many":
    return Many(insert(table), *names)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; what they leave out has the table's own default."""
    if rows:
        _insertion(table, tuple(rows[0])).run(connection, rows)


@lru_cache(maxsize=64)
def _highest(table: Table) -> Select[int]:
    return select(func.coalesce(func.max(table.c.id), 0))


def next_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """Ids for so many new rows, rising, for whoever must know them before: an INSERT that returns them
    costs far more. On SQLite nobody else writes until this transaction ends."""
    if connection.dialect.name == "sqlite":
        highest: int = connection.execute(_highest(table)).scalar_one()
        return range(highest + 1, highest + 1 + count)
    following = func.nextval(func.pg_get_serial_sequence(table.name, "id"))
    numbers = func.generate_series(1, count).table_valued("number")
    return sorted(connection.execute(select(following).select_from(numbers)).scalars())


class Many:
    """A statement without a result that is run for many rows; translated once for each kind of database."""

    def __init__(self, statement: UpdateBase, *names: str) -> None:
        """`names` are what each row gives: columns of an INSERT, bind parameters of an UPDATE."""
        self._statement = statement
        self._names = names
        self._translated: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        dialect = connection.dialect
        if dialect.name not in self._translated:
            self._translated[dialect.name] = self._translate(dialect)
        text, order, constants = self._translated[dialect.name]
        if constants:
            rows = [{**constants, **row} for row in rows]
        if order is None:
            connection.exec_driver_sql(text, list(rows))
        else:
            connection.exec_driver_sql(text, [tuple([row[name] for name in order]) for row in rows])

    def _translate(self, dialect: Dialect) -> tuple[str, Sequence[str] | None, Mapping[str, Any]]:
        """The text; the order of its parameters, where they have no names; and those that are constant."""
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=list(self._names))
        constants = {name: value for name, value in compiled.params.items() if name not in self._names}
        return str(compiled), compiled.positiontup, constants
