"""Ratio metrics, such as revenue per order, and means of rows that come in clusters.

``R = mean(numerator) / mean(denominator)`` over the units that were randomised. By the delta
method a unit weighs in with ``R + (numerator - R denominator) / mean(denominator)``, so that the
ratio of an arm has Moments as a plain mean has: `welch`, `relative` and the sequential `compare`
take them.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from palio.stats import ranges
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from palio.stats.joint import JointMoments

__all__ = ["ratio"]


def ratio(joint: JointMoments) -> Moments:
    """Linearise a ratio of means into the Moments of one value a unit.

    Parameters
    ----------
    joint
        Moments of (numerator, denominator) over the units of one arm, at least two; the mean of
        the denominator is not 0.

    Returns
    -------
    Moments
        ``mean = R = m_n / m_d``, ``var = (v_n - 2 R c_nd + R^2 v_d) / m_d^2``; n counts units.

    Raises
    ------
    ValueError
        If there are not two values a unit or fewer than two units, the denominator is 0 or so
        near that the ratio overflows.

    Notes
    -----
    Cluster-robust means: where clusters are randomised and rows are measured, the units are the
    clusters and the values (sum over the rows, number of rows). The difference of two arms then
    is the coefficient of an OLS on the arm, and its squared standard error is the sandwich
    clustered by unit with the factor ``G / (G - 1)`` for the G clusters of each arm on its own;
    with clusters of one row that is Welch's. Software applies ``G / (G - 1) (N - 1) / (N - 2)``
    for G clusters and N rows of both arms together, which is less than ours by about 1 / G.
    Degrees of freedom count clusters, too.

    References
    ----------
    Deng, Knoblich and Lu (2018), KDD, 233-242. Liang and Zeger (1986), Biometrika 73(1), 13-22.
    """
    if len(joint.mean) != 2:  # noqa: PLR2004 -- numerator and denominator
        raise ValueError(f"joint must have 2 values a unit, got {len(joint.mean)}")
    ranges.whole("n", joint.n, 2)
    (top, bottom), ((var_top, cov), (_, var_bottom)) = joint.mean, joint.cov
    found = top / bottom if bottom else inf
    if not isfinite(found):
        raise ValueError(
            f"mean of the denominator must be far enough from 0 to divide {top} by it, "
            f"got {bottom}"
        )
    slope = found / bottom
    var = var_top / bottom / bottom - 2 * slope * (cov / bottom) + slope * slope * var_bottom
    return Moments(joint.n, found, var if var > 0 or not isfinite(var) else 0.0)
