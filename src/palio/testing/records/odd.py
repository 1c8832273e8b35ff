"""A moment and a text that break what is done carelessly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

__all__ = ["ODD", "WHEN"]

WHEN = datetime(2026, 3, 29, 1, 59, 59, 123457, tzinfo=timezone(timedelta(hours=5, minutes=45)))
"""A moment with microseconds, in a zone that is not UTC."""
ODD = "Zürich 日本 🦉 \u202e 'quoted' \"too\" %s :name; --"
"""A text that breaks what is not quoted, bound and encoded as it should be."""
