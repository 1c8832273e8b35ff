"""Tests and their results, rendered: the document's fields, Palio's figures."""

from __future__ import annotations

from datetime import UTC, datetime
from math import sqrt
from typing import Any

from palio.dialects.crowetrade.designs import RETURN
from palio.dialects.crowetrade.words import STATUSES, STRATEGIES
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Arm, DecisionKind, MetricFigures, Report
from palio.stats import AsymptoticRule, tuned_rho2

__all__ = ["moment", "results_of", "test_of", "winner_of"]

_NOTHING = MetricFigures(0, 0.0, 0.0)
_DAY_S = 86_400
_TWO = 2


def test_of(experiment: Experiment) -> dict[str, Any]:
    """Return what a test compares and by what rules.

    Weights that move by themselves are those that it began with: no file could keep up.
    """
    design = experiment.design
    stop_loss = design.stop_loss
    days, moves = design.stopping.max_duration_s, design.policy.moves
    return {
        "test_id": experiment.key,
        "name": design.title or experiment.key,
        "description": design.description,
        "status": str(STATUSES[experiment.state]),
        "created_by": experiment.created_by,
        "created_at": moment(experiment.created_at),
        "started_at": moment(experiment.started_at),
        "allocation_strategy": str(STRATEGIES.get(design.policy.kind, design.policy.kind)),
        "significance_level": design.stopping.alpha,
        "minimum_sample_size": design.stopping.min_sample,
        "max_duration_days": None if days is None else days / _DAY_S,
        "early_stopping": design.stopping.early_stop,
        "min_allocation_per_arm": design.policy.min_weight,
        "max_allocation_per_arm": design.policy.max_weight,
        "stop_loss_threshold": None if stop_loss is None else stop_loss.threshold,
        "max_drawdown": None if stop_loss is None else stop_loss.max_drawdown,
        "arms": [
            {
                "arm_id": one.key,
                "model_registry_id": one.reference(experiment.model),
                "allocation_weight": one.weight if moves else experiment.weights[one.key],
            }
            for one in design.variants
        ],
    }


def results_of(experiment: Experiment, report: Report) -> dict[str, Any]:
    """Return the results of a test, whoever has made it, at the moment of a report."""
    until = experiment.ended_at or report.at
    since = experiment.started_at or experiment.created_at
    arms = [_arm(experiment, one) for one in report.arms]
    total = sum(one["total_requests"] for one in arms)
    found = {
        **test_of(experiment),
        "duration_days": (until - since).total_seconds() / _DAY_S,
        "arms": arms,
        "total_requests": total,
        "requests_per_arm": total / len(arms),
        "decision": {"kind": str(report.decision.kind), "reasons": list(report.decision.reasons)},
        "winner": winner_of(experiment, report),
        "stopped_at": moment(experiment.ended_at),
        "stop_reason": experiment.reason,
    }
    if len(arms) == _TWO:
        found["significance_test"] = _significance(experiment, report)
    return found


def winner_of(experiment: Experiment, report: Report) -> str | None:
    """Return the arm that a test has ended with, or has shown to be the best."""
    decided = report.decision.variant if report.decision.kind is DecisionKind.SHIP else None
    return experiment.winner or experiment.chosen or decided


def _arm(experiment: Experiment, arm: Arm) -> dict[str, Any]:
    told = {name: MetricFigures(one.n, one.mean, 0.0) for name, one in arm.reported.items()}
    returns = arm.metrics.get(RETURN) or told.get(RETURN, _NOTHING)
    win_rate = arm.metrics.get(f"win_rate({RETURN})", _NOTHING)
    own = {one.key: one.reference(experiment.model) for one in experiment.design.variants}
    return {
        "arm_id": arm.variant,
        "model_registry_id": own[arm.variant],
        "allocation_weight": arm.weight,
        "total_requests": max(arm.units, arm.requests),
        "results": returns.n,
        "mean_return": returns.mean,
        "std_return": returns.sd,
        "sharpe_ratio": returns.mean / returns.sd if returns.sd else 0.0,
        "win_rate": win_rate.mean,
        "confidence_interval": _interval(experiment, returns),
        "additional_metrics": {
            name: {"count": one.n, "mean": one.mean}
            for name, one in {**told, **arm.metrics}.items()
            if one.n and not (name == RETURN or name.endswith(f"({RETURN})"))
        },
        "reported_returns": told.get(RETURN, _NOTHING).n,
    }


def _interval(experiment: Experiment, found: MetricFigures) -> list[float] | None:
    """Return where the mean lies, however often one looks; nothing while that is not known."""
    if found.n < _TWO or not found.sd:
        return None
    stopping = experiment.design.stopping
    rule = AsymptoticRule(stopping.alpha, tuned_rho2(stopping.alpha, stopping.min_sample))
    return list(rule.interval(found.mean, found.sd / sqrt(found.n), found.n))


def _significance(experiment: Experiment, report: Report) -> dict[str, Any]:
    control, challenger = report.arms
    row = report.goal(challenger.variant)
    figures = [arm.metrics[row.metric] for arm in report.arms]
    spread = sqrt(sum(one.sd**2 for one in figures) / len(figures))
    effect = row.effect or 0.0
    significant = row.effect is not None and row.p_value <= row.alpha
    better = effect * experiment.design.metrics.goal_metric.direction.sign > 0
    winner = (challenger if better else control).variant if significant else None
    return {
        "metric": row.metric,
        "significant": significant,
        "p_value": row.p_value,
        "winner": winner,
        "effect": row.effect,
        "relative_effect": row.relative,
        "effect_size": effect / spread if spread else 0.0,
        "confidence_interval": [row.lower, row.upper],
        "chance_to_beat": row.chance_to_beat,
        "verdict": str(row.verdict),
    }


def moment(at: datetime | None) -> str | None:
    """Return a time as the document's files have it."""
    return None if at is None else at.astimezone(UTC).isoformat()
