"""One header of a request, read where it came in: objects for all of them cost more."""

from __future__ import annotations

from starlette.types import Scope

__all__ = ["header_of"]


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a name, which is given in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
