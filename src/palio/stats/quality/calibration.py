"""Calibration error: how far scores, probabilities, are from how often events happen.

Scores fall into bins with fixed edges; each bin keeps sums over its rows, which merge by adding.
``d_b``, the mean of label - score in bin b, estimates its error, but ``sum w_b d_b^2`` is positive
for a calibrated model, too: noise adds ``s_b^2/n_b`` a bin. `calibration_error` takes that off,
without bias, and bounds what is left by inverting the distribution of the sum, a noncentral
chi-square, for near zero a normal approximation fails. Two plain tests need no bins: the mean of
score - label (`calibration_in_the_large`) and Spiegelhalter's of the Brier score.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import (  # type: ignore[import-untyped]  # no stubs
    chdtr,
    chdtrc,
    chndtrinc,
    ndtr,
)

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments
from palio.stats.quality.auc import binary_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = [
    "CalibrationBins",
    "CalibrationError",
    "Spiegelhalter",
    "calibration_difference",
    "calibration_error",
    "calibration_in_the_large",
    "calibration_moments",
    "spiegelhalter",
]

_EDGES = tuple(at / 20 for at in range(1, 20))
_LEAST_VARIANCE = 5.0
_OVERCONFIDENT = 4.0
_LEAST_TAIL = 1e-12  # below it the inverse of the noncentral chi-square is not exact


@dataclass(frozen=True, slots=True)
class CalibrationBins:
    """Sums over the rows of each bin of scores p with labels y: all that calibration needs.

    Attributes
    ----------
    edges
        Inner edges, ascending within (0, 1); bin b holds ``edges[b-1] <= p < edges[b]``.
    counts, positives
        Rows, and rows with label 1, of each of the ``len(edges) + 1`` bins.
    scores
        Sums of p.
    variances
        Sums of ``p (1 - p)``.
    squares
        Sums of ``(y - p)^2``; their total over n is the Brier score.
    spreads
        Sums of ``(1 - 2p)^2 p (1 - p)``.

    Raises
    ------
    ValueError
        If the edges do not ascend, the lengths disagree, positives exceed counts, or a sum is
        not finite or negative.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    positives: tuple[int, ...]
    scores: tuple[float, ...]
    variances: tuple[float, ...]
    squares: tuple[float, ...]
    spreads: tuple[float, ...]

    def __post_init__(self) -> None:
        last = 0.0
        for edge in self.edges:
            if not last < edge < 1:
                raise ValueError(f"edges must ascend within (0, 1), got {edge} after {last}")
            last = edge
        for name in ("counts", "positives", "scores", "variances", "squares", "spreads"):
            column = getattr(self, name)
            if len(column) != len(self.edges) + 1:
                raise ValueError(f"{name} must have {len(self.edges) + 1} bins, got {len(column)}")
            for at, value in enumerate(column):
                ranges.not_negative(f"{name}[{at}]", value)
        for at, (count, positives) in enumerate(zip(self.counts, self.positives, strict=True)):
            ranges.whole(f"counts[{at}]", count, 0)
            ranges.within(f"positives[{at}]", positives, 0, count)

    @classmethod
    def of(
        cls, labels: ArrayLike, scores: ArrayLike, *, edges: Sequence[float] = _EDGES
    ) -> CalibrationBins:
        """Sum up rows.

        Parameters
        ----------
        labels
            0 or 1, shape (n,).
        scores
            Predicted probabilities of label 1, shape (n,), in [0, 1].
        edges
            Inner edges of the bins; by default 20 bins of equal width. Where scores crowd, edges
            at quantiles of earlier scores tell more. Only equal edges merge.

        Returns
        -------
        CalibrationBins
            The sums, for either class alone, too, as a chunk may hold.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, a score is outside [0, 1], the lengths differ or the edges
            do not ascend within (0, 1).
        """
        y, p = binary_array("labels", labels), ranges.finite_array("scores", scores)
        if p.size != y.size:
            raise ValueError(f"scores must be as long as labels, {y.size}, got {p.size}")
        for value in p[(p < 0) | (p > 1)][:1]:
            raise ValueError(f"scores must be in [0, 1], got {value}")
        at, size = np.searchsorted(np.asarray(edges), p, side="right"), len(edges) + 1
        noise = p * (1 - p)
        counts = np.bincount(at, minlength=size).tolist()
        positives = np.bincount(at[y], minlength=size).tolist()
        sums = (p, noise, (y - p) ** 2, (1 - 2 * p) ** 2 * noise)
        columns = [tuple(np.bincount(at, weights=w, minlength=size).tolist()) for w in sums]
        return cls(tuple(edges), tuple(counts), tuple(positives), *columns)

    def merge(self, other: CalibrationBins) -> CalibrationBins:
        """Give the sums over the rows of both.

        Parameters
        ----------
        other
            Sums over other rows, with the same edges.

        Raises
        ------
        ValueError
            If the edges differ.
        """
        if self.edges != other.edges:
            raise ValueError(f"edges of other must be {self.edges}, got {other.edges}")
        pairs = zip(astuple(self)[1:], astuple(other)[1:], strict=True)
        columns = [tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs]
        return CalibrationBins(self.edges, *columns)


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """How far the scores are from the frequencies.

    Attributes
    ----------
    n, bins
        Rows and the bins they were pooled into.
    expected
        Expected calibration error as usually given, ``sum w_b |d_b|``; biased upward.
    square
        Unbiased estimate of the mean squared error ``sum w_b delta_b^2``; may be negative.
    error
        Its root, 0 where it is negative: the root mean squared calibration error, in [0, 1],
        which the expected calibration error in the population does not exceed.
    lower, upper
        Bounds of the root mean squared error, within [0, 1].
    p_value
        Of perfect calibration, 2e-12 at least; ``p_value <= alpha`` exactly where lower > 0.
    """

    n: int
    bins: int
    expected: float
    square: float
    error: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Spiegelhalter:
    """Whether the Brier score is what the scores themselves promise.

    Attributes
    ----------
    z
        Standard normal for a calibrated model; positive where events disagree with the scores
        more than these expect, as with too extreme ones.
    p_value
        Two-sided.
    """

    z: float
    p_value: float


