"""Recomputing an experiment's statistics from its events, to check what was folded.

Written without the fold's arithmetic on purpose: it sorts all events by unit and takes plain
means and variances, so that the two can disagree.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from palio.experiments.domain import Experiment
from palio.experiments.events import LABEL, Event, LogEntry, Outcome, Prediction
from palio.experiments.folding import in_force
from palio.experiments.metrics import (
    Metric,
    Source,
    outcome_values,
    overdue,
    reported_values,
    request_values,
)
from palio.experiments.ports import ExperimentUnit
from palio.experiments.statistics import MetricSums
from palio.stats import Moments

__all__ = ["TOLERANCE", "Verification", "recompute", "verify_within"]

TOLERANCE = 1e-9  # relative, of means and variances
_ROUNDING = 1e-12  # of the largest numbers that sums are made of
_PAGE = 10_000

Place = tuple[int, str, str]  # epoch, variant, metric


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a recomputation: figures compared, and where they differ."""

    watermark: int
    compared: int
    differences: tuple[str, ...]


def verify_within(unit: ExperimentUnit, experiment: Experiment) -> Verification:
    """Recompute from the log up to the watermark, and compare with what is kept."""
    cursor = unit.cursors.get(experiment.key)
    watermark = 0 if cursor is None else cursor.seq
    events = _Events.of(_entries(unit, watermark), experiment)
    expected = _moments_of(events, experiment)
    kept = {
        (row.epoch, row.variant, row.metric): row
        for row in unit.metric_sums.find(experiment=experiment.key)
        if row.n
    }
    places = sorted(expected.keys() | kept.keys())
    differences = tuple(
        f"epoch {place[0]}, {place[1]}, {place[2]}: folded {_moments(kept.get(place))}, "
        f"recomputed {expected.get(place)}"
        for place in places
        if not _agree(kept.get(place), expected.get(place))
    )
    counts, uncounted = _compare_counts(unit, experiment, events)
    return Verification(watermark, len(places) + counts, differences + uncounted)


def recompute(entries: Iterable[LogEntry], experiment: Experiment) -> dict[Place, Moments]:
    """Return the moments of every (epoch, variant, metric), from events alone.

    Parameters
    ----------
    entries
        The log from its start up to the watermark.
    experiment
        Which predictions count, and what is measured on them.
    """
    return _moments_of(_Events.of(entries, experiment), experiment)


def _moments_of(events: _Events, experiment: Experiment) -> dict[Place, Moments]:
    means: defaultdict[Place, list[float]] = defaultdict(list)
    for (epoch, unit, name), found in _values(events, experiment.design.metrics.all).items():
        if found:
            place = (epoch, events.variants[epoch, unit], name)
            means[place].append(math.fsum(found) / len(found))
    return {place: Moments.of(np.asarray(found)) for place, found in means.items()}


def _compare_counts(
    unit: ExperimentUnit, experiment: Experiment, events: _Events
) -> tuple[int, tuple[str, ...]]:
    """Compare what came out of time, and what was reported for variants as a whole."""
    key, expected = experiment.key, events.apart(experiment.design.metrics.all)
    kept: dict[tuple[str, ...], tuple[int, float]] = {
        (f"epoch {row.epoch}", row.variant, "overdue"): (row.overdue, 0.0)
        for row in unit.variant_counts.find(experiment=key)
        if row.overdue
    }
    kept |= {
        ("reported", row.variant, row.metric): (row.n, row.total)
        for row in unit.reported_sums.find(experiment=key)
        if row.n
    }
    nothing, places = (0, 0.0), sorted(kept.keys() | expected.keys())
    return len(places), tuple(
        f"{', '.join(place)}: folded {kept.get(place)}, recomputed {expected.get(place)}"
        for place in places
        if not _same(kept.get(place, nothing), expected.get(place, nothing))
    )


