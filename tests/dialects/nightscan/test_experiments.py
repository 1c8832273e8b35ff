"""Experiments in Python: designs, routing, results, analyses, and their end by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.dialects.nightscan import (
    get_ab_test_manager,
    get_deployment_manager,
    get_model_registry,
)
from palio.errors import AlreadyExists, Conflict, InvalidInput, InvalidWeights, NotFound
from palio.experiments.designs.design import Metrics, Type
from palio.experiments.designs.policy import PolicyKind
from palio.experiments.domain import State
from palio.experiments.events import OutcomeDraft

from .conftest import World, configured


@pytest.fixture
def owls(world: World) -> str:
    """A model of two versions, once a store."""
    with world.native() as opened:
        known = {one.name for one in opened.models.list()}
    return "owls" if "owls" in known else world.model("owls", "v1", "v2")


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments that nobody ends by themselves."""
    monkeypatch.setenv("NIGHTSCAN_AUTOMATIC", "false")


def results(key: str, n: int, *, gain: float, native: Any) -> None:
    """Route so many requests, and record what became of them; the treatment gains.

    Values of an arm lie by turns above and below its mean, whoever is in it: the mean of 150 or
    more is off by 0.05 / 150 at most.
    """
    sides = defaultdict(lambda: cycle((1, -1)))
    units = [f"{key}-{number}" for number in range(n)]
    given = native.experiments.assign_many(key, units, record=True)
    drafts = []
    for one in given:
        side, gained = next(sides[one.variant]), gain * (one.variant == "treatment")
        accuracy = 0.8 + 0.05 * side + gained
        latency = 0.2 + 0.02 * side - 0.1 * gained
        for name, value in (("accuracy", accuracy), ("inference_time", latency)):
            drafts.append(OutcomeDraft(name=name, value=float(value), unit=one.unit))
    native.outcomes.record(drafts)


@documents(
    "nightscan:ab-manager",
    "nightscan:experiment-config",
    "nightscan:allocation",
    "nightscan:success-metrics",
    "nightscan:minimum-sample",
    "nightscan:maximum-duration",
    "nightscan:create-start",
)
def test_a_configuration_becomes_a_design(world: World, owls: str) -> None:
    manager = get_ab_test_manager()
    assert manager.create_experiment(configured("accuracy_improvement_test", owls))
    assert manager.start_experiment("accuracy_improvement_test")
    with world.native() as opened:
        found = opened.experiments.get("accuracy_improvement_test")
    design = found.design
    assert found.state is State.RUNNING
    assert (design.title, design.unit) == ("Test v2 vs v1 Accuracy", "request")
    assert design.description == "Compare new model version against current production"
    assert {one.key: (one.version, one.weight) for one in design.variants} == {
        "control": ("v1", 0.7),
        "treatment": ("v2", 0.3),
    }
    assert [(one.name, one.direction.sign) for one in design.metrics.all] == [
        ("accuracy", 1),
        ("confidence", 1),
        ("inference_time", -1),
    ]
    assert design.stopping.alpha == pytest.approx(0.05)
    assert (design.stopping.min_sample, design.stopping.max_duration_s) == (1000, 14 * 86_400)
    assert (design.automatic, design.ships) == (True, False)


def test_three_variants_of_two_models(world: World, owls: str) -> None:
    other = world.model("owls_specialized", "v9")
    manager = get_ab_test_manager()
    variants = {"new": f"{owls}:v2", "control": f"{owls}:v1", "special": f"{other}:v9"}
    shares = {"new": 33.3, "control": 33.4, "special": 33.3}
    config = configured(
        "three", owls, model_variants=variants, traffic_allocation=shares, confidence_level=0.9
    )
    manager.create_experiment(config)
    manager.start_experiment("three")
    given = Counter(manager.get_model_for_request(f"r{n}", "three") for n in range(60))
    assert set(given) == {f"{owls}:v1", f"{owls}:v2", f"{other}:v9"}
    analysis = manager.analyze_experiment("three") or {}
    assert set(analysis["comparisons"]) == {"control_vs_new", "control_vs_special"}
    assert analysis["experiment_metadata"]["model_variants"] == variants
    assert analysis["experiment_metadata"]["traffic_allocation"] == pytest.approx(shares)
    manager.stop_experiment("three", "enough")


