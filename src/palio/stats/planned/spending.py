"""Alpha spending: for those who plan to look, yet not when nor how often.

What may be spent is a function of the information share t alone, 0 at 0 and alpha at 1 ::

    O'Brien-Fleming shape   f(t) = 2 (1 - Phi(z_(alpha/2) / sqrt(t)))    little early, most late
    Pocock shape            f(t) = alpha ln(1 + (e - 1) t)               nearly evenly

The bound of look k is the one that is crossed there, for the first time and without an effect,
with probability f(t_k) - f(t_(k-1)); it depends on the looks so far and on none to come. A
two-sided rule is two one-sided ones at alpha/2.

References
----------
Lan and DeMets (1983), Biometrika 70(3), 659-663.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import e, inf, log, log1p, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative
from palio.stats.planned.group_sequential import Walk, crossing_probabilities, rising_shares

__all__ = ["Shape", "repeated_interval", "spending_bounds", "spent", "stagewise_p_value"]

Shape = Literal["obrien-fleming", "pocock"]
"""How alpha is spent: almost all of it late, or evenly."""

_LEAST_SPENT = 1e-15  # below it, a look spends nothing and leaves it to the next
_CONVERGED = 1e-10  # of a step; what is left is its square
_FAR = 1e12  # as far as a z may lie


def spent(share: float, *, alpha: float = 0.05, shape: Shape = "obrien-fleming") -> float:
    """Give the error probability that may be spent up to an information share, on one side.

    Parameters
    ----------
    share
        Information share t, in [0, 1].
    alpha
        Error probability of the side, in (0, 1).
    shape
        Spending function.

    Returns
    -------
    float
        0 at t = 0, rising to alpha at t = 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Lan and DeMets (1983), Biometrika 70(3), 659-663: alpha*_1 and alpha*_2.
    """
    ranges.share("share", share)
    ranges.open_unit("alpha", alpha)
    if shape not in {"obrien-fleming", "pocock"}:
        raise ValueError(f"shape must be obrien-fleming or pocock, got {shape!r}")
    if shape == "pocock":
        return alpha * log1p((e - 1) * share)
    return 2 * float(ndtr(ndtri(alpha / 2) / sqrt(share))) if share > 0 else 0.0


def spending_bounds(
    information_shares: Sequence[float],
    *,
    alpha: float = 0.05,
    shape: Shape = "obrien-fleming",
    alternative: Alternative = "two-sided",
) -> tuple[float, ...]:
    """Give the bound of z for each look so far.

    Parameters
    ----------
    information_shares
        Information at each look so far as a share of that planned for the last, in (0, 1] and
        rising, each step at least 1e-4 of the share it leads to.
    alpha
        Error probability over all looks, in (0, 1).
    shape
        Spending function, chosen before the first look.
    alternative
        Two-sided spends alpha/2 on either side.

    Returns
    -------
    tuple of float
        Stop where ``|z| >= bound`` (two-sided), ``z >= bound`` (larger) or ``-z >= bound``
        (smaller). inf at a look that has less than 1e-15 to spend; the next look gets it.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Lan and DeMets (1983), Biometrika 70(3), 659-663. Jennison and Turnbull (2000), Group
    Sequential Methods, section 7.2.
    """
    looks = rising_shares("information_shares", information_shares)
    ranges.share(f"information_shares[{len(looks) - 1}]", looks[-1])
    ranges.open_unit("alpha", alpha)
    two_sided = _two_sided(alternative)
    side = alpha / 2 if two_sided else alpha
    walk, paid, bounds = Walk.start(), 0.0, []
    for share, following in zip(looks, (*looks[1:], inf), strict=True):
        due = spent(share, alpha=side, shape=shape)
        level = inf
        if due - paid >= _LEAST_SPENT:
            level = _level(walk, share, due - paid)
            paid = due
        bounds.append(level / sqrt(share))
        if following < inf:
            low = -level if two_sided else -inf
            walk = walk.within(low, level, share, following=following)
    return tuple(bounds)


def stagewise_p_value(
    z: float,
    bounds: Sequence[float],
    information_shares: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
) -> float:
    """Give the p-value at the stop, with an earlier stop counting as more extreme.

    Parameters
    ----------
    z
        Statistic at the last look taken, whether it crossed or not; in [-1e12, 1e12].
    bounds
        Bounds of the looks before that one; one fewer than the shares, none for a single look.
    information_shares
        Information share of each look taken.
    alternative
        As for the bounds.

    Returns
    -------
    float
        Probability without an effect of crossing at an earlier look or reaching z at this one,
        on either side where there are two; at most what is spent exactly where z crosses.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Tsiatis, Rosner and Mehta (1984), Biometrics 40(3), 797-803. Jennison and Turnbull (2000),
    Group Sequential Methods, section 8.4.
    """
    ranges.within("z", z, -_FAR, _FAR)
    looks = rising_shares("information_shares", information_shares)
    if len(bounds) != len(looks) - 1:
        raise ValueError(f"bounds must be those of {len(looks) - 1} looks, got {len(bounds)}")
    if _two_sided(alternative):
        last, sides = abs(z), 2
    else:
        last, sides = (-z if alternative == "smaller" else z), 1
    found = crossing_probabilities((*bounds, last), looks, alternative=alternative)
    upward = found.lower if alternative == "smaller" else found.upper
    return min(1.0, sides * sum(upward))


def repeated_interval(
    effect: float, se: float, bound: float, *, alternative: Alternative = "two-sided"
) -> tuple[float, float]:
    """Bound the effect at one of the looks, together with all others at 1 - alpha.

    Parameters
    ----------
    effect
        The estimate at the look, finite.
    se
        Its standard error, finite and >= 0. At 0 nothing varied and the bounds are infinite.
    bound
        The look's bound from `spending_bounds`; inf says nothing.
    alternative
        ``larger`` bounds the effect from below and ``smaller`` from above.

    Returns
    -------
    tuple of float
        ``effect -+ bound se``, which excludes 0 where the look crosses; whether or not to stop
        is free.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Jennison and Turnbull (1989), JRSS B 51(3), 305-361.
    """
    ranges.finite("effect", effect)
    ranges.not_negative("se", se)
    ranges.within("bound", bound, 0.0 if _two_sided(alternative) else -_FAR, inf)
    reach = bound * se if se > 0 else inf
    lower = -inf if alternative == "smaller" else effect - reach
    return lower, inf if alternative == "larger" else effect + reach


def _two_sided(alternative: Alternative) -> bool:
    if alternative not in {"two-sided", "larger", "smaller"}:
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")
    return alternative == "two-sided"


def _level(walk: Walk, share: float, wanted: float) -> float:
    """Find the score that the walk is above at share with the probability wanted, by Newton.

    The logarithm of the tail is concave and falls, so that Newton's steps from above the root
    come down to it and never pass it. Above it lie the levels of an uncut path and of a path
    that starts from the region's upper end.
    """
    step = sqrt(share - walk.share)
    z = -float(ndtri(wanted))
    level = min(z * sqrt(share), walk.high + max(z, 0.0) * step)
    change = inf
    while abs(change) > _CONVERGED * step:
        tail = walk.above(level, share)
        slope = float(walk.density(np.array([level]), share)[0])
        change = log(tail / wanted) * tail / slope
        level += change
    return level
