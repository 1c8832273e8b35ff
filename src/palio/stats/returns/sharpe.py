"""Sharpe ratios with their errors: of one version, against a benchmark, of two versions.

The ratio ``S = mean / std`` of n independent returns with skewness g and kurtosis k (3 for normal
ones) has the variance

    ``(1 - g S + (k - 1) / 4 S^2) / n``,

``(1 + S^2 / 2) / n`` for normal returns. Everything is per period until `annual_factor` scales
it. Returns that depend on those before make the errors wrong, mostly too small; look at
`autocorrelations` first. Without variance there is no Sharpe ratio, neither 0 nor infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, sqrt
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments
from palio.stats.returns.series import ReturnMoments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "annual_factor",
    "probabilistic_sharpe",
    "sharpe",
    "sharpe_difference",
    "sharpe_difference_paired",
    "sharpe_moments",
]


def sharpe(
    returns: ReturnMoments,
    *,
    scale: float = 1.0,
    normal: bool = False,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Estimate the Sharpe ratio of independent returns.

    Parameters
    ----------
    returns
        Moments of returns in excess of the riskless one, at least two and not all the same.
    scale
        Factor of ratio, error and bounds, > 0; `annual_factor` gives it.
    normal
        Whether to take skewness 0 and kurtosis 3 (Lo) rather than the sample's (Mertens).
    alpha, alternative
        As for `conclude`.
    null
        Ratio under the null hypothesis, on the scale of the result.

    Returns
    -------
    Estimate
        ``mean / std`` with the divisor n - 1 in std, its standard error with the divisor n.

    Raises
    ------
    ValueError
        If an argument is out of its range or the returns do not vary: without variance there is
        no Sharpe ratio, neither 0 nor infinity.

    References
    ----------
    Lo (2002), Financial Analysts Journal 58(4), 36-52. Mertens (2002), Comments on variance of
    the IID estimator in Lo (2002), University of Basel.
    """
    ranges.positive("scale", scale)
    ratio = returns.sharpe
    error = sqrt(_variance(ratio, returns, normal=normal) / returns.n)
    return conclude(scale * ratio, scale * error, alpha=alpha, alternative=alternative, null=null)


def sharpe_moments(returns: ReturnMoments) -> Moments:
    """Give the Sharpe ratio as the mean of an arm, with the variance that its error implies.

    Parameters
    ----------
    returns
        Moments of an arm's returns, at least two and not all the same.

    Returns
    -------
    Moments
        ``mean = mean / std`` of one period, ``var = n se^2 = 1 - g S + (k - 1) / 4 S^2``: what
        `compare` and `welch` take.

    Raises
    ------
    ValueError
        If the returns do not vary.

    Notes
    -----
    Assumes independent returns with four moments. What a return adds to the ratio is, at first
    order, ``z - S/2 (z^2 - 1)``, so that the ratio grows in independent increments as a mean
    does. It is too large by the share ``3 / (4 n)`` for normal returns, in both arms alike.

    References
    ----------
    Mertens (2002), Comments on variance of the IID estimator in Lo (2002), University of Basel.
    """
    ratio = returns.sharpe
    return Moments(returns.n, ratio, _variance(ratio, returns))


def probabilistic_sharpe(returns: ReturnMoments, *, benchmark: float = 0.0) -> float:
    """Give the confidence that the true Sharpe ratio exceeds a benchmark.

    Parameters
    ----------
    returns
        As for `sharpe`.
    benchmark
        Ratio to exceed, per period (not annualised), finite.

    Returns
    -------
    float
        ``Phi((S - benchmark) sqrt(n - 1) / sqrt(1 - g S + (k - 1) / 4 S^2))`` in [0, 1]: one
        minus the one-sided p-value with the divisor n - 1.

    Raises
    ------
    ValueError
        If the benchmark is not finite or the returns do not vary.

    References
    ----------
    Bailey and Lopez de Prado (2012), Journal of Risk 15(2), 3-44.
    """
    ranges.finite("benchmark", benchmark)
    ratio = returns.sharpe
    error = sqrt(_variance(ratio, returns) / (returns.n - 1))
    return 1 - conclude(ratio, error, alternative="larger", null=benchmark).p_value


