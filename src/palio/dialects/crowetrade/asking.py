"""What callers fill in, held against its types and ranges: a refusal names their own field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from palio.errors import InvalidInput

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
        first = unfit.errors()[0]
        name, found = ".".join(map(str, first["loc"])), first["input"]
        why = first["msg"] if first["type"] == "missing" else f"{first['msg']}, got {found!r}"
        raise InvalidInput(f"{name}: {why}", field=name, value=found) from unfit


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
