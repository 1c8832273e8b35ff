"""Fields that a record does not have are refused: a misspelt guardrail must not vanish."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["unknown_field"]


def unknown_field(kind: Any, sent: Any, place: str = "") -> str | None:
    """Return the first field of ``sent`` that the record ``kind`` does not have, if any.

    Parameters
    ----------
    kind
        A dataclass, or a type with dataclasses inside, as ``tuple[Variant, ...]``.
    sent
        JSON as it was decoded; whether its types fit is for others to say.
    place
        Where ``sent`` stands, as in ``variants.0``.
    """
    if dataclasses.is_dataclass(kind):
        return _of_record(typing.get_type_hints(kind), sent, place)
    inner = [one for one in typing.get_args(kind) if one is not Ellipsis]
    if isinstance(sent, Sequence) and not isinstance(sent, str):
        places = ((f"{place}.{number}", one) for number, one in enumerate(sent))
        return _first(unknown_field(one, item, at) for at, item in places for one in inner)
    return _first(unknown_field(one, sent, place) for one in inner)


def _of_record(types: Mapping[str, Any], sent: Any, place: str) -> str | None:
    if not isinstance(sent, Mapping):
        return None
    for name, value in sent.items():
        here = f"{place}.{name}".lstrip(".")
        found = unknown_field(types[name], value, here) if name in types else here
        if found is not None:
            return found
    return None


def _first(found: typing.Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
