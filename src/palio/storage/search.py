"""Queries on versions as SQL: sets of arrivals, merged in order.

The facts of one name lie side by side in order of arrival, so that a condition is one pass over
one name, and conditions are intersected and united as they are read: what a page costs depends
on the number of versions and of conditions, not on how many match, nor on how far the page is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    asc,
    desc,
    exists,
    func,
    intersect,
    or_,
    select,
    true,
    union,
)

from palio.registry.search.fields import ALIAS, DELETED, Kind, kind_of
from palio.registry.search.pages import Key, Order, Place
from palio.registry.search.query import All, Condition, Either, Node, Not, Query
from palio.storage.tables import alias_moves, versions
from palio.storage.tables import version_facts as facts

__all__ = ["Search"]

_FEW = 20_000  # matches that are sorted by themselves, not looked for along an index
Window = Callable[[Any], ColumnElement[bool]]
_COMPARE: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Search:
    """One page of arrivals, inside one transaction.

    Parameters
    ----------
    connection
        The transaction.
    order
        In which order.
    limit
        How many arrivals at most.
    """

    def __init__(self, connection: Connection, order: Order, limit: int) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"
        self._order = order
        self._limit = limit
        self._way = desc if order.newest_first else asc

    def find(self, query: Query, after: Place | None) -> list[int]:
        """Return the arrivals behind a place: those that have the first key, then the others."""
        keys = self._order.keys
        if keys and query.where is not None:
            some = self._ids(query.node, _anywhere).order_by("version").limit(_FEW + 1)
            count = select(func.count()).select_from(some.subquery())
            matches = self._connection.execute(count).scalar() or 0
            if matches <= _FEW:
                return self._sorted(query.node, after) if matches else []
        return self._page(query.node, keys, after, self._limit)

    def _sorted(self, node: Node, after: Place | None) -> list[int]:
        """Look up the values of every match and sort."""
        row = facts.alias("row")
        found = self._ordered(row, self._order.keys, [], after)
        matches = found.where(row.c.name == DELETED, self._among(row.c.version, node))
        return self._arrivals(matches.limit(self._limit))

    def _page(
        self, node: Node, keys: tuple[Key, ...], after: Place | None, limit: int
    ) -> list[int]:
        if not keys:
            return self._by_arrival(node, None if after is None else after.arrival, limit)
        found: list[int] = []
        place = None if after is None else Place(after.values[-len(keys) :], after.arrival)
        if place is None or place.values[0] is not None:
            found, place = self._by_keys(node, keys, place, limit), None
        if len(found) < limit and self._is_lacked(keys[0]):
            lacking = All((node, Not(Condition(keys[0].field, "there"))))
            found += self._page(lacking, keys[1:], place, limit - len(found))
        return found

    def _is_lacked(self, key: Key) -> bool:
        """Tell whether any version lacks a field."""
        having, all_there = (
            select(func.count())
            .where(facts.c.name == one.field, _value(facts, one).is_not(None))
            .scalar_subquery()
            for one in (key, Key(DELETED))
        )
        return bool(self._connection.execute(select(having < all_there)).scalar())

    def _by_arrival(self, node: Node, after: int | None, limit: int) -> list[int]:
        beyond = operator.lt if self._order.newest_first else operator.gt
        window = _anywhere if after is None else lambda arrival: beyond(arrival, after)
        found = self._ids(node, window)
        return self._arrivals(found.order_by(self._way("version")).limit(limit))

    def _by_keys(
        self, node: Node, keys: tuple[Key, ...], after: Place | None, limit: int
    ) -> list[int]:
        """Go along the index of the first key, from the place on, and keep what matches."""
        row = facts.alias("row")
        value = _value(row, keys[0])
        found = self._ordered(row, keys, [value], after).where(
            row.c.name == keys[0].field, value.is_not(None), self._among(row.c.version, node)
        )
        if after is not None:
            first = after.values[0]
            found = found.where(value <= first if keys[0].descending else value >= first)
        return self._arrivals(found.limit(limit))

    def _ordered(
        self, row: Any, keys: tuple[Key, ...], values: list[Any], after: Place | None
    ) -> Select[Any]:
        """Return rows in order and behind a place; the first key is there where it is given."""
        joined = row
        ways = [self._term(value, key) for value, key in zip(values, keys, strict=False)]
        for number, key in enumerate(keys[len(values) :]):
            other = facts.alias(f"key{number}")
            same = and_(other.c.name == key.field, other.c.version == row.c.version)
            joined = joined.outerjoin(other, same)
            value = _value(other, key)
            values = [*values, value]
            ways += [asc(value.is_(None)), self._term(value, key)]
        query = select(row.c.version).select_from(joined)
        if after is not None:
            newest = self._order.newest_first
            behind = row.c.version < after.arrival if newest else row.c.version > after.arrival
            for value, key, last in reversed([*zip(values, keys, after.values, strict=True)]):
                behind = _then(value, key, last, behind)
            query = query.where(behind)
        return query.order_by(*ways, self._way(row.c.version))

    @staticmethod
    def _term(value: Any, key: Key) -> Any:
        return value.desc() if key.descending else value.asc()

    def _arrivals(self, query: Any) -> list[int]:
        return [row[0] for row in self._connection.execute(query)]

    def _ids(self, node: Node, window: Window) -> Any:
        """Return the arrivals of a tree as a SELECT, or several merged; in any order."""
        if isinstance(node, Either):
            return union(*(self._operand(part, window) for part in node.parts))
        parts = _flat(node)
        wanted = [part for part in parts if not isinstance(part, Not)]
        unwanted = [part.part for part in parts if isinstance(part, Not)]
        first = self._operand(wanted[0], window) if wanted else _everything(window)
        first = first.where(*(self._lacks(first, part, window) for part in unwanted))
        others = [self._operand(part, window) for part in wanted[1:]]
        return intersect(first, *others) if others else first

    def _operand(self, node: Node, window: Window) -> Select[Any]:
        """Return the arrivals of a part as one SELECT: databases cannot nest what they merge."""
        if isinstance(node, Condition):
            return self._leaf(node, window)
        among = self._ids(node, window).order_by("version")
        return _everything(window).where(facts.c.version.in_(among))

    def _among(self, column: Any, node: Node) -> ColumnElement[bool]:
        if isinstance(node, Not):
            return self._without(column, node.part, _anywhere)
        if isinstance(node, All) and all(isinstance(part, Not) for part in node.parts):
            return and_(*(self._among(column, part) for part in node.parts))
        found: ColumnElement[bool] = column.in_(self._ids(node, _anywhere).order_by("version"))
        return found

    def _lacks(self, first: Select[Any], node: Node, window: Window) -> ColumnElement[bool]:
        return self._without(first.selected_columns.version, node, window)

    def _without(self, column: Any, node: Node, window: Window) -> ColumnElement[bool]:
        """Return that a column is not among the arrivals of a tree.

        SQLite looks it up in a list; PostgreSQL joins, for its lists have a limit.
        """
        if self._sqlite:
            lacks: ColumnElement[bool] = column.not_in(self._ids(node, window).order_by("version"))
            return lacks
        gone = self._ids(node, window).subquery()
        return ~exists().where(gone.c.version == column)

    def _leaf(self, condition: Condition, window: Window) -> Select[Any]:
        if condition.field == ALIAS:
            name = alias_moves.c.alias if self._sqlite else alias_moves.c.alias.collate("C")
            return _pointed_at(self._test(condition, name, name), window)
        query = select(facts.c.version).where(
            facts.c.name == condition.field, window(facts.c.version)
        )
        if condition.operator == "there":
            return query
        column = _value(facts, Key(condition.field))
        whole = facts.c.word + func.coalesce(facts.c.rest, "")
        return query.where(self._test(condition, column, whole))

    def _test(self, condition: Condition, column: Any, whole: Any) -> Any:
        value = condition.values[0]
        if condition.operator == "contains":
            return (func.instr if self._sqlite else func.strpos)(whole, value) > 0
        if condition.operator == "=":
            return column == value
        # In order of arrival only what is equal lies in the index of values; for all else the
        # index would have to be sorted.
        hidden = _hidden(column, Key(condition.field))
        if condition.operator == "in":
            return hidden.in_(condition.values)
        if condition.operator == "not in":
            return hidden.not_in(condition.values)
        return _COMPARE[condition.operator](hidden, value)


def _anywhere(_: Any) -> ColumnElement[bool]:
    return true()


def _everything(window: Window) -> Select[Any]:
    return select(facts.c.version).where(facts.c.name == DELETED, window(facts.c.version))


def _flat(node: Node) -> tuple[Node, ...]:
    """Return the parts of a tree that all hold."""
    if isinstance(node, All):
        return tuple(inner for part in node.parts for inner in _flat(part))
    return (node,)


def _pointed_at(test: ColumnElement[bool], window: Window) -> Select[Any]:
    later = alias_moves.alias("later")
    moved_on = exists().where(
        later.c.model == alias_moves.c.model,
        later.c.alias == alias_moves.c.alias,
        later.c.seq > alias_moves.c.seq,
    )
    return (
        select(versions.c.added.label("version"))
        .join_from(
            alias_moves,
            versions,
            and_(
                versions.c.model == alias_moves.c.model,
                versions.c.version == alias_moves.c.version,
            ),
        )
        .where(test, ~moved_on, window(versions.c.added))
    )


def _hidden(column: Any, key: Key) -> Any:
    """Return a column as an expression that no index has."""
    return column + 0 if _is_number(key) else column.concat("")


def _is_number(key: Key) -> bool:
    return kind_of(key.field) in (Kind.NUMBER, Kind.TRUTH)


def _value(table: Table | Any, key: Key) -> Any:
    return table.c.number if _is_number(key) else table.c.word


def _then(
    column: Any, key: Key, value: float | str | None, rest: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return that a row is behind a value, or has it and is behind it by what comes after."""
    if value is None:
        return and_(column.is_(None), rest)
    further = column < value if key.descending else column > value
    return or_(column.is_(None), further, and_(column == value, rest))
