"""What units of sticky experiments keep, on the predict path: one look a tick, and a cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from palio.access.domain import Identity, Role
from palio.bucketing import Split
from palio.errors import StoreUnavailable
from palio.experiments.designs.assignment import Assigner
from palio.experiments.designs.covariates import Segment
from palio.experiments.events import Prediction
from palio.experiments.privacy.pseudonyms import Pseudonyms
from palio.experiments.privacy.units import Units
from palio.experiments.running import Giving
from palio.experiments.weights.sticky import Drawn, StickyAssignment
from palio.serving import local
from palio.serving.engine import Engine
from palio.serving.local import LocalServer, TickServer
from palio.serving.sticky import StickyCache
from palio.testing.fakes import FakeClock, FakeIds
from palio.testing.memory import MemoryStore
from palio.testing.records import WHEN

from .conftest import House, ask
from .test_local import Gate, play, until

UNITS = [f"u{number}" for number in range(30)]
SPLIT = Split.of(salt="s", weights={"control": 0.5, "challenger": 0.5})
VERSIONS = {"control": "v1", "challenger": "v2"}
ASSIGNER = Assigner(
    experiment="x", epoch=1, endpoint="e", split=SPLIT, versions=VERSIONS, sticky=True
)


def by_unit(predictions: list[Prediction]) -> dict[str, Prediction]:
    return {one.unit: one for one in predictions}


def kept(house: House) -> dict[str, StickyAssignment]:
    with house.memory.read() as unit:
        return {one.unit: one for one in unit.sticky.find(experiment="x")}


def predict(house: House, units: list[str]) -> dict[str, Prediction]:
    """Ask one by one, as callers in process do, and return what was recorded."""
    before = len(house.recorded())
    server = LocalServer(house.engine)
    for unit in units:
        server.predict(ask(1, unit=unit))
    return by_unit(house.recorded()[before:])


def test_a_unit_is_served_the_variant_it_keeps(house: House) -> None:
    house.start_experiment(sticky=True)
    first = predict(house, UNITS)
    assert {one.variant for one in first.values()} == {"control", "challenger"}
    assert {unit: one.variant for unit, one in kept(house).items()} == {
        unit: one.variant for unit, one in first.items()
    }
    house.reweigh(control=0.05, challenger=0.95)
    again = predict(house, UNITS)
    for unit, one in again.items():
        was = first[unit]
        assert (one.variant, one.version, one.values) == (was.variant, was.version, was.values)
        assert (one.epoch, one.policy_version, one.propensity) == (1, 0, 0.5)
        assert one.values == [{"v1": 2.0, "v2": 3.0}[one.version]]  # the model that it says
    (late,) = predict(house, ["late"]).values()
    assert (late.epoch, late.policy_version) == (2, 1)
    assert late.propensity == {"control": 0.05, "challenger": 0.95}[late.variant or ""]


def test_weight_0_moves_units_for_good(house: House) -> None:
    house.start_experiment(sticky=True)
    predict(house, UNITS)
    house.reweigh(control=0, challenger=1)
    moved = predict(house, UNITS)
    assert {one.variant for one in moved.values()} == {"challenger"}
    house.reweigh(control=0.9, challenger=0.1)
    assert {one.variant for one in predict(house, UNITS).values()} == {"challenger"}
    before = {one.policy_version for one in moved.values()}
    assert before == {0, 1}  # those that were there already were not given it anew


def test_assign_and_predict_keep_the_same(house: House) -> None:
    house.start_experiment(sticky=True)
    given = {one.unit: one.variant
             for one in house.experiments.assign_many("x", UNITS[:15], record=True)}  # fmt: skip
    house.reweigh(control=0.3, challenger=0.7)
    served = predict(house, UNITS)
    assert {unit: served[unit].variant for unit in given} == given
    for one in house.experiments.assign_many("x", UNITS):
        assert (one.variant, one.epoch) == (served[one.unit].variant, served[one.unit].epoch)


def test_a_tick_looks_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LOOK_S", 60.0)  # nor for others' changes
    house.start_experiment(sticky=True)
    split, gate = house.experiments.get("x").split(), Gate(house)
    first = next(unit for unit in UNITS if split.assign(unit) == "control")  # the model that waits
    counts = []

    async def story(server: TickServer) -> None:
        for _ in range(2):
            gate.asked.clear()
            gate.open.clear()
            asked = asyncio.create_task(server.predict(ask(0, unit=first)))
            await until(gate.asked)
            reads, writes = house.store.reads, house.store.writes
            tasks = [asyncio.create_task(server.predict(ask(1, unit=unit))) for unit in UNITS * 2]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(asked, *tasks)
            counts.append((house.store.reads - reads, house.store.writes - writes))

    play(house, story)
    # writes: the record of the first request, new variants, the record of the tick
    assert counts == [(1, 3), (0, 2)]
    assert len(house.recorded()) == 122
    assert len({(one.unit, one.variant) for one in house.recorded()}) == len(UNITS)


def test_what_cannot_be_kept_is_not_answered(house: House) -> None:
    house.start_experiment(sticky=True)
    house.engine.refresh()
    house.store.refuse_writes = True
    with pytest.raises(StoreUnavailable):
        LocalServer(house.engine).predict(ask(1, unit="u"))
    assert (kept(house), house.recorded()) == ({}, [])


def test_a_forced_variant_is_not_kept(house: House) -> None:
    house.start_experiment(sticky=True)
    LocalServer(house.engine).predict(ask(1, unit="u", variant="challenger"))
    LocalServer(house.engine).predict(ask(1, unit="u", version="v2"))
    assert kept(house) == {}


def test_other_experiments_ask_the_store_nothing(house: House) -> None:
    house.start_experiment()
    house.engine.refresh()
    house.store.refuse_reads = True
    request = ask(1, unit="u")
    chosen = house.engine.choose(request)
    loaded = house.engine.loaded(chosen[2])
    assert loaded is not None
    assert house.engine.answer([house.engine.admit(request, chosen, loaded)])[0].variant


def test_segments_and_weights_are_recorded(house: House) -> None:
    house.start_experiment(segments=(Segment("country", ("FR",)),))
    server = LocalServer(house.engine)
    server.predict(ask(1, unit="a", attributes={"country": "FR", "name": "Ann"}))
    server.predict(ask(1, unit="b"))
    server.predict(ask(1, unit="c", version="v1", attributes={"country": "FR"}))
    assert [one.segments for one in house.recorded()] == [("country=FR",), ("country=other",), ()]
    assert "Ann" not in str(house.recorded())


def test_where_requests_are_randomised_the_unit_is_the_request(house: House) -> None:
    house.start_experiment(unit="request", holdout=0.2)
    server = LocalServer(house.engine)
    for number in range(60):
        server.predict(ask(1, unit="always the same", request_id=f"r{number}"))
    server.predict(ask(1, unit="always the same"))
    told = house.recorded()
    assert {one.variant for one in told} == {"control", "challenger", None}
    own = house.experiments.get("x").assigner()
    for one in told:
        assert one.unit == (one.request_id if one.variant else "always the same")
        assert one.variant == own.assign(one.request_id)


# -- the cache


def drawn(unit: str, assigner: Assigner = ASSIGNER) -> Drawn:
    variant = assigner.assign(unit)
    assert variant is not None
    return Drawn.by(assigner, unit, variant, WHEN)


def put(store: MemoryStore, *records: StickyAssignment) -> None:
    with store.write() as unit:
        unit.sticky.put_many(records)


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    store, cache = MemoryStore(), StickyCache(most=2)
    for unit in ("a", "b", "a", "c"):  # b is the one to go
        cache.settle(store, [drawn(unit)])
    put(store, *(replace(drawn(unit).given, epoch=9) for unit in "abc"))
    epochs = [cache.settle(store, [drawn(unit)])["x", unit].epoch for unit in "acb"]
    assert epochs == [1, 1, 9]


def test_experiments_that_do_not_run_are_forgotten() -> None:
    store, cache = MemoryStore(), StickyCache()
    other = replace(ASSIGNER, experiment="y")
    cache.settle(store, [drawn("u"), drawn("u", other)])
    put(store, *(replace(drawn("u", one).given, epoch=9) for one in (ASSIGNER, other)))
    cache.forget(all_but=["y"])
    found = cache.settle(store, [drawn("u"), drawn("u", other)])
    assert (found["x", "u"].epoch, found["y", "u"].epoch) == (9, 1)


@pytest.mark.parametrize(
    ("policy_version", "weights", "remembered"),
    [
        (1, {"control": 0.2, "challenger": 0.8}, True),
        (2, {"control": 0.2, "challenger": 0.8}, False),  # one has been missed: anything may be
        (1, {"control": 0.5, "challenger": 0.25, "third": 0.25}, False),
    ],
)
def test_new_weights_may_have_moved_a_unit(
    policy_version: int, weights: dict[str, float], *, remembered: bool
) -> None:
    store, cache = MemoryStore(), StickyCache()
    cache.settle(store, [drawn("u")])
    put(store, replace(drawn("u").given, epoch=9))
    later = replace(
        ASSIGNER,
        policy_version=policy_version,
        split=Split.of(salt="s", weights=weights),
        versions=dict.fromkeys(weights, "v1"),
    )
    assert cache.settle(store, [drawn("u", later)])["x", "u"].epoch == (1 if remembered else 9)


def test_what_is_kept_of_a_unit_is_its_pseudonym(house: House) -> None:
    house.start_experiment(sticky=True)
    keyed = Pseudonyms.by("a secret of more than sixteen")
    house.experiments = replace(house.experiments, pseudonyms=keyed)
    memory: Any = house.memory
    house.engine = Engine(memory, house.loader, FakeClock(), FakeIds(), pseudonyms=keyed)
    plain = Giving(
        endpoint="e",
        model="m",
        otherwise=None,
        experiments=[house.experiments.get("x").assigner()],
    )
    with house.memory.read() as unit:
        pairs = [(name, {}) for name in UNITS]
        by_split = plain.assign(unit, pairs, WHEN, record=False)
    given = house.experiments.assign_many("x", UNITS[:15], record=True)
    served = predict(house, UNITS)
    assert {one.unit for one in given} == {*UNITS[:15]}
    assert set(kept(house)) == set(served) == {keyed.of(name) for name in UNITS}
    assert {name: served[keyed.of(name)].variant for name in UNITS} == {
        one.unit: one.variant for one in by_split
    }
    house.reweigh(control=0.05, challenger=0.95)
    assert {name: one.variant for name, one in predict(house, UNITS).items()} == {
        name: one.variant for name, one in served.items()
    }


def test_an_erased_unit_is_forgotten_here_too(house: House) -> None:
    """It comes back as a new one, which is kept again, and by the weights of now."""
    house.start_experiment(sticky=True)
    predict(house, UNITS)
    house.reweigh(control=0.999, challenger=0.001)
    memory: Any = house.memory
    actor = Identity("ann", Role.ADMIN)
    Units(store=memory, clock=FakeClock(), actor=actor).erase(UNITS, "asked")
    assert kept(house) == {}
    again = predict(house, UNITS)
    assert {one.policy_version for one in kept(house).values()} == {1}
    assert {name: one.variant for name, one in kept(house).items()} == {
        name: one.variant for name, one in again.items()
    }
