"""Units keep the variant they were given first; weight 0 moves them, for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from palio.errors import Conflict, NotFound
from palio.experiments.designs.assignment import Assigner, Assignment
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.covariates import Segment
from palio.experiments.designs.design import Metrics, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.domain import Experiment
from palio.experiments.events import Exposure
from palio.experiments.weights.sticky import Drawn, StickyAssignment
from palio.serving.sticky import StickyCache
from palio.storage.store import SqlStore
from palio.testing.memory import MemoryStore
from palio.testing.records import WHEN, design
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

UNITS = [f"u{number}" for number in range(60)]
METRICS = Metrics("revenue", declared=(Metric("revenue", Direction.HIGHER),))


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2", "3")
    return wired


def sticky(**fields: Any) -> Any:
    return design(metrics=METRICS, sticky=True, **fields)


def reweigh(wired: Wired, **weights: float) -> Experiment:
    """Give the experiment other weights, as those who move them do."""
    with wired.store.write() as unit:
        one = unit.experiments.get("exp", lock=True)
        assert one is not None
        version, epoch = one.policy_version + 1, one.epoch + 1
        moved = replace(one, published=weights, policy_version=version, epoch=epoch)
        unit.experiments.put_many([moved])
        unit.published.put_many(
            [replace(first, policy_version=version, epoch=epoch, weights=weights)
             for first in unit.published.find(experiment="exp", policy_version=0)]
        )  # fmt: skip
    return moved


def kept(wired: Wired) -> dict[str, StickyAssignment]:
    with wired.store.read() as unit:
        return {one.unit: one for one in unit.sticky.find(experiment="exp")}


def exposures(wired: Wired) -> list[Exposure]:
    with wired.store.read() as unit:
        entries = unit.log.after(0, limit=100_000)
    return [entry.event for entry in entries if isinstance(entry.event, Exposure)]


def variants(assignments: Any) -> list[str | None]:
    return [one.variant for one in assignments]


def test_a_unit_keeps_its_first_variant(serving: Wired) -> None:
    started = serving.run(sticky())
    first = serving.experiments.assign_many("exp", UNITS, record=True)
    assert variants(first) == started.assigner().assign_many(UNITS).tolist()
    moved = reweigh(serving, control=0.1, challenger=0.9)
    assert variants(first) != moved.assigner().assign_many(UNITS).tolist()
    assert serving.experiments.assign_many("exp", UNITS, record=True) == first
    assert serving.experiments.assign_many("credit", UNITS) == first
    assert serving.experiments.assign("exp", "u0") == first[0]
    assert (first[0].epoch, first[0].policy_version, first[0].propensity) == (1, 0, 0.5)
    told = exposures(serving)
    assert len(told) == 2 * len(UNITS) + 1
    for one in told:
        assert (one.epoch, one.policy_version, one.propensity) == (1, 0, 0.5)
        assert one.variant == first[UNITS.index(one.unit)].variant
    late = serving.experiments.assign("exp", "late")
    assert (late.epoch, late.policy_version) == (2, 1)
    assert late.propensity == {"control": 0.1, "challenger": 0.9}[late.variant or ""]


def test_asking_without_recording_writes_nothing(serving: Wired) -> None:
    serving.run(sticky())
    pure = serving.experiments.assign_many("exp", UNITS[:30])
    assert (kept(serving), exposures(serving)) == ({}, [])
    assert serving.experiments.assign_many("exp", [*UNITS[:30], "u0"], record=True)[:30] == pure
    assert set(kept(serving)) == set(UNITS[:30])
    reweigh(serving, control=0, challenger=1)
    assert variants(serving.experiments.assign_many("exp", UNITS)) == ["challenger"] * len(UNITS)
    assert {one.policy_version for one in kept(serving).values()} == {0}  # nobody was moved


def test_weight_0_moves_a_unit_and_it_does_not_come_back(serving: Wired) -> None:
    serving.run(sticky())
    before = {one.unit: one for one in serving.experiments.assign_many("exp", UNITS, record=True)}
    reweigh(serving, control=1, challenger=0)
    asked = UNITS[:30]
    assert variants(serving.experiments.assign_many("exp", asked, record=True)) == ["control"] * 30
    reweigh(serving, control=0.5, challenger=0.5)
    after = {one.unit: one for one in serving.experiments.assign_many("exp", UNITS, record=True)}
    assert variants(after[unit] for unit in asked) == ["control"] * 30  # moved back, stays back
    for unit in UNITS[30:]:  # who was not asked for meanwhile has lost nothing
        assert after[unit] == before[unit]
    for unit in asked:
        was = before[unit].variant == "challenger"
        assert (after[unit].epoch, after[unit].policy_version) == ((2, 1) if was else (1, 0))
        assert after[unit].propensity == (1.0 if was else 0.5)


def test_who_has_left_the_part_is_outside_and_may_come_back(serving: Wired) -> None:
    serving.run(sticky(audience=(Condition.parse("country = NL"),)))
    here: dict[str, Any] = {"country": "NL"}
    first = serving.experiments.assign("exp", "u", here)
    lost = 1.0 if first.variant == "challenger" else 0.0
    reweigh(serving, control=0.999 * lost + 0.0005, challenger=0.9995 - 0.999 * lost)
    assert serving.experiments.assign("exp", "u", {"country": "BE"}).experiment is None
    assert serving.experiments.assign("exp", "u", here) == first
    assert len(exposures(serving)) == 2


def test_a_plain_experiment_keeps_nothing(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    serving.experiments.assign_many("exp", UNITS, record=True)
    assert kept(serving) == {}


def test_segments_are_those_of_the_request(serving: Wired) -> None:
    serving.run(sticky(segments=(Segment("country", ("FR", "DE")),)))
    said: list[Any] = [{"country": "FR", "age": 30}, {"country": "BE"}, {}]
    found = serving.experiments.assign_many("exp", ["a", "b", "c"], said, record=True)
    segments = [("country=FR",), ("country=other",), ("country=other",)]
    assert [one.segments for one in found] == segments
    assert [one.segments for one in exposures(serving)] == segments


def test_the_statistics_of_units_that_were_moved(serving: Wired) -> None:
    """Each epoch has the units it was the first to give a variant; nobody has crossed over."""
    serving.run(sticky())
    serving.experiments.assign_many("exp", UNITS[:40], record=True)
    reweigh(serving, control=0.25, challenger=0.75)
    serving.experiments.assign_many("exp", UNITS, record=True)
    reweigh(serving, control=0, challenger=1)
    serving.experiments.assign_many("exp", UNITS[:20], record=True)
    report = serving.experiments.analyze("exp")
    assert serving.experiments.verify("exp").differences == ()
    assert [arm.crossovers for arm in report.arms] == [0, 0]
    with serving.store.read() as unit:
        counts = {(row.epoch, row.variant): row.units
                  for row in unit.variant_counts.find(experiment="exp")}  # fmt: skip
    assert counts[1, "control"] + counts[1, "challenger"] == 40
    assert counts[2, "control"] + counts[2, "challenger"] == 20
    assert counts[3, "challenger"] == sum(one.epoch == 3 for one in kept(serving).values())


def test_requests_are_units_of_their_own(serving: Wired) -> None:
    started = serving.run(design(metrics=METRICS, unit="request", coverage=0.5))
    found = serving.experiments.assign_many("exp", UNITS, record=True)
    assert variants(found) == [one or None for one in started.assigner().assign_many(UNITS)]
    assert {one.unit for one in exposures(serving)} == {one.unit for one in found if one.variant}


def test_users_and_requests_do_not_run_side_by_side(serving: Wired) -> None:
    from palio.experiments.designs.assignment import Namespace  # noqa: PLC0415

    serving.run(design(namespace=Namespace("n", 0, 5_000)))
    half = Namespace("n", 5_000, 10_000)
    with pytest.raises(Conflict, match="exp is running on credit by unit, b asks for request"):
        serving.run(design("b", namespace=half, unit="request"))


# -- several processes


def drawn(assigner: Assigner, unit: str) -> Drawn:
    variant = assigner.assign(unit)
    assert variant is not None
    return Drawn.by(assigner, unit, variant, WHEN)


def test_processes_that_give_the_first_variant_at_once_agree(sql_store: SqlStore) -> None:
    """Two have the weights of before, two those of after; whoever is first wins."""
    wired = Wired(sql_store)
    wired.serve("1", "2")
    before = wired.run(sticky()).assigner()
    after = reweigh(wired, control=0.05, challenger=0.95).assigner()
    assert any(before.assign(unit) != after.assign(unit) for unit in UNITS)
    caches = [StickyCache() for _ in range(4)]
    told: dict[int, dict[str, StickyAssignment]] = {}

    def settle(place: int) -> None:
        assigner = (before, after)[place % 2]
        found: dict[str, StickyAssignment] = {}
        for start in range(0, len(UNITS), 6):
            some = UNITS[start : start + 6]
            some = some if place < 2 else some[::-1]
            asked = [drawn(assigner, unit) for unit in some]
            settled = caches[place].settle(sql_store, asked)
            found |= {unit: settled["exp", unit] for unit in some}
        told[place] = found

    in_threads([settle] * 4)
    everybody = kept(wired)
    assert set(everybody) == set(UNITS)
    assert [told[place] for place in range(4)] == [everybody] * 4

    before = after
    after = reweigh(wired, control=1, challenger=0).assigner()  # everybody is moved at once
    in_threads([settle] * 4)
    moved = kept(wired)
    assert {one.variant for one in moved.values()} == {"control"}
    for place in (1, 3):  # the other two are a little behind, and serve by what they knew
        assert told[place] == moved


# -- in any order


VARIANTS = (Variant("a", "1", 0.5), Variant("b", "2", 0.5), Variant("c", "3", 0.0))
WEIGHTS = st.sampled_from([(0.5, 0.5, 0), (1, 0, 0), (0, 1, 0), (0, 0.5, 0.5), (0.25, 0.25, 0.5)])
FEW = ["u0", "u1", "u2"]


def told(one: Assignment | StickyAssignment) -> tuple[str | None, int, float]:
    return one.variant, one.policy_version, one.propensity


class Stickiness(RuleBasedStateMachine):
    """Weights move while two processes, which may be behind, and `assign` serve units."""

    @initialize()
    def start(self) -> None:
        self.wired = Wired(MemoryStore())
        self.wired.serve("1", "2", "3")
        self.now = self.wired.run(sticky(variants=VARIANTS)).assigner()
        self.caches = [StickyCache(most=1), StickyCache()]
        self.snapshots = [self.now, self.now]
        self.model: dict[str, tuple[str | None, int, float]] = {}

    @rule(weights=WEIGHTS)
    def reweigh(self, weights: tuple[float, ...]) -> None:
        """The first process hears of it at once."""
        moved = reweigh(self.wired, **dict(zip("abc", weights, strict=True)))
        self.now = self.snapshots[0] = moved.assigner()

    @rule()
    def refresh(self) -> None:
        """The second has heard of it, and serves everybody."""
        self.snapshots[1] = self.now
        self.predict(1, FEW)

    @rule(process=st.sampled_from([0, 1]), units=st.lists(st.sampled_from(FEW), min_size=1))
    def ask(self, process: int, units: list[str]) -> None:
        self.predict(process, units)

    def predict(self, process: int, units: list[str]) -> None:
        by = self.snapshots[process]
        settled = self.caches[process].settle(
            self.wired.store, [drawn(by, unit) for unit in units]
        )
        unmoved = {unit: told(one) for unit, one in kept(self.wired).items()}
        for unit in dict.fromkeys(units):
            served = settled["exp", unit]
            behind = by is not self.now and unmoved[unit] == self.model.get(unit) != told(served)
            if behind:  # it has not heard that others have moved the unit
                assert served.variant in by.live
            else:
                self.expect(by, unit)
                assert told(served) == self.model[unit]

    @rule(unit=st.sampled_from(FEW))
    def assign(self, unit: str) -> None:
        found = self.wired.experiments.assign("exp", unit)
        self.expect(self.now, unit)
        assert told(found) == self.model[unit]

    def expect(self, by: Assigner, unit: str) -> None:
        """Give a unit a variant if it has none, or if its own has weight 0, now and there."""
        own = self.model.get(unit, ("",))[0]
        if own not in by.live and own not in self.now.live:
            variant = by.split.assign(unit)
            self.model[unit] = (variant, by.policy_version, by.split.propensity(variant))

    @invariant()
    def what_is_kept_is_what_was_given(self) -> None:
        assert {unit: told(one) for unit, one in kept(self.wired).items()} == self.model


TestStickiness = Stickiness.TestCase
TestStickiness.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_what_units_keep_can_be_read(serving: Wired) -> None:
    serving.run(sticky())
    given = {unit: serving.experiments.assign("credit", unit).variant for unit in UNITS[:5]}
    found = serving.experiments.assignments("exp")
    assert {one.unit: one.variant for one in found} == given
    assert list(serving.experiments.assignments("exp", UNITS[3])) == [kept(serving)[UNITS[3]]]
    assert list(serving.experiments.assignments("exp", "nobody")) == []
    assert len(serving.experiments.assignments("exp", limit=2)) == 2
    with pytest.raises(NotFound, match="no experiment"):
        serving.experiments.assignments("other")
