"""Bodies and queries that do not fit: which field, what was sent, and what would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palio.errors import InvalidInput

__all__ = ["refused_body"]

_SHOWN = 256  # characters of what was sent that an error repeats
_UNKNOWN = "the field is unknown or frozen here; /docs lists those that can be sent"
_PLACES = ("body", "query", "path")


def refused_body(failed: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """Return the error for a body or query that FastAPI could not read; the first thing counts.

    Parameters
    ----------
    failed
        As ``RequestValidationError.errors()`` tells it.
    """
    first = failed[0]
    field = ".".join(str(part) for part in first["loc"] if part not in _PLACES)
    value = first.get("input")
    if first["type"] == "json_invalid":
        return InvalidInput(f"the body is no JSON: {first['ctx']['error']}", field="body")
    if not field and isinstance(value, bytes):  # it was not even tried
        return InvalidInput(
            "the body was not sent as JSON; send it with Content-Type: application/json",
            field="body",
        )
    simple = value if isinstance(value, str | int | float | bool | None) else None
    if isinstance(simple, str):
        simple = simple[:_SHOWN]
    shown = "" if simple is None else f", got {simple!r}"
    said = _UNKNOWN if first["type"] == "extra_forbidden" else first["msg"]
    return InvalidInput(f"{field or 'the body'}: {said}{shown}", field=field or None, value=simple)
