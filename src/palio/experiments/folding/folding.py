"""Folding: the event log becomes statistics, a batch at a time.

The fold is a difference: what a touched request or unit contributed before the batch is taken
off, what it contributes now is added. Late, repeated and corrected outcomes, outcomes before
their prediction, and labels that count from now on because they have matured, are therefore all
the same case.

A batch is read and reckoned without holding up anybody who writes. Then cursor and statistics are
written in one unit of work, unless another process has folded meanwhile: the locked cursor, still
standing where the batch began, is the lease.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import fsum

from palio.experiments.designs.metrics import Metric, outcome_values, overdue, reported_values
from palio.experiments.domain import Experiment
from palio.experiments.events import LABEL, Exposure, LogEntry, Outcome, Prediction
from palio.experiments.folding.changes import Changes, UnitKey
from palio.experiments.folding.measures import Measures
from palio.experiments.folding.statistics import Cursor, UnitValues
from palio.experiments.ports import ExperimentUnit

__all__ = ["Batch", "has_crossed", "in_force", "read_batch"]

_GIVING = (Prediction, Exposure)  # what gives a unit its variant


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave cycles alone meanwhile.

    A batch makes none, but so many objects that the collector would walk through all that the
    process holds, again and again: a third of the time, and pauses for whoever else is served.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_uncollected()
def read_batch(
    unit: ExperimentUnit, experiment: Experiment, *, limit: int, now: datetime
) -> Batch | None:
    """Read the next batch of the log and reckon what it changes.

    Parameters
    ----------
    unit
        An open unit of work; nothing is written.
    experiment
        One that has been started.
    limit
        Entries to read at most.
    now
        The moment by which labels have matured or not.

    Returns
    -------
    Batch or None
        To be written; ``None`` when the statistics stand at the log's head.
    """
    cursor = unit.cursors.get(experiment.key) or Cursor(experiment.key, 0)
    entries = unit.log.after(cursor.seq, limit=limit)
    end = entries[-1].seq if entries else cursor.seq
    ripe, matured = _ripened(unit, experiment, cursor, end=end, now=now, limit=limit)
    if not entries and matured == cursor.matured:
        return None
    moved = replace(cursor, seq=end, matured=matured)
    changes = Changes(experiment, Measures.of(experiment.design))
    batch = Batch(experiment, cursor, moved, entries, ripe, changes)
    batch.reckon(unit)
    return batch


def _ripened(
    unit: ExperimentUnit,
    experiment: Experiment,
    cursor: Cursor,
    *,
    end: int,
    now: datetime,
    limit: int,
) -> tuple[list[LogEntry], int]:
    """Return what has matured since, and up to where everything has.

    It is a place in the log: the entry before the first one that is too young.
    """
    delay_s = experiment.design.label_delay_s
    if not delay_s:
        return [], end
    young = now - timedelta(seconds=delay_s)
    ripe, matured = [], cursor.matured
    for entry in unit.log.after(cursor.matured, limit=limit):
        if entry.seq > end:
            break
        if _is_own(entry, experiment):
            if entry.event.at > young:
                break
            ripe.append(entry)
        matured = entry.seq
    return ripe, matured


def in_force(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the last revision of each outcome, in the order in which they first arrived.

    Each has the time of its first revision: a correction is as old as what it corrects.
    """
    latest: dict[str, Outcome] = {}
    for outcome in outcomes:
        first = latest.get(outcome.outcome_id)
        latest[outcome.outcome_id] = replace(outcome, at=first.at) if first else outcome
    return list(latest.values())


def _is_own(entry: LogEntry, experiment: Experiment) -> bool:
    event = entry.event
    return isinstance(event, _GIVING) and event.counts_for(experiment.key)


