"""All to the best: what deterministic policies share."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["even_over_best"]


def even_over_best(indices: Mapping[str, float]) -> dict[str, float]:
    """Give the arms with the largest index, which may be infinite, even shares and others none."""
    largest = max(indices.values())
    best = sum(index == largest for index in indices.values())
    return {key: (index == largest) / best for key, index in indices.items()}
