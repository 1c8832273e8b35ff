"""Folding: the event log becomes statistics, a batch at a time.

The fold is a difference: what a touched request or unit contributed before the batch is taken
off, what it contributes now is added. Late, repeated and corrected outcomes, and outcomes before
their prediction, are therefore all the same case.

A batch is read and reckoned without holding up anybody who writes. Then cursor and statistics are
written in one unit of work, unless another process has folded meanwhile: the locked cursor, still
standing where the batch began, is the lease.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from palio.experiments.domain import Experiment
from palio.experiments.events import LABEL, Exposure, LogEntry, Outcome, Prediction
from palio.experiments.metrics import (
    Metric,
    Source,
    outcome_values,
    overdue,
    reported_values,
    request_values,
)
from palio.experiments.ports import ExperimentUnit
from palio.experiments.statistics import (
    Cursor,
    MetricSums,
    ReportedSums,
    UnitValues,
    VariantCounts,
)

__all__ = ["Batch", "in_force", "read_batch"]

UnitKey = tuple[int, str]  # epoch, unit


@dataclass(slots=True)
class _Change:
    """What a batch does to one unit's values of one metric: some taken off, some added."""

    off_n: int = 0
    off: float = 0.0
    on_n: int = 0
    on: float = 0.0

    def take(self, values: Sequence[float], sign: int) -> None:
        """Add values, or take them off."""
        if sign > 0:
            self.on_n, self.on = self.on_n + len(values), self.on + sum(values)
        else:
            self.off_n, self.off = self.off_n + len(values), self.off + sum(values)

    def after(self, n: int, total: float) -> tuple[int, float]:
        """Return how many values there are after it, and their sum."""
        left = n - self.off_n
        rest = total - self.off if left else 0.0  # where nothing is left, no rounding is
        return left + self.on_n, rest + self.on


Totals = dict[str, _Change]


def read_batch(unit: ExperimentUnit, experiment: Experiment, *, limit: int) -> Batch | None:
    """Read the next batch of the log and reckon what it changes.

    Parameters
    ----------
    unit
        An open unit of work; nothing is written.
    experiment
        One that has been started.
    limit
        Entries to read at most.

    Returns
    -------
    Batch or None
        To be written; ``None`` when the statistics stand at the log's head.
    """
    cursor = unit.cursors.get(experiment.key) or Cursor(experiment.key, 0)
    entries = unit.log.after(cursor.seq, limit=limit)
    if not entries:
        return None
    batch = Batch(experiment, cursor.seq, entries, experiment.design.metrics.all)
    batch.admit(unit)
    batch.add_requests(unit)
    batch.add_unit_outcomes(unit)
    batch.add_reported(unit)
    return batch


