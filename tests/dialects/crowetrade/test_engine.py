"""The engine: tests are created, requests allocated, results recorded and read."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from tests.dialects.documented import documents
from tests.dialects.exchanges import same_as_golden
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.dialects.crowetrade import (
    ABTestEngine,
    AllocationStrategy,
    ModelRegistry,
    create_ab_test,
    create_model_metadata,
)
from palio.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidInput,
    InvalidOutcome,
    NotFound,
    StoreUnavailable,
)
from palio.experiments.designs.design import Type
from palio.experiments.domain import State

from .conftest import Desk, model, normal

VOLATILE = ("created_at", "started_at", "duration_days", "test_id", "created_by")


@documents(
    "crowetrade:create-test", "crowetrade:allocation", "crowetrade:record", "crowetrade:results",
    "crowetrade:significance", "crowetrade:thompson", "crowetrade:latency",
)  # fmt: skip
def test_the_documented_test(desk: Desk) -> None:
    for number, name in enumerate(("signal_lstm:1.0.0", "signal_transformer:1.0.0")):
        desk.register(name, width=2 + number)
    test_config = create_ab_test(
        test_id="signal_comparison_001",
        name="LSTM vs Transformer Signal Models",
        description="Comparing LSTM and Transformer architectures",
        model_registry_ids=["signal_lstm:1.0.0", "signal_transformer:1.0.0"],
        created_by="research_team",
        allocation_strategy=AllocationStrategy.THOMPSON_SAMPLING,
        minimum_sample_size=1000,
        max_duration_days=30,
    )
    engine = desk.engine
    test_id = engine.create_test(test_config)
    assert test_id == "signal_comparison_001"
    recorded: dict[str, list[float]] = {one: [] for one in test_config.model_registry_ids}
    for number in range(40):
        model_id = engine.get_model_allocation(test_id)
        value = 0.025 if number % 3 else -0.01
        recorded[model_id].append(value)
        engine.record_result(
            test_id=test_id,
            model_registry_id=model_id,
            return_value=value,
            additional_metrics={"latency_ms": 15, "confidence": 0.85},
        )
    results = engine.get_test_results(test_id)
    assert printed(results).startswith("Test Status: running\nTotal Requests: 40\nArm arm_0: 0.")
    native = {one.variant: one for one in desk.native.experiments.analyze(test_id).arms}
    for arm in results["arms"]:
        own = recorded[arm["model_registry_id"]]
        assert arm["results"] == arm["total_requests"] == len(own) == native[arm["arm_id"]].units
        # numpy is the source of the figures
        assert arm["mean_return"] == pytest.approx(np.mean(own))
        assert arm["std_return"] == pytest.approx(np.std(own, ddof=1))
        assert arm["sharpe_ratio"] == pytest.approx(np.mean(own) / np.std(own, ddof=1))
        assert arm["win_rate"] == pytest.approx(np.mean(np.array(own) > 0))
        told = native[arm["arm_id"]].metrics
        assert arm["sharpe_ratio"] == pytest.approx(told["sharpe(return)"].mean)
        assert arm["additional_metrics"] == {
            "confidence": {"count": len(own), "mean": pytest.approx(0.85)},
            "latency_ms": {"count": len(own), "mean": 15},
        }
    started = desk.native.experiments.get(test_id)
    assert started.created_by == ("research_team" if desk.in_process else "desk")
    assert (started.design.type, started.design.serves) == (Type.BANDIT, False)


def printed(results: dict[str, Any]) -> str:
    """Return what the document's program prints, by its own expressions."""
    told = [f"Test Status: {results['status']}", f"Total Requests: {results['total_requests']}"]
    for arm in results["arms"]:
        told += [
            f"Arm {arm['arm_id']}: {arm['mean_return']:.4f} ± {arm['std_return']:.4f}",
            f"  Sharpe Ratio: {arm['sharpe_ratio']:.2f}",
            f"  Win Rate: {arm['win_rate']:.2%}",
        ]
    if "significance_test" in results:
        sig = results["significance_test"]
        told += [
            f"Significant: {sig['significant']}",
            f"P-value: {sig['p_value']:.4f}",
            f"Winner: {sig['winner']}",
        ]
    return "\n".join(told)


