"""Collections of frozen records on tables, for any database SQLAlchemy speaks to."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Float,
    Table,
    TypeDecorator,
    UniqueConstraint,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.types import NULLTYPE, TypeEngine

from palio.errors import AlreadyExists
from palio.storage.tables import Word

__all__ = ["SqlCollection", "among", "chunks", "listed", "mark_of", "names_nothing"]

T = TypeVar("T")
_CHUNK = 500  # values in one IN list


class SqlCollection(Generic[T]):
    """Records of one type in one table, inside one transaction.

    The table has a column for every field of the record, under the same name.
    """

    def __init__(self, connection: Connection, table: Table, record: type[T]) -> None:
        self._connection = connection
        self._table = table
        self._record = record
        self._key = key_of(table)
        self._columns = [column for column in table.c if column.name != "added"]
        self._fields = [str(column.name) for column in self._columns]

    def get(self, *key: object, lock: bool = False) -> T | None:
        """Return the record under a key."""
        query = select(*self._columns).where(*self._is(key))
        row = self._connection.execute(query.with_for_update() if lock else query).first()
        return None if row is None else self._read(row)

    def get_many(self, keys: Iterable[tuple[object, ...]]) -> Mapping[tuple[object, ...], T]:
        """Return the records that exist under keys."""
        alike: defaultdict[tuple[object, ...], list[object]] = defaultdict(list)
        for key in keys:
            alike[key[:-1]].append(key[-1])
        getting = _getting(self._columns, self._key, self._connection.dialect)
        end_of = attrgetter(self._key[-1].name)
        found: dict[tuple[object, ...], T] = {}
        for start, ends in alike.items():
            parameters = (*start, listed(ends, self._connection.dialect))
            rows = self._connection.exec_driver_sql(getting, parameters).all()
            found |= {(*start, end_of(record)): record for record in self._records(rows)}
        return found

    def _records(self, rows: Sequence[Sequence[Any]]) -> Sequence[T]:
        """Return the records of rows as the driver gives them."""
        dialect = self._connection.dialect
        columns = [
            _converted(values, _reader(column, dialect))
            for column, values in zip(self._columns, zip(*rows, strict=True), strict=False)
        ]
        fields = [dict(zip(self._fields, row, strict=True)) for row in zip(*columns, strict=True)]
        return msgspec.convert(fields, type=list[self._record])  # type: ignore[name-defined]

    def find(self, *, last: int | None = None, **equals: object) -> Sequence[T]:
        """Return the records whose fields equal those given, in the order they were added."""
        columns = self._table.c
        order = [columns.added] if "added" in columns else list(self._key)
        query = select(*self._columns).where(
            *(columns[field] == value for field, value in equals.items())
        )
        if last is None:
            rows = self._connection.execute(query.order_by(*order)).all()
        else:
            newest = query.order_by(*(column.desc() for column in order)).limit(last)
            rows = self._connection.execute(newest).all()[::-1]
        return [self._read(row) for row in rows]

    def add(self, record: T) -> None:
        """Add a record under a key that is free."""
        try:
            self._connection.execute(self._table.insert(), self._row(record))
        except IntegrityError as taken:
            if names_nothing(taken):
                raise
            key = ", ".join(str(getattr(record, column.name)) for column in self._key)
            raise AlreadyExists(
                f"{self._table.name} has {key} already", kind=self._table.name, name=key
            ) from taken

    def add_missing(self, records: Iterable[T]) -> None:
        """Add records whose key is free."""
        rows = [self._row(record) for record in records]
        if rows:
            key = {column.name for column in self._key}
            statement = self._insert().on_conflict_do_nothing(index_elements=key)
            self._connection.execute(statement, rows)

    def put_many(self, records: Iterable[T]) -> None:
        """Add records or replace those under the same keys."""
        key_of_record = attrgetter(*(column.name for column in self._key))
        last = {key_of_record(record): record for record in records}
        if last:
            putting = _putting(self._columns, self._key, self._connection.dialect)
            parameters = self._parameters(last.values())
            self._connection.exec_driver_sql(putting, parameters)

    def _parameters(self, records: Collection[T]) -> Any:
        """Return what the driver is sent: a list of rows, or of PostgreSQL an array a column."""
        dialect = self._connection.dialect
        try:
            columns = [
                list(_converted(map(attrgetter(column.name), records), _writer(column, dialect)))
                for column in self._columns
            ]
        except (TypeError, ValueError) as unfit:
            raise StatementError(str(unfit), None, None, unfit) from unfit
        return tuple(columns) if dialect.name == "postgresql" else list(zip(*columns, strict=True))

    def remove(self, **equals: object) -> int:
        """Remove the records whose fields equal those given."""
        statement = self._table.delete().where(*self._equal(equals))
        return self._connection.execute(statement).rowcount

    def _equal(self, fields: Mapping[str, object]) -> list[Any]:
        if not fields:
            raise ValueError("name the fields of what is removed; everything is too much")
        return [self._table.c[field] == value for field, value in fields.items()]

    def _insert(self) -> Any:
        dialect = self._connection.dialect.name
        return (postgresql if dialect == "postgresql" else sqlite).insert(self._table)

    def _is(self, key: Sequence[object]) -> list[Any]:
        return [column == part for column, part in zip(self._key, key, strict=False)]

    def _row(self, record: T) -> dict[str, Any]:
        fields = dataclasses.fields(record)  # type: ignore[arg-type]
        return {field.name: getattr(record, field.name) for field in fields}

    def _read(self, row: Iterable[Any]) -> T:
        return msgspec.convert(dict(zip(self._fields, row, strict=True)), type=self._record)


def names_nothing(error: IntegrityError) -> bool:
    """Tell whether a record was refused because one that it names does not exist."""
    told = (getattr(error.orig, "sqlite_errorname", None), getattr(error.orig, "sqlstate", None))
    return told[0] == "SQLITE_CONSTRAINT_FOREIGNKEY" or told[1] == "23503"


def mark_of(dialect: Dialect) -> str:
    """Return what stands for a parameter in a statement as the driver takes it."""
    return "%s" if dialect.name == "postgresql" else "?"


def among(name: str, dialect: Dialect) -> str:
    """Return the condition that a column is one of many values, which are one parameter."""
    if dialect.name == "postgresql":
        return f"{name} = ANY(%b)"
    return f"{name} IN (SELECT value FROM json_each(?))"  # noqa: S608 - names only


def listed(values: Iterable[object], dialect: Dialect) -> object:
    """Return many values as that parameter."""
    found = list(values)
    if dialect.name == "postgresql":
        return found
    # SQLite would take a text for what stands before its NUL; no record is under such a key.
    kept = [value for value in found if not (isinstance(value, str) and "\0" in value)]
    return msgspec.json.encode(kept).decode()


def _converted(values: Iterable[Any], by: Callable[[Any], Any] | None) -> Iterable[Any]:
    return values if by is None else map(by, values)


def _writer(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what makes a column's value one that the driver takes."""
    if isinstance(column.type, Word) and not column.nullable:
        return str
    if isinstance(column.type, Float):  # PostgreSQL takes no array with whole numbers in it, too
        return lambda value: None if value is None else float(value)
    return _own(column, dialect).bind_processor(dialect)


