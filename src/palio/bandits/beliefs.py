"""What may be believed of an arm's mean, drawn many times over.

References
----------
Murphy (2007), Conjugate Bayesian analysis of the Gaussian distribution, section 6.
Russo, Van Roy, Kazerouni, Osband and Wen (2018), Foundations and Trends in Machine Learning 11(1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from palio.bandits.evidence import Counts, Evidence, of_rewards
from palio.stats import ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palio.bandits.seed import Seed
    from palio.stats.moments import Moments

__all__ = ["DRAWS", "Belief", "BetaBelief", "NormalBelief", "chances", "draws", "winners"]

DRAWS = 10_000
"""Draws an arm: the standard error of a chance to be best is at most 0.005."""


@dataclass(frozen=True, slots=True)
class NormalBelief:
    """Rewards are real: normal with unknown mean and variance, a normal-inverse-gamma prior.

    Attributes
    ----------
    b0
        Prior scale in squared units of the reward, > 0; `from_pilot` finds it.
    m0
        Prior mean, in units of the reward.
    kappa0
        Pulls that the prior mean is worth, > 0.
    a0
        Half the pulls that the prior variance is worth, > 0.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    b0: float
    m0: float = 0.0
    kappa0: float = 0.01
    a0: float = 0.5

    def __post_init__(self) -> None:
        for name in ("b0", "kappa0", "a0"):
            ranges.positive(name, getattr(self, name))
        ranges.finite("m0", self.m0)

    @classmethod
    def from_pilot(cls, pilot: Moments) -> NormalBelief:
        """Take mean and scale from rewards seen before, ``b0 = a0 var``.

        Raises
        ------
        ValueError
            If the pilot has no variance.
        """
        ranges.positive("variance of the pilot", pilot.var)
        return cls(b0=0.5 * pilot.var, m0=pilot.mean)

    def draw(
        self, evidence: Evidence, generator: np.random.Generator, n: int
    ) -> NDArray[np.float64]:
        """Draw means from the posterior.

        Parameters
        ----------
        evidence
            Of the arm.
        generator
            Where the randomness comes from.
        n
            How many, >= 0.

        Returns
        -------
        numpy.ndarray
            Shape (n,) float64: ``m + sqrt(s2 / k) N(0, 1)`` with ``s2 = b / Gamma(a)``,
            ``k = k0 + n``, ``m = (k0 m0 + n mean) / k``, ``a = a0 + n / 2`` and
            ``b = b0 + M2 / 2 + k0 n (mean - m0)^2 / (2 k)``.

        Raises
        ------
        ValueError
            If the rewards are too large to square.
        """
        seen = of_rewards(evidence)
        kappa = self.kappa0 + seen.n
        gap = seen.mean - self.m0
        scale = self.b0 + seen.squares / 2 + self.kappa0 * seen.n * gap * gap / (2 * kappa)
        ranges.finite("posterior scale of the rewards", scale)
        variances = scale / generator.standard_gamma(self.a0 + seen.n / 2, n)
        errors: NDArray[np.float64] = np.sqrt(variances / kappa) * generator.standard_normal(n)
        return self.m0 + gap * (seen.n / kappa) + errors


@dataclass(frozen=True, slots=True)
class BetaBelief:
    """Rewards are successes: a rate with a beta prior, for binary rewards or a named win rate.

    Wins counted from real rewards maximise how often an arm wins, not what it earns: where the
    two disagree this does as badly as an even split. Real rewards take `NormalBelief`.

    Attributes
    ----------
    a0, b0
        Successes and failures that the prior is worth, > 0; uniform at 1 and 1.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    a0: float = 1.0
    b0: float = 1.0

    def __post_init__(self) -> None:
        ranges.positive("a0", self.a0)
        ranges.positive("b0", self.b0)

    def draw(
        self, evidence: Evidence, generator: np.random.Generator, n: int
    ) -> NDArray[np.float64]:
        """Draw n rates from the posterior, as `NormalBelief.draw` draws means.

        Raises
        ------
        ValueError
            If the evidence is no `Counts`.
        """
        if not isinstance(evidence, Counts):
            raise ValueError(  # noqa: TRY004 -- this room raises ValueError only
                f"a beta belief needs Counts of successes and failures, got {evidence}: "
                "count wins if the win rate is the goal, or take NormalBelief for real rewards"
            )
        return generator.beta(self.a0 + evidence.successes, self.b0 + evidence.failures, n)


Belief: TypeAlias = NormalBelief | BetaBelief
"""How rewards are taken."""


def draws(
    belief: Belief, arms: Mapping[str, Evidence], seed: Seed, n: int = DRAWS
) -> NDArray[np.float64]:
    """Draw the mean of each arm, shape (n_arms, n) float64, each arm from its own stream."""
    return np.stack([belief.draw(seen, seed.generator(key), n) for key, seen in arms.items()])


def winners(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how often each row is the largest, shape (n_arms,) float64, ties shared evenly."""
    best = drawn == drawn.max(axis=0)
    return np.asarray((best / best.sum(axis=0)).mean(axis=1))


def chances(belief: Belief, arms: Mapping[str, Evidence], seed: Seed) -> dict[str, float]:
    """Give each arm's chance to be the best, from 10,000 draws.

    Parameters
    ----------
    belief
        How rewards are taken.
    arms
        Key to evidence, one arm at least.
    seed
        Of the policy version.

    Returns
    -------
    dict
        Key to chance in [0, 1], summing to 1.

    Raises
    ------
    ValueError
        If the evidence does not fit the belief.
    """
    return dict(zip(arms, winners(draws(belief, arms, seed)).tolist(), strict=True))
