"""``ExperimentConfig`` becomes a design: percentages are shares, and one metric is the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from palio.errors import InvalidInput, InvalidWeights
from palio.experiments.designs.design import (
    REQUEST,
    ExperimentDraft,
    Metrics,
    Stopping,
    Type,
    Variant,
)
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Policy
from palio.registry.domain import Reference, parted

from palio.dialects.nightscan.words import ALGORITHMS  # isort: skip

__all__ = ["ExperimentConfig", "drafted"]

_DAY_S = 86_400.0
_ALL = 100.0  # percent
_NEVER = 10**9  # new rewards: only time makes weights new
_CONTROL = "control"


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """An experiment as the document configures it; ``traffic_allocation`` is in percent.

    ``bandit_config`` lets the weights move: ``algorithm``, ``exploration_rate``,
    ``reward_metric`` and ``update_frequency`` in seconds.
    """

    experiment_id: str
    name: str
    description: str
    model_variants: Mapping[str, str]
    traffic_allocation: Mapping[str, float]
    success_metrics: Sequence[str]
    minimum_sample_size: int = 1000
    maximum_duration_days: float = 14
    confidence_level: float = 0.95
    bandit_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """The variant that others are compared with: ``control``, or the first one."""
        return _CONTROL if _CONTROL in self.model_variants else next(iter(self.model_variants))

    @property
    def model(self) -> str:
        """The model of the control."""
        return Reference.parse(self.model_variants[self.control]).model


def drafted(
    config: ExperimentConfig, *, lower_is_better: Sequence[str], automatic: bool
) -> ExperimentDraft:
    """Return a configuration as a design of an endpoint that bears the experiment's name.

    Raises
    ------
    InvalidInput
        If variants and allocation do not go together, percentages do not add up to 100, or a
        value is out of range.
    """
    _check(config)
    bandit, goal = config.bandit_config, config.success_metrics[0]
    goal = bandit.get("reward_metric", goal)
    names = dict.fromkeys((goal, *config.success_metrics))
    return ExperimentDraft(
        key=config.experiment_id,
        endpoint=config.experiment_id,
        title=config.name,
        description=config.description,
        type=Type.BANDIT if bandit else Type.AB,
        unit=REQUEST,
        variants=_variants(config),
        metrics=Metrics(
            goal=goal,
            secondary=tuple(name for name in names if name != goal),
            declared=tuple(
                Metric(name, Direction.LOWER if name in lower_is_better else Direction.HIGHER)
                for name in names
            ),
        ),
        stopping=Stopping(
            alpha=1 - config.confidence_level,
            horizon=None,
            min_sample=config.minimum_sample_size,
            max_duration_s=config.maximum_duration_days * _DAY_S,
        ),
        policy=_policy(bandit, len(config.model_variants)),
        sticky=bool(bandit),  # so that a request keeps its variant until its result comes
        automatic=automatic,
        ships=False,
    )


def _variants(config: ExperimentConfig) -> tuple[Variant, ...]:
    keys = sorted(config.model_variants, key=lambda key: key != config.control)
    return tuple(
        Variant(
            key,
            _told(config.model_variants[key], config.model),
            config.traffic_allocation[key] / _ALL,
        )
        for key in keys
    )


def _told(reference: str, model: str) -> str:
    other, version = parted(reference, model)
    return version if other == model else reference


def _policy(bandit: Mapping[str, Any], variants: int) -> Policy:
    if not bandit:
        return Policy()
    word = bandit.get("algorithm", "thompson_sampling")
    if word not in ALGORITHMS:
        raise InvalidInput(
            f"algorithm must be one of {', '.join(ALGORITHMS)}, got {word!r}",
            field="algorithm",
            value=word,
        )
    explored = float(bandit.get("exploration_rate", 0.1))
    return Policy(
        kind=ALGORITHMS[word],
        epsilon=explored,
        min_weight=explored / variants,
        refresh_rewards=_NEVER,
        refresh_s=float(bandit.get("update_frequency", 3_600)),
    )


def _check(config: ExperimentConfig) -> None:
    if set(config.model_variants) != set(config.traffic_allocation):
        raise InvalidInput(
            f"traffic_allocation is for {', '.join(sorted(config.traffic_allocation))}, and "
            f"model_variants are {', '.join(sorted(config.model_variants))}; allocate a "
            "percentage to each variant",
            field="traffic_allocation",
        )
    total = sum(config.traffic_allocation.values())
    if not isclose(total, _ALL, abs_tol=1e-7):
        raise InvalidWeights(
            f"traffic_allocation must sum to 100 percent, got {total:g}",
            field="traffic_allocation",
            value=total,
        )
    if not config.success_metrics:
        raise InvalidInput(
            "success_metrics is empty; name one at least, the first decides",
            field="success_metrics",
        )
