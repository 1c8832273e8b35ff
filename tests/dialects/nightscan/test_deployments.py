"""Deployments in Python: what is configured, answered, measured, and taken back by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.artifacts.flavors.torch.devices import gpus_seen
from palio.delivery.deployments.domain import State
from palio.dialects.nightscan import (
    DeploymentConfig,
    get_ab_test_manager,
    get_deployment_manager,
    get_model_registry,
)
from palio.errors import InvalidInput, NotFound, PredictionFailed

from .conftest import LABELS, SAMPLES, World

SOUND = np.random.default_rng(2).normal(size=SAMPLES)


def deployed(model_id: str, version: str = "v1", **fields: Any) -> str:
    """Deploy a version under a name made of both, and return the name."""
    name = f"{model_id}_{version}_prod"
    manager = get_deployment_manager()
    assert manager.deploy_model(DeploymentConfig(model_id, version, name, **fields))
    eventually(lambda: manager.get_deployment_status(name)["status"] in {"live", "canary"})
    return name


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, or patience ends."""
    until = time.monotonic() + servers.PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def asked(sound: Any = SOUND, **fields: Any) -> dict[str, Any]:
    """Run an inference to its end."""
    return asyncio.run(get_deployment_manager().run_inference(audio_data=sound, **fields))


@documents(
    "nightscan:deployment-manager",
    "nightscan:deployment-config",
    "nightscan:resources",
    "nightscan:scaling",
    "nightscan:health-config",
    "nightscan:deploy",
    "nightscan:gpu",
    "nightscan:caching",
)
@pytest.mark.parametrize(("environment", "gpu"), [("production", 0), ("staging", 1)])
def test_a_deployment_as_it_is_configured(
    world: World, caplog: pytest.LogCaptureFixture, environment: str, gpu: int
) -> None:
    model = world.model(f"placed_{environment}", "v2.1.0")
    with caplog.at_level(logging.WARNING, "palio.nightscan"):
        name = deployed(
            model,
            "v2.1.0",
            environment=environment,
            resources={"cpu": 2, "memory": "4Gi", "gpu": gpu},
            scaling={"min_replicas": 2, "max_replicas": 10, "target_cpu_utilization": 70},
            health_check={"interval": 30, "timeout": 10, "failure_threshold": 3},
            traffic_percentage=100.0,
            rollback_on_error=True,
            canary_deployment=False,
        )
    with world.native() as opened:
        found = opened.deployments.get(name)
        endpoint = opened.endpoints.get(found.endpoint)
    assert found.endpoint == (model if environment == "production" else f"{model}-staging")
    assert endpoint.weights == {"v2.1.0": 1.0}
    assert "v2.1.0" in endpoint.held  # it stays in memory
    assert (found.resources.cpu, found.resources.memory_bytes) == (2, 4 * 2**30)
    assert (found.scaling.min_replicas, found.scaling.max_replicas) == (2, 10)
    assert found.scaling.target_cpu == 0.7
    check = found.health_check
    assert (check.interval_s, check.timeout_s, check.failure_threshold) == (30, 10, 3)
    assert "not honoured: scaling.max_replicas = 10" in caplog.text
    unused = bool(gpu) and not gpus_seen()
    assert ("not honoured: resources.gpu = 1: the process " in caplog.text) is unused
    status = get_model_registry().list_models(model)[0].status
    assert status == ("deployed" if environment == "production" else "training")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"resources": {"memory": "lots"}}, "resources.memory is 'lots'"),
        ({"resources": {"memory": "1Ki"}}, "the files"),
        ({"resources": {"disk": 1}}, "resources has no disk"),
        ({"traffic_percentage": 0}, "traffic_percentage: "),
        ({"traffic_percentage": 5.0}, "nothing else answers"),
        ({"traffic_percentage": "a few"}, "traffic_percentage: "),
        ({"canary_success_threshold": 95}, "canary_success_threshold: "),
        ({"scaling": {"target_cpu_utilization": "most"}}, "scaling.target_cpu_utilization: "),
        ({"health_check": {"interval": 0}}, "health_check.interval_s"),
        ({"version": "v9"}, "v9"),
    ],
)
def test_what_cannot_be_deployed_is_false_and_logged(
    world: World, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], why: str
) -> None:
    with world.native() as opened:
        known = {one.name for one in opened.models.list()}
    model = "undeployable" if "undeployable" in known else world.model("undeployable", "v1")
    given = {"model_id": model, "version": "v1", "deployment_id": "bad"} | fields
    assert get_deployment_manager().deploy_model(DeploymentConfig(**given)) is False
    assert why in caplog.text
    with world.native() as opened:
        assert all(one.name != "bad" for one in opened.deployments.list(ended=True))


