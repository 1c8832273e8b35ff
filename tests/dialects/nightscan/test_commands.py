"""Every documented command, in process; the example runs them in processes of their own."""

from __future__ import annotations

import json

import pytest
from tests.dialects.documented import documents

from palio.dialects.nightscan import get_ab_test_manager, get_model_registry
from palio.experiments.domain import State

from .conftest import World, configured


@documents(
    "nightscan:cli-registry-list",
    "nightscan:cli-registry-filter",
    "nightscan:cli-registry-compare",
    "nightscan:loading-failures",
)
def test_models_are_listed_and_compared(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.model("listed", "v2.0.0", "v2.1.0")
    get_model_registry().update_status("listed", "v2.0.0", "deployed")
    code, told = world.run(capsys, "registry list")
    assert code == 0
    assert "listed:v2.0.0" in told
    code, told = world.run(capsys, "registry list --model-id listed --status deployed")
    assert (code, "v2.0.0" in told, "v2.1.0" in told) == (0, True, False)
    code, told = world.run(capsys, "registry list --model-id listed --json")
    assert [one["status"] for one in json.loads(told)] == ["deployed", "training"]
    code, told = world.run(capsys, "registry compare listed:v2.0.0 listed:v2.1.0")
    assert code == 0
    assert told.splitlines()[0].split() == [
        "METRIC",
        "listed:v2.0.0",
        "listed:v2.1.0",
        "IMPROVEMENT",
    ]
    assert "accuracy" in told
    code, told = world.run(capsys, "registry list --model-id your_model_id")
    assert (code, "your_model_id" in told) == (3, True)
    code, told = world.run(capsys, "registry compare listed listed:v1")
    assert (code, "is no model_id:version" in told) == (2, True)
    assert world.run(capsys, "registry list --status good")[0] == 2


@documents(
    "nightscan:cli-experiment-list",
    "nightscan:cli-experiment-status",
    "nightscan:cli-experiment-start",
    "nightscan:cli-experiment-stop",
    "nightscan:cli-experiment-analyze",
)
def test_an_experiment_is_started_looked_at_and_stopped(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    model = world.model("commanded", "v1", "v2")
    get_ab_test_manager().create_experiment(configured("by_command", model))
    code, told = world.run(capsys, "experiment list")
    assert (code, "by_command" in told, "control 70%, treatment 30%" in told) == (0, True, True)
    assert world.run(capsys, "experiment start by_command") == (0, "by_command is running\n")
    code, told = world.run(capsys, "experiment start by_command")
    assert (code, "only a draft can be started" in told) == (4, True)
    code, told = world.run(capsys, "experiment status by_command --json")
    assert (code, json.loads(told)["status"]) == (0, "running")
    code, told = world.run(capsys, "experiment analyze by_command")
    assert "control_vs_treatment accuracy: inconclusive" in told
    code, told = world.run(capsys, "experiment analyze by_command --json")
    assert set(json.loads(told)["comparisons"]) == {"control_vs_treatment"}
    line = 'experiment stop by_command --reason "Sufficient data collected"'
    assert world.run(capsys, line)[0] == 0
    with world.native() as opened:
        found = opened.experiments.get("by_command")
    assert (found.state, found.reason) == (State.STOPPED, "Sufficient data collected")
    for verb in ("status", "analyze", "start", "stop"):
        code, told = world.run(capsys, f"experiment {verb} your_experiment_id")
        assert (code, "your_experiment_id" in told) == (3, True)


@documents(
    "nightscan:cli-deploy",
    "nightscan:cli-list",
    "nightscan:cli-status",
    "nightscan:cli-health",
    "nightscan:cli-undeploy",
    "nightscan:deployment-problems",
    "nightscan:audit",
)
def test_a_model_is_deployed_looked_at_and_taken_back(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    model = world.model("shipped", "v2.1.0")
    name = "shipped_v2_1_prod"
    line = f"deploy {model} v2.1.0 --deployment-id {name} --environment production"
    code, told = world.run(capsys, line)
    assert (code, told.startswith(f"{name}: shipped:v2.1.0 is ")) == (0, True)
    assert world.run(capsys, line)[0] == 4
    code, told = world.run(capsys, "list")
    assert (code, name in told, "MB" in told) == (0, True, True)
    code, told = world.run(capsys, f"status {name} --json")
    assert (code, json.loads(told)["model_version"]) == (0, "shipped:v2.1.0")
    code, told = world.run(capsys, f"health {name}")
    assert (code, "is healthy" in told) == (0, True)
    assert world.run(capsys, f"undeploy {name} --reason moved") == (0, f"{name} is undeployed\n")
    assert world.run(capsys, f"undeploy {name}")[0] == 4
    for verb in ("status", "health", "undeploy"):
        code, told = world.run(capsys, f"{verb} your_deployment_id")
        assert (code, "your_deployment_id" in told) == (3, True)
    with world.native() as opened:
        entries = [one.action for one in opened.audit.list(limit=1_000) if one.subject == name]
        registered = {one.action for one in opened.audit.list(model=model, limit=1_000)}
        assert opened.audit.verify().broken is None
    assert (entries[0], entries[-1]) == ("deployment.deploy", "deployment.undeploy")
    assert {"model.create", "version.register"} <= registered


def test_a_model_that_does_not_answer_is_not_healthy(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := world.folder / "unwell.bin").write_bytes(b"no model, only kept")
    with world.native() as opened:
        opened.register("unwell", file, version="v1")
    assert world.run(capsys, "deploy unwell v1 --deployment-id unwell_1")[0] == 0
    code, told = world.run(capsys, "health unwell_1")
    assert (code, "unwell_1 is unhealthy" in told, "answer no requests" in told) == (1, True, True)


def test_help_shows_an_example(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = world.run(capsys, "deploy --help")
    assert (code, "palio nightscan deploy wildlife_detector v2" in told) == (0, True)


def test_a_setting_that_cannot_be_used_is_named_as_it_is_set(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSCAN_SAMPLE_RATE", "fast")
    code, told = world.run(capsys, "registry list")
    assert (code, "setting NIGHTSCAN_SAMPLE_RATE: Input should be a valid integer" in told) == (
        2,
        True,
    )
