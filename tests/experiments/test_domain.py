"""Designs that are refused, and the states of an experiment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import IllegalTransition, InvalidInput
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.domain import ALLOWED, OPEN, Experiment, State
from palio.testing.records import design


def experiment(state: State) -> Experiment:
    return Experiment(
        key="exp",
        design=design(),
        model="credit",
        salt="s",
        state=state,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="ann",
    )


# design.md, section 4
STEPS = {
    ("draft", "running"),
    ("running", "paused"),
    ("paused", "running"),
    ("running", "completed"),
    ("paused", "completed"),
    ("draft", "stopped"),
    ("running", "stopped"),
    ("paused", "stopped"),
}


def test_steps_are_those_of_the_design() -> None:
    assert {(a.value, b.value) for a, targets in ALLOWED.items() for b in targets} == STEPS
    assert set(ALLOWED) == set(State)
    assert {state for state, targets in ALLOWED.items() if targets} == OPEN


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_step_is_taken_or_the_message_lists_what_is_allowed(source: State, to: State) -> None:
    if (source, to) in STEPS:
        experiment(source).check(to)
        return
    with pytest.raises(IllegalTransition) as caught:
        experiment(source).check(to)
    allowed = [state for state in State if (source, state) in STEPS]
    assert caught.value.details["allowed"] == allowed
    assert str(caught.value).endswith(f"allowed: {', '.join(allowed) or 'nothing, it has ended'}")


def variants(*keys: str, version: str | None = None) -> tuple[Variant, ...]:
    return tuple(
        Variant(key, version or str(place), 1 / len(keys)) for place, key in enumerate(keys)
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variants": variants("a")}, "needs at least two variants, got 1"),
        ({"variants": ()}, "needs at least two variants, got 0"),
        ({"variants": variants("a", "b", "a")}, "variants named twice: a"),
        ({"variants": variants("a", "b c")}, "variant 'b c' is no name"),
        ({"variants": variants("a", "b", version="1")}, "aa compares a version with itself"),
        ({"type": Type.AA}, "is of type aa and compares 2 version"),
        ({"key": "a/b"}, "experiment 'a/b' is no name"),
        (
            {"stopping": Stopping(alpha=0.01), "variants": variants(*"abcdefghijkl")},
            "alpha 0.01 shared over 11 comparisons",
        ),
        (
            {
                "stopping": Stopping(alpha=0.01),
                "variants": variants(*"abcde"),
                "metrics": Metrics("brier", guardrails=("error", "latency_ms", "log_loss")),
            },
            "compare fewer variants or guardrails",
        ),
    ],
)
def test_designs_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        design(**fields)


def test_an_aa_design() -> None:
    assert design(type=Type.AA, variants=variants("a", "b", version="1")).type is Type.AA


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alpha": 0.0}, r"alpha must be in \[0.01, 0.2\], got 0.0"),
        ({"alpha": 0.5}, "alpha must be in"),
        ({"alpha": float("nan")}, "alpha must be in"),
        ({"horizon": 10}, "horizon must be in"),
        ({"min_sample": 0}, "min_sample must be in"),
        ({"min_duration_s": -1.0}, "min_duration_s must be in"),
        ({"max_duration_s": 5.0, "min_duration_s": 10.0}, r"max_duration_s must be in \[10.0,"),
    ],
)
def test_stopping_rules_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Stopping(**fields)


def test_metrics_by_role() -> None:
    declared = Metric("revenue", Direction.HIGHER, margin=0.1)
    metrics = Metrics("brier", ("clicks:higher",), ("revenue",), (declared,))
    assert metrics.goal_metric.name == "brier"
    assert metrics.secondary_metrics == (Metric("clicks", Direction.HIGHER),)
    assert metrics.guardrail_metrics == (declared,)
    assert [metric.name for metric in metrics.all] == ["brier", "clicks", "revenue"]


def test_a_metric_has_one_role() -> None:
    with pytest.raises(InvalidInput, match="metrics named twice: brier, error"):
        Metrics("brier", ("error",), ("brier", "error"))


def test_the_digest_is_of_the_whole_design() -> None:
    one = design()
    assert one.digest == design().digest
    changed = [
        design(hypothesis="x"),
        design(unit="user_id"),
        design(metrics=Metrics("accuracy")),
        design(stopping=Stopping(alpha=0.1, horizon=4_000, min_sample=100)),
        replace(one, variants=one.variants[::-1]),
    ]
    assert len({one.digest, *(other.digest for other in changed)}) == 6


# A stored design and its digest, as commit abf0628 wrote them.
OLD = (
    '{"key":"exp","endpoint":"credit","variants":[{"key":"control","version":"1","weight":0.5},'
    '{"key":"challenger","version":"2","weight":0.5}],"metrics":{"goal":"brier","secondary":'
    '["revenue"],"guardrails":["latency_ms"],"declared":[{"name":"revenue","direction":'
    '"higher_is_better","source":"outcome","margin":0.05}]},"type":"ab","stopping":{"alpha":0.05,'
    '"horizon":4000,"min_sample":100,"min_duration_s":0.0,"max_duration_s":null},'
    '"hypothesis":"","unit":"unit"}'
)
OLD_DIGEST = "9d5335c061b40d2002f0b428de39fe82f07425beaa1970e10fb7c66401ed330d"


def test_an_old_design_with_a_declared_metric_keeps_its_digest() -> None:
    old = msgspec.json.decode(OLD, type=ExperimentDraft)
    assert old.digest == OLD_DIGEST
    again = msgspec.json.decode(msgspec.json.encode(old), type=ExperimentDraft)
    assert again.digest == OLD_DIGEST


@pytest.mark.parametrize("fields", [{"window_s": 60.0}, {"limits": (0.0, 1.0)}])
def test_what_a_metric_declares_is_part_of_the_digest(fields: dict[str, Any]) -> None:
    old = msgspec.json.decode(OLD, type=ExperimentDraft)
    [revenue] = old.metrics.declared
    metrics = replace(old.metrics, declared=(replace(revenue, **fields),))
    assert replace(old, metrics=metrics).digest != OLD_DIGEST


def test_variants_by_key() -> None:
    one = experiment(State.DRAFT)
    assert one.control.key == "control"
    assert [variant.key for variant in one.challengers] == ["challenger"]
    assert one.variant("challenger").version == "2"
    with pytest.raises(InvalidInput, match="it has control, challenger"):
        one.variant("x")
