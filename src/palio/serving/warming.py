"""Versions are asked once before the first request, about a row made of their signature."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from palio.registry.signature import Cell, FeatureType, Signature
from palio.serving.jobs import Ask, Loaded

__all__ = ["row_of", "warmed"]

_LOG = logging.getLogger(__name__)
_MADE_UP: Mapping[FeatureType, Cell] = {
    FeatureType.NUMBER: 0.0,
    FeatureType.INTEGER: 0,
    FeatureType.BOOLEAN: False,
    FeatureType.STRING: "",
}


@dataclass(frozen=True, slots=True)
class _First:
    """The first row that a version is asked about."""

    loaded: Loaded
    rows: list[list[Cell]]
    timeout_s: float | None


def row_of(signature: Signature) -> list[Cell | list[Cell]]:
    """Return a row that a signature lets pass: zeros, false and empty texts."""
    return [
        _MADE_UP[one.type] if one.size is None else [_MADE_UP[one.type]] * one.size
        for one in signature.features
    ]


def warmed(loaded: Loaded, ask: Ask, *, timeout_s: float) -> Loaded:
    """Ask a version once, so that its first request does not pay for what it does only once.

    A version that does not know what to make of such a row serves all the same; why it failed is
    logged, and kept beside it.

    Parameters
    ----------
    loaded
        The version, in memory or not.
    ask
        Asks it.
    timeout_s
        Seconds that it has.
    """
    if loaded.predictor is None or loaded.signature is None:
        return loaded
    rows = loaded.signature.table([row_of(loaded.signature)])
    (given,) = ask([_First(loaded, rows, timeout_s)])
    if given.error is None:
        return loaded
    _LOG.warning(
        "%s:%s answered nothing to a made-up row, and serves all the same: %s",
        loaded.model,
        loaded.version,
        given.error,
    )
    return replace(loaded, cold=given.error)
