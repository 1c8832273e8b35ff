"""Marks: the few things that are remembered of a store as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["ERASED", "FORGOTTEN", "UNIT_KEY", "StoreMark"]

UNIT_KEY = "unit_key"
"""The mark whose value tells by which key units are hashed."""
ERASED = "erased"
"""The mark whose value counts erasures, so that who remembers units can forget them."""
FORGOTTEN = "forgotten"
"""The mark whose value is the place in the log up to which retention has removed events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMark:
    """A value under a name, and since when it stands."""

    name: str
    value: str
    at: datetime
