"""Bodies and queries that do not fit: which field, what was sent, and what would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from palio.errors import InvalidInput

__all__ = ["refused_body", "refused_fields"]

_SHOWN = 256  # characters of what was sent that an error repeats
_UNKNOWN = "the field is unknown or frozen here; /docs lists those that can be sent"
_AS_JSON = "send JSON, with `Content-Type: application/json`"
_PLACES = ("body", "query", "path")


def refused_body(failed: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """Return the error for a body or query that FastAPI could not read; the first thing counts.

    Parameters
    ----------
    failed
        As ``RequestValidationError.errors()`` tells it.
    """
    first = failed[0]
    if first["type"] == "json_invalid":
        return _no_json(first)
    value = first.get("input")
    field = ".".join(str(part) for part in first["loc"] if part not in _PLACES)
    if not field and isinstance(value, bytes):  # it was not even tried
        return InvalidInput(f"the body was not sent as JSON; {_AS_JSON}", field="body")
    simple = value if isinstance(value, str | int | float | bool | None) else None
    if isinstance(simple, str):
        simple = simple[:_SHOWN]
    shown = "" if simple is None else f", got {simple!r}"
    if not field:
        return InvalidInput(f"the body: {first['msg']}{shown}; {_AS_JSON}", field="body")
    said = _UNKNOWN if first["type"] == "extra_forbidden" else first["msg"]
    return InvalidInput(f"{field}: {said}{shown}", field=field, value=simple)


def _no_json(first: Mapping[str, Any]) -> InvalidInput:
    why = str(first["ctx"]["error"]).rstrip(".")
    return InvalidInput(
        f"the body is no JSON: {why}, at character {first['loc'][-1]}; send JSON, without "
        "comments, names in double quotes",
        field="body",
    )


def refused_fields(unfit: ValidationError, place: str = "") -> InvalidInput:
    """Return the error for a record made in Python; the first field that does not fit counts.

    Parameters
    ----------
    unfit
        What pydantic says of it.
    place
        What the record is called, where it is part of another one.
    """
    first = unfit.errors()[0]
    name = ".".join(str(part) for part in (place, *first["loc"]) if part != "")
    if first["type"] == "missing":
        return InvalidInput(f"{name}: it is missing", field=name)
    told = f"{first['msg']}, got {first['input']!r}"
    return InvalidInput(f"{name}: {told}", field=name, value=str(first["input"]))
