"""``ExperimentConfig`` becomes a design: percentages are shares, and one metric is the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Annotated, Any

from pydantic import Field

from palio.dialects.nightscan.fitting import fitted, read
from palio.dialects.nightscan.words import ALGORITHMS, meaning
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
    success_metrics: Annotated[Sequence[str], Field(min_length=1)]
    minimum_sample_size: Annotated[int, Field(ge=1)] = 1000
    maximum_duration_days: Annotated[float, Field(gt=0)] = 14
    confidence_level: Annotated[float, Field(ge=0.8, le=0.99)] = 0.95
    bandit_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """The variant that others are compared with: ``control``, or the first one."""
        return _CONTROL if _CONTROL in self.model_variants else next(iter(self.model_variants))

    @property
    def model(self) -> str:
        """The model of the control."""
        return Reference.parse(self.model_variants[self.control]).model


@dataclass(frozen=True, slots=True)
class _Bandit:
    """The fields of ``bandit_config``."""

    algorithm: str = "thompson_sampling"
    exploration_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    reward_metric: str | None = None
    update_frequency: Annotated[float, Field(gt=0)] = 3_600  # seconds


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
    config = fitted(config)
    _check(config)
    bandit = read(_Bandit, config.bandit_config, "bandit_config")
    moves = bool(config.bandit_config)
    goal = bandit.reward_metric or config.success_metrics[0]
    names = dict.fromkeys((goal, *config.success_metrics))
    return ExperimentDraft(
        key=config.experiment_id,
        endpoint=config.experiment_id,
        title=config.name,
        description=config.description,
        type=Type.BANDIT if moves else Type.AB,
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
        policy=_policy(bandit, len(config.model_variants)) if moves else Policy(),
        sticky=moves,  # so that a request keeps its variant until its result comes
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


def _policy(bandit: _Bandit, variants: int) -> Policy:
    return Policy(
        kind=meaning("algorithm", bandit.algorithm, ALGORITHMS),
        epsilon=bandit.exploration_rate,
        min_weight=bandit.exploration_rate / variants,
        refresh_rewards=_NEVER,
        refresh_s=bandit.update_frequency,
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
            f"traffic_allocation must sum to 100 percent, got {total:g}; write 70.0 for 70 %",
            field="traffic_allocation",
            value=total,
        )
