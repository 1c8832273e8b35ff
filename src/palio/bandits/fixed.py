"""Fixed weights: what an A/B test does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

from palio.stats import ranges

if TYPE_CHECKING:
    from palio.bandits.evidence import Evidence
    from palio.bandits.seed import Seed

__all__ = ["Fixed"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Keep the declared weights whatever comes in.

    Attributes
    ----------
    declared
        Key to weight, finite and >= 0.

    Raises
    ------
    ValueError
        If a weight is out of its range.
    """

    declared: Mapping[str, float]

    def __post_init__(self) -> None:
        for key, weight in self.declared.items():
            ranges.not_negative(f"weight of {key!r}", weight)

    def shares(self, arms: Mapping[str, Evidence], _: Seed) -> dict[str, float]:
        """Give the declared weights of these arms, scaled to sum to 1.

        Parameters
        ----------
        arms
            Key to evidence, which is not looked at.

        Returns
        -------
        dict
            Key to share in [0, 1], summing to 1.

        Raises
        ------
        ValueError
            If an arm has no declared weight or none of them is above 0.
        """
        missing = [key for key in arms if key not in self.declared]
        if missing:
            raise ValueError(f"arms must have a declared weight, got none for {missing}")
        total = fsum(self.declared[key] for key in arms)
        ranges.positive(f"sum of the declared weights of {list(arms)}", total)
        return {key: self.declared[key] / total for key in arms}
