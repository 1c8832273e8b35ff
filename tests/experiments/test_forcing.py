"""Shipping what the evidence does not say: refused, unless it is forced with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palio.errors import Conflict, InvalidInput
from palio.experiments.designs.design import Variant
from palio.experiments.domain import State
from palio.registry.lifecycle import STANDARD
from palio.testing.records import design
from palio.testing.wired import Wired

THREE = (Variant("control", "1", 0.4), Variant("b", "2", 0.3), Variant("c", "3", 0.3))


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2", "3")
    return wired


def test_the_undecided_is_not_shipped_unless_forced(serving: Wired) -> None:
    serving.run(design())
    with pytest.raises(Conflict, match=r"not ready to ship: keep_running.*force it with a reason"):
        serving.experiments.ship("exp")
    assert serving.models.aliases("credit") == {"champion": "1"}
    made = serving.experiments.ship("exp", "the old one leaks memory", force=True)
    assert (made.state, made.winner, made.reason) == (
        State.COMPLETED,
        "challenger",
        "the old one leaks memory",
    )
    assert serving.models.aliases("credit") == {"champion": "2"}
    entry = serving.audit.list(action="experiment.ship")[-1]
    assert entry.after is not None
    assert (entry.after["forced"], entry.after["decision"]) == (True, "keep_running")
    assert entry.reason == "the old one leaks memory"
    assert serving.experiments.record("exp").report.decision.kind == "keep_running"


@pytest.mark.parametrize("reason", ["", "  "])
def test_forcing_needs_a_reason(serving: Wired, reason: str) -> None:
    serving.run(design())
    with pytest.raises(InvalidInput, match="reason is missing") as refused:
        serving.experiments.ship("exp", reason, force=True)
    assert refused.value.details["field"] == "reason"
    assert serving.experiments.get("exp").state is State.RUNNING


def test_of_several_challengers_one_is_named(serving: Wired) -> None:
    serving.run(design(variants=THREE))
    with pytest.raises(InvalidInput, match="say which of b, c is forced"):
        serving.experiments.ship("exp", "why", force=True)
    with pytest.raises(InvalidInput, match="has no variant 'd'"):
        serving.experiments.ship("exp", "why", force=True, variant="d")
    assert serving.experiments.ship("exp", "why", force=True, variant="c").winner == "c"
    assert serving.models.aliases("credit") == {"champion": "3"}


def test_what_is_forced_has_passed_no_experiment(wired: Wired) -> None:
    requires = {"production": ({"experiment": "passed"},)}
    wired.lifecycles.declare(replace(STANDARD, name="proven", requires=requires))
    wired.models.create("credit", lifecycle="proven")
    wired.serve("1", "2")
    wired.run(design())
    with pytest.raises(Conflict, match="experiment: found none"):
        wired.experiments.ship("exp", "why", force=True)
    assert wired.models.aliases("credit") == {"champion": "1"}
    assert wired.experiments.get("exp").state is State.RUNNING


def test_a_moved_champion_is_not_overruled(serving: Wired) -> None:
    serving.run(design())
    serving.versions.promote("credit:3")
    with pytest.raises(Conflict):
        serving.experiments.ship("exp", "why", force=True)
    assert serving.models.aliases("credit") == {"champion": "3"}
