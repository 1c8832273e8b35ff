"""Rebuilding: an experiment's statistics are thrown away, to be folded from its events again."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict, InvalidInput
from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import Cursor
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.retaining import is_incomplete

__all__ = ["clear_folded"]


def clear_folded(unit: ExperimentUnit, experiment: Experiment, change: Change) -> Change:
    """Remove all that was folded of an experiment, and go back to where it started.

    Whoever folds next, page by page, builds it anew. Looks, crossings, published weights and the
    record are what people and policies acted on: they stay.

    Parameters
    ----------
    unit
        The unit of work; the experiment is locked in it.
    experiment
        Whose statistics.
    change
        Who, when and why.

    Returns
    -------
    Change
        For the audit log, with the places before and after.

    Raises
    ------
    Conflict
        If it has not been started, or events of it have been forgotten.
    InvalidInput
        If the change has no reason.
    """
    key = experiment.key
    if not change.reason.strip():
        raise InvalidInput(
            "reason is empty; say why the statistics are built anew", field="reason", value=""
        )
    if experiment.started_at is None:
        raise Conflict(f"{key} has not been started, so nothing was folded", experiment=key)
    if is_incomplete(unit, experiment):
        raise Conflict(
            f"events of {key} have been forgotten (PALIO_RETENTION_DAYS); what was folded from "
            "them cannot be built again, so it stays as it is",
            experiment=key,
        )
    cursor = unit.cursors.get(key, lock=True) or Cursor(key, 0)
    start, revision = cursor.start, cursor.revision + 1
    unit.cursors.put_many([replace(cursor, seq=start, matured=start, revision=revision)])
    for folded in (
        unit.unit_values,
        unit.metric_sums,
        unit.variant_counts,
        unit.reported_sums,
        unit.contrast_sums,
        unit.falls,
    ):
        folded.remove(experiment=key)
    return replace(change, before={"watermark": cursor.seq}, after={"watermark": start})
