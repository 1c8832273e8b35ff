"""Publishing: an experiment's weights get a new version, and requests are split by it."""

from __future__ import annotations

from collections.abc import Mapping

from palio.experiments.domain import Experiment
from palio.experiments.ports import ExperimentUnit
from palio.experiments.published import Published

__all__ = ["first_weights", "weights_by_epoch"]


def first_weights(experiment: Experiment, watermark: int) -> Published:
    """Return the weights that an experiment starts with, as its design declares them."""
    if experiment.started_at is None:
        raise ValueError(f"{experiment.key} has not been started")
    return Published(
        experiment=experiment.key,
        policy_version=0,
        epoch=experiment.epoch,
        at=experiment.started_at,
        by=experiment.created_by,
        watermark=watermark,
        weights=experiment.weights,
    )


def weights_by_epoch(
    unit: ExperimentUnit, experiment: Experiment
) -> Mapping[int, Mapping[str, float]]:
    """Return the weights that units of each epoch were assigned by, where a person moves them."""
    if experiment.design.policy.moves or experiment.epoch == 1:
        return {}
    found = unit.published.find(experiment=experiment.key)
    return {one.epoch: one.weights for one in found}
