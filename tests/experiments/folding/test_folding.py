"""Folding in any order and in batches of any size equals counting from the events.

Numbers are quarters, so that sums are exact and any difference is a defect, not rounding.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from palio.delivery.ports import DeliveryUnit
from palio.errors import InvalidOutcome
from palio.experiments.designs.design import Metrics
from palio.experiments.designs.metrics import Direction, Metric, Source
from palio.experiments.designs.risk import StopLoss
from palio.experiments.domain import Experiment
from palio.experiments.events import Exposure, LogEntry, Outcome, OutcomeDraft, Prediction
from palio.experiments.folding.folding import read_batch
from palio.experiments.folding.statistics import MetricSums
from palio.experiments.folding.verification import recompute, verify_within
from palio.ports import Store
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure, prediction
from palio.testing.wired import Wired

METRICS = Metrics(
    "brier",
    ("accuracy", "revenue", "visits"),
    ("latency_ms", "error"),
    (
        Metric("revenue", Direction.HIGHER),
        Metric("visits", Direction.HIGHER, window_s=3_600, limits=(-1, 1), winsorise=True),
        Metric("brier", Direction.LOWER, Source.SCORING, window_s=3_600),
    ),
)
SERVED = prediction("r").at
WHEN = st.sampled_from([0, 1_800, 3_600, 3_601, 9_000]).map(
    lambda seconds: SERVED + timedelta(seconds=seconds)
)
REQUESTS = st.sampled_from([f"r{number}" for number in range(8)])
UNITS = st.sampled_from([f"u{number}" for number in range(4)])
QUARTERS = st.integers(-12, 12).map(lambda number: number / 4)
LABELS = st.integers(0, 1)
COUNTED = ("units", "requests", "errors", "labelled", "outcomes", "crossovers")


def is_evidence(event: Prediction | Exposure) -> bool:
    return event.experiment == "exp" and not getattr(event, "forced", False)


def counted(entries: Sequence[LogEntry]) -> dict[str, Counter[str]]:
    """Count by variant, straight from the events and the words of `VariantCounts`."""
    served: dict[str, Prediction] = {}
    given: dict[str, str] = {}
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    labelled: set[str] = set()
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in (entry.event for entry in entries):
        if isinstance(event, Outcome):
            subject = ("request", event.request_id) if event.request_id else ("unit", event.unit)
            ids[subject[0], str(subject[1])].add(event.outcome_id)
            labelled |= {event.request_id or ""} if event.name == "label" else set()
        elif is_evidence(event):
            first = given.setdefault(event.unit, event.variant or "")
            if isinstance(event, Prediction):
                served.setdefault(event.request_id, event)
            else:
                counts[event.variant] += Counter(crossovers=int(first != event.variant))
    for unit, variant in given.items():
        counts[variant] += Counter(units=1, outcomes=len(ids["unit", unit]))
    for name, one in served.items():
        row = counts[one.variant or ""]
        row += Counter(requests=1, errors=int(one.error is not None))
        if given[one.unit] != one.variant:
            row += Counter(crossovers=1)
        else:
            row += Counter(outcomes=len(ids["request", name]), labelled=int(name in labelled))
    return {variant: row for variant, row in counts.items() if row}


def fold(unit: DeliveryUnit, experiment: Experiment, *, limit: int) -> int:
    """Fold one batch in one unit; return how many entries it had."""
    batch = read_batch(unit, experiment, limit=limit, now=SERVED)
    if batch is None:
        return 0
    assert batch.write(unit)
    return len(batch.entries)


class Folding(RuleBasedStateMachine):
    """Predictions, outcomes and folds in any order, on a store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.wired = Wired(self.open())
        self.wired.serve("1", "2")
        self.experiment = self.wired.run(design(metrics=METRICS))
        self.sent = 0

    def open(self) -> Store[DeliveryUnit]:
        return MemoryStore()

    @rule(
        request=REQUESTS,
        unit=UNITS,
        swapped=st.integers(0, 9).map(lambda number: number == 0),
        rows=st.integers(1, 3),
        failed=st.integers(0, 4).map(lambda number: number == 0),
        experiment=st.sampled_from(["exp"] * 5 + ["other", None]),
        forced=st.integers(0, 5).map(lambda number: number == 0),
        data=st.data(),
    )
    def predict(
        self,
        *,
        request: str,
        unit: str,
        swapped: bool,
        rows: int,
        failed: bool,
        experiment: str | None,
        forced: bool,
        data: st.DataObject,
    ) -> None:
        variant = self.experiment.split().assign(unit)
        if swapped:
            variant = {"control": "challenger", "challenger": "control"}[variant]
        shares = data.draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
        made = prediction(
            request,
            unit=unit,
            experiment=experiment,
            variant=variant if experiment else None,
            epoch=1 if experiment else 0,
            values=[] if failed else [int(share > 2) for share in shares],
            probabilities=None if failed else [[1 - share / 4, share / 4] for share in shares],
            latency_ms=data.draw(QUARTERS),
            error="boom" if failed else None,
            forced=forced,
        )
        with self.wired.store.write() as unit_of_work:
            unit_of_work.log.append([made])

    @rule(
        unit=UNITS,
        variant=st.sampled_from(["control", "challenger"]),
        experiment=st.sampled_from(["exp"] * 3 + ["other"]),
    )
    def expose(self, unit: str, variant: str, experiment: str) -> None:
        with self.wired.store.write() as unit_of_work:
            unit_of_work.log.append([exposure(unit, variant=variant, experiment=experiment)])

    @rule(request=REQUESTS, value=LABELS | st.lists(LABELS, min_size=1, max_size=3))
    def label(self, request: str, value: Any) -> None:
        self.send(OutcomeDraft(request_id=request, value=value))

    @rule(request=REQUESTS, value=QUARTERS, number=st.none() | st.integers(0, 2))
    def earn(self, request: str, value: float, number: int | None) -> None:
        named = None if number is None else f"{request}-sale{number}"
        draft = OutcomeDraft(request_id=request, name="revenue", value=value, outcome_id=named)
        self.send(draft)

    @rule(unit=UNITS, value=QUARTERS, number=st.none() | st.integers(0, 2))
    def earn_from_unit(self, unit: str, value: float, number: int | None) -> None:
        named = None if number is None else f"{unit}-sale{number}"
        self.send(OutcomeDraft(unit=unit, name="revenue", value=value, outcome_id=named))

    @rule(request=REQUESTS, value=LABELS, at=WHEN)
    def label_at(self, request: str, value: int, at: datetime) -> None:
        self.send(OutcomeDraft(request_id=request, value=value, at=at))

    @rule(name=REQUESTS | UNITS, value=QUARTERS, at=WHEN, number=st.integers(0, 1))
    def visit(self, *, name: str, value: float, at: datetime, number: int) -> None:
        subject = {"request_id" if name.startswith("r") else "unit": name}
        named = f"{name}-visit{number}"
        self.send(OutcomeDraft(name="visits", value=value, at=at, outcome_id=named, **subject))

    @rule(
        variant=st.sampled_from(["control", "challenger"]),
        name=st.sampled_from(["visits", "stars"]),
        value=QUARTERS | st.lists(QUARTERS, min_size=1, max_size=2),
        number=st.integers(0, 1),
    )
    def tell(self, variant: str, name: str, value: Any, number: int) -> None:
        named = f"{variant}-{name}{number}"
        self.send(
            OutcomeDraft(
                experiment="exp", variant=variant, name=name, value=value, outcome_id=named
            )
        )

    @rule(request=REQUESTS)
    def mention_what_is_not_measured(self, request: str) -> None:
        self.send(OutcomeDraft(request_id=request, name="stars", value=5))

    def send(self, draft: OutcomeDraft) -> None:
        with self.wired.store.read() as unit:
            before = unit.log.head()
        try:
            receipt = self.wired.outcomes.record([draft])
        except InvalidOutcome:
            accepted = 0
        else:
            accepted = receipt.accepted
        with self.wired.store.read() as unit:
            assert len(unit.log.after(before, limit=10)) == accepted

    @rule(limit=st.integers(1, 6))
    def fold_some(self, limit: int) -> None:
        with self.wired.store.write() as unit:
            fold(unit, self.experiment, limit=limit)
        self.compare()

    @rule()
    def fold_all(self) -> None:
        while self.fold_page():
            pass
        self.compare()

    def fold_page(self) -> int:
        with self.wired.store.write() as unit:
            return fold(unit, self.experiment, limit=5)

    def compare(self) -> None:
        with self.wired.store.read() as unit:
            cursor = unit.cursors.get("exp")
            assert cursor is not None
            entries = [
                entry for entry in unit.log.after(0, limit=10_000) if entry.seq <= cursor.seq
            ]
            sums = unit.metric_sums.find(experiment="exp")
            counts = unit.variant_counts.find(experiment="exp")
            verification = verify_within(unit, self.experiment)
        assert verification.differences == ()
        assert verification.watermark == cursor.seq
        compare_moments(sums, entries, self.experiment)
        found = {
            row.variant: Counter({name: getattr(row, name) for name in COUNTED}) for row in counts
        }
        assert {variant: +row for variant, row in found.items() if +row} == counted(entries)

    @invariant()
    def no_sum_is_without_units(self) -> None:
        with self.wired.store.read() as unit:
            for row in unit.metric_sums.find(experiment="exp"):
                assert row.n >= 0

    def teardown(self) -> None:
        self.fold_all()


