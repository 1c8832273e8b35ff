"""Collections of frozen records on tables, for any database SQLAlchemy speaks to."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, Connection, Table, UniqueConstraint, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from palio.errors import AlreadyExists

__all__ = ["SqlCollection", "chunks", "names_nothing"]

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
        found: dict[tuple[object, ...], T] = {}
        for start, ends in alike.items():
            for some in chunks(ends):
                query = select(*self._columns).where(*self._is(start), self._key[-1].in_(some))
                for row in self._connection.execute(query):
                    record = self._read(row)
                    found[*start, getattr(record, self._key[-1].name)] = record
        return found

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
        rows = [self._row(record) for record in records]
        if not rows:
            return
        insert = self._insert()
        key = {column.name for column in self._key}
        changed = {name: insert.excluded[name] for name in rows[0] if name not in key}
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=key, set_=changed), rows
        )

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
