"""What is kept of an experiment between two folds: values per unit, sums, counts, the cursor.

All of it is additive, so that a correction subtracts what it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from palio.stats import Moments

__all__ = ["Cursor", "MetricSums", "ReportedSums", "UnitValues", "VariantCounts"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the log has been folded for an experiment; also its watermark."""

    experiment: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitValues:
    """One unit in one epoch: its variant, and per metric how many values and their sum.

    ``first_at`` is the moment of what first gave it its variant, as the log has it.
    """

    experiment: str
    epoch: int
    unit: str
    variant: str
    values: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    first_at: datetime | None = None

    def value(self, metric: str) -> float | None:
        """Return the unit's mean value of a metric, if it has any."""
        n, total = self.values.get(metric, (0, 0.0))
        return total / n if n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSums:
    """Sums over the units of a variant: ``sum1`` of ``x - shift``, ``sum2`` of its square."""

    experiment: str
    epoch: int
    variant: str
    metric: str
    n: int
    shift: float
    sum1: float
    sum2: float

    def moments(self) -> Moments:
        """Return count, mean and variance."""
        return Moments.from_sums(n=self.n, shift=self.shift, sum1=self.sum1, sum2=self.sum2)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCounts:
    """Plain counts of a variant in an epoch.

    ``units`` were newly assigned; ``crossovers`` are requests and exposures of units that had been
    given another variant in the same epoch; ``outcomes`` are those in force that were joined,
    and ``overdue`` those of them that came after the window of a metric that waits for them.
    """

    experiment: str
    epoch: int
    variant: str
    units: int = 0
    requests: int = 0
    errors: int = 0
    labelled: int = 0
    outcomes: int = 0
    crossovers: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSums:
    """Outcomes that were reported for a variant as a whole: how many values, and their sum."""

    experiment: str
    variant: str
    metric: str
    n: int
    total: float
