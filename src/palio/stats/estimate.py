"""What a fixed-horizon method says: an estimate, its interval and its p-value.

Every such method finds an effect, its standard error and degrees of freedom; `conclude` turns
them into a two- or one-sided statement about any null, `equivalence` into one about a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from scipy.special import ndtr, ndtri, stdtr, stdtrit  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges

__all__ = ["Alternative", "Equivalence", "Estimate", "conclude", "equivalence"]

Alternative = Literal["two-sided", "larger", "smaller"]
"""What is to be shown: the effect differs from, exceeds, or falls below the null."""

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """An effect with what one look, fixed beforehand, says about it.

    Attributes
    ----------
    effect
        The estimate.
    se
        Its standard error, >= 0.
    df
        Degrees of freedom of the reference t-distribution; inf for the normal one.
    lower, upper
        Bounds that hold with 1 - alpha at this look only. For a one-sided alternative one of them
        is the end of what the effect can be (infinite for a mean), and both are where nothing
        varied.
    p_value
        Valid at this look only.
    """

    effect: float
    se: float
    df: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether an effect lies within a range that counts as no difference.

    Attributes
    ----------
    equivalent
        Whether p_value <= alpha.
    p_value
        The larger one of the two one-sided tests.
    lower, upper
        The 1 - 2 alpha interval, which lies within the range exactly where equivalent.
    """

    equivalent: bool
    p_value: float
    lower: float
    upper: float


def conclude(
    effect: float,
    se: float,
    *,
    df: float = inf,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Test an effect against a null and bound it.

    Parameters
    ----------
    effect
        The estimate, finite.
    se
        Its standard error, finite and >= 0. At 0 nothing varied: values that were all the same so
        far say nothing about those to come, so the bounds are infinite and the p-value is 1.
    df
        Degrees of freedom, > 0; inf for a normal reference.
    alpha
        Error probability, in (0, 1).
    alternative
        ``larger`` bounds the effect from below and ``smaller`` from above, at 1 - alpha each.
    null
        Effect under the null hypothesis: 0 for superiority, ``-margin`` with ``larger`` for
        non-inferiority of a metric that is better when larger.

    Returns
    -------
    Estimate
        ``p_value <= alpha`` exactly where the bounds exclude the null. A bound too far out for a
        float is infinite.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    ranges.finite("effect", effect)
    ranges.not_negative("se", se)
    ranges.open_unit("alpha", alpha)
    ranges.finite("null", null)
    if not df > 0:
        raise ValueError(f"df must be > 0, got {df}")
    if alternative not in {"two-sided", "larger", "smaller"}:
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")
    if se == 0:
        return Estimate(effect, se, df, -inf, inf, 1.0)
    effect, se, null = float(effect), float(se), float(null)
    statistic = (effect - null) / se
    if alternative == "two-sided":
        reach = _reach(alpha / 2, df) * se
        p_value = 2 * _below(-abs(statistic), df)
        return Estimate(effect, se, df, effect - reach, effect + reach, p_value)
    reach = _reach(alpha, df) * se
    if alternative == "larger":
        return Estimate(effect, se, df, effect - reach, inf, _below(-statistic, df))
    return Estimate(effect, se, df, -inf, effect + reach, _below(statistic, df))


def equivalence(
    effect: float, se: float, *, low: float, high: float, df: float = inf, alpha: float = 0.05
) -> Equivalence:
    """Test whether an effect lies within (low, high) by two one-sided tests.

    Parameters
    ----------
    effect, se, df
        As for `conclude`, whichever method they come from.
    alpha
        Error probability of each of the two tests and of the statement, in (0, 0.5).
    low, high
        Range that counts as no difference, low < high, both finite.

    Returns
    -------
    Equivalence
        Shown where both one-sided tests reject at alpha.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6), 657-680.
    """
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError(f"low must be below high and both finite, got {low} and {high}")
    above = conclude(effect, se, df=df, alpha=alpha, alternative="larger", null=low)
    below = conclude(effect, se, df=df, alpha=alpha, alternative="smaller", null=high)
    if not alpha < _HALF:
        raise ValueError(f"alpha must be in (0, 0.5), got {alpha}")
    p_value = max(above.p_value, below.p_value)
    return Equivalence(p_value <= alpha, p_value, above.lower, below.upper)


def _reach(tail: float, df: float) -> float:
    """Give the quantile exceeded with probability tail; from below, where no digit is lost."""
    quantile = float(ndtri(tail) if df == inf else stdtrit(df, tail))
    return abs(quantile) if tail < _HALF else -quantile  # far out scipy loses the sign


def _below(statistic: float, df: float) -> float:
    return float(ndtr(statistic) if df == inf else stdtr(df, statistic))