def in_force(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the last revision of each outcome, in the order in which they first arrived.

    Each has the time of its first revision: a correction is as old as what it corrects.
    """
    latest: dict[str, Outcome] = {}
    for outcome in outcomes:
        first = latest.get(outcome.outcome_id)
        latest[outcome.outcome_id] = replace(outcome, at=first.at) if first else outcome
    return list(latest.values())


@dataclass(slots=True)
class _Counts:
    units: int = 0
    requests: int = 0
    errors: int = 0
    labelled: int = 0
    outcomes: int = 0
    crossovers: int = 0
    overdue: int = 0


@dataclass(slots=True)
class Batch:
    """One batch of entries on its way into the statistics."""

    experiment: Experiment
    cursor: int
    entries: Sequence[LogEntry]
    metrics: Sequence[Metric]
    rows: dict[UnitKey, UnitValues] = field(default_factory=dict)
    fresh: set[UnitKey] = field(default_factory=set)
    totals: defaultdict[UnitKey, Totals] = field(default_factory=lambda: defaultdict(dict))
    counts: defaultdict[tuple[int, str], _Counts] = field(
        default_factory=lambda: defaultdict(_Counts)
    )
    reported: defaultdict[tuple[str, str], _Change] = field(
        default_factory=lambda: defaultdict(_Change)
    )

    @property
    def end(self) -> int:
        """The last entry's ``seq``."""
        return self.entries[-1].seq

    @property
    def own(self) -> list[Prediction | Exposure]:
        """What of the batch gave units of this experiment their variant."""
        return [
            entry.event
            for entry in self.entries
            if isinstance(entry.event, Prediction | Exposure)
            and entry.event.counts_for(self.experiment.key)
        ]

    def admit(self, unit: ExperimentUnit) -> None:
        """Load the rows of all units concerned, and give new units theirs."""
        named = {entry.event.unit: None for entry in self.entries if entry.event.unit is not None}
        keys = [
            (self.experiment.key, epoch, name)
            for name in named
            for epoch in range(1, self.experiment.epoch + 1)
        ]
        known = unit.unit_values.get_many(keys)
        self.rows = {(row.epoch, row.unit): row for row in known.values()}
        for given in self.own:
            self._admit_one(given)
            if isinstance(given, Exposure):
                before = self.rows[given.epoch, given.unit].variant
                crossed = before != given.variant
                self.counts[given.epoch, given.variant].crossovers += crossed

    def _admit_one(self, given: Prediction | Exposure) -> None:
        key = (given.epoch, given.unit)
        if key in self.rows or given.variant is None:
            return
        self.rows[key] = UnitValues(
            experiment=self.experiment.key,
            epoch=given.epoch,
            unit=given.unit,
            variant=given.variant,
            first_at=given.at,
        )
        self.fresh.add(key)
        self.counts[given.epoch, given.variant].units += 1

    def add_requests(self, unit: ExperimentUnit) -> None:
        """Add what the touched requests contribute now, less what they did before."""
        touched = {entry.event.request_id: None for entry in self.entries}
        touched.pop(None, None)
        history = unit.log.of_requests(
            [name for name in touched if name is not None], up_to=self.end
        )
        by_request: defaultdict[str | None, list[LogEntry]] = defaultdict(list)
        for entry in history:
            by_request[entry.event.request_id].append(entry)
        self._load_rows_of(unit, history)
        for request in by_request.values():
            self._add_request(request)

    def _load_rows_of(self, unit: ExperimentUnit, history: Sequence[LogEntry]) -> None:
        """Load the rows of units whose outcome is in the batch and whose prediction was before."""
        missing = {
            (self.experiment.key, entry.event.epoch, entry.event.unit)
            for entry in history
            if isinstance(entry.event, Prediction)
            and entry.event.counts_for(self.experiment.key)
            and (entry.event.epoch, entry.event.unit) not in self.rows
        }
        for row in unit.unit_values.get_many(missing).values():
            self.rows[row.epoch, row.unit] = row

    def _add_request(self, request: Sequence[LogEntry]) -> None:
        served = next((entry for entry in request if self._is_own(entry)), None)
        if served is None or not isinstance(served.event, Prediction):
            return
        prediction = served.event
        is_new = served.seq > self.cursor
        key = (prediction.epoch, prediction.unit)
        counts = self.counts[prediction.epoch, prediction.variant or ""]
        counts.requests += is_new
        counts.errors += is_new and prediction.error is not None
        if self.rows[key].variant != prediction.variant:
            counts.crossovers += is_new
            return
        after = in_force(_outcomes(request))
        before = [] if is_new else in_force(_outcomes(request, up_to=self.cursor))
        counts.outcomes += len(after) - len(before)
        counts.overdue += overdue(self.metrics, after, prediction.at)
        counts.overdue -= overdue(self.metrics, before, prediction.at)
        counts.labelled += _labelled(after) - _labelled(before)
        for metric in self.metrics:
            self._add(key, metric.name, request_values(metric, prediction, after), 1)
            if not is_new:
                self._add(key, metric.name, request_values(metric, prediction, before), -1)

    def _is_own(self, entry: LogEntry) -> bool:
        event = entry.event
        return isinstance(event, Prediction) and event.counts_for(self.experiment.key)

    def add_unit_outcomes(self, unit: ExperimentUnit) -> None:
        """Add what units as a whole were reported to have done."""
        named = {
            entry.event.unit
            for entry in self.entries
            if isinstance(entry.event, Outcome) and entry.event.unit is not None
        } | {name for _, name in self.fresh}
        first: dict[str, UnitKey] = {}
        for key in sorted(self.rows):
            first.setdefault(key[1], key)
        by_unit: defaultdict[str, list[LogEntry]] = defaultdict(list)
        concerned = [name for name in named if name in first]
        for entry in unit.log.of_units(concerned, up_to=self.end):
            if self.experiment.covers(entry.event.at):
                by_unit[entry.event.unit or ""].append(entry)
        metrics = [metric for metric in self.metrics if metric.source is Source.OUTCOME]
        for name, entries in by_unit.items():
            self._add_unit(first[name], entries, metrics)

    def _add_unit(
        self, key: UnitKey, entries: Sequence[LogEntry], metrics: Sequence[Metric]
    ) -> None:
        after = in_force(_outcomes(entries))
        seen = key not in self.fresh
        before = in_force(_outcomes(entries, up_to=self.cursor)) if seen else []
        row = self.rows[key]
        counts = self.counts[key[0], row.variant]
        counts.outcomes += len(after) - len(before)
        counts.overdue += overdue(metrics, after, row.first_at)
        counts.overdue -= overdue(metrics, before, row.first_at)
        for metric in metrics:
            for known, sign in ((after, 1), (before, -1)):
                found = outcome_values(metric, known, since=row.first_at)
                self._add(key, metric.name, found, sign)

    def add_reported(self, unit: ExperimentUnit) -> None:
        """Add what was reported for variants as a whole, apart from all units."""
        ids = {
            entry.event.outcome_id: None
            for entry in self.entries
            if isinstance(entry.event, Outcome) and entry.event.experiment == self.experiment.key
        }
        history = unit.log.of_outcomes(ids, up_to=self.end) if ids else []
        for up_to, sign in ((self.end, 1), (self.cursor, -1)):
            for outcome in in_force(_outcomes(history, up_to=up_to)):
                place = (outcome.variant or "", outcome.name)
                values = reported_values(self.metrics, outcome)
                self.reported[place].take(values, sign)

    def _add(self, key: UnitKey, metric: str, values: Sequence[float], sign: int) -> None:
        if values:
            self.totals[key].setdefault(metric, _Change()).take(values, sign)

    def write(self, unit: ExperimentUnit) -> bool:
        """Write rows, sums, counts and the cursor, all or nothing.

        Returns
        -------
        bool
            Whether it was written: not when another process has folded since it was read.
        """
        cursor = unit.cursors.get(self.experiment.key, lock=True)
        if (0 if cursor is None else cursor.seq) != self.cursor:
            return False
        changed = {key: _plus(self.rows[key], totals) for key, totals in self.totals.items()}
        sums = self._sums(unit, changed)
        written = {key: self.rows[key] for key in self.fresh} | changed
        unit.unit_values.put_many(written.values())
        unit.metric_sums.put_many(sums)
        unit.variant_counts.put_many(self._counts(unit))
        unit.reported_sums.put_many(self._reported(unit))
        unit.cursors.put_many([Cursor(self.experiment.key, self.end)])
        return True

    def _sums(
        self, unit: ExperimentUnit, changed: Mapping[UnitKey, UnitValues]
    ) -> list[MetricSums]:
        stored = unit.metric_sums.find(experiment=self.experiment.key)
        sums = {(row.epoch, row.variant, row.metric): row for row in stored}
        touched = set()
        for key, now in changed.items():
            for metric in self.totals[key]:
                place = (now.epoch, now.variant, metric)
                sums[place] = _moved(sums.get(place), now, metric, self.rows[key].value(metric))
                touched.add(place)
        return [sums[place] for place in touched]

    def _reported(self, unit: ExperimentUnit) -> Iterator[ReportedSums]:
        for (variant, metric), change in self.reported.items():
            place = (self.experiment.key, variant, metric)
            row = unit.reported_sums.get(*place)
            n, total = change.after(*(0, 0.0) if row is None else (row.n, row.total))
            yield ReportedSums(
                experiment=place[0], variant=variant, metric=metric, n=n, total=total
            )

    def _counts(self, unit: ExperimentUnit) -> list[VariantCounts]:
        stored = unit.variant_counts.find(experiment=self.experiment.key)
        known = {(row.epoch, row.variant): row for row in stored}
        return [
            _counted(
                known.get(place)
                or VariantCounts(experiment=self.experiment.key, epoch=place[0], variant=place[1]),
                counts,
            )
            for place, counts in self.counts.items()
        ]


def _outcomes(entries: Iterable[LogEntry], *, up_to: int | None = None) -> list[Outcome]:
    return [
        entry.event
        for entry in entries
        if isinstance(entry.event, Outcome) and (up_to is None or entry.seq <= up_to)
    ]


def _labelled(outcomes: Iterable[Outcome]) -> bool:
    return any(outcome.name == LABEL for outcome in outcomes)


def _plus(row: UnitValues, totals: Totals) -> UnitValues:
    values = dict(row.values)
    for metric, change in totals.items():
        values[metric] = change.after(*values.get(metric, (0, 0.0)))
    return replace(row, values=values)


def _moved(
    sums: MetricSums | None, now: UnitValues, metric: str, before: float | None
) -> MetricSums:
    value = now.value(metric)
    if sums is None or sums.n == (before is not None):  # with nobody left, no rounding is either
        before = None
        sums = MetricSums(
            experiment=now.experiment,
            epoch=now.epoch,
            variant=now.variant,
            metric=metric,
            n=0,
            shift=value or 0.0,
            sum1=0.0,
            sum2=0.0,
        )
    n, sum1, sum2 = sums.n, sums.sum1, sums.sum2
    for x, sign in ((before, -1), (value, 1)):
        if x is not None:
            gap = x - sums.shift
            n, sum1, sum2 = n + sign, sum1 + sign * gap, sum2 + sign * gap**2
    return replace(sums, n=n, sum1=sum1, sum2=sum2)


def _counted(row: VariantCounts, counts: _Counts) -> VariantCounts:
    return replace(
        row,
        units=row.units + counts.units,
        requests=row.requests + counts.requests,
        errors=row.errors + counts.errors,
        labelled=row.labelled + counts.labelled,
        outcomes=row.outcomes + counts.outcomes,
        crossovers=row.crossovers + counts.crossovers,
        overdue=row.overdue + counts.overdue,
    )
