"""Who takes part, golden vectors recomputed from the formula, and what `assign` keeps.

The golden file is written by running this file, from the formula
below and not from the source; it changes only if who takes part in every experiment may change.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64

from palio.bucketing import Line, Split
from palio.errors import Conflict, InvalidInput, NotFound, TooLarge
from palio.experiments.designs.assignment import SLOTS, Assigner, Namespace, Part
from palio.experiments.designs.audience import Attributes, Condition
from palio.experiments.designs.design import ExperimentDraft, Metrics
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.events import Exposure, OutcomeDraft, Prediction
from palio.experiments.judging.analysis import DecisionKind
from palio.ports import Store
from palio.storage.store import SqlStore
from palio.testing.records import design, exposure, prediction
from palio.testing.wired import Wired

GOLDEN = Path(__file__).parents[2] / "golden" / "assignment.json"
UNITS = [f"user-{number}" for number in range(100_000)]
ERROR = sqrt(0.25 / len(UNITS))  # the largest standard error of a share of them
HALVES = {"control": 0.5, "challenger": 0.5}


# -- golden vectors


def from_the_formula(purpose: str, salt: str, unit: str) -> float:
    """Witness: the formula in `palio.bucketing`, read word for word."""
    seed = xxh3_64((purpose + "\x1f" + salt).encode()).intdigest()
    h = int.from_bytes(xxh3_64(unit.encode(), seed=seed).digest(), "big")
    return float((Fraction(h // 4096) + Fraction(1, 2)) / 2**52)


def golden() -> list[dict[str, Any]]:
    cases = [
        ("coverage", "salt_1", 0.0, 0.25),
        ("coverage", "größe", 0.0, 0.5),
        ("holdout", "checkout", 0.05, 1.0),
        ("holdout", "checkout", 0.5, 1.0),
        ("namespace", "pricing", 0.0, 0.5),
        ("namespace", "pricing", 0.5, 0.6667),
    ]
    units = ["", "0", "user-1", "user-2", "user-3", "Ünïcödé", "用户", "a" * 300, "1f\x1f"]
    found = []
    for purpose, salt, low, high in cases:
        places = {unit: from_the_formula(purpose, salt, unit) for unit in units}
        takes_part = [unit for unit, place in places.items() if low <= place < high]
        row = {"purpose": purpose, "salt": salt, "low": low, "high": high}
        found.append({**row, "places": places, "takes_part": takes_part})
    return found


def part_of(case: dict[str, Any]) -> Part:
    if case["purpose"] == "coverage":
        return Part(coverage=case["high"])
    if case["purpose"] == "holdout":
        return Part(holdout=case["low"])
    slots = round(case["low"] * SLOTS), round(case["high"] * SLOTS)
    return Part(namespace=Namespace(case["salt"], *slots))


def assigner(part: Part, salt: str = "s", endpoint: str = "credit") -> Assigner:
    return Assigner(
        experiment="exp",
        epoch=1,
        endpoint=endpoint,
        split=Split.of(salt=salt, weights=HALVES),
        versions={"control": "1", "challenger": "2"},
        part=part,
    )


def test_golden_vectors_hold() -> None:
    for case in json.loads(GOLDEN.read_text("utf-8")):
        units = list(case["places"])
        line = Line(case["purpose"], case["salt"])
        assert {unit: line.place(unit) for unit in units} == case["places"]
        assert line.places(units).tolist() == list(case["places"].values())
        one = assigner(part_of(case), salt=case["salt"], endpoint=case["salt"])
        assert [unit for unit in units if one.assign(unit)] == case["takes_part"]


def test_golden_file_is_what_the_formula_gives() -> None:
    assert json.loads(GOLDEN.read_text("utf-8")) == golden()


# -- who takes part


@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
def test_shares_of_units_that_take_part(share: float) -> None:
    slots = Namespace("n", 2_000, 2_000 + round(share * SLOTS))
    for part in (Part(coverage=share), Part(holdout=1 - share), Part(namespace=slots)):
        found = assigner(part).assign_many(UNITS)
        assert abs(np.mean(found != "") - share) <= 3 * sqrt(share * (1 - share) / len(UNITS))
        inside = found[found != ""]
        assert abs(np.mean(inside == "control") - 0.5) <= 3 * sqrt(0.25 / len(inside))


def test_more_coverage_only_adds_units() -> None:
    small, large = (assigner(Part(coverage=share)).assign_many(UNITS) for share in (0.1, 0.4))
    assert np.array_equal(small[small != ""], large[small != ""])
    assert (large != "").sum() > (small != "").sum()


def test_the_holdout_is_the_endpoints() -> None:
    held = [
        assigner(Part(holdout=0.1), salt=salt, endpoint="credit").assign_many(UNITS) == ""
        for salt in ("one", "two")
    ]
    more = assigner(Part(holdout=0.2)).assign_many(UNITS) == ""
    elsewhere = assigner(Part(holdout=0.1), endpoint="other").assign_many(UNITS) == ""
    assert np.array_equal(*held)
    assert more[held[0]].all()
    assert abs(np.mean(held[0] & elsewhere) - 0.01) <= 3 * sqrt(0.01 * 0.99 / len(UNITS))


def test_slots_that_do_not_touch_share_no_unit() -> None:
    edges = [0, 3_333, 6_667, SLOTS]
    found = [
        assigner(Part(namespace=Namespace("n", *pair)), salt=str(pair)).assign_many(UNITS) != ""
        for pair in pairwise(edges)
    ]
    assert (np.sum(found, axis=0) == 1).all()


def test_coverage_holdout_namespace_and_variant_are_independent() -> None:
    part = Part(coverage=0.5, holdout=0.5, namespace=Namespace("n", 0, 5_000))
    found = assigner(part).assign_many(UNITS)
    eighth = sqrt(0.0625 * 0.9375 / len(UNITS))
    for key in HALVES:
        assert abs(np.mean(found == key) - 0.0625) <= 3 * eighth


parts = st.builds(
    Part,
    coverage=st.floats(0.01, 1),
    holdout=st.floats(0, 0.9),
    namespace=st.none() | st.builds(Namespace, st.just("n"), st.integers(0, 99), st.just(5_000)),
    audience=st.sampled_from([(), (Condition.parse("age >= 18"),)]),
)


@given(parts, st.lists(st.tuples(st.text("abc", max_size=4), st.integers(10, 30)), max_size=30))
def test_many_equals_one_by_one(part: Part, asked: list[tuple[str, int]]) -> None:
    one = assigner(part)
    units = [unit for unit, _ in asked]
    said: list[Attributes] = [{"age": age} for _, age in asked]
    expected = [one.assign(unit, its) or "" for unit, its in zip(units, said, strict=True)]
    assert one.assign_many(units, said).tolist() == expected
    assert one.assign_many(units).tolist() == [one.assign(unit) or "" for unit in units]


def test_the_audience_is_asked_for_everything() -> None:
    part = Part(audience=(Condition.parse("age >= 18"), Condition.parse("country = NL")))
    one = assigner(part)
    assert one.assign("u", {"age": 18, "country": "NL"}) == one.split.assign("u")
    for said in ({}, {"age": 18}, {"age": 17, "country": "NL"}, {"country": "NL"}):
        assert one.assign("u", said) is None


@pytest.mark.parametrize("slots", [(-1, 5), (5, 5), (6, 5), (0, SLOTS + 1)])
def test_slots_that_are_none(slots: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="slots must be 0 <= start < stop <= 10000"):
        Namespace("n", *slots)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"coverage": 0.0}, r"coverage must be in \(0, 1\], got 0"),
        ({"coverage": 1.5}, "coverage must be in"),
        ({"coverage": float("nan")}, "coverage must be in"),
        ({"holdout": 1.0}, r"holdout must be in \[0, 1\), got 1"),
        ({"holdout": -0.1}, "holdout must be in"),
        ({"namespace": Namespace("a b")}, "namespace 'a b' is no name"),
        ({"audience": (Condition.parse("a exists"),) * 33}, "takes at most 32 conditions, got 33"),
    ],
)
def test_designs_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        design(**fields)


# -- designs that are stored already: text and digest as version abf0628 wrote them

OLD = (
    (
        '{"key":"exp","endpoint":"credit","variants":[{"key":"control","version":"1","weight":0.5},'
        '{"key":"challenger","version":"2","weight":0.5}],"metrics":{"goal":"brier","secondary":[],'
        '"guardrails":[],"declared":[]},"type":"ab","stopping":{"alpha":0.05,"horizon":4000,'
        '"min_sample":100,"min_duration_s":0.0,"max_duration_s":null},"hypothesis":"ü","unit":"unit"}'
    ),
    "35c9f89821b7ea8a5cbcae6ebae0b0838668e208f49c977a2c8952d29b3aaca1",
)


def test_an_old_design_reads_and_keeps_its_digest() -> None:
    old = msgspec.json.decode(OLD[0], type=ExperimentDraft)
    assert old == design(hypothesis="ü")
    assert old.digest == OLD[1]
    assert old.part == Part()


@pytest.mark.parametrize(
    "fields",
    [
        {"coverage": 0.5},
        {"holdout": 0.01},
        {"namespace": Namespace("n", 0, 1)},
        {"audience": (Condition.parse("a exists"),)},
    ],
)
def test_what_is_used_is_frozen(fields: dict[str, Any]) -> None:
    made = design(**fields)
    again = msgspec.json.decode(msgspec.json.encode(made), type=ExperimentDraft)
    assert (again, again.digest) == (made, made.digest)
    assert made.digest != design().digest


# -- experiments that run together


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


def test_experiments_run_together_on_slots_of_their_own(serving: Wired) -> None:
    serving.run(design("a", namespace=Namespace("n", 0, 4_000)))
    serving.run(design("b", namespace=Namespace("n", 4_000, 6_000)))
    found = serving.experiments.assign_many("credit", UNITS[:2_000])
    shares = {key: np.mean([one.experiment == key for one in found]) for key in ("a", "b", None)}
    for key, share in (("a", 0.4), ("b", 0.2), (None, 0.4)):
        assert abs(shares[key] - share) <= 3 * sqrt(share * (1 - share) / 2_000)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {}, "a is running on credit; stop, complete or pause it first, or give both slots"),
        ({"namespace": Namespace("n")}, {}, "a is running on credit; .*give both slots"),
        ({}, {"namespace": Namespace("n")}, "a is running on credit; .*give both slots"),
        (
            {"namespace": Namespace("n", 0, 5_000)},
            {"namespace": Namespace("n", 4_999, 6_000)},
            "a is running on credit with the slots 0 to 5000 of n, b asks for 4999 to 6000 of n",
        ),
        (
            {"namespace": Namespace("n", 0, 5_000)},
            {"namespace": Namespace("m", 5_000, 6_000)},
            "0 to 5000 of n, b asks for 5000 to 6000 of m; take slots of n that are free",
        ),
        (
            {"namespace": Namespace("n", 0, 5_000), "holdout": 0.1},
            {"namespace": Namespace("n", 5_000, 6_000)},
            "a is running on credit with a holdout of 0.1, b asks for 0; take the same",
        ),
    ],
)
def test_experiments_that_may_not_run_together(
    serving: Wired, first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    serving.run(design("a", **first))
    serving.experiments.draft(design("b", **second))
    with pytest.raises(Conflict, match=message) as caught:
        serving.experiments.start("b")
    assert caught.value.details == {"experiment": "b", "running": "a"}
    serving.experiments.pause("a")
    serving.experiments.start("b")
    with pytest.raises(Conflict, match="b is running on credit"):
        serving.experiments.resume("a")


# -- assignment for those who serve elsewhere


def logged(wired: Wired) -> list[Any]:
    with wired.store.read() as unit:
        return [entry.event for entry in unit.log.after(0, limit=100_000)]


def test_an_assignment_is_logged(serving: Wired) -> None:
    running = serving.run(design())
    variant = running.split().assign("u")
    given_ = serving.experiments.assign("credit", "u")
    version = {"control": "1", "challenger": "2"}[variant]
    assert (given_.variant, given_.version, given_.experiment) == (variant, version, "exp")
    assert (given_.unit, given_.epoch, given_.propensity) == ("u", 1, 0.5)
    assert serving.experiments.assign("exp", "u") == given_
    one = Exposure(
        unit="u",
        at=serving.clock.now,
        endpoint="credit",
        model="credit",
        version=version,
        experiment="exp",
        variant=variant,
        epoch=1,
        propensity=0.5,
    )
    assert logged(serving) == [one, one]


def test_whoever_takes_no_part_gets_the_champion_and_is_not_logged(serving: Wired) -> None:
    assert serving.experiments.assign("credit", "u").version == "1"
    serving.run(design(audience=(Condition.parse("country = NL"),)))
    outside = serving.experiments.assign("credit", "u", {"country": "BE"})
    assert (outside.version, outside.variant, outside.experiment) == ("1", None, None)
    assert serving.experiments.assign("exp", "u").variant is None
    assert logged(serving) == []
    assert serving.experiments.assign("exp", "u", {"country": "NL"}).variant is not None
    assert len(logged(serving)) == 1


def test_an_experiment_that_does_not_run_gives_the_champion(serving: Wired) -> None:
    serving.experiments.draft(design())
    drafted = serving.experiments.assign("exp", "u")
    serving.experiments.start("exp")
    serving.experiments.pause("exp")
    assert serving.experiments.assign("exp", "u") == drafted
    assert (drafted.version, drafted.variant) == ("1", None)
    assert logged(serving) == []


def test_an_override_comes_first(serving: Wired) -> None:
    serving.run(design())
    serving.endpoints.override("credit", "2")
    serving.experiments.resume("exp")  # a decision of its own
    for name in ("credit", "exp"):
        found = serving.experiments.assign(name, "u")
        assert (found.version, found.variant) == ("2", None)
    assert logged(serving) == []


def test_many_are_logged_only_if_asked(serving: Wired) -> None:
    serving.run(design(coverage=0.5))
    pure = serving.experiments.assign_many("exp", UNITS[:100])
    assert logged(serving) == []
    assert serving.experiments.assign_many("exp", UNITS[:100], record=True) == pure
    taking_part = [one for one in pure if one.variant]
    assert [event.unit for event in logged(serving)] == [one.unit for one in taking_part]
    assert 30 < len(taking_part) < 70
    array = serving.experiments.get("exp").assigner().assign_many(np.array(UNITS[:100]))
    assert array.tolist() == [one.variant or "" for one in pure]
    assert list(serving.experiments.assign_many("exp", [])) == []


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (("nothing", ["u"]), NotFound, "no endpoint and no experiment is named 'nothing'"),
        (("exp", [""]), InvalidInput, "unit must have 1 to 256 characters, got 0"),
        (("exp", [7]), InvalidInput, "unit must be a text, got 7"),
        (("exp", ["a\0"]), InvalidInput, "unit has a NUL"),
        (("exp", ["\ud800"]), InvalidInput, "half of a surrogate pair"),
        (("exp", ["u"] * 10_001), TooLarge, "10001 units were sent at once; send at most 10000"),
        (("exp", ["u", "v"], [{}]), InvalidInput, "2 units were sent with 1 attributes"),
        (("exp", ["u"], [{"x": None}]), InvalidInput, "x must be a text, a number"),
    ],
)
def test_what_cannot_be_assigned(
    serving: Wired, asked: tuple[Any, ...], kind: type[Exception], message: str
) -> None:
    serving.run(design())
    with pytest.raises(kind, match=message):
        serving.experiments.assign_many(*asked, record=True)
    assert logged(serving) == []


# -- exposures are units of the experiment

METRICS = Metrics("revenue", ("latency_ms",), (), (Metric("revenue", Direction.HIGHER),))


def arms(wired: Wired) -> dict[str, Any]:
    report = wired.experiments.analyze("exp")
    assert wired.experiments.verify("exp").differences == ()
    return {arm.variant: arm for arm in report.arms}


def check_exposures(serving: Wired) -> None:
    running = serving.run(design(metrics=METRICS))
    by_variant: dict[str, list[str]] = {"control": [], "challenger": []}
    for number in range(40):
        by_variant[running.split().assign(f"u{number}")].append(f"u{number}")
    serving.outcomes.record([OutcomeDraft(unit="u0", name="revenue", value=8.0)])
    serving.experiments.assign_many("exp", [f"u{n}" for n in range(40)], record=True)
    arms(serving)
    serving.experiments.assign("credit", "u0")  # twice counts once
    drafts = [OutcomeDraft(unit=f"u{n}", name="revenue", value=n / 4) for n in range(1, 40)]
    serving.outcomes.record(drafts)
    found = arms(serving)
    for variant, units in by_variant.items():
        arm = found[variant]
        earned = [8.0 if unit == "u0" else int(unit[1:]) / 4 for unit in units]
        assert (arm.units, arm.requests, arm.crossovers) == (len(units), 0, 0)
        assert (arm.outcomes, arm.metrics["revenue"].n) == (len(units), len(units))
        assert arm.metrics["revenue"].mean == pytest.approx(np.mean(earned))
    made = prediction("r", unit="u0", experiment="exp", epoch=1, latency_ms=2.0,
                      variant=running.split().assign("u0"))  # fmt: skip
    with serving.store.write() as unit:
        unit.log.append([made])
    after = arms(serving)
    assert {key: arm.units for key, arm in after.items()} == {
        key: len(units) for key, units in by_variant.items()
    }
    assert sum(arm.requests for arm in after.values()) == 1


def test_exposed_units_are_units_with_or_without_a_prediction(serving: Wired) -> None:
    check_exposures(serving)


def test_exposures_on_a_real_store(sql_store: SqlStore) -> None:
    store: Store[Any] = sql_store
    serving = Wired(store)
    serving.serve("1", "2")
    check_exposures(serving)


def test_a_unit_exposed_to_two_variants_is_a_crossover(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    with serving.store.write() as unit:
        unit.log.append([exposure("u"), exposure("u", variant="challenger"), exposure("u")])
        unit.log.append([exposure("v", experiment="other")])
    found = arms(serving)
    counts = {key: (arm.units, arm.crossovers) for key, arm in found.items()}
    assert counts == {"control": (1, 0), "challenger": (0, 1)}
    assert serving.experiments.analyze("exp").decision.kind is DecisionKind.INVALID


def test_the_sample_ratio_counts_units_assigned_in_either_way(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    with serving.store.write() as unit:
        unit.log.append([exposure(f"u{n}") for n in range(100)])
        unit.log.append(
            [prediction(f"r{n}", experiment="exp", epoch=1, variant="control") for n in range(100)]
        )
    report = serving.experiments.analyze("exp")
    assert report.arms[0].units == 200
    assert report.sample_ratio.mismatch


def test_what_was_forced_is_no_evidence(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    forced = prediction("r", unit="u", experiment="exp", epoch=1, variant="control", forced=True)
    with serving.store.write() as unit:
        unit.log.append([forced, replace(forced, request_id="s")])
    serving.outcomes.record([OutcomeDraft(request_id="r", name="revenue", value=5.0)])
    serving.outcomes.record([OutcomeDraft(unit="u", name="revenue", value=5.0)])
    found = arms(serving)
    for arm in found.values():
        assert (arm.units, arm.requests, arm.outcomes, arm.metrics["revenue"].n) == (0, 0, 0, 0)
    with serving.store.write() as unit:  # the same unit, later on its own
        unit.log.append([replace(forced, request_id="t", variant="challenger", forced=False)])
    found = arms(serving)
    assert (found["challenger"].units, found["challenger"].crossovers) == (1, 0)
    assert found["challenger"].metrics["revenue"].mean == 5.0


def test_old_predictions_read_as_not_forced() -> None:
    kept = msgspec.to_builtins(prediction("r"))
    del kept["forced"]
    assert msgspec.convert(kept, type=Prediction, strict=False).forced is False


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), ensure_ascii=False, indent=2) + "\n", "utf-8")
