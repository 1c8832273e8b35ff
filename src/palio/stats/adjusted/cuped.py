"""CUPED: what was known of the units before the experiment is taken out of the metric.

With covariates x from before assignment, ``y - theta'(x - xbar)`` has the mean of y and, at
``theta = cov(x)^-1 cov(x, y)``, the share ``1 - R^2`` of its variance. Only theta must not know
the arm: it is estimated from the covariances within the arms, pooled, which no effect moves.
The adjusted `Moments` go wherever unadjusted ones go; intervals shrink by ``sqrt(1 - R^2)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palio.stats.joint import JointMoments

__all__ = ["Adjusted", "check_arms", "cuped", "pooled_cuped", "residual_variance", "slopes"]

Matrix = tuple[tuple[float, ...], ...]

_COLLINEAR = 1e-8
_CONSTANT = 1e-12
_ROUNDING = 1e-12
_IMPOSSIBLE = 1e-6


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Two arms with their covariates taken out, and what they were before.

    Attributes
    ----------
    control, treatment
        Adjusted moments, with ``se^2 = var_c/n_c + var_t/n_t`` of the effect, the difference of
        their means: `palio.stats.compare` and `palio.stats.welch` take them as they are.
    raw_control, raw_treatment
        Moments of the metric itself, to be reported beside.
    theta_control, theta_treatment
        Slope of the metric on each covariate that the mean of the arm was adjusted by; one and
        the same for both under `cuped`. 0 for a covariate that does not vary.
    variance_removed
        ``1 - se_adjusted^2 / se_raw^2``, at most 1; below 0 where the adjustment cost more
        than it brought, 0 where nothing varied.
    """

    control: Moments
    treatment: Moments
    raw_control: Moments
    raw_treatment: Moments
    theta_control: tuple[float, ...]
    theta_treatment: tuple[float, ...]
    variance_removed: float

    @classmethod
    def of(
        cls, control: JointMoments, treatment: JointMoments, *,
        thetas: tuple[tuple[float, ...], tuple[float, ...]], variances: tuple[float, float],
    ) -> Adjusted:  # fmt: skip
        """Move the mean of each arm by its slopes to the covariate mean of both together.

        Parameters
        ----------
        control, treatment
            The metric (column 0) and its k >= 1 covariates.
        thetas
            Slopes of each arm, length k.
        variances
            Adjusted variances of each arm.

        Returns
        -------
        Adjusted
            Means ``ybar_a - theta_a'(xbar_a - xbar)``.

        Raises
        ------
        ValueError
            If a result is not finite.
        """
        units = control.n + treatment.n
        gap = [t - c for c, t in zip(control.mean[1:], treatment.mean[1:], strict=True)]
        moved_c = control.mean[0] + _dot(thetas[0], gap) * (treatment.n / units)
        moved_t = treatment.mean[0] - _dot(thetas[1], gap) * (control.n / units)
        adjusted_c = Moments(control.n, moved_c, variances[0])
        adjusted_t = Moments(treatment.n, moved_t, variances[1])
        raw_c, raw_t = control.value(0), treatment.value(0)
        before = raw_c.var / raw_c.n + raw_t.var / raw_t.n
        after = adjusted_c.var / control.n + adjusted_t.var / treatment.n
        removed = 1 - after / before if before else 0.0
        return cls(adjusted_c, adjusted_t, raw_c, raw_t, *thetas, removed)


