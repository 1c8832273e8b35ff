"""What stands on a model or points at one of its versions, above the registry."""

from __future__ import annotations

from collections.abc import Sequence

from palio.delivery.deployments.domain import OPEN as OPEN_DEPLOYMENTS
from palio.delivery.deployments.domain import Deployment
from palio.delivery.domain import Endpoint
from palio.delivery.ports import DeliveryUnit
from palio.experiments.domain import OPEN, Experiment
from palio.registry.domain import Use

__all__ = ["uses_within"]


def uses_within(unit: DeliveryUnit, model: str, version: str | None = None) -> Sequence[Use]:
    """Return what uses a version, or the model at all when no version is given.

    Whatever comes to name versions later gets its line here.
    """
    endpoints = unit.endpoints.find(model=model)
    deployments = unit.deployments.find(model=model)
    experiments = unit.experiments.find()
    return [
        *(Use("endpoint", one.name) for one in endpoints if _serves(one, version)),
        *(Use("deployment", one.name) for one in deployments if _places(one, version)),
        *(Use("experiment", one.key) for one in experiments if _compares(one, model, version)),
    ]


def _serves(endpoint: Endpoint, version: str | None) -> bool:
    return version in {None, endpoint.override, *(endpoint.weights or ()), *endpoint.held}


def _places(deployment: Deployment, version: str | None) -> bool:
    """Tell whether a deployment serves a version, or would go back to it."""
    named = {None, deployment.version, *(deployment.weights_before or ())}
    return deployment.state in OPEN_DEPLOYMENTS and version in named


def _compares(experiment: Experiment, model: str, version: str | None) -> bool:
    if experiment.state not in OPEN:
        return False
    compared = {one.reference(experiment.model) for one in experiment.design.variants}
    if version is None:
        return model in {experiment.model, *(one.rpartition(":")[0] for one in compared)}
    return f"{model}:{version}" in {f"{experiment.model}:{experiment.champion}", *compared}
