"""From evidence to the weights that are published, and that requests are split by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Protocol

from palio.bandits.bounds import Bounds
from palio.stats import ranges

if TYPE_CHECKING:
    from palio.bandits.evidence import Evidence
    from palio.bandits.seed import Seed

__all__ = ["Policy", "Weights", "allocate"]

_SUM_TOLERANCE = 1e-9


class Policy(Protocol):
    """How evidence becomes shares: a pure function, the same for the same arguments anywhere."""

    def shares(self, arms: Mapping[str, Evidence], seed: Seed, /) -> dict[str, float]:
        """Give each of the arms, one at least, a share >= 0; they sum to 1 within rounding.

        An obligation: the order of the arms changes nothing, and larger rewards are better.
        """
        ...


@dataclass(frozen=True, slots=True)
class Weights:
    """The published record of one refresh; a weight is the propensity of the arm.

    Attributes
    ----------
    policy_version
        Which refresh, a whole number >= 0.
    weights
        Key to weight, each in [0, 1], summing to 1 within 1e-9: what `palio.bucketing.Split`
        takes.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    policy_version: int
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        ranges.whole("policy_version", self.policy_version, 0)
        for key, weight in self.weights.items():
            ranges.share(f"weight of {key!r}", weight)
        total = fsum(self.weights.values())
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"weights must sum to 1, got {total:.10g}")


def allocate(
    policy: Policy,
    arms: Mapping[str, Evidence],
    *,
    control: str,
    seed: Seed,
    bounds: Bounds | None = None,
    retired: Collection[str] = (),
) -> Weights:
    """Give the weights of the next policy version.

    Parameters
    ----------
    policy
        `Thompson`, `TopTwoThompson`, `Ucb`, `EpsilonGreedy` or `Fixed`.
    arms
        Key to evidence, control among them.
    control
        Key of the arm that never retires.
    seed
        The experiment's salt with the version that these weights become.
    bounds
        Floor, ceiling and forced pulls; by default none.
    retired
        Keys of arms that get nothing any more.

    Returns
    -------
    Weights
        In the order of the arms; the same in every process that has the same evidence.

    Raises
    ------
    ValueError
        If control is missing or retired, a retired arm is unknown, the bounds are infeasible for
        the number of arms, or the evidence does not suit the policy.

    Examples
    --------
    >>> from palio.bandits import Bounds, Counts, EpsilonGreedy, Seed
    >>> arms = {"control": Counts(30, 70), "new": Counts(40, 60), "odd": Counts(0, 9)}
    >>> found = allocate(
    ...     EpsilonGreedy(0.2), arms, control="control", seed=Seed("salt", 7), retired={"odd"}
    ... )
    >>> found.policy_version, found.weights
    (7, {'control': 0.1, 'new': 0.9, 'odd': 0.0})
    """
    bounds = bounds or Bounds()
    _check(arms, control, retired)
    bounds.check(len(arms))
    live = {key: seen for key, seen in arms.items() if key not in retired}
    if any(seen.n < bounds.forced_pulls for seen in live.values()):
        shares = dict.fromkeys(live, 1 / len(live))
    else:
        shares = policy.shares(live, seed)
    held = bounds.hold(shares)
    return Weights(seed.policy_version, {key: held.get(key, 0.0) for key in arms})


def _check(arms: Mapping[str, Evidence], control: str, retired: Collection[str]) -> None:
    if control not in arms:
        raise ValueError(f"control must be one of the arms {list(arms)}, got {control!r}")
    if control in retired:
        raise ValueError(f"retired must not hold the control, got {control!r}")
    unknown = [key for key in retired if key not in arms]
    if unknown:
        raise ValueError(f"retired must be among the arms {list(arms)}, got {unknown}")
