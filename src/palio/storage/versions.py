"""Versions on tables: beside each its facts, which searches read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from typing_extensions import override

from palio.registry.domain import Version
from palio.registry.search.fields import MAX_TEXT, Value, facts_of
from palio.registry.search.pages import Order, Place
from palio.registry.search.query import Query
from palio.storage import tables
from palio.storage.collections import SqlCollection, chunks
from palio.storage.search import Search
from palio.storage.tables import version_facts as facts

__all__ = ["SqlVersions", "fact_row"]

Name = tuple[str, str]


class SqlVersions(SqlCollection[Version]):
    """Versions, and their facts in ``version_facts``: written with them, never read back."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, tables.versions, Version)

    @override
    def add(self, record: Version) -> None:
        super().add(record)
        self._keep([record], {})

    @override
    def add_missing(self, records: Iterable[Version]) -> None:
        given = list(records)
        there = self.get_many(map(_name, given))
        super().add_missing(given)
        added = {_name(record): None for record in given if _name(record) not in there}
        self._keep(self.get_many(added).values(), {})

    @override
    def put_many(self, records: Iterable[Version]) -> None:
        last = {_name(record): record for record in records}
        before = {_name(record): facts_of(record) for record in self._locked(last)}
        super().put_many(last.values())
        self._keep(last.values(), before)

    @override
    def remove(self, **equals: object) -> int:
        arrivals = select(self._table.c.added).where(*self._equal(equals))
        self._connection.execute(facts.delete().where(facts.c.version.in_(arrivals)))
        return super().remove(**equals)

    def search(
        self, query: Query, *, order: Order, limit: int, after: Place | None = None
    ) -> Sequence[tuple[int, Version]]:
        """Return the versions asked for that stand behind a place, each with its arrival."""
        models = tables.models.c
        deleted = select(models.name).where(models.deleted_at.is_not(None))
        query = query.knowing(self._connection.scalars(deleted).all())
        arrivals = Search(self._connection, order, limit).find(query, after)
        found: dict[int, Version] = {}
        added = self._table.c.added
        for some in chunks(arrivals):
            rows = self._connection.execute(select(added, *self._columns).where(added.in_(some)))
            found |= {row[0]: self._read(row[1:]) for row in rows}
        return [(arrival, found[arrival]) for arrival in arrivals]

    def _locked(self, names: Iterable[Name]) -> list[Version]:
        """Return the versions of these names that exist, which nobody else now changes."""
        key = tuple_(*self._key)
        return [
            self._read(row)
            for some in chunks(names)
            for row in self._connection.execute(
                select(*self._columns).where(key.in_(some)).with_for_update()
            )
        ]

    def _keep(
        self, records: Iterable[Version], before: Mapping[Name, Mapping[str, Value]]
    ) -> None:
        """Write the facts that differ from those before."""
        new: list[dict[str, Any]] = []
        gone: list[tuple[str, int]] = []
        given = {_name(record): facts_of(record) for record in records}
        for name, arrival in self._arrivals(given):
            now, old = given[name], before.get(name, {})
            changed = now.items() - old.items()
            new += [fact_row(arrival, fact, value) for fact, value in changed]
            gone += [(fact, arrival) for fact in old.keys() - now.keys()]
        self._write(new)
        for some in chunks(gone):
            where = tuple_(facts.c.name, facts.c.version).in_(some)
            self._connection.execute(facts.delete().where(where))

    def _arrivals(self, names: Iterable[Name]) -> Iterable[tuple[Name, int]]:
        columns = self._table.c
        for some in chunks(names):
            query = select(columns.model, columns.version, columns.added)
            for row in self._connection.execute(query.where(tuple_(*self._key).in_(some))):
                yield (row.model, row.version), row.added

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        dialect = self._connection.dialect.name
        insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(facts)
        changed = {name: insert.excluded[name] for name in ("number", "word", "rest")}
        replacing = insert.on_conflict_do_update(index_elements=["name", "version"], set_=changed)
        self._connection.execute(replacing, rows)


def fact_row(arrival: int, name: str, value: Value) -> dict[str, Any]:
    """Return a fact as a row."""
    row: dict[str, Any] = dict.fromkeys(("number", "word", "rest"))
    if isinstance(value, str):
        row |= {"word": value[:MAX_TEXT], "rest": value[MAX_TEXT:] or None}
    else:
        row["number"] = value
    return {"version": arrival, "name": name, **row}


def _name(record: Version) -> Name:
    return record.model, record.version
