"""Floor and ceiling: what every arm gets at least, and at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum

from palio.stats import ranges

__all__ = ["Bounds"]

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the weights of arms that are not retired.

    Attributes
    ----------
    floor
        Least weight of an arm, in [0, 1]. It keeps propensities above 0, which analysis needs,
        and costs about ``T floor sum(gaps)`` of reward in T rounds.
    ceiling
        Largest weight of an arm, in [0, 1]. Where so many arms have retired that it cannot hold,
        the others share evenly.
    forced_pulls
        Known rewards that every arm needs before the policy is asked; until then all share
        evenly. A whole number >= 0.

    Raises
    ------
    ValueError
        If an attribute is out of its range or the floor is above the ceiling.
    """

    floor: float = 0.0
    ceiling: float = 1.0
    forced_pulls: int = 0

    def __post_init__(self) -> None:
        ranges.share("floor", self.floor)
        ranges.share("ceiling", self.ceiling)
        ranges.whole("forced_pulls", self.forced_pulls, 0)
        if self.floor > self.ceiling:
            raise ValueError(
                f"floor must not be above ceiling, got {self.floor} and {self.ceiling}"
            )

    def check(self, arms: int) -> None:
        """Refuse bounds that so many arms cannot keep.

        Raises
        ------
        ValueError
            If ``arms floor > 1`` or ``arms ceiling < 1``.
        """
        if arms * self.floor > 1 + _ROUNDING:
            raise ValueError(
                f"floor must be at most 1/{arms} with {arms} arms, got {self.floor}: lower it"
            )
        if arms * self.ceiling < 1 - _ROUNDING:
            raise ValueError(
                f"ceiling must be at least 1/{arms} with {arms} arms, got {self.ceiling}: raise it"
            )

    def hold(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Bring shares within the bounds, keeping their order.

        Parameters
        ----------
        shares
            Key to share p of K arms, >= 0, summing to 1.

        Returns
        -------
        dict
            ``floor + (1 - K floor) p``, cut at the ceiling; what is cut goes to the arms below it
            in proportion to what they have, and so on until none is above.
        """
        arms = len(shares)
        floor = min(self.floor, 1 / arms)
        raised = {key: floor + (1 - arms * floor) * share for key, share in shares.items()}
        return _filled(raised, max(self.ceiling, 1 / arms))


def _filled(shares: Mapping[str, float], ceiling: float) -> dict[str, float]:
    """Cut at the ceiling and pour what is cut over the rest; every round fills an arm or ends."""
    open_, full = dict(shares), list[str]()
    while True:
        left = 1 - ceiling * len(full)
        open_ = _scaled(open_, left)
        above = [key for key, share in open_.items() if share > ceiling + _ROUNDING]
        if not above:
            return {key: min(open_.get(key, ceiling), ceiling) for key in shares}
        full += above
        open_ = {key: shares[key] for key in open_ if key not in above}


def _scaled(shares: Mapping[str, float], total: float) -> dict[str, float]:
    whole = fsum(shares.values())
    if whole == 0:
        return dict.fromkeys(shares, total / len(shares)) if shares else {}
    return {key: total * (share / whole) for key, share in shares.items()}
