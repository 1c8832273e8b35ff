"""Verbs that fold the log and look: reports, records, recomputation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palio.access.alerts import raise_alert
from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidInput, NotFound
from palio.experiments.alerting import alerts_of_look
from palio.experiments.designs.design import ExperimentDraft
from palio.experiments.domain import Experiment, State
from palio.experiments.finding import find_experiment as _find
from palio.experiments.finding import statistics_of as _statistics
from palio.experiments.folding.folding import read_batch
from palio.experiments.folding.rebuilding import clear_folded
from palio.experiments.folding.verification import Verification, verify_within
from palio.experiments.judging.analysis import (
    Contrast,
    Look,
    Record,
    Report,
    looks_of,
)
from palio.experiments.judging.decision import report_of
from palio.experiments.judging.exploring import explore_within
from palio.experiments.judging.thinning import superfluous
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.experiments.privacy.retaining import is_incomplete
from palio.ports import Clock, Ids, Store
from palio.registry.signing.attestation import NOBODY, Vouching

__all__ = ["Reports"]

_BATCH = 1_000  # log entries folded in one unit of work


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What an experiment has shown: the verbs that fold the log and look."""

    store: Store[ExperimentUnit]
    clock: Clock
    ids: Ids
    actor: Identity
    vouching: Vouching = NOBODY
    pseudonyms: Pseudonyms = AS_SENT

    @requires(Role.VIEWER)
    def analyze(self, key: str) -> Report:
        """Fold the log, then say what the evidence shows and what should be done.

        May be called as often as one likes: the intervals stay valid. What a look is the first
        to see is kept. An experiment that has ended answers the record it ended with.
        """
        with self.store.read() as unit:
            record = unit.records.get(key)
        if record is not None:
            return record.report
        self._fold(key)
        with self.store.write() as unit:
            return self._look(unit, _find(unit, key, lock=True))

    @requires(Role.VIEWER)
    def looks(self, key: str) -> Sequence[Look]:
        """Return what every look has shown, oldest first."""
        with self.store.read() as unit:
            _find(unit, key)
            return unit.looks.find(experiment=key)

    @requires(Role.VIEWER)
    def record(self, key: str) -> Record:
        """Return the analysis that an experiment ended with."""
        with self.store.read() as unit:
            _find(unit, key)
            record = unit.records.get(key)
        if record is None:
            raise NotFound(
                f"{key} has no record yet; it has one when it is shipped, completed or stopped",
                kind="record",
                name=key,
            )
        return record

    @requires(Role.VIEWER)
    def explore(self, key: str, metrics: Sequence[str]) -> Sequence[Contrast]:
        """Compare on metrics that the design does not name, from the events; decides nothing.

        Parameters
        ----------
        key
            An experiment that has been started.
        metrics
            As a design names them: ``stars:higher``, ``p95(latency_ms):lower``.
        """
        if not metrics:
            raise InvalidInput(
                "metrics is empty; name one at least, as in stars:higher", field="metrics"
            )
        self._fold(key)
        with self.store.read() as unit:
            return list(explore_within(unit, _find(unit, key), metrics))

    @requires(Role.VIEWER)
    def verify(self, key: str) -> Verification:
        """Fold the log, then recompute everything from its events and compare."""
        self._fold(key)
        with self.store.read() as unit:
            return verify_within(unit, _find(unit, key))

    @requires(Role.OPERATOR)
    def rebuild(self, key: str, reason: str) -> Verification:
        """Throw the folded statistics away, fold its events again, and verify.

        For statistics that `verify` finds to differ. Killed on the way, the next fold goes on.
        Looks, crossings, published weights and the record stay as they are.

        Raises
        ------
        Conflict
            If it has not been started, or events of it have been forgotten.
        InvalidInput
            If the reason is empty.
        """
        with self.store.write() as unit:
            change = self._change("experiment.rebuild", key, reason=reason)
            unit.audit.append(clear_folded(unit, _find(unit, key, lock=True), change))
        return self.verify(key)

    def _fold_before(self, design: ExperimentDraft) -> None:
        """Fold what an experiment starts warm from."""
        other = design.policy.warm_start
        with self.store.read() as unit:
            known = other is not None and unit.experiments.get(other) is not None
        if other is not None and known:
            self._fold(other)

    def _fold(self, key: str) -> None:
        """Fold up to where the log stood when this was asked."""
        with self.store.read() as unit:
            experiment, head = _find(unit, key), unit.log.head()
            if experiment.started_at is None or is_incomplete(unit, experiment):
                return
        while True:
            with self.store.read() as unit:
                experiment = _find(unit, key)  # another epoch may have begun
                batch = read_batch(unit, experiment, limit=_BATCH, now=self.clock())
            if batch is None or (batch.entries and batch.before.seq >= head):
                return
            with self.store.write() as unit:
                batch.write(unit)

    def _look(self, unit: ExperimentUnit, experiment: Experiment) -> Report:
        """Decide on what is folded, and keep what this look is the first to see."""
        statistics = _statistics(unit, experiment)
        arms = len(experiment.challengers)
        earlier = unit.looks.find(experiment=experiment.key, last=2 * arms)
        report, fresh = report_of(
            experiment,
            statistics,
            self.clock(),
            known=unit.crossings.find(experiment=experiment.key),
            smallest_p={look.variant: look.p_value for look in earlier[-arms:]},
        )
        if experiment.state in (State.RUNNING, State.PAUSED):
            unit.crossings.put_many(fresh)
            looks = list(looks_of(experiment, report))
            for one in superfluous(earlier, looks):
                unit.looks.remove(
                    experiment=one.experiment, watermark=one.watermark, variant=one.variant
                )
            unit.looks.put_many(looks)
            for alert in alerts_of_look(experiment, report, fresh):
                raise_alert(unit, alert)
        return report

    def _record(self, unit: ExperimentUnit, experiment: Experiment) -> Report:
        report = self._look(unit, experiment)
        unit.records.add(
            Record(experiment=experiment.key, at=report.at, digest=report.digest, report=report)
        )
        return report

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )
