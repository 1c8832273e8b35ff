"""Experiments at one moment of their life, and the states they pass through."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from palio.bucketing import Split
from palio.errors import IllegalTransition, InvalidInput
from palio.experiments.designs.assignment import Assigner
from palio.experiments.designs.design import ExperimentDraft, Type, Variant

__all__ = ["ALLOWED", "OPEN", "Experiment", "State"]


class State(enum.StrEnum):
    """Where an experiment stands."""

    DRAFT = "draft"  # can be thrown away; routes nobody
    RUNNING = "running"  # its split routes the endpoint's traffic
    PAUSED = "paused"  # routes nobody; late outcomes still count
    COMPLETED = "completed"  # ended with a decision
    STOPPED = "stopped"  # ended by a person, with a reason


OPEN = frozenset({State.DRAFT, State.RUNNING, State.PAUSED})
ALLOWED: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.RUNNING, State.STOPPED}),
    State.RUNNING: frozenset({State.PAUSED, State.COMPLETED, State.STOPPED}),
    State.PAUSED: frozenset({State.RUNNING, State.COMPLETED, State.STOPPED}),
    State.COMPLETED: frozenset(),
    State.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment at one moment of its life.

    ``champion`` is the endpoint's champion when it started, the one that ``ship`` expects to
    find; ``frozen`` the digest of the design at that moment; ``winner`` the variant that was
    shipped, if any; ``chosen`` the one that a person named when it was completed, by which
    production did not move. ``published`` are the weights in force under
    ``policy_version``; those of the design where nobody has moved them.
    """

    key: str
    design: ExperimentDraft
    model: str
    salt: str
    state: State
    created_at: datetime
    created_by: str
    epoch: int = 1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    champion: str | None = None
    frozen: str | None = None
    winner: str | None = None
    chosen: str | None = None
    reason: str = ""
    policy_version: int = 0
    published: Mapping[str, float] | None = None

    @property
    def endpoint(self) -> str:
        """The endpoint whose traffic it splits."""
        return self.design.endpoint

    @property
    def control(self) -> Variant:
        """The first variant."""
        return self.design.variants[0]

    @property
    def challengers(self) -> Sequence[Variant]:
        """All variants but the first."""
        return self.design.variants[1:]

    @property
    def weights(self) -> dict[str, float]:
        """Share of units by variant."""
        if self.published is not None:
            return dict(self.published)
        return {variant.key: variant.weight for variant in self.design.variants}

    def covers(self, at: datetime) -> bool:
        """Tell whether what happened to a unit at a moment can be due to its variant."""
        return self.started_at is None or at >= self.started_at

    def split(self) -> Split:
        """Return the function from unit to variant."""
        return Split.of(salt=self.salt, weights=self.weights)

    def assigner(self) -> Assigner:
        """Return who takes part, and with which variant, as a function of the unit."""
        return Assigner(
            experiment=self.key,
            epoch=self.epoch,
            endpoint=self.endpoint,
            split=self.split(),
            versions={variant.key: variant.version for variant in self.design.variants},
            part=self.design.part,
            policy_version=self.policy_version,
            sticky=self.design.sticky,
            by_request=self.design.by_request,
            paired=self.design.type is Type.PAIRED,
            segments=self.design.segments,
        )

    def variant(self, key: str) -> Variant:
        """Return the variant under a key."""
        for variant in self.design.variants:
            if variant.key == key:
                return variant
        raise InvalidInput(
            f"{self.key} has no variant {key!r}; it has {', '.join(self.weights)}",
            field="variant",
            value=key,
        )

    def check(self, target: State) -> None:
        """Raise ``IllegalTransition`` unless the experiment may go to ``target``."""
        allowed = [state for state in State if state in ALLOWED[self.state]]
        if target not in allowed:
            raise IllegalTransition(
                f"{self.key} is {self.state} and cannot become {target}; allowed: "
                f"{', '.join(allowed) or 'nothing, it has ended'}",
                experiment=self.key,
                source=self.state,
                target=target,
                allowed=allowed,
            )
