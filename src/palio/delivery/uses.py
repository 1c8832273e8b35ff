"""What stands on a model or points at one of its versions, above the registry."""

from __future__ import annotations

from collections.abc import Sequence

from palio.delivery.ports import DeliveryUnit
from palio.experiments.domain import OPEN, Experiment
from palio.registry.domain import Use

__all__ = ["uses_within"]


def uses_within(unit: DeliveryUnit, model: str, version: str | None = None) -> Sequence[Use]:
    """Return what uses a version, or the model at all when no version is given.

    Whatever comes to name versions later gets its line here.
    """
    endpoints = unit.endpoints.find(model=model)
    experiments = unit.experiments.find(model=model)
    return [
        *(Use("endpoint", one.name) for one in endpoints if version in (None, one.override)),
        *(Use("experiment", one.key) for one in experiments if _compares(one, version)),
    ]


def _compares(experiment: Experiment, version: str | None) -> bool:
    named = {None, experiment.champion, *(one.version for one in experiment.design.variants)}
    return experiment.state in OPEN and version in named
