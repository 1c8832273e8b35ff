"""Values of a query: texts, numbers, moments, true and false."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from palio.registry.search.fields import MAX_TEXT, Kind, Value, moment_text
from palio.registry.search.words import Reader

__all__ = ["read_value"]

_TRUTHS = {"true": 1.0, "false": 0.0}


def read_value(reader: Reader, kind: Kind) -> Value:
    """Read one value of a kind, as `facts_of` would give it."""
    value = _READ[kind](reader)
    if value is None:
        raise reader.unexpected(kind)
    reader.skip()
    return value


def _text(reader: Reader) -> str | None:
    if reader.now.kind != "text":
        return None
    text = reader.now.text[1:-1].replace("''", "'")
    if len(text) >= MAX_TEXT:
        raise reader.wrong(f"a text has at most {MAX_TEXT - 1} characters")
    return text


def _number(reader: Reader) -> float | None:
    if reader.now.kind != "number":
        return None
    number = float(reader.now.text)
    return number if math.isfinite(number) else None


def _moment(reader: Reader) -> str | None:
    text = _text(reader)
    try:
        at = datetime.fromisoformat(text or "")
        return moment_text(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    except (ValueError, OverflowError):
        return None


def _truth(reader: Reader) -> float | None:
    return _TRUTHS.get(reader.now.word)


_READ = {Kind.TEXT: _text, Kind.NUMBER: _number, Kind.MOMENT: _moment, Kind.TRUTH: _truth}
