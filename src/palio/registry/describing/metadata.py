"""What may be written about a version: texts, figures and documents within bounds.

A check returns what it was given as plain texts, numbers, lists and dictionaries of its own, so
that nobody changes a record from outside and every store keeps the same.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from palio.errors import InvalidInput

__all__ = ["CHECKS", "check_document", "check_figures", "check_text", "check_texts"]

T = TypeVar("T")
_LONGEST_NAME = 256  # characters of a key, and of what is said in a few words
_LONGEST_TEXT = 10_000
_LONGEST_CARD = 100_000
_MOST_TEXTS = 200  # tags of one version
_MOST_FIGURES = 10_000
_LARGEST_DOCUMENT = 256 * 1024  # bytes as JSON
_DEEPEST = 32
_LARGEST_INTEGER = 2**63 - 1  # that readers of JSON agree about
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 60  # characters of a value that an error repeats


def check_text(field: str, value: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a text of at most ``longest`` characters, none of which are control characters.

    Raises
    ------
    InvalidInput
        Naming the field, what it holds and what to do.
    """
    if not isinstance(value, str):
        raise _refused(field, value, f"is a {type(value).__name__}; give a text")
    if len(value) > longest:
        raise _refused(field, value, f"has {len(value):,} characters; keep it within {longest:,}")
    if (found := _CONTROL.search(value)) is not None:
        raise _refused(field, value, f"holds the character {found[0]!r}; take it out")
    return str.__str__(value)


def check_texts(field: str, value: object) -> dict[str, str]:
    """Return a mapping of names to texts."""
    given = _mapping(field, value, _MOST_TEXTS)
    return {_name(field, name): check_text(f"{field}.{name}", given[name]) for name in given}


def check_figures(field: str, value: object) -> dict[str, float]:
    """Return a mapping of names to finite numbers, those of numpy made plain."""
    given = _mapping(field, value, _MOST_FIGURES)
    return {_name(field, name): _figure(f"{field}.{name}", given[name]) for name in given}


def check_document(field: str, value: object) -> dict[str, Any]:
    """Return a mapping of texts to what JSON can say, within bounds of depth and size."""
    made: dict[str, Any] = _plain(field, _mapping(field, value), 0)
    size = len(msgspec.json.encode(made))
    if size > _LARGEST_DOCUMENT:
        raise _refused(
            field,
            value,
            f"takes {size:,} bytes as JSON; keep it within {_LARGEST_DOCUMENT:,} and the rest in "
            "a file of the version",
        )
    return made


def _mapping(field: str, value: object, most: int | None = None) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise _refused(field, value, f"is a {type(value).__name__}; give names with their values")
    if most is not None and len(value) > most:
        raise _refused(field, value, f"has {len(value):,} entries; keep it within {most:,}")
    return value


def _name(field: str, name: object) -> str:
    checked = check_text(f"a name in {field}", name, _LONGEST_NAME)
    if not checked.strip():
        raise _refused(field, name, "is no name; give a text that is not empty")
    return checked


def _figure(field: str, value: Any) -> float:
    try:
        figure = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        figure = math.nan
    if not math.isfinite(figure):
        raise _refused(field, value, "is no finite number; leave it out, or measure it again")
    return figure


def _plain(field: str, value: object, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _refused(field, value, f"is nested deeper than {_DEEPEST}; make it flatter")
    if isinstance(value, Mapping):
        return {
            check_text(f"a key in {field}", key, _LARGEST_DOCUMENT): _plain(
                f"{field}.{key}", value[key], depth + 1
            )
            for key in value
        }
    if isinstance(value, list | tuple):
        return [_plain(f"{field}[{at}]", item, depth + 1) for at, item in enumerate(value)]
    return _scalar(field, value)


def _scalar(field: str, value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(field, value, _LARGEST_DOCUMENT)
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > _LARGEST_INTEGER:
            raise _refused(field, value, "has too many digits; write it as a text")
        return int(value)
    if isinstance(value, numbers.Real):
        return _figure(field, value)
    raise _refused(
        field,
        value,
        f"is a {type(value).__name__}; give texts, numbers, true, false, null, lists and mappings",
    )


def _refused(field: str, value: object, why: str) -> InvalidInput:
    shown = ascii(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "…"
    return InvalidInput(f"{field}: {shown} {why}", field=field, value=shown)


def _words(field: str, value: object) -> str:
    return check_text(field, value, _LONGEST_NAME)


def _card(field: str, value: object) -> str:
    return check_text(field, value, _LONGEST_CARD)


def _optional(check: Callable[[str, object], T]) -> Callable[[str, object], T | None]:
    return lambda field, value: None if value is None else check(field, value)


CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "metrics": check_figures,
    "backtest": check_figures,
    "training": check_document,
    "policy": _optional(check_document),
    "tags": check_texts,
    "source": check_texts,
    "description": check_text,
    "type": _words,
    "framework": _words,
    "architecture": _words,
    "dataset_version": _words,
    "parent": _optional(_words),
    "external_ref": _words,
    "card": _card,
}
"""How each field of a version's metadata is checked."""
