"""Random experiments for the reference values: two arms of a few columns, small effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from palio.stats import Moments
from palio.stats.joint import JointMoments

__all__ = ["CASES", "SEED", "Arm", "Experiment", "experiments"]

CASES = 30
SEED = 977

Array = np.ndarray


@dataclass(frozen=True)
class Arm:
    """One arm's columns, shape (n,): a metric, a covariate, a denominator, a flag of success."""

    metric: Array
    covariate: Array
    denominator: Array
    success: Array

    @property
    def n(self) -> int:
        """Give the number of units."""
        return int(self.metric.size)

    @property
    def moments(self) -> Moments:
        """Summarise the metric."""
        return Moments.of(self.metric)

    @property
    def with_covariate(self) -> JointMoments:
        """Summarise metric and covariate."""
        return JointMoments.of(self.metric, self.covariate)

    @property
    def as_ratio(self) -> JointMoments:
        """Summarise metric and denominator."""
        return JointMoments.of(self.metric, self.denominator)


@dataclass(frozen=True)
class Experiment:
    """Two arms, and the same with the covariate's means made equal."""

    control: Arm
    treatment: Arm
    balanced: tuple[Arm, Arm]

    @property
    def arms(self) -> tuple[Arm, Arm]:
        """Give control and treatment."""
        return self.control, self.treatment


def experiments() -> Iterator[Experiment]:
    """Draw the experiments."""
    rng = np.random.default_rng(SEED)
    for _ in range(CASES):
        control, treatment = (_arm(rng, lift) for lift in (0.0, rng.normal(0, 0.03)))
        balanced = tuple(
            Arm(arm.metric, arm.covariate - arm.covariate.mean() + 3, arm.denominator, arm.success)
            for arm in (control, treatment)
        )
        yield Experiment(control, treatment, balanced)


def _arm(rng: np.random.Generator, lift: float) -> Arm:
    n = int(rng.integers(200, 3000))
    covariate = rng.gamma(2.0, 1.5, n)
    metric = 5 + lift + 0.5 * covariate + rng.normal(0, rng.uniform(1, 3), n)
    denominator = 1 + rng.poisson(3, n) + 0.1 * covariate
    success = rng.random(n) < 0.1 + 0.05 * lift
    return Arm(metric, covariate, denominator, success.astype(float))
