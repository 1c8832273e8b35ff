"""What this process answers, tallied in memory, and published about once a second."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from palio.delivery.ports import TrafficUnit
from palio.delivery.traffic import (
    COUNTED_S,
    LATENCY_ACCURACY,
    ProcessUse,
    TrafficCounts,
    TrafficSums,
    TrafficTotals,
    bounded,
    ended,
)
from palio.experiments.events import Prediction, asked_of
from palio.ports import Clock, Store
from palio.registry.signature import Label
from palio.stats.quality.histogram import LogHistogram

__all__ = ["Publisher", "Tally"]

Served = tuple[str, str, str]
"""Endpoint, model and version."""
Counted = Mapping[tuple[int, Served], TrafficSums]
"""What was answered within a second with a version."""
_USE_S = 5.0  # between two looks at what the process takes
_VALUE = "value"  # the class of answers that are numbers


@dataclass(slots=True)
class _Cell:
    """What was answered within one second with one version."""

    rows: int = 0
    errors: int = 0
    latencies: list[float] = field(default_factory=list)
    values: Counter[Label] = field(default_factory=Counter)
    numbers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, some: Sequence[Prediction]) -> None:
        self.latencies.extend(one.latency_ms for one in some)
        errors = [one.error for one in some if one.error is not None]
        self.errors += len(errors)
        self.failures.update(error.partition(":")[0] for error in errors)
        given = [value for one in some if one.error is None for value in one.values]
        self.rows += len(given)
        if any(one.classes for one in some):
            self.values.update(given)
        else:
            self.numbers += len(given)

    def sums(self) -> TrafficSums:
        outcomes = Counter({str(value): n for value, n in self.values.items()})
        if self.numbers:
            outcomes[_VALUE] += self.numbers
        return TrafficSums(
            requests=len(self.latencies),
            rows=self.rows,
            errors=self.errors,
            latency_ms=sum(self.latencies),
            latencies=LogHistogram.of(self.latencies, accuracy=LATENCY_ACCURACY).bins,
            outcomes=bounded(outcomes),
            failures=bounded(self.failures),
            skipped=dict(self.skipped),
        )

    def copy(self) -> _Cell:
        lists = (self.latencies.copy(), self.values.copy(), self.numbers, self.failures.copy())
        return _Cell(self.rows, self.errors, *lists, self.skipped.copy())


class Tally:
    """Counts per second what a process answers. Safe to share between threads.

    Adding costs a few microseconds a request, and waits for nobody who reads or writes files.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._cells: dict[tuple[int, Served], _Cell] = {}
        self._second = 0
        self._skipped: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Count predictions that have been recorded just now."""
        if not predictions:
            return
        with self._lock:
            # a clock that was set back must not go on in a second that was published
            self._second = max(self._second, int(predictions[-1].at.timestamp()))
            for served, some in _by_version(predictions).items():
                self._cells.setdefault((self._second, served), _Cell()).add(some)

    def skip(self, ensemble: str, member: str, rows: int) -> None:
        """Count rows that an ensemble answers without a member; both are ``name:version``."""
        with self._lock:
            self._skipped[ensemble][member] += rows

    def counted(self, second: int) -> Counted:
        """Return what was counted and not dropped; seconds before ``second`` are over."""
        with self._lock:
            self._second = max(self._second, second)
            self._attribute()
            copies = {key: cell.copy() for key, cell in self._cells.items()}
        return {key: cell.sums() for key, cell in copies.items()}

    def _attribute(self) -> None:
        """Count what was skipped with what its ensemble answered; until then, it waits."""
        if self._skipped:
            for (_, (_, model, version)), cell in self._cells.items():
                cell.skipped.update(self._skipped.pop(f"{model}:{version}", {}))

    def drop(self, before: int) -> None:
        """Forget the seconds before one."""
        with self._lock:
            self._cells = {key: cell for key, cell in self._cells.items() if key[0] >= before}


def _by_version(predictions: Sequence[Prediction]) -> Mapping[Served, Sequence[Prediction]]:
    found: dict[Served, list[Prediction]] = {}
    for answered in predictions:
        for one in asked_of(answered):
            found.setdefault((one.endpoint, one.model, one.version), []).append(one)
    return found


class Publisher:
    """Writes what a process has tallied to the store: step by step, each one transaction.

    A step that fails loses nothing, and one that was kept although it seemed to fail counts
    nothing twice: each row is the process's own and is written as a whole. Steps may come from
    several threads.

    Parameters
    ----------
    store
        Where counts go.
    tally
        What this process counts.
    clock
        What time it is.
    use
        What this process takes, under the names of process and server that rows are kept by.
    """

    rest_s = 1.0

    def __init__(
        self,
        store: Store[TrafficUnit],
        tally: Tally,
        clock: Clock,
        use: Callable[[], ProcessUse],
    ) -> None:
        self._store, self._tally, self._clock = store, tally, clock
        self._use = use
        self._stepping = Lock()
        self._before: dict[Served, TrafficSums] = {}  # of seconds that are over and published
        self._last_use: ProcessUse | None = None

    def step(self) -> None:
        """Publish what there is; where nothing is, only say from time to time what is taken."""
        with self._stepping:
            self._publish(self._clock(), only_counts=False)

    def flush(self) -> None:
        """Publish what was tallied, if anything was, the running second included."""
        with self._stepping:
            self._publish(self._clock(), only_counts=True)

    def release(self) -> None:
        """Publish what is left, and that the process serves no longer: nobody waits for it."""
        self.flush()
        with self._stepping:
            if self._last_use is None:
                return
            with self._store.write() as unit:
                unit.process_uses.put_many([ended(self._last_use, self._clock())])
            self._last_use = None

    def _publish(self, now: datetime, *, only_counts: bool) -> None:
        second, last = int(now.timestamp()), self._last_use
        counted = self._tally.counted(second)
        is_due = last is None or (now - last.at).total_seconds() >= _USE_S
        if not counted and (only_counts or not is_due):
            return
        use = self._use() if last is None or is_due else last
        totals = self._totals(counted)
        with self._store.write() as unit:
            _put(unit, use, counted, totals)
            if is_due:
                unit.process_uses.put_many([use])
                _tidy(unit, use)
        self._last_use = use
        self._before = self._totals({key: counted[key] for key in counted if key[0] < second})
        self._tally.drop(second)

    def _totals(self, counted: Counted) -> dict[Served, TrafficSums]:
        found = dict(self._before)
        for (_, served), sums in counted.items():
            found[served] = found.get(served, TrafficSums()).merge(sums)
        return found


def _put(
    unit: TrafficUnit, use: ProcessUse, counted: Counted, totals: Mapping[Served, TrafficSums]
) -> None:
    unit.traffic.put_many(
        TrafficCounts(second=second, process=use.process, **_named(served), sums=sums)
        for (second, served), sums in counted.items()
    )
    names = {"server": use.server, "process": use.process}
    unit.traffic_totals.put_many(
        TrafficTotals(**names, **_named(served), sums=totals[served])
        for served in {served for _, served in counted}
    )


def _named(served: Served) -> dict[str, str]:
    return dict(zip(("endpoint", "model", "version"), served, strict=True))


def _tidy(unit: TrafficUnit, use: ProcessUse) -> None:
    """Remove seconds that are long over, and the totals of servers that are gone."""
    unit.traffic.forget(int(use.at.timestamp()) - COUNTED_S)
    gone = use.at - timedelta(seconds=COUNTED_S)
    uses = unit.process_uses.find()
    for one in uses:
        if one.at < gone:
            unit.process_uses.remove(process=one.process)
    alive = {one.server for one in uses if one.at >= gone}
    for server in {one.server for one in uses} - alive:
        unit.traffic_totals.remove(server=server)