def _reader(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what makes a column's value of one that the driver gives."""
    return _own(column, dialect).result_processor(dialect, None)


def _own(column: Column[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the type that converts a column's values: of numbers and plain text none does."""
    kind = column.type if isinstance(column.type, TypeDecorator) else NULLTYPE
    return kind.dialect_impl(dialect)


def _getting(columns: Sequence[Column[Any]], key: Sequence[Column[Any]], dialect: Dialect) -> str:
    """Return the statement that reads the rows under one start of a key and many ends."""
    quote, mark = dialect.identifier_preparer.quote, mark_of(dialect)
    *starts, end = (quote(column.name) for column in key)
    conditions = [*(f"{start} = {mark}" for start in starts), among(end, dialect)]
    return (
        f"SELECT {', '.join(quote(column.name) for column in columns)} "  # noqa: S608 - names only
        f"FROM {columns[0].table.name} WHERE {' AND '.join(conditions)}"
    )


def _putting(columns: Sequence[Column[Any]], key: Sequence[Column[Any]], dialect: Dialect) -> str:
    """Return the statement that adds rows or replaces them, without SQLAlchemy's care for each."""
    quoted = {column.name: dialect.identifier_preparer.quote(column.name) for column in columns}
    keyed = [quoted[column.name] for column in key]
    changed = [f"{name} = excluded.{name}" for name in quoted.values() if name not in keyed]
    if dialect.name == "postgresql":
        arrays = (f"%b::{column.type.compile(dialect)}[]" for column in columns)
        source = f"SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - names only
    else:
        source = f"VALUES ({', '.join('?' * len(columns))})"
    return (
        f"INSERT INTO {columns[0].table.name} ({', '.join(quoted.values())}) {source} "
        f"ON CONFLICT ({', '.join(keyed)}) DO UPDATE SET {', '.join(changed)}"
    )


def key_of(table: Table) -> list[Column[Any]]:
    """Return the columns of a table's key: its unique constraint, or its primary key."""
    for constraint in table.constraints:
        if "added" in table.c and isinstance(constraint, UniqueConstraint):
            return list(constraint.columns)
    return list(table.primary_key.columns)


def chunks(values: Iterable[Any]) -> Iterable[list[Any]]:
    """Return values in lists that fit one IN."""
    listed = list(values)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]
