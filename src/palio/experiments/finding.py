"""Experiments by key, the model of an endpoint, and what is folded of an experiment."""

from __future__ import annotations

from palio.errors import NotFound
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Statistics
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.publishing import weights_by_epoch

__all__ = ["find_experiment", "model_of", "statistics_of"]


def find_experiment(unit: ExperimentUnit, key: str, *, lock: bool = False) -> Experiment:
    """Return the experiment under a key, or raise ``NotFound``."""
    experiment = unit.experiments.get(key, lock=lock)
    if experiment is None:
        raise NotFound(
            f"no experiment has the key {key!r}; `palio experiments list` shows them",
            kind="experiment",
            name=key,
        )
    return experiment


def model_of(unit: ExperimentUnit, endpoint: str, *, lock: bool = False) -> str:
    """Return the model that an endpoint serves, or raise ``NotFound``."""
    model = unit.model_of(endpoint, lock=lock)
    if model is None:
        raise NotFound(
            f"no endpoint is named {endpoint!r}; `palio endpoints create {endpoint} --model …` "
            "makes it",
            kind="endpoint",
            name=endpoint,
        )
    return model


def statistics_of(unit: ExperimentUnit, experiment: Experiment) -> Statistics:
    """Return an experiment's statistics at its watermark."""
    key = experiment.key
    cursor = unit.cursors.get(key)
    return Statistics(
        0 if cursor is None else cursor.seq,
        unit.metric_sums.find(experiment=key),
        unit.variant_counts.find(experiment=key),
        unit.reported_sums.find(experiment=key),
        unit.contrast_sums.find(experiment=key),
        unit.falls.find(experiment=key),
        weights_by_epoch(unit, experiment),
    )
