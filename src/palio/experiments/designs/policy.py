"""Policies: how an experiment's weights move, as a design declares it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from palio import bandits
from palio.errors import InvalidInput
from palio.registry.domain import check_name

__all__ = ["Belief", "Policy", "PolicyKind", "one_of"]

E = TypeVar("E", bound=enum.StrEnum)

_MOST_PULLS = 10**9
_LEAST_WEIGHT = 1e-6  # a propensity below was never drawn, and inference could not divide by it


class PolicyKind(enum.StrEnum):
    """How the weights move."""

    FIXED = "fixed"  # only when a person moves them
    EPSILON_GREEDY = "epsilon_greedy"  # most to the best mean, a share to all alike
    UCB = "ucb"  # all to the arm that could be best
    THOMPSON = "thompson"  # each arm its chance to be best: earn on the way
    TOP_TWO_THOMPSON = "top_two_thompson"  # leader and challenger: find out which is best


class Belief(enum.StrEnum):
    """How rewards are taken."""

    NORMAL = "normal"  # real numbers, mean and variance unknown
    BETA = "beta"  # successes and failures: the goal is a share, as win_rate(return) is


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How weights move, within what bounds, and how often.

    Parameters
    ----------
    kind
        Which policy.
    belief
        How Thompson sampling takes rewards. ``beta`` counts successes, so the goal must be a
        share: binary, within limits of 0 and 1, or named as ``win_rate(return)``, which says that
        how often an arm wins is wanted, and that is another goal than what it earns.
    min_weight, max_weight
        Bounds of the weight of an arm that is not retired, also of the weights it starts with. The
        default floor keeps propensities where inference needs them; 0 is taken for a millionth.
    forced_pulls
        Known rewards of every arm before the policy is asked.
    epsilon, halves_at
        Of ``epsilon_greedy``: its share of exploration, in (0, 1], and the known rewards after
        which half of it is left; it stays if None.
    discount
        Share of what is known that a refresh keeps, in (0, 1]; below 1 for rewards that drift.
    refresh_rewards, refresh_s
        Weights are published anew after so many new rewards, or after so many seconds if
        anything has become known.
    warm_start, warm_share
        Another experiment with the same model and goal, whose evidence on variants of the same
        versions is taken over at the start, and what a reward there is worth here, in (0, 1].
    eliminate
        Whether an arm that is shown to be worse than another gets nothing any more, never the
        control. It takes all rewards alike, and means that do not drift.
    """

    kind: PolicyKind = PolicyKind.FIXED
    belief: Belief = Belief.NORMAL
    min_weight: float = 0.05
    max_weight: float = 1.0
    forced_pulls: int = 2
    epsilon: float = 0.1
    halves_at: float | None = None
    discount: float = 1.0
    refresh_rewards: int = 50
    refresh_s: float = 1.0
    warm_start: str | None = None
    warm_share: float = 0.1
    eliminate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", one_of(PolicyKind, "kind", self.kind))
        object.__setattr__(self, "belief", one_of(Belief, "belief", self.belief))
        for name in ("min_weight", "max_weight"):
            _within(name, getattr(self, name), 0.0, 1.0)
        for name in ("epsilon", "discount", "warm_share"):
            _within(name, getattr(self, name), 1e-6, 1.0)
        _within("forced_pulls", self.forced_pulls, 0, _MOST_PULLS)
        _within("refresh_rewards", self.refresh_rewards, 1, _MOST_PULLS)
        _within("refresh_s", self.refresh_s, 0.01, 1e6)
        if self.halves_at is not None:
            _within("halves_at", self.halves_at, 1e-6, 1e12)
        if self.warm_start is not None:
            check_name("experiment", self.warm_start)

    @property
    def moves(self) -> bool:
        """Tell whether weights move by themselves."""
        return self.kind is not PolicyKind.FIXED

    @property
    def bounds(self) -> bandits.Bounds:
        """Floor, ceiling and forced pulls."""
        return bandits.Bounds(
            max(self.min_weight, _LEAST_WEIGHT), self.max_weight, self.forced_pulls
        )

    def check(self, arms: int) -> None:
        """Raise ``InvalidInput`` unless so many arms can keep its bounds."""
        try:
            self.bounds.check(arms)
        except ValueError as infeasible:
            raise InvalidInput(
                f"policy: {str(infeasible).replace('floor', 'min_weight')}",
                field="policy",
                value=self.min_weight,
            ) from infeasible

    def chooser(
        self, *, prior: bandits.NormalBelief, limits: tuple[float, float] | None
    ) -> bandits.Policy:
        """Return the policy as a function of evidence.

        Parameters
        ----------
        prior
            The normal belief, where that is how rewards are taken.
        limits
            Lowest and highest reward there can be, as rewards larger is better; None if
            undeclared.
        """
        beta = self.belief is Belief.BETA
        belief: bandits.NormalBelief | bandits.BetaBelief = bandits.BetaBelief() if beta else prior
        made: Mapping[PolicyKind, bandits.Policy] = {
            PolicyKind.EPSILON_GREEDY: bandits.EpsilonGreedy(self.epsilon, self.halves_at),
            PolicyKind.UCB: bandits.Ucb(limits),
            PolicyKind.THOMPSON: bandits.Thompson(belief),
            PolicyKind.TOP_TWO_THOMPSON: bandits.TopTwoThompson(belief),
        }
        return made[self.kind]


def one_of(kind: type[E], name: str, value: str) -> E:
    """Return the member that a word names; people write the word.

    Raises
    ------
    InvalidInput
        If it names none.
    """
    try:
        return kind(value)
    except ValueError as unknown:
        raise InvalidInput(
            f"{name} must be one of {', '.join(kind)}, got {value!r}", field=name, value=value
        ) from unknown


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (isfinite(value) and low <= value <= high):
        raise InvalidInput(
            f"{name} of the policy must be in [{low:g}, {high:g}], got {value}",
            field=name,
            value=value,
        )
