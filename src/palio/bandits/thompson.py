"""Thompson sampling: each arm gets its chance to be the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palio.bandits.beliefs import Belief, chances

if TYPE_CHECKING:
    from palio.bandits.evidence import Evidence
    from palio.bandits.seed import Seed

__all__ = ["Thompson"]


@dataclass(frozen=True, slots=True)
class Thompson:
    """Earn as much as possible on the way.

    Attributes
    ----------
    belief
        How rewards are taken: `NormalBelief` for real ones, `BetaBelief` for successes.

    References
    ----------
    Thompson (1933), Biometrika 25(3-4), 285-294.
    """

    belief: Belief

    def shares(self, arms: Mapping[str, Evidence], seed: Seed) -> dict[str, float]:
        """Give the chance of each arm to be the best; see `chances`."""
        return chances(self.belief, arms, seed)
