"""Recomputing an experiment's statistics from its events, to check what was folded.

Written without the fold's arithmetic on purpose: it sorts all events by unit and takes plain
means and covariances, so that the two can disagree.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from palio.experiments.designs.metrics import Metric, outcome_values, overdue, reported_values
from palio.experiments.domain import Experiment
from palio.experiments.events import Event, Exposure, LogEntry, Outcome, Prediction
from palio.experiments.folding.contrasts import Scored, adaptive_sums
from palio.experiments.folding.folding import in_force
from palio.experiments.folding.measures import Measures, Part
from palio.experiments.folding.statistics import ACCURACY, Cursor, MetricSums, Numbers, UnitValues
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.retaining import is_incomplete
from palio.experiments.weights.published import Published
from palio.stats import JointMoments, LogHistogram

__all__ = [
    "TOLERANCE",
    "Verification",
    "entries_up_to",
    "recompute",
    "units_of",
    "verify_within",
]

TOLERANCE = 1e-9  # relative, of means and variances
_ROUNDING = 1e-12  # of the largest numbers that sums are made of
_PAGE = 10_000
_GONE = (
    "events of {key} have been forgotten since it ended (PALIO_RETENTION_DAYS): the statistics "
    "that it ended with stay, and cannot be recomputed"
)

Place = tuple[int, str, str, str]  # epoch, variant, metric, segment
Unit = tuple[int, str]  # epoch, unit


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a recomputation: figures compared, and where they differ.

    ``note`` says why nothing could be compared, where that is so.
    """

    watermark: int
    compared: int
    differences: tuple[str, ...]
    note: str = ""


def verify_within(unit: ExperimentUnit, experiment: Experiment) -> Verification:
    """Recompute from the log up to the watermark, and compare with what is kept."""
    key = experiment.key
    cursor = unit.cursors.get(key) or Cursor(key, 0)
    if is_incomplete(unit, experiment):
        return Verification(cursor.seq, 0, (), _GONE.format(key=key))
    events = _Events.of(entries_up_to(unit, cursor.seq), experiment)
    rows = events.rows(experiment, cursor.matured)
    numbers = _numbers(experiment, rows)
    compared = _compare_sums(unit, experiment, numbers)
    compared += _compare_apart(unit, experiment, events)
    if experiment.design.policy.moves:
        compared += _compare_contrasts(unit, experiment, rows)
    differences = tuple(told for told in compared if told)
    return Verification(cursor.seq, len(compared), differences)


def recompute(
    entries: Iterable[LogEntry], experiment: Experiment, *, matured: int | None = None
) -> dict[Place, JointMoments]:
    """Return the moments of every (epoch, variant, metric, segment), from events alone.

    Parameters
    ----------
    entries
        The log from its start up to the watermark.
    experiment
        Which predictions count, and what is measured on them.
    matured
        Up to which place in the log outcomes count; everywhere if None.
    """
    rows = units_of(entries, experiment, matured=matured)
    return {
        place: JointMoments.of(*np.asarray(found).T)
        for place, found in _numbers(experiment, rows).items()
    }


def units_of(
    entries: Iterable[LogEntry], experiment: Experiment, *, matured: int | None = None
) -> list[UnitValues]:
    """Return all units with their values, from events alone; parameters as for `recompute`."""
    return _Events.of(entries, experiment).rows(experiment, matured)


def _numbers(experiment: Experiment, rows: Iterable[UnitValues]) -> dict[Place, list[Numbers]]:
    measures = Measures.of(experiment.design)
    found: defaultdict[Place, list[Numbers]] = defaultdict(list)
    for row in rows:
        for variant, metric, numbers in measures.numbers(row):
            for segment in ("", *row.segments):
                found[row.epoch, variant, metric, segment].append(numbers)
    return found


