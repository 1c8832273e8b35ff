"""What can be asked of a version: its fields, and the names below metrics, backtest and tags."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime

from palio.registry.domain import Version

__all__ = [
    "ALIAS",
    "DELETED",
    "FIELDS",
    "MAPS",
    "MAX_NAME",
    "MAX_TEXT",
    "Kind",
    "Value",
    "facts_of",
    "kind_of",
    "moment_text",
]

Value = float | str

ALIAS = "alias"
DELETED = "deleted"
MAX_NAME = 200  # characters of a name, ``metrics.`` included; longer ones cannot be searched
MAX_TEXT = 400  # characters of a text that order goes by; a query's texts are shorter


class Kind(enum.StrEnum):
    """What a field holds, and so what it is compared with."""

    TEXT = "a text in single quotes, as in 'risk'"
    NUMBER = "a number, as in 0.8"
    MOMENT = "a day or moment in single quotes, as in '2026-11-01' or '2026-11-01T12:00:00Z'"
    TRUTH = "true or false"


_TEXTS = (
    *("model", "version", "stage", "flavor", "type", "framework", "architecture"),
    *("dataset_version", "parent", "external_ref", "description", "created_by", "approved_by"),
)
FIELDS: Mapping[str, Kind] = {
    **dict.fromkeys(_TEXTS, Kind.TEXT),
    ALIAS: Kind.TEXT,
    "created_at": Kind.MOMENT,
    "ordinal": Kind.NUMBER,
    DELETED: Kind.TRUTH,
}
MAPS: Mapping[str, Kind] = {
    "metrics": Kind.NUMBER,
    "backtest": Kind.NUMBER,
    "tags": Kind.TEXT,
}


def kind_of(field: str) -> Kind | None:
    """Return what a field holds; ``None`` when there is no such field."""
    start, dot, name = field.partition(".")
    return MAPS.get(start) if dot and name else FIELDS.get(field)


def facts_of(version: Version) -> dict[str, Value]:
    """Return what a version answers with, under each name it can be asked by, but its aliases.

    What is ``None`` is not there. Moments are texts of one width in UTC, truths are 0 and 1;
    texts are without NUL, which no database takes and no query holds.
    """
    facts: dict[str, Value] = {
        "created_at": moment_text(version.created_at),
        "ordinal": float(version.ordinal),
        DELETED: float(version.deleted_at is not None),
    }
    for field in _TEXTS:
        value = getattr(version, field)
        if value is not None:
            facts[field] = _plain(value)
    for start in MAPS:
        for name, value in getattr(version, start).items():
            full = f"{start}.{_plain(name)}"
            if len(full) <= MAX_NAME:
                facts[full] = _plain(value) if isinstance(value, str) else float(value)
    return facts


def moment_text(at: datetime) -> str:
    """Return a moment as a text that sorts as the moment does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(text: str) -> str:
    return text.replace("\0", "")
