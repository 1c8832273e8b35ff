"""Strategies, what ends a test by itself, and what it shows on the way."""

from __future__ import annotations

import json
import math

import pytest
from tests.dialects.documented import documents

from palio import platform
from palio.dialects.crowetrade import ABTestEngine, AllocationStrategy
from palio.errors import InvalidInput
from palio.experiments.designs.policy import Belief
from palio.experiments.domain import State
from palio.settings import Settings

from .conftest import Desk, normal

pytestmark = pytest.mark.parametrize("desk", ["sqlite", "postgres"], indirect=True, scope="module")
BANDITS = [
    AllocationStrategy.THOMPSON_SAMPLING,
    AllocationStrategy.UCB,
    AllocationStrategy.EPSILON_GREEDY,
]


@documents(
    "crowetrade:bandits", "crowetrade:thompson", "crowetrade:ucb", "crowetrade:epsilon-greedy",
    "crowetrade:limits",
)  # fmt: skip
@pytest.mark.parametrize("strategy", BANDITS)
def test_strategies_move_requests_to_the_better_arm_within_limits(
    desk: Desk, strategy: AllocationStrategy
) -> None:
    test_id = desk.test(
        "good:1.0.0", "better:1.0.0", allocation_strategy=strategy, minimum_sample_size=10_000,
        min_allocation_per_arm=0.1, max_allocation_per_arm=0.75,
    )  # fmt: skip
    for seed in range(3):
        desk.feed(test_id, {"arm_0": normal(seed, 0.0), "arm_1": normal(seed + 9, 0.05)}, 60)
        desk.engine.get_test_results(test_id)
    weights = {one["arm_id"]: one["allocation_weight"] for one in
               desk.engine.get_test_results(test_id)["arms"]}  # fmt: skip
    assert weights == pytest.approx({"arm_0": 0.25, "arm_1": 0.75})
    assert weights == desk.native.experiments.get(test_id).weights


@documents("crowetrade:thompson")
def test_beta_distributions_are_for_the_win_rate(desk: Desk) -> None:
    arms, large = ("often:1.0.0", "much:1.0.0"), 10_000
    test_id = desk.test(*arms, objective="win_rate", minimum_sample_size=large)
    seen = desk.native.experiments.get(test_id).design
    assert (seen.policy.belief, seen.metrics.goal) == (Belief.BETA, "win_rate(return):higher")
    plain = desk.test(*arms, minimum_sample_size=large)
    assert desk.native.experiments.get(plain).design.policy.belief is Belief.NORMAL
    # arm_0 wins four times of five, and arm_1 earns more
    wins = {"arm_0": often, "arm_1": much}
    for key in (test_id, plain):
        for _ in range(3):
            desk.feed(key, wins, 80)
            desk.engine.get_test_results(key)
    by_wins, by_mean = (desk.native.experiments.get(key).weights for key in (test_id, plain))
    assert by_wins["arm_0"] > 0.5 > by_mean["arm_0"]
    arm = desk.engine.get_test_results(test_id)["arms"][0]
    assert arm["win_rate"] == pytest.approx(0.8, abs=0.05)
    assert arm["mean_return"] == pytest.approx(0.0, abs=0.004)


def often(n: int) -> list[float]:
    return [-0.04 if at % 5 == 0 else 0.01 for at in range(n)]


def much(n: int) -> list[float]:
    return [0.06 if at % 3 == 0 else -0.01 for at in range(n)]


@documents("crowetrade:fixed")
@pytest.mark.parametrize("weights", [None, [0.7, 0.3], [60, 25, 15]])
def test_fixed_allocations_are_shares_or_percentages(
    desk: Desk, weights: list[float] | None
) -> None:
    arms = [f"fixed_{number}:1.0.0" for number in range(len(weights or (1, 1)))]
    test_id = desk.test(*arms, allocation_strategy="fixed", allocation_weights=weights)
    shares = [one / math.fsum(weights) for one in weights] if weights else [0.5, 0.5]
    given = desk.native.experiments.assign_many(test_id, [f"u{n}" for n in range(2_000)])
    for number, share in enumerate(shares):
        found = sum(one.variant == f"arm_{number}" for one in given) / len(given)
        # within four standard errors of a binomial share
        assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / len(given))
    desk.feed(test_id, {f"arm_{n}": normal(n, 0.01 * n) for n in range(len(arms))}, 300)
    results = desk.engine.get_test_results(test_id)
    assert [arm["allocation_weight"] for arm in results["arms"]] == pytest.approx(shares)


