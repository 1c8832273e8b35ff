"""Publishing: an experiment's weights get a new version, and requests are split by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from palio.access.audit import Change
from palio.bucketing import Split
from palio.errors import Conflict, InvalidInput
from palio.experiments.domain import Experiment, State
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.published import Published
from palio.experiments.weights.warm_start import evidence_taken_over

__all__ = ["first_weights", "latest_weights", "reweight_within", "weights_by_epoch"]

_OPEN = frozenset({State.RUNNING, State.PAUSED})
_MOST = 10_000  # versions in one answer


def first_weights(unit: ExperimentUnit, experiment: Experiment, watermark: int) -> Published:
    """Return the weights that an experiment starts with, as its design declares them.

    A bandit that is to start warm has its evidence read here, once.
    """
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
        evidence=evidence_taken_over(unit, experiment),
    )


def reweight_within(
    unit: ExperimentUnit, experiment: Experiment, weights: Mapping[str, float], change: Change
) -> Experiment:
    """Change the weights by hand, in an open unit of work: another epoch begins.

    The frozen design stays as it is. Weights that are in force already change nothing.

    Parameters
    ----------
    unit
        A unit that writes, in which the experiment is locked.
    experiment
        One whose units do not move when weights do.
    weights
        By variant, all of them, summing to 1.
    change
        Who, when and why, for the audit log.

    Raises
    ------
    Conflict
        If it does not run, a policy moves its weights, or its units would move with them.
    InvalidInput
        If the weights do not fit its variants, or there is no reason.
    """
    _check_movable(experiment)
    ordered = _checked(experiment, weights, change.reason)
    if ordered == experiment.weights:
        return experiment
    moved = replace(
        experiment,
        epoch=experiment.epoch + 1,
        policy_version=experiment.policy_version + 1,
        published=ordered,
    )
    cursor = unit.cursors.get(experiment.key)
    unit.published.add(
        Published(
            experiment=moved.key,
            policy_version=moved.policy_version,
            epoch=moved.epoch,
            at=change.at,
            by=change.actor,
            watermark=0 if cursor is None else cursor.seq,
            weights=ordered,
        )
    )
    unit.experiments.put_many([moved])
    told = [{"weights": one.weights, "epoch": one.epoch} for one in (experiment, moved)]
    unit.audit.append(replace(change, before=told[0], after=told[1]))
    return moved


def _check_movable(experiment: Experiment) -> None:
    key, design = experiment.key, experiment.design
    why = None
    if design.policy.moves:
        why = f"is a bandit: its policy {design.policy.kind} moves the weights, and nobody else"
    elif experiment.state not in _OPEN:
        why = f"is {experiment.state}; only weights of a running or paused experiment are changed"
    elif not design.weights_may_move:
        why = (
            "randomises units that would move to another variant with the weights; stop it and "
            "start another that keeps variants (sticky: true) or randomises requests "
            "(unit: request)"
        )
    if why is not None:
        raise Conflict(f"{key} {why}", experiment=key, state=experiment.state)


def _checked(
    experiment: Experiment, weights: Mapping[str, float], reason: str
) -> dict[str, float]:
    """Return the weights in the order of the variants."""
    if not reason.strip():
        raise InvalidInput(
            "reason is empty; say why the weights are changed", field="reason", value=reason
        )
    known = experiment.weights
    if set(weights) != set(known):
        raise InvalidInput(
            f"weights must name each variant of {experiment.key} once: {', '.join(known)}; got "
            f"{', '.join(weights) or 'none'}",
            field="weights",
            value=dict(weights),
        )
    ordered = {key: float(weights[key]) for key in known}
    Split.of(salt=experiment.salt, weights=ordered)  # refuses what is no distribution
    return ordered


def latest_weights(unit: ExperimentUnit, key: str, limit: int) -> Sequence[Published]:
    """Return the last versions of an experiment's weights, oldest first."""
    if not 1 <= limit <= _MOST:
        raise InvalidInput(
            f"limit must be in [1, {_MOST}], got {limit}", field="limit", value=limit
        )
    return unit.published.find(last=limit, experiment=key)


def weights_by_epoch(
    unit: ExperimentUnit, experiment: Experiment
) -> Mapping[int, Mapping[str, float]]:
    """Return the weights that units of each epoch were assigned by, where a person moves them."""
    if experiment.design.policy.moves or experiment.epoch == 1:
        return {}
    found = unit.published.find(experiment=experiment.key)
    designed = {variant.key: variant.weight for variant in experiment.design.variants}
    return {1: designed, **{one.epoch: one.weights for one in found}}
