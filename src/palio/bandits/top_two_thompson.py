"""Top-two Thompson sampling: half the traffic to the leader, half to who might overtake it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palio.bandits.beliefs import Belief, draws, winners
from palio.stats import ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palio.bandits.evidence import Evidence
    from palio.bandits.seed import Seed

__all__ = ["TopTwoThompson"]


@dataclass(frozen=True, slots=True)
class TopTwoThompson:
    """Find out which arm is best: for ``goal: identify_best``.

    Attributes
    ----------
    belief
        How rewards are taken.
    beta
        Share of the leader, in (0, 1).

    Raises
    ------
    ValueError
        If beta is out of its range.

    References
    ----------
    Russo (2020), Operations Research 68(6), 1625-1647.
    """

    belief: Belief
    beta: float = 0.5

    def __post_init__(self) -> None:
        ranges.open_unit("beta", self.beta)

    def shares(self, arms: Mapping[str, Evidence], seed: Seed) -> dict[str, float]:
        """Give each arm ``p (beta + (1 - beta) sum of q / (1 - q) over the others' chances q)``.

        Parameters
        ----------
        arms
            Key to evidence, one arm at least.
        seed
            Of the policy version.

        Returns
        -------
        dict
            Key to share in [0, 1], summing to 1. Where one arm won every draw, the challenger is
            the arm that came second.

        Raises
        ------
        ValueError
            If the evidence does not fit the belief.
        """
        drawn = draws(self.belief, arms, seed)
        led = winners(drawn)
        challenged = led if len(led) == 1 else _challenges(drawn, led)
        shared = self.beta * led + (1 - self.beta) * challenged
        return dict(zip(arms, shared.tolist(), strict=True))


def _challenges(drawn: NDArray[np.float64], led: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how often each arm is the best other than the leader, leaders weighed by ``led``."""
    if led.max() == 1:
        leader = int(led.argmax())
        return np.insert(winners(np.delete(drawn, leader, axis=0)), leader, 0.0)
    odds = led / (1 - led)
    return np.asarray(led * (odds.sum() - odds))