def test_an_answer_may_take_as_long_as_between_two_checks(world: World) -> None:
    name = deployed(world.model("often", "v1"), health_check={"interval": 10})
    with world.native() as opened:
        assert opened.deployments.get(name).health_check.timeout_s == 10


@documents(
    "nightscan:inference",
    "nightscan:inference-result",
    "nightscan:automatic-results",
    "nightscan:request-ids",
)
def test_inference_answers_and_records(world: World) -> None:
    model = world.model("heard", "v1", "v2")
    deployment = deployed(model)
    alone = asked(request_id="alone", deployment_id=deployment)
    assert (alone["model_version"], alone["variant"]) == (f"{model}:v1", None)
    key = world.experiment("heard_test", model)
    found = {n: asked(request_id=f"inf_{n}", experiment_id=key) for n in range(12)}
    for number, result in found.items():
        assert result["request_id"] == f"inf_{number}"
        assert result["predictions"]["predicted_class"] in LABELS
        shares = result["predictions"]["class_probabilities"]
        assert result["predictions"]["confidence"] == max(shares.values())
        assert result["inference_time"] > 0
    with world.native() as opened:
        assigner = opened.experiments.get(key).assigner()
        for number, result in found.items():
            assert result["variant"] == assigner.assign(f"inf_{number}")
        arms = opened.experiments.analyze(key).arms
        assert sum(arm.requests for arm in arms) == 12
        assert sum(arm.metrics["confidence"].n for arm in arms) == 12
        assert sum(arm.metrics["inference_time"].n for arm in arms) == 12
        direct = opened.load(f"{model}:v1").predict([[SOUND.tolist()]])  # witness: asked directly
    assert (direct.probabilities or [])[0] == list(
        alone["predictions"]["class_probabilities"].values()
    )
    log = (world.folder / "logs" / "ab_test.log").read_text()
    assert f"request_id=inf_3 experiment_id={key}" in log
    get_ab_test_manager().stop_experiment(key, "enough")
    after = asked(request_id="after", experiment_id=key, deployment_id=deployment)
    assert (after["variant"], after["model_version"]) == (None, f"{model}:v1")


def test_sound_of_another_length_is_cut_or_filled_up(world: World) -> None:
    name = deployed(world.model("lengths", "v1"))
    for length in (10, 64, 200):
        sound = np.linspace(-1, 1, length)
        fitted = np.pad(sound, (0, max(0, SAMPLES - length)))[:SAMPLES]
        with world.native() as opened:
            direct = opened.load("lengths:v1").predict([[fitted.tolist()]])
        predicted = asked(sound, deployment_id=name)["predictions"]["predicted_class"]
        assert [predicted] == list(direct.values)


@pytest.mark.parametrize("sound", [[], [float("nan")], ["a"], "hoot"])
@pytest.mark.usefixtures("world")
def test_what_is_no_sound_is_refused(sound: Any) -> None:
    with pytest.raises(InvalidInput, match="audio_data"):
        asked(sound)


@pytest.mark.usefixtures("world")
def test_unknown_experiments_and_deployments_are_named() -> None:
    with pytest.raises(NotFound, match="no experiment has the key 'nope'"):
        asked(experiment_id="nope")
    with pytest.raises(NotFound, match="nope"):
        asked(deployment_id="nope")
    with pytest.raises(NotFound):
        get_deployment_manager().rollback_deployment("nope")


@documents("nightscan:performance", "nightscan:inference-figures", "nightscan:resource-monitoring")
def test_performance_is_measured(world: World) -> None:
    name = deployed(world.model("measured", "v1", last="broken"))
    for number in range(8):
        sound = SOUND.copy()
        sound[0] = -5 if number < 2 else 1  # a quarter fails
        with pytest.raises(PredictionFailed) if number < 2 else nullcontext():
            asked(sound, deployment_id=name)
    tracker = get_deployment_manager().performance_tracker
    metrics = tracker.get_current_metrics(name)
    assert metrics is not None
    assert metrics.requests_per_second == pytest.approx(8 / 60)
    assert metrics.error_rate == pytest.approx(25)
    assert metrics.average_latency_ms > 0
    assert metrics.p95_latency_ms <= metrics.p99_latency_ms
    assert metrics.memory_usage_mb > 10
    assert metrics.cpu_usage_percent >= 0
    assert tracker.get_current_metrics("unknown") is None
    with world.native() as opened:
        seen = opened.deployments.metrics(name).traffic
    assert (seen.requests, seen.errors) == (8, 2)