def _compare_sums(
    unit: ExperimentUnit, experiment: Experiment, numbers: Mapping[Place, Sequence[Numbers]]
) -> list[str]:
    """Return a text for every place: empty where both agree."""
    kept = {
        (row.epoch, row.variant, row.metric, row.segment): row
        for row in unit.metric_sums.find(experiment=experiment.key)
        if row.n
    }
    return [
        ""
        if _agree(kept.get(place), numbers.get(place, ()))
        else f"epoch {place[0]}, {', '.join(filter(None, place[1:]))}: folded "
        f"{_told(kept.get(place))}, recomputed {_expected(numbers.get(place, ()))}"
        for place in sorted(numbers.keys() | kept.keys())
    ]


def _compare_apart(unit: ExperimentUnit, experiment: Experiment, events: _Events) -> list[str]:
    """Compare what came out of time, what was reported for variants, and how values fell."""
    key, metrics = experiment.key, experiment.design.metrics.all
    kept: dict[tuple[str, ...], tuple[float, ...]] = {
        (f"epoch {row.epoch}", row.variant, "overdue"): (row.overdue,)
        for row in unit.variant_counts.find(experiment=key)
        if row.overdue
    }
    kept |= {
        ("reported", row.variant, row.metric): (row.n, row.total)
        for row in unit.reported_sums.find(experiment=key)
        if row.n
    }
    kept |= {
        ("fall of", row.variant): (row.deepest,)
        for row in unit.falls.find(experiment=key)
        if row.deepest
    }
    expected = events.apart(experiment, metrics)
    return [
        ""
        if _same(kept.get(place, ()), expected.get(place, ()))
        else f"{', '.join(place)}: folded {kept.get(place)}, recomputed {expected.get(place)}"
        for place in sorted(kept.keys() | expected.keys())
    ]


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(_close(a, b, TOLERANCE) for a, b in pairs)


def _compare_contrasts(
    unit: ExperimentUnit, experiment: Experiment, rows: Iterable[UnitValues]
) -> list[str]:
    """Compare what is added up for the contrasts of a bandit."""
    measures = Measures.of(experiment.design)
    scored = [
        Scored(row.epoch, row.policy_version, variant, metric, numbers[0])
        for row in rows
        for variant, metric, numbers in measures.numbers(row)
    ]
    found = unit.published.find(experiment=experiment.key)
    published: Mapping[int, Published] = {one.policy_version: one for one in found}
    expected = adaptive_sums(experiment, scored, published)
    kept = {
        (row.epoch, row.variant, row.metric): row.adaptive()
        for row in unit.contrast_sums.find(experiment=experiment.key)
    }
    told = []
    for place in sorted(expected):
        one, other = kept.get(place), expected[place]
        same = one is not None and one.n == other.n and _close(one.effect, other.effect, 1e-9)
        told.append("" if same else f"{place}: folded {one}, recomputed {other}")
    return told


