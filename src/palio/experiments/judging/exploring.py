"""Exploring: metrics that the design does not name, worked out from the events when asked.

Any outcome may be sent, declared or not. What was not declared is compared here by the same
functions; it was chosen after the fact, so it describes and decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace

from palio.experiments.designs.design import Metrics
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.domain import Experiment
from palio.experiments.folding.contrasts import Scored, adaptive_sums
from palio.experiments.folding.measures import Measures
from palio.experiments.folding.statistics import (
    ContrastSums,
    Cursor,
    MetricSums,
    Numbers,
    UnitValues,
)
from palio.experiments.folding.verification import entries_up_to, units_of
from palio.experiments.judging.analysis import Contrast, Statistics
from palio.experiments.judging.comparing import contrasts_of
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.publishing import weights_by_epoch

__all__ = ["explore_within"]


def explore_within(
    unit: ExperimentUnit, experiment: Experiment, metrics: Sequence[str]
) -> tuple[Contrast, ...]:
    """Compare every challenger with the control on metrics that the design may not name.

    Parameters
    ----------
    unit
        An open unit of work; nothing is written.
    experiment
        One that has been started, folded up to its cursor.
    metrics
        As a design names them, one at least.
    """
    design = experiment.design
    asked = Metrics(metrics[0], tuple(metrics[1:]), declared=design.metrics.declared)
    stated = replace(
        experiment,
        design=replace(design, metrics=asked, stop_loss=None, criteria=type(design.criteria)()),
    )
    cursor = unit.cursors.get(experiment.key) or Cursor(experiment.key, 0)
    entries = entries_up_to(unit, cursor.seq)
    rows = units_of(entries, stated, matured=cursor.matured)
    statistics = Statistics(
        cursor.seq,
        _sums(stated, rows),
        (),
        contrasts=_contrasts(unit, stated, rows),
        weights=weights_by_epoch(unit, experiment),
    )
    return contrasts_of(stated, statistics)


def _sums(experiment: Experiment, rows: Iterable[UnitValues]) -> list[MetricSums]:
    measures = Measures.of(experiment.design)
    binned = {metric.name for metric in measures.metrics if metric.kind is Kind.QUANTILE}
    found: defaultdict[tuple[int, str, str], list[Numbers]] = defaultdict(list)
    for row in rows:
        for variant, metric, numbers in measures.numbers(row):
            found[row.epoch, variant, metric].append(numbers)
    return [
        MetricSums(experiment=experiment.key, epoch=epoch, variant=variant, metric=metric).moved(
            numbers, (), binned=metric in binned
        )
        for (epoch, variant, metric), numbers in found.items()
    ]


def _contrasts(
    unit: ExperimentUnit, experiment: Experiment, rows: Iterable[UnitValues]
) -> list[ContrastSums]:
    """Add up what a bandit's estimator needs; its weights had no guess for these metrics."""
    if not experiment.design.policy.moves:
        return []
    measures = Measures.of(experiment.design)
    scored = [
        Scored(row.epoch, row.policy_version, variant, metric, numbers[0])
        for row in rows
        for variant, metric, numbers in measures.numbers(row)
    ]
    found = unit.published.find(experiment=experiment.key)
    sums = adaptive_sums(experiment, scored, {one.policy_version: one for one in found})
    return [
        ContrastSums(
            experiment=experiment.key,
            epoch=epoch,
            variant=variant,
            metric=metric,
            sums=tuple(map(float, astuple(total))),
        )
        for (epoch, variant, metric), total in sums.items()
    ]
