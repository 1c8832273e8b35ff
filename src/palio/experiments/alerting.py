"""What people are told of experiments: decisions, harm to guardrails, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from palio.access.alerts import Alert, Severity
from palio.access.audit import Change
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Crossing, DecisionKind, MetricRole, Report, Verdict

__all__ = ["alert_of_change", "alerts_of_look"]

_SEVERITIES = {
    DecisionKind.ROLLBACK: Severity.CRITICAL,
    DecisionKind.INVALID: Severity.CRITICAL,
    DecisionKind.SHIP: Severity.INFO,
    DecisionKind.INCONCLUSIVE: Severity.INFO,
}


def alerts_of_look(
    experiment: Experiment, report: Report, fresh: Iterable[Crossing]
) -> Iterator[Alert]:
    """Give what a look at an open experiment has to tell.

    Parameters
    ----------
    experiment, report
        What was looked at, and what the look showed.
    fresh
        Verdicts that it is the first to see.

    Yields
    ------
    Alert
        One for a decision other than to go on, each kind once in an epoch; one for each
        guardrail that is harmed.
    """
    decision = report.decision
    if decision.kind in _SEVERITIES:
        yield Alert.of(
            "experiment.decided",
            experiment.key,
            occasion=f"{decision.kind} {decision.variant or ''} {experiment.epoch}",
            severity=_SEVERITIES[decision.kind],
            at=report.at,
            text=f"{experiment.key}: {decision.kind}: {'; '.join(decision.reasons)}",
            evidence=_evidence(experiment, report),
        )
    guardrails = {one.metric for one in report.contrasts if one.role is MetricRole.GUARDRAIL}
    for one in fresh:
        if one.metric in guardrails and one.verdict is Verdict.WORSE:
            yield Alert.of(
                "experiment.guardrail_harmed",
                experiment.key,
                occasion=f"{one.metric} {one.variant}",
                severity=Severity.CRITICAL,
                at=report.at,
                text=f"{experiment.key}: {one.variant} harms the guardrail {one.metric}",
                evidence=_evidence(experiment, report) | {"metric": one.metric},
            )


def alert_of_change(experiment: Experiment, change: Change, *, kind: str) -> Alert:
    """Return what is told of an experiment that was shipped or rolled back.

    Parameters
    ----------
    experiment
        As it is now.
    change
        What the audit log keeps of it.
    kind
        ``experiment.shipped`` or ``experiment.rolled_back``.
    """
    said = kind.partition(".")[2].replace("_", " ")
    return Alert.of(
        kind,
        experiment.key,
        occasion=change.at.isoformat(),
        severity=Severity.WARNING if "rolled" in said else Severity.INFO,
        at=change.at,
        text=f"{experiment.key} was {said} by {change.actor}: {change.reason or 'no reason'}",
        evidence={"endpoint": experiment.endpoint, "actor": change.actor, **(change.after or {})},
    )


def _evidence(experiment: Experiment, report: Report) -> dict[str, object]:
    decision = report.decision
    return {
        "endpoint": experiment.endpoint,
        "model": experiment.model,
        "decision": decision.kind,
        "variant": decision.variant,
        "reasons": decision.reasons,
        "watermark": report.watermark,
        "analysis": report.digest,
    }
