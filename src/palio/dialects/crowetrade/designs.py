"""Tests as they are asked for, and as Palio's designs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from palio.dialects.crowetrade.asking import checked
from palio.dialects.crowetrade.words import POLICIES, AllocationStrategy
from palio.errors import InvalidInput
from palio.experiments.designs.design import (
    REQUEST,
    ExperimentDraft,
    Metrics,
    Stopping,
    Type,
    Variant,
)
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Belief, Policy, PolicyKind
from palio.experiments.designs.risk import StopLoss
from palio.registry.domain import Reference

__all__ = ["RETURN", "ABTestConfig", "create_ab_test", "draft_of"]

RETURN = "return"
_DAY_S = 86_400
_LIKE = 1e-9  # how near to 1, or to 100, weights must sum


@dataclass(frozen=True, slots=True, kw_only=True)
class ABTestConfig:
    """A test of models on the returns that they bring.

    Attributes
    ----------
    test_id, name, description, created_by, hypothesis
        What it is called, by whom, and what is expected of it.
    model_registry_ids
        ``model_id:version`` of two models or more; the first is the control.
    allocation_strategy
        How requests are shared out.
    allocation_weights
        Shares to begin with, in the order of the models and summing to 1 (or percentages that
        sum to 100); equal ones when not given. Of a fixed allocation they stay.
    min_allocation_per_arm, max_allocation_per_arm
        Limits of what a strategy may give an arm.
    objective
        ``return`` for the mean return; ``win_rate`` for how often it is above 0, which Thompson
        sampling then takes as Beta distributions.
    epsilon
        Share of exploration of the strategy of that name.
    significance_level, minimum_sample_size
        Chance of a false winner over all looks, and results of each arm before anything is won.
    max_duration_days
        When it ends in any case.
    early_stopping
        Whether it ends as soon as an arm has won.
    stop_loss_threshold, max_drawdown
        The mean return that is borne, and how far the sum of an arm's returns may fall.
    additional_metrics
        Which of the metrics beside the return are reported by arm: which is better, ``higher``
        or ``lower``, by name.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    test_id: str
    name: str
    description: str
    model_registry_ids: Annotated[list[str], Field(min_length=2)]
    created_by: Annotated[str, Field(min_length=1)]
    hypothesis: str = ""
    allocation_strategy: AllocationStrategy = AllocationStrategy.THOMPSON_SAMPLING
    allocation_weights: list[float] | None = None
    min_allocation_per_arm: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_allocation_per_arm: Annotated[float, Field(ge=0, le=1)] = 0.8
    objective: Literal["return", "win_rate"] = "return"
    epsilon: Annotated[float, Field(gt=0, le=1)] = 0.1
    significance_level: Annotated[float, Field(ge=0.01, le=0.2)] = 0.05
    minimum_sample_size: Annotated[int, Field(ge=1)] = 1_000
    max_duration_days: Annotated[float, Field(gt=0)] = 30
    early_stopping: bool = True
    stop_loss_threshold: Annotated[float, Field(le=0)] | None = -0.05
    max_drawdown: Annotated[float, Field(gt=0)] | None = None
    additional_metrics: Mapping[str, Literal["higher", "lower"]] = field(
        default_factory=lambda: {"latency_ms": "lower"}
    )


_CONFIG = TypeAdapter(ABTestConfig)


def create_ab_test(**given: Any) -> ABTestConfig:
    """Describe a test, by the fields of `ABTestConfig`.

    Raises
    ------
    InvalidInput
        Naming the field that is missing, unknown, of another type or out of its range.
    """
    return checked(_CONFIG, given)


def draft_of(config: ABTestConfig, *, serves: bool) -> ExperimentDraft:
    """Return a test as a design, whose endpoint has the test's id.

    Parameters
    ----------
    config
        As it was asked for.
    serves
        Whether the models take the same rows, so that the endpoint can answer by any of them.

    Raises
    ------
    InvalidInput
        Naming the field that does not fit.
    """
    model = Reference.parse(config.model_registry_ids[0]).model
    versions = [one.removeprefix(f"{model}:") for one in config.model_registry_ids]
    shares = zip(versions, _shares(config), strict=True)
    policy = _policy(config)
    return ExperimentDraft(
        key=config.test_id,
        endpoint=config.test_id,
        title=config.name,
        description=config.description,
        hypothesis=config.hypothesis,
        variants=tuple(
            Variant(f"arm_{at}", version, share) for at, (version, share) in enumerate(shares)
        ),
        metrics=_metrics(config),
        type=_type(policy, versions),
        policy=policy,
        stopping=Stopping(
            alpha=config.significance_level,
            horizon=None,
            min_sample=config.minimum_sample_size,
            max_duration_s=config.max_duration_days * _DAY_S,
            early_stop=config.early_stopping,
        ),
        stop_loss=_stop_loss(config),
        unit=REQUEST,
        automatic=True,
        ships=False,
        serves=serves,
    )


def _type(policy: Policy, versions: Sequence[str]) -> Type:
    if policy.moves:
        return Type.BANDIT
    return Type.AA if len(set(versions)) == 1 else Type.AB


def _shares(config: ABTestConfig) -> Sequence[float]:
    arms, given = len(config.model_registry_ids), config.allocation_weights
    if given is None:
        return [1 / arms] * arms
    total = math.fsum(given)
    whole = next((one for one in (1, 100) if abs(total - one) <= one * _LIKE), None)
    if whole is None or len(given) != arms:
        raise InvalidInput(
            f"allocation_weights must give each of the {arms} models a share, summing to 1, or "
            f"percentages that sum to 100; got {list(given)}, which sum to {total:g}",
            field="allocation_weights",
            value=list(given),
        )
    return [one / total for one in given]


def _policy(config: ABTestConfig) -> Policy:
    kind = POLICIES[config.allocation_strategy]
    if kind is PolicyKind.FIXED:
        return Policy()
    _check_limits(config)
    beta = config.objective == "win_rate" and kind is PolicyKind.THOMPSON
    return Policy(
        kind=kind,
        belief=Belief.BETA if beta else Belief.NORMAL,
        min_weight=config.min_allocation_per_arm,
        max_weight=config.max_allocation_per_arm,
        epsilon=config.epsilon,
    )


def _check_limits(config: ABTestConfig) -> None:
    share = 1 / len(config.model_registry_ids)
    limits = (config.min_allocation_per_arm, config.max_allocation_per_arm)
    if not limits[0] <= share <= limits[1]:
        name = "min_allocation_per_arm" if limits[0] > share else "max_allocation_per_arm"
        raise InvalidInput(
            f"min_allocation_per_arm and max_allocation_per_arm must allow equal shares of "
            f"{share:.4g}, got {limits[0]:g} and {limits[1]:g}",
            field=name,
            value=getattr(config, name),
        )


def _metrics(config: ABTestConfig) -> Metrics:
    told = {RETURN: f"{RETURN}:higher", "win_rate": f"win_rate({RETURN}):higher"}
    goal = told.pop(config.objective)
    more = tuple(
        Metric(name, Direction(f"{side}_is_better"))
        for name, side in config.additional_metrics.items()
    )
    return Metrics(
        goal=goal,
        secondary=(*told.values(), f"sharpe({RETURN}):higher", *(one.name for one in more)),
        declared=more,
    )


def _stop_loss(config: ABTestConfig) -> StopLoss | None:
    threshold, fall = config.stop_loss_threshold, config.max_drawdown
    if threshold is None and fall is None:
        return None
    return StopLoss(metric=RETURN, threshold=threshold, max_drawdown=fall)
