"""Records of every collection, with every field filled in, and with none that need not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palio.testing.records import access, delivery, experimentation, registry, statistics
from palio.testing.records.keys import KEYS, PARENTS, UNORDERED
from palio.testing.records.odd import ODD, WHEN
from palio.testing.records.plain import design, exposure, outcome, prediction

__all__ = [
    "KEYS",
    "ODD",
    "PARENTS",
    "RECORDS",
    "UNORDERED",
    "WHEN",
    "design",
    "exposure",
    "outcome",
    "prediction",
]

RECORDS: Mapping[str, Sequence[Any]] = {
    **access.RECORDS,
    **registry.RECORDS,
    **delivery.RECORDS,
    **experimentation.RECORDS,
    **statistics.RECORDS,
}
"""At least two of each, not in the order of their keys, and after the records they name."""