def compare_moments(
    sums: Sequence[MetricSums], entries: Sequence[LogEntry], experiment: Experiment
) -> None:
    found = recompute(entries, experiment)
    expected = {place: joint.value(0) for place, joint in found.items()}
    kept = {(r.epoch, r.variant, r.metric, r.segment): r.moments() for r in sums if r.n}
    assert set(kept) == set(expected)
    for place, moments in expected.items():
        assert kept[place].n == moments.n
        assert kept[place].mean == pytest.approx(moments.mean, abs=1e-12)
        assert kept[place].var == pytest.approx(moments.var, abs=1e-12)


@functools.cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory(prefix="palio-") as folder:
        path = Path(folder) / "palio.db"
        engine = engine_for(str(path))
        schema.prepare(engine)
        engine.dispose()
        return path.read_bytes()


class FoldingOnSqlite(Folding):
    """The same on a file of SQLite."""

    def open(self) -> Store[DeliveryUnit]:
        self.folder = tempfile.TemporaryDirectory(prefix="palio-")
        path = Path(self.folder.name) / "palio.db"
        path.write_bytes(_template())
        self.sql = SqlStore(engine_for(str(path)))
        return self.sql

    def teardown(self) -> None:
        super().teardown()
        self.sql.close()
        self.folder.cleanup()


