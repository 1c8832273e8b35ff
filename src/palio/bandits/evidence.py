"""What is known of an arm, in numbers that add up: they merge over processes and fade with time.

Evidence of an arm is `palio.stats.Moments` of its rewards, `Counts` of successes and failures, or
`Rewards`, which is what moments become where they no longer count whole pulls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from palio.stats import ranges
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Counts",
    "Evidence",
    "Rewards",
    "discounted",
    "merged",
    "negated",
    "of_rewards",
    "warm_started",
    "winsorised",
]


@dataclass(frozen=True, slots=True)
class Rewards:
    """Count, mean and sum of squares about the mean of an arm's rewards.

    Attributes
    ----------
    n
        Pulls with a known reward, >= 0; not whole once discounted.
    mean
        Their mean; 0 by convention without any.
    squares
        Sum of ``(x - mean)^2``, >= 0.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    n: float
    mean: float
    squares: float

    def __post_init__(self) -> None:
        ranges.not_negative("n", self.n)
        ranges.finite("mean", self.mean)
        ranges.not_negative("squares", self.squares)


@dataclass(frozen=True, slots=True)
class Counts:
    """Successes and failures of an arm, both >= 0; not whole once discounted.

    Raises
    ------
    ValueError
        If a count is negative or not finite.
    """

    successes: float
    failures: float

    def __post_init__(self) -> None:
        ranges.not_negative("successes", self.successes)
        ranges.not_negative("failures", self.failures)

    @property
    def n(self) -> float:
        """Pulls with a known reward."""
        return self.successes + self.failures

    @property
    def mean(self) -> float:
        """Share of successes, 0 without a pull."""
        return self.successes / self.n if self.n else 0.0


Evidence: TypeAlias = Moments | Rewards | Counts
"""What is known of one arm; larger rewards are better (see `negated`)."""


def of_rewards(evidence: Evidence) -> Rewards:
    """Give the moments of an arm, a success counting 1 and a failure 0.

    Parameters
    ----------
    evidence
        Any kind.

    Returns
    -------
    Rewards
        The same rewards.
    """
    if isinstance(evidence, Rewards):
        return evidence
    if isinstance(evidence, Moments):
        return Rewards(evidence.n, evidence.mean, evidence.var * max(evidence.n - 1, 0))
    return Rewards(evidence.n, evidence.mean, evidence.mean * evidence.failures)


def merged(first: Evidence, second: Evidence) -> Evidence:
    """Give the evidence of both together, which share no pull.

    Parameters
    ----------
    first, second
        Both counts, or neither.

    Returns
    -------
    Evidence
        Counts added; moments as `palio.stats.Moments.merge` does.

    Raises
    ------
    ValueError
        If one holds counts and the other does not.
    """
    if isinstance(first, Counts) and isinstance(second, Counts):
        return Counts(first.successes + second.successes, first.failures + second.failures)
    if isinstance(first, Counts) or isinstance(second, Counts):
        raise ValueError(  # noqa: TRY004 -- this room raises ValueError only
            f"evidence of one arm must be all counts or all moments, got {first} and {second}"
        )
    if isinstance(first, Moments) and isinstance(second, Moments):
        return first.merge(second)
    return _together(of_rewards(first), of_rewards(second))


def discounted(evidence: Evidence, gamma: float) -> Rewards | Counts:
    """Let evidence fade, so that a policy follows rewards that drift.

    Parameters
    ----------
    evidence
        What was known so far.
    gamma
        Share kept, in [0, 1]; ``gamma ** k`` for k steps at once.

    Returns
    -------
    Rewards or Counts
        The same mean and variance on the pulls' share. What comes after is merged undiscounted.

    Raises
    ------
    ValueError
        If gamma is out of its range.

    References
    ----------
    Garivier and Moulines (2011), ALT, LNCS 6925, 174-188.
    """
    ranges.share("gamma", gamma)
    if isinstance(evidence, Counts):
        return Counts(gamma * evidence.successes, gamma * evidence.failures)
    known = of_rewards(evidence)
    left = gamma * known.n
    return Rewards(left, known.mean if left else 0.0, gamma * known.squares)


def warm_started(own: Evidence, other: Evidence, *, share: float) -> Evidence:
    """Add what another experiment knew of the arm, as far as it is trusted.

    Parameters
    ----------
    own
        Evidence of this experiment, none at its start.
    other
        Evidence of the other, of the same kind and in the same units.
    share
        What a pull there is worth here, in [0, 1]; 0 starts cold.

    Returns
    -------
    Evidence
        For policies alone: intervals and tests take the experiment's own.

    Raises
    ------
    ValueError
        If share is out of its range or the kinds differ.
    """
    ranges.share("share", share)
    return merged(discounted(other, share), own)


def negated(evidence: Evidence) -> Evidence:
    """Turn a loss into a reward: values change their sign, successes and failures their place."""
    if isinstance(evidence, Counts):
        return Counts(evidence.failures, evidence.successes)
    if isinstance(evidence, Moments):
        return Moments(evidence.n, -evidence.mean, evidence.var)
    return Rewards(evidence.n, -evidence.mean, evidence.squares)


def winsorised(rewards: ArrayLike, *, low: float, high: float) -> NDArray[np.float64]:
    """Pull rewards into declared limits, so that one wild value moves no policy.

    Parameters
    ----------
    rewards
        Shape (n,), finite.
    low, high
        Limits declared beforehand, finite, low < high.

    Returns
    -------
    numpy.ndarray
        Shape (n,) float64; what lies outside counts as the nearer limit.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    ranges.finite("low", low)
    ranges.finite("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    return np.clip(ranges.finite_array("rewards", rewards), low, high)


def _together(first: Rewards, second: Rewards) -> Rewards:
    n = first.n + second.n
    if first.n == 0 or second.n == 0:
        return first if second.n == 0 else second
    gap = second.mean - first.mean
    between = gap * gap * first.n * (second.n / n)
    return Rewards(n, first.mean + gap * (second.n / n), first.squares + second.squares + between)
