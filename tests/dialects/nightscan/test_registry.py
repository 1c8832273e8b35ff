"""The registry in Python: versions with metadata, statuses, comparisons, the tree of files."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.dialects.nightscan import ModelStatus, get_model_registry
from palio.errors import IllegalTransition
from palio.registry.lifecycle import Lifecycle

from .conftest import LABELS, SAMPLES, World, described, network

PAGE = Path(__file__).parents[3] / "docs" / "dialects" / "nightscan.md"


@documents(
    "nightscan:registry",
    "nightscan:metadata",
    "nightscan:calculated",
    "nightscan:register",
    "nightscan:model-figures",
)
@pytest.mark.parametrize(("model_id", "samples"), [("wildlife_detector", 22_050), ("frogs", 300)])
def test_a_module_is_registered_with_what_is_known(
    world: World, model_id: str, samples: int
) -> None:
    registry = get_model_registry()
    told = {"epochs": 100, "learning_rate": 0.001, "batch_size": 32, "labels": LABELS}
    if samples != 22_050:  # what the document takes for granted
        told["samples"] = samples
    metadata = described(model_id, "v2.1.0", training_config=told)
    model = network(1, samples=samples)
    assert registry.register_model(model, metadata) is True
    found = registry.get_model(model_id, "v2.1.0")
    assert found == metadata
    with world.native() as opened:
        version = opened.versions.get(f"{model_id}:v2.1.0")
        assert metadata.checksum == version.manifest.digest
        assert metadata.file_size_bytes == sum(one.size_bytes for one in version.manifest.files)
        assert (version.flavor, version.stage) == ("torch", "training")
        assert version.metrics["f1_score"] == 0.925
        assert version.signature is not None
        assert version.signature.classes == tuple(LABELS)
        row = np.random.default_rng(4).normal(size=samples).astype(np.float32)
        answer = opened.load(version.reference).predict([[row.tolist()]])
    torch = pytest.importorskip("torch")
    with torch.inference_mode():  # witness: the module itself, its scores made probabilities
        scores = model.eval()(torch.from_numpy(row).reshape(1, -1)).softmax(dim=1)
    assert answer.probabilities == pytest.approx(scores.double().numpy(), abs=1e-6)
    assert answer.values == [LABELS[int(scores.argmax())]]


def test_a_model_with_inputs_of_another_shape_is_told_by_an_example(world: World) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    spectral = nn.Sequential(
        nn.Conv2d(1, 3, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 4),
    )
    registry = get_model_registry()
    metadata = described("spectral", "v1")
    assert registry.register_model(spectral, metadata, example=torch.zeros(2, 1, 16, 20))
    with world.native() as opened:
        version = opened.versions.get("spectral:v1")
        assert version.signature is not None
        assert version.signature.width == 320
        image = torch.randn(1, 1, 16, 20)
        row = image.flatten().tolist()
        [probabilities] = opened.load("spectral:v1").predict([[row]]).probabilities or []
    with torch.inference_mode():
        assert probabilities == pytest.approx(spectral(image).softmax(1)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"training_config": {"samples": 64, "labels": ["owl"]}}, "names 1"),
        ({"training_config": {"samples": 65, "labels": LABELS}}, "does not answer audio"),
        ({"metrics": {"accuracy": float("nan")}}, "no finite number"),
        ({"version": "v 1"}, "is no name"),
    ],
)
def test_what_cannot_be_registered_is_false_and_logged(
    world: World, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], why: str
) -> None:
    metadata = described("refused", **{"version": "v1", **fields})
    with caplog.at_level(logging.ERROR, "palio.nightscan"):
        assert get_model_registry().register_model(network(1), metadata) is False
    assert why in caplog.text
    assert (metadata.checksum, metadata.file_size_bytes) == ("", 0)
    with world.native() as opened:
        assert opened.versions.list("refused") == []


@documents(
    "nightscan:status-training",
    "nightscan:status-validation",
    "nightscan:status-testing",
    "nightscan:status-deployed",
    "nightscan:status-retired",
    "nightscan:status-failed",
)
def test_a_version_passes_through_the_statuses(world: World) -> None:
    world.model("life", "v1", "v2", "v3")
    registry = get_model_registry()
    for status in ("VALIDATION", "TESTING", "DEPLOYED"):
        moved = registry.update_status("life", "v1", ModelStatus[status], "it is good")
        assert moved.status is ModelStatus[status]
    with pytest.raises(IllegalTransition):
        registry.update_status("life", "v1", "training")
    assert registry.update_status("life", "v1", "retired").status is ModelStatus.RETIRED
    with world.native() as opened:
        assert opened.models.aliases("life") == {}  # nothing is in production then
    registry.update_status("life", "v2", ModelStatus.DEPLOYED)
    registry.update_status("life", "v3", ModelStatus.FAILED)
    found = {one.version: one.status for one in registry.list_models("life")}
    assert found == {
        "v1": ModelStatus.RETIRED,
        "v2": ModelStatus.DEPLOYED,
        "v3": ModelStatus.FAILED,
    }
    assert [one.version for one in registry.list_models("life", ModelStatus.RETIRED)] == ["v1"]
    with world.native() as opened:
        assert opened.models.aliases("life") == {"champion": "v2"}
        assert opened.models.lifecycle("life").name == "nightscan"


@pytest.mark.parametrize("status", list(ModelStatus))
def test_a_version_may_be_registered_in_any_status(world: World, status: ModelStatus) -> None:
    registry = get_model_registry()
    metadata = described(f"is-{status}", "v1", status=status, framework="sklearn")
    assert registry.register_model(servers.model(), metadata, example=servers.SAMPLE)
    assert registry.list_models(f"is-{status}")[0].status is status
    with world.native() as opened:
        assert opened.versions.get(f"is-{status}:v1").stage == status


def test_versions_that_were_made_natively_have_a_status_too(world: World) -> None:
    with world.native() as opened:
        for version in ("v1", "v2", "v3"):
            opened.register("native", servers.model(), version=version, sample=servers.SAMPLE)
        opened.versions.promote("native:v1")
        opened.versions.promote("native:v2")
    registry = get_model_registry()
    found = {one.version: str(one.status) for one in registry.list_models("native")}
    assert found == {"v1": "retired", "v2": "deployed", "v3": "training"}
    assert registry.update_status("native", "v3", "deployed").status is ModelStatus.DEPLOYED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": "good"}, "status: "),
        ({"created_at": "yesterday"}, "created_at: "),
        ({"tags": "production"}, "tags: "),
    ],
)
def test_metadata_of_another_type_register_nothing(
    world: World, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], why: str
) -> None:
    registry = get_model_registry()
    assert not registry.register_model(network(1), described("untyped", "v1", **fields))
    assert f"untyped:v1 is not registered: {why}" in caplog.text
    with world.native() as opened:
        assert all(one.name != "untyped" for one in opened.models.list())


def test_a_status_that_the_lifecycle_does_not_have_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    life = Lifecycle(
        name="short",
        initial="new",
        production="live",
        retired="old",
        transitions={"new": ("live",), "live": ("old",), "old": ("live",)},
    )
    with world.native() as opened:
        opened.lifecycles.declare(life)
        opened.models.create("native_life", lifecycle=life.name)
    metadata = described("native_life", "v1", status="failed", created_at="2026-11-02T08:30:00")
    example = [[0.0] * SAMPLES]
    assert get_model_registry().register_model(network(1), metadata, example)
    assert "native_life:v1 is registered, as training" in caplog.text
    with world.native() as opened:
        assert opened.versions.get("native_life:v1").manifest.digest == metadata.checksum


@documents("nightscan:compare")
@pytest.mark.usefixtures("world")
def test_two_versions_are_compared() -> None:
    registry = get_model_registry()
    for version, accuracy, loss in (("v2.0.0", 0.91, 0.5), ("v2.1.0", 0.95, 0.4)):
        metrics = {"accuracy": accuracy, "loss": loss}
        registry.register_model(network(1), described("compared", version, metrics=metrics))
    comparison = registry.compare_models(("compared", "v2.0.0"), ("compared", "v2.1.0"))
    row = comparison["metric_differences"]["accuracy"]
    assert f"{row['percentage_improvement']:.2f}%" == "4.40%"  # 0.04 of 0.91
    assert row["absolute_difference"] == pytest.approx(0.04)
    loss = comparison["metric_differences"]["loss"]
    assert loss["percentage_improvement"] == pytest.approx(20)  # a fifth less is better
    assert (row["is_better"], loss["is_better"]) == (True, True)
    back = registry.compare_models(("compared", "v2.1.0"), ("compared", "v2.0.0"))
    assert back["metric_differences"]["loss"]["percentage_improvement"] == pytest.approx(-25)


@documents("nightscan:model-files", "nightscan:metadata-file")
def test_the_tree_of_files_follows(world: World) -> None:
    world.model("tree", "v1", "v2")
    get_model_registry().update_status("tree", "v2", "deployed")
    index = json.loads((world.folder / "models/registry/metadata.json").read_text())
    known = index["models"]["tree:v2"]
    assert (known["status"], known["architecture"]) == ("deployed", "resnet18")
    assert known["training_config"]["labels"] == LABELS
    with world.native() as opened:
        file = opened.versions.get("tree:v2").manifest.file("model.pt2")
    path = world.folder / known["file_path"]
    assert path == world.folder / "models/registry/models/tree_v2.pt2"
    assert path.stat().st_size == file.size_bytes
    # natively moved, and seen at the next call
    with world.native() as opened:
        opened.versions.promote("tree:v1")
    get_model_registry().follow()
    index = json.loads((world.folder / "models/registry/metadata.json").read_text())
    assert index["models"]["tree:v2"]["status"] == "retired"


def test_what_another_system_left_in_the_tree_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = world.folder / "older"
    (older / "models").mkdir(parents=True)
    (older / "metadata.json").write_text('{"wildlife": 1}')
    (older / "models" / "kept_v1.pt2").write_bytes(b"theirs")
    monkeypatch.setenv("NIGHTSCAN_REGISTRY", str(older))
    world.model("kept", "v1")
    get_model_registry().follow()
    assert (older / "metadata.json.before-palio").read_text() == '{"wildlife": 1}'
    assert (older / "models" / "kept_v1.pt2").read_bytes() == b"theirs"
    assert "kept:v1" in json.loads((older / "metadata.json").read_text())["models"]


@documents("nightscan:ensemble")
@pytest.mark.parametrize(
    ("strategy", "weights", "combine"),
    [("weighted_average", [0.4, 0.4, 0.2], "weighted_mean"), ("majority", None, "hard_vote")],
)
def test_models_are_combined(
    world: World, strategy: str, weights: list[float] | None, combine: str
) -> None:
    name = f"ens-{strategy}"
    world.model(name, "v2.0.0", "v2.1.0")
    world.model(f"{name}_specialized", "v1.0.0")
    members = [f"{name}:v2.0.0", f"{name}:v2.1.0", f"{name}_specialized:v1.0.0"]
    config = {"models": members, "voting_strategy": strategy, "weights": weights}
    registry = get_model_registry()
    assert registry.register_ensemble(config, described(name, "v3.0.0"))
    row = [np.random.default_rng(3).normal(size=64).tolist()]
    with world.native() as opened:
        assert opened.versions.get(f"{name}:v3.0.0").training["ensemble"]["combine"] == combine
        if weights:
            opened.endpoints.create(name, name)
            answer = opened.predict(name, [row], version="v3.0.0")
            each = [opened.load(one).predict([row]).probabilities or [] for one in members]
            mean = np.average([one[0] for one in each], axis=0, weights=weights)  # witness: numpy
            assert (answer.probabilities or [])[0] == pytest.approx(mean, abs=1e-9)


@pytest.mark.usefixtures("world")
def test_an_unknown_way_to_vote_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    registry = get_model_registry()
    config = {"models": ["a:v1", "b:v1"], "voting_strategy": "loudest"}
    assert not registry.register_ensemble(config, described("loud", "v1"))
    assert "voting_strategy must be one of weighted_average" in caplog.text
    assert not registry.register_ensemble({"model": ["a:v1"]}, described("loud", "v1"))
    assert "ensemble_config has no model; it has models" in caplog.text
    assert not registry.register_ensemble({"weights": [1]}, described("loud", "v1"))
    assert "ensemble_config.models: it is missing" in caplog.text


def test_the_page_runs_when_it_is_pasted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    block = PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    block = block.replace("wildlife_detector", "pasted")  # another test's store has that one
    exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "True\n"
    with world.native() as opened:
        assert opened.versions.get("pasted:v2.1.0").metrics == {"accuracy": 0.95}
