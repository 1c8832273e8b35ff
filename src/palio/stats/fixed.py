"""Comparison of two arms at one look fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, isfinite, sqrt
from typing import TYPE_CHECKING

from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]  # no stubs

if TYPE_CHECKING:
    from palio.stats.moments import Moments

__all__ = ["FixedComparison", "RelativeEffect", "welch"]


@dataclass(frozen=True, slots=True)
class RelativeEffect:
    """Effect divided by the mean of control.

    Attributes
    ----------
    effect
        ``mean_t / mean_c - 1``.
    se
        Its standard error by the delta method.
    lower, upper
        Bounds with the level of the comparison it belongs to.
    """

    effect: float
    se: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class FixedComparison:
    """What a single look says about treatment against control.

    Attributes
    ----------
    effect
        Mean of treatment minus mean of control.
    se
        Its standard error.
    df
        Degrees of freedom by Welch and Satterthwaite.
    lower, upper
        Bounds of the effect that hold with 1 - alpha at this one look only.
    p_value
        Two-sided, valid at this one look only.
    relative
        The same divided by the mean of control; None where that is 0, or so near that the
        ratio overflows.
    """

    effect: float
    se: float
    df: float
    lower: float
    upper: float
    p_value: float
    relative: RelativeEffect | None


def welch(control: Moments, treatment: Moments, *, alpha: float = 0.05) -> FixedComparison:
    """Compare two means by Welch's t-test, with the relative effect by the delta method.

    Parameters
    ----------
    control, treatment
        Moments of the arms, at least two units each.
    alpha
        Error probability at this one look, in (0, 1); looking twice exceeds it.

    Returns
    -------
    FixedComparison
        Interval and p-value. While neither arm has any variance the bounds are infinite and the
        p-value is 1: values that were all the same so far say nothing about those to come.

    Raises
    ------
    ValueError
        If alpha is out of its range or an arm has fewer than two units.

    References
    ----------
    Welch (1947), Biometrika 34(1-2), 28-35. Delta method: ``var(b/a) = var_b/a^2 +
    b^2 var_a/a^4`` for independent means a, b; Deng, Knoblich and Lu (2018), KDD, 233-242.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1), got {alpha}")
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n < 2:  # noqa: PLR2004 -- a variance takes two
            raise ValueError(f"n of {name} must be >= 2, got {arm.n}")
    effect = treatment.mean - control.mean
    square_c, square_t = control.var / control.n, treatment.var / treatment.n
    se = sqrt(square_c + square_t)
    df = _degrees_of_freedom(control.n, square_c, treatment.n, square_t)
    reach = float(stdtrit(df, 1 - alpha / 2))
    lower, upper = _bounds(effect, se, reach)
    p_value = 2 * float(stdtr(df, -abs(effect) / se)) if se else 1.0
    relative = _relative(control, treatment, reach)
    return FixedComparison(effect, se, df, lower, upper, p_value, relative)


def _degrees_of_freedom(n_c: int, square_c: float, n_t: int, square_t: float) -> float:
    """Give Welch-Satterthwaite's, from shares of the variance so that no square underflows."""
    total = square_c + square_t
    if total == 0:
        return float(n_c + n_t - 2)
    share = square_c / total
    return 1 / (share**2 / (n_c - 1) + (1 - share) ** 2 / (n_t - 1))


def _bounds(effect: float, se: float, reach: float) -> tuple[float, float]:
    return (effect - reach * se, effect + reach * se) if se else (-inf, inf)


def _relative(control: Moments, treatment: Moments, reach: float) -> RelativeEffect | None:
    if control.mean == 0:
        return None
    ratio = treatment.mean / control.mean
    noise_t, noise_c = sqrt(treatment.var / treatment.n), sqrt(control.var / control.n)
    se = hypot(noise_t, ratio * noise_c) / abs(control.mean)
    effect = (treatment.mean - control.mean) / control.mean
    if not (isfinite(effect) and isfinite(se)):
        return None
    return RelativeEffect(effect, se, *_bounds(effect, se, reach))