def calibration_error(bins: CalibrationBins, *, alpha: float = 0.05) -> CalibrationError:
    """Estimate the root mean squared calibration error and bound it.

    Parameters
    ----------
    bins
        Sums over the rows, both labels among them.
    alpha
        Error probability, in (0, 1).

    Returns
    -------
    CalibrationError
        With ``T = sum w_b d_b^2``, ``w_b = n_b/n`` and the variances ``s_b^2`` of label - score:
        ``square = T - m``, ``m = sum s_b^2 / n``, exactly unbiased for the bins and their shares.
        Bounds invert ``T/c ~ chi2(m/c, theta/c)``, the noncentral chi-square whose mean is that
        of T and whose variance is at least T's, with ``c = max(sum s_b^4 / sum s_b^2,
        sum w_b d_b^2 s_b^2 / T) / n``. The upper one takes ``max(T, m)`` for T, so that fewer
        deviations than noise alone makes do not look like certainty.

    Raises
    ------
    ValueError
        If alpha is out of its range, a label does not occur, label - score is the same all over
        each bin, or the rows are too few: their variances p (1 - p) must sum to 5 at least.

    Notes
    -----
    Assumes independent rows and sees only errors between bins, none that cancel within one:
    scores are calibrated in the sense of their bin. Neighbouring bins are pooled until the
    variances of each sum to 5 (or the squares to 20, where scores are too sure of themselves).

    References
    ----------
    Kumar, Liang and Ma (2019), NeurIPS 32, section 4, for taking off the bias; Satterthwaite
    (1946), Biometrics Bulletin 2(6), 110-114, for matching the moments.
    """
    ranges.open_unit("alpha", alpha)
    fit = _fit(bins)
    lower, upper = fit.bounds(alpha / 2)
    return CalibrationError(
        fit.n, fit.bins, fit.expected, fit.moments.mean, fit.error, lower, upper, fit.p_value
    )


def calibration_moments(bins: CalibrationBins) -> Moments:
    """Give the mean squared calibration error as the mean of an arm, with its variance.

    Parameters
    ----------
    bins
        Sums over the rows, both labels among them.

    Returns
    -------
    Moments
        ``n`` rows, ``mean`` the unbiased ``square`` of `calibration_error`, negative perhaps, and
        ``var = 2 sum s_b^4 / n + 4 max(sum w_b (d_b^2 - s_b^2/n_b) s_b^2, 0)``: n times the
        variance of noise alone and what errors add to it. Rules for means then apply.

    Raises
    ------
    ValueError
        As for `calibration_error`.

    Notes
    -----
    Normal to the degree that the noise is spread over bins: ten or more.
    """
    return _fit(bins).moments


