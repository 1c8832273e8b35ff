"""A lease: which process does what only one may do, until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Lease"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Held by a process until a moment; then anybody may take it."""

    name: str
    holder: str
    until: datetime
