"""``DeploymentConfig`` becomes a deployment: percentages are shares, hours and ``Gi`` units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from palio.delivery.deployments.wanted import (
    Canary,
    DeploymentDraft,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.dialects.nightscan.fitting import fitted, read
from palio.errors import InvalidInput

__all__ = ["DeploymentConfig", "asked_for"]

_ALL = 100.0  # percent
_HOUR_S = 3_600.0
_QUANTITY = re.compile(r"\s*([\d.]+)\s*([A-Za-z]*)\s*")
_UNITS = {
    "": 1, "m": 0.001, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Resources:
    """The fields of ``resources``; quantities may have a unit."""

    cpu: float | str | None = None
    memory: float | str | None = None
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class _Scaling:
    """The fields of ``scaling``."""

    min_replicas: int = 1
    max_replicas: int = 1
    target_cpu_utilization: Annotated[float, Field(gt=0, le=100)] | None = None  # percent


@dataclass(frozen=True, slots=True)
class _Check:
    """The fields of ``health_check``, in seconds; an answer may take the whole interval."""

    interval: float = 30
    timeout: float | None = None
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """A deployment as the document configures it.

    ``traffic_percentage`` is the version's share of the traffic, and with ``canary_deployment``
    the one that it starts with: it gets everything once ``canary_success_threshold`` of its
    requests have succeeded over ``canary_duration_hours``. ``rollback_error_percentage`` of the
    requests may fail before it is taken back, where ``rollback_on_error`` says so.
    """

    model_id: str
    version: str
    deployment_id: str
    environment: str = "production"
    resources: Mapping[str, Any] = field(default_factory=dict)
    scaling: Mapping[str, Any] = field(default_factory=dict)
    health_check: Mapping[str, Any] = field(default_factory=dict)
    traffic_percentage: Annotated[float, Field(gt=0, le=100)] = 100.0
    rollback_on_error: bool = True
    canary_deployment: bool = False
    canary_success_threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    canary_duration_hours: Annotated[float, Field(gt=0)] = 24
    canary_minimum_requests: Annotated[int, Field(ge=1)] = 100
    rollback_error_percentage: Annotated[float, Field(ge=0, le=100)] = 10.0


def asked_for(config: DeploymentConfig) -> DeploymentDraft:
    """Return what a configuration asks for.

    Raises
    ------
    InvalidInput
        If a word is unknown, or a value out of range.
    """
    config = fitted(config)
    share = config.traffic_percentage / _ALL
    limit = config.rollback_error_percentage / _ALL
    return DeploymentDraft(
        name=config.deployment_id,
        model=config.model_id,
        version=config.version,
        environment=config.environment,
        resources=_resources(read(_Resources, config.resources, "resources")),
        scaling=_scaling(read(_Scaling, config.scaling, "scaling")),
        health_check=_check(read(_Check, config.health_check, "health_check")),
        traffic_share=1.0 if config.canary_deployment else share,
        rollback_on_error=config.rollback_on_error,
        guardrails=(Guardrail(metric=Guarded.ERROR_RATE, limit=limit),),
        canary=_canary(config, share) if config.canary_deployment else None,
    )


def _canary(config: DeploymentConfig, start: float) -> Canary:
    return Canary(
        start_share=start,
        success_threshold=config.canary_success_threshold,
        duration_s=config.canary_duration_hours * _HOUR_S,
        min_sample=config.canary_minimum_requests,
    )


def _resources(asked: _Resources) -> Resources:
    memory = _quantity("memory", asked.memory)
    return Resources(
        cpu=_quantity("cpu", asked.cpu),
        memory_bytes=None if memory is None else int(memory),
        gpu=asked.gpu,
    )


def _scaling(asked: _Scaling) -> Scaling:
    busy = asked.target_cpu_utilization
    return Scaling(
        min_replicas=asked.min_replicas,
        max_replicas=asked.max_replicas,
        target_cpu=None if busy is None else busy / _ALL,
    )


def _check(asked: _Check) -> HealthCheck:
    return HealthCheck(
        interval_s=asked.interval,
        timeout_s=asked.interval if asked.timeout is None else asked.timeout,
        failure_threshold=asked.failure_threshold,
    )


def _quantity(name: str, value: float | str | None) -> float | None:
    """Return a quantity as a number: ``4Gi`` is bytes, ``500m`` half a core."""
    if value is None:
        return None
    found = _QUANTITY.fullmatch(str(value))
    try:
        number, unit = found.groups() if found else ("", "?")
        return float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise InvalidInput(
            f"resources.{name} is {value!r}; write a number, or one with a unit as in 4Gi or 500m",
            field=f"resources.{name}",
            value=str(value),
        ) from None
