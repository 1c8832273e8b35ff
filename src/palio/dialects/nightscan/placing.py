"""``DeploymentConfig`` becomes a deployment: percentages are shares, hours and ``Gi`` units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from palio.delivery.deployments.wanted import (
    Canary,
    DeploymentDraft,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.errors import InvalidInput

__all__ = ["DeploymentConfig", "asked_for"]

_ALL = 100.0  # percent
_HOUR_S = 3_600.0
_CHECK = {"interval": 30, "timeout": 30, "failure_threshold": 3}
"""Where nothing is said: a network may take long to load, and is waited for."""
_QUANTITY = re.compile(r"\s*([\d.]+)\s*([A-Za-z]*)\s*")
_UNITS = {
    "": 1, "m": 0.001, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_WORDS: Mapping[str, Mapping[str, str]] = {
    "resources": {"cpu": "cpu", "memory": "memory_bytes", "gpu": "gpu"},
    "scaling": {
        "min_replicas": "min_replicas",
        "max_replicas": "max_replicas",
        "target_cpu_utilization": "target_cpu",
    },
    "health_check": {
        "interval": "interval_s",
        "timeout": "timeout_s",
        "failure_threshold": "failure_threshold",
    },
}


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
    traffic_percentage: float = 100.0
    rollback_on_error: bool = True
    canary_deployment: bool = False
    canary_success_threshold: float = 0.95
    canary_duration_hours: float = 24
    canary_minimum_requests: int = 100
    rollback_error_percentage: float = 10.0


def asked_for(config: DeploymentConfig) -> DeploymentDraft:
    """Return what a configuration asks for.

    Raises
    ------
    InvalidInput
        If a word is unknown, or a value out of range.
    """
    share = config.traffic_percentage / _ALL
    canary = Canary(
        start_share=share,
        success_threshold=config.canary_success_threshold,
        duration_s=config.canary_duration_hours * _HOUR_S,
        min_sample=config.canary_minimum_requests,
    )
    scaling = dict(config.scaling)
    if "target_cpu_utilization" in scaling:
        scaling["target_cpu_utilization"] /= _ALL
    limit = config.rollback_error_percentage / _ALL
    return DeploymentDraft(
        name=config.deployment_id,
        model=config.model_id,
        version=config.version,
        environment=config.environment,
        resources=Resources(**_named("resources", _measured(config.resources))),
        scaling=Scaling(**_named("scaling", scaling)),
        health_check=HealthCheck(**_named("health_check", _CHECK | dict(config.health_check))),
        traffic_share=1.0 if config.canary_deployment else share,
        rollback_on_error=config.rollback_on_error,
        guardrails=(Guardrail(metric=Guarded.ERROR_RATE, limit=limit),),
        canary=canary if config.canary_deployment else None,
    )


def _named(part: str, given: Mapping[str, Any]) -> dict[str, Any]:
    words = _WORDS[part]
    if unknown := sorted(set(given) - set(words)):
        raise InvalidInput(
            f"{part} has no {', '.join(unknown)}; it has {', '.join(words)}",
            field=part,
            value=unknown,
        )
    return {words[name]: value for name, value in given.items()}


def _measured(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return quantities as numbers: ``4Gi`` is bytes, ``500m`` half a core."""
    found = dict(resources)
    if "memory" in found:
        found["memory"] = int(_quantity("memory", found["memory"]))
    if "cpu" in found:
        found["cpu"] = _quantity("cpu", found["cpu"])
    return found


def _quantity(name: str, value: Any) -> float:
    read = _QUANTITY.fullmatch(str(value))
    try:
        number, unit = read.groups() if read else ("", "?")
        return float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise InvalidInput(
            f"resources.{name} is {value!r}; write a number, or one with a unit as in 4Gi or 500m",
            field=f"resources.{name}",
            value=str(value),
        ) from None