def cuped(control: JointMoments, treatment: JointMoments) -> Adjusted:
    """Adjust the metric of both arms by covariates from before the experiment.

    Parameters
    ----------
    control, treatment
        Moments of the metric (column 0) and its covariates (columns 1 to k), at least two units
        an arm and k + 3 in both together. A covariate that the treatment may have changed biases
        the effect. Constant and collinear covariates do no harm: theta is the solution of
        least norm in standardised covariates.

    Returns
    -------
    Adjusted
        Means moved to the common covariate mean, variances of ``y - theta'x`` within each arm.

    Raises
    ------
    ValueError
        If the arms have no covariate, different ones or too few units, if their covariances are
        none, or if a result overflows.

    Notes
    -----
    The effect is ``dy - theta'dx``, so the common mean of the covariates cancels and the two
    adjusted arms count as independent. What the estimation of theta costs, a factor of about
    ``1 + k/n`` of the variance, is left out; `palio.stats.lin` accounts for it. A
    metric that its covariates explain within rounding has no variance left.

    References
    ----------
    Deng, Xu, Kohavi and Walker (2013), WSDM, 123-132, section 3.
    """
    check_arms(control, treatment)
    share = (control.n - 1) / (control.n + treatment.n - 2)
    pooled = tuple(
        tuple(share * c + (1 - share) * t for c, t in zip(*rows, strict=True))
        for rows in zip(control.cov, treatment.cov, strict=True)
    )
    sizes = [max(abs(c), abs(t)) for c, t in zip(control.mean, treatment.mean, strict=True)]
    theta, _ = slopes(pooled, sizes)
    variances = residual_variance(control.cov, theta), residual_variance(treatment.cov, theta)
    return Adjusted.of(control, treatment, thetas=(theta, theta), variances=variances)


def pooled_cuped(arms: Sequence[JointMoments]) -> list[Moments]:
    """Adjust the metric of any number of arms by slopes that they share.

    Parameters
    ----------
    arms
        Moments of the metric (column 0) and its k >= 0 covariates (columns 1 to k) of each arm,
        one at least; arms without units are allowed. Covariates are as for `cuped`.

    Returns
    -------
    list of Moments
        Of each arm in its order: the mean moved to the covariate mean of all units, the variance
        of ``y - theta'x`` within the arm. The metric as it is where there are no covariates, or
        too few units for slopes (fewer than k + 1 beyond one an arm); 0 without units.

    Raises
    ------
    ValueError
        If there is no arm, they differ in their number of values, their covariances are none or
        a result overflows.

    Notes
    -----
    Every difference of two arms is ``dy - theta'dx``, the coefficient of an analysis of
    covariance with a level for each arm. All arms share in theta, so an arm's adjusted mean
    depends, at the order of the slopes' error, on units of the others. A covariate that is
    constant within each arm takes no part, and of those that repeat each other the common
    direction counts once.

    References
    ----------
    Deng, Xu, Kohavi and Walker (2013), WSDM, 123-132, section 3. Cochran (1957), Biometrics
    13(3), 261-281, for the analysis of covariance with several groups.
    """
    columns = range(_columns(arms))
    freedom = sum(max(arm.n - 1, 0) for arm in arms)
    if len(columns) == 1 or freedom < len(columns):
        return [arm.value(0) for arm in arms]
    weights = [max(arm.n - 1, 0) / freedom for arm in arms]
    pooled = tuple(
        tuple(_dot(weights, [arm.cov[i][j] for arm in arms]) for j in columns) for i in columns
    )
    theta, _ = slopes(pooled, [max(abs(arm.mean[at]) for arm in arms) for at in columns])
    units = sum(arm.n for arm in arms)
    middle = [_dot([arm.n / units for arm in arms], [arm.mean[at] for arm in arms])
              for at in columns[1:]]  # fmt: skip
    return [_moved(arm, theta, middle) for arm in arms]


def check_arms(control: JointMoments, treatment: JointMoments, *, least: int = 2) -> None:
    """Refuse arms without covariates, with different ones or with too few units.

    Parameters
    ----------
    control, treatment
        The metric (column 0) and its covariates.
    least
        Units an arm must have, >= 2.

    Raises
    ------
    ValueError
        Naming the arm and what it lacks; both together must have k + 3 units.
    """
    columns = len(control.mean)
    if columns < 2:  # noqa: PLR2004 -- the metric and a covariate
        raise ValueError(f"control must have a metric and >= 1 covariate, got {columns} values")
    if len(treatment.mean) != columns:
        raise ValueError(
            f"treatment must have {columns} values a unit as control has, "
            f"got {len(treatment.mean)}"
        )
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n < least:
            raise ValueError(f"n of {name} must be >= {least}, got {arm.n}")
    if control.n + treatment.n < columns + 2:
        raise ValueError(
            f"n of both arms together must be >= {columns + 2} with {columns - 1} covariates, "
            f"got {control.n + treatment.n}"
        )


