"""Rewards: what is known of each arm of a bandit, as its policy takes it.

A reward is a unit's number for the goal, its sign changed where lower is better. *Totals* are of
all rewards that are known, corrections included; *evidence* is what the policy is given: totals
that fade where a discount says so, on top of what another experiment knew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum

from palio import bandits
from palio.experiments.designs.metrics import Metric
from palio.experiments.designs.policy import Belief, PolicyKind
from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import MetricSums
from palio.experiments.weights.published import Knowledge
from palio.stats import Moments

__all__ = [
    "NOTHING",
    "Totals",
    "arms_of_policy",
    "exact",
    "faded",
    "limits_of",
    "merged_rewards",
    "prior_of",
    "totals_of",
]

Totals = Mapping[str, Knowledge]
NOTHING: Knowledge = (0.0, 0.0, 0.0)
_BINARY = 1e-9  # what sums of n values of 0 and 1 may be off by, a value
_UNIFORM = 12  # the variance of a uniform number is its width squared, over this
_BY_SUCCESS = frozenset({PolicyKind.THOMPSON, PolicyKind.TOP_TWO_THOMPSON})


def totals_of(experiment: Experiment, sums: Iterable[MetricSums]) -> dict[str, Knowledge]:
    """Return what is known of each arm, all epochs together.

    Parameters
    ----------
    experiment
        Whose goal counts.
    sums
        Those of the experiment.
    """
    goal = experiment.design.metrics.goal_metric
    piles: dict[str, list[Moments]] = {variant.key: [] for variant in experiment.design.variants}
    for row in sums:
        if (row.metric, row.segment) == (goal.name, "") and row.variant in piles:
            piles[row.variant].append(row.moments())
    return {key: merged_rewards(goal, found) for key, found in piles.items()}


def merged_rewards(goal: Metric, piles: Iterable[Moments]) -> Knowledge:
    """Return the moments of several piles of a goal's numbers together, as rewards."""
    one = Moments.merged([Moments(0, 0.0, 0.0), *piles])
    return (float(one.n), goal.direction.sign * one.mean, one.var * max(one.n - 1, 0))


def limits_of(goal: Metric) -> tuple[float, float] | None:
    """Return the lowest and the highest reward there can be, where that is known."""
    limits = (0.0, 1.0) if goal.is_share else goal.limits
    if limits is None or goal.direction.sign > 0:
        return limits
    return (-limits[1], -limits[0])


def faded(
    goal: Metric, evidence: Knowledge, *, then: Knowledge, now: Knowledge, discount: float
) -> Knowledge:
    """Let evidence fade, and add what has become known since.

    A correction is added undiscounted, whatever has become of the reward that it corrects; what
    would no longer be the rewards of anybody is cut off: counts and squares below 0, means outside
    of the limits.

    Parameters
    ----------
    goal
        Whose rewards they are.
    evidence
        Of the arm at the last refresh.
    then, now
        Its totals at the last refresh and now.
    discount
        Share that is kept, in (0, 1].
    """
    centre = now[1] if now[0] else evidence[1]
    parts = [_about(centre, known) for known in (evidence, then, now)]
    n, first, second = (
        discount * old - less + more for old, less, more in zip(*parts, strict=True)
    )
    if n <= 0:
        return NOTHING
    mean = centre + first / n
    low, high = limits_of(goal) or (mean, mean)
    return (n, min(max(mean, low), high), max(second - first * (first / n), 0.0))


def _about(centre: float, known: Knowledge) -> tuple[float, float, float]:
    """Return count and sums of deviations from a centre and of their squares."""
    n, mean, squares = known
    gap = mean - centre
    return n, n * gap, squares + n * gap * gap


def prior_of(goal: Metric, known: Iterable[Knowledge]) -> bandits.NormalBelief:
    """Return the normal belief before an arm is looked at, worth one reward.

    Its mean and variance are those within all arms together; while nothing varied the variance of
    a uniform number within the limits, or 1 where there are none.
    """
    seen = [one for one in known if one[0] > 0]
    n = fsum(one[0] for one in seen)
    mean = fsum(one[0] * one[1] for one in seen) / n if n else 0.0
    variance = fsum(one[2] for one in seen) / n if n else 0.0
    scale = variance / 2
    if scale <= 0:
        limits = limits_of(goal)
        scale = (1.0 if limits is None else (limits[1] - limits[0]) ** 2 / _UNIFORM) / 2
    return bandits.NormalBelief(b0=scale, m0=mean)


def arms_of_policy(experiment: Experiment, evidence: Totals) -> dict[str, bandits.Evidence]:
    """Return evidence in the form that the design's policy takes."""
    policy, goal = experiment.design.policy, experiment.design.metrics.goal_metric
    limits = limits_of(goal)
    counted = policy.belief is Belief.BETA and policy.kind in _BY_SUCCESS
    found: dict[str, bandits.Evidence] = {}
    for variant in experiment.design.variants:
        known = evidence.get(variant.key, NOTHING)
        found[variant.key] = (
            _counts(known, limits) if counted and limits else bandits.Rewards(*known)
        )
    return found


def exact(goal: Metric, known: Knowledge) -> Moments | bandits.Counts:
    """Return totals for tests: counts where all rewards were successes and failures."""
    n, mean, squares = known
    limits = limits_of(goal)
    if goal.is_share and limits is not None:
        wins = n * (mean - limits[0])
        if abs(squares + wins * (mean - limits[0]) - wins) <= _BINARY * n:
            return bandits.Counts(round(wins), round(n) - round(wins))
    return Moments(round(n), mean, squares / (n - 1) if n > 1 else 0.0)


def _counts(known: Knowledge, limits: tuple[float, float]) -> bandits.Counts:
    n, mean, _ = known
    share = min(max((mean - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0) if n else 0.0
    return bandits.Counts(n * share, n * (1 - share))