@dataclass(slots=True)
class _Events:
    """The events of an experiment: who was given what, what was served, what came of it."""

    given: dict[Unit, LogEntry] = field(default_factory=dict)
    served: dict[str, LogEntry] = field(default_factory=dict)
    outcomes: defaultdict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    of_units: defaultdict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    of_variants: list[Outcome] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[LogEntry], experiment: Experiment) -> _Events:
        events = cls()
        for entry in entries:
            events.take(entry, entry.event, experiment)
        return events

    def take(self, entry: LogEntry, event: Event, experiment: Experiment) -> None:
        if isinstance(event, Outcome):
            if event.request_id is not None:
                self.outcomes[event.request_id].append(entry)
            elif event.variant is None:
                self.of_units[event.unit or ""].append(entry)
            elif event.experiment == experiment.key:
                self.of_variants.append(event)
        elif event.counts_for(experiment.key):
            self.given.setdefault((event.epoch, event.unit), entry)
            if isinstance(event, Prediction):
                self.served.setdefault(event.request_id, entry)

    def rows(self, experiment: Experiment, matured: int | None) -> list[UnitValues]:
        """Return all units with their values."""
        measures = Measures.of(experiment.design)
        bare = {key: _row(entry, experiment) for key, entry in self.given.items()}
        parts: defaultdict[Unit, defaultdict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for key, found in self._parts(experiment, measures, bare, matured):
            for name, values in found:
                parts[key][name] += values
        return [
            UnitValues(
                **{
                    **{name: getattr(row, name) for name in UnitValues.__dataclass_fields__},
                    "values": {n: (len(v), math.fsum(v)) for n, v in parts[key].items() if v},
                }
            )
            for key, row in bare.items()
        ]

    def _parts(
        self,
        experiment: Experiment,
        measures: Measures,
        rows: Mapping[Unit, UnitValues],
        matured: int | None,
    ) -> Iterator[tuple[Unit, Iterable[Part]]]:
        for key, entry in self._own_requests():
            prediction = entry.event
            if isinstance(prediction, Prediction):
                ripe = matured is None or entry.seq <= matured
                known = _known(self.outcomes[prediction.request_id])
                yield key, measures.of_request(prediction, known, matured=ripe)
        for key in _first_epochs(self.given):
            ripe = matured is None or self.given[key].seq <= matured
            known = _known(self.of_units[key[1]])
            own = [one for one in known if experiment.covers(one.at)]
            yield key, measures.of_unit(own, rows[key], matured=ripe)
            yield key, measures.of_history(known, rows[key])

    def _own_requests(self) -> Iterator[tuple[Unit, LogEntry]]:
        """Yield requests whose unit was given the variant that served them."""
        for entry in self.served.values():
            event = entry.event
            if isinstance(event, Prediction):
                key = (event.epoch, event.unit)
                if getattr(self.given[key].event, "variant", None) == event.variant:
                    yield key, entry

    def apart(
        self, experiment: Experiment, metrics: Sequence[Metric]
    ) -> dict[tuple[str, ...], tuple[float, ...]]:
        """Return what is kept apart from the units' values."""
        late: Counter[tuple[str, ...]] = Counter()
        of_units = Measures.of(experiment.design).of_outcomes
        for key, since, _, entries, is_unit in self._subjects(experiment):
            variant = str(getattr(self.given[key].event, "variant", ""))
            counted = overdue(of_units if is_unit else metrics, _known(entries), since)
            late[f"epoch {key[0]}", variant, "overdue"] += counted
        found: dict[tuple[str, ...], tuple[float, ...]] = {
            place: (n,) for place, n in late.items() if n
        }
        values: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for outcome in in_force(self.of_variants):
            place = ("reported", outcome.variant or "", outcome.name)
            values[place] += reported_values(metrics, outcome)
        found |= {place: (len(told), math.fsum(told)) for place, told in values.items() if told}
        return found | self._falls(experiment)

    def _subjects(
        self, experiment: Experiment
    ) -> Iterator[tuple[Unit, datetime, int, list[LogEntry], bool]]:
        """Yield requests, then units as a whole: since when and where, and what became known."""
        for key, entry in self._own_requests():
            yield (
                key,
                entry.event.at,
                entry.seq,
                self.outcomes[entry.event.request_id or ""],
                False,
            )
        for key in _first_epochs(self.given):
            first = self.given[key]
            own = _covered(self.of_units[key[1]], experiment)
            yield key, first.event.at, first.seq, own, True

    def _falls(self, experiment: Experiment) -> dict[tuple[str, ...], tuple[float, ...]]:
        metric = Measures.of(experiment.design).followed
        if metric is None:
            return {}
        paths: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for key, since, start, entries, _ in self._subjects(experiment):
            variant = str(getattr(self.given[key].event, "variant", ""))
            paths[variant] += _path(metric, entries, since, start)
        deepest = {key: _deepest(path) for key, path in paths.items()}
        return {("fall of", key): (fall,) for key, fall in deepest.items() if fall}


def _row(entry: LogEntry, experiment: Experiment) -> UnitValues:
    event = entry.event
    if not isinstance(event, Prediction | Exposure):
        raise TypeError("only what gives a unit its variant makes a row")  # pragma: no cover
    return UnitValues(
        experiment=experiment.key,
        epoch=event.epoch,
        unit=event.unit,
        variant=event.variant or "",
        first_at=event.at,
        first_seq=entry.seq,
        policy_version=event.policy_version,
        segments=tuple(event.segments),
    )


def _path(
    metric: Metric, entries: Sequence[LogEntry], since: datetime, start: int
) -> list[tuple[int, float]]:
    """Return how a subject's sum of values moved, larger better, by place in the log."""
    steps, last = [], 0.0
    for seq in sorted({start, *(entry.seq for entry in entries if entry.seq > start)}):
        known = _known([entry for entry in entries if entry.seq <= seq])
        now = metric.direction.sign * math.fsum(outcome_values(metric, known, since=since))
        steps += [(seq, now - last)] if now != last else []
        last = now
    return steps


def _deepest(path: Iterable[tuple[int, float]]) -> float:
    total = highest = deepest = 0.0
    for _, step in sorted(path):
        total += step
        highest = max(highest, total)
        deepest = max(deepest, highest - total)
    return deepest


def _known(entries: Iterable[LogEntry]) -> list[Outcome]:
    return in_force(one.event for one in entries if isinstance(one.event, Outcome))


def _covered(entries: Sequence[LogEntry], experiment: Experiment) -> list[LogEntry]:
    """Return the outcomes whose first revision is from after the start."""
    first: dict[str, datetime] = {}
    for entry in entries:
        if isinstance(entry.event, Outcome):
            first.setdefault(entry.event.outcome_id, entry.event.at)
    return [
        entry
        for entry in entries
        if isinstance(entry.event, Outcome) and experiment.covers(first[entry.event.outcome_id])
    ]


def _first_epochs(keys: Iterable[Unit]) -> Iterator[Unit]:
    seen: set[str] = set()
    for epoch, unit in sorted(keys):
        if unit not in seen:
            seen.add(unit)
            yield epoch, unit


def entries_up_to(unit: ExperimentUnit, watermark: int) -> Iterator[LogEntry]:
    """Yield the log from its start up to a place, page by page."""
    seq = 0
    while seq < watermark:
        page = unit.log.after(seq, limit=_PAGE)
        if not page:
            return
        seq = page[-1].seq
        yield from (entry for entry in page if entry.seq <= watermark)


def _expected(numbers: Sequence[Numbers]) -> str:
    return str(JointMoments.of(*np.asarray(numbers).T)) if numbers else "nothing"


def _told(row: MetricSums | None) -> str:
    return "nothing" if row is None else str(row.joint())


def _agree(row: MetricSums | None, numbers: Sequence[Numbers]) -> bool:
    """Compare within the tolerance, and within what sums about the row's shift can resolve."""
    if row is None or not numbers:
        return row is None and not numbers
    one, other = row.joint(), JointMoments.of(*np.asarray(numbers).T)
    if one.n != other.n or not _bins_agree(row, numbers):
        return False
    k = len(one.mean)
    diagonal = np.cumsum([0, *range(k, 1, -1)])
    squares = np.asarray(row.products)[diagonal] / row.n + np.square(row.shift)
    roots = np.sqrt(squares)
    means = all(
        _close(a, b, max(_ROUNDING, _ROUNDING * root))
        for a, b, root in zip(one.mean, other.mean, roots, strict=True)
    )
    return means and all(
        _close(one.cov[i][j], other.cov[i][j], max(_ROUNDING, _ROUNDING * roots[i] * roots[j]))
        or _close_to_scale(one, other, i, j)
        for i in range(k)
        for j in range(i, k)
    )


def _close_to_scale(one: JointMoments, other: JointMoments, i: int, j: int) -> bool:
    """Compare a covariance on the scale of its variances."""
    scale = math.sqrt(other.cov[i][i] * other.cov[j][j])
    return i != j and abs(one.cov[i][j] - other.cov[i][j]) <= TOLERANCE * scale


def _bins_agree(row: MetricSums, numbers: Sequence[Numbers]) -> bool:
    if not row.bins:
        return True
    return LogHistogram.of([one[0] for one in numbers], accuracy=ACCURACY).bins == row.bins


def _close(one: float, other: float, rounding: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=rounding)
