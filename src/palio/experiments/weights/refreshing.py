"""Refreshing: what has become known moves a bandit's weights to their next version.

A refresh is one transaction. It holds the experiment's cursor, so that nobody folds meanwhile and
the sums are those at the watermark, and then the experiment, whose policy version only grows: of
any number of processes that refresh at once one wins, and the others find nothing due any more.
The published row is the record of a refresh: everything that the weights were made of, from which
anybody can make them again (`weights_from`). Only an arm that is retired is told to the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import replace
from datetime import datetime
from math import fsum

from palio import bandits
from palio.access.audit import Change
from palio.errors import Conflict
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.domain import Experiment, State
from palio.experiments.folding.statistics import MetricSums
from palio.experiments.judging.limits import LIMITS
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.published import Published
from palio.experiments.weights.rewards import (
    NOTHING,
    Totals,
    arms_of_policy,
    exact,
    faded,
    limits_of,
    prior_of,
    totals_of,
)
from palio.stats import Moments

__all__ = ["check_refreshable", "is_due", "refresh_within", "weights_from"]

_MEANS = frozenset({Kind.MEAN, Kind.WIN_RATE})


def check_refreshable(experiment: Experiment) -> None:
    """Raise ``Conflict`` unless it is a bandit that runs."""
    if not experiment.design.policy.moves:
        raise Conflict(
            f"{experiment.key} is of type {experiment.design.type}: no policy moves its weights. "
            f"A person may where units do not move: `palio experiments reweight {experiment.key}`",
            experiment=experiment.key,
            type=experiment.design.type,
        )
    if experiment.state is not State.RUNNING:
        raise Conflict(
            f"{experiment.key} is {experiment.state}; only a running bandit publishes new weights"
            + (", resume it" if experiment.state is State.PAUSED else ""),
            experiment=experiment.key,
            state=experiment.state,
        )


def is_due(unit: ExperimentUnit, experiment: Experiment, now: datetime) -> bool:
    """Tell whether a refresh would publish weights; locks nothing."""
    last = unit.published.get(experiment.key, experiment.policy_version)
    if last is None or experiment.state is not State.RUNNING:
        return False
    if lost_within(unit, experiment) - set(last.retired):
        return True
    sums = unit.metric_sums.find(experiment=experiment.key)
    return experiment.design.policy.moves and _is_due(
        experiment, last, totals_of(experiment, sums), now
    )


def refresh_within(
    unit: ExperimentUnit, experiment: Experiment, now: datetime
) -> Published | None:
    """Publish a bandit's next weights if they are due, inside a unit of work that is open.

    They are due after so many new rewards as the policy says, or so many seconds after the last
    ones if anything has become known since, a correction too. The caller has folded, and must not
    have locked the experiment before: a fold locks its cursor first, and so does this.

    Parameters
    ----------
    unit
        A unit that writes.
    experiment
        As anybody has read it; it is read again.
    now
        The moment of the refresh.

    Returns
    -------
    Published or None
        The new weights; ``None`` where none are due, or the experiment is no bandit that runs.
    """
    cursor = unit.cursors.get(experiment.key, lock=True)
    found = unit.experiments.get(experiment.key)
    if cursor is None or found is None or not is_due(unit, found, now):
        return None
    locked = unit.experiments.get(experiment.key, lock=True)
    last = unit.published.get(found.key, found.policy_version)
    if locked != found or last is None:  # somebody has paused it, or ended it, meanwhile
        return None
    sums = unit.metric_sums.find(experiment=found.key)
    lost = lost_within(unit, found)
    made = _next(found, last, sums, lost=lost, watermark=cursor.seq, now=now)
    unit.published.add(made)
    unit.experiments.put_many(
        [replace(found, published=made.weights, policy_version=made.policy_version)]
    )
    if made.retired != last.retired:
        unit.audit.append(_retirement(last, made))
    return made


def _is_due(experiment: Experiment, last: Published, totals: Totals, now: datetime) -> bool:
    policy = experiment.design.policy
    if _rewards(totals) - last.rewards >= policy.refresh_rewards:
        return True
    known = {key: last.totals.get(key, NOTHING) for key in totals}
    return (now - last.at).total_seconds() >= policy.refresh_s and known != totals


def _rewards(totals: Totals) -> int:
    return round(fsum(n for n, _, _ in totals.values()))


def _next(
    experiment: Experiment,
    last: Published,
    sums: Collection[MetricSums],
    *,
    lost: Set[str],
    watermark: int,
    now: datetime,
) -> Published:
    """Return the version of the weights that follows the last one."""
    policy, goal = experiment.design.policy, experiment.design.metrics.goal_metric
    totals = totals_of(experiment, sums)
    evidence = {
        key: faded(
            goal,
            last.evidence.get(key, NOTHING),
            then=last.totals.get(key, NOTHING),
            now=known,
            discount=policy.discount,
        )
        for key, known in totals.items()
    }
    bare = Published(
        experiment=experiment.key,
        policy_version=last.policy_version + 1,
        epoch=experiment.epoch,
        at=now,
        by=policy.kind,
        watermark=watermark,
        weights={},
        guesses=_guesses(experiment, sums),
        rewards=_rewards(totals),
        totals=totals,
        evidence=evidence,
        retired=_retired(experiment, totals, _with(last.retired, lost)),
    )
    return replace(bare, weights=weights_from(experiment, bare))


def weights_from(experiment: Experiment, published: Published) -> dict[str, float]:
    """Return the weights that follow from what a refresh has published.

    They are those of the row itself, whenever and wherever they are made, with one release of
    numpy (see `palio.bandits.Seed`).

    Parameters
    ----------
    experiment
        Whose they are; its design and salt count.
    published
        Its evidence, totals, retired arms and policy version count.
    """
    design = experiment.design
    goal, bounds, evidence = design.metrics.goal_metric, design.policy.bounds, published.evidence
    live = [variant.key for variant in design.variants if variant.key not in published.retired]
    pulls = [max(t.get(key, NOTHING)[0] for t in (evidence, published.totals)) for key in live]
    if min(pulls) >= bounds.forced_pulls:  # evidence that has faded were pulls all the same
        bounds = replace(bounds, forced_pulls=0)
    chooser = design.policy.chooser(
        prior=prior_of(goal, (evidence.get(key, NOTHING) for key in live)), limits=limits_of(goal)
    )
    found = bandits.allocate(
        chooser,
        arms_of_policy(experiment, evidence),
        control=experiment.control.key,
        seed=bandits.Seed(experiment.salt, published.policy_version),
        bounds=bounds,
        retired=published.retired,
    )
    return dict(found.weights)


def lost_within(unit: ExperimentUnit, experiment: Experiment) -> frozenset[str]:
    """Return the challengers of a bandit that have hit a limit at some look: they get nothing."""
    if not experiment.design.policy.moves:
        return frozenset()
    crossed = unit.crossings.find(experiment=experiment.key)
    keys = {one.variant for one in crossed if one.metric in LIMITS}
    return frozenset(keys - {experiment.control.key})


def _with(retired: tuple[str, ...], lost: Set[str]) -> tuple[str, ...]:
    return (*retired, *sorted(lost - set(retired)))


def _retired(experiment: Experiment, totals: Totals, before: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arms that get nothing any more: those of before, and those shown to be worse."""
    design = experiment.design
    if not design.policy.eliminate:
        return before
    new = bandits.beaten(
        {key: exact(design.metrics.goal_metric, known) for key, known in totals.items()},
        control=experiment.control.key,
        planned=design.stopping.min_sample,
        alpha=design.stopping.alpha,
        retired=before,
    )
    return (*before, *sorted(new))


def _guesses(experiment: Experiment, sums: Collection[MetricSums]) -> dict[str, dict[str, float]]:
    """Return the mean of every metric that is one, by variant, where there is any."""
    found: dict[str, dict[str, float]] = {}
    for metric in experiment.design.metrics.all:
        if metric.kind not in _MEANS:
            continue
        rows = [row for row in sums if (row.metric, row.segment) == (metric.name, "") and row.n]
        found[metric.name] = {
            key: Moments.merged([row.moments() for row in rows if row.variant == key]).mean
            for key in dict.fromkeys(row.variant for row in rows)
        }
    return found


def _retirement(last: Published, made: Published) -> Change:
    new = [key for key in made.retired if key not in last.retired]
    return Change(
        at=made.at,
        actor=made.by,
        action="experiment.retire",
        subject=made.experiment,
        before={"retired": last.retired, "policy_version": last.policy_version},
        after={"retired": made.retired, "policy_version": made.policy_version},
        reason=f"shown to be worse than another arm, or beyond a limit, at {made.rewards} "
        f"rewards: {', '.join(new)}",
    )
