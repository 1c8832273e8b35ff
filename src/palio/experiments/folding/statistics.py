"""What is kept of an experiment between two folds: values per unit, sums, counts, the cursor.

All of it is additive, so that a correction subtracts what it replaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from palio.bandits import Drawdown
from palio.stats import AdaptiveSums, JointMoments, LogHistogram, Moments
from palio.stats.quality.histogram import log_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ACCURACY",
    "ContrastSums",
    "Cursor",
    "Falls",
    "MetricSums",
    "Numbers",
    "ReportedSums",
    "UnitValues",
    "VariantCounts",
]

ACCURACY = 0.001
"""Relative accuracy of the bins that quantiles are read from."""
Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the log has been folded for an experiment; also its watermark.

    Labels count of what stands in the log up to ``matured``: all of it, unless the design says
    how long labels take. ``start`` is where the log stood when the experiment started.
    ``revision`` grows when what was folded is changed in another way than by reading on, so that
    a batch that was reckoned before that is not written after it.
    """

    experiment: str
    seq: int
    matured: int = 0
    start: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitValues:
    """One unit in one epoch: its variant, and by part how many values and their sum.

    ``first_at`` and ``first_seq`` are the moment and the place in the log of what first gave it
    its variant, ``policy_version`` names the weights in force then, ``segments`` those that it
    is in. A part is what a metric is made of, as `palio.experiments.folding.measures` names it.
    """

    experiment: str
    epoch: int
    unit: str
    variant: str
    values: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    first_at: datetime | None = None
    first_seq: int = 0
    policy_version: int = 0
    segments: tuple[str, ...] = ()

    def mean(self, part: str) -> float | None:
        """Return the mean of a part's values, if there is any."""
        n, total = self.values.get(part, (0, 0.0))
        return total / n if n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSums:
    """Sums over the units of a variant, of the k numbers that a unit has for a metric.

    ``sums`` are of ``x - shift``, ``products`` of the products of two of them, the upper triangle
    by rows; ``bins`` counts the units by the logarithmic bin of their number, for a quantile.
    ``segment`` is empty for all units together.
    """

    experiment: str
    epoch: int
    variant: str
    metric: str
    segment: str = ""
    n: int = 0
    shift: Numbers = ()
    sums: Numbers = ()
    products: Numbers = ()
    bins: tuple[tuple[int, int], ...] = ()

    @classmethod
    def holding(cls, moments: Moments, **place: str | int) -> MetricSums:
        """Return sums that have these moments, at a place."""
        square = moments.var * max(moments.n - 1, 0)
        at: dict[str, object] = {"experiment": "", "epoch": 1, **place}
        return cls(
            **at,  # type: ignore[arg-type]
            n=moments.n,
            shift=(moments.mean,),
            sums=(0.0,),
            products=(square,),
        )

    def joint(self) -> JointMoments:
        """Return the joint moments of the numbers."""
        k = len(self.shift)
        square = np.zeros((k, k))
        square[np.triu_indices(k)] = self.products
        square += np.triu(square, 1).T
        return JointMoments.from_sums(self.n, self.shift, self.sums, square)

    def moments(self) -> Moments:
        """Return count, mean and variance of the first number."""
        if self.n == 0:
            return Moments(0, 0.0, 0.0)
        return Moments.from_sums(
            n=self.n, shift=self.shift[0], sum1=self.sums[0], sum2=self.products[0]
        )

    def histogram(self) -> LogHistogram:
        """Return the units' numbers in logarithmic bins."""
        return LogHistogram(ACCURACY, self.bins)

    def moved(
        self, on: Sequence[Numbers], off: Sequence[Numbers], *, binned: bool = False
    ) -> MetricSums:
        """Add units' numbers, and take others off.

        Parameters
        ----------
        on, off
            Numbers of units, k each.
        binned
            Whether the first number is counted in bins, too.
        """
        n = self.n + len(on) - len(off)
        if n == 0:
            return replace(self, n=0, shift=(), sums=(), products=(), bins=())
        if self.n == len(off):  # with nobody left, no rounding is either
            bare = replace(self, n=0, shift=on[0], sums=(), products=(), bins=())
            own = _bins(on) if binned else Counter[int]()
            return _holding(bare, n, *_added(on, on[0]), bins=own)
        (sums, products), (less, fewer) = _added(on, self.shift), _added(off, self.shift)
        bins = Counter(dict(self.bins))
        if binned:
            bins.update(_bins(on))
            bins.subtract(_bins(off))
        kept = np.asarray(self.sums), np.asarray(self.products)
        return _holding(self, n, kept[0] + sums - less, kept[1] + products - fewer, bins=bins)


def _holding(
    place: MetricSums,
    n: int,
    sums: NDArray[np.float64],
    products: NDArray[np.float64],
    *,
    bins: Counter[int],
) -> MetricSums:
    """Return sums at the same place and about the same shift."""
    return replace(
        place,
        n=n,
        sums=tuple(sums.tolist()),
        products=tuple(products.tolist()),
        bins=tuple(sorted(pair for pair in bins.items() if pair[1])),
    )


def _added(
    numbers: Sequence[Numbers], shift: Numbers
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of shifted numbers, and those of their products."""
    gaps = np.asarray(numbers, dtype=np.float64).reshape(len(numbers), len(shift)) - shift
    if len(shift) == 1:
        return gaps.sum(axis=0), (gaps * gaps).sum(axis=0)
    return gaps.sum(axis=0), (gaps.T @ gaps)[np.triu_indices(len(shift))]


def _bins(numbers: Sequence[Numbers]) -> Counter[int]:
    return Counter(log_bins([one[0] for one in numbers], accuracy=ACCURACY).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCounts:
    """Plain counts of a variant in an epoch.

    ``units`` were newly assigned; ``expected`` of all newly assigned units is the sum of their
    chances to be given this variant, kept where a policy moves them. ``crossovers`` are requests
    and exposures of units that had been given another variant in the same epoch; ``outcomes`` are
    those in force that were joined, and ``overdue`` those of them that came after the window of a
    metric that waits for them.
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
    expected: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSums:
    """Outcomes that were reported for a variant as a whole: how many values, and their sum."""

    experiment: str
    variant: str
    metric: str
    n: int
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastSums:
    """A challenger against the control while a policy moves the weights.

    ``sums`` are the fields of `palio.stats.AdaptiveSums` in their order.
    """

    experiment: str
    epoch: int
    variant: str
    metric: str
    sums: Numbers = ()

    def adaptive(self) -> AdaptiveSums:
        """Return the sums as the estimator takes them."""
        if not self.sums:
            return AdaptiveSums()
        counts, rest = self.sums[:3], self.sums[3:]
        return AdaptiveSums(*map(int, counts), *rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Falls:
    """How a variant's values add up over time: the fields of `palio.bandits.Drawdown`.

    Where lower is better the values are taken with the other sign.
    """

    experiment: str
    variant: str
    total: float = 0.0
    highest: float = 0.0
    lowest: float = 0.0
    deepest: float = 0.0

    def drawdown(self) -> Drawdown:
        """Return it as the policies take it."""
        return Drawdown(self.total, self.highest, self.lowest, self.deepest)
