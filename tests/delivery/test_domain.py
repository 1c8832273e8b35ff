"""Which version answers: one order, whatever else is configured."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from palio.bucketing import Split
from palio.delivery.domain import Choice, Endpoint, Route, Table
from palio.errors import InvalidInput, NotFound
from palio.experiments.designs.assignment import Assigner, Namespace, Part
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.covariates import Segment
from palio.testing.records import WHEN

SPLIT = Split.of(salt="s", weights={"control": 0.25, "challenger": 0.75})
VERSIONS = {"control": "1", "challenger": "2"}
RUNNING = Assigner(experiment="exp", epoch=3, endpoint="credit", split=SPLIT, versions=VERSIONS)


def route(*, override: bool, experiment: bool, champion: bool) -> Route:
    return Route(
        endpoint="credit",
        model="m",
        champion="champ" if champion else None,
        override="over" if override else None,
        experiments=(RUNNING,) if experiment else (),
    )


# design.md, section 3: the version named in the request; an operator's override; the running
# experiment; the alias champion
@pytest.mark.parametrize(
    ("asked", "override", "experiment", "champion"), [*itertools.product([True, False], repeat=4)]
)
def test_the_order(*, asked: bool, override: bool, experiment: bool, champion: bool) -> None:
    table = route(override=override, experiment=experiment, champion=champion)
    version = "asked" if asked else None
    if asked or override:
        assert table.choose("u", version) == Choice("m", "asked" if asked else "over")
    elif experiment:
        variant = SPLIT.assign("u")
        share = {"control": 0.25, "challenger": 0.75}[variant]
        assert table.choose("u") == Choice("m", VERSIONS[variant], "exp", variant, 3, share)
    elif champion:
        assert table.choose("u") == Choice("m", "champ")
    else:
        with pytest.raises(NotFound, match="credit has nothing to serve: m has no champion"):
            table.choose("u")


def test_traffic_is_shared_out_after_experiments_and_before_the_champion() -> None:
    shares = Split.of(salt="endpoint/credit", weights={"a": 0.3, "b": 0.7})
    plain = replace(route(override=False, experiment=False, champion=True), traffic=shares)
    for number in range(100):
        given = shares.assign(f"u{number}")
        wanted = Choice("m", given, propensity={"a": 0.3, "b": 0.7}[given])
        assert plain.choose(f"u{number}") == wanted
    assert replace(plain, experiments=(RUNNING,)).choose("u").experiment == "exp"
    assert replace(plain, override="over").choose("u") == Choice("m", "over")
    assert plain.choose("u", "asked") == Choice("m", "asked")
    assert plain.versions == [("m", "a"), ("m", "b"), ("m", "champ")]
    held = replace(plain, traffic=None, held=("kept",))
    assert held.versions == [("m", "champ"), ("m", "kept")]


def test_weights_that_go_back_move_the_same_units_back() -> None:
    made = Endpoint(name="credit", model="m", created_at=WHEN, created_by="ann")
    units = [f"u{number}" for number in range(2_000)]

    def given(new: float) -> list[str]:
        split = replace(made, weights={"a": 1 - new, "b": new}).traffic
        assert split is not None
        return [split.assign(unit) for unit in units]

    few, more, again = given(0.1), given(0.4), given(0.1)
    assert few == again
    assert all(late == "b" for early, late in zip(few, more, strict=True) if early == "b")
    assert made.traffic is None


def test_a_variant_may_be_of_another_model() -> None:
    one = replace(RUNNING, versions={"control": "1", "challenger": "other:2"})
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    chosen = {table.choose(f"u{number}") for number in range(100)}
    assert {(choice.model, choice.version) for choice in chosen} == {("m", "1"), ("other", "2")}
    assert table.versions == [("m", "1"), ("m", "champ"), ("other", "2")]
    paired = replace(table, experiments=(replace(one, paired=True),)).force("control")
    assert replace(paired, forced=False).others == {"challenger": Choice("other", "2")}


def test_an_experiment_follows_its_split() -> None:
    table = route(override=False, experiment=True, champion=True)
    units = [f"u{number}" for number in range(500)]
    chosen = [table.choose(unit) for unit in units]
    assert [choice.variant for choice in chosen] == SPLIT.assign_many(units).tolist()
    assert {choice.version for choice in chosen} == {"1", "2"}


def test_units_outside_get_the_champion() -> None:
    part = Part(audience=(Condition.parse("country = NL"),))
    one = replace(RUNNING, part=part)
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    assert table.choose("u", None, {"country": "NL"}).experiment == "exp"
    for attributes in (None, {}, {"country": "BE"}):
        assert table.choose("u", None, attributes) == Choice("m", "champ")


def test_a_choice_says_which_weights_and_segments() -> None:
    one = replace(RUNNING, policy_version=7, segments=(Segment("country", ("FR", "DE")),))
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    chosen = [table.choose("u", None, said).segments
              for said in ({"country": "FR", "age": 3}, {"country": "BE"}, {}, None)]  # fmt: skip
    assert chosen == [("country=FR",), *[("country=other",)] * 3]
    assert table.choose("u").policy_version == table.force("control").policy_version == 7
    assert table.choose("u", "asked") == Choice("m", "asked")  # of no experiment
    assert route(override=False, experiment=True, champion=True).choose("u").segments == ()


def test_where_requests_are_randomised_the_request_is_the_unit() -> None:
    part = Part(coverage=0.5, holdout=0.25)
    one = replace(RUNNING, by_request=True, part=part)
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    requests = [f"r{number}" for number in range(500)]
    chosen = [table.choose("u", None, {}, request_id=request) for request in requests]
    assert [choice.variant for choice in chosen] == [one.assign(request) for request in requests]
    assert {choice.variant for choice in chosen} == {"control", "challenger", None}
    assert {choice.by_request for choice in chosen if choice.variant} == {True}
    assert table.force("control").by_request
    by_unit = replace(table, experiments=(RUNNING,))
    assert len({by_unit.choose("u", request_id=request).variant for request in requests}) == 1


def test_a_kept_variant_is_served_as_it_was_given() -> None:
    one = replace(RUNNING, sticky=True, policy_version=7)
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    choice = table.choose("u")
    drawn = choice.drawn("u", WHEN)
    assert drawn is not None
    assert (drawn.key, drawn.given.variant, drawn.given.at) == (("exp", "u"), choice.variant, WHEN)
    assert (drawn.given.epoch, drawn.given.policy_version) == (3, 7)
    assert drawn.given.propensity == choice.propensity
    other = "control" if choice.variant == "challenger" else "challenger"
    kept = replace(drawn.given, variant=other, epoch=1, policy_version=2, propensity=0.125)
    assert choice.keeping(kept) == Choice(
        "m", VERSIONS[other], "exp", other, 1, 0.125, policy_version=2
    )
    for unkept in (table.force("control"), table.choose("u", "asked"), Choice("m", "champ")):
        assert unkept.drawn("u", WHEN) is None
    assert (
        route(override=False, experiment=True, champion=True).choose("u").drawn("u", WHEN) is None
    )


def test_the_others_of_a_pair() -> None:
    one = replace(RUNNING, paired=True)
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one,))
    for unit in ("u", "v", "w"):
        choice = table.choose(unit)
        others = {key: Choice("m", v) for key, v in VERSIONS.items() if key != choice.variant}
        assert choice.others == others
    assert table.force("control").others == table.choose("u", "asked").others == {}
    assert route(override=False, experiment=True, champion=True).choose("u").others == {}


def test_two_experiments_share_the_units() -> None:
    halves = [Namespace("n", 0, 5_000), Namespace("n", 5_000, 10_000)]
    one, two = (replace(RUNNING, experiment=f"e{i}", part=Part(namespace=half))
                for i, half in enumerate(halves))  # fmt: skip
    table = replace(route(override=False, experiment=False, champion=True), experiments=(one, two))
    units = [f"u{number}" for number in range(500)]
    chosen = [table.choose(unit).experiment for unit in units]
    assert set(chosen) == {"e0", "e1"}
    assert [experiment == "e0" for experiment in chosen] == [bool(one.assign(u)) for u in units]


def test_a_variant_that_is_forced() -> None:
    split = Split.of(salt="s", weights={"control": 0.5, "third": 0.5})
    two = replace(RUNNING, experiment="other", split=split,
                  versions={"control": "7", "third": "8"})  # fmt: skip
    table = replace(route(override=True, experiment=False, champion=True),
                    experiments=(RUNNING, two))  # fmt: skip
    forced = Choice("m", "2", "exp", "challenger", 3, 1.0, forced=True)
    assert table.force("challenger") == table.force("exp/challenger") == forced
    assert table.force("other/control").version == "7"
    with pytest.raises(InvalidInput, match="'control' is not the only one of what runs on credit: "
                       "exp/control, exp/challenger, other/control, other/third"):  # fmt: skip
        table.force("control")
    with pytest.raises(InvalidInput, match="'x' is not one of what runs on credit: no experiment"):
        route(override=False, experiment=False, champion=True).force("x")


def test_versions_that_may_be_chosen() -> None:
    assert route(override=True, experiment=True, champion=True).versions == [
        ("m", "1"),
        ("m", "2"),
        ("m", "champ"),
        ("m", "over"),
    ]
    assert route(override=False, experiment=False, champion=False).versions == []


def test_a_table_knows_its_routes() -> None:
    known = route(override=False, experiment=False, champion=True)
    table = Table(7, {"credit": known})
    assert table.route("credit") is known
    with pytest.raises(NotFound, match="palio endpoints create nowhere"):
        table.route("nowhere")


def test_shares_are_those_of_whoever_routes() -> None:
    plain = route(override=False, experiment=False, champion=True)
    assert plain.shares == {"champ": 1.0}
    assert replace(plain, override="over", experiments=(RUNNING,)).shares == {"over": 1.0}
    traffic = Split.of(salt="t", weights={"1": 0.9, "champ": 0.1})
    shared = replace(plain, traffic=traffic)
    assert shared.shares == {"1": 0.9, "champ": 0.1}
    assert replace(shared, experiments=(RUNNING,)).shares == {"1": 0.25, "2": 0.75}
    # half of the units in the experiment, the other half by the traffic weights
    half = replace(RUNNING, part=Part(coverage=0.5))
    both = replace(shared, experiments=(half,)).shares
    assert both == pytest.approx({"1": 0.5 * 0.25 + 0.5 * 0.9, "2": 0.375, "champ": 0.05})
    assert route(override=False, experiment=False, champion=False).shares == {}


def test_shares_are_what_units_get() -> None:
    part = Part(coverage=0.6, holdout=0.1, namespace=Namespace("n", 2_000, 9_000))
    taken = replace(RUNNING, part=part)
    split = replace(route(override=False, experiment=True, champion=True), experiments=(taken,))
    units = 20_000
    counts = Counter(split.choose(f"u{number}").version for number in range(units))
    for version, share in split.shares.items():
        # five standard deviations of a binomial share
        assert abs(counts[version] / units - share) < 5 * (share * (1 - share) / units) ** 0.5
