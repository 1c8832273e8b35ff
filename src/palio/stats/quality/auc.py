"""Area under the ROC curve and its differences, with DeLong's standard error.

The area is the chance that a positive scores above a negative, ties counting half. Each positive
contributes the share of negatives below it and each negative the share of positives above it;
the area is the mean of either, ``se^2 = var(of positives)/m + var(of negatives)/n``.

Rows give it exactly. Log-binned counts of the scores of negatives and of positives, which add
and subtract, give it for scores rounded to the bins, with a bound on the distance to the rows'.
Scores may be any finite numbers: only their order counts. Probabilities are best binned as odds
``p/(1 - p)``, so that the bins are as fine near 1 as near 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from palio.stats.quality.histogram import LogHistogram

    Array = NDArray[np.float64]

__all__ = [
    "Auc",
    "auc",
    "auc_difference",
    "auc_estimate",
    "auc_moments",
    "binary_array",
    "binned_auc",
    "paired_auc_difference",
    "paired_auc_moments",
]


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the ROC curve.

    Attributes
    ----------
    positives, negatives
        Units of either class, >= 2.
    area
        In [0, 1].
    se
        DeLong's standard error, >= 0; 0 where the classes do not overlap at all.
    binning
        Largest distance to the area of the scores before binning: half the share of pairs of a
        positive and a negative in one bin. 0 from rows.

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    positives: int
    negatives: int
    area: float
    se: float
    binning: float = 0.0

    def __post_init__(self) -> None:
        ranges.whole("positives", self.positives, 2)
        ranges.whole("negatives", self.negatives, 2)
        ranges.share("area", self.area)
        ranges.not_negative("se", self.se)
        ranges.within("binning", self.binning, 0, 0.5)


def auc(labels: ArrayLike, scores: ArrayLike) -> Auc:
    """Give the area under the ROC curve of rows.

    Parameters
    ----------
    labels
        0 or 1, shape (n,), at least two of each.
    scores
        Shape (n,), finite; larger for units that are likelier positive.

    Returns
    -------
    Auc
        By sorting, in O(n log n), ties included.

    Raises
    ------
    ValueError
        If a label is not 0 or 1, a score is not finite, the lengths differ or a class has
        fewer than two units.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845. Sun and Xu (2014),
    IEEE Signal Processing Letters 21(11), 1389-1393.
    """
    positive = binary_array("labels", labels)
    return _area(*_counts(positive, _at(positive, "scores", scores)))


def binned_auc(negatives: LogHistogram, positives: LogHistogram) -> Auc:
    """Give the area under the ROC curve from binned counts of the scores.

    Parameters
    ----------
    negatives, positives
        Histograms of the scores of either class, of one accuracy, at least two values each.

    Returns
    -------
    Auc
        Area and standard error of the scores rounded to the bins, exactly; ``binning`` bounds
        the distance of the area to that of the scores themselves.

    Raises
    ------
    ValueError
        If the accuracies differ or a class has fewer than two units.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845.
    """
    if negatives.accuracy != positives.accuracy:
        raise ValueError(
            f"accuracy of positives must be {negatives.accuracy}, got {positives.accuracy}"
        )
    below, above = dict(negatives.bins), dict(positives.bins)
    at = sorted(below.keys() | above.keys())
    low = np.array([below.get(key, 0) for key in at], dtype=np.float64)
    high = np.array([above.get(key, 0) for key in at], dtype=np.float64)
    for name, side in (("negatives", low), ("positives", high)):
        ranges.whole(f"n of {name}", side.sum(), 2)
    found = _area(low, high)
    tied = float(low @ high) / 2 / found.negatives / found.positives
    return replace(found, binning=min(tied, 0.5))


def auc_moments(value: Auc) -> Moments:
    """Give an area as the mean of an arm, with the variance that its standard error implies.

    Parameters
    ----------
    value
        The area of an arm.

    Returns
    -------
    Moments
        ``n`` all units, ``mean`` the area, ``var = n se^2``: every rule for the means of two
        arms on different units applies.
    """
    n = value.positives + value.negatives
    return Moments(n, value.area, n * value.se * value.se)


def auc_estimate(
    value: Auc,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.5,
) -> Estimate:
    """Test one area against a null and bound it, normally on the scale of log odds.

    Parameters
    ----------
    value
        The area.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the area from below and ``smaller`` from above.
    null
        Area under the null hypothesis, in (0, 1); 0.5 for a score that says nothing.

    Returns
    -------
    Estimate
        Bounds within [0, 1]: ``logit(area) -+ z se / (area (1 - area))`` transformed back; 0
        and 1, with p-value 1, where the standard error is 0. ``se`` is that of the area.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Qin and Hotilovac (2008), Statistical Methods in Medical Research 17(2), 207-221.
    """
    ranges.open_unit("null", null)
    area, odds = value.area, 0.0
    if 0 < area < 1:
        odds = log(area / (1 - area))
    slope = area * (1 - area)
    found = conclude(
        odds, value.se / slope if slope else 0.0,
        alpha=alpha, alternative=alternative, null=log(null / (1 - null)),
    )  # fmt: skip
    lower, upper = float(expit(found.lower)), float(expit(found.upper))
    return replace(found, effect=area, se=value.se, lower=lower, upper=upper)


def auc_difference(
    control: Auc,
    treatment: Auc,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the areas of two versions that scored different units.

    Parameters
    ----------
    control, treatment
        Areas of independent samples.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the difference from below and ``smaller`` from above.
    null
        Difference under the null hypothesis, in [-1, 1].

    Returns
    -------
    Estimate
        Normal bounds, cut to [-1, 1]. Of binned areas they hold for the rounded scores; the two
        ``binning`` together bound what that moves.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Assumes units independent of each other and some dozens of either class: an area of 0 or 1
    has a standard error of 0, which is too small.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845.
    """
    se = sqrt(control.se * control.se + treatment.se * treatment.se)
    return _cut(treatment.area - control.area, se, alpha, alternative, null=null)


