"""Ranks of two arms: how often treatment exceeds control, from raw values.

``effect = P(T > C) + P(T = C) / 2``, 0.5 where neither tends to be larger. A unit's placement is
the share of the other arm that it exceeds, ties counting half; the effect is the mean placement of
treatment, and the two variances of the placements give its standard error without any assumption
on the distributions (Brunner and Munzel; DeLong's in the words of ROC curves). Mann and Whitney's
test, in contrast, is one of equal distributions.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import expit, logit  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments
from palio.stats.one_look.means import welch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["brunner_munzel", "mann_whitney"]

_NEITHER = 0.5
_SIDES: tuple[Literal["right"], Literal["left"]] = ("right", "left")
_STEPS = 60
_EXACT = 20  # units an arm up to which the distribution without ties is counted out


def brunner_munzel(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = _NEITHER,
) -> Estimate:
    """Estimate and test how often treatment exceeds control, whatever the distributions.

    Parameters
    ----------
    control, treatment
        One number a unit, shapes (n_c,) and (n_t,), finite, at least two each.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        What is to be shown of the effect against the null.
    null
        Effect under the null hypothesis, in (0, 1); 0.45 with ``larger`` shows non-inferiority.

    Returns
    -------
    Estimate
        Bounds in [0, 1], on the linear scale with the t-distribution of `welch`;
        ``p_value <= alpha`` exactly where they exclude the null. Where the arms do not overlap the
        placements have no variance, and test and bounds are the score version of Newcombe's
        method 5. Where all values are the same the p-value is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Brunner and Munzel (2000), Biometrical Journal 42(1), 17-25. Newcombe (2006), Statistics in
    Medicine 25(4), 559-573.
    """
    if not 0 < null < 1:
        raise ValueError(f"null must be in (0, 1), got {null}")
    arms = _placements(_values("control", control), _values("treatment", treatment))
    if arms[1].mean in {0.0, 1.0}:
        return _apart(*arms, alpha=alpha, alternative=alternative, null=null)
    found = welch(*arms, alpha=alpha, alternative=alternative, null=null)
    return replace(found, lower=max(found.lower, 0.0), upper=min(found.upper, 1.0))


def mann_whitney(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> Estimate:
    """Test by Mann and Whitney whether two distributions are equal, with the effect beside it.

    Parameters
    ----------
    control, treatment
        One number a unit, shapes (n_c,) and (n_t,), finite, at least two each.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        Which way treatment is shown to tend.

    Returns
    -------
    Estimate
        Effect, se and df of `brunner_munzel`. The p-value is exact without ties up to 20 units an
        arm, else normal with the variance corrected for ties and half a unit for continuity. The
        bounds are for the effect and hold whether or not the distributions are equal, hence with
        another variance than the test's: the two may disagree where the p-value is next to alpha.
        They lie in [0, 1], from the t-distribution on the logit scale; where the arms do not
        overlap they are those of `brunner_munzel`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Mann and Whitney (1947), Annals of Mathematical Statistics 18(1), 50-60. Perme and Manevski
    (2019), Statistical Methods in Medical Research 28(12), 3755-3768, for the logit scale.
    """
    arms = _values("control", control), _values("treatment", treatment)
    found = brunner_munzel(*arms, alpha=alpha, alternative=alternative)
    if found.se:
        slope = found.effect * (1 - found.effect)
        on_logit = conclude(
            float(logit(found.effect)), found.se / slope,
            df=found.df, alpha=alpha, alternative=alternative,
        )  # fmt: skip
        found = replace(found, lower=_expit(on_logit.lower), upper=_expit(on_logit.upper))
    larger, smaller = _tails(*arms, found.effect)
    either = min(1.0, 2 * min(larger, smaller))
    p_value = {"larger": larger, "smaller": smaller, "two-sided": either}[alternative]
    return replace(found, p_value=p_value)


def _values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    return ranges.finite_array(name, values, least=2)


def _placements(
    control: NDArray[np.float64], treatment: NDArray[np.float64]
) -> tuple[Moments, Moments]:
    """Give arms whose difference of means is the effect and whose variances are its noise."""
    placed_c, placed_t = _shares_below(treatment, control), _shares_below(control, treatment)
    return replace(Moments.of(placed_c), mean=0.0), Moments.of(placed_t)


def _shares_below(others: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give, for each own value, the share of the others below it, ties counting half."""
    ordered = np.sort(others)
    at_most, below = (np.searchsorted(ordered, own, side) for side in _SIDES)
    shares: NDArray[np.float64] = (at_most + below) / (2 * others.size)
    return shares


def _apart(
    control: Moments, treatment: Moments, *, alpha: float, alternative: Alternative, null: float
) -> Estimate:
    """Conclude from arms that do not overlap, an effect of 0 or 1."""
    pairs, others = control.n * treatment.n, (control.n + treatment.n) / 2 - 1
    effect = treatment.mean

    def spread(at: float) -> float:
        return (1 + others * ((1 - at) / (2 - at) + at / (1 + at))) / pairs

    def gap(z: float) -> float:
        """Solve ``gap^2 = z^2 at gap spread(at)`` with ``at = 1 - gap``; it contracts."""
        at = _NEITHER
        for _ in range(_STEPS):
            at = 1 / (1 + max(z, 0.0) ** 2 * spread(at))
        return 1 - at

    score = (effect - null) / sqrt(null * (1 - null) * spread(null))
    p_value = conclude(score, 1.0, alpha=alpha, alternative=alternative).p_value
    unit = conclude(0.0, 1.0, alpha=alpha, alternative=alternative)
    lower, upper = (1 - gap(-unit.lower), 1.0) if effect else (0.0, gap(unit.upper))
    return Estimate(effect, 0.0, inf, lower, upper, p_value)


def _tails(
    control: NDArray[np.float64], treatment: NDArray[np.float64], effect: float
) -> tuple[float, float]:
    """Give the p-values of Mann and Whitney for larger and for smaller values in treatment."""
    n_c, n_t = control.size, treatment.size
    pairs, units = n_c * n_t, n_c + n_t
    times = np.unique(np.concatenate([control, treatment]), return_counts=True)[1].astype(float)
    if times.max() == 1 and max(n_c, n_t) <= _EXACT:
        at_most, u = _cumulated(n_c, n_t), round(effect * pairs)
        return float(at_most[pairs - u]), float(at_most[u])
    ties = float(np.sum(times**3 - times)) / (units * (units - 1))
    noise = sqrt(pairs / 12 * max(units + 1 - ties, 0.0))
    above = (effect - _NEITHER) * pairs
    larger = conclude(above - 0.5, noise, alternative="larger").p_value
    return larger, conclude(above + 0.5, noise, alternative="smaller").p_value


def _cumulated(n_c: int, n_t: int) -> NDArray[np.float64]:
    """Give P(U <= u) for u = 0 .. n_c n_t, shape (n_c n_t + 1,), where all orders are as likely.

    The largest value is of control, with n_t values of treatment not above it, or of treatment.
    """
    rows = [np.ones(1)] * (n_t + 1)
    for i in range(1, n_c + 1):
        row = [np.ones(1)]
        for j in range(1, n_t + 1):
            ways = np.zeros(i * j + 1)
            ways[j:] += rows[j]
            ways[: i * (j - 1) + 1] += row[j - 1]
            row.append(ways)
        rows = row
    cumulated: NDArray[np.float64] = np.cumsum(rows[n_t])
    cumulated /= cumulated[-1]
    return cumulated


def _expit(value: float) -> float:
    return float(expit(value))
