"""The order of versions, and pages that go on behind the last row seen."""

from __future__ import annotations

import binascii
import hashlib
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import msgspec

from palio.errors import InvalidInput
from palio.registry.domain import Version
from palio.registry.search.fields import ALIAS, MAX_TEXT, Kind, Value, facts_of, kind_of
from palio.registry.search.words import Reader

__all__ = ["MAX_LIMIT", "Key", "Order", "Place", "VersionPage", "check_limit", "parse_order"]

MAX_LIMIT = 1_000
_MAX_KEYS = 4
_LAST_ARRIVAL = 2**63


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Some of the versions that were asked for.

    Parameters
    ----------
    versions
        In the order that was asked for.
    next
        What ``after`` takes to get the page behind this one; empty when there is none.
    """

    versions: tuple[Version, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A field to order by, and which way."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in an order: its values, ``None`` for those it lacks, its arrival."""

    values: tuple[Value | None, ...]
    arrival: int


@dataclass(frozen=True, slots=True)
class Order:
    """By fields, one after the other; then by arrival, in the direction of the last field.

    Rows that lack a value come last in both directions. Without fields: newest first.
    """

    keys: tuple[Key, ...] = ()

    @property
    def newest_first(self) -> bool:
        """Which way arrival goes."""
        return self.keys[-1].descending if self.keys else True

    def place(self, version: Version, arrival: int) -> Place:
        """Return where a version stands."""
        facts = facts_of(version)
        return Place(tuple(_clipped(facts.get(key.field)) for key in self.keys), arrival)

    def compare(self, one: Place, other: Place) -> int:
        """Return -1, 0 or 1, as one place comes before the other, is it, or comes after it."""
        ways = [key.descending for key in self.keys]
        for first, second, descending in zip(one.values, other.values, ways, strict=True):
            if first != second:
                return _compared(first, second, descending=descending)
        return _compared(one.arrival, other.arrival, descending=self.newest_first)

    def token(self, place: Place) -> str:
        """Return a place as a text for the one who asks for the next page."""
        content = msgspec.json.encode([self._mark(), list(place.values), place.arrival])
        return urlsafe_b64encode(content).decode().rstrip("=")

    def place_of(self, token: str) -> Place | None:
        """Read a token of this order; nothing for the empty one.

        Raises
        ------
        InvalidInput
            If it is no token, or one of another order.
        """
        if not token:
            return None
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            content = urlsafe_b64decode(padded)
            mark, values, arrival = msgspec.json.decode(content, type=_TOKEN)
        except (ValueError, binascii.Error, RecursionError) as unreadable:
            raise _refused(token) from unreadable
        if mark != self._mark():
            raise InvalidInput(
                "after is of a page in another order; give the same order again, or begin "
                "without after",
                field="after",
                value=token,
            )
        if not self._fits(values, arrival):
            raise _refused(token)
        return Place(tuple(values), arrival)

    def _fits(self, values: list[Value | None], arrival: int) -> bool:
        if len(values) != len(self.keys) or not 0 <= arrival < _LAST_ARRIVAL:
            return False
        return all(_fits(key, value) for key, value in zip(self.keys, values, strict=True))

    def _mark(self) -> str:
        return hashlib.sha256(repr(self.keys).encode()).hexdigest()[:8]


_TOKEN = tuple[str, list[float | str | None], int]
_NUMERIC = frozenset({Kind.NUMBER, Kind.TRUTH})


def parse_order(text: str) -> Order:
    """Read ``metrics.auc desc, created_at``; newest first when empty.

    Raises
    ------
    InvalidInput
        With the place in the text, if it cannot be understood.
    """
    reader = Reader("order", text)
    if reader.now.kind == "end":
        return Order()
    keys = [_key(reader)]
    while reader.take(","):
        if len(keys) == _MAX_KEYS:
            raise reader.wrong(f"more than {_MAX_KEYS} fields to order by")
        keys.append(_key(reader))
    reader.expect("end", "asc, desc, a comma, or the end")
    return Order(tuple(keys))


def check_limit(limit: int) -> int:
    """Return how many versions a page has, or raise ``InvalidInput``."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(
            f"limit is {limit}; a page has 1 to {MAX_LIMIT} versions", field="limit", value=limit
        )
    return limit


def _key(reader: Reader) -> Key:
    if reader.now.word == ALIAS:
        raise reader.wrong("a version may have several aliases, or none; order by another field")
    field, _ = reader.field()
    descending = reader.take("desc")
    if not descending:
        reader.take("asc")
    return Key(field, descending)


def _clipped(value: Value | None) -> Value | None:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def _compared(one: Value | None, other: Value | None, *, descending: bool) -> int:
    if one is None or other is None:
        return (one is None) - (other is None)
    before = one > other if descending else one < other  # type: ignore[operator]
    return -1 if before else int(one != other)


def _fits(key: Key, value: Value | None) -> bool:
    if value is None:
        return True
    if kind_of(key.field) in _NUMERIC:
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value


def _refused(token: str) -> InvalidInput:
    return InvalidInput(
        "after is not what a page gave as next; copy it whole, or begin without it",
        field="after",
        value=token[:64],
    )
