"""Whoever is erased at any moment leaves what would have been folded without them.

Numbers are quarters, so that sums are exact and any difference is a defect, not rounding.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.experiments.test_folding import COUNTED, counted

from palio.access.domain import Role
from palio.delivery.ports import DeliveryUnit
from palio.errors import Forbidden, InvalidInput, TooLarge
from palio.experiments.covariates import Covariate, Segment
from palio.experiments.design import ExperimentDraft, Metrics, Type
from palio.experiments.erasing import Erased
from palio.experiments.events import LogEntry, OutcomeDraft, Scored
from palio.experiments.folding import read_batch
from palio.experiments.metrics import Direction, Metric
from palio.experiments.policy import Policy, PolicyKind
from palio.experiments.pseudonyms import Pseudonyms
from palio.experiments.publishing import first_weights
from palio.experiments.risk import StopLoss
from palio.experiments.sticky import StickyAssignment
from palio.experiments.verification import verify_within
from palio.ports import Store
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.testing.fakes import FakeClock
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure, prediction
from palio.testing.wired import Wired

START = FakeClock().now
SEGMENT = Segment("country", ("FR",))
LOSS = StopLoss(metric="revenue", max_drawdown=1.0)
OUTCOMES = ("revenue", "visits")
DESIGNS: Sequence[ExperimentDraft] = (
    design(
        "mixed",
        metrics=Metrics(
            "revenue:higher",
            ("revenue/visits:higher", "p50(latency_ms):lower", "win_rate(visits):higher"),
            ("brier", "error"),
        ),
        segments=(SEGMENT,),
        covariates=(Covariate(name="revenue"), Covariate(name="visits", window_s=3_600)),
        label_delay_s=3_600.0,
        stop_loss=LOSS,
    ),
    design(
        "sticky",
        metrics=Metrics(
            "visits",
            ("revenue:higher",),
            declared=(Metric("visits", Direction.HIGHER, window_s=3_600),),
        ),
        sticky=True,
        stop_loss=LOSS,
    ),
    design(
        "paired",
        type=Type.PAIRED,
        label_independent=True,
        metrics=Metrics("brier", ("latency_ms",)),
        segments=(SEGMENT,),
    ),
    design(
        "bandit",
        type=Type.BANDIT,
        unit="request",
        policy=Policy(kind=PolicyKind.THOMPSON),
        metrics=Metrics("revenue:higher", ("latency_ms",)),
    ),
)
KEYS = [one.key for one in DESIGNS]
UNITS = [f"u{number}" for number in range(3)]
REQUESTS = st.sampled_from([f"r{number}" for number in range(4)])
VARIANTS = st.sampled_from(["control", "challenger"])
QUARTERS = st.integers(-12, 12).map(lambda number: number / 4)
SHARES = st.integers(0, 4).map(lambda number: number / 4)
HOURS = st.sampled_from([-30, -1, 0, 1, 2, 5])


class Erasing(RuleBasedStateMachine):
    """Four experiments on one log; events, folds and erasures in any order."""

    pseudonyms = Pseudonyms()

    def __init__(self) -> None:
        super().__init__()
        self.wired = Wired(self.open(), pseudonyms=self.pseudonyms)
        self.wired.serve("1", "2")
        for one in DESIGNS:
            self.wired.run(one)
            self.wired.experiments.pause(one.key)
        with self.wired.store.write() as unit:
            sticky = unit.experiments.get("sticky")
            bandit = unit.experiments.get("bandit")
            assert sticky is not None
            assert bandit is not None
            unit.experiments.put_many([replace(sticky, epoch=2)])
            later = replace(
                first_weights(bandit, 0),
                policy_version=1,
                weights={"control": 0.25, "challenger": 0.75},
                guesses={"revenue": {"control": 0.5, "challenger": 1.0}},
            )
            unit.published.put_many([later])

    def open(self) -> Store[DeliveryUnit]:
        return MemoryStore()

    @initialize(first=st.sampled_from(KEYS), second=st.sampled_from(KEYS))
    def choose(self, first: str, second: str) -> None:
        """Let two experiments have the traffic, so that much happens to each."""
        self.keys = [first, first, second]

    def log(self, *events: Any) -> None:
        with self.wired.store.write() as unit:
            kept = [replace(one, unit=self.pseudonyms.of(one.unit)) for one in events]
            unit.log.append(kept)

    @rule(data=st.data(), request=REQUESTS)
    def predict(self, data: st.DataObject, request: str) -> None:
        key: str | None = data.draw(st.sampled_from([*self.keys, *self.keys, None]))
        variant, share = data.draw(VARIANTS), data.draw(SHARES)
        other = Scored(
            variant="challenger",
            version="2",
            values=[1],
            probabilities=[[1 - share, share]],
            latency_ms=data.draw(QUARTERS),
        )
        own = key is not None
        made = prediction(
            request,
            unit=data.draw(st.sampled_from(UNITS)),
            at=self.wired.clock.now,
            experiment=key,
            variant=("control" if key == "paired" else variant) if own else None,
            epoch=data.draw(st.integers(1, 2)) if key == "sticky" else int(own),
            policy_version=data.draw(st.integers(0, 1)) if key == "bandit" else 0,
            segments=(data.draw(st.sampled_from(SEGMENT.all)),) if own else (),
            others=(other,) if key == "paired" else (),
            probabilities=[[1 - share, share]],
            latency_ms=data.draw(QUARTERS),
            error=data.draw(st.sampled_from([None, None, None, "boom"])),
            forced=data.draw(st.sampled_from([False, False, False, True])),
        )
        self.log(made)

    @rule(unit=st.sampled_from(UNITS), variant=VARIANTS, key=st.sampled_from(["mixed", "sticky"]))
    def expose(self, unit: str, variant: str, key: str) -> None:
        at, segments = self.wired.clock.now, (SEGMENT.all[0],)
        self.log(exposure(unit, variant=variant, experiment=key, at=at, segments=segments))

    @rule(request=REQUESTS, value=st.integers(0, 1))
    def label(self, request: str, value: int) -> None:
        self.wired.outcomes.record([OutcomeDraft(request_id=request, value=value)])

    @rule(
        name=REQUESTS | st.sampled_from(UNITS),
        of=st.sampled_from(OUTCOMES),
        value=QUARTERS,
        hours=HOURS,
        number=st.integers(0, 1),
    )
    def earn(self, *, name: str, of: str, value: float, hours: int, number: int) -> None:
        subject: dict[str, Any] = {"request_id" if name.startswith("r") else "unit": name}
        draft = OutcomeDraft(
            name=of,
            value=value,
            at=START + timedelta(hours=hours),
            outcome_id=f"{name[0]}x{name[1:]}-{of}{number}",
            **subject,
        )
        self.wired.outcomes.record([draft])

    @rule(unit=st.sampled_from(UNITS))
    def stick(self, unit: str) -> None:
        kept = StickyAssignment(
            experiment="sticky",
            unit=self.pseudonyms.of(unit),
            variant="control",
            epoch=1,
            policy_version=0,
            propensity=0.5,
            at=START,
        )
        with self.wired.store.write() as unit_of_work:
            unit_of_work.sticky.put_many([kept])

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.wired.clock.advance(3_600 * hours)

    @rule(place=st.integers(0, 2), limit=st.integers(1, 6))
    def fold(self, place: int, limit: int) -> None:
        key = self.keys[place]
        experiment = self.wired.experiments.get(key)
        with self.wired.store.write() as unit:
            batch = read_batch(unit, experiment, limit=limit, now=self.wired.clock.now)
            assert batch is None or batch.write(unit)

    @rule(key=st.sampled_from(KEYS))
    def compare(self, key: str) -> None:
        assert self.wired.experiments.verify(key).differences == ()

    @rule(key=st.sampled_from(KEYS))
    def rebuild(self, key: str) -> None:
        assert self.wired.experiments.rebuild(key, "try").differences == ()

    @rule(units=st.lists(st.sampled_from([*UNITS, "nobody"]), min_size=1, max_size=3, unique=True))
    def erase(self, units: list[str]) -> None:
        experiments = [self.wired.experiments.get(key) for key in KEYS]
        with self.wired.store.read() as unit:  # somebody is folding meanwhile
            now = self.wired.clock.now
            slow = [read_batch(unit, one, limit=3, now=now) for one in experiments]
        told = self.wired.units.erase(units, "asked")
        with self.wired.store.write() as unit:
            assert not [batch for batch in slow if batch is not None and batch.write(unit)]
        assert told.units == len(units)
        assert self.wired.units.erase(units, "again") == Erased(
            units=len(units),
            known=0,
            predictions=0,
            exposures=0,
            outcomes=0,
            assignments=0,
            experiments=(),
        )
        self.is_gone(units)
        self.compare_all(fold=False)

    def is_gone(self, units: Sequence[str]) -> None:
        kept = {self.pseudonyms.of(unit) for unit in units}
        with self.wired.store.read() as unit:
            events = [entry.event for entry in unit.log.after(0, limit=10_000)]
            rows = [row.unit for row in (*unit.unit_values.find(), *unit.sticky.find())]
        assert kept.isdisjoint({event.unit for event in events})
        assert kept.isdisjoint(rows)

    def compare_all(self, *, fold: bool) -> None:
        """Compare sums, falls and contrasts by verification, and counts straight from events."""
        for key in KEYS:
            if fold:
                assert self.wired.experiments.verify(key).differences == ()
            with self.wired.store.read() as unit:
                self.compare_folded(unit, key)

    def compare_folded(self, unit: DeliveryUnit, key: str) -> None:

        experiment = unit.experiments.get(key)
        cursor = unit.cursors.get(key)
        assert experiment is not None
        assert cursor is not None
        assert verify_within(unit, experiment).differences == ()
        if key == "sticky":
            return  # `counted` knows one epoch
        entries = [entry for entry in unit.log.after(0, limit=10_000) if entry.seq <= cursor.seq]
        found = {
            row.variant: Counter({name: getattr(row, name) for name in COUNTED})
            for row in unit.variant_counts.find(experiment=key)
        }
        assert {name: +row for name, row in found.items() if +row} == self.counts(entries, key)
        assert all(n >= 0 for row in found.values() for n in row.values())

    def counts(self, entries: Sequence[LogEntry], key: str) -> dict[str, Counter[str]]:
        started = self.wired.experiments.get(key).started_at
        assert started is not None
        renamed, first = [], {}
        for entry in entries:
            event: Any = entry.event
            if hasattr(event, "experiment") and not hasattr(event, "outcome_id"):
                event = replace(event, experiment="exp" if event.experiment == key else "other")
            elif event.unit is not None and (  # a correction is as old as what it corrects
                first.setdefault(event.outcome_id, event.at) < started
            ):
                continue
            renamed.append(LogEntry(entry.seq, event))
        return counted(renamed)

    def teardown(self) -> None:
        self.compare_all(fold=True)


class ErasingHashed(Erasing):
    """The same where units are kept hashed."""

    pseudonyms = Pseudonyms.by("a secret of more than sixteen")


class ErasingOnSqlite(Erasing):
    """The same on a file of SQLite."""

    def open(self) -> Store[DeliveryUnit]:
        self.folder = tempfile.TemporaryDirectory(prefix="palio-")
        engine = engine_for(str(Path(self.folder.name) / "palio.db"))
        schema.prepare(engine)
        self.sql = SqlStore(engine)
        return self.sql

    def teardown(self) -> None:
        super().teardown()
        self.sql.close()
        self.folder.cleanup()


TestErasing = Erasing.TestCase
TestErasing.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestErasingHashed = ErasingHashed.TestCase
TestErasingHashed.settings = settings(max_examples=20, stateful_step_count=50, deadline=None)
TestErasingOnSqlite = ErasingOnSqlite.TestCase
TestErasingOnSqlite.settings = settings(max_examples=8, stateful_step_count=40, deadline=None)


# -- single cases, worth a name of their own


@pytest.fixture
def running(wired: Wired) -> Wired:
    wired.serve("1", "2")
    wired.run(DESIGNS[1])
    return wired


def use(wired: Wired, unit: str = "ann@example.org") -> None:
    """Expose a unit, serve it a request, and send outcomes of both; one is overdue."""
    with wired.store.write() as unit_of_work:
        unit_of_work.log.append(
            [
                exposure(unit, variant="control", experiment="sticky", at=START),
                prediction(
                    "r", unit=unit, at=START, experiment="sticky", variant="control", epoch=1
                ),
            ]
        )
    late = START + timedelta(hours=5)
    wired.outcomes.record(
        [
            OutcomeDraft(request_id="r", value=1),
            OutcomeDraft(unit=unit, name="visits", value=2.0, at=late),
        ]
    )


def test_what_was_erased_is_told(running: Wired) -> None:
    use(running)
    assert running.experiments.verify("sticky").differences == ()
    told = running.units.erase(["ann@example.org", "nobody"], "request 4711")
    assert told == Erased(
        units=2,
        known=1,
        predictions=1,
        exposures=1,
        outcomes=2,
        assignments=0,
        experiments=("sticky",),
    )
    with running.store.read() as unit:
        [counts] = unit.variant_counts.find(experiment="sticky")
        assert unit.log.after(0, limit=10) == []
    plain = {name: getattr(counts, name) for name in (*COUNTED, "overdue")}
    assert set(plain.values()) == {0}


def test_the_audit_log_names_a_digest(running: Wired) -> None:
    """SHA-256 of ``abc`` is the first test vector of FIPS 180-2."""
    use(running, "abc")
    running.units.erase(["abc"], "request 4711")
    entry = running.audit.list()[-1]
    digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (entry.action, entry.subject, entry.reason) == ("units.erase", digest, "request 4711")
    assert entry.after is not None
    assert (entry.after["units"], entry.after["predictions"]) == ([digest], 1)
    assert running.audit.verify().broken is None


@pytest.mark.parametrize(
    ("units", "reason", "told"),
    [
        ([], "why", "at least one"),
        ("ann", "why", "must be a list"),
        (["ann"], " ", "reason is empty"),
        (["ann"], "asked by ann", "reason names a unit"),
        ([""], "why", "1 to 256 characters"),
        (["a\0"], "why", "NUL"),
    ],
)
def test_what_cannot_be_erased(running: Wired, units: Any, reason: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        running.units.erase(units, reason)


def test_too_many_at_once_are_refused(running: Wired) -> None:
    with pytest.raises(TooLarge, match="501 units"):
        running.units.erase([f"u{number}" for number in range(501)], "why")


def test_only_an_admin_erases(running: Wired) -> None:
    operator = running.acting("bob", Role.OPERATOR)
    with pytest.raises(Forbidden):
        operator.units.erase(["ann"], "why")
    with pytest.raises(Forbidden):
        operator.units.retain()


def test_a_unit_of_many_pages(wired: Wired) -> None:
    """More events than are read at once: all go, and the statistics follow."""
    wired.serve("1", "2")
    wired.run(DESIGNS[1])
    with wired.store.write() as unit:
        for start in range(0, 2_500, 500):
            unit.log.append(
                [
                    prediction(
                        f"r{number}",
                        unit="u" if number % 5 else "v",
                        at=START,
                        experiment="sticky",
                        variant="control",
                        epoch=1,
                    )
                    for number in range(start, start + 500)
                ]
            )
    assert wired.experiments.verify("sticky").differences == ()
    assert wired.units.erase(["u"], "asked").predictions == 2_000
    assert wired.experiments.verify("sticky").differences == ()
    with wired.store.read() as unit:
        assert [row.requests for row in unit.variant_counts.find()] == [500]


def test_a_database_erases_as_memory_does(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.serve("1", "2")
    wired.run(DESIGNS[1])
    for unit in ("ann@example.org", "bob@example.org"):
        use(wired, unit)
    assert wired.experiments.verify("sticky").differences == ()
    assert wired.units.erase(["ann@example.org"], "asked").known == 1
    assert wired.experiments.verify("sticky").differences == ()
    with sql_store.read() as read:
        assert [row.unit for row in read.unit_values.find()] == ["bob@example.org"]


def test_no_byte_of_an_erased_unit_is_left(sqlite_url: str) -> None:
    """In the file, in its journal, and among what was given back: no id and no name of a part."""
    store = SqlStore(engine_for(sqlite_url))
    wired = Wired(store)
    wired.serve("1", "2")
    wired.run(DESIGNS[1])
    names = [f"customer-{number:04d}@example.org" for number in range(300)]
    with store.write() as unit:
        unit.log.append(
            [exposure(name, variant="control", experiment="sticky", at=START) for name in names]
        )
        unit.sticky.put_many(
            StickyAssignment(
                experiment="sticky",
                unit=name,
                variant="control",
                epoch=1,
                policy_version=0,
                propensity=0.5,
                at=START,
            )
            for name in names
        )
    wired.outcomes.record([OutcomeDraft(unit=name, name="visits", value=1.0) for name in names])
    assert wired.experiments.verify("sticky").differences == ()
    assert names[7].encode() in files(sqlite_url)
    wired.units.erase(names[:200], "asked")
    kept = files(sqlite_url)
    assert [name for name in names[:200] if name.encode() in kept] == []
    assert [name for name in names[200:] if name.encode() not in kept] == []
    wired.units.erase(names[200:], "asked")
    assert b"example.org" not in files(sqlite_url)
    store.close()


def files(path: str) -> bytes:
    return b"".join(one.read_bytes() for one in Path(path).parent.glob(Path(path).name + "*"))
