"""What callers fill in, held against its types and ranges: a refusal names their own field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from palio.edge.refusals import refused_fields

__all__ = ["checked"]

T = TypeVar("T")


def checked(kind: TypeAdapter[T], given: Mapping[str, Any]) -> T:
    """Return fields as the record that they are of; those of numpy and pandas as Python's own.

    Raises
    ------
    InvalidInput
        Naming the first field that does not fit, what it is and what it should be.
    """
    try:
        return kind.validate_python({name: _plain(value) for name, value in given.items()})
    except ValidationError as unfit:
        raise refused_fields(unfit) from unfit


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
