"""Epsilon-greedy: most traffic to the best mean, a share of it to all arms alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from palio.bandits.greedy import even_over_best
from palio.stats import ranges

if TYPE_CHECKING:
    from palio.bandits.evidence import Evidence
    from palio.bandits.seed import Seed

__all__ = ["EpsilonGreedy"]


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """Explore with probability epsilon, else take the arm with the best mean.

    Attributes
    ----------
    epsilon
        Share explored, in [0, 1]; with `halves_at` the share at the start.
    halves_at
        Known rewards after which half of it is left, > 0: ``epsilon h / (h + t)``, which falls
        as 1/t in the end. None, the default, keeps it.

    Raises
    ------
    ValueError
        If an attribute is out of its range.

    References
    ----------
    Auer, Cesa-Bianchi and Fischer (2002), Machine Learning 47, 235-256, figure 3, for 1/t.
    """

    epsilon: float = 0.1
    halves_at: float | None = None

    def __post_init__(self) -> None:
        ranges.share("epsilon", self.epsilon)
        if self.halves_at is not None:
            ranges.positive("halves_at", self.halves_at)

    def shares(self, arms: Mapping[str, Evidence], _: Seed) -> dict[str, float]:
        """Give every arm ``epsilon / K`` and the best mean the rest; one without a pull is best.

        Parameters
        ----------
        arms
            Key to evidence, one arm at least.

        Returns
        -------
        dict
            Key to share in [0, 1], summing to 1.
        """
        epsilon = self._explored(sum(seen.n for seen in arms.values()))
        best = even_over_best({key: seen.mean if seen.n else inf for key, seen in arms.items()})
        return {key: epsilon / len(arms) + (1 - epsilon) * share for key, share in best.items()}

    def _explored(self, total: float) -> float:
        if self.halves_at is None:
            return self.epsilon
        return self.epsilon * self.halves_at / (self.halves_at + total)
