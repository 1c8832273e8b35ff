"""What this process is asked: features of requests, counted by bin and published now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from palio.ports import Clock, Store
from palio.registry.drift import FeatureCounts, FeatureReference, profile_of
from palio.registry.ports import RegistryUnit
from palio.registry.quality import DAY_S
from palio.registry.signature import Cell, Feature

__all__ = ["FeatureTally", "FeatureWatch"]

Served = tuple[str, str]
"""Model and version."""
Row = Sequence[Cell]
_MOST_ROWS = 2_000  # of a version that are kept between two steps; those beyond are not counted
_REFERENCE_ROWS = 1_000  # the first ones, by which bins are made
_KEPT_DAYS = 90


@dataclass(slots=True)
class _Waiting:
    features: Sequence[Feature]
    rows: list[Row] = field(default_factory=list)


class FeatureTally:
    """Keeps rows as they come, for who counts them. Safe to share between threads.

    Adding costs less than a microsecond a row, and waits for nobody who reads or writes files.
    Where more rows come than are kept, the first ones stand for all.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[Served, _Waiting] = {}

    def add(self, served: Served, features: Sequence[Feature], rows: Sequence[Row]) -> None:
        """Keep rows that a version was asked about; nobody may change them afterwards."""
        with self._lock:
            waiting = self._waiting.get(served)
            if waiting is None:
                waiting = self._waiting[served] = _Waiting(features)
            room = _MOST_ROWS - len(waiting.rows)
            if room > 0:
                waiting.rows.extend(rows[:room])

    def take(self) -> Mapping[Served, tuple[Sequence[Feature], list[Row]]]:
        """Return what was kept, and keep it no longer."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        return {served: (one.features, one.rows) for served, one in taken.items()}


class FeatureWatch:
    """Counts the features of requests against those that a version first saw.

    The process that has seen a version's first 1,000 rows writes what they were like; all count
    by it. Each writes rows of its own, as a whole, so that no step counts twice.

    Parameters
    ----------
    store
        Where counts go.
    tally
        What this process is asked.
    clock
        What time it is.
    process
        Its name, which no other one has.
    """

    rest_s = 5.0

    def __init__(
        self, store: Store[RegistryUnit], tally: FeatureTally, clock: Clock, process: str
    ) -> None:
        self._store, self._tally, self._clock, self._process = store, tally, clock, process
        self._stepping = Lock()
        self._first: dict[Served, list[Row]] = {}  # of versions whose reference is not there yet
        self._references: dict[Served, FeatureReference] = {}
        self._counts: dict[tuple[int, Served], FeatureCounts] = {}
        self._dirty: set[tuple[int, Served]] = set()

    def step(self) -> None:
        """Count what has come since the last step, and publish it."""
        with self._stepping:
            day = int(self._clock().timestamp()) // DAY_S * DAY_S
            for served, (features, rows) in self._tally.take().items():
                self._count(day, served, features, rows)
            self._publish(day)

    def release(self) -> None:
        """Publish what is left; the process ends."""
        self.step()

    def _count(
        self, day: int, served: Served, features: Sequence[Feature], rows: Sequence[Row]
    ) -> None:
        reference = self._references.get(served) or self._found(served)
        if reference is None:
            first = self._first.setdefault(served, [])
            first.extend(rows)
            if len(first) < _REFERENCE_ROWS:
                return
            rows = first[_REFERENCE_ROWS:]
            reference = self._made(served, features, first[:_REFERENCE_ROWS])
        elif served in self._first:
            rows = [*self._first[served], *rows]
        self._first.pop(served, None)
        self._references[served] = reference
        if rows:
            self._add(day, served, [one.name for one in features], rows)

    def _found(self, served: Served) -> FeatureReference | None:
        with self._store.read() as unit:
            return unit.feature_references.get(*served)

    def _made(
        self, served: Served, features: Sequence[Feature], rows: Sequence[Row]
    ) -> FeatureReference:
        """Write what the first rows were like, unless another process just has."""
        profiles = {
            feature.name: profile_of(feature, [row[at] for row in rows])
            for at, feature in enumerate(features)
        }
        made = FeatureReference(
            model=served[0],
            version=served[1],
            at=self._clock(),
            rows=len(rows),
            features=profiles,
        )
        with self._store.write() as unit:
            unit.feature_references.add_missing([made])
            return unit.feature_references.get(*served) or made

    def _add(self, day: int, served: Served, names: Sequence[str], rows: Sequence[Row]) -> None:
        profiles = self._references[served].features
        before = self._counts.get((day, served))
        counted = dict(before.features) if before else {}
        for at, name in enumerate(names):
            if name in profiles:
                new = profiles[name].counted(row[at] for row in rows)
                old = counted.get(name, (0,) * len(new))
                counted[name] = tuple(map(sum, zip(old, new, strict=True)))
        self._counts[day, served] = FeatureCounts(
            day=day,
            process=self._process,
            model=served[0],
            version=served[1],
            rows=len(rows) + (before.rows if before else 0),
            features=counted,
        )
        self._dirty.add((day, served))

    def _publish(self, day: int) -> None:
        if not self._dirty:
            return
        with self._store.write() as unit:
            unit.feature_counts.put_many([self._counts[key] for key in sorted(self._dirty)])
            for old in {one.day for one in unit.feature_counts.find(process=self._process)}:
                if old < day - _KEPT_DAYS * DAY_S:
                    unit.feature_counts.remove(day=old)
        self._dirty.clear()
        self._counts = {key: one for key, one in self._counts.items() if key[0] == day}