TestFolding = Folding.TestCase
TestFolding.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
TestFoldingOnSqlite = FoldingOnSqlite.TestCase
TestFoldingOnSqlite.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


# -- single cases, worth a name of their own


@pytest.fixture
def running(wired: Wired) -> Wired:
    wired.serve("1", "2")
    wired.run(design(metrics=METRICS))
    return wired


def serve(wired: Wired, request: str, unit: str | None = None, **fields: Any) -> None:
    variant = wired.experiments.get("exp").split().assign(unit or request)
    fields = {"experiment": "exp", "variant": variant, "epoch": 1, **fields}
    with wired.store.write() as unit_of_work:
        unit_of_work.log.append([prediction(request, unit=unit or request, **fields)])


def arms(wired: Wired) -> dict[str, Any]:
    report = wired.experiments.analyze("exp")
    assert wired.experiments.verify("exp").differences == ()
    return {arm.variant: arm for arm in report.arms}


def test_an_outcome_before_its_prediction_counts(running: Wired) -> None:
    running.outcomes.record([OutcomeDraft(request_id="r", value=1)])
    arms(running)
    serve(running, "r")
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert (arm.outcomes, arm.labelled, arm.metrics["brier"].mean) == (1, 1, 0.0625)


def test_a_correction_replaces(running: Wired) -> None:
    serve(running, "r")
    running.outcomes.record([OutcomeDraft(request_id="r", value=0)])
    [before] = [arm for arm in arms(running).values() if arm.requests]
    running.outcomes.record([OutcomeDraft(request_id="r", value=1)])
    [after] = [arm for arm in arms(running).values() if arm.requests]
    assert (before.metrics["brier"].mean, after.metrics["brier"].mean) == (0.5625, 0.0625)
    assert (before.outcomes, after.outcomes) == (1, 1)


def test_a_correction_of_everything_leaves_no_rounding(running: Wired) -> None:
    """The first value is the shift of the sums; corrected, a wild one leaves no trace."""
    serve(running, "r")
    running.outcomes.record([OutcomeDraft(request_id="r", name="revenue", value=1e15)])
    arms(running)
    running.outcomes.record([OutcomeDraft(request_id="r", name="revenue", value=0.1)])
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert arm.metrics["revenue"].mean == pytest.approx(0.1, abs=1e-9)


def test_a_request_of_several_rows_is_one_value(running: Wired) -> None:
    serve(running, "r", values=[1, 1], probabilities=[[0.25, 0.75], [0.75, 0.25]])
    running.outcomes.record([OutcomeDraft(request_id="r", value=[1, 1])])
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert arm.metrics["brier"].n == 1
    assert arm.metrics["brier"].mean == (0.0625 + 0.5625) / 2


def test_a_unit_of_several_requests_is_one_value(running: Wired) -> None:
    for number, share in enumerate([0.75, 0.25, 0.5]):
        serve(running, f"r{number}", "u", probabilities=[[1 - share, share]])
        running.outcomes.record([OutcomeDraft(request_id=f"r{number}", value=1)])
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert (arm.units, arm.requests, arm.metrics["brier"].n) == (1, 3, 1)
    assert arm.metrics["brier"].mean == pytest.approx((0.0625 + 0.5625 + 0.25) / 3)


