"""What was asked, as a tree; and whether a version is it.

Logic has two values: a comparison with what a version does not have is false, ``!=`` and
``not in`` included, so that ``not`` in front of it is true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from palio.registry.domain import Version
from palio.registry.search.fields import ALIAS, DELETED, Value, facts_of

__all__ = ["All", "Condition", "Either", "Node", "Not", "Query", "conditions_of"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A field beside values: one, or those of a list.

    ``operator`` is one of ``= != < <= > >= contains in``, ``not in``, and ``there``, which
    takes no value.
    """

    field: str
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


Node = Condition | All | Either | Not
_GONE = Condition(DELETED, "=", (1.0,))


@dataclass(frozen=True, slots=True)
class Query:
    """Which versions are asked for; deleted ones only when ``deleted`` is mentioned.

    Parameters
    ----------
    where
        What was asked; nothing, for all versions.
    """

    where: Node | None = None

    @property
    def node(self) -> Node:
        """What was asked, and that deleted versions are left out unless they were asked for."""
        if self.where is None:
            return Not(_GONE)
        if any(one.field == DELETED for one in conditions_of(self.where)):
            return self.where
        return All((self.where, Not(_GONE)))

    def knowing(self, deleted_models: Collection[str]) -> Query:
        """Return the same query where versions of these models are deleted as well."""
        if not deleted_models:
            return self
        of_them = Condition("model", "in", tuple(sorted(deleted_models)))
        return Query(_with_deleted(self.node, Either((_GONE, of_them))))

    def admits(self, version: Version, aliases: Collection[str] = ()) -> bool:
        """Tell whether a version is asked for.

        Parameters
        ----------
        version
            The version.
        aliases
            Those that point at it now.
        """
        return _holds(self.node, facts_of(version), aliases)


def conditions_of(node: Node) -> Iterator[Condition]:
    """Go through the conditions of a tree."""
    if isinstance(node, Condition):
        yield node
    else:
        for part in (node.part,) if isinstance(node, Not) else node.parts:
            yield from conditions_of(part)


def _with_deleted(node: Node, deleted: Node) -> Node:
    """Return a tree that asks ``deleted`` wherever it asked the field of that name."""
    if isinstance(node, Not):
        return Not(_with_deleted(node.part, deleted))
    if not isinstance(node, Condition):
        return type(node)(tuple(_with_deleted(part, deleted) for part in node.parts))
    if node.field != DELETED:
        return node
    yes, no = (_holds(node, {DELETED: value}, ()) for value in (1.0, 0.0))
    either = Condition(DELETED, "there")
    if yes:
        return either if no else deleted
    return Not(deleted if no else either)


def _holds(node: Node, facts: Mapping[str, Value], aliases: Collection[str]) -> bool:
    if isinstance(node, Not):
        return not _holds(node.part, facts, aliases)
    if isinstance(node, All):
        return all(_holds(part, facts, aliases) for part in node.parts)
    if isinstance(node, Either):
        return any(_holds(part, facts, aliases) for part in node.parts)
    own = [facts[node.field]] if node.field in facts else []
    found = aliases if node.field == ALIAS else own
    return any(_TESTS[node.operator](value, node.values) for value in found)


Test = Callable[[Value, tuple[Value, ...]], bool]


def _first(compare: Callable[[Value, Value], bool]) -> Test:
    return lambda found, wanted: compare(found, wanted[0])


_TESTS: Mapping[str, Test] = {
    "=": _first(operator.eq),
    "!=": _first(operator.ne),
    "<": _first(operator.lt),
    "<=": _first(operator.le),
    ">": _first(operator.gt),
    ">=": _first(operator.ge),
    "contains": lambda found, wanted: str(wanted[0]) in str(found),
    "in": lambda found, wanted: found in wanted,
    "not in": lambda found, wanted: found not in wanted,
    "there": lambda _found, _wanted: True,
}
