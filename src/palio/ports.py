"""Ports that every noun shares: time, names, and collections of frozen records.

A *unit of work* is one transaction. Each noun names the collections it needs in its own
``ports.py``; one store satisfies them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

__all__ = ["Clock", "Collection", "Ids", "Store"]

T = TypeVar("T")
Unit_co = TypeVar("Unit_co", covariant=True)


class Clock(Protocol):
    """What time it is. Always timezone-aware, in UTC."""

    def __call__(self) -> datetime:
        """Return the present moment."""
        ...


class Ids(Protocol):
    """Names that nobody has used before. Safe to share between threads."""

    def __call__(self, prefix: str) -> str:
        """Return ``prefix`` followed by letters and digits that cannot be guessed."""
        ...


class Collection(Protocol[T]):
    """Frozen records of one type, each under a key, inside one unit of work.

    Obligations: what was read is never changed by a later write; what was written is seen by
    later reads of the same unit and by nobody else before it ends; ``find`` keeps the order in
    which records were added, except that statistics come in any order. A unit in which ``add``
    has raised is lost. Keys are tuples in the order of the record's key fields.
    """

    def get(self, *key: object, lock: bool = False) -> T | None:
        """Return the record under ``key``.

        With ``lock`` no other unit can write that record before this one ends.
        """
        ...

    def get_many(self, keys: Iterable[tuple[object, ...]]) -> Mapping[tuple[object, ...], T]:
        """Return the records that exist under ``keys``."""
        ...

    def find(self, *, last: int | None = None, **equals: object) -> Sequence[T]:
        """Return the records whose fields equal those given; only the ``last`` ones if asked."""
        ...

    def add(self, record: T) -> None:
        """Add a record; raise ``AlreadyExists`` when its key is taken."""
        ...

    def add_missing(self, records: Iterable[T]) -> None:
        """Add the records whose key is free, and leave alone what is there.

        Of units that add under one key at once exactly one does, and a later read in each of
        them finds what that one has added.
        """
        ...

    def put_many(self, records: Iterable[T]) -> None:
        """Add the records, or replace those under the same keys."""
        ...

    def remove(self, **equals: object) -> int:
        """Remove the records whose fields equal those given, and return how many there were.

        At least one field must be given. Only what is folded or remembered is ever removed;
        what others name as their parent, or the audit log tells of, stays.
        """
        ...


class Store(Protocol[Unit_co]):
    """Where units of work come from. Safe to share between threads."""

    def read(self) -> AbstractContextManager[Unit_co]:
        """Open a unit that sees one consistent state and writes nothing."""
        ...

    def write(self) -> AbstractContextManager[Unit_co]:
        """Open a unit that is kept when its block ends, and undone when it raises."""
        ...
