"""The registry's folder: an export that follows what happens, and what it never touches."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import joblib  # type: ignore[import-untyped]
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

import palio
from palio import Variant, platform
from palio.dialects.credtech.tree import keeper
from palio.edge.following import alone

from .conftest import MODELS, Cli, Town

ONE_STORE = pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)


def _seen(look: Callable[[], Any], expected: Any) -> None:
    """Wait until a server has written what is expected; nothing while there is no file."""
    deadline, found = time.monotonic() + servers.PATIENCE_S, None
    while time.monotonic() < deadline:
        try:
            found = look()
        except FileNotFoundError:
            found = None
        if found == expected:
            return
        time.sleep(0.02)
    raise AssertionError(found)


def _is_there(stocked: Town, path: str, *, expected: bool) -> None:
    place = stocked.registry / path
    _seen(place.exists, expected)


@documents("credtech:tree", "credtech:tree-model", "credtech:tree-index",
           "credtech:tree-experiment-results")  # fmt: skip
def test_a_server_keeps_up_with_what_is_done_natively(stocked: Town) -> None:
    with servers.serving(stocked.store), stocked.native() as opened:
        _seen(lambda: set(stocked.read("registry.json")["models"]), set(MODELS))
        opened.register("credtech", servers.model(7.0), version="late", sample=servers.SAMPLE)
        _seen(lambda: stocked.read("models/late/metadata.json")["status"], "active")
        _is_there(stocked, "models/late/model.joblib", expected=True)
        found = joblib.load(stocked.registry / "models" / "late" / "model.joblib")
        assert found.coef_.tolist() == servers.model(7.0).coef_.tolist()

        opened.versions.promote("credtech:late")
        _seen(lambda: stocked.read("registry.json")["production_model_id"], "late")
        opened.models.rollback("credtech", reason="the test")
        _seen(lambda: stocked.read("registry.json")["production_model_id"], "model_v1")
        opened.versions.delete("credtech:late")
        _is_there(stocked, "models/late", expected=False)

        if "credtech" not in {one.name for one in opened.endpoints.list()}:
            opened.endpoints.create("credtech", "credtech")
        opened.experiments.draft(
            servers.design("natively-made", endpoint="credtech",
                           variants=_variants("model_v1", "model_v2"))
        )  # fmt: skip
        opened.experiments.start("natively-made")
        opened.predict("credtech", [[1.0, 2.0, 3.0]], unit="u-1")
        results = "experiments/natively-made/results.json"
        _seen(lambda: sum(one["requests"] for one in stocked.read(results)["models"]), 1)
        opened.experiments.stop("natively-made", "the test is over")
        place = "experiments/natively-made/metadata.json"
        _seen(lambda: stocked.read(place)["reason"], "the test is over")


def _variants(*versions: str) -> Any:
    return tuple(Variant(one, one, 1 / len(versions)) for one in versions)


@documents("credtech:tree")
@ONE_STORE
def test_a_tree_that_is_removed_is_made_anew(stocked: Town, cli: Cli) -> None:
    cli("list-models")
    before = _files(stocked.registry)
    assert {f"models/{name}/model.joblib" for name in MODELS} <= set(before)
    shutil.rmtree(stocked.registry)
    cli("list-models")
    assert set(_files(stocked.registry)) == set(before)
    changed = stocked.registry / "models" / "model_v1" / "metadata.json"
    stamp = changed.stat().st_mtime_ns
    cli("promote", "model_v1")  # nothing changes, and no file is written again
    assert changed.stat().st_mtime_ns == stamp


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@documents("credtech:tree")
@ONE_STORE
def test_the_files_of_another_program_stay(
    stocked: Town, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registry.json").write_text('{"mine": true}')
    monkeypatch.setenv("PALIO_CREDTECH_REGISTRY", str(tmp_path))
    code, out, err = cli("list-models")
    assert (code, "model_v1" in out) == (0, True)
    assert "was made by another program or from another store, and stays as it is" in err
    with stocked.native() as opened:
        keeper(opened.verbs).step()
    assert _files(tmp_path) == ["registry.json"]
    assert (tmp_path / "registry.json").read_text() == '{"mine": true}'


@documents("credtech:tree")
@ONE_STORE
def test_the_files_of_another_store_stay(
    stocked: Town, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("list-models")
    before = {path: (stocked.registry / path).read_bytes() for path in _files(stocked.registry)}
    monkeypatch.setenv("PALIO_STORE", str(tmp_path / "other.db"))
    assert cli("list-models")[0] == 0  # empty: it has nothing to show
    with palio.connect() as opened:
        opened.register("credtech", servers.model(), version="v9", sample=servers.SAMPLE)
    code, _, err = cli("list-models")
    assert (code, "from another store" in err) == (0, True)
    after = {path: (stocked.registry / path).read_bytes() for path in _files(stocked.registry)}
    assert after == before


@documents("credtech:tree")
@ONE_STORE
def test_a_first_export_that_was_cut_off_is_gone_on_with(stocked: Town, cli: Cli) -> None:
    cli("list-models")
    (stocked.registry / ".palio-cursor").unlink()
    (stocked.registry / "models" / "model_v1" / "model.joblib").unlink()
    code, _, err = cli("list-models")
    assert (code, err) == (0, "")
    assert (stocked.registry / "models" / "model_v1" / "model.joblib").exists()


@ONE_STORE
def test_results_and_a_lost_index_wait_for_who_writes_here(stocked: Town, cli: Cli) -> None:
    cli("list-models")
    index = stocked.registry / "registry.json"
    with stocked.native() as opened:
        keeper(opened.verbs).step()
        writer = Thread(target=keeper(opened.verbs).step)
        with alone(stocked.registry):
            index.unlink()
            writer.start()
            writer.join(0.3)  # long enough to write, were it let
            assert not index.exists()
        writer.join(servers.PATIENCE_S)
    assert index.exists()


@ONE_STORE
def test_servers_make_no_tree_that_nobody_asked_for(
    stocked: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.delenv("PALIO_CREDTECH_REGISTRY")
    monkeypatch.chdir(tmp_path)
    with stocked.native() as opened:
        keeper(opened.verbs).step()
        assert _files(tmp_path) == []
        cli("list-models")  # this is somebody who asks
        assert "models/registry/registry.json" in _files(tmp_path)
        opened.versions.promote("credtech:model_v2")
        keeper(opened.verbs).step()
        opened.models.rollback("credtech", reason="the test")
    assert '"production_model_id": "model_v2"' in (
        tmp_path / "models" / "registry" / "registry.json"
    ).read_text(encoding="utf-8")


@documents("credtech:model-loading-failed", "credtech:logs")
@ONE_STORE
def test_a_corrupt_model_file_is_neither_served_nor_exported(
    stocked: Town, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with stocked.native() as opened:
        opened.register("credtech", servers.model(2.0), version="broken", sample=servers.SAMPLE)
    files = Path(platform.settings().artifacts_url()) / "credtech" / "broken" / "model.skops"
    files.write_bytes(files.read_bytes()[:-1] + b"!")
    row = {"x0": 0.1, "x1": 0.2, "x2": 0.3}
    with servers.serving(stocked.store) as address:
        for path, body in (("score", row), ("batch-score", [row])):
            asked = {"model_id": "broken"}
            answer = httpx.post(f"{address}/api/{path}", params=asked, json=body)
            assert answer.status_code == 500
            told = answer.json()["detail"]
            assert told.startswith("Model Loading Failed: ")
            assert told.endswith("Verify that model files are not corrupted")
    monkeypatch.setenv("PALIO_CREDTECH_REGISTRY", str(tmp_path))
    assert cli("list-models")[0] == 0
    assert not (tmp_path / "models" / "broken" / "model.joblib").exists()
    assert (tmp_path / "models" / "model_v1" / "model.joblib").exists()
    text = stocked.log.read_text(encoding="utf-8")
    assert "Model Loading Failed" in text
    assert "credtech:broken has no model.joblib in the export" in text
    with stocked.native() as opened:
        opened.versions.delete("credtech:broken")


@documents("credtech:tree-model")
@ONE_STORE
def test_pickles_are_copied_and_never_run(
    stocked: Town, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stocked.native() as opened:
        opened.register(
            "credtech", servers.model(5.0), version="pickled", sample=servers.SAMPLE,
            flavor="pickled",
        )  # fmt: skip
        own = opened.versions.get("credtech:pickled").manifest.file("model.joblib")
        content = b"".join(opened.versions.fetch("credtech:pickled", own.path))
    monkeypatch.setenv("PALIO_CREDTECH_REGISTRY", str(tmp_path))
    monkeypatch.setattr("joblib.load", lambda *_: pytest.fail("a pickle was run"))
    assert cli("list-models")[0] == 0
    assert (tmp_path / "models" / "pickled" / "model.joblib").read_bytes() == content


@ONE_STORE
def test_settings_that_cannot_be_used_are_named(
    town: Town, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert town.store
    monkeypatch.setenv("PALIO_CREDTECH_REFRESH_S", "often")
    code, _, err = cli("list-models")
    assert (code, "setting PALIO_CREDTECH_REFRESH_S" in err) == (2, True)
