"""Regression adjustment with interactions: each arm has slopes of its own.

Within each arm the metric is regressed on the covariates, and the fitted line is read at the
covariate mean of both arms together; the effect is the difference of the two readings. That is
the coefficient of treatment in ``y ~ treatment * (x - xbar)``. Unlike one slope for both it is
never less precise than no adjustment in large samples, however unlike the arms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palio.stats.adjusted.cuped import Adjusted, check_arms, residual_variance, slopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palio.stats.joint import JointMoments

__all__ = ["lin"]

Vector = tuple[float, ...]


def lin(control: JointMoments, treatment: JointMoments) -> Adjusted:
    """Adjust the metric of both arms by regressions of their own.

    Parameters
    ----------
    control, treatment
        Moments of the metric (column 0) and its covariates (columns 1 to k) from before the
        experiment, at least k + 2 units an arm.

    Returns
    -------
    Adjusted
        Means ``ybar_a + b_a'd_a`` with ``d_a = xbar - xbar_a``, and variances
        ``s_a^2 (1 + n_a/(n_a - 1) d_a' S_a^-1 d_a) + (n_a/N)^2 (b_t - b_c)' S_a (b_t - b_c)``.

    Raises
    ------
    ValueError
        If the arms have no covariate, different ones or too few units, if their covariances are
        none, or if a result overflows.

    Notes
    -----
    ``s_a^2 = RSS_a / (n_a - 1 - k)``. The first term is the variance of the fitted value at the
    common covariate mean, which the sandwich estimators HC2 and HC3 of the interacted regression
    aim at, too; moments do not tell where residuals are larger, so the residual variance counts
    as the same everywhere in ``d_a``, which vanishes in large samples. The second term is
    there because units to come are decided about, not those that came: the common mean
    then is an estimate, which moves the effect wherever slopes differ. HC errors leave it out.
    Each arm has its units' share of it, so that se^2 stays the sum of var over n.

    References
    ----------
    Lin (2013), Annals of Applied Statistics 7(1), 295-318. Second term: Negi and Wooldridge
    (2021), Econometric Reviews 40(5), 504-534.
    """
    check_arms(control, treatment, least=len(control.mean) + 1)
    theta_c, inverse_c = slopes(control.cov, _sizes(control))
    theta_t, inverse_t = slopes(treatment.cov, _sizes(treatment))
    change = tuple(t - c for c, t in zip(theta_c, theta_t, strict=True))
    gap = tuple(t - c for c, t in zip(control.mean[1:], treatment.mean[1:], strict=True))
    share = treatment.n / (control.n + treatment.n)
    fitted_c = _fitted(control, theta_c) * (1 + _leverage(control, inverse_c, gap, share))
    fitted_t = _fitted(treatment, theta_t) * (1 + _leverage(treatment, inverse_t, gap, 1 - share))
    variances = (
        fitted_c + (1 - share) ** 2 * _form(_covariates(control), change),
        fitted_t + share**2 * _form(_covariates(treatment), change),
    )
    return Adjusted.of(control, treatment, thetas=(theta_c, theta_t), variances=variances)


def _sizes(arm: JointMoments) -> Vector:
    return tuple(map(abs, arm.mean))


def _fitted(arm: JointMoments, theta: Vector) -> float:
    """Give the residual variance with the degrees of freedom that k slopes leave."""
    rest = arm.n - 1
    return residual_variance(arm.cov, theta) * (rest / (rest - len(theta)))


def _leverage(arm: JointMoments, inverse: Sequence[Vector], gap: Vector, share: float) -> float:
    """Give ``n/(n - 1) d' S^-1 d`` where the arm lies the given share of the gap off the mean."""
    return arm.n / (arm.n - 1) * share**2 * _form(inverse, gap)


def _covariates(arm: JointMoments) -> tuple[Vector, ...]:
    return tuple(row[1:] for row in arm.cov[1:])


def _form(matrix: Sequence[Vector], vector: Vector) -> float:
    """Give ``v'Mv`` of a positive semi-definite matrix, at least 0 whatever the rounding."""
    total = sum(
        a * b * entry
        for a, row in zip(vector, matrix, strict=True)
        for b, entry in zip(vector, row, strict=True)
    )
    return total if not total < 0 else 0.0
