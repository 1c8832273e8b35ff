"""Lifecycles are data: their steps, their ends, and what they refuse to be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import AlreadyExists, IllegalTransition, InvalidInput, NotFound
from palio.registry.lifecycle import BUILTIN, STANDARD, STRICT, Lifecycle
from palio.testing.wired import Wired

PATH = ["development", "validation", "testing", "staging", "production"]
OWN = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={"new": ("live",), "live": ("old",), "old": ("live", "gone"), "gone": ()},
)


def test_standard_is_the_one_of_the_design() -> None:
    # design.md, section 4: forward skips allowed, failed from any of the first four,
    # deprecated -> production for rollback, only deprecated and failed to archived
    allowed = set(itertools.combinations(PATH, 2))
    allowed |= {(stage, "failed") for stage in PATH[:4]}
    allowed |= {("production", "deprecated"), ("deprecated", "production")}
    allowed |= {("deprecated", "archived"), ("failed", "archived")}
    steps = {(source, to) for source, targets in STANDARD.transitions.items() for to in targets}
    assert steps == allowed
    assert (STANDARD.initial, STANDARD.production, STANDARD.retired) == (
        "development",
        "production",
        "deprecated",
    )


def test_strict_is_standard_without_skips() -> None:
    skips = {
        (source, to)
        for source, to in itertools.combinations(PATH, 2)
        if PATH.index(to) - PATH.index(source) > 1
    }
    for source, targets in STANDARD.transitions.items():
        kept = tuple(to for to in targets if (source, to) not in skips)
        assert STRICT.transitions[source] == kept


@pytest.mark.parametrize("lifecycle", BUILTIN.values(), ids=BUILTIN)
def test_stages_are_in_order(lifecycle: Lifecycle) -> None:
    assert lifecycle.stages[:5] == tuple(PATH)
    assert set(lifecycle.stages) == {*PATH, "deprecated", "archived", "failed"}


every_lifecycle = st.sampled_from([STANDARD, STRICT, OWN])


@given(every_lifecycle, st.data())
def test_a_step_is_taken_or_the_message_lists_what_is_allowed(
    lifecycle: Lifecycle, data: st.DataObject
) -> None:
    source, target = data.draw(st.tuples(*[st.sampled_from(lifecycle.stages)] * 2))
    allowed = lifecycle.transitions[source]
    if target in allowed:
        lifecycle.check("m:v", source, target)
        return
    with pytest.raises(IllegalTransition) as caught:
        lifecycle.check("m:v", source, target)
    assert str(caught.value) == (
        f"m:v cannot go from {source} to {target}; allowed from {source}: "
        f"{', '.join(allowed) or 'nothing, it is an end'}"
    )
    assert caught.value.details["allowed"] == list(allowed)


@given(every_lifecycle, st.data())
def test_there_is_no_way_out_of_an_end(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ends = [stage for stage, targets in lifecycle.transitions.items() if not targets]
    end = data.draw(st.sampled_from(ends))
    target = data.draw(st.sampled_from(lifecycle.stages) | st.text())
    with pytest.raises(IllegalTransition, match="nothing, it is an end"):
        lifecycle.check("m:v", end, target)


def lifecycle(**changed: object) -> Lifecycle:
    fields = {
        "name": "x",
        "initial": "a",
        "production": "b",
        "retired": "c",
        "transitions": {"a": ("b",), "b": ("c",), "c": ()},
    }
    return Lifecycle(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"initial": "z"},
        {"production": "z"},
        {"retired": "z"},
        {"transitions": {"a": ("b",), "b": ("c",), "c": ("z",)}},
        {"transitions": {}},
    ],
)
def test_every_stage_has_its_transitions(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="stages without transitions"):
        lifecycle(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"initial": "b"},
        {"retired": "b"},
        {"transitions": {"a": ("b",), "b": ("b", "c"), "c": ()}},
    ],
)
def test_production_belongs_to_the_champion_alone(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="makes production of what is not champion"):
        lifecycle(**changed)


def test_a_declared_lifecycle_serves_models(wired: Wired) -> None:
    wired.models.declare_lifecycle(OWN)
    wired.models.create("m", lifecycle="own")
    assert wired.models.lifecycle("m") == OWN
    wired.register("m:1", "m:2")
    assert wired.models.version("m:1").stage == "new"
    wired.models.promote("m:1")
    wired.models.promote("m:2")
    assert [version.stage for version in wired.models.versions("m")] == ["old", "live"]


@pytest.mark.parametrize("name", ["own", "standard", "strict"])
def test_a_lifecycle_does_not_change(wired: Wired, name: str) -> None:
    wired.models.declare_lifecycle(OWN)
    with pytest.raises(AlreadyExists, match="does not change; take another name"):
        wired.models.declare_lifecycle(lifecycle(name=name))


def test_an_unknown_lifecycle(wired: Wired) -> None:
    with pytest.raises(NotFound, match="built in are standard, strict"):
        wired.models.create("m", lifecycle="none")
    assert list(wired.models.list()) == []