def slopes(cov: Matrix, sizes: Sequence[float]) -> tuple[tuple[float, ...], Matrix]:
    """Regress column 0 on the others, by least squares from their covariance.

    Parameters
    ----------
    cov
        Covariance of k + 1 columns.
    sizes
        Absolute mean of each column, length k + 1: a deviation below 1e-12 of it is rounding.

    Returns
    -------
    theta : tuple of float
        k slopes; of all solutions the one of least norm in standardised covariates.
    inverse : tuple of tuple of float
        Pseudo-inverse of the k by k covariance of the covariates that theta was found with;
        directions with less than 1e-8 of a standardised covariate's variance are left out.
    """
    k = len(cov) - 1
    spread = [sqrt(cov[at][at]) for at in range(1, k + 1)]
    scale = [
        1 / s if s > _CONSTANT * size else 0.0 for s, size in zip(spread, sizes[1:], strict=True)
    ]
    inverse = _scaled(_pseudo_inverse(_scaled([row[1:] for row in cov[1:]], scale)), scale)
    return tuple(_dot(row, cov[0][1:]) for row in inverse), inverse


def residual_variance(cov: Matrix, theta: Sequence[float]) -> float:
    """Give the variance of ``y - theta'x`` from the covariance of (y, x).

    Parameters
    ----------
    cov
        Covariance of the metric (first) and k covariates.
    theta
        Slopes, length k.

    Returns
    -------
    float
        At least 0, and 0 where nothing is left but rounding (1e-12 of the terms).

    Raises
    ------
    ValueError
        If it is clearly negative, as no covariance has it, or its terms overflow.
    """
    weights = (1.0, *(-slope for slope in theta))
    terms = [a * b * entry for a, row in zip(weights, cov, strict=True)
             for b, entry in zip(weights, row, strict=True)]  # fmt: skip
    total, size = sum(terms), sum(map(abs, terms))
    ranges.finite("sum of the terms of the adjusted variance", size)
    if total < -_IMPOSSIBLE * size:
        raise ValueError(
            f"cov must be positive semi-definite, got an adjusted variance of {total:g}"
        )
    return 0.0 if total <= _ROUNDING * size else total


def _columns(arms: Sequence[JointMoments]) -> int:
    """Give the number of values a unit, refusing arms that differ in it."""
    sizes = [len(arm.mean) for arm in arms]
    if not sizes or sizes[0] == 0 or len(set(sizes)) > 1:
        raise ValueError(
            "arms must be one at least, each of a metric and the same covariates, got "
            f"{sizes} values a unit"
        )
    return sizes[0]


def _moved(arm: JointMoments, theta: Sequence[float], middle: Sequence[float]) -> Moments:
    """Adjust an arm by the slopes, to the covariate means of all units."""
    if not arm.n:
        return arm.value(0)
    gaps = [mean - centre for mean, centre in zip(arm.mean[1:], middle, strict=True)]
    return Moments(arm.n, arm.mean[0] - _dot(theta, gaps), residual_variance(arm.cov, theta))


def _scaled(matrix: Sequence[Sequence[float]], scale: Sequence[float]) -> Matrix:
    return tuple(
        tuple(entry * a * b for entry, b in zip(row, scale, strict=True))
        for row, a in zip(matrix, scale, strict=True)
    )


def _pseudo_inverse(matrix: Matrix) -> Matrix:
    """Invert a correlation matrix in the directions that have variance."""
    largest = max(abs(entry) for row in matrix for entry in row)
    if not largest <= 1 + _IMPOSSIBLE:
        raise ValueError(f"cov must be positive semi-definite, got a correlation of {largest:g}")
    if len(matrix) == 1:
        return ((1 / matrix[0][0] if matrix[0][0] else 0.0,),)
    values, vectors = np.linalg.eigh(matrix)
    kept = values > _COLLINEAR
    part = vectors[:, kept]
    return tuple(map(tuple, (part / values[kept] @ part.T).tolist()))


def _dot(one: Sequence[float], two: Sequence[float]) -> float:
    return sum((a * b for a, b in zip(one, two, strict=True)), 0.0)
