"""Erasing: everything of a unit leaves the log, and what was folded of it the statistics.

It is a fold backwards: what the units contributed up to the cursor is taken off, so that the
statistics equal a recomputation from the events that are left. Nothing is folded for it. How a
variant's values fell cannot be taken back, one step of many: it is read anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from palio.experiments.designs.metrics import overdue
from palio.experiments.domain import Experiment
from palio.experiments.events import LABEL, Exposure, LogEntry, Outcome, Prediction
from palio.experiments.folding.changes import Changes, UnitKey
from palio.experiments.folding.folding import Batch, has_crossed, in_force
from palio.experiments.folding.measures import Measures
from palio.experiments.folding.quality import forget_within
from palio.experiments.folding.statistics import Cursor
from palio.experiments.ports import EventLog, ExperimentUnit
from palio.experiments.privacy.marks import ERASED, StoreMark
from palio.experiments.privacy.retaining import is_incomplete

__all__ = ["Erased", "Traces", "erase_within"]

_PAGE = 1_000  # entries read at once
_REQUESTS = 500  # whose events are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was removed of units.

    ``known`` are those of the ``units`` asked for that anything was kept of; ``outcomes`` those
    sent for them and for their requests, each revision; ``assignments`` the variants that they
    had kept; ``experiments`` those whose statistics they were part of.
    """

    units: int
    known: int
    predictions: int
    exposures: int
    outcomes: int
    assignments: int
    experiments: tuple[str, ...]


@dataclass(slots=True)
class Traces:
    """What the log has of units: places and names only, however much they were served."""

    units: frozenset[str]
    up_to: int = 0
    predictions: dict[int, str] = field(default_factory=dict)
    exposures: list[LogEntry] = field(default_factory=list)
    outcomes: set[int] = field(default_factory=set)
    known: set[str] = field(default_factory=set)

    @property
    def requests(self) -> Sequence[str]:
        """The requests that they were served."""
        return list(dict.fromkeys(self.predictions.values()))

    def read_on(self, log: EventLog) -> bool:
        """Read the next page of what they were given; False where there is no more."""
        page = log.given_to(self.units, after=self.up_to, limit=_PAGE)
        for entry in page:
            self.known.add(entry.event.unit or "")
            if isinstance(entry.event, Prediction):
                self.predictions[entry.seq] = entry.event.request_id
            else:
                self.exposures.append(entry)
        self.up_to = page[-1].seq if page else self.up_to
        return len(page) == _PAGE

    def seqs(self) -> Iterator[int]:
        """Yield the places of all events found."""
        yield from self.predictions
        yield from (entry.seq for entry in self.exposures)
        yield from self.outcomes


def erase_within(unit: ExperimentUnit, traces: Traces, now: datetime) -> Erased:
    """Erase units inside a unit of work that is open, and in which nobody else folds.

    Parameters
    ----------
    unit
        The unit of work; every experiment's cursor is locked in it.
    traces
        What a reader has found of them; the rest is looked up here.
    now
        The present moment.
    """
    takings = [_Taking.of(unit, one, traces.units) for one in _started(unit)]
    while traces.read_on(unit.log):
        pass
    for entry in traces.exposures:
        for taking in takings:
            taking.take_exposure(entry)
    _take_requests(unit, takings, traces)
    _take_outcomes(unit, takings, traces)
    touched = [taking for taking in takings if taking.is_touched]
    for taking in touched:
        taking.changes.write(unit)
        traces.known |= {name for _, name in taking.changes.gone}
    kept = _remove_assignments(unit, [one.experiment.key for one in takings], traces)
    unit.log.erase(list(traces.seqs()))
    mark = unit.marks.get(ERASED, lock=True)
    count = 1 if mark is None else int(mark.value) + 1
    unit.marks.put_many([StoreMark(name=ERASED, value=str(count), at=now)])
    for taking in touched:
        _read_falls_anew(unit, taking)
    return Erased(
        units=len(traces.units),
        known=len(traces.known),
        predictions=len(traces.predictions),
        exposures=len(traces.exposures),
        outcomes=len(traces.outcomes),
        assignments=kept,
        experiments=tuple(one.experiment.key for one in touched),
    )


def _started(unit: ExperimentUnit) -> list[Experiment]:
    """Return the experiments that have a place in the log, always in the same order."""
    found = [one for one in unit.experiments.find() if one.started_at is not None]
    return sorted(found, key=lambda one: one.key)


def _take_requests(unit: ExperimentUnit, takings: Sequence[_Taking], traces: Traces) -> None:
    requests = traces.requests
    for start in range(0, len(requests), _REQUESTS):
        by_request: defaultdict[str, list[LogEntry]] = defaultdict(list)
        for entry in unit.log.of_requests(requests[start : start + _REQUESTS]):
            by_request[entry.event.request_id or ""].append(entry)
            if isinstance(entry.event, Outcome):
                traces.outcomes.add(entry.seq)
        for request in by_request.values():
            left = [entry for entry in request if _is_anothers(entry, traces.units)]
            forget_within(unit, request, left)
            for taking in takings:
                taking.take_request(unit, request, left)


def _is_anothers(entry: LogEntry, units: frozenset[str]) -> bool:
    """Tell whether a prediction was for another unit, under the id of the same request."""
    return isinstance(entry.event, Prediction) and entry.event.unit not in units


def _take_outcomes(unit: ExperimentUnit, takings: Sequence[_Taking], traces: Traces) -> None:
    for name in sorted(traces.units):
        entries = unit.log.of_units([name])
        if entries:
            traces.known.add(name)
            traces.outcomes |= {entry.seq for entry in entries}
            for taking in takings:
                taking.take_outcomes(name, entries)


