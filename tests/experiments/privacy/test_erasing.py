"""Whoever is erased at any moment leaves what would have been folded without them.

Numbers are quarters, so that sums are exact and any difference is a defect, not rounding.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.experiments.folding.test_folding import COUNTED

from palio.access.domain import Role
from palio.delivery.ports import DeliveryUnit
from palio.errors import Forbidden, InvalidInput, TooLarge
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft, Metrics, Type
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import StopLoss
from palio.experiments.domain import Experiment
from palio.experiments.events import LogEntry, Outcome, OutcomeDraft, Prediction, Scored
from palio.experiments.folding.folding import read_batch
from palio.experiments.folding.verification import verify_within
from palio.experiments.privacy import erasing
from palio.experiments.privacy.erasing import Erased
from palio.experiments.privacy.pseudonyms import Pseudonyms
from palio.experiments.weights.publishing import first_weights
from palio.experiments.weights.sticky import StickyAssignment
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
REQUESTS = [f"r{number}" for number in range(4)]
VARIANTS = ["control", "challenger"]
QUARTERS = [number / 4 for number in range(-12, 13)]
SHARES = [0.0, 0.25, 0.5, 0.75, 1.0]
HOURS = [-30, -1, 0, 1, 2, 5]
Choose = Callable[[Sequence[Any]], Any]


def counted(
    entries: Sequence[LogEntry], experiment: Experiment
) -> dict[tuple[int, str], Counter[str]]:
    """Count by epoch and variant, straight from the events and the words of `VariantCounts`."""
    given: dict[tuple[int, str], Any] = {}
    served: dict[str, Prediction] = {}
    first: dict[str, Outcome] = {}
    labelled: set[str | None] = set()
    counts: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for event in (entry.event for entry in entries):
        if isinstance(event, Outcome):
            first.setdefault(event.outcome_id, event)
            labelled |= {event.request_id} if event.name == "label" else set()
        elif event.counts_for(experiment.key):
            own = given.setdefault((event.epoch, event.unit), event)
            if isinstance(event, Prediction):
                served.setdefault(event.request_id, event)
            else:
                counts[event.epoch, event.variant]["crossovers"] += crossed(own, event)
    of = Counter(one.request_id for one in first.values())
    of_units = Counter(
        one.unit for one in first.values() if one.unit and experiment.covers(one.at)
    )
    for (epoch, name), event in given.items():
        row = counts[epoch, event.variant]
        is_first = epoch == min(at for at, other in given if other == name)
        row.update(units=1, outcomes=of_units[name] if is_first else 0)
    for request, one in served.items():
        row, own = counts[one.epoch, one.variant or ""], given[one.epoch, one.unit]
        row.update(requests=1, errors=int(one.error is not None), crossovers=crossed(own, one))
        if own.variant == one.variant:
            row.update(outcomes=of[request], labelled=int(request in labelled))
    return {place: +row for place, row in counts.items() if +row}


def crossed(first: Any, later: Any) -> int:
    """Tell whether a unit was given two variants under the same weights."""
    same = first.policy_version == later.policy_version
    return int(same and first.variant != later.variant)


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
                first_weights(unit, bandit, 0),
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
        self.epoch = 1

    def log(self, *events: Any) -> None:
        with self.wired.store.write() as unit:
            kept = [replace(one, unit=self.pseudonyms.of(one.unit)) for one in events]
            unit.log.append(kept)

    @rule(data=st.data(), requests=st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4))
    def predict(self, data: st.DataObject, requests: list[str]) -> None:
        for request in requests:
            self.serve(request, lambda options: data.draw(st.sampled_from(options)))

    def serve(self, request: str, choose: Choose) -> None:
        """Log one prediction, whatever a choice of its fields says."""
        key: str | None = choose([*self.keys, *self.keys, None])
        variant, share = choose(VARIANTS), choose(SHARES)
        other = Scored(
            variant="challenger",
            version="2",
            values=[1],
            probabilities=[[1 - share, share]],
            latency_ms=choose(QUARTERS),
        )
        own = key is not None
        made = prediction(
            request,
            unit=choose(UNITS),
            at=self.wired.clock.now,
            experiment=key,
            variant=("control" if key == "paired" else variant) if own else None,
            epoch=self.epoch if key == "sticky" else int(own),
            policy_version=choose([0, 1]) if key == "bandit" else 0,
            segments=(choose(SEGMENT.all),) if own else (),
            others=(other,) if key == "paired" else (),
            probabilities=[[1 - share, share]],
            latency_ms=choose(QUARTERS),
            error=choose([None, None, None, "boom"]),
            forced=choose([False, False, False, True]),
        )
        self.log(made)

    @rule(
        units=st.lists(
            st.tuples(st.sampled_from(UNITS), st.sampled_from(VARIANTS)), min_size=1, max_size=3
        ),
        key=st.sampled_from(["mixed", "sticky"]),
    )
    def expose(self, units: list[tuple[str, str]], key: str) -> None:
        given = [
            exposure(
                unit,
                variant=variant,
                experiment=key,
                at=self.wired.clock.now,
                segments=SEGMENT.all[:1],
                epoch=self.epoch if key == "sticky" else 1,
            )
            for unit, variant in units
        ]
        self.log(*given)

    @rule(labels=st.dictionaries(st.sampled_from(REQUESTS), st.integers(0, 1), min_size=1))
    def label(self, labels: dict[str, int]) -> None:
        drafts = [OutcomeDraft(request_id=name, value=value) for name, value in labels.items()]
        self.wired.outcomes.record(drafts)

    @rule(
        earned=st.lists(
            st.tuples(
                st.sampled_from([*UNITS, *REQUESTS]),
                st.sampled_from(OUTCOMES),
                st.sampled_from(QUARTERS),
                st.sampled_from(HOURS),
                st.integers(0, 1),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def earn(self, earned: list[tuple[str, str, float, int, int]]) -> None:
        for name, of, value, hours, number in earned:
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

    @rule(hours=st.integers(1, 3), reweigh=st.sampled_from([False, False, True]))
    def wait(self, hours: int, *, reweigh: bool) -> None:
        """Let time pass, and perhaps begin the second epoch of the experiment that has two."""
        self.wired.clock.advance(3_600 * hours)
        self.epoch = 2 if reweigh else self.epoch

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
        entries = [entry for entry in unit.log.after(0, limit=10_000) if entry.seq <= cursor.seq]
        found = {
            (row.epoch, row.variant): Counter({name: getattr(row, name) for name in COUNTED})
            for row in unit.variant_counts.find(experiment=key)
        }
        told = {place: +row for place, row in found.items() if +row}
        assert told == counted(entries, experiment)
        assert all(n >= 0 for row in found.values() for n in row.values())

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


@pytest.mark.parametrize("seed", range(30))
def test_much_happens_to_few_units(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine where events are dense, as random numbers from a fixed seed say."""
    monkeypatch.setattr(erasing, "_PAGE", 7)
    monkeypatch.setattr(erasing, "_REQUESTS", 2)
    random = Random(seed)
    pick, machine = random.choice, Erasing()
    machine.choose(*random.choices(KEYS, k=2))

    def earn() -> None:
        name, of = pick([*UNITS, *UNITS, *REQUESTS]), pick(OUTCOMES)
        machine.earn([(name, of, pick(QUARTERS), pick(HOURS), pick([0, 1]))])

    steps: dict[Callable[[], None], float] = {
        lambda: machine.serve(pick(REQUESTS), pick): 8,
        lambda: machine.expose([(pick(UNITS), pick(VARIANTS))], pick(["mixed", "sticky"])): 4,
        lambda: machine.label({pick(REQUESTS): pick([0, 1])}): 2,
        earn: 6,
        lambda: machine.wait(pick([1, 2, 3]), reweigh=random.random() < 0.3): 1,
        lambda: machine.fold(random.randrange(3), random.randrange(1, 9)): 2,
        lambda: machine.erase(random.sample(UNITS, pick([1, 2]))): 0.5,
    }
    for step in random.choices([*steps], [*steps.values()], k=150):
        step()
    machine.erase(random.sample(UNITS, 1))
    machine.teardown()


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