def test_a_repeated_request_counts_once_even_for_another_unit(running: Wired) -> None:
    serve(running, "r", "u0")
    arms(running)
    serve(running, "r", "u0")
    serve(running, "r", "u9")
    running.outcomes.record([OutcomeDraft(unit="u9", name="revenue", value=2.0)])
    found = arms(running)
    assert sum(arm.requests for arm in found.values()) == 1
    assert sum(arm.units for arm in found.values()) == 2


def test_outcomes_beyond_numbers_do_not_stop_the_fold(running: Wired) -> None:
    serve(running, "r", values=[1e300], probabilities=None, classes=())
    running.outcomes.record([OutcomeDraft(request_id="r", value=-1e60)])
    running.outcomes.record([OutcomeDraft(request_id="r", name="revenue", value=1e60)])
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert arm.metrics["revenue"].mean == 1e60


def test_batches_of_one_equal_one_batch(running: Wired) -> None:
    for number in range(30):
        serve(running, f"r{number}", f"u{number % 7}")
        running.outcomes.record([OutcomeDraft(request_id=f"r{number}", value=number % 2)])
    one = running.experiments.get("exp")
    with running.store.write() as unit:
        while fold(unit, one, limit=1):
            pass
        by_one = unit.variant_counts.find(), unit.unit_values.find()
        sums = unit.metric_sums.find()
    other = Wired(MemoryStore(), ids=running.ids)
    other.serve("1", "2")
    other.run(design(metrics=METRICS))
    with running.store.read() as read, other.store.write() as unit:
        unit.log.append([entry.event for entry in read.log.after(0, limit=1_000)])
        fold(unit, replace(one), limit=1_000)
        at_once = unit.variant_counts.find(), unit.unit_values.find()
        entries = unit.log.after(0, limit=1_000)
        compare_moments(unit.metric_sums.find(), entries, one)
        compare_moments(sums, entries, one)
    assert {row.variant: row for row in by_one[0]} == {row.variant: row for row in at_once[0]}
    assert {row.unit: row for row in by_one[1]} == {row.unit: row for row in at_once[1]}


def test_a_fold_at_the_head_reads_nothing(running: Wired) -> None:
    with running.store.write() as unit:
        assert fold(unit, running.experiments.get("exp"), limit=10) == 0


def test_verify_finds_what_was_tampered_with(running: Wired) -> None:
    serve(running, "r")
    arms(running)
    with running.store.write() as unit:
        row = unit.metric_sums.find(metric="latency_ms")[0]
        unit.metric_sums.put_many([replace(row, shift=(row.shift[0] + 1e-6,))])
    found = running.experiments.verify("exp")
    assert len(found.differences) == 1
    assert "latency_ms: folded JointMoments" in found.differences[0]
    assert found.compared == 2  # latency and errors of one unit


def test_what_a_unit_did_before_the_experiment_is_not_due_to_its_variant(running: Wired) -> None:
    started = running.experiments.get("exp").started_at
    assert started is not None
    for outcome_id, seconds, value in (("before", -1, 100.0), ("after", 1, 3.0)):
        draft = OutcomeDraft(
            unit="u",
            name="revenue",
            value=value,
            outcome_id=outcome_id,
            at=started + timedelta(seconds=seconds),
        )
        running.outcomes.record([draft])
    serve(running, "r", "u")
    [arm] = [arm for arm in arms(running).values() if arm.requests]
    assert (arm.outcomes, arm.metrics["revenue"].mean) == (1, 3.0)
    assert running.experiments.verify("exp").differences == ()


def test_a_batch_that_was_overtaken_is_not_written(running: Wired) -> None:
    one = running.experiments.get("exp")
    serve(running, "r", "u")
    with running.store.read() as unit:
        slow, fast = (read_batch(unit, one, limit=10, now=SERVED) for _ in range(2))
    assert slow is not None
    assert fast is not None
    with running.store.write() as unit:
        assert fast.write(unit)
    with running.store.write() as unit:
        assert not slow.write(unit)
        assert [row.requests for row in unit.variant_counts.find()] == [1]


def test_a_correction_of_what_came_before_falls_nowhere(wired: Wired) -> None:
    """It is as old as what it corrects, also for the sum whose fall a stop-loss limits."""
    wired.serve("1", "2")
    loss = StopLoss(metric="revenue", max_drawdown=1.0)
    started = wired.run(design(metrics=Metrics("revenue:higher"), stop_loss=loss)).started_at
    assert started is not None
    serve(wired, "r", "u")
    for seconds, value in ((-1, 5.0), (1, -3.0)):
        at = started + timedelta(seconds=seconds)
        draft = OutcomeDraft(unit="u", name="revenue", value=value, outcome_id="o", at=at)
        wired.outcomes.record([draft])
    assert wired.experiments.verify("exp").differences == ()
    with wired.store.read() as unit:
        assert [row.deepest for row in unit.falls.find() if row.deepest] == []
