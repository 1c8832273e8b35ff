"""Calibration of two versions on the same requests: the difference with what they share taken out.

Both versions face the same labels, so their estimates of calibration error move together, or
against each other where one errs upward and the other downward. With ``e = y - p`` the unbiased
square of a version is a sum over pairs, ``S = sum_b sum_(i != j in b) e_i e_j / (n_b - 1) / n``;
the variance of ``S_t - S_c`` follows from the same pairs of rows, in the bins of both.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.quality.calibration import CalibrationBins, calibration_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["even_bins", "paired_calibration_difference"]

_MOST = 20
_LEAST_WEIGHT = (
    6.0  # above what `calibration_error` pools, so that it takes these bins as they are
)
_OVERCONFIDENT = 4.0  # as there: squares count a quarter, where scores are too sure of themselves


def even_bins(labels: ArrayLike, scores: ArrayLike) -> CalibrationBins:
    """Sum up rows in up to 20 bins that tell about as much as each other.

    Parameters
    ----------
    labels
        0 or 1, shape (n,).
    scores
        Predicted probabilities of label 1, shape (n,), in [0, 1].

    Returns
    -------
    CalibrationBins
        Edges at scores that occur, so that ``p (1 - p)`` sums to about the same in each bin, to 6
        at least. Equal scores share a bin; so few rows that two bins cannot be made share one.

    Raises
    ------
    ValueError
        As `CalibrationBins.of`.

    Notes
    -----
    The edges follow from the scores, whose labels are what varies, so `calibration_error` holds
    as for fixed ones. Only where scores are too sure of themselves, ``(y - p)^2`` above four
    times what they promise, do labels have a say.
    """
    whole = CalibrationBins.of(labels, scores, edges=())
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if p.size == 0:
        return whole
    order = np.argsort(p, kind="stable")
    y, p = y[order], p[order]
    told = np.vstack([p * (1 - p), (y - p) ** 2 / _OVERCONFIDENT]).cumsum(axis=1)
    starts = np.flatnonzero((np.diff(p) > 0) & (p[1:] < 1)) + 1
    edges = [float(p[at]) for at in _cuts(told, starts)]
    return CalibrationBins.of(y, p, edges=edges)


def paired_calibration_difference(
    labels: ArrayLike,
    control_scores: ArrayLike,
    treatment_scores: ArrayLike,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the mean squared calibration errors of two versions on the same rows, at one look.

    Parameters
    ----------
    labels
        0 or 1, shape (n,), both among them.
    control_scores, treatment_scores
        Probabilities of label 1 by either version for these rows, shape (n,), in [0, 1].
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the difference from below and ``smaller`` from above.
    null
        Difference under the null hypothesis, in [-1, 1].

    Returns
    -------
    Estimate
        Difference of the unbiased ``square`` of `calibration_error` over `even_bins`, bounded
        normally and cut to [-1, 1]: with r the deviations of e from the mean d of its bin,
        ``se^2 = (2 P + 4 max(sum (d_t r_t - d_c r_c)^2 - P, 0)) / n^2`` and ``P = sum_(i != j)
        (r_ti r_tj / (n_t - 1) - r_ci r_cj / (n_c - 1))^2``, a product counting where i and j
        share a bin of that version. -1 and 1, with p-value 1, where the versions say the same.

    Raises
    ------
    ValueError
        As `calibration_error` of either version, or if null is out of its range.

    Notes
    -----
    Assumes independent rows. `calibration_difference` is for versions on different rows.

    References
    ----------
    Hoeffding (1948), Annals of Mathematical Statistics 19(3), 293-325, for the variance of a sum
    over pairs; Kumar, Liang and Ma (2019), NeurIPS 32, section 4, for the unbiased square.
    """
    ranges.within("null", null, -1, 1)
    control, treatment = even_bins(labels, control_scores), even_bins(labels, treatment_scores)
    effect = calibration_error(treatment).square - calibration_error(control).square
    y = np.asarray(labels, dtype=np.float64)
    se = _paired_se(
        _Deviations(control, y - np.asarray(control_scores), np.asarray(control_scores)),
        _Deviations(treatment, y - np.asarray(treatment_scores), np.asarray(treatment_scores)),
    )
    found = conclude(effect, se, alpha=alpha, alternative=alternative, null=null)
    return replace(found, lower=max(found.lower, -1.0), upper=min(found.upper, 1.0))


def _cuts(told: Array, starts: NDArray[np.intp]) -> list[int]:
    """Choose rows at which bins start, each with its share of what all rows tell."""
    whole = told[:, -1]
    target = max(_LEAST_WEIGHT, float(whole.max()) / _MOST)
    cuts: list[int] = []
    held = np.zeros(2)
    while True:
        before = told[:, starts - 1]
        enough = (before - held[:, None]).max(axis=0, initial=0.0) >= target
        left = (whole[:, None] - before).max(axis=0, initial=0.0) >= _LEAST_WEIGHT
        found = starts[enough & left]
        if not found.size:
            return cuts
        cuts.append(int(found[0]))
        held = told[:, found[0] - 1]
        starts = starts[starts > found[0]]


class _Deviations:
    """What each row of a version tells: its bin, its error beside the bin's, and their product.

    ``own`` is divided by ``sqrt(n_b - 1)``, so that products of two rows are those of the sums.
    """

    __slots__ = ("at", "own", "pull")

    def __init__(self, bins: CalibrationBins, errors: Array, scores: Array) -> None:
        counts = np.asarray(bins.counts, dtype=np.float64)
        self.at = np.searchsorted(np.asarray(bins.edges), scores, side="right")
        means = np.bincount(self.at, weights=errors, minlength=counts.size) / counts
        deviations = errors - means[self.at]
        self.pull = means[self.at] * deviations
        self.own = deviations / np.sqrt(counts - 1)[self.at]


def _paired_se(control: _Deviations, treatment: _Deviations) -> float:
    pairs = _pairs(control, control) + _pairs(treatment, treatment)
    pairs -= 2 * _pairs(control, treatment)
    pull = treatment.pull - control.pull
    pairs = max(pairs, 0.0)  # no less than 0 but for rounding
    return sqrt(2 * pairs + 4 * max(float(pull @ pull) - pairs, 0.0)) / pull.size


def _pairs(one: _Deviations, other: _Deviations) -> float:
    """Sum the products of all two rows that share a bin in both versions."""
    products = one.own * other.own
    cells = one.at * (int(other.at.max()) + 1) + other.at
    sums = np.bincount(cells, weights=products)
    return float(sums @ sums - products @ products)
