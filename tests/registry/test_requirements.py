"""What stages require: each kind met and missed, all that is missing at once, and asked first."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.experiments.test_service import serve
from tests.registry.guarded import GUARDED, registered_by

from palio.access.domain import Role
from palio.errors import Conflict, Forbidden, IllegalTransition, InvalidInput
from palio.experiments.domain import State
from palio.registry.domain import Version
from palio.registry.lifecycle import Lifecycle
from palio.registry.requirements import (
    Evidence,
    Requirement,
    Requirements,
    assess,
    enforce,
    wanted_by,
)
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.storage.store import SqlStore
from palio.testing.records import RECORDS, design
from palio.testing.wired import Wired

VERSION: Version = replace(RECORDS["versions"][0], created_by="ann", metrics={"auc": 0.75})
SIGNATURE = Signature((Feature("age", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))


def lifecycle(**changed: Any) -> Lifecycle:
    return replace(GUARDED, **changed)


@pytest.fixture
def guarded(wired: Wired) -> Wired:
    """The model m: version 1 of ann meets every figure, version 2 none."""
    wired.lifecycles.declare(GUARDED)
    wired.models.create("m", lifecycle="guarded")
    registered_by(wired, "ann", "m:1", auc=0.75, ece=0.05)
    registered_by(wired, "ann", "m:2", auc=0.74)
    return wired.acting("bob", Role.OPERATOR)


# -- each kind


@pytest.mark.parametrize(
    ("requirement", "met", "found"),
    [
        ({"metric": "auc", "at_least": 0.75}, True, "0.75"),  # a bound belongs to what it allows
        ({"metric": "auc", "at_most": 0.75}, True, "0.75"),
        ({"metric": "auc", "at_least": 0.7500001}, False, "0.75"),
        ({"metric": "auc", "at_most": 0.7499999}, False, "0.75"),
        ({"metric": "auc", "at_least": 0.7, "at_most": 0.8}, True, "0.75"),
        ({"metric": "auc", "at_least": 0.8, "at_most": 0.9}, False, "0.75"),
        ({"metric": "ece", "at_most": 1.0}, False, "none"),  # not measured is not met
        ({"approval": "four_eyes"}, True, "bob"),
        ({"experiment": "passed"}, False, "none"),
    ],
)
def test_a_requirement_is_met_or_missed(requirement: Requirement, met: bool, found: str) -> None:
    [finding] = assess([requirement], VERSION, Evidence(actor="bob"))
    assert (finding.met, finding.found, finding.requirement) == (met, found, requirement)


def test_a_creator_is_no_second_pair_of_eyes() -> None:
    [finding] = assess([{"approval": "four_eyes"}], VERSION, Evidence(actor="ann"))
    assert (finding.met, finding.found) == (False, "ann, who created it")


@pytest.mark.parametrize("signature", [None, SIGNATURE])
def test_a_signature_is_declared_or_not(signature: Signature | None) -> None:
    version = replace(VERSION, signature=signature)
    [finding] = assess([{"signature": "declared"}], version, Evidence(actor="bob"))
    assert finding.met is (signature is not None)


def test_an_experiment_that_ships_is_evidence() -> None:
    for evidence in (
        Evidence(actor="bob", experiment=True),
        Evidence(actor="bob", rival=False),  # the first champion
    ):
        [finding] = assess([{"experiment": "passed"}], VERSION, evidence)
        assert finding.met


real = st.floats(allow_nan=False, allow_infinity=False)


@given(real, st.none() | real, st.none() | real)
def test_a_metric_is_held_to_its_bounds(
    value: float, least: float | None, most: float | None
) -> None:
    bounds = {"at_least": least, "at_most": most}
    given_bounds = {name: bound for name, bound in bounds.items() if bound is not None}
    requirement: Requirement = {"metric": "x", **given_bounds}
    version = replace(VERSION, metrics={"x": value})
    [finding] = assess([requirement], version, Evidence(actor="bob"))
    expected = (least is None or value >= least) and (most is None or value <= most)
    assert finding.met is expected
    assert all(str(bound) in wanted_by(requirement) for bound in given_bounds.values())


@given(st.permutations(range(4)), st.integers(0, 4))
def test_all_that_is_missing_is_listed_in_order(order: list[int], count: int) -> None:
    kinds: list[Requirement] = [
        {"metric": "auc", "at_least": 0.9},
        {"metric": "ece", "at_most": 0.1},
        {"approval": "four_eyes"},
        {"experiment": "passed"},
    ]
    chosen = [kinds[place] for place in order[:count]]
    findings = assess(chosen, VERSION, Evidence(actor="ann"))
    if not chosen:
        enforce(VERSION, "live", findings)
        return
    with pytest.raises(Conflict) as caught:
        enforce(VERSION, "live", findings)
    missing: Any = caught.value.details["missing"]
    assert [one["requirement"] for one in missing] == chosen
    assert all(
        f"{one['what']}: found {one['found']}, wanted {one['wanted']}" in str(caught.value)
        for one in missing
    )


# -- how they are declared


@pytest.mark.parametrize(
    ("requirement", "field", "match"),
    [
        ({"metric": "auc", "at_lest": 1.0}, ".at_lest", "did you mean 'at_least'"),
        ({"aproval": "four_eyes"}, ".aproval", "did you mean 'approval'"),
        ({"zzz": "x"}, ".zzz", r"the field is unknown\. A requirement has metric"),
        ({"metric": "auc", "approval": "four_eyes"}, ".approval", "the field is unknown"),
        ({}, "", "has 0 fields"),
        ({"approval": "four_eyes", "signature": "declared"}, "", "has 2 fields"),
        ({"approval": "two_eyes"}, ".approval", "it can be 'four_eyes' only"),
        ({"signature": 1.0}, ".signature", "it can be 'declared' only"),
        ({"metric": "", "at_least": 1.0}, ".metric", "give the name of a metric"),
        ({"metric": 1.0, "at_least": 1.0}, ".metric", "give the name of a metric"),
        ({"metric": "auc"}, "", "has no bound"),
        ({"metric": "auc", "at_least": 2.0, "at_most": 1.0}, "", "2.0 is above at_most 1.0"),
        ({"metric": "auc", "at_least": "high"}, ".at_least", "give a finite number"),
        ({"metric": "auc", "at_most": math.nan}, ".at_most", "give a finite number"),
        ({"metric": "auc", "at_most": math.inf}, ".at_most", "give a finite number"),
        ({"metric": "auc", "at_least": True}, ".at_least", "give a finite number"),
    ],
)
def test_a_requirement_that_says_nothing_is_refused(
    requirement: Requirement, field: str, match: str
) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        lifecycle(requires={"tried": ({"approval": "four_eyes"}, requirement)})
    assert caught.value.details["field"] == f"requires.tried.1{field}"


@pytest.mark.parametrize(
    ("requires", "match"),
    [
        ({"tired": ()}, "no such stage; did you mean 'tried'"),
        ({"new": ()}, "registered or replaced"),
        ({"old": ()}, "registered or replaced"),
        ({"tried": ({"experiment": "passed"},)}, "require it of live"),
    ],
)
def test_a_stage_that_can_require_nothing(requires: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        lifecycle(requires=requires)


@pytest.mark.parametrize(
    ("alias", "role", "match"),
    [
        ("champion", Role.ADMIN, "guard it by requirements"),
        ("shadow", Role.VIEWER, "operator and admin may"),
        ("a b", Role.ADMIN, "is no name"),
    ],
)
def test_an_alias_that_cannot_be_protected_so(alias: str, role: Role, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        lifecycle(aliases={alias: role})


# -- held by the verbs


def test_a_version_moves_when_it_meets_what_is_required(guarded: Wired) -> None:
    assert guarded.versions.move("m:1", "tried").stage == "tried"
    before = guarded.audit.verify().entries
    with pytest.raises(Conflict, match=r"metric auc: found 0\.74, wanted at least 0\.75"):
        guarded.versions.move("m:2", "tried")
    assert guarded.versions.get("m:2").stage == "new"
    assert guarded.audit.verify().entries == before


def test_promotion_lists_all_that_is_missing(guarded: Wired) -> None:
    registered_by(guarded, "bob", "m:3", auc=0.8, ece=0.06)
    guarded.versions.move("m:3", "tried")
    with pytest.raises(Conflict) as caught:
        guarded.versions.promote("m:3")
    assert str(caught.value) == (
        "m:3 does not meet what live requires: metric ece: found 0.06, wanted at most 0.05; "
        "approval: found bob, who created it, wanted someone other than its creator; "
        "`palio models requirements m:3 live` shows all of it"
    )
    assert guarded.models.aliases("m") == {}
    assert guarded.versions.get("m:3").stage == "tried"


def test_a_step_that_does_not_exist_comes_first(guarded: Wired) -> None:
    with pytest.raises(IllegalTransition):
        guarded.versions.promote("m:2")


def test_the_approver_is_someone_else(guarded: Wired) -> None:
    guarded.versions.move("m:1", "tried")
    with pytest.raises(Conflict, match="found ann, who created it"):
        guarded.acting("ann", Role.ADMIN).versions.promote("m:1")
    assert guarded.versions.promote("m:1").approved_by == "bob"
    assert dict(guarded.audit.list()[-1].after or {})["approved_by"] == "bob"


def test_a_creator_may_roll_back_and_the_approval_stands(guarded: Wired) -> None:
    registered_by(guarded, "bob", "m:3", auc=0.9, ece=0.0)
    guarded.versions.move("m:1", "tried")
    guarded.versions.move("m:3", "tried")
    guarded.versions.promote("m:1")
    guarded.acting("cid", Role.OPERATOR).versions.promote("m:3")
    back = guarded.acting("ann", Role.OPERATOR).models.rollback("m", "errors")
    assert (back.version, back.stage, back.approved_by) == ("1", "live", "bob")
    assert guarded.audit.list()[-1].actor == "ann"


def test_the_former_champion_meets_what_it_is_sent_to(guarded: Wired) -> None:
    strict = lifecycle(
        name="odd",
        requires={"tried": ({"approval": "four_eyes"},)},
        transitions={**GUARDED.transitions, "new": ("live", "tried", "gone")},
    )
    guarded.lifecycles.declare(strict)
    guarded.models.create("o", lifecycle="odd")
    registered_by(guarded, "bob", "o:1")
    registered_by(guarded, "bob", "o:2")
    guarded.versions.promote("o:1")
    with pytest.raises(Conflict, match="o:1 does not meet what tried requires"):
        guarded.versions.promote("o:2", former_to="tried")
    guarded.versions.promote("o:2")
    assert guarded.versions.get("o:1").stage == "old"


def test_only_an_experiment_ships_what_must_have_passed_one(wired: Wired) -> None:
    needs: Requirements = {"live": ({"experiment": "passed"}, {"approval": "four_eyes"})}
    steps = {**GUARDED.transitions, "new": ("live", "tried", "gone")}
    wired.lifecycles.declare(lifecycle(requires=needs, transitions=steps))
    wired.models.create("credit", lifecycle="guarded")
    registered_by(wired, "ann", "credit:1", signature=SIGNATURE)
    registered_by(wired, "ann", "credit:2", signature=SIGNATURE)
    bob = wired.acting("bob", Role.OPERATOR)
    asked = bob.versions.requirements("credit:1")
    assert (asked.ready, asked.findings[0].found) == (True, "no champion to win against")
    bob.versions.promote("credit:1")
    assert not bob.versions.requirements("credit:2").ready
    with pytest.raises(Conflict, match="experiment: found none, wanted a won experiment"):
        bob.versions.promote("credit:2")
    bob.endpoints.create("credit", "credit")
    bob.run(design())
    serve(bob, 300)
    with pytest.raises(Conflict, match="requires: approval: found ann, who created it, wanted"):
        wired.experiments.ship("exp")
    assert bob.experiments.get("exp").state is State.RUNNING
    assert bob.experiments.ship("exp").winner == "challenger"
    shipped = bob.versions.get("credit@champion")
    assert (shipped.version, shipped.stage, shipped.approved_by) == ("2", "live", "bob")


# -- asking without moving


def test_one_may_ask_first(guarded: Wired) -> None:
    before = guarded.audit.verify().entries
    asked = guarded.acting("ann", Role.VIEWER).versions.requirements("m:2")
    assert (asked.version, asked.stage, asked.ready) == ("m:2", "live", False)
    assert asked.step == "m:2 cannot go from new to live; allowed from new: tried, gone"
    assert [(one.what, one.found, one.met) for one in asked.findings] == [
        ("metric ece", "none", False),
        ("approval", "ann, who created it", False),
    ]
    assert guarded.versions.requirements("m:1", "tried").ready
    assert not guarded.versions.requirements("m:2", "tried").ready
    gone = guarded.versions.requirements("m:2", "gone")
    assert (gone.ready, gone.step, gone.findings) == (True, "", ())
    assert guarded.audit.verify().entries == before


def test_one_asks_about_stages_that_exist(guarded: Wired) -> None:
    with pytest.raises(InvalidInput, match="it has new, tried, live, old, gone"):
        guarded.versions.requirements("m:1", "nowhere")


# -- aliases by role


def test_a_protected_alias_needs_its_role(guarded: Wired) -> None:
    before = guarded.audit.verify().entries
    with pytest.raises(Forbidden, match="setting m@shadow needs admin") as caught:
        guarded.models.set_alias("m", "shadow", "1")
    assert caught.value.details["required"] == "admin"
    assert guarded.audit.verify().entries == before
    assert guarded.models.set_alias("m", "next", "1").version == "1"
    admin = guarded.acting("root", Role.ADMIN)
    assert admin.models.set_alias("m", "shadow", "1").actor == "root"
    assert guarded.models.aliases("m") == {"next": "1", "shadow": "1"}


# -- kept


def test_what_is_declared_comes_back_from_a_database(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.lifecycles.declare(GUARDED)
    assert wired.lifecycles.get("guarded") == GUARDED
    assert [one.name for one in wired.lifecycles.list()] == ["standard", "strict", "guarded"]
    entry = dict(wired.audit.list()[-1].after or {})
    assert entry["aliases"] == {"shadow": "admin"}
    assert entry["requires"]["live"][1] == {"approval": "four_eyes"}
    assert wired.audit.verify().broken is None