def sharpe_difference(
    control: ReturnMoments,
    treatment: ReturnMoments,
    *,
    scale: float = 1.0,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the Sharpe ratios of two versions whose returns are independent of each other.

    Parameters
    ----------
    control, treatment
        Moments of the returns, as for `sharpe`.
    scale, alpha, alternative, null
        As for `sharpe`.

    Returns
    -------
    Estimate
        Ratio of treatment minus ratio of control; Mertens' variances add up.

    Raises
    ------
    ValueError
        If an argument is out of its range or the returns of a version do not vary.

    References
    ----------
    Mertens (2002), Comments on variance of the IID estimator in Lo (2002), University of Basel.
    """
    one = sharpe(control, scale=scale)
    two = sharpe(treatment, scale=scale)
    error = hypot(one.se, two.se)
    return conclude(
        two.effect - one.effect, error, alpha=alpha, alternative=alternative, null=null
    )


def sharpe_difference_paired(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    scale: float = 1.0,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare the Sharpe ratios of two versions that earned returns over the same periods.

    Parameters
    ----------
    control, treatment
        Returns of the same periods in the same order, shape (n,), n >= 2, finite.
    scale, alpha, alternative, null
        As for `sharpe`.

    Returns
    -------
    Estimate
        Ratio of treatment minus ratio of control. What a period adds to a ratio is, at first
        order, ``z - S/2 (z^2 - 1)`` with z its standardised return; the variance of the
        differences is what Jobson and Korkie, corrected by Memmel, have for normal returns.

    Raises
    ------
    ValueError
        If an argument is out of its range, the lengths differ or the returns of a version do not
        vary.

    References
    ----------
    Jobson and Korkie (1981), Journal of Finance 36(4), 889-908. Memmel (2003), Finance Letters
    1, 21-23. Ledoit and Wolf (2008), Journal of Empirical Finance 15(5), 850-859.
    """
    ranges.positive("scale", scale)
    one, two = ranges.finite_array("control", control), ranges.finite_array("treatment", treatment)
    if one.size != two.size:
        raise ValueError(
            f"control and treatment must be of equal length, got {one.size} and {two.size}"
        )
    (ratio_c, added_c), (ratio_t, added_t) = _influence(one), _influence(two)
    error = sqrt(float(np.mean(np.square(added_t - added_c))) / one.size)
    return conclude(
        scale * (ratio_t - ratio_c),
        scale * error,
        alpha=alpha,
        alternative=alternative,
        null=null,
    )


def annual_factor(periods: int, *, correlations: Sequence[float] = ()) -> float:
    """Give the factor from the Sharpe ratio of a period to that of a year.

    Parameters
    ----------
    periods
        Periods q in a year, >= 1: 252 trading days, 12 months.
    correlations
        Autocorrelations of the returns at lags 1, 2, ..., each in [-1, 1]; lags beyond them count
        as 0, those from q on are not needed.

    Returns
    -------
    float
        ``q / sqrt(q + 2 sum_{k<q} (q - k) rho_k)``, which is ``sqrt(q)`` without any.

    Raises
    ------
    ValueError
        If an argument is out of its range, or correlations that no returns can have leave the
        year without variance.

    References
    ----------
    Lo (2002), Financial Analysts Journal 58(4), 36-52.
    """
    ranges.whole("periods", periods, 1)
    for at, correlation in enumerate(correlations):
        ranges.within(f"correlations[{at}]", correlation, -1, 1)
    lags = enumerate(correlations[: periods - 1], start=1)
    variance = periods + 2 * sum((periods - lag) * rho for lag, rho in lags)
    if not variance > 0:
        raise ValueError(
            f"correlations must leave the sum of {periods} returns a variance > 0, got {variance}"
        )
    return periods / sqrt(variance)


def _variance(ratio: float, returns: ReturnMoments, *, normal: bool = False) -> float:
    """Give n times the variance, floored at 0 where rounding would take it below."""
    skewness, kurtosis = (0.0, 3.0) if normal else (returns.skewness, returns.kurtosis)
    return max(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio * ratio, 0.0)


def _influence(array: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Give the ratio and what each period adds to it."""
    moments = ReturnMoments.of(array)
    z = moments.standardise(array)
    return moments.sharpe, z - moments.sharpe / 2 * (z * z - 1)