@pytest.mark.parametrize(
    ("fields", "error", "why"),
    [
        (
            {"traffic_allocation": {"control": 70.0, "treatment": 20.0}},
            InvalidWeights,
            "must sum to 100 percent, got 90",
        ),
        ({"traffic_allocation": {"control": 100.0}}, InvalidInput, "to each variant"),
        ({"success_metrics": []}, InvalidInput, "success_metrics: .* at least 1"),
        ({"confidence_level": 0.5}, InvalidInput, "confidence_level: .* got 0.5"),
        ({"maximum_duration_days": 0}, InvalidInput, "maximum_duration_days"),
        ({"minimum_sample_size": "many"}, InvalidInput, "minimum_sample_size"),
        ({"success_metrics": "accuracy"}, InvalidInput, "success_metrics"),
        (
            {"bandit_config": {"algoritm": "ucb"}},
            InvalidInput,
            "has no algoritm; it has algorithm",
        ),
        ({"bandit_config": {"exploration_rate": 2}}, InvalidInput, "exploration_rate"),
        ({"bandit_config": {"algorithm": "coin"}}, InvalidInput, "algorithm must be one of"),
    ],
)
@pytest.mark.usefixtures("world")
def test_what_is_no_experiment_is_refused(
    owls: str, fields: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        get_ab_test_manager().create_experiment(configured("refused", owls, **fields))


def test_what_is_refused_leaves_nothing_behind(world: World, owls: str) -> None:
    manager = get_ab_test_manager()
    unknown = {"control": f"{owls}:v1", "treatment": f"{owls}:v9"}
    with pytest.raises(NotFound, match="v9"):
        manager.create_experiment(configured("second_try", owls, model_variants=unknown))
    with world.native() as opened:
        assert all(one.name != "second_try" for one in opened.endpoints.list())
        opened.endpoints.create("taken", owls)
    with pytest.raises(Conflict, match="the endpoint taken is of owls"):
        manager.create_experiment(configured("taken", world.model("others", "v1", "v2")))
    others = configured(
        "second_try", "others", traffic_allocation={"control": "50", "treatment": 50}
    )
    assert manager.create_experiment(others)
    with world.native() as opened:
        assert opened.experiments.get("second_try").model == "others"


def test_ids_of_requests_are_texts(world: World, owls: str) -> None:
    world.experiment("numbered", owls)
    with pytest.raises(InvalidInput, match="must be a text, got 17"):
        get_ab_test_manager().get_model_for_request(17, "numbered")  # type: ignore[arg-type]


def test_an_experiment_is_created_and_started_once(world: World, owls: str) -> None:
    world.experiment("once", owls)
    manager = get_ab_test_manager()
    with pytest.raises(AlreadyExists):
        manager.create_experiment(configured("once", owls))
    with pytest.raises(Conflict, match="once is running"):
        manager.start_experiment("once")
    assert manager.stop_experiment("once", "enough")
    assert not manager.stop_experiment("once", "again")  # as where it has ended by itself
    with world.native() as opened:
        assert opened.experiments.get("once").reason == "enough"


@documents("nightscan:route", "nightscan:consistent", "nightscan:routing-log")
def test_a_request_is_routed_and_stays_there(world: World, owls: str) -> None:
    world.experiment("routed", owls)
    manager = get_ab_test_manager()
    given = {f"user_{n}": manager.get_model_for_request(f"user_{n}", "routed") for n in range(80)}
    again = {name: get_ab_test_manager().get_model_for_request(name, "routed") for name in given}
    assert given == again
    assert set(given.values()) == {"owls:v1", "owls:v2"}
    with world.native() as opened:
        assigner = opened.experiments.get("routed").assigner()
        assert {n: f"owls:{assigner.versions[assigner.assign(n) or '']}" for n in given} == given
        report = opened.experiments.analyze("routed")
    assert sum(arm.units for arm in report.arms) == 80  # exposures are logged, each unit once
    log = (world.folder / "logs" / "ab_test.log").read_text()
    line = next(one for one in log.splitlines() if "request_id=user_7 " in one)
    assert "experiment_id=routed variant=" in line
    assert line.endswith(f"model_version={given['user_7']}")


def test_shares_are_kept_over_many_requests(world: World, owls: str) -> None:
    world.experiment("shares", owls)
    with world.native() as opened:
        assigner = opened.experiments.get("shares").assigner()
    given = assigner.assign_many([f"r{n}" for n in range(20_000)])
    # 0.3 of 20,000 independent requests: 4 standard deviations are 0.013
    assert np.mean(given == "treatment") == pytest.approx(0.3, abs=0.013)


def test_what_does_not_run_gives_what_is_in_production(world: World) -> None:
    name = world.model("idle", "v1", "v2")
    manager = get_ab_test_manager()
    manager.create_experiment(configured("idle_test", name))
    assert manager.get_model_for_request("r1", "idle_test") is None
    get_model_registry().update_status(name, "v1", "deployed")
    assert manager.get_model_for_request("r1", "idle_test") == "idle:v1"


@documents("nightscan:record-result")
def test_results_count_for_the_request_once(world: World, owls: str) -> None:
    world.experiment("recorded", owls)
    manager = get_ab_test_manager()
    metrics = {"accuracy": 0.96, "confidence": 0.89, "inference_time": 0.234}
    for number in range(12):
        variant = "treatment" if _version(manager, number) == "owls:v2" else "control"
        for _ in range(2):
            manager.record_result("recorded", f"q{number}", variant, metrics)
    with world.native() as opened:
        arms = opened.experiments.analyze("recorded").arms
    assert sum(arm.units for arm in arms) == 12
    assert sum(arm.metrics["accuracy"].n for arm in arms) == 12
    assert {arm.metrics["inference_time"].mean for arm in arms} == {0.234}


def _version(manager: Any, number: int) -> str:
    found: str = manager.get_model_for_request(f"q{number}", "recorded")
    return found


def test_a_result_of_another_variant_is_kept_apart(
    world: World, owls: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.experiment("apart", owls)
    manager = get_ab_test_manager()
    given = manager.get_model_for_request("user_123_request_456", "apart")
    other = "control" if given == "owls:v2" else "treatment"
    with caplog.at_level(logging.WARNING, "palio.nightscan"):
        assert manager.record_result(
            experiment_id="apart",
            request_id="user_123_request_456",
            variant=other,
            metrics={"accuracy": 0.96},
        )
    assert "decides nothing" in caplog.text
    with world.native() as opened:
        arms = {arm.variant: arm for arm in opened.experiments.analyze("apart").arms}
    assert arms[other].reported["accuracy"].n == 1
    assert [arm.metrics["accuracy"].n for arm in arms.values()] == [0, 0]
    with pytest.raises(InvalidInput, match="no variant 'third'"):
        manager.record_result("apart", "r", "third", {"accuracy": 1})


@documents("nightscan:analyze", "nightscan:comparisons", "nightscan:experiment-issues")
@pytest.mark.parametrize(("gain", "winner"), [(0.1, "treatment"), (-0.1, "control")])
@pytest.mark.usefixtures("by_hand")
def test_an_analysis_names_the_winner(world: World, owls: str, gain: float, winner: str) -> None:
    key = world.experiment(f"won_by_{winner}", owls, minimum_sample_size=50)
    with world.native() as opened:
        results(key, 600, gain=gain, native=opened)
        report = opened.experiments.analyze(key)
    analysis = get_ab_test_manager().analyze_experiment(key)
    assert analysis is not None
    assert analysis["experiment_metadata"]["status"] == "running"
    assert 0 <= analysis["duration_hours"] < 1
    rows = analysis["comparisons"]["control_vs_treatment"]["metric_comparisons"]
    accuracy, latency = rows["accuracy"], rows["inference_time"]
    assert accuracy["winner"] == winner
    assert accuracy["improvement_percent"] == pytest.approx(100 * gain / 0.8, abs=0.1)
    goal = report.goal("treatment")
    assert accuracy["confidence"] == 1 - goal.p_value > 0.95
    assert accuracy["confidence_interval"] == [goal.lower, goal.upper]
    # less time is better: 0.01 of 0.2 s in favour of whom the gain is in favour of
    assert latency["improvement_percent"] == pytest.approx(50 * gain, abs=0.1)
    assert rows["confidence"]["winner"] == "inconclusive"
    assert analysis["total_samples"] == 600
    mean = analysis["variant_statistics"]["control"]["metrics"]["accuracy"]["mean"]
    assert mean == {arm.variant: arm for arm in report.arms}["control"].metrics["accuracy"].mean
    assert get_ab_test_manager().analyze_experiment("unknown") is None


@documents("nightscan:auto-stop")
def test_an_experiment_ends_by_itself_once_it_is_significant(world: World, owls: str) -> None:
    key = world.experiment("ends", owls, minimum_sample_size=50)
    slow = world.experiment("goes_on", owls, minimum_sample_size=5_000)
    with world.native() as opened:
        for one in (key, slow):
            results(one, 600, gain=0.1, native=opened)
        ended = eventually(lambda: opened.experiments.get(key), State.COMPLETED)
        assert ended.reason.startswith("ship: treatment is better than control on accuracy")
        assert opened.experiments.get(slow).state is State.RUNNING
        assert opened.models.aliases(owls) == {}  # production is moved by whoever deploys
        actions = [one.action for one in opened.audit.list(limit=1_000) if one.subject == key]
    told = [f"experiment.{verb}" for verb in ("draft", "start", "complete")]
    assert actions == ["endpoint.create", *told]


def eventually(look: Any, state: State) -> Any:
    """Look until an experiment is in a state, or patience ends."""
    until = time.monotonic() + servers.PATIENCE_S
    while (found := look()).state is not state:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


@documents("nightscan:bandit")
@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("thompson_sampling", PolicyKind.THOMPSON),
        ("epsilon_greedy", PolicyKind.EPSILON_GREEDY),
    ],
)
def test_a_bandit_moves_the_traffic(
    world: World, owls: str, algorithm: str, kind: PolicyKind
) -> None:
    bandit = {
        "algorithm": algorithm,
        "exploration_rate": 0.2,
        "reward_metric": "user_satisfaction",
        "update_frequency": 0.2,
    }
    key = world.experiment(f"bandit_{algorithm}", owls, bandit_config=bandit)
    manager = get_ab_test_manager()
    with world.native() as opened:
        design = opened.experiments.get(key).design
        assert (design.type, design.policy.kind) == (Type.BANDIT, kind)
        assert design.metrics.goal_metric.name == "user_satisfaction"
        assert design.policy.refresh_s == 0.2
        assert (design.policy.min_weight, design.policy.epsilon) == (0.1, 0.2)
        for number in range(60):
            version = manager.get_model_for_request(f"b{number}", key)
            variant = "treatment" if version == f"{owls}:v2" else "control"
            satisfied = {"user_satisfaction": 0.9 if variant == "treatment" else 0.2}
            manager.record_result(key, f"b{number}", variant, satisfied)
        time.sleep(0.2)  # the frequency itself
        weights = opened.experiments.refresh(key).weights
    assert weights["treatment"] > 0.6  # it began with 0.3
    assert weights["control"] >= 0.1


