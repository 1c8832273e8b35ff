"""The record of one experiment as Markdown, with its charts as images beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from palio.access.audit import AuditEntry
from palio.charts.render import to_png
from palio.charts.theme import Drawing
from palio.dashboard.record import drawings_of
from palio.dashboard.words import (
    effect_in_words,
    headline,
    split_in_words,
    verdict_in_words,
)
from palio.edge.designs import declared
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Contrast, Look, MetricRole, Report
from palio.registry.domain import Version

__all__ = ["record_charts", "record_markdown"]

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>#|&!"} | {"\n": " ", "\r": " "})


def record_charts(experiment: Experiment, looks: Sequence[Look]) -> dict[str, bytes]:
    """Return the charts as PNG images, by the path that the Markdown gives them."""
    return {f"plots/{name}.png": to_png(chart) for name, chart in _named(experiment, looks)}


def record_markdown(
    experiment: Experiment,
    report: Report,
    looks: Sequence[Look],
    audit: Sequence[AuditEntry],
    *,
    versions: Sequence[Version] = (),
) -> str:
    """Return the decision, the evidence, the design and who did what, as text.

    Parameters
    ----------
    experiment, report, looks, audit, versions
        As ``record_page`` takes them.
    """
    parts = [
        f"# {_plain(experiment.key)}",
        f"**{_plain(headline(experiment, report))}**",
        _list(report.decision.reasons),
        *_effects(experiment, report),
        *(f"![{name}](plots/{name}.png)" for name, _ in _named(experiment, looks)),
        "## Evidence",
        _arms(report),
        _contrasts(report.contrasts),
        *_within(report),
        f"{_plain(split_in_words(report.sample_ratio))} Events up to {report.watermark}.",
        "## Design",
        _table(("", ""), _design(experiment)),
        *_trained(versions),
        "## Who did what",
        _table(
            ("when (UTC)", "who", "what", "why", "hash"),
            (
                (_moment(entry.at), entry.actor, entry.action, entry.reason, entry.hash[:12])
                for entry in audit
            ),
        ),
        f"Analysis {report.digest}, made {_moment(report.at)} UTC.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _named(experiment: Experiment, looks: Sequence[Look]) -> Iterator[tuple[str, Drawing]]:
    if looks:
        yield from drawings_of(experiment, looks).items()


def _effects(experiment: Experiment, report: Report) -> Iterator[str]:
    metric, control = experiment.design.metrics.goal_metric, experiment.control.key
    for row in report.contrasts:
        if row.role is MetricRole.GOAL:
            yield _plain(effect_in_words(row, metric, control=control))


def _arms(report: Report) -> str:
    rows = (
        (arm.variant, arm.version, f"{arm.weight:.0%}", arm.units, arm.requests, arm.errors,
         f"{arm.labelled / arm.requests:.1%}" if arm.requests else "-")
        for arm in report.arms
    )  # fmt: skip
    head = ("variant", "version", "weight", "units", "requests", "errors", "labelled")
    return _table(head, rows)


def _contrasts(rows: Sequence[Contrast]) -> str:
    head = ("metric", "role", "variant", "effect", "always valid", "p", "verdict")
    return _table(
        head,
        (
            (
                row.metric,
                row.role,
                row.variant,
                _number(row.effect),
                "-" if row.lower is None else f"{_number(row.lower)} to {_number(row.upper)}",
                f"{row.p_value:.3g}",
                row.note or verdict_in_words(row.verdict),
            )
            for row in rows
        ),
    )


def _within(report: Report) -> Iterator[str]:
    """Yield what is reported beside the evidence that decides."""
    for segment, rows in report.by_segment.items():
        yield f"### {_plain(segment)}"
        yield _contrasts(rows)
    if report.unadjusted:
        yield "### Without covariates"
        yield _contrasts(report.unadjusted)


def _design(experiment: Experiment) -> Iterator[tuple[object, object]]:
    design = experiment.design
    yield "Hypothesis", design.hypothesis or "none was written"
    yield "Type", design.type
    yield "Endpoint", design.endpoint
    yield "Unit", design.unit
    for metric in design.metrics.all:
        yield f"Metric {metric.name}", metric.direction.replace("_", " ")
    yield "Chance of a false decision", f"{design.stopping.alpha:g}"
    yield "Units planned", design.stopping.horizon or "none"
    yield from ((name.capitalize(), words) for name, words in declared(design))
    yield "State", experiment.state
    yield "Started", _moment(experiment.started_at)
    yield "Ended", _moment(experiment.ended_at)
    yield "Frozen as", experiment.frozen or "not yet"


def _trained(versions: Sequence[Version]) -> Iterator[str]:
    names = sorted({name for version in versions for name in version.metrics})
    if names:
        yield "## Measured before"
        rows = ((name, *(_number(one.metrics.get(name)) for one in versions)) for name in names)
        yield _table(("metric", *(one.reference for one in versions)), rows)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_plain(str(cell)) for cell in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return a text in which nothing is Markdown or HTML."""
    return text.translate(_ESCAPED)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
