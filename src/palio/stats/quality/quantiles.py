"""Differences of quantiles (median, p95, p99) from the log-binned counts of two arms.

The values at the ranks of a binomial interval around ``n q`` enclose the q-quantile whatever the
distribution, without a density. `quantile_difference` joins such intervals of both arms (MOVER).
`quantile_moments` says the same as a mean and a variance, so that every rule for means applies:
half the distance to the farther of the values at the ranks ``n q -+ 2 sqrt(n q (1 - q))`` is the
standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, hypot, inf, nextafter, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrik  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palio.stats.quality.histogram import LogHistogram

__all__ = [
    "Side",
    "joined_difference",
    "least_units",
    "quantile_difference",
    "quantile_moments",
]

_SPAN = 2.0
_EXTREME = 1e-6
_ROUNDING = 1e-12
_LEAST_TAIL, _HALVINGS = 1e-100, 40  # scipy's bdtrik is exact down to 1e-100


@dataclass(frozen=True, slots=True)
class Side:
    """One arm's part in a difference: where its estimate lies and what bounds it.

    Attributes
    ----------
    low, high
        Range of the estimate: equal, but for what binning leaves open.
    lower, upper
        Take a tail in (0, 0.5] and give a bound that fails with at most this probability; the
        bounds widen as the tail gets smaller and enclose low and high.
    """

    low: float
    high: float
    lower: Callable[[float], float]
    upper: Callable[[float], float]


def least_units(q: float) -> int:
    """Give the units an arm needs for `quantile_moments`.

    Parameters
    ----------
    q
        In [1e-6, 1 - 1e-6].

    Returns
    -------
    int
        The least n with both of the ranks ``n q -+ 2 sqrt(n q (1 - q))`` in [0, n]: 4 for the
        median, 76 for p95, 396 for p99, 3,996 for p99.9.

    Raises
    ------
    ValueError
        If q is out of its range.
    """
    ranges.within("q", q, _EXTREME, 1 - _EXTREME)
    return ceil(_SPAN * _SPAN * max(q, 1 - q) / min(q, 1 - q) * (1 - _ROUNDING))


def quantile_moments(histogram: LogHistogram, q: float) -> Moments:
    """Give a quantile as the mean of an arm, with the variance that its uncertainty implies.

    Parameters
    ----------
    histogram
        Counts of an arm, at least ``least_units(q)`` values.
    q
        In [1e-6, 1 - 1e-6].

    Returns
    -------
    Moments
        ``mean``: the quantile, linear within its bin, so within the bin's width (a share
        ``2a/(1-a)`` of the value) of the empirical one. ``var = n se^2``, with se the larger of
        ``(Q - Q(n q - 2s))/2`` and ``(Q(n q + 2s) - Q)/2``, ``s = sqrt(n q (1-q))`` and Q(r) the
        value at rank r. Where the density f is smooth, this is ``q(1-q)/f^2``.

    Raises
    ------
    ValueError
        If q is out of its range, there are too few values or the variance overflows.

    Notes
    -----
    Assumes independent units. Woodruff takes the mean of the two sides; the larger one, which is
    the same in large samples with a smooth density, keeps the level under repeated looks even
    where the quantile lies at the edge of a gap in the density, too. Bins act as a smoothing:
    where the values of a bin are all one, the variance is that of values spread over it, never 0
    but in the bin of zero.

    References
    ----------
    Woodruff (1952), JASA 47(260), 635-646. Francisco and Fuller (1991), Annals of Statistics
    19(1), 454-469.
    """
    ranges.whole(f"n of histogram, for q = {q},", histogram.n, least_units(q))
    return _linear(_Steps(histogram), q)


def quantile_difference(
    control: LogHistogram,
    treatment: LogHistogram,
    q: float,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare a quantile of two arms at one look fixed beforehand.

    Parameters
    ----------
    control, treatment
        Counts of the arms, at least two values each; the accuracies may differ.
    q
        In [1e-6, 1 - 1e-6]: 0.5 for the median, 0.95, 0.99.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the difference from below and ``smaller`` from above.
    null
        Difference under the null hypothesis; shifted by the margin for non-inferiority.

    Returns
    -------
    Estimate
        ``effect``: treatment minus control, linear within the bins. ``se``: of
        `quantile_moments`, for the report. ``lower``, ``upper``: what the least favourable
        values within the bins would give, so binning errs outward, by about ``2a`` of each
        quantile; infinite where an arm is too small for a bound of its quantile (about
        ``n (1-q) < ln(2/alpha)``). ``p_value``: the least alpha at which the interval excludes
        the null, 1e-100 at least; a one-sided one above 0.5 is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range, an arm has fewer than two values or the difference
        overflows.

    Notes
    -----
    Assumes independent units, nothing else: each arm's interval is the exact one between order
    statistics. Joining them is exact to first order. Once n is so large that a bin is wider than
    the interval of an arm, a finer accuracy, 0.001, narrows it.

    References
    ----------
    David and Nagaraja (2003), Order Statistics, section 7.1. Zou and Donner (2008), Statistics
    in Medicine 27(10), 1693-1702, for the joining.
    """
    ranges.within("q", q, _EXTREME, 1 - _EXTREME)
    for name, arm in (("control", control), ("treatment", treatment)):
        ranges.whole(f"n of {name}", arm.n, 2)
    steps_c, steps_t = _Steps(control), _Steps(treatment)
    before, after = _linear(steps_c, q), _linear(steps_t, q)
    return joined_difference(
        _side(steps_c, q), _side(steps_t, q),
        effect=after.mean - before.mean,
        se=sqrt(before.var / before.n + after.var / after.n),
        alpha=alpha, alternative=alternative, null=null,
    )  # fmt: skip


