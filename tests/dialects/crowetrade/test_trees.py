"""The files on disk: made for other programs, kept current, never read back."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from pathlib import Path

import pytest
import yaml
from tests.dialects.documented import documents
from tests.e2e import servers

import palio
from palio.dialects.crowetrade import (
    ABTestEngine,
    ModelRegistry,
    ModelStatus,
    create_ab_test,
    create_model_metadata,
)

from .conftest import ROWS, Desk, model, normal


def files(folder: Path) -> set[str]:
    """Return the files of a tree, without what Palio keeps for itself."""
    found = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    return {one for one in found if not one.startswith(("palio", ".")) and ".palio" not in one}


@documents("crowetrade:registry-tree", "crowetrade:policies-file", "crowetrade:formats")
def test_the_tree_of_a_registry(desk: Desk) -> None:
    for reference, policy in (
        ("tree_v1:1.0.0", {"position_size": 0.02}),
        ("tree_v1:1.1.0", None),
        ("tree_mvo:2.0.0", {"max_leverage": 3.0, "venues": ["XETR", "XLON"]}),
    ):
        name, _, version = reference.partition(":")
        metadata = create_model_metadata(
            model_id=name, name=name, version=version, model_type="signal", created_by="ds",
            input_features=["a", "b", "c"], output_schema={"signal": "float"}, backtest_sharpe=1.8,
        )  # fmt: skip
        desk.registry.register_model(model(), metadata, policy_config=policy)
    folder = desk.folder / "registry"
    assert {one for one in files(folder) if "tree_" in one} == {
        "models/tree_v1/1.0.0/model.pkl",
        "models/tree_v1/1.0.0/policy.yaml",
        "models/tree_v1/1.0.0/features.json",
        "models/tree_v1/1.1.0/model.pkl",
        "models/tree_v1/1.1.0/features.json",
        "models/tree_mvo/2.0.0/model.pkl",
        "models/tree_mvo/2.0.0/policy.yaml",
        "models/tree_mvo/2.0.0/features.json",
        "metadata/tree_v1:1.0.0.json",
        "metadata/tree_v1:1.1.0.json",
        "metadata/tree_mvo:2.0.0.json",
    }
    own = folder / "models" / "tree_v1" / "1.0.0"
    assert yaml.safe_load((own / "policy.yaml").read_text()) == {"position_size": 0.02}
    features = json.loads((own / "features.json").read_text())
    assert features == {"input_features": ["a", "b", "c"], "output_schema": {"signal": "float"}}
    exported = pickle.loads((own / "model.pkl").read_bytes())
    assert exported.predict(ROWS).tolist() == model().predict(ROWS).tolist()
    policies = yaml.safe_load((folder / "policies" / "trading_policies.yaml").read_text())
    assert policies["tree_v1:1.0.0"] == {"position_size": 0.02}
    assert policies["tree_mvo:2.0.0"]["venues"] == ["XETR", "XLON"]
    assert "tree_v1:1.1.0" not in policies
    desk.registry.promote_model("tree_v1:1.0.0", ModelStatus.TESTING)
    metadata_file = folder / "metadata" / "tree_v1:1.0.0.json"
    told = json.loads(metadata_file.read_text())
    assert (told["status"], told["backtest_sharpe"]) == ("testing", 1.8)
    assert told == desk.registry.get_metadata("tree_v1:1.0.0").to_dict()


def test_files_are_never_read_back(desk: Desk) -> None:
    desk.register("honest:1.0.0")
    exported = desk.folder / "registry" / "models" / "honest" / "1.0.0" / "model.pkl"
    exported.write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    metadata = desk.folder / "registry" / "metadata" / "honest:1.0.0.json"
    metadata.write_text("{}")
    assert desk.registry.get_model("honest")[0].predict(ROWS).shape == (200,)
    desk.native.versions.move("honest:1.0.0", "testing")  # by others
    desk.register("honest:1.1.0")
    assert json.loads(metadata.read_text())["status"] == "testing"


def test_a_tree_that_was_removed_is_made_anew_and_others_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "trading_policies.yaml").write_text("by: hand\n")
    (folder / "models" / "former" / "1.0.0").mkdir(parents=True)
    (folder / "models" / "former" / "1.0.0" / "model.pkl").write_bytes(b"of before")
    with ModelRegistry(folder) as registry:
        metadata = create_model_metadata(
            model_id="m", name="m", version="1.0.0", model_type="risk", created_by="ann",
            input_features=["a", "b", "c"],
        )  # fmt: skip
        registry.register_model(model(), metadata, policy_config={"limit": 1})
    assert (folder / "policies" / "trading_policies.yaml").read_text() == "by: hand\n"
    assert (folder / "models" / "former" / "1.0.0" / "model.pkl").read_bytes() == b"of before"
    before = files(folder)
    for name in ("models/m", "metadata"):
        shutil.rmtree(folder / name)
    (folder / ".palio-cursor").unlink()
    ModelRegistry(folder).close()
    assert files(folder) == before


@documents("crowetrade:tests-tree")
def test_the_tree_of_tests(desk: Desk) -> None:
    running = desk.test("t_one:1.0.0", "t_two:1.0.0", test_id="test_001")
    ended = desk.test("t_one:1.0.0", "t_two:1.0.0", test_id="test_002", max_duration_days=7)
    desk.engine.record_result(ended, "t_one:1.0.0", 0.01)
    desk.engine.stop_test(ended, "the desk is closed")
    folder = desk.folder / "ab_tests"
    assert {one for one in files(folder) if "test_00" in one} == {
        "tests/test_001.json", "tests/test_002.json", "results/test_002_final.json",
    }  # fmt: skip
    told = json.loads((folder / "tests" / f"{running}.json").read_text())
    assert (told["status"], told["allocation_strategy"]) == ("running", "thompson_sampling")
    assert [arm["model_registry_id"] for arm in told["arms"]] == ["t_one:1.0.0", "t_two:1.0.0"]
    final = json.loads((folder / "results" / "test_002_final.json").read_text())
    assert (final["status"], final["stop_reason"]) == ("cancelled", "the desk is closed")
    assert (final["max_duration_days"], final["total_requests"]) == (7.0, 1)
    record = desk.native.experiments.record(ended).report
    assert sum(arm["results"] for arm in final["arms"]) == sum(
        arm.metrics["return"].n for arm in record.arms
    )


@documents("crowetrade:tests-tree")
def test_files_tell_the_shares_that_moving_weights_began_with(desk: Desk) -> None:
    test_id = desk.test("v_one:1.0.0", "v_two:1.0.0", allocation_weights=[0.4, 0.6])
    desk.feed(test_id, {"arm_0": normal(1, 0.0), "arm_1": normal(2, 0.1)}, 120)
    moved = desk.engine.get_test_results(test_id)["arms"]
    assert [arm["allocation_weight"] for arm in moved] == pytest.approx([0.2, 0.8])
    desk.engine.stop_test(test_id)
    told = json.loads((desk.folder / "ab_tests" / "tests" / f"{test_id}.json").read_text())
    assert [arm["allocation_weight"] for arm in told["arms"]] == [0.4, 0.6]


def test_a_server_keeps_the_folders_current_that_its_settings_name(
    prepared_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = shutil.copy(prepared_sqlite, str(tmp_path / "palio.db"))
    with ModelRegistry(tmp_path / "elsewhere", store=store) as registry:
        for name in ("a", "b"):
            metadata = create_model_metadata(
                model_id=name, name=name, version="1.0.0", model_type="signal", created_by="ann",
                input_features=["x", "y", "z"],
            )  # fmt: skip
            registry.register_model(model(), metadata)
        engine = ABTestEngine(registry)
        asked = create_ab_test(
            test_id="t", name="t", description="", created_by="ann",
            model_registry_ids=["a:1.0.0", "b:1.0.0"],
        )  # fmt: skip
        engine.create_test(asked)
    monkeypatch.setenv("PALIO_CROWETRADE_REGISTRY_PATH", str(tmp_path / "kept"))
    monkeypatch.setenv("PALIO_CROWETRADE_AB_TESTS_PATH", str(tmp_path / "tests"))
    monkeypatch.setenv("PALIO_CROWETRADE_EXPORT_MODELS", "false")
    with palio.connect(store) as native, servers.serving(store, evaluate_s=0):
        native.experiments.stop("t", "enough")
        wanted = tmp_path / "tests" / "results" / "t_final.json"
        until = time.monotonic() + servers.PATIENCE_S
        while not wanted.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert json.loads(wanted.read_text())["status"] == "cancelled"
        assert files(tmp_path / "kept") == {
            "metadata/a:1.0.0.json", "metadata/b:1.0.0.json", "models/a/1.0.0/features.json",
            "models/b/1.0.0/features.json", "policies/trading_policies.yaml",
        }  # fmt: skip
