"""Which arms have been shown to be worse than another, at any look and under any policy.

An arm's rewards, in the order of its own pulls, do not care when the policy asked for them, and a
confidence sequence holds at all its sample sizes together: so each arm's interval holds although
the policy decided how often it was drawn. At ``alpha / K`` all K of them hold together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf, sqrt
from typing import TypeAlias

from palio.bandits.evidence import Counts
from palio.stats import ranges
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.binary_bounds import rate_sequence
from palio.stats.anytime.sequential import MIN_UNITS
from palio.stats.moments import Moments

__all__ = ["arm_interval", "beaten"]

Undiscounted: TypeAlias = Moments | Counts


def arm_interval(evidence: Undiscounted, *, alpha: float, planned: int) -> tuple[float, float]:
    """Bound an arm's mean at any look.

    Parameters
    ----------
    evidence
        The arm's own pulls, neither discounted nor warm-started; their mean must not drift.
    alpha
        Probability of ever leaving out the mean, in (0, 1).
    planned
        Pulls of the arm at which the interval of a real reward is tightest, >= 1.

    Returns
    -------
    tuple of float
        Exact for counts. For real rewards the asymptotic confidence sequence, (-inf, inf) below
        100 pulls and while nothing varied.

    Raises
    ------
    ValueError
        If an argument is out of its range or counts are not whole.
    """
    ranges.open_unit("alpha", alpha)
    ranges.whole("planned", planned, 1)
    if isinstance(evidence, Counts):
        ranges.whole("successes", evidence.successes, 0)
        ranges.whole("failures", evidence.failures, 0)
        return rate_sequence(int(evidence.successes), int(evidence.n), alpha=alpha)
    if evidence.n < MIN_UNITS or evidence.var == 0:
        return -inf, inf
    rule = AsymptoticRule(alpha, tuned_rho2(alpha, planned))
    return rule.interval(evidence.mean, sqrt(evidence.var / evidence.n), evidence.n)


def beaten(
    arms: Mapping[str, Undiscounted],
    *,
    control: str,
    planned: int,
    alpha: float = 0.05,
    retired: Collection[str] = (),
) -> frozenset[str]:
    """Name the arms to retire: those whose upper bound is below another's lower bound.

    Parameters
    ----------
    arms
        Key to evidence of all K arms that the experiment began with; larger rewards are better.
    control
        Key of the arm that is never named, though it may beat others.
    planned
        Pulls of an arm at which the intervals of real rewards are tightest, >= 1.
    alpha
        Probability of ever naming an arm that is not worse than another, in (0, 1).
    retired
        Keys named before: they stay retired, and still count in K.

    Returns
    -------
    frozenset of str
        Newly named arms.

    Raises
    ------
    ValueError
        If control is none of the arms or an argument is out of its range.
    """
    if control not in arms:
        raise ValueError(f"control must be one of the arms {list(arms)}, got {control!r}")
    ranges.open_unit("alpha", alpha)
    bounds = {
        key: arm_interval(seen, alpha=alpha / len(arms), planned=planned)
        for key, seen in arms.items()
    }
    best = max(lower for lower, _ in bounds.values())
    spared = {control, *retired}
    return frozenset(
        key for key, (_, upper) in bounds.items() if upper < best and key not in spared
    )
