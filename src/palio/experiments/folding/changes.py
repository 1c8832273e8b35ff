"""What a fold changes, and how it is written: rows of units, sums, contrasts, counts, falls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from palio.bandits import Drawdown
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.domain import Experiment
from palio.experiments.folding.contrasts import Scored, moved_contrasts
from palio.experiments.folding.measures import Measures, Part
from palio.experiments.folding.statistics import (
    Falls,
    MetricSums,
    Numbers,
    ReportedSums,
    UnitValues,
    VariantCounts,
)
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.published import Published

__all__ = ["Changes", "Counts", "Pile", "UnitKey"]

UnitKey = tuple[int, str]  # epoch, unit
_Place = tuple[int, str, str, str]  # epoch, variant, metric, segment


@dataclass(slots=True)
class Pile:
    """What happens to one pile of values: some are taken off, some added."""

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


@dataclass(slots=True)
class Counts:
    """What is added to the counts of a variant in an epoch."""

    units: int = 0
    requests: int = 0
    errors: int = 0
    labelled: int = 0
    outcomes: int = 0
    crossovers: int = 0
    overdue: int = 0


@dataclass(slots=True)
class Changes:
    """Everything that one fold changes.

    Attributes
    ----------
    rows
        Units as they are kept, by epoch and unit; ``fresh`` those that are new, ``gone`` those
        that are taken out.
    values
        Those that touched units have from now on.
    counts, reported
        By epoch and variant; by variant and metric.
    path
        Steps of values under a stop-loss: place in the log, variant, step.
    """

    experiment: Experiment
    measures: Measures
    rows: dict[UnitKey, UnitValues] = field(default_factory=dict)
    fresh: dict[UnitKey, None] = field(default_factory=dict)
    gone: set[UnitKey] = field(default_factory=set)
    values: dict[UnitKey, dict[str, tuple[int, float]]] = field(default_factory=dict)
    counts: defaultdict[tuple[int, str], Counts] = field(
        default_factory=lambda: defaultdict(Counts)
    )
    reported: defaultdict[tuple[str, str], Pile] = field(default_factory=lambda: defaultdict(Pile))
    path: list[tuple[int, str, float]] = field(default_factory=list)

    def add(self, key: UnitKey, parts: Iterable[Part], sign: int) -> None:
        """Add parts to a unit, or take off what was added before."""
        values = self.values.get(key)
        if values is None:
            values = self.values[key] = dict(self.rows[key].values)
        for name, given in parts:
            n, total = values.get(name, (0, 0.0))
            n += sign * len(given)
            if n:
                values[name] = (n, total + sign * sum(given))
            else:  # where nothing is left, no rounding is
                values.pop(name, None)

    def write(self, unit: ExperimentUnit) -> None:
        """Write it all, in a unit of work in which nobody else folds the experiment."""
        rows = self.rows
        changed = {
            key: _holding(rows[key], values)
            for key, values in self.values.items()
            if values != rows[key].values
        }
        kept = {key: rows[key] for key in (*self.fresh, *self.gone)} | changed
        published = self._published(unit, kept)
        on, off, scored = self._numbers(changed)
        unit.unit_values.put_many(row for key, row in kept.items() if key not in self.gone)
        for epoch, name in sorted(self.gone):
            unit.unit_values.remove(experiment=self.experiment.key, epoch=epoch, unit=name)
        unit.metric_sums.put_many(self._sums(unit, on, off))
        if self.experiment.design.policy.moves:
            moved = moved_contrasts(unit, self.experiment, scored, published)
            unit.contrast_sums.put_many(moved)
        unit.variant_counts.put_many(self._counts(unit, published))
        unit.reported_sums.put_many(self._reported(unit))
        self.write_falls(unit)

    def write_falls(self, unit: ExperimentUnit) -> None:
        """Write how values fell, and nothing else."""
        unit.falls.put_many(self._falls(unit))

    def _published(
        self, unit: ExperimentUnit, kept: Mapping[UnitKey, UnitValues]
    ) -> Mapping[int, Published]:
        """Return the weights that units were given their variant by, where a policy moves them."""
        if not self.experiment.design.policy.moves:
            return {}
        named = {row.policy_version for row in kept.values()}
        found = unit.published.get_many((self.experiment.key, one) for one in sorted(named))
        return {one.policy_version: one for one in found.values()}

    def _numbers(
        self, changed: Mapping[UnitKey, UnitValues]
    ) -> tuple[Mapping[_Place, list[Numbers]], Mapping[_Place, list[Numbers]], list[Scored]]:
        """Return the numbers that units have from now on, those no more, both by the weights."""
        on: defaultdict[_Place, list[Numbers]] = defaultdict(list)
        off: defaultdict[_Place, list[Numbers]] = defaultdict(list)
        scored: list[Scored] = []
        moves = self.experiment.design.policy.moves
        for key, row in changed.items():
            has = list(self.measures.numbers(row))
            had = [] if key in self.fresh else list(self.measures.numbers(self.rows[key]))
            for piled, these, those, sign in ((off, had, has, -1), (on, has, had, 1)):
                for each in these:
                    if each in those:
                        continue
                    variant, metric, numbers = each
                    for segment in ("", *row.segments):
                        piled[row.epoch, variant, metric, segment].append(numbers)
                    if moves:
                        value = numbers[0]
                        scored.append(
                            Scored(row.epoch, row.policy_version, variant, metric, value, sign)
                        )
        return on, off, scored

    def _sums(
        self,
        unit: ExperimentUnit,
        on: Mapping[_Place, Sequence[Numbers]],
        off: Mapping[_Place, Sequence[Numbers]],
    ) -> Iterator[MetricSums]:
        key = self.experiment.key
        places = on.keys() | off.keys()
        found = unit.metric_sums.get_many((key, *place) for place in places)
        binned = {one.name for one in self.measures.metrics if one.kind is Kind.QUANTILE}
        for place in places:
            epoch, variant, metric, segment = place
            sums = found.get((key, *place)) or MetricSums(
                experiment=key, epoch=epoch, variant=variant, metric=metric, segment=segment
            )
            added, taken = on.get(place, ()), off.get(place, ())
            yield sums.moved(added, taken, binned=metric in binned)

    def _counts(
        self, unit: ExperimentUnit, published: Mapping[int, Published]
    ) -> list[VariantCounts]:
        expected: defaultdict[tuple[int, str], float] = defaultdict(float)
        signed = [*((key, 1) for key in self.fresh), *((key, -1) for key in self.gone)]
        for key, sign in signed if published else ():
            row = self.rows[key]
            for variant, weight in published[row.policy_version].weights.items():
                expected[row.epoch, variant] += sign * weight
        places = self.counts.keys() | expected.keys()
        experiment = self.experiment.key
        known = unit.variant_counts.get_many((experiment, *place) for place in places)
        return [
            _counted(
                known.get((experiment, *place))
                or VariantCounts(experiment=experiment, epoch=place[0], variant=place[1]),
                self.counts[place],
                expected[place],
            )
            for place in places
        ]

    def _reported(self, unit: ExperimentUnit) -> Iterator[ReportedSums]:
        for (variant, metric), pile in self.reported.items():
            place = (self.experiment.key, variant, metric)
            row = unit.reported_sums.get(*place)
            n, total = pile.after(*(0, 0.0) if row is None else (row.n, row.total))
            yield ReportedSums(
                experiment=place[0], variant=variant, metric=metric, n=n, total=total
            )

    def _falls(self, unit: ExperimentUnit) -> Iterator[Falls]:
        steps: defaultdict[str, list[float]] = defaultdict(list)
        for _, variant, step in sorted(self.path):
            steps[variant].append(step)
        for variant, taken in steps.items():
            key = self.experiment.key
            before = unit.falls.get(key, variant) or Falls(experiment=key, variant=variant)
            now = before.drawdown().then(Drawdown.of(taken))
            yield replace(
                before,
                total=now.total,
                highest=now.highest,
                lowest=now.lowest,
                deepest=now.deepest,
            )


def _holding(row: UnitValues, values: Mapping[str, tuple[int, float]]) -> UnitValues:
    return UnitValues(
        experiment=row.experiment,
        epoch=row.epoch,
        unit=row.unit,
        variant=row.variant,
        values=values,
        first_at=row.first_at,
        first_seq=row.first_seq,
        policy_version=row.policy_version,
        segments=row.segments,
    )  # as `replace` does, which costs twice as much


def _counted(row: VariantCounts, counts: Counts, expected: float) -> VariantCounts:
    return replace(
        row,
        units=row.units + counts.units,
        requests=row.requests + counts.requests,
        errors=row.errors + counts.errors,
        labelled=row.labelled + counts.labelled,
        outcomes=row.outcomes + counts.outcomes,
        crossovers=row.crossovers + counts.crossovers,
        overdue=row.overdue + counts.overdue,
        expected=row.expected + expected,
    )
