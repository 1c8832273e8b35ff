"""An analysis in the document's form; what it says holds however often one looks."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Arm, Contrast, MetricFigures, Report, Verdict

__all__ = ["NOBODY", "rendered", "summary"]

NOBODY = "inconclusive"
"""Who wins where no difference is shown."""
_HOUR_S, _DAY_S = 3_600.0, 86_400.0


def summary(experiment: Experiment) -> dict[str, Any]:
    """Return what is known of an experiment beside its results."""
    design = experiment.design
    longest = design.stopping.max_duration_s
    return {
        "experiment_id": experiment.key,
        "name": design.title or experiment.key,
        "description": design.description,
        "status": str(experiment.state),
        "model_variants": {one.key: one.reference(experiment.model) for one in design.variants},
        "traffic_allocation": {
            key: round(100 * share, 9) for key, share in experiment.weights.items()
        },
        "success_metrics": [metric.name for metric in design.metrics.all],
        "minimum_sample_size": design.stopping.min_sample,
        "maximum_duration_days": None if longest is None else longest / _DAY_S,
        "confidence_level": 1 - design.stopping.alpha,
        "created_at": _said(experiment.created_at),
        "started_at": _said(experiment.started_at),
        "ended_at": _said(experiment.ended_at),
        "reason": experiment.reason,
    }


def rendered(experiment: Experiment, report: Report) -> dict[str, Any]:
    """Return an analysis as the document reads it."""
    comparisons: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in report.contrasts:
        comparisons[row.variant][row.metric] = _comparison(experiment, report, row)
    control = experiment.control.key
    return {
        "experiment_metadata": summary(experiment),
        "duration_hours": _hours(experiment, report.at),
        "total_samples": sum(arm.units for arm in report.arms),
        "variant_statistics": {arm.variant: _statistics(experiment, arm) for arm in report.arms},
        "comparisons": {
            f"{control}_vs_{variant}": {
                "control": control,
                "treatment": variant,
                "metric_comparisons": metrics,
            }
            for variant, metrics in comparisons.items()
        },
        "recommendation": str(report.decision.kind),
        "reasons": list(report.decision.reasons),
    }


def _comparison(experiment: Experiment, report: Report, row: Contrast) -> dict[str, Any]:
    means = {arm.variant: arm.metrics[row.metric] for arm in report.arms}
    metric = _metric(experiment, row.metric)
    control = experiment.control.key
    winner = {Verdict.BETTER: row.variant, Verdict.WORSE: control}.get(row.verdict, NOBODY)
    better = 0.0 if row.relative is None else 100 * metric.direction.sign * row.relative
    return {
        "control_mean": _mean(means[control]),
        "treatment_mean": _mean(means[row.variant]),
        "control_samples": means[control].n,
        "treatment_samples": means[row.variant].n,
        "difference": row.effect,
        "confidence_interval": [row.lower, row.upper],
        "improvement_percent": better,
        "p_value": row.p_value,
        "confidence": 1 - row.p_value,
        "significant": winner != NOBODY,
        "winner": winner,
    }


def _statistics(experiment: Experiment, arm: Arm) -> dict[str, Any]:
    return {
        "model_version": experiment.variant(arm.variant).reference(experiment.model),
        "sample_size": arm.units,
        "requests": arm.requests,
        "errors": arm.errors,
        "metrics": {
            name: {"mean": _mean(one), "std": one.sd, "count": one.n}
            for name, one in arm.metrics.items()
        },
        "reported_without_request": {
            name: {"mean": one.mean, "count": one.n} for name, one in arm.reported.items()
        },
    }


def _mean(figures: MetricFigures) -> float | None:
    return figures.mean if figures.n else None


def _metric(experiment: Experiment, name: str) -> Metric:
    return next(one for one in experiment.design.metrics.all if one.name == name)


def _hours(experiment: Experiment, now: datetime) -> float:
    if experiment.started_at is None:
        return 0.0
    return ((experiment.ended_at or now) - experiment.started_at).total_seconds() / _HOUR_S


def _said(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
