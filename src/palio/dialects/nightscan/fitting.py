"""Configurations are checked field by field, and refused in the names that they were given by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from palio.edge.fields import unknown_field
from palio.edge.refusals import refused_fields
from palio.errors import InvalidInput

__all__ = ["fitted", "read"]

T = TypeVar("T")


def fitted(config: T) -> T:
    """Return a record whose values are of the types and in the ranges that its fields tell."""
    kind: Any = type(config)
    return read(type(config), {one.name: getattr(config, one.name) for one in fields(kind)})


def read(kind: type[T], given: Mapping[str, Any], place: str = "") -> T:
    """Return a mapping as the record that it configures.

    Parameters
    ----------
    kind
        A dataclass.
    given
        Its fields, those with a default as far as they are set.
    place
        What the mapping is called.

    Raises
    ------
    InvalidInput
        If a field is unknown, missing, of another type or out of range.
    """
    known: Any = kind
    if (unknown := unknown_field(kind, given)) is not None:
        names = ", ".join(one.name for one in fields(known))
        raise InvalidInput(f"{place} has no {unknown}; it has {names}", field=place, value=unknown)
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as unfit:
        raise refused_fields(unfit, place) from None
