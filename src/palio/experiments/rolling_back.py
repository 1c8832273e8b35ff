"""Rolling back: an experiment ends with its control, or what it has shipped is taken back."""

from __future__ import annotations

from dataclasses import replace

from palio.access.alerts import raise_alert
from palio.access.audit import Change
from palio.errors import Conflict, InvalidInput
from palio.experiments.alerting import alert_of_change
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import DecisionKind, Report
from palio.experiments.ports import ExperimentUnit
from palio.registry import aliases
from palio.registry.domain import CHAMPION, parted
from palio.registry.finding import find_model
from palio.registry.promotion import rollback_within
from palio.registry.signing.attestation import Vouching

__all__ = ["give_up", "take_back"]


def give_up(
    unit: ExperimentUnit, experiment: Experiment, report: Report, change: Change
) -> Experiment:
    """End an experiment with a rollback, in a unit of work that keeps the analysis.

    Parameters
    ----------
    unit, experiment
        Where; and as it stands, locked.
    report
        The analysis that it ends with.
    change
        Who, when and why.

    Raises
    ------
    InvalidInput
        If the evidence says something else and no reason is given.
    """
    said = report.decision
    forced = said.kind is not DecisionKind.ROLLBACK
    if forced:
        _need_reason(change, f"the evidence says {said.kind}, not {DecisionKind.ROLLBACK}")
    ended = replace(experiment, state=State.COMPLETED, ended_at=change.at, reason=change.reason)
    unit.experiments.put_many([ended])
    after = {
        "state": ended.state,
        "forced": forced,
        "decision": said.kind,
        "reasons": said.reasons,
        "analysis": report.digest,
        "watermark": report.watermark,
    }
    done = replace(change, before={"state": experiment.state}, after=after)
    raise_alert(unit, alert_of_change(ended, done, kind="experiment.rolled_back"))
    unit.audit.append(done)
    return ended


def take_back(
    unit: ExperimentUnit, experiment: Experiment, change: Change, vouching: Vouching
) -> Experiment:
    """Take production one step back from what an experiment has shipped.

    Raises
    ------
    Conflict
        If it has shipped nothing, or production has moved on since.
    InvalidInput
        If no reason is given.
    """
    key, record = experiment.key, unit.records.get(experiment.key)
    if experiment.winner is None or record is None:
        raise Conflict(
            f"{key} is {experiment.state} and has shipped nothing, so there is nothing to roll "
            "back",
            experiment=key,
            state=experiment.state,
        )
    _, shipped = parted(experiment.variant(experiment.winner).version, experiment.model)
    _need_reason(change, f"{key} has shipped {shipped}")
    find_model(unit, experiment.model, lock=True)
    now = aliases.target(unit, experiment.model, CHAMPION)
    if now != shipped:
        raise Conflict(
            f"the champion of {experiment.model} is {now or 'nobody'}, not {shipped}, which {key} "
            f"has shipped; to take another step back: palio models rollback {experiment.model}",
            experiment=key,
            champion=now,
            winner=shipped,
        )
    moved = replace(change, action="version.rollback", reason=f"experiment {key}: {change.reason}")
    back, rolled = rollback_within(unit, experiment.model, moved, vouching=vouching)
    after = {"champion": back.version, "analysis": record.digest}
    done = replace(change, before={"champion": shipped}, after=after)
    raise_alert(unit, alert_of_change(experiment, done, kind="experiment.rolled_back"))
    unit.audit.append(rolled)
    unit.audit.append(done)
    return experiment


def _need_reason(change: Change, why: str) -> None:
    if not change.reason.strip():
        raise InvalidInput(
            f"reason is missing: {why}; say for the audit log why it is rolled back",
            field="reason",
            value=change.reason,
        )
