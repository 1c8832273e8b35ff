"""Versions and experiments as this dialect's records, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import MetricFigures, Report
from palio.registry.domain import Version, parted

__all__ = [
    "Record",
    "experiment_record",
    "model_id",
    "model_record",
    "results",
    "training_record",
]

Record = dict[str, Any]


def model_record(version: Version, *, line: str, status: str, production: str | None) -> Record:
    """Return a version as a model with its figures."""
    signature = version.signature
    return {
        "model_id": model_id(version.reference, line),
        "version": version.tags.get("version", version.version),
        "status": status,
        "is_production": version.model == line and version.version == production,
        "description": version.description,
        "model_type": version.architecture or version.flavor,
        "created_at": _moment(version.created_at),
        "created_by": version.created_by,
        "metrics": dict(version.metrics),
        "features": [feature.name for feature in signature.features] if signature else [],
        "classes": list(signature.classes) if signature else [],
    }


def training_record(training: Mapping[str, Any]) -> Record:
    """Return how a model was trained: settings, rows and the fingerprint of its data."""
    return {name: value for name, value in training.items() if name != "features"}


def experiment_record(experiment: Experiment, *, line: str) -> Record:
    """Return an experiment with its models and what each gets of the traffic."""
    design, ids = experiment.design, _ids(experiment, line)
    return {
        "experiment_id": experiment.key,
        "name": design.title or experiment.key,
        "description": design.description,
        "status": str(experiment.state),
        "models": [
            {"model_id": model, "traffic_percentage": _percentage(experiment.weights[variant])}
            for variant, model in ids.items()
        ],
        "created_at": _moment(experiment.created_at),
        "created_by": experiment.created_by,
        "started_at": _moment(experiment.started_at),
        "ended_at": _moment(experiment.ended_at),
        "winner": ids.get(experiment.winner or ""),
        "reason": experiment.reason,
    }


def results(experiment: Experiment, report: Report, *, line: str) -> Record:
    """Return what an experiment has shown so far: counts, figures, comparisons, the decision."""
    ids = _ids(experiment, line)
    decision = report.decision
    return {
        "experiment_id": experiment.key,
        "decision": str(decision.kind),
        "model_id": ids.get(decision.variant or ""),
        "reasons": list(decision.reasons),
        "models": [
            {
                "model_id": ids[arm.variant],
                "traffic_percentage": _percentage(arm.weight),
                "requests": arm.requests,
                "errors": arm.errors,
                "labelled": arm.labelled,
                "metrics": {name: _figures(found) for name, found in arm.metrics.items()},
            }
            for arm in report.arms
        ],
        "comparisons": [
            {
                "metric": row.metric,
                "model_id": ids[row.variant],
                "baseline_model_id": ids[experiment.control.key],
                "effect": row.effect,
                "lower": row.lower,
                "upper": row.upper,
                "p_value": row.p_value,
                "alpha": row.alpha,
                "verdict": str(row.verdict),
            }
            for row in report.contrasts
        ],
        "sample_ratio_mismatch": report.sample_ratio.mismatch,
    }


def model_id(version: str, line: str) -> str:
    """Return how a version is called here: by its name, one of another model as ``model:name``.

    Examples
    --------
    >>> model_id("v2", "credtech"), model_id("fraud:v7", "credtech")
    ('v2', 'fraud:v7')
    """
    model, name = parted(version, line)
    return name if model == line else f"{model}:{name}"


def _ids(experiment: Experiment, line: str) -> dict[str, str]:
    """Return the model of each variant."""
    return {
        variant.key: model_id(variant.reference(experiment.model), line)
        for variant in experiment.design.variants
    }


def _figures(found: MetricFigures) -> Record:
    """Return a metric's figures; of nothing there is no mean."""
    known = found.n > 0
    return {
        "n": found.n,
        "mean": found.mean if known else None,
        "sd": found.sd if known else None,
    }


def _percentage(share: float) -> float:
    return round(100 * share, 6)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