def test_an_experiment_that_was_made_natively(world: World) -> None:
    with world.native() as opened:
        for version, strength in (("v1", 1.0), ("v2", 0.001)):
            made = servers.model(strength)
            opened.register("native_exp", made, version=version, sample=servers.SAMPLE)
        opened.versions.promote("native_exp:v1")
        opened.endpoints.create("native_exp", "native_exp")
        design = servers.design(
            "by_users", endpoint="native_exp", metrics=Metrics("revenue:higher", ("brier",))
        )
        opened.experiments.draft(design)
        opened.experiments.start("by_users")
        manager = get_ab_test_manager()
        found = manager.get_model_for_request("ann", "by_users")
        assigner = opened.experiments.get("by_users").assigner()
        variant = assigner.assign("ann") or ""
        assert found == f"native_exp:{assigner.versions[variant]}"
        manager.record_result("by_users", "ann", variant, {"revenue": 3.5})
        heard = get_deployment_manager().run_inference([0.1, 0.2, 0.3], "r1", "by_users")
        answer = asyncio.run(heard)
        assert answer["variant"] == assigner.assign("r1")
        arms = {arm.variant: arm for arm in opened.experiments.analyze("by_users").arms}
    analysis = manager.analyze_experiment("by_users") or {}
    told = analysis["variant_statistics"]
    assert {name: one["sample_size"] for name, one in told.items()} == {
        name: arm.units for name, arm in arms.items()
    }
    assert told[variant]["metrics"]["revenue"] == {"mean": 3.5, "std": 0.0, "count": 1}
    assert set(analysis["comparisons"]) == {"control_vs_challenger"}
