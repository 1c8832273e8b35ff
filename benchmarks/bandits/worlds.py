"""The three worlds of rewards, and our policies played in them with weights refreshed in batches.

Between two refreshes the weights stand, so the rounds of a batch are drawn at once; a round's
regret is the best arm's mean less the mean of the arm that it got.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palio.bandits import Bounds, Counts, Evidence, Policy, Seed, allocate, merged
from palio.stats.moments import Moments

ROUNDS = 20_000
NO_BOUNDS = Bounds(forced_pulls=2)


@dataclass(frozen=True)
class World:
    """Means of the arms; standard deviations of normal rewards, or none for successes."""

    means: tuple[float, ...]
    deviations: tuple[float, ...] | None = None

    def reward(self, rng: np.random.Generator, arm: int) -> float:
        """Draw one reward."""
        if self.deviations is None:
            return float(rng.random() < self.means[arm])
        return self.means[arm] + self.deviations[arm] * rng.standard_normal()

    def batch(self, rng: np.random.Generator, arm: int, n: int) -> Evidence:
        """Draw the evidence of n rewards."""
        if self.deviations is None:
            wins = int(rng.binomial(n, self.means[arm]))
            return Counts(wins, n - wins)
        return Moments.of(self.means[arm] + self.deviations[arm] * rng.standard_normal(n))

    def nothing(self) -> Evidence:
        """Give the evidence of an arm before its first reward."""
        return Counts(0, 0) if self.deviations is None else Moments(0, 0.0, 0.0)


WORLDS = {
    "rates .05 .055 .06": World((0.05, 0.055, 0.06)),
    "rates .3 .5": World((0.3, 0.5)),
    "means 0 .05 .10, sd .3 .2 1": World((0.0, 0.05, 0.10), (0.3, 0.2, 1.0)),
}


def play(
    policy: Policy,
    world: World,
    *,
    run: int,
    bounds: Bounds = NO_BOUNDS,
    refresh: int = 50,
    rounds: int = ROUNDS,
) -> float:
    """Play one run and give its regret."""
    rng = np.random.default_rng([5, run])
    arms = {f"arm{at}": world.nothing() for at in range(len(world.means))}
    pulls = np.zeros(len(arms), dtype=int)
    for version in range(rounds // refresh):
        seed = Seed(f"run {run}", version)
        found = allocate(policy, arms, control="arm0", seed=seed, bounds=bounds)
        drawn = rng.multinomial(refresh, list(found.weights.values()))
        pulls += drawn
        for at, key in enumerate(arms):
            arms[key] = merged(arms[key], world.batch(rng, at, int(drawn[at])))
    return float(pulls @ (max(world.means) - np.array(world.means)))