def joined_difference(
    control: Side,
    treatment: Side,
    *,
    effect: float,
    se: float,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Bound a difference by the intervals of its parts (MOVER).

    Parameters
    ----------
    control, treatment
        The arms, independent of each other.
    effect, se
        Estimate of the difference and its standard error, for the report only.
    alpha, alternative, null
        As for `palio.stats.estimate.conclude`.

    Returns
    -------
    Estimate
        ``lower = d - sqrt((t - l_t)^2 + (u_c - c)^2)``, ``upper`` likewise, at the least
        favourable of the estimates c and t that the sides allow. The p-value is the least alpha
        at which the interval excludes the null; a one-sided one above 0.5 is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Zou and Donner (2008), Statistics in Medicine 27(10), 1693-1702.
    """
    ranges.finite("effect", effect)
    ranges.not_negative("se", se)
    ranges.open_unit("alpha", alpha)
    ranges.finite("null", null)
    if alternative not in {"two-sided", "larger", "smaller"}:
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")
    tails = 2 if alternative == "two-sided" else 1
    tail = min(alpha / tails, 0.5)
    lower, upper = _lower(control, treatment, tail), -_lower(treatment, control, tail)
    above = _least_tail(lambda at: _lower(control, treatment, at) > null, tail)
    below = _least_tail(lambda at: -_lower(treatment, control, at) < null, tail)
    if alternative == "larger":
        return Estimate(effect, se, inf, lower, inf, above)
    if alternative == "smaller":
        return Estimate(effect, se, inf, -inf, upper, below)
    return Estimate(effect, se, inf, lower, upper, min(1.0, 2 * min(above, below)))


def _lower(subtrahend: Side, minuend: Side, tail: float) -> float:
    """Give the lower bound of the second minus the first; it grows with every number of theirs."""
    far, near = subtrahend.upper(tail), minuend.lower(tail)
    gap = minuend.low - subtrahend.high
    return gap - hypot(minuend.low - near, far - subtrahend.high)


def _least_tail(excludes: Callable[[float], bool], asked: float) -> float:
    """Give the least tail at which the null is excluded, 1 where it is not at 0.5 either."""
    if not excludes(0.5):
        return 1.0
    low, high = (_LEAST_TAIL, asked) if excludes(asked) else (nextafter(asked, 1), 0.5)
    for _ in range(_HALVINGS):
        middle = sqrt(low) * sqrt(high)
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return high


def _linear(steps: _Steps, q: float) -> Moments:
    n, at = steps.n, steps.n * q
    deviation = sqrt(at * (1 - q))
    middle, low, high = (
        steps.value(rank)
        for rank in (at, max(at - _SPAN * deviation, 0.0), min(at + _SPAN * deviation, n))
    )
    below, above = min(at / deviation, _SPAN), min((n - at) / deviation, _SPAN)
    se = max((middle - low) / below, (high - middle) / above)
    return Moments(n, middle, n * se * se)


def _side(steps: _Steps, q: float) -> Side:
    n = steps.n
    at = steps.bin(n * q)
    low, high = float(steps.lower[at]), float(steps.upper[at])

    def lower(tail: float) -> float:
        rank = _binomial_quantile(tail, n, q)
        return float(steps.lower[steps.bin(rank)]) if rank >= 1 else -inf

    def upper(tail: float) -> float:
        rank = n + 1 - _binomial_quantile(tail, n, 1 - q)
        return float(steps.upper[steps.bin(rank)]) if rank <= n else inf

    return Side(low, high, lower, upper)


def _binomial_quantile(probability: float, n: int, share: float) -> int:
    """Give the least k with ``P(X <= k) >= probability``, X successes of n."""
    k = ceil(max(float(bdtrik(probability, n, share)), 0.0))
    return k - 1 if k > 0 and bdtr(k - 1, n, share) >= probability else k


class _Steps:
    """The bins of a histogram with the ranks at their ends."""

    __slots__ = ("counts", "lower", "n", "ranks", "upper")

    def __init__(self, histogram: LogHistogram) -> None:
        self.lower, self.upper, self.counts = histogram.steps()
        self.ranks: NDArray[np.int64] = self.counts.cumsum()
        self.n = int(self.ranks[-1]) if self.ranks.size else 0

    def bin(self, rank: float) -> int:
        return min(int(self.ranks.searchsorted(rank)), self.ranks.size - 1)

    def value(self, rank: float) -> float:
        """Give the value at a rank between 0 and n, linear within the bin."""
        at = self.bin(rank)
        share = (rank - float(self.ranks[at] - self.counts[at])) / float(self.counts[at])
        low, high = float(self.lower[at]), float(self.upper[at])
        return low + share * (high - low)