@documents("crowetrade:results", "crowetrade:significance")
def test_a_test_without_results_can_be_printed(desk: Desk) -> None:
    test_id = desk.test("empty_a:1.0.0", "empty_b:1.0.0")
    results = desk.engine.get_test_results(test_id)
    answer = httpx.Response(200, json=results, request=httpx.Request("CALL", "http://x/results"))
    same_as_golden("crowetrade/get_test_results", [], answer, volatile=VOLATILE)
    told = printed(results).splitlines()
    assert told[1:4] == ["Total Requests: 0", "Arm arm_0: 0.0000 ± 0.0000", "  Sharpe Ratio: 0.00"]
    assert told[-3:] == ["Significant: False", "P-value: 1.0000", "Winner: None"]


@documents("crowetrade:significance", "crowetrade:effect-size", "crowetrade:monitoring")
@pytest.mark.parametrize("lead", [0.02, -0.02])
def test_significance_is_the_always_valid_analysis(desk: Desk, lead: float) -> None:
    test_id = desk.test(
        "mom:1.0.0", "rev:2.0.0", allocation_strategy="fixed", early_stopping=False
    )
    desk.feed(test_id, {"arm_0": normal(1, 0.0), "arm_1": normal(2, lead)}, 800)
    report = desk.native.experiments.analyze(test_id)
    results = desk.engine.get_test_results(test_id)
    sig, row = results["significance_test"], report.goal("arm_1")
    assert (sig["significant"], sig["winner"]) == (True, "arm_1" if lead > 0 else "arm_0")
    assert sig["p_value"] == row.p_value < 0.05
    assert sig["effect"] == row.effect == pytest.approx(lead, abs=0.02)
    assert sig["confidence_interval"] == [row.lower, row.upper]
    # the returns are drawn with a standard deviation of 0.05: Cohen's d is 0.4
    assert sig["effect_size"] == pytest.approx(lead / 0.05, abs=0.25)
    for arm, mean in zip(results["arms"], (0.0, lead), strict=True):
        low, high = arm["confidence_interval"]
        assert low < mean < high
    # going on to the end is asked for; a loser is given up at once all the same
    assert results["status"] == ("running" if lead > 0 else "completed")


@documents("crowetrade:significance", "crowetrade:portfolio-example", "crowetrade:ucb")
def test_three_arms_have_no_significance_test(desk: Desk) -> None:
    for reference in ("portfolio_mvo:2.0.0", "portfolio_risk_parity:1.5.0", "portfolio_hrp:0.1.0"):
        desk.register(reference, model_type="portfolio")
    documented = create_ab_test(
        test_id="portfolio_optimization_comparison",
        name="Mean-Variance vs Risk Parity",
        description="Comparing portfolio optimization methods",
        model_registry_ids=["portfolio_mvo:2.0.0", "portfolio_risk_parity:1.5.0"],
        created_by="portfolio_team",
        allocation_strategy=AllocationStrategy.UCB,
        minimum_sample_size=500,
    )
    test_id = desk.engine.create_test(documented)
    assert "significance_test" in desk.engine.get_test_results(test_id)
    seen = desk.native.experiments.get(test_id).design
    assert (seen.policy.kind, seen.stopping.min_sample, seen.serves) == ("ucb", 500, True)
    three = desk.test(
        "portfolio_mvo:2.0.0", "portfolio_risk_parity:1.5.0", "portfolio_hrp:0.1.0",
        allocation_strategy=AllocationStrategy.UCB,
    )  # fmt: skip
    results = desk.engine.get_test_results(three)
    assert "significance_test" not in results
    assert [arm["arm_id"] for arm in results["arms"]] == ["arm_0", "arm_1", "arm_2"]


