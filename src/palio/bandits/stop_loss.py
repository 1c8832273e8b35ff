"""When to stop because it loses: shown by the mean at any look, or by a fall from the top."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, log1p, sqrt
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from palio.stats.moments import Moments

__all__ = ["LEAST_REWARDS", "Drawdown", "StopLoss"]

LEAST_REWARDS = 30
_TIGHTEST = 500  # rewards near which the bound is tightest


@dataclass(frozen=True, slots=True)
class StopLoss:
    """Stop once the mean reward has been shown to be below a threshold.

    Attributes
    ----------
    threshold
        Least mean reward that is borne, finite.
    alpha
        Probability of ever stopping where the mean is the threshold or above, in (0, 1).

    Raises
    ------
    ValueError
        If an attribute is out of its range.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), arXiv:2103.06476, the one-sided
    asymptotic confidence sequence, which also holds for a mean of means that vary.
    """

    threshold: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        ranges.finite("threshold", self.threshold)
        ranges.open_unit("alpha", self.alpha)

    def upper(self, rewards: Moments) -> float:
        """Bound the mean reward from above, at any look.

        Parameters
        ----------
        rewards
            All so far, of an arm or of the whole policy, not discounted.

        Returns
        -------
        float
            ``mean + sd sqrt(2 (n r + 1) / (n^2 r) ln(1 + sqrt(n r + 1) / (2 alpha)))`` with
            ``r = 2 ln(1/alpha) / 500``; infinite below 30 rewards and while nothing varied.
        """
        n = rewards.n
        if n < LEAST_REWARDS or rewards.var == 0:
            return inf
        grown = n * -2 * log(self.alpha) / _TIGHTEST
        evidence = log1p(sqrt(grown + 1) / (2 * self.alpha))
        return rewards.mean + sqrt(rewards.var * 2 * (grown + 1) / grown / n * evidence)

    def stops(self, rewards: Moments) -> bool:
        """Say whether the bound is below the threshold."""
        return self.upper(rewards) < self.threshold


@dataclass(frozen=True, slots=True)
class Drawdown:
    """How far the sum of rewards in order has fallen below its highest point; the start counts.

    Attributes
    ----------
    total
        Sum of all.
    highest, lowest
        Largest and smallest sum on the way, >= 0 and <= 0.
    deepest
        Deepest fall, >= 0, in units of the reward.

    Raises
    ------
    ValueError
        If an attribute is not finite.
    """

    total: float = 0.0
    highest: float = 0.0
    lowest: float = 0.0
    deepest: float = 0.0

    def __post_init__(self) -> None:
        for name in ("total", "highest", "lowest", "deepest"):
            ranges.finite(name, getattr(self, name))

    @classmethod
    def of(cls, rewards: ArrayLike) -> Drawdown:
        """Follow rewards, shape (n,), finite, in their order.

        Raises
        ------
        ValueError
            If a reward is not finite.
        """
        steps = ranges.finite_array("rewards", rewards)
        path = np.concatenate([[0.0], np.cumsum(steps)])
        falls = np.maximum.accumulate(path) - path
        return cls(float(path[-1]), float(path.max()), float(path.min()), float(falls.max()))

    def then(self, later: Drawdown) -> Drawdown:
        """Give the drawdown of these rewards with later ones after them."""
        across = self.highest - (self.total + later.lowest)
        return Drawdown(
            self.total + later.total,
            max(self.highest, self.total + later.highest),
            min(self.lowest, self.total + later.lowest),
            max(self.deepest, later.deepest, across),
        )

    def exceeds(self, cap: float) -> bool:
        """Say whether the deepest fall is above a cap > 0: a plain limit, no statistics.

        Raises
        ------
        ValueError
            If the cap is not finite and above 0.
        """
        ranges.positive("cap", cap)
        return self.deepest > cap