def calibration_difference(
    control: CalibrationBins,
    treatment: CalibrationBins,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the mean squared calibration errors of two versions on different rows.

    Parameters
    ----------
    control, treatment
        Sums over the rows of either, independent; the edges may differ.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the difference from below and ``smaller`` from above.
    null
        Difference under the null hypothesis, in [-1, 1].

    Returns
    -------
    Estimate
        Unbiased difference, bounded normally by `calibration_moments` and cut to [-1, 1]. It is
        what calibration contributes to the difference of the Brier scores. On the scale of
        squares, for the root is neither unbiased nor near normal around zero.

    Raises
    ------
    ValueError
        As for `calibration_error`, or if null is out of its range.

    References
    ----------
    Murphy (1973), Journal of Applied Meteorology 12(4), 595-600, for the part of the Brier score;
    Broecker (2012), Climate Dynamics 39, 655-667, for its bias.
    """
    ranges.within("null", null, -1, 1)
    before, after = calibration_moments(control), calibration_moments(treatment)
    found = conclude(
        after.mean - before.mean,
        sqrt(before.var / before.n + after.var / after.n),
        alpha=alpha, alternative=alternative, null=null,
    )  # fmt: skip
    return replace(found, lower=max(found.lower, -1.0), upper=min(found.upper, 1.0))


def calibration_in_the_large(bins: CalibrationBins) -> Moments:
    """Give the moments of score - label: its mean is 0 for a model right on average.

    Parameters
    ----------
    bins
        Sums over the rows, at least two, both labels among them.

    Returns
    -------
    Moments
        Of score - label, so that every rule for means applies: within an arm against 0, between
        arms as a difference.

    Raises
    ------
    ValueError
        If there are fewer than two rows or a label does not occur.
    """
    n = _both_labels(bins)
    mean = (sum(bins.scores) - sum(bins.positives)) / n
    return Moments(n, mean, max(sum(bins.squares) - n * mean * mean, 0.0) / (n - 1))


def spiegelhalter(bins: CalibrationBins) -> Spiegelhalter:
    """Test calibration by the Brier score, without regard to the bins.

    Parameters
    ----------
    bins
        Sums over the rows, both labels among them.

    Returns
    -------
    Spiegelhalter
        ``z = sum((y - p)(1 - 2p)) / sqrt(sum((1 - 2p)^2 p (1 - p)))``, whose numerator is the
        sum of squares less the sum of variances.

    Raises
    ------
    ValueError
        If a label does not occur, or every score is 0, 0.5 or 1: the statistic cannot vary.

    Notes
    -----
    Assumes independent rows, enough for a normal sum. It misses errors that leave the Brier
    score as expected, too low here and too high there.

    References
    ----------
    Spiegelhalter (1986), Statistics in Medicine 5(5), 421-433.
    """
    _both_labels(bins)
    spread = sum(bins.spreads)
    if spread == 0:
        raise ValueError("scores must not all be 0, 0.5 or 1: the statistic has no variance")
    z = (sum(bins.squares) - sum(bins.variances)) / sqrt(spread)
    return Spiegelhalter(z, 2 * float(ndtr(-abs(z))))


@dataclass(frozen=True, slots=True)
class _Fit:
    """The sum of squared deviations ``total`` and the noncentral chi-square it follows."""

    n: int
    bins: int
    expected: float
    moments: Moments
    total: float
    noise: float
    scale: float

    @property
    def error(self) -> float:
        return sqrt(max(self.moments.mean, 0.0))

    @property
    def p_value(self) -> float:
        """Chance of so large a sum from noise alone, doubled as the bounds share alpha."""
        tail = float(chdtrc(self.noise / self.scale, self.total / self.scale))
        return min(1.0, 2 * max(tail, _LEAST_TAIL))

    def bounds(self, tail: float) -> tuple[float, float]:
        """Give bounds of the root mean squared error that each fail with the tail at most."""
        if tail < _LEAST_TAIL:
            return 0.0, 1.0
        lower = self._excess(self.total, 1 - tail)
        upper = self._excess(max(self.total, self.noise), tail)
        return min(lower, self.error), min(max(upper, self.error), 1.0)

    def _excess(self, total: float, below: float) -> float:
        """Give the root of theta at which the sum stays below the total with a probability."""
        df, reached = self.noise / self.scale, total / self.scale
        if float(chdtr(df, reached)) <= below:
            return 0.0
        return sqrt(float(chndtrinc(reached, df, below)) * self.scale)


def _fit(bins: CalibrationBins) -> _Fit:
    n = _both_labels(bins)
    counts, positives, scores, squares = _pooled(bins)
    gaps, shares = (positives - scores) / counts, counts / n
    noises = np.maximum(squares - counts * gaps * gaps, 0.0) / (counts - 1)
    total, noise = float(shares @ gaps**2), float(noises.sum()) / n
    if noise == 0:
        raise ValueError("label - score must vary within some bin, got one value in each")
    along, square = float(shares @ (gaps**2 * noises)), float(noises @ noises)
    excess = max(along - square / n, 0.0)
    moments = Moments(n, total - noise, 2 * square / n + 4 * excess)
    scale = max(square / (noise * n), along / total if total else 0.0) / n
    return _Fit(n, counts.size, float(shares @ np.abs(gaps)), moments, total, noise, scale)


def _both_labels(bins: CalibrationBins) -> int:
    n, positives = sum(bins.counts), sum(bins.positives)
    ranges.whole("n of bins", n, 2)
    if not 0 < positives < n:
        raise ValueError(f"positives must be in [1, {n - 1}] of {n}, got {positives}")
    return n


def _pooled(bins: CalibrationBins) -> Array:
    """Join neighbours until each bin has enough variance; what is left joins the last one."""
    columns = np.array([bins.counts, bins.positives, bins.scores, bins.squares], dtype=np.float64)
    weight = np.maximum(bins.variances, np.asarray(bins.squares) / _OVERCONFIDENT)
    if not weight.sum() >= _LEAST_VARIANCE:
        raise ValueError(
            f"variances must sum to {_LEAST_VARIANCE:g} at least, got {sum(bins.variances)}"
        )
    starts, held = [0], 0.0
    for at, gain in enumerate(weight[:-1]):
        held += float(gain)
        if held >= _LEAST_VARIANCE and weight[at + 1 :].sum() >= _LEAST_VARIANCE:
            starts.append(at + 1)
            held = 0.0
    return np.add.reduceat(columns, starts, axis=1)