@documents("crowetrade:regime-example")
def test_the_documented_comparison_of_regimes(desk: Desk) -> None:
    for reference in ("regime_hmm:3.1.0", "regime_lstm:1.0.0"):
        desk.register(reference, model_type="regime")
    test_config = create_ab_test(
        test_id="regime_detection_hmm_vs_lstm",
        name="HMM vs LSTM Regime Detection",
        description="Statistical vs deep learning regime detection",
        model_registry_ids=["regime_hmm:3.1.0", "regime_lstm:1.0.0"],
        created_by="research_team",
        allocation_strategy=AllocationStrategy.THOMPSON_SAMPLING,
    )
    test_id = desk.engine.create_test(test_config)
    seen = desk.native.experiments.get(test_id)
    assert (seen.state, seen.design.stopping.min_sample) == (State.RUNNING, 1_000)
    with pytest.raises(AlreadyExists, match="take another key"):
        desk.engine.create_test(test_config)


@documents("crowetrade:record", "crowetrade:allocation")
def test_no_result_is_lost(desk: Desk) -> None:
    test_id = desk.test("a_one:1.0.0", "a_two:1.0.0", allocation_strategy="fixed")
    engine = desk.engine
    first = engine.get_model_allocation(test_id, request_id="order-1")
    engine.record_result(test_id, first, 0.01)
    assert count(desk, test_id) == {"units": 1, "results": 1}
    engine.record_result(test_id, first, 0.02)  # of the same arm, and of a request of its own
    assert count(desk, test_id) == {"units": 2, "results": 2}
    given = [engine.get_model_allocation(test_id) for _ in range(4)]
    assert count(desk, test_id) == {"units": 6, "results": 2}
    for one in given:
        engine.record_result(test_id, json.loads(json.dumps(one)), 0.03)  # a plain text
    assert count(desk, test_id) == {"units": 6, "results": 6}
    other = ABTestEngine(desk.registry)
    sent = pickle.loads(pickle.dumps(engine.get_model_allocation(test_id)))
    other.record_result(test_id, sent, 0.04)
    other.record_result(test_id, "a_two:1.0.0", 0.05)
    assert count(desk, test_id) == {"units": 8, "results": 8}
    engine.get_model_allocation(test_id, request_id="order-2")
    other.record_result(test_id, "a_one:1.0.0", 0.06, request_id="order-2")
    assert count(desk, test_id) == {"units": 9, "results": 9}
    engine.stop_test(test_id, "enough")
    engine.record_result(test_id, "a_one:1.0.0", 0.07)  # late: kept, and changes nothing
    assert engine.get_test_results(test_id)["status"] == "cancelled"
    assert engine.get_model_allocation(test_id) == "a_one:1.0.0"


@documents("crowetrade:record")
def test_what_is_recorded_again_counts_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    test_id = desk.test("o_one:1.0.0", "o_two:1.0.0", allocation_strategy="fixed")
    engine = desk.engine
    given = engine.get_model_allocation(test_id)
    outcomes = engine._verbs.outcomes

    def lost(drafts: Any) -> None:
        outcomes.record(drafts)
        raise StoreUnavailable("the answer did not arrive")

    with monkeypatch.context() as patch:
        verbs = dataclasses.replace(engine._verbs, outcomes=SimpleNamespace(record=lost))
        patch.setattr(ABTestEngine, "_verbs", property(lambda _: verbs))
        with pytest.raises(StoreUnavailable):
            engine.record_result(test_id, given, 0.25)
    assert count(desk, test_id) == {"units": 1, "results": 1}
    engine.record_result(test_id, given, 0.25)
    assert count(desk, test_id) == {"units": 1, "results": 1}
    model = engine.get_model_allocation(test_id, request_id="order-77")
    for value in (0.5, 0.5, -0.5):  # the last one corrects
        engine.record_result(test_id, str(model), value, request_id="order-77")
    arms = engine.get_test_results(test_id)["arms"]
    total = sum(arm["mean_return"] * arm["results"] for arm in arms)
    assert total == pytest.approx(0.25 - 0.5)
    assert count(desk, test_id) == {"units": 2, "results": 2}


def count(desk: Desk, test_id: str) -> dict[str, int]:
    """Return how many units and results there are, by Palio's own count."""
    arms = desk.native.experiments.analyze(test_id).arms
    return {
        "units": sum(arm.units for arm in arms),
        "results": sum(arm.metrics["return"].n for arm in arms),
    }