def _remove_assignments(unit: ExperimentUnit, keys: Iterable[str], traces: Traces) -> int:
    named = [(key, name) for key in keys for name in traces.units]
    found = unit.sticky.get_many(named).values()
    for one in found:
        traces.known.add(one.unit)
        unit.sticky.remove(experiment=one.experiment, unit=one.unit)
    return len(found)


@dataclass(slots=True)
class _Taking:
    """What is taken off the statistics of one experiment."""

    experiment: Experiment
    cursor: Cursor
    units: frozenset[str]
    changes: Changes

    @classmethod
    def of(cls, unit: ExperimentUnit, experiment: Experiment, units: frozenset[str]) -> _Taking:
        """Lock an experiment's cursor, and take out the rows of units."""
        cursor = unit.cursors.get(experiment.key, lock=True) or Cursor(experiment.key, 0)
        cursor = replace(cursor, revision=cursor.revision + 1)
        unit.cursors.put_many([cursor])  # what others have reckoned meanwhile is not written
        taking = cls(
            experiment, cursor, units, Changes(experiment, Measures.of(experiment.design))
        )
        epochs = range(1, experiment.epoch + 1)
        keys = [(experiment.key, epoch, name) for epoch in epochs for name in units]
        for row in unit.unit_values.get_many(keys).values():
            key, changes = (row.epoch, row.unit), taking.changes
            changes.rows[key] = row
            changes.gone.add(key)
            changes.counts[row.epoch, row.variant].units -= 1
            changes.values[key] = {}
        return taking

    @property
    def is_touched(self) -> bool:
        """Tell whether the units were part of it."""
        return bool(self.changes.gone or self.changes.counts)

    def _is_own(self, entry: LogEntry) -> bool:
        event = entry.event
        given = isinstance(event, Prediction | Exposure) and event.counts_for(self.experiment.key)
        return given and entry.seq <= self.cursor.seq

    def take_exposure(self, entry: LogEntry) -> None:
        """Take off that a unit crossed over."""
        given = entry.event
        if isinstance(given, Exposure) and self._is_own(entry):
            row = self.changes.rows.get((given.epoch, given.unit))
            crossed = row is not None and has_crossed(row, given)
            self.changes.counts[given.epoch, given.variant].crossovers -= crossed

    def take_request(
        self, unit: ExperimentUnit, request: Sequence[LogEntry], left: Sequence[LogEntry]
    ) -> None:
        """Take a request off, and add what is left of it."""
        self._move(unit, request, -1)
        self._move(unit, left, 1)

    def _move(self, unit: ExperimentUnit, request: Sequence[LogEntry], sign: int) -> None:
        served = next((entry for entry in request if self._is_own(entry)), None)
        if served is None or not isinstance(served.event, Prediction):
            return
        prediction, changes = served.event, self.changes
        key = (prediction.epoch, prediction.unit)
        if not self._has_row(unit, key):
            return
        counts = changes.counts[prediction.epoch, prediction.variant or ""]
        counts.requests += sign
        counts.errors += sign * (prediction.error is not None)
        if changes.rows[key].variant != prediction.variant:
            counts.crossovers += sign * has_crossed(changes.rows[key], prediction)
            return
        known = self._known(request)
        counts.outcomes += sign * len(known)
        counts.labelled += sign * any(outcome.name == LABEL for outcome in known)
        counts.overdue += sign * overdue(changes.measures.metrics, known, prediction.at)
        if key not in changes.gone:  # the whole row of a unit that is gone is taken off
            matured = served.seq <= self.cursor.matured
            changes.add(key, changes.measures.of_request(prediction, known, matured=matured), sign)

    def _has_row(self, unit: ExperimentUnit, key: UnitKey) -> bool:
        rows = self.changes.rows
        if key not in rows:
            row = unit.unit_values.get(self.experiment.key, *key)
            if row is not None:
                rows[key] = row
        return key in rows

    def take_outcomes(self, name: str, entries: Sequence[LogEntry]) -> None:
        """Take off the counts of outcomes that were sent for a unit as a whole."""
        keys = sorted(key for key in self.changes.gone if key[1] == name)
        if keys:
            row, measures = self.changes.rows[keys[0]], self.changes.measures
            own = [one for one in self._known(entries) if self.experiment.covers(one.at)]
            counts = self.changes.counts[row.epoch, row.variant]
            counts.outcomes -= len(own)
            counts.overdue -= overdue(measures.of_outcomes, own, row.first_at)

    def _known(self, entries: Iterable[LogEntry]) -> list[Outcome]:
        return in_force(
            entry.event
            for entry in entries
            if isinstance(entry.event, Outcome) and entry.seq <= self.cursor.seq
        )


def _read_falls_anew(unit: ExperimentUnit, taking: _Taking) -> None:
    """Follow a variant's values through the log once more, page by page."""
    experiment, cursor, measures = taking.experiment, taking.cursor, taking.changes.measures
    if measures.followed is None or is_incomplete(unit, experiment):
        return
    unit.falls.remove(experiment=experiment.key)
    at = replace(cursor, seq=cursor.start, matured=cursor.start)
    while at.seq < cursor.seq:
        page = unit.log.after(at.seq, limit=_PAGE)
        entries = [entry for entry in page if entry.seq <= cursor.seq]
        if not entries:
            return
        end = entries[-1].seq
        moved = replace(at, seq=end, matured=end)
        batch = Batch(experiment, at, moved, entries, (), Changes(experiment, measures))
        batch.reckon(unit)
        batch.changes.write_falls(unit)
        at = moved