@dataclass(slots=True)
class Batch:
    """One batch of entries on its way into the statistics; ``ripe`` ones have matured since."""

    experiment: Experiment
    before: Cursor
    after: Cursor
    entries: Sequence[LogEntry]
    ripe: Sequence[LogEntry]
    changes: Changes

    @property
    def end(self) -> int:
        """Where the log stands after the batch."""
        return self.after.seq

    def reckon(self, unit: ExperimentUnit) -> None:
        """Find out what the batch changes."""
        self._load((entry.event.unit for entry in self.entries), unit)
        for entry in self.entries:
            if _is_own(entry, self.experiment):
                self._admit(entry)
        self._add_requests(unit)
        self._add_units(unit)
        self._add_reported(unit)

    @_uncollected()
    def write(self, unit: ExperimentUnit) -> bool:
        """Write rows, sums, counts and the cursor, all or nothing.

        Returns
        -------
        bool
            Whether it was written: not when another process has folded since it was read.
        """
        cursor = unit.cursors.get(self.experiment.key, lock=True)
        if (cursor or Cursor(self.experiment.key, 0)) != self.before:
            return False
        self.changes.write(unit)
        unit.cursors.put_many([self.after])
        return True

    def _load(self, names: Iterable[str | None], unit: ExperimentUnit) -> None:
        """Load the rows of units, in whichever epochs they are, but those that are there.

        Where the log is read once more, a row can be of a unit that comes later: it is new then.
        """
        rows, experiment = self.changes.rows, self.experiment
        keys = [
            (experiment.key, epoch, name)
            for name in dict.fromkeys(names)
            for epoch in range(1, experiment.epoch + 1)
            if name is not None and (epoch, name) not in rows
        ]
        for row in unit.unit_values.get_many(keys).values():
            if row.first_seq <= self.before.seq:
                rows[row.epoch, row.unit] = row

    def _admit(self, entry: LogEntry) -> None:
        """Give a unit that is new its row."""
        given = entry.event
        if not isinstance(given, Prediction | Exposure) or given.variant is None:
            return
        key, changes = (given.epoch, given.unit), self.changes
        row = changes.rows.get(key)
        if row is not None:
            crossed = isinstance(given, Exposure) and has_crossed(row, given)
            changes.counts[given.epoch, given.variant].crossovers += crossed
            return
        changes.rows[key] = UnitValues(
            experiment=self.experiment.key,
            epoch=given.epoch,
            unit=given.unit,
            variant=given.variant,
            first_at=given.at,
            first_seq=entry.seq,
            policy_version=given.policy_version,
            segments=tuple(given.segments),
        )
        changes.fresh[key] = None
        changes.counts[given.epoch, given.variant].units += 1

    def _add_requests(self, unit: ExperimentUnit) -> None:
        """Add what the touched requests contribute now, less what they did before."""
        touched = [entry.event.request_id for entry in (*self.ripe, *self.entries)]
        names = dict.fromkeys(name for name in touched if name is not None)
        history = unit.log.of_requests(names, up_to=self.before.seq)
        served: dict[str, LogEntry] = {}
        told: defaultdict[str, list[LogEntry]] = defaultdict(list)
        for entry in (*history, *self.entries):
            event = entry.event
            if event.request_id is None:
                continue
            if isinstance(event, Outcome):
                told[event.request_id].append(entry)
            elif _is_own(entry, self.experiment):
                served.setdefault(event.request_id, entry)
        self._load((one.event.unit for one in served.values() if not self._is_new(one)), unit)
        for name, one in served.items():
            self._add_request(one, told.get(name, ()))

    def _add_request(self, served: LogEntry, told: Sequence[LogEntry]) -> None:
        prediction, is_new = served.event, self._is_new(served)
        if not isinstance(prediction, Prediction):
            return
        key, variant = (prediction.epoch, prediction.unit), prediction.variant or ""
        counts = self.changes.counts[prediction.epoch, variant]
        counts.requests += is_new
        counts.errors += is_new and prediction.error is not None
        row = self.changes.rows[key]
        if row.variant != variant:
            counts.crossovers += is_new and has_crossed(row, prediction)
            return
        measures = self.changes.measures
        for cursor, sign in self._states(is_new=is_new):
            known = in_force(_outcomes(told, up_to=cursor.seq)) if told else []
            if not (known or is_new):
                continue
            counts.outcomes += sign * len(known)
            if measures.timed:
                counts.overdue += sign * overdue(measures.timed, known, prediction.at)
            counts.labelled += sign * (LABEL in [outcome.name for outcome in known])
            matured = served.seq <= cursor.matured
            parts = measures.of_request(prediction, known, matured=matured, served=is_new)
            self.changes.add(key, parts, sign)
        if measures.followed is not None:
            self._follow(variant, prediction.at, served.seq, told)

    def _is_new(self, entry: LogEntry) -> bool:
        return entry.seq > self.before.seq

    def _states(self, *, is_new: bool) -> list[tuple[Cursor, int]]:
        """Return what is taken off first, where there was something before, and what is added."""
        return [(self.after, 1)] if is_new else [(self.before, -1), (self.after, 1)]

    def _add_units(self, unit: ExperimentUnit) -> None:
        """Add what units as a whole were reported to have done."""
        told = [entry for entry in self.entries if _is_of_unit(entry)]
        named = {name for _, name in self.changes.fresh}
        named |= {entry.event.unit or "" for entry in (*told, *self.ripe)}
        self._load(named, unit)
        first: dict[str, UnitKey] = {}
        for key in sorted(self.changes.rows):
            first.setdefault(key[1], key)
        history = unit.log.of_units([n for n in named if n in first], up_to=self.before.seq)
        by_unit: defaultdict[str, list[LogEntry]] = defaultdict(list)
        for entry in (*history, *told):
            by_unit[entry.event.unit or ""].append(entry)
        for name, entries in by_unit.items():
            if name in first:
                self._add_unit(first[name], entries)

    def _add_unit(self, key: UnitKey, entries: Sequence[LogEntry]) -> None:
        row, measures = self.changes.rows[key], self.changes.measures
        counts = self.changes.counts[key[0], row.variant]
        for cursor, sign in self._states(is_new=key in self.changes.fresh):
            known = in_force(_outcomes(entries, up_to=cursor.seq))
            own = [one for one in known if self.experiment.covers(one.at)]
            counts.outcomes += sign * len(own)
            counts.overdue += sign * overdue(measures.of_outcomes, own, row.first_at)
            matured = row.first_seq <= cursor.matured
            self.changes.add(key, measures.of_unit(own, row, matured=matured), sign)
            self.changes.add(key, measures.of_history(known, row), sign)
        self._follow(row.variant, row.first_at, row.first_seq, self._covered(entries))

    def _covered(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """Return the outcomes, corrections among them, of what became known after the start."""
        known = {one.outcome_id: one.at for one in in_force(_outcomes(entries, up_to=self.end))}
        return [
            entry
            for entry in entries
            if isinstance(entry.event, Outcome)
            and self.experiment.covers(known[entry.event.outcome_id])
        ]

    def _follow(
        self, variant: str, since: datetime | None, start: int, entries: Sequence[LogEntry]
    ) -> None:
        """Note how a subject's values under a stop-loss moved, larger better, by outcomes."""
        metric = self.changes.measures.followed
        if metric is None:
            return
        fresh = {entry.seq for entry in entries} | {start}
        total = 0.0 if start > self.before.seq else self._total(metric, entries, since, None)
        for seq in sorted(one for one in fresh if one > self.before.seq and one >= start):
            now = self._total(metric, entries, since, seq)
            if now != total:
                self.changes.path.append((seq, variant, now - total))
            total = now

    def _total(
        self,
        metric: Metric,
        entries: Sequence[LogEntry],
        since: datetime | None,
        up_to: int | None,
    ) -> float:
        seq = self.before.seq if up_to is None else up_to
        known = in_force(_outcomes(entries, up_to=seq))
        return metric.direction.sign * fsum(outcome_values(metric, known, since=since))

    def _add_reported(self, unit: ExperimentUnit) -> None:
        """Add what was reported for variants as a whole, apart from all units."""
        ids = {
            entry.event.outcome_id: None
            for entry in self.entries
            if isinstance(entry.event, Outcome) and entry.event.experiment == self.experiment.key
        }
        history = unit.log.of_outcomes(ids, up_to=self.after.seq) if ids else []
        for cursor, sign in self._states(is_new=False):
            for outcome in in_force(_outcomes(history, up_to=cursor.seq)):
                place = (outcome.variant or "", outcome.name)
                values = reported_values(self.changes.measures.metrics, outcome)
                self.changes.reported[place].take(values, sign)


def has_crossed(row: UnitValues, given: Prediction | Exposure) -> bool:
    """Tell whether a unit is in two variants under the same weights.

    Under later ones it was moved: the variant that it kept has lost its weight.
    """
    return row.variant != given.variant and row.policy_version == given.policy_version


def _is_of_unit(entry: LogEntry) -> bool:
    return isinstance(entry.event, Outcome) and entry.event.unit is not None


def _outcomes(entries: Iterable[LogEntry], *, up_to: int) -> list[Outcome]:
    return [
        entry.event for entry in entries if isinstance(entry.event, Outcome) and entry.seq <= up_to
    ]