def test_what_cannot_be_recorded_leaves_the_request_open(desk: Desk) -> None:
    test_id = desk.test("b_one:1.0.0", "b_two:1.0.0", allocation_strategy="fixed")
    given = desk.engine.get_model_allocation(test_id)
    for bad in (float("nan"), "much"):
        with pytest.raises(InvalidOutcome):
            desk.engine.record_result(test_id, given, bad)  # type: ignore[arg-type]
    with pytest.raises(
        InvalidInput, match=r"does not compare other:1; it compares b_one:1\.0\.0, b"
    ):
        desk.engine.record_result(test_id, "other:1", 0.1)
    desk.engine.record_result(test_id, given, 0.1)
    assert count(desk, test_id) == {"units": 1, "results": 1}


@documents("crowetrade:create-test")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_registry_ids": ["c_one:1.0.0"]}, "model_registry_ids: .* at least 2 items"),
        ({"model_registry_ids": []}, "model_registry_ids: .* at least 2 items"),
        (
            {"model_registry_ids": "c_one:1.0.0"},
            "model_registry_ids: Input should be a valid list",
        ),
        (
            {"allocation_strategy": "random"},
            "allocation_strategy: .*'thompson_sampling'.*'random'",
        ),
        ({"significance_level": 0.9}, r"significance_level: .* or equal to 0\.2, got 0\.9"),
        ({"minimum_sample_size": "many"}, "minimum_sample_size: .* valid integer.*got 'many'"),
        ({"minimum_sample_size": 0}, "minimum_sample_size: .* or equal to 1, got 0"),
        ({"max_duration_days": -1}, "max_duration_days: .* greater than 0, got -1"),
        ({"max_duration_days": None}, "max_duration_days: .* valid number, got None"),
        ({"stop_loss_threshold": 0.05}, "stop_loss_threshold: .* or equal to 0, got 0.05"),
        ({"stop_loss_threshold": float("nan")}, "stop_loss_threshold: .*, got nan"),
        ({"created_by": ""}, "created_by: .* at least 1 character"),
        ({"hypotesis": "x"}, "hypotesis: Unexpected keyword argument"),
        ({"min_allocation_per_arm": 0.7}, "must allow equal shares of 0.5, got 0.7 and 0.8"),
        ({"max_allocation_per_arm": 0.3}, "must allow equal shares of 0.5, got 0.05 and 0.3"),
        ({"allocation_weights": [0.5, "b"]}, r"allocation_weights\.1: .* valid number.*'b'"),
        ({"allocation_weights": [0.5, 0.6]}, "summing to 1, or percentages that sum to 100"),
        ({"allocation_weights": [70, 20]}, "which sum to 90"),
        ({"objective": "sharpe"}, "objective: .*'return' or 'win_rate', got 'sharpe'"),
        ({"additional_metrics": {"slippage": "less"}}, "slippage: .*'higher' or 'lower'"),
        ({"additional_metrics": ["slippage"]}, "additional_metrics: "),
    ],
)
def test_tests_that_cannot_be(desk: Desk, fields: dict[str, Any], said: str) -> None:
    for reference in ("c_one:1.0.0", "c_two:1.0.0"):
        desk.register(reference)
    asked = {"test_id": "never", "name": "n", "description": "", "created_by": "r"}
    asked |= {"model_registry_ids": ["c_one:1.0.0", "c_two:1.0.0"], **fields}
    with pytest.raises(InvalidInput, match=said):
        desk.engine.create_test(create_ab_test(**asked))
    assert "never" not in {one.key for one in desk.native.experiments.list()}


def test_no_field_is_left_out() -> None:
    with pytest.raises(InvalidInput, match="name: it is missing"):
        create_ab_test(
            test_id="t", description="", created_by="r", model_registry_ids=["a:1", "b:1"]
        )


