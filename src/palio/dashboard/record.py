"""The record of one experiment as one file of HTML that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from palio.access.audit import AuditEntry
from palio.charts.experiment import (
    Share,
    Traffic,
    interval_over_time,
    share_over_time,
    traffic_over_time,
)
from palio.charts.render import bundle_script, to_html
from palio.charts.theme import Drawing
from palio.dashboard.words import (
    effect_in_words,
    headline,
    kind_in_words,
    split_in_words,
    verdict_in_words,
)
from palio.edge.designs import declared
from palio.experiments.designs.metrics import Direction
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Contrast, Look, MetricRole, Report, Verdict
from palio.registry.domain import Version

__all__ = ["drawings_of", "record_page"]

_TEMPLATE = Path(__file__).with_name("record.html")
_SHORT_HASH = 12


def record_page(
    experiment: Experiment,
    report: Report,
    looks: Sequence[Look],
    audit: Sequence[AuditEntry],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    versions: Sequence[Version] = (),
) -> str:
    """Return a self-contained page: the decision, the evidence, the design, who did what.

    Parameters
    ----------
    experiment
        As it stands.
    report
        Its analysis; of an experiment that has ended, the one it ended with.
    looks
        What every look has shown, oldest first.
    audit
        The entries to print, oldest first.
    title
        Words above everything; the experiment's key when not given.
    notes
        Sentences for the end of the page, such as where the data comes from.
    versions
        The versions compared, for the figures of their training.
    """
    template = _environment().from_string(_TEMPLATE.read_text(encoding="utf-8"))
    goals = [row for row in report.contrasts if row.role is MetricRole.GOAL]
    return template.render(
        title=title or experiment.key,
        experiment=experiment,
        design=experiment.design,
        report=report,
        headline=headline(experiment, report),
        effects=[_effect_of(experiment, report, row) for row in goals],
        main=_main(report, goals),
        goal=experiment.design.metrics.goal_metric,
        declared=list(declared(experiment.design)),
        metrics=[metric.name for metric in experiment.design.metrics.all],
        wanted={
            metric.name: "higher" if metric.direction is Direction.HIGHER else "lower"
            for metric in experiment.design.metrics.all
        },
        looks=looks,
        n_looks=len({look.at for look in looks}),
        bundle=bundle_script(),
        charts=[to_html(_interval(experiment, looks, row.variant)) for row in goals],
        traffic=to_html(_traffic(looks)),
        shares=[to_html(chart) for chart in _shares(experiment, looks).values()],
        split=split_in_words(report.sample_ratio),
        versions=versions,
        figures=sorted({name for version in versions for name in version.metrics}),
        audit=audit,
        notes=notes,
    )


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "number": _number,
        "signed": lambda value: "-" if value is None else f"{value:+.3g}",
        "share": lambda value: "-" if value is None else f"{value:+.1%}",
        "count": lambda value: f"{value:,}",
        "moment": _moment,
        "short": lambda digest: (digest or "")[:_SHORT_HASH],
        "kind": kind_in_words,
        "verdict": verdict_in_words,
        "changes": _changes,
    }
    return made


def _effect_of(experiment: Experiment, report: Report, row: Contrast) -> str:
    metric = experiment.design.metrics.goal_metric
    said = effect_in_words(row, metric, control=experiment.control.key)
    if report.decision.variant == row.variant and row.verdict is Verdict.UNCLEAR:
        said += " It had left zero at an earlier look; what was shown once stays shown."
    return said


def _main(report: Report, goals: Sequence[Contrast]) -> Contrast:
    """Return the contrast that the page opens with: the winner's, or the first."""
    return next((row for row in goals if row.variant == report.decision.variant), goals[0])


def drawings_of(experiment: Experiment, looks: Sequence[Look]) -> dict[str, Drawing]:
    """Return the charts of a record by name.

    The interval of each challenger, the traffic, where outcomes are waited for the share of units
    that have one, and where weights have moved the weights.
    """
    intervals = {
        f"interval-{one.key}": _interval(experiment, looks, one.key)
        for one in experiment.challengers
    }
    return {**intervals, "traffic": _traffic(looks), **_shares(experiment, looks)}


def _shares(experiment: Experiment, looks: Sequence[Look]) -> dict[str, Drawing]:
    drawn: dict[str, Drawing] = {}
    goal = experiment.design.metrics.goal_metric
    moves = (
        experiment.design.policy.moves
    )  # then newer units, not known yet, are mostly of one arm
    if goal.waits and not moves and any(look.known for look in looks):
        drawn["known"] = share_over_time(
            _points(looks, lambda look, key: look.known.get(key, 0) / max(look.counts[key], 1)),
            words=f"Units with a value of {goal.name}",
            title="Share of units whose outcome is known",
            subtitle="Lines that part mean that outcomes are missing more often for one variant.",
        )
    if len({tuple(look.weights.items()) for look in looks if look.weights}) > 1:
        drawn["weights"] = share_over_time(
            _points(looks, lambda look, key: look.weights.get(key, 0.0)),
            words="Weight",
            title=f"Weights over time, {experiment.design.policy.kind.replace('_', ' ')}",
        )
    return drawn


def _points(looks: Sequence[Look], share: Callable[[Look, str], float]) -> list[Share]:
    found = {
        (look.at, key): Share(at=look.at, variant=key, share=share(look, key))
        for look in looks
        for key in look.counts
    }
    return list(found.values())


def _interval(experiment: Experiment, looks: Sequence[Look], variant: str) -> Drawing:
    goal = experiment.design.metrics.goal_metric.name
    return interval_over_time(
        [asdict(look) for look in looks if look.variant == variant],
        effect=f"{goal}: {variant} less {experiment.control.key}",
        title=f"Effect on {goal} as evidence arrived",
        subtitle="Band: always-valid interval. Dashed: interval that is valid for one look only.",
    )


def _traffic(looks: Sequence[Look]) -> Drawing:
    points = {
        (look.at, variant): Traffic(at=look.at, variant=variant, units=units)
        for look in looks
        for variant, units in look.counts.items()
    }
    return traffic_over_time(list(points.values()), title="Units by variant")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _changes(entry: AuditEntry) -> str:
    before: Mapping[str, Any] = entry.before or {}
    after: Mapping[str, Any] = entry.after or {}
    shown = []
    for name in sorted(after):
        old, new = before.get(name), after[name]
        if isinstance(new, str | int | float | bool) and old != new:
            value = new if len(str(new)) < 2 * _SHORT_HASH else f"{str(new)[:_SHORT_HASH]}…"
            shown.append(f"{name}: {old} → {value}" if old is not None else f"{name}: {value}")
    return ", ".join(shown)
