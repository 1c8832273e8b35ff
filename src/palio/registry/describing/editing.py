"""What may be edited after registration; all else is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from palio.access.audit import Change
from palio.registry.describing.metadata import CHECKS
from palio.registry.domain import Model, Version

__all__ = ["edited"]

T = TypeVar("T", Model, Version)


def edited(record: T, given: Mapping[str, object], change: Change) -> tuple[T, Change | None]:
    """Return a record with other metadata, and the change for the audit log.

    Parameters
    ----------
    record
        A model or a version.
    given
        New values by field; ``None`` leaves a field as it is.
    change
        Who, when and why.

    Returns
    -------
    tuple of Model or Version, and Change or None
        No change if every value given is the present one.

    Raises
    ------
    InvalidInput
        If a value cannot be that of its field.
    """
    wanted = {name: CHECKS[name](name, to) for name, to in given.items() if to is not None}
    before = {name: getattr(record, name) for name in wanted}
    after = {name: to for name, to in wanted.items() if to != before[name]}
    if not after:
        return record, None
    known = {name: before[name] for name in after}
    made: T = replace(record, **after)  # type: ignore[arg-type]  # checked by field
    return made, replace(change, before=known, after=after)
