"""Warm starts: what another experiment knew of the same versions, as far as it is trusted."""

from __future__ import annotations

from palio import bandits
from palio.errors import Conflict
from palio.experiments.designs.design import Type
from palio.experiments.domain import Experiment
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.published import Knowledge
from palio.experiments.weights.rewards import merged_rewards

__all__ = ["evidence_taken_over"]


def evidence_taken_over(unit: ExperimentUnit, experiment: Experiment) -> dict[str, Knowledge]:
    """Return the evidence that a bandit starts with, by variant.

    It is what the other experiment has folded on the same goal, each variant's on the version that
    it serves, at the declared share of its rewards. What that one had taken over is not passed on.

    Parameters
    ----------
    unit
        An open unit of work.
    experiment
        One whose design may name another to start from.

    Raises
    ------
    Conflict
        If that one has not been started or is of another model, goal or kind, or has none of the
        versions.
    """
    name = experiment.design.policy.warm_start
    if name is None:
        return {}
    other = unit.experiments.get(name)
    if other is None or (why := _obstacle(experiment, other)) is not None:
        why = "is no experiment" if other is None else why
        raise Conflict(
            f"{experiment.key} cannot start warm from {name}: it {why}; name another in "
            "policy.warm_start, or draft it without",
            experiment=experiment.key,
            warm_start=name,
        )
    return _evidence(unit, experiment, other)


def _obstacle(experiment: Experiment, other: Experiment) -> str | None:
    goal, its = (one.design.metrics.goal_metric for one in (experiment, other))
    if other.started_at is None:
        return "has not been started"
    if other.model != experiment.model:
        return f"is on the model {other.model}"
    if (goal.name, goal.direction) != (its.name, its.direction):
        return f"has the goal {its.name}, {its.direction}"
    if other.design.type is Type.PAIRED:
        return "is paired, and knows differences only"
    versions = {variant.version for variant in experiment.design.variants}
    if not versions & {variant.version for variant in other.design.variants}:
        return f"has none of the versions {', '.join(sorted(versions))}"
    return None


def _evidence(
    unit: ExperimentUnit, experiment: Experiment, other: Experiment
) -> dict[str, Knowledge]:
    goal, share = experiment.design.metrics.goal_metric, experiment.design.policy.warm_share
    rows = [
        row
        for row in unit.metric_sums.find(experiment=other.key)
        if (row.metric, row.segment) == (goal.name, "")
    ]
    served = {variant.key: variant.version for variant in other.design.variants}
    found: dict[str, Knowledge] = {}
    for variant in experiment.design.variants:
        own = [row.moments() for row in rows if served.get(row.variant) == variant.version]
        if own:
            known = bandits.discounted(bandits.Rewards(*merged_rewards(goal, own)), share)
            found[variant.key] = (known.n, known.mean, known.squares)  # type: ignore[union-attr]
    return found