def _same(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one[0] == other[0] and _close(one[1], other[1], TOLERANCE)


@dataclass(slots=True)
class _Events:
    """The events of an experiment: who was given what, what was served, what came of it."""

    variants: dict[tuple[int, str], str] = field(default_factory=dict)
    served: dict[str, Prediction] = field(default_factory=dict)
    outcomes: defaultdict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    of_units: defaultdict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    of_variants: list[Outcome] = field(default_factory=list)
    first_at: dict[tuple[int, str], datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[LogEntry], experiment: Experiment) -> _Events:
        events = cls()
        for entry in entries:
            events.take(entry.event, experiment)
        return events

    def apart(self, metrics: Sequence[Metric]) -> dict[tuple[str, ...], tuple[int, float]]:
        """Return what is kept apart: outcomes out of time, and what variants were told."""
        late: Counter[tuple[str, ...]] = Counter()
        for (epoch, _), variant, since, outcomes in self.subjects():
            late[f"epoch {epoch}", variant, "overdue"] += overdue(metrics, outcomes, since)
        found = {place: (n, 0.0) for place, n in late.items() if n}
        values: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for outcome in in_force(self.of_variants):
            place = ("reported", outcome.variant or "", outcome.name)
            values[place] += reported_values(metrics, outcome)
        return found | {
            place: (len(told), math.fsum(told)) for place, told in values.items() if told
        }

    def subjects(self) -> Iterator[tuple[tuple[int, str], str, datetime, list[Outcome]]]:
        """Yield requests, then units as a whole: unit, variant, since when, what became known."""
        for one in self.served.values():
            key = (one.epoch, one.unit)
            if self.variants[key] == one.variant:
                yield key, one.variant, one.at, in_force(self.outcomes[one.request_id])
        for key in _first_epochs(self.variants):
            known = [one for one in in_force(self.of_units[key[1]]) if one.name != LABEL]
            yield key, self.variants[key], self.first_at[key], known

    def take(self, event: Event, experiment: Experiment) -> None:
        if isinstance(event, Outcome):
            if event.request_id is not None:
                self.outcomes[event.request_id].append(event)
            elif event.variant is not None:
                if event.experiment == experiment.key:
                    self.of_variants.append(event)
            elif experiment.covers(event.at):
                self.of_units[event.unit or ""].append(event)
        elif event.counts_for(experiment.key):
            self.variants.setdefault((event.epoch, event.unit), event.variant or "")
            self.first_at.setdefault((event.epoch, event.unit), event.at)
            if isinstance(event, Prediction):
                self.served.setdefault(event.request_id, event)


def _values(
    events: _Events, metrics: Sequence[Metric]
) -> Mapping[tuple[int, str, str], list[float]]:
    """Return values by epoch, unit and metric; those of a unit as a whole in its first epoch."""
    values: defaultdict[tuple[int, str, str], list[float]] = defaultdict(list)
    for prediction in events.served.values():
        key = (prediction.epoch, prediction.unit)
        if events.variants[key] != prediction.variant:
            continue
        known = in_force(events.outcomes[prediction.request_id])
        for metric in metrics:
            values[*key, metric.name] += request_values(metric, prediction, known)
    of_outcomes = [metric for metric in metrics if metric.source is Source.OUTCOME]
    for epoch, unit in _first_epochs(events.variants):
        for metric in of_outcomes:
            known = in_force(events.of_units[unit])
            since = events.first_at[epoch, unit]
            values[epoch, unit, metric.name] += outcome_values(metric, known, since=since)
    return values


def _first_epochs(keys: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for epoch, unit in sorted(keys):
        if unit not in seen:
            seen.add(unit)
            yield epoch, unit


def _entries(unit: ExperimentUnit, watermark: int) -> Iterator[LogEntry]:
    seq = 0
    while seq < watermark:
        page = unit.log.after(seq, limit=_PAGE)
        if not page:
            return
        seq = page[-1].seq
        yield from (entry for entry in page if entry.seq <= watermark)


def _moments(row: MetricSums | None) -> Moments:
    return Moments(0, 0.0, 0.0) if row is None else row.moments()


def _agree(row: MetricSums | None, expected: Moments | None) -> bool:
    """Compare within the tolerance, and within what sums about the row's shift can resolve."""
    one, other = _moments(row), expected or Moments(0, 0.0, 0.0)
    square = 0.0 if row is None else row.sum2 / row.n + row.shift**2
    return (
        one.n == other.n
        and _close(one.mean, other.mean, max(_ROUNDING, _ROUNDING * math.sqrt(square)))
        and _close(one.var, other.var, max(_ROUNDING, _ROUNDING * square))
    )


def _close(one: float, other: float, rounding: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=rounding)