def paired_auc_difference(
    labels: ArrayLike,
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the areas of two versions that scored the same units.

    Parameters
    ----------
    labels
        0 or 1, shape (n,), at least two of each.
    control, treatment
        Scores of either version for these units, shape (n,), finite.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the difference from below and ``smaller`` from above.
    null
        Difference under the null hypothesis, in [-1, 1].

    Returns
    -------
    Estimate
        Normal bounds, cut to [-1, 1], with DeLong's covariance; -1 and 1, with p-value 1, where
        the two versions rank every unit alike.

    Raises
    ------
    ValueError
        If an argument is out of its range, a label is not 0 or 1, a score is not finite, the
        lengths differ or a class has fewer than two units.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845.
    """
    found = paired_auc_moments(labels, control, treatment)
    return _cut(found.mean, sqrt(found.var / found.n), alpha, alternative, null=null)


def paired_auc_moments(labels: ArrayLike, control: ArrayLike, treatment: ArrayLike) -> Moments:
    """Give the difference of the areas of two versions on the same units as a mean.

    Parameters
    ----------
    labels, control, treatment
        As for `paired_auc_difference`.

    Returns
    -------
    Moments
        ``n`` units, ``mean`` the difference, ``var = n se^2`` with DeLong's covariance: what the
        rules for the mean of differences (`compare_paired`) take.

    Raises
    ------
    ValueError
        As for `paired_auc_difference`.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), 837-845.
    """
    positive = binary_array("labels", labels)
    before = _components(positive, "control", control)
    after = _components(positive, "treatment", treatment)
    of_positives, of_negatives = after[0] - before[0], after[1] - before[1]
    n = positive.size
    var = n * (_square(of_positives) + _square(of_negatives))
    return Moments(n, float(of_positives.mean()), var)


def binary_array(name: str, labels: ArrayLike) -> NDArray[np.bool_]:
    """Turn labels of 0 and 1 into an array, shape (n,) bool, refusing anything else."""
    array = ranges.finite_array(name, labels)
    for value in array[(array != 0) & (array != 1)][:1]:
        raise ValueError(f"{name} must be 0 or 1, got {value}")
    return np.equal(array, 1)


def _at(positive: NDArray[np.bool_], name: str, scores: ArrayLike) -> NDArray[np.intp]:
    """Give each row the place of its score among the different ones, ascending."""
    array = ranges.finite_array(name, scores)
    if array.size != positive.size:
        raise ValueError(f"{name} must be as long as labels, {positive.size}, got {array.size}")
    for kind, size in (("positives", positive.sum()), ("negatives", (~positive).sum())):
        ranges.whole(f"{kind} among labels", int(size), 2)
    return np.unique(array, return_inverse=True)[1]


def _counts(positive: NDArray[np.bool_], at: NDArray[np.intp]) -> tuple[Array, Array]:
    """Give the counts of negatives and of positives at each score."""
    size = int(at.max()) + 1
    low = np.bincount(at[~positive], minlength=size).astype(np.float64)
    return low, np.bincount(at[positive], minlength=size).astype(np.float64)


def _components(positive: NDArray[np.bool_], name: str, scores: ArrayLike) -> tuple[Array, Array]:
    """Give what each positive and what each negative contributes to the area."""
    at = _at(positive, name, scores)
    below, above = _shares(*_counts(positive, at))
    return below[at[positive]], above[at[~positive]]


def _shares(low: Array, high: Array) -> tuple[Array, Array]:
    """Give at each score the share of the low below it and of the high above it."""
    return (low.cumsum() - low / 2) / low.sum(), 1 - (high.cumsum() - high / 2) / high.sum()


def _area(low: Array, high: Array) -> Auc:
    """Give the area from the counts of negatives and of positives at each score, ascending."""
    below, above = _shares(low, high)
    negatives, positives = low.sum(), high.sum()
    area = float(high @ below / positives)
    squares = high @ (below - area) ** 2 / (positives - 1) / positives
    squares += low @ (above - area) ** 2 / (negatives - 1) / negatives
    return Auc(int(positives), int(negatives), min(area, 1.0), sqrt(squares))


def _square(contributions: Array) -> float:
    return float(contributions.var(ddof=1)) / contributions.size


def _cut(
    effect: float, se: float, alpha: float, alternative: Alternative, *, null: float
) -> Estimate:
    ranges.within("null", null, -1, 1)
    found = conclude(effect, se, alpha=alpha, alternative=alternative, null=null)
    return replace(found, lower=max(found.lower, -1.0), upper=min(found.upper, 1.0))
