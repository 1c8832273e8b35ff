"""From a text such as ``metrics.auc > 0.8 and tags.team = 'risk'`` to a query.

::

    either     = all ("or" all)*
    all        = one ("and" one)*
    one        = "not" one | "(" either ")" | condition
    condition  = field ("=" | "!=" | "<" | "<=" | ">" | ">=" | "contains") value
               | field ["not"] "in" "(" value ("," value)* ")"
"""

from __future__ import annotations

from palio.registry.search.fields import Kind
from palio.registry.search.literals import read_value
from palio.registry.search.query import All, Condition, Either, Node, Not, Query
from palio.registry.search.words import Reader

__all__ = ["parse_query"]

_MAX_DEPTH = 12
_MAX_CONDITIONS = 30
_MAX_VALUES = 100
_EQUAL = {"=": "=", "==": "=", "!=": "!=", "<>": "!="}
_COMPARE = _EQUAL | {mark: mark for mark in ("<", "<=", ">", ">=")}


def parse_query(where: str) -> Query:
    """Read what was asked; an empty text asks for all versions.

    Raises
    ------
    InvalidInput
        With the place in the text, if it cannot be understood.
    """
    reader = Reader("where", where)
    if reader.now.kind == "end":
        return Query()
    node = _Parser(reader).either(0)
    reader.expect("end", "and, or, or the end")
    return Query(node)


class _Parser:
    """One pass over the words; ``depth`` counts what is open around a place."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._conditions = 0

    def either(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._reader.take("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._reader.take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self._reader.wrong(f"this is nested deeper than {_MAX_DEPTH}; ask in steps")
        if self._reader.take("not"):
            return Not(self._one(depth + 1))
        if self._reader.take("("):
            node = self.either(depth + 1)
            self._reader.expect(")", "and, or, or the ) that closes the bracket")
            return node
        return self._condition()

    def _condition(self) -> Condition:
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise self._reader.wrong(f"more than {_MAX_CONDITIONS} conditions; ask in steps")
        field, kind = self._reader.field()
        if self._reader.take("contains"):
            return self._contains(field, kind)
        negated = self._reader.take("not")
        if negated or self._reader.now.word == "in":
            self._reader.expect("in", "in")
            return Condition(field, "not in" if negated else "in", self._list(kind))
        known = _EQUAL if kind is Kind.TRUTH else _COMPARE
        mark = known.get(self._reader.now.word)
        if mark is None:
            listed = " ".join(known)
            raise self._reader.wrong(f"{field} takes {listed}, in, not in or contains")
        self._reader.skip()
        return Condition(field, mark, (read_value(self._reader, kind),))

    def _contains(self, field: str, kind: Kind) -> Condition:
        if kind is not Kind.TEXT:
            raise self._reader.wrong(f"contains looks into texts, and {field} is {kind}")
        return Condition(field, "contains", (read_value(self._reader, kind),))

    def _list(self, kind: Kind) -> tuple[float | str, ...]:
        self._reader.expect("(", "( and a list of values")
        values = [read_value(self._reader, kind)]
        while self._reader.take(","):
            if len(values) == _MAX_VALUES:
                raise self._reader.wrong(f"more than {_MAX_VALUES} values in one list")
            values.append(read_value(self._reader, kind))
        self._reader.expect(")", ", and another value, or the ) that closes the list")
        return tuple(values)
