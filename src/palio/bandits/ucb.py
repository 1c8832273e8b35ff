"""Upper confidence bounds: all traffic to the arm that could be best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, log, sqrt
from typing import TYPE_CHECKING

from palio.bandits.evidence import Counts, Evidence, Rewards, of_rewards
from palio.bandits.greedy import even_over_best
from palio.stats import ranges

if TYPE_CHECKING:
    from palio.bandits.seed import Seed

__all__ = ["Ucb"]

_LEAST = 2  # pulls below which a variance says nothing
_EXPLORED = 8  # UCB1-NORMAL explores arms with fewer pulls than this times ln t


@dataclass(frozen=True, slots=True)
class Ucb:
    """UCB1 within declared limits of the reward, UCB1-NORMAL without.

    Attributes
    ----------
    limits
        Lowest and highest reward there can be; None if undeclared. Successes lie in (0, 1)
        whatever is declared.

    Raises
    ------
    ValueError
        If the limits are not finite and rising.

    References
    ----------
    Auer, Cesa-Bianchi and Fischer (2002), Machine Learning 47, 235-256, figures 1 and 4.
    """

    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.limits is None:
            return
        low, high = self.limits
        ranges.finite("lower limit", low)
        ranges.finite("upper limit", high)
        if not low < high:
            raise ValueError(f"limits must rise, got {low} and {high}")

    def shares(self, arms: Mapping[str, Evidence], _: Seed) -> dict[str, float]:
        """Give all to the arm with the largest index, evenly where several have it.

        Parameters
        ----------
        arms
            Key to evidence, one arm at least. With t pulls in all the index is
            ``mean + width sqrt(2 ln t / n)`` within limits, else ``mean +
            sqrt(16 M2 / (n - 1) ln(t - 1) / n)``; it is infinite for an arm without a pull, and
            without limits for one with fewer than ``8 ln t``.

        Returns
        -------
        dict
            Key to share in [0, 1], summing to 1.

        Raises
        ------
        ValueError
            If a mean lies outside the limits.
        """
        total = sum(seen.n for seen in arms.values())
        return even_over_best({key: self._index(seen, total) for key, seen in arms.items()})

    def _index(self, evidence: Evidence, total: float) -> float:
        limits = (0.0, 1.0) if isinstance(evidence, Counts) else self.limits
        seen = of_rewards(evidence)
        if limits is None:
            return _normal_index(seen, total)
        if seen.n == 0:
            return inf
        ranges.within("mean of an arm", seen.mean, *limits)
        width = limits[1] - limits[0]
        return seen.mean + width * sqrt(2 * log(max(total, 1.0)) / seen.n)


def _normal_index(seen: Rewards, total: float) -> float:
    if seen.n < max(_LEAST, ceil(_EXPLORED * log(max(total, 1.0)))):
        return inf
    variance = seen.squares / (seen.n - 1)
    return seen.mean + 4 * sqrt(variance * log(total - 1) / seen.n)