@documents("crowetrade:early-stopping", "crowetrade:allocation")
@pytest.mark.parametrize(("lead", "winner"), [(0.03, "arm_1"), (-0.03, None)])
def test_a_significant_result_ends_a_test(desk: Desk, lead: float, winner: str | None) -> None:
    test_id = desk.test("now:1.0.0", "then:1.0.0", allocation_strategy="fixed")
    desk.feed(test_id, {"arm_0": normal(3, 0.0), "arm_1": normal(4, lead)}, 120)
    assert desk.engine.get_test_results(test_id)["status"] == "running"  # too few of each
    desk.feed(test_id, {"arm_0": normal(5, 0.0), "arm_1": normal(6, lead)}, 400)
    results = desk.engine.get_test_results(test_id)
    assert (results["status"], results["winner"]) == ("completed", winner)
    ended = desk.native.experiments.get(test_id)
    assert (ended.state, ended.chosen, ended.winner) == (State.COMPLETED, winner, None)
    assert ended.reason.startswith("ship: arm_1 is better" if winner else "rollback: arm_1 is wor")
    assert desk.native.models.aliases("now") == {}  # nothing is promoted
    assert desk.engine.get_model_allocation(test_id) == ("then:1.0.0" if winner else "now:1.0.0")
    final = json.loads(
        (desk.folder / "ab_tests" / "results" / f"{test_id}_final.json").read_text()
    )
    assert {**final, "drift": results["drift"]} == results


def test_recording_ends_a_test_by_itself(desk: Desk) -> None:
    """No one asks for results here: recording alone is enough."""
    test_id = desk.test("x_now:1.0.0", "x_then:1.0.0", allocation_strategy="fixed")
    desk.feed(test_id, {"arm_0": normal(3, 0.0), "arm_1": normal(4, 0.03)}, 520)
    engine = ABTestEngine(desk.registry)
    engine.record_result(test_id, engine.get_model_allocation(test_id), 0.01)
    assert desk.native.experiments.get(test_id).state is State.COMPLETED


@documents("crowetrade:early-stopping")
def test_a_server_ends_a_test_that_nobody_asks_about(desk: Desk) -> None:
    test_id = desk.test("v_now:1.0.0", "v_then:1.0.0", allocation_strategy="fixed")
    desk.feed(test_id, {"arm_0": normal(3, 0.0), "arm_1": normal(4, 0.03)}, 520)
    platform.evaluate(Settings(store=desk.store), once=True)
    ended = desk.native.experiments.get(test_id)
    assert (ended.state, ended.reason[:26]) == (State.COMPLETED, "ship: arm_1 is better than")
    assert desk.native.audit.list(limit=1_000)[-1].actor == "evaluator"
    assert desk.engine.get_test_results(test_id)["winner"] == "arm_1"
    assert desk.engine.get_model_allocation(test_id) == "v_then:1.0.0"


@documents("crowetrade:stop-loss")
def test_a_stop_loss_ends_what_loses(desk: Desk) -> None:
    test_id = desk.test(
        "safe:1.0.0", "wild:1.0.0", allocation_strategy="fixed", stop_loss_threshold=-0.02,
        minimum_sample_size=100_000,
    )  # fmt: skip
    desk.feed(test_id, {"arm_0": normal(1, 0.0), "arm_1": normal(2, -0.08)}, 120)
    results = desk.engine.get_test_results(test_id)
    assert results["status"] == "completed"
    assert "mean return of arm_1 is shown to be below -0.02" in results["stop_reason"]
    assert desk.native.experiments.get(test_id).reason == results["stop_reason"]


@documents("crowetrade:stop-loss")
@pytest.mark.parametrize("strategy", ["fixed", "thompson_sampling"])
def test_one_of_three_that_loses_gets_nothing_any_more(desk: Desk, strategy: str) -> None:
    test_id = desk.test(
        "s_one:1.0.0", "s_two:1.0.0", "s_three:1.0.0", allocation_strategy=strategy,
        stop_loss_threshold=None, max_drawdown=2.0, minimum_sample_size=100_000,
    )  # fmt: skip
    returns = {"arm_0": normal(1, 0.01), "arm_1": normal(2, 0.01), "arm_2": normal(3, -0.2)}
    desk.feed(test_id, returns, 150)
    desk.engine.get_test_results(test_id)
    results = desk.engine.get_test_results(test_id)
    assert (results["status"], results["arms"][2]["allocation_weight"]) == ("running", 0.0)
    assert sum(arm["allocation_weight"] for arm in results["arms"]) == pytest.approx(1.0)
    desk.engine.record_result(test_id, "s_three:1.0.0", 0.5)  # of a request from before
    told = desk.engine.get_test_results(test_id)["arms"][2]
    assert told["reported_returns"] == 1
    arms = desk.native.experiments.analyze(test_id).arms
    assert arms[2].reported["return"].mean == 0.5


@documents("crowetrade:max-duration")
def test_a_test_does_not_outlive_its_duration(desk: Desk) -> None:
    test_id = desk.test("old:1.0.0", "new:1.0.0", max_duration_days=1.2e-5)  # a second
    while desk.engine.get_test_results(test_id)["status"] == "running":
        desk.engine.record_result(test_id, desk.engine.get_model_allocation(test_id), 0.01)
    seen = desk.native.experiments.get(test_id)
    assert "the maximum duration of 1.0368 s is reached" in seen.reason
    assert seen.state is State.COMPLETED


