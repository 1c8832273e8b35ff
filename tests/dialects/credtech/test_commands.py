"""The documented commands on models and experiments, and what Palio itself says afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio import ExperimentDraft, Metrics, Variant
from palio.experiments.domain import State

from .conftest import MODELS, Cli, Town

Told = Callable[..., Any]


@documents("credtech:list-models", "credtech:list-models-json", "credtech:model-id",
           "credtech:track-versions")  # fmt: skip
def test_all_models_are_listed(stocked: Town, cli: Cli, told: Told) -> None:
    code, out, err = cli("list-models")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows[1:]] == list(MODELS)
    found = told("list-models")
    with stocked.native() as opened:
        versions = opened.versions.list("credtech")
    assert [one["model_id"] for one in found] == [one.version for one in versions]
    assert [one["metrics"] for one in found] == [dict(one.metrics) for one in versions]
    assert len({one["model_id"] for one in found}) == len(found)


@documents("credtech:get-model", "credtech:get-model-json")
def test_a_model_is_told(stocked: Town, cli: Cli, told: Told) -> None:
    for name, strength in MODELS.items():
        found = told("get-model", name)
        assert found["model_id"] == name
        assert found["description"] == f"strength {strength}"
        assert found["metrics"] == {"roc_auc": strength}
        assert found["features"] == ["x0", "x1", "x2"]
        code, out, _ = cli("get-model", name)
        assert code == 0
        assert re.search(rf"^model_id +{re.escape(name)}\s*$", out, re.MULTILINE)
    with stocked.native() as opened:
        version = opened.versions.get("credtech:model_v2")
    assert told("get-model", "model_v2")["created_at"] == version.created_at.isoformat()


@documents("credtech:promote", "credtech:production-model")
def test_a_model_is_promoted(stocked: Town, cli: Cli, told: Told) -> None:
    try:
        for name in ("model_v2", "v3.0.0"):
            code, out, err = cli("promote", name)
            assert (code, out, err) == (0, f"{name} is the production model\n", "")
            with stocked.native() as opened:
                assert opened.models.aliases("credtech")["champion"] == name
                assert opened.audit.list(action="version.promote")[-1].actor == "alice"
            marked = [one["model_id"] for one in told("list-models") if one["is_production"]]
            assert marked == [name]
            assert stocked.read("registry.json")["production_model_id"] == name
        assert cli("promote", "v3.0.0")[0] == 0  # again, and nothing happens
    finally:
        cli("promote", "model_v1")


@documents("credtech:model-status")
def test_a_model_is_active_until_it_is_archived(stocked: Town, told: Told) -> None:
    with stocked.native() as opened:
        opened.register("credtech", servers.model(3.0), version="old", sample=servers.SAMPLE)
        assert told("get-model", "old")["status"] == "active"
        opened.versions.move("credtech:old", "failed")  # a stage without a way to production
    found = {one["model_id"]: one["status"] for one in told("list-models")}
    assert found == dict.fromkeys(MODELS, "active") | {"old": "archived"}
    assert stocked.read("models/old/metadata.json")["status"] == "archived"
    assert stocked.read("registry.json")["models"]["old"]["status"] == "archived"
    with stocked.native() as opened:
        opened.versions.delete("credtech:old")
    assert [one["model_id"] for one in told("list-models")] == list(MODELS)
    assert not (stocked.registry / "models" / "old").exists()


@documents("credtech:get-model", "credtech:get-experiment", "credtech:model-not-found")
def test_models_and_experiments_of_another_line_are_read_only(
    stocked: Town, told: Told, cli: Cli
) -> None:
    with stocked.native() as opened:
        for name, strength in (("a", 1.0), ("b", 0.1)):
            opened.register("fraud", servers.model(strength), version=name, sample=servers.SAMPLE)
        opened.endpoints.create("fraud", "fraud")
        variants = (Variant("a", "a", 0.5), Variant("b", "credtech:model_v2", 0.5))
        metrics = Metrics(goal="brier")
        opened.experiments.draft(
            ExperimentDraft(key="frauds", endpoint="fraud", variants=variants, metrics=metrics)
        )
    assert told("get-model", "fraud:a")["model_id"] == "fraud:a"
    found = told("get-experiment", "frauds")
    assert [one["model_id"] for one in found["models"]] == ["fraud:a", "model_v2"]
    assert (found["status"], found["results"]) == ("draft", None)
    assert cli("promote", "fraud:a")[0] == 3
    with stocked.native() as opened:
        assert dict(opened.models.aliases("fraud")) == {}
    assert "fraud:a" not in {one["model_id"] for one in told("list-models")}
    assert "frauds" not in {one["experiment_id"] for one in told("list-experiments")}


@documents("credtech:create-experiment", "credtech:create-experiment-name",
           "credtech:create-experiment-description", "credtech:create-experiment-model-ids",
           "credtech:create-experiment-traffic-split", "credtech:stop-experiment")  # fmt: skip
def test_the_documented_experiment_runs_and_stops(stocked: Town, told: Told, cli: Cli) -> None:
    made = told(
        "create-experiment", "New Features Test",
        "--description", "Testing impact of new features",
        "--model-ids", "model_v1,model_v2",
        "--traffic-split", "80,20",
    )  # fmt: skip
    key = made["experiment_id"]
    with stocked.native() as opened:
        found = opened.experiments.get(key)
        assert (found.state, found.design.unit) == (State.RUNNING, "request")
        assert found.design.title == "New Features Test"
        assert found.design.description == "Testing impact of new features"
        assert {one.version: one.weight for one in found.design.variants} == {
            "model_v1": 0.8,
            "model_v2": 0.2,
        }
    code, out, err = cli("stop-experiment", key)
    assert (code, out, err) == (0, f"the experiment {key} is stopped\n", "")
    with stocked.native() as opened:
        assert opened.experiments.get(key).state is State.STOPPED
    code, _, err = cli("stop-experiment", key)
    assert (code, key in err) == (4, True)  # it has ended already


@documents("credtech:create-experiment-traffic-split")
@pytest.mark.parametrize(
    ("given", "shares"),
    [
        (("model_v2, model_v1", "--traffic-split", "33.3,66.7"), [0.333, 0.667]),
        (("model_v1,model_v2",), [0.5, 0.5]),  # equal when not given
    ],
)
def test_traffic_is_split_as_given(
    stocked: Town, told: Told, given: Sequence[str], shares: list[float]
) -> None:
    made = told("create-experiment", "Größe: 2 €!", "--model-ids", *given)
    with stocked.native() as opened:
        found = opened.experiments.get(made["experiment_id"])
        opened.experiments.stop(found.key, "seen")
    assert [one.weight for one in found.design.variants] == pytest.approx(shares)
    assert made["name"] == "Größe: 2 €!"
    shown = [one["traffic_percentage"] / 100 for one in made["models"]]
    assert shown == pytest.approx(shares)


@documents("credtech:list-experiments", "credtech:list-experiments-json",
           "credtech:get-experiment", "credtech:get-experiment-json")  # fmt: skip
def test_experiments_are_told_whoever_made_them(
    stocked: Town, told: Told, cli: Cli, experiment: str
) -> None:
    listed = {one["experiment_id"]: one for one in told("list-experiments")}
    with stocked.native() as opened:
        assert set(listed) == {one.key for one in opened.experiments.list("credtech")}
    assert listed[experiment]["models"] == [
        {"model_id": "model_v1", "traffic_percentage": 50.0},
        {"model_id": "model_v2", "traffic_percentage": 30.0},
        {"model_id": "v3.0.0", "traffic_percentage": 20.0},
    ]
    assert listed[experiment]["status"] == "running"
    code, out, _ = cli("list-experiments")
    assert code == 0
    assert re.search(rf"^{experiment} +Drei Modelle +running ", out, re.MULTILINE)
    assert "model_v1 50 %, model_v2 30 %, v3.0.0 20 %" in out
    found = told("get-experiment", experiment)
    assert found["results"]["decision"] == "keep_running"
    assert found["name"] == "Drei Modelle"
    code, out, _ = cli("get-experiment", experiment)
    assert code == 0
    head, *rows = out.partition("\nmodel id ")[2].splitlines()
    assert head.split() == ["traffic", "percentage", "requests", "errors", "labelled", "brier",
                            "accuracy", "latency", "ms", "error"]  # fmt: skip
    assert rows[0].split() == ["model_v1", "50", "0", "0", "0"]  # of nothing there is no mean
    assert re.search(r"^brier +v3.0.0 +model_v1 .*too_early", out, re.MULTILINE)
    assert {one["mean"] for one in found["results"]["models"][0]["metrics"].values()} == {None}


@documents("credtech:model-not-found")
@pytest.mark.parametrize("name", ["nope", "other:v1", "../model_v1"])
@pytest.mark.parametrize("command", ["get-model", "promote"])
def test_a_model_that_is_not_there(stocked: Town, cli: Cli, command: str, name: str) -> None:
    code, out, err = cli(command, name)
    assert (code, out) == (3, "")
    assert err.startswith("error: Model Not Found: ")
    assert "Ensure the model ID is correct and the model exists in the registry" in err
    assert stocked.log.read_text(encoding="utf-8").count("Model Not Found") > 0


@documents("credtech:model-not-found")
@pytest.mark.usefixtures("stocked")
def test_messages_say_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is no model ID; palio credtech list-models shows them" in cli("get-model", "../x")[2]
    monkeypatch.setenv("PALIO_CREDTECH_DECISIONS", "approved")
    code, _, err = cli("list-models")
    assert (code, "setting PALIO_CREDTECH_DECISIONS: Invalid JSON" in err) == (2, True)
    monkeypatch.setenv("PALIO_CREDTECH_DECISIONS", '{"1": "refused"}')
    monkeypatch.setenv("PALIO_CREDTECH_MODEL", "empty")
    code, _, err = cli("get-model", "v1")
    assert (code, "'empty' has no models yet; palio credtech train" in err) == (3, True)


@documents("credtech:experiment-creation-failed")
@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("model_v1,model_v2", "80,30"), "80, 30 sum to 110"),
        (("model_v1,model_v9", "80,20"), "no version 'model_v9'"),
        (("model_v1,model_v2", "80,twenty"), "'twenty' is no number"),
    ],
)
def test_an_experiment_that_cannot_be_created(
    stocked: Town, cli: Cli, given: tuple[str, str], why: str
) -> None:
    with stocked.native() as opened:
        before = len(opened.experiments.list())
    ids, split = given
    asked = ("--model-ids", ids, "--traffic-split", split)
    code, out, err = cli("create-experiment", "Broken", *asked)
    assert (code in {2, 3}, out) == (True, "")
    assert err.startswith("error: Experiment Creation Failed: ")
    assert why in err
    assert "Check that model IDs exist and traffic percentages sum to 100" in err
    with stocked.native() as opened:
        assert len(opened.experiments.list()) == before
    assert why in stocked.log.read_text(encoding="utf-8")


@documents("credtech:experiment-creation-failed")
def test_one_experiment_runs_at_a_time(
    stocked: Town, cli: Cli, told: Told, experiment: str
) -> None:
    before = told("list-experiments")
    code, _, err = cli("create-experiment", "Second", "--model-ids", "model_v1,model_v2")
    assert code == 4
    assert f"Experiment Creation Failed: {experiment} is running on credtech" in err
    with stocked.native() as opened:
        running = [one.key for one in opened.experiments.list() if one.state is State.RUNNING]
        assert running == [experiment]
    assert told("list-experiments") == before  # of what failed nothing is left behind
    folders = {one.name for one in (stocked.registry / "experiments").iterdir()}
    assert folders == {one["experiment_id"] for one in before}


@documents("credtech:get-experiment", "credtech:stop-experiment")
@pytest.mark.usefixtures("stocked")
def test_an_experiment_that_is_not_there(cli: Cli) -> None:
    for command in ("get-experiment", "stop-experiment"):
        code, out, err = cli(command, "nope")
        assert (code, out) == (3, "")
        assert "Experiment Not Found" in err


@documents("credtech:stop-experiment")
def test_experiments_made_natively_are_stopped_too(stocked: Town, told: Told) -> None:
    with stocked.native() as opened:
        opened.experiments.draft(
            ExperimentDraft(
                key="native",
                endpoint="credtech",
                variants=(Variant("a", "model_v1", 0.5), Variant("b", "model_v2", 0.5)),
                metrics=Metrics(goal="revenue:higher"),
            )
        )
        opened.experiments.start("native")
    assert told("get-experiment", "native")["name"] == "native"
    ended = told("stop-experiment", "native")
    assert (ended["status"], ended["reason"]) == ("stopped", "credtech stop-experiment")
