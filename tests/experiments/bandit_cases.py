"""Bandits that tests serve: requests by the weights in force, rewards that arrive later."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.domain import Experiment
from palio.experiments.events import OutcomeDraft, Prediction
from palio.testing.records import design, prediction
from palio.testing.wired import Wired

__all__ = ["Traffic", "bandit"]


def bandit(
    key: str = "exp", *, policy: Mapping[str, Any] | None = None, **fields: Any
) -> ExperimentDraft:
    """Return a design of two arms that earn a ``reward``, moved by Thompson sampling."""
    plain: dict[str, Any] = {
        "type": Type.BANDIT,
        "unit": "request",
        "metrics": Metrics("reward:higher"),
        "variants": (Variant("control", "1", 0.5), Variant("challenger", "2", 0.5)),
        "stopping": Stopping(horizon=2_000, min_sample=100),
        "policy": Policy(**{"kind": PolicyKind.THOMPSON, **(policy or {})}),
    }
    return design(key, **{**plain, **fields})


@dataclass
class Traffic:
    """Requests of one experiment and what they earn; the numbers are seeded.

    Attributes
    ----------
    means
        Mean reward by variant; the standard deviation is ``sd``, and 0 counts successes.
    lost
        Share of requests that is never recorded, by variant.
    """

    wired: Wired
    key: str = "exp"
    means: Mapping[str, float] = field(default_factory=lambda: {"control": 0.0, "challenger": 1.0})
    sd: float = 1.0
    seed: int = 1
    name: str = "reward"
    served: int = 0
    given: dict[str, str] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def serve(self, n: int) -> list[str]:
        """Record predictions; return the ids of the requests."""
        experiment = self.wired.experiments.get(self.key)
        assigner = experiment.assigner()
        ids = [f"{self.key}-{self.served + number}" for number in range(n)]
        self.served += n
        drawn = {one: assigner.assign(one) or "" for one in ids}
        given = {one: key for one, key in drawn.items() if not self._loses(key)}
        self.given |= given
        with self.wired.store.write() as unit:
            unit.log.append(
                [self.prediction_of(experiment, one, key) for one, key in given.items()]
            )
        return list(given)

    def _loses(self, variant: str) -> bool:
        return variant in self.lost and self.random.random() < self.lost[variant]

    def prediction_of(self, experiment: Experiment, request: str, variant: str) -> Prediction:
        """Return a request of a variant, by the weights of an experiment."""
        return prediction(
            request,
            at=self.wired.clock(),
            experiment=self.key,
            variant=variant,
            version=experiment.variant(variant).version,
            epoch=experiment.epoch,
            policy_version=experiment.policy_version,
            propensity=experiment.weights[variant],
        )

    def reward(self, ids: list[str], value: float | None = None) -> None:
        """Send what requests earned."""
        drafts = [
            OutcomeDraft(
                request_id=one,
                name=self.name,
                value=self._value(one, value),
                outcome_id=f"o-{one}",
            )
            for one in ids
        ]
        if drafts:
            self.wired.outcomes.record(drafts)

    def _value(self, request: str, value: float | None) -> float:
        if value is not None:
            return value
        mean = self.means[self.given[request]]
        return self.random.gauss(mean, self.sd) if self.sd else float(self.random.random() < mean)