@documents("crowetrade:over-time", "crowetrade:drift")
def test_looks_tell_significance_over_time_and_drift(desk: Desk) -> None:
    test_id = desk.test(
        "calm:1.0.0", "fading:1.0.0", allocation_strategy="fixed", early_stopping=False,
        minimum_sample_size=100_000,
    )  # fmt: skip
    for number, lead in enumerate((0.03, 0.03, -0.01, -0.01)):
        desk.feed(test_id, {"arm_0": normal(number, 0.0), "arm_1": normal(9 + number, lead)}, 200)
        results = desk.engine.get_test_results(test_id)
    history = desk.engine.get_test_history(test_id)
    assert [one["total_requests"] for one in history] == [200, 400, 600, 800]
    assert len(desk.native.experiments.looks(test_id)) == 4
    p_values = [one["p_value"] for one in history]
    assert p_values == sorted(p_values, reverse=True)  # the smallest so far
    # what was drawn: a lead of 0.03 in the first half, of -0.01 since
    drift = results["drift"]["arm_1"]
    assert drift["earlier_effect"] == pytest.approx(0.03, abs=0.015)
    assert drift["recent_effect"] == pytest.approx(-0.01, abs=0.015)


@documents("crowetrade:power")
def test_power_analysis(desk: Desk) -> None:
    test_id = desk.test("p_one:1.0.0", "p_two:1.0.0", allocation_strategy="fixed")
    with pytest.raises(InvalidInput, match="has no two returns"):
        desk.engine.get_power_analysis(test_id, 0.01)
    desk.feed(test_id, {"arm_0": normal(1, 0.0), "arm_1": normal(2, 0.0)}, 400)
    plan = desk.engine.get_power_analysis(test_id, 0.01)
    # one look with 80 % power takes 2 (1.96 + 0.84)^2 sd^2 / effect^2 of each arm (Chow, Shao and
    # Wang, chapter 3); looking constantly costs more
    sd = desk.engine.get_test_results(test_id)["arms"][0]["std_return"]
    one_look = 4 * (1.96 + 0.84) ** 2 * sd**2 / 0.01**2
    assert 1.1 * one_look < plan["required_sample_size"] < 1.7 * one_look
    assert plan["power"] >= 0.8
    more = desk.engine.get_power_analysis(test_id, 0.02, power=0.9)
    assert more["required_sample_size"] < plan["required_sample_size"]
    with pytest.raises(InvalidInput, match="effect"):
        desk.engine.get_power_analysis(test_id, 0.0)


@documents("crowetrade:live-performance")
def test_live_performance_of_a_model(desk: Desk) -> None:
    desk.register("perf:1.0.0", width=2, backtest_sharpe=2.0)
    test_id = desk.test("perf:1.0.0", "perf_rival:1.0.0", allocation_strategy="fixed")
    desk.feed(test_id, {"arm_0": normal(1, 0.01), "arm_1": normal(2, 0.0)}, 100)
    found = desk.engine.get_model_performance("perf")
    assert found["backtest"] == {"perf:1.0.0": {"sharpe": 2.0}}
    [live] = found["live"]
    arm = desk.native.experiments.analyze(test_id).arms[0]
    assert (live["test_id"], live["results"]) == (test_id, arm.metrics["return"].n)
    assert live["mean_return"] == arm.metrics["return"].mean


def test_tests_that_were_made_by_others_are_seen(desk: Desk) -> None:
    from palio import ExperimentDraft, Metrics, Variant  # noqa: PLC0415 - as others would

    for version in ("1.0.0", "2.0.0"):
        desk.register(f"theirs:{version}")
    desk.native.endpoints.create("theirs", "theirs")
    halves = (Variant("control", "1.0.0", 0.5), Variant("challenger", "2.0.0", 0.5))
    design = ExperimentDraft(
        key="native-one", endpoint="theirs", variants=halves, metrics=Metrics("revenue:higher"),
        ships=False, unit="user_id",
    )  # fmt: skip
    desk.native.experiments.draft(design)
    assert desk.engine.get_test_results("native-one")["status"] == "draft"
    desk.native.experiments.start("native-one")
    given = desk.engine.get_model_allocation("native-one")
    desk.engine.record_result("native-one", given, 0.2, {"revenue": 3.0})
    results = desk.engine.get_test_results("native-one")
    assert (results["name"], results["total_requests"]) == ("native-one", 1)
    [arm] = [one for one in results["arms"] if one["total_requests"]]
    assert (arm["model_registry_id"], arm["mean_return"]) == (str(given), 0.2)
    assert arm["additional_metrics"] == {"revenue": {"count": 1, "mean": 3.0}}
