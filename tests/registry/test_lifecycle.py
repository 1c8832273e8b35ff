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
    wired.lifecycles.declare(OWN)
    wired.models.create("m", lifecycle="own")
    assert wired.models.lifecycle("m") == OWN
    wired.register("m:1", "m:2")
    assert wired.versions.get("m:1").stage == "new"
    wired.versions.promote("m:1")
    wired.versions.promote("m:2")
    assert [version.stage for version in wired.versions.list("m")] == ["old", "live"]


@pytest.mark.parametrize("name", ["standard", "strict"])
def test_a_built_in_lifecycle_does_not_change(wired: Wired, name: str) -> None:
    with pytest.raises(AlreadyExists, match="does not change; take another name"):
        wired.lifecycles.declare(lifecycle(name=name))


def test_an_unknown_lifecycle(wired: Wired) -> None:
    with pytest.raises(NotFound, match="built in are standard, strict"):
        wired.models.create("m", lifecycle="none")
    assert list(wired.models.list()) == []


# -- declared by people

WRITTEN = {
    "name": "x",
    "initial": "a",
    "production": "b",
    "retired": "c",
    "transitions": {"a": ["b"], "b": ["c"], "c": []},
}


def test_a_written_lifecycle_is_read() -> None:
    assert Lifecycle.declared(WRITTEN) == lifecycle()
    assert Lifecycle.declared(WRITTEN).requires == {}


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ({**WRITTEN, "transition": {}}, "transition: .* did you mean 'transitions'"),
        ({**WRITTEN, 3: {}}, r"3: a lifecycle has no such field\. It has name"),
        ({**WRITTEN, "transitions": {"a": None}}, "transitions.a is None; give a list of stages"),
        ({**WRITTEN, "requires": {"b": "auc"}}, "requires.b is 'auc'; give a list, as in"),
        ({**WRITTEN, "aliases": {"s": "boss"}}, "aliases.s is 'boss'; give a role: operator or"),
        ({**WRITTEN, "name": 3}, "it needs name, initial, production, retired and transitions"),
        ({**WRITTEN, "requires": 3}, "the lifecycle does not read: Expected `object`, got `int`"),
        ({"name": "x"}, "missing required field `initial`"),
        (None, "Expected `object`, got `null`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_what_does_not_read_is_named(written: object, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        Lifecycle.declared(written)


@pytest.mark.parametrize(
    ("transitions", "match"),
    [
        ({"a": ("b",), "b": ("c",), "c": (), "d": ("b",)}, "no steps lead from a to d$"),
        ({"a": (), "b": ("c",), "c": ()}, "no steps lead from a to b, c$"),
        ({"a": ("b", "d"), "b": ("c",), "c": (), "d": ("e",), "e": ("d",)}, "d, e can reach nei"),
        ({"a": ("b", "d"), "b": ("c",), "c": (), "d": ("d",)}, "d can reach neither b nor an end"),
        ({"a": ("b", "c"), "b": (), "c": ()}, "b must lead to c, where former champions go"),
        (
            {"a": ("d",), "b": ("c",), "c": (), "d": ("d",)},
            "no steps lead from a to b, c; a, d can reach neither b nor an end",
        ),
    ],
)
def test_stages_that_nothing_reaches_or_leaves_are_named(
    wired: Wired, transitions: dict[str, tuple[str, ...]], match: str
) -> None:
    kept = lifecycle(transitions=transitions)  # what was declared before can still be read
    with pytest.raises(InvalidInput, match=match):
        kept.check_graph()
    with pytest.raises(InvalidInput, match=match):
        wired.lifecycles.declare(kept)
    assert [one.name for one in wired.lifecycles.list()] == ["standard", "strict"]


@pytest.mark.parametrize("one", [STANDARD, STRICT, OWN], ids=lambda one: one.name)
def test_known_lifecycles_hold(one: Lifecycle) -> None:
    one.check_graph()


STAGES = ("a", "b", "c", "d", "e")
graphs = st.fixed_dictionaries(
    {
        stage: st.lists(st.sampled_from([s for s in STAGES if s != stage]), unique=True).map(tuple)
        for stage in STAGES
    }
).map(lambda drawn: {**drawn, "b": tuple(dict.fromkeys((*drawn["b"], "c")))})


def closure(steps: dict[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """Return who reaches whom, by Warshall's algorithm."""
    pairs = {(one, to) for one, targets in steps.items() for to in targets}
    pairs |= {(stage, stage) for stage in steps}
    for via, source, target in itertools.product(STAGES, repeat=3):
        if (source, via) in pairs and (via, target) in pairs:
            pairs.add((source, target))
    return pairs


@given(graphs)
def test_a_graph_holds_when_every_stage_is_reached_and_left(
    transitions: dict[str, tuple[str, ...]],
) -> None:
    pairs = closure(transitions)
    ends = {stage for stage, targets in transitions.items() if not targets} | {"b"}
    lost = [stage for stage in transitions if ("a", stage) not in pairs]
    stuck = [stage for stage in transitions if not any((stage, end) in pairs for end in ends)]
    made = lifecycle(transitions=transitions)
    if not lost and not stuck:
        made.check_graph()
        return
    with pytest.raises(InvalidInput) as caught:
        made.check_graph()
    assert bool(lost) is (f"from a to {', '.join(lost)}" in str(caught.value))
    assert bool(stuck) is (f"{', '.join(stuck)} can reach neither" in str(caught.value))