@documents("nightscan:traffic-percentage", "nightscan:rollback", "nightscan:unload")
def test_a_share_of_the_traffic_and_back(world: World) -> None:
    model = world.model("shared", "v1", "v2")
    first = deployed(model)
    second = deployed(model, "v2", traffic_percentage=25.0)
    manager = get_deployment_manager()
    with world.native() as opened:
        assert opened.endpoints.get(model).weights == {"v1": 0.75, "v2": 0.25}
        assert manager.get_deployment_status(second)["current_traffic_percentage"] == 25
        assert manager.rollback_deployment(second, "complaints")
        assert opened.endpoints.get(model).weights == {"v1": 1.0}
        assert opened.deployments.get(second).state is State.ROLLED_BACK
        assert manager.undeploy_model(first)
        assert opened.endpoints.get(model).held == ()  # nothing keeps it in memory
        entries = [one for one in opened.audit.list(limit=1_000) if one.subject == second]
    assert (entries[-1].action, entries[-1].reason) == ("deployment.rollback", "complaints")
    assert all(one["deployment_id"] != second for one in manager.list_deployments())


@documents("nightscan:canary")
@pytest.mark.parametrize(("percentage", "threshold"), [(5.0, 0.95), (20.0, 0.9)])
def test_a_canary_begins_with_little_and_goes_on(
    world: World, percentage: float, threshold: float
) -> None:
    model = world.model(f"canary{percentage:g}", "v1", "v2")
    deployed(model)
    name = deployed(
        model,
        "v2",
        canary_deployment=True,
        traffic_percentage=percentage,
        canary_success_threshold=threshold,
        canary_duration_hours=1 / 3_600,
        canary_minimum_requests=2,
    )
    with world.native() as opened:
        found = opened.deployments.get(name)
        assert found.canary is not None
        assert found.canary.start_share == percentage / 100
        assert found.canary.success_threshold == threshold
        assert found.traffic_share == 1
        assert opened.endpoints.get(model).weights == pytest.approx(
            {"v1": 1 - percentage / 100, "v2": percentage / 100}
        )
        sound = {"audio_data": SOUND.tolist()}
        for number in range(120):  # a share of 5 % is missed twice by chance once in 60 runs
            given = sound | {"request_id": f"c{number}"}  # the same ones every time
            assert world.send(f"/predict?deployment_id={name}", json=given).status_code == 200
        eventually(lambda: opened.deployments.get(name).state is State.LIVE)
        assert opened.endpoints.get(model).weights["v2"] == 1  # type: ignore[index]


@documents("nightscan:auto-rollback", "nightscan:rollback-on-error")
def test_a_canary_that_fails_is_rolled_back_by_itself(world: World) -> None:
    model = world.model("fails", "v1", "v2", last="broken")
    deployed(model)
    name = deployed(model, "v2", canary_deployment=True, traffic_percentage=50.0)
    bad = SOUND.copy()
    bad[0] = -5
    statuses = [
        world.send(f"/predict?deployment_id={name}", json={"audio_data": bad.tolist()}).status_code
        for _ in range(40)
    ]
    assert set(statuses) == {200, 500}
    with world.native() as opened:
        eventually(lambda: opened.deployments.get(name).state is State.ROLLED_BACK)
        assert opened.endpoints.get(model).weights == {"v1": 1.0}
        entry = [one for one in opened.audit.list(limit=1_000) if one.subject == name][-1]
        assert (entry.actor, entry.action) == ("controller", "deployment.rollback")
        assert entry.after is not None
        assert entry.after["evidence"]["harm"]["bad"] > 0
        eventually(lambda: any(one.alert.subject == name for one in opened.alerts.list()))


def test_one_that_must_not_be_rolled_back_is_only_told(world: World) -> None:
    model = world.model("stays", "v1", "v2", last="broken")
    deployed(model)
    name = deployed(model, "v2", traffic_percentage=50.0, rollback_on_error=False)
    bad = [-5.0, *[0.0] * (SAMPLES - 1)]
    for _ in range(40):
        world.send(f"/predict?deployment_id={name}", json={"audio_data": bad})
    manager = get_deployment_manager()
    eventually(lambda: manager.get_deployment_status(name)["verdict"] == "harmed")
    assert manager.get_deployment_status(name)["status"] == "live"
