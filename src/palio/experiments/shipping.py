"""Which variant is shipped: the one that has won, or the one that is forced."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict, InvalidInput
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import DecisionKind, Report
from palio.registry.domain import Version

__all__ = ["check_own", "check_unmoved", "chosen_variant", "has_won", "shipment"]


def chosen_variant(
    experiment: Experiment, report: Report, variant: str | None, *, force: bool
) -> str:
    """Return the key of the variant to ship.

    Raises
    ------
    Conflict
        If none has won, or another one than was named, and nothing is forced.
    InvalidInput
        If it is forced without saying which of several challengers.
    """
    decision = report.decision
    if force:
        return _forced(experiment, variant)
    if decision.kind is not DecisionKind.SHIP or decision.variant is None:
        raise Conflict(
            f"{experiment.key} is not ready to ship: {decision.kind} "
            f"({'; '.join(decision.reasons)}); force it with a reason, if you must",
            experiment=experiment.key,
            decision=decision.kind,
            reasons=list(decision.reasons),
        )
    if variant not in (None, decision.variant):
        raise Conflict(
            f"{decision.variant} has won {experiment.key}, not {variant}; leave the variant out, "
            "or force it with a reason",
            experiment=experiment.key,
            winner=decision.variant,
        )
    return decision.variant


def check_own(experiment: Experiment, winner: Version) -> None:
    """Raise ``Conflict`` if the winner is of another model, whose production it would not be."""
    if winner.model != experiment.model:
        raise Conflict(
            f"{winner.reference} is of another model than {experiment.model}, which "
            f"{experiment.endpoint} serves, so it cannot be its champion; complete "
            f"{experiment.key}, promote the version in its own model and serve that",
            experiment=experiment.key,
            version=winner.reference,
        )


def check_unmoved(experiment: Experiment, champion: str | None) -> None:
    """Raise ``Conflict`` if production has been moved since an experiment started."""
    if champion != experiment.champion:
        raise Conflict(
            f"{experiment.model}@champion points at {champion or 'nothing'}, not at "
            f"{experiment.champion or 'nothing'}, as it did when {experiment.key} started; "
            f"complete {experiment.key}, and promote the version you want",
            experiment=experiment.key,
            expected=experiment.champion,
            actual=champion,
        )


def has_won(report: Report, variant: str) -> bool:
    """Tell whether the evidence says to ship a variant, so that nothing is forced."""
    decision = report.decision
    return (DecisionKind.SHIP, variant) == (decision.kind, decision.variant)


def shipment(  # noqa: PLR0917 -- one entry
    change: Change, before: Experiment, after: Experiment, report: Report, champion: str
) -> Change:
    """Return what the audit log keeps of a shipment."""
    return replace(
        change,
        before={"state": before.state, "champion": before.champion},
        after={
            "state": after.state,
            "champion": champion,
            "winner": after.winner,
            "forced": not has_won(report, after.winner or ""),
            "decision": report.decision.kind,
            "reasons": report.decision.reasons,
            "analysis": report.digest,
            "watermark": report.watermark,
        },
    )


def _forced(experiment: Experiment, variant: str | None) -> str:
    """Return the variant that was named, or the only challenger."""
    if variant is not None:
        return experiment.variant(variant).key
    challengers = [one.key for one in experiment.challengers]
    if len(challengers) > 1:
        raise InvalidInput(
            f"variant is missing; say which of {', '.join(challengers)} is forced",
            field="variant",
        )
    return challengers[0]