@documents("crowetrade:record")
def test_returns_come_out_of_a_frame(desk: Desk) -> None:
    test_id = desk.test("np_one:1.0.0", "np_two:1.0.0", allocation_weights=np.array([0.5, 0.5]))
    for value in pd.Series([0.25, -0.5, 0.125]).astype(np.float32):
        given = desk.engine.get_model_allocation(test_id)
        more = {"latency_ms": np.int64(15), "confidence": np.float64(0.5)}
        desk.engine.record_result(test_id, given, value, more)  # type: ignore[arg-type]
    arms = desk.engine.get_test_results(test_id)["arms"]
    assert sum(arm["results"] for arm in arms) == 3
    # powers of two are exact in both precisions
    total = sum(arm["mean_return"] * arm["results"] for arm in arms)
    assert total == pytest.approx(0.25 - 0.5 + 0.125)
    with pytest.raises(InvalidInput, match="return is what return_value says"):
        desk.engine.record_result(test_id, "np_one:1.0.0", 0.1, {"return": 0.2})
    assert desk.native.experiments.get(test_id).weights.keys() == {"arm_0", "arm_1"}


def test_unknown_ids(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no experiment has the key 'nothing'"):
        desk.engine.get_test_results("nothing")
    with pytest.raises(NotFound, match="'nothing'"):
        desk.engine.get_model_allocation("nothing")
    with pytest.raises(NotFound, match="'nothing'"):
        desk.engine.record_result("nothing", "m:1", 0.1)
    with pytest.raises(NotFound, match="no model is named 'missing'"):
        desk.engine.create_test(
            create_ab_test(
                test_id="never", name="n", description="", created_by="r",
                model_registry_ids=["missing:1.0.0", "missing:2.0.0"],
            )
        )  # fmt: skip


def test_an_endpoint_of_others_is_not_taken(desk: Desk) -> None:
    desk.register("d_one:1.0.0")
    desk.native.endpoints.create("live-orders", "d_one")
    with pytest.raises(Conflict, match="take another test_id"):
        desk.test("d_one:1.0.0", "d_two:1.0.0", test_id="live-orders")


@documents("crowetrade:hypothesis")
def test_versions_of_one_model_are_compared_before_any_is_in_production(desk: Desk) -> None:
    hypothesis = "The second window is the better one"
    arms = [desk.register(f"window:{version}", width=2) for version in ("1.0.0", "1.1.0-rc1")]
    test_id = desk.test(*arms, hypothesis=hypothesis, additional_metrics={})
    seen = desk.native.experiments.get(test_id)
    assert seen.design.hypothesis == hypothesis
    assert seen.design.metrics.goal == "return:higher"
    assert seen.frozen == seen.design.digest  # what stood before it started is kept
    assert {one.reference("window") for one in seen.design.variants} == {
        "window:1.0.0", "window:1.1.0-rc1",
    }  # fmt: skip
    metadata = create_model_metadata(
        model_id="w2", name="", version="1", model_type="signal", created_by="x",
        input_features=["a"],
    )  # fmt: skip
    with pytest.raises(InvalidInput):
        desk.registry.register_model(model(3), metadata)  # it takes three features


def test_who_may_only_read_reads_results_and_does_nothing(
    prepared_sqlite: Path, tmp_path: Path
) -> None:
    store = shutil.copy(prepared_sqlite, str(tmp_path / "palio.db"))
    with palio.connect(store) as native, servers.serving(store, evaluate_s=0) as address:
        reader, worker = (
            native.keys.create(role, role).secret for role in (Role.VIEWER, Role.OPERATOR)
        )
        with ModelRegistry(address, key=worker) as registry:
            for name in ("r_one", "r_two"):
                metadata = create_model_metadata(
                    model_id=name, name=name, version="1", model_type="signal", created_by="x",
                    input_features=["a", "b", "c"],
                )  # fmt: skip
                registry.register_model(model(), metadata)
            asked = create_ab_test(
                test_id="t", name="t", description="", created_by="x",
                model_registry_ids=["r_one:1", "r_two:1"],
            )  # fmt: skip
            ABTestEngine(registry).create_test(asked)
        with ModelRegistry(address, key=reader) as registry:
            engine = ABTestEngine(registry)
            assert engine.get_test_results("t")["status"] == "running"
            with pytest.raises(Forbidden):
                engine.get_model_allocation("t")
            with pytest.raises(Forbidden):
                registry.promote_model("r_one:1", "testing")
