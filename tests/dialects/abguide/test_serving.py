"""Served by uvicorn as the document says, configured by ``.env``; the file it keeps."""

from __future__ import annotations

import importlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

import palio
from palio.dialects.abguide.file import registry_file
from palio.dialects.abguide.settings import Settings
from palio.edge.following import alone

from .conftest import MODEL, ROW, Guide, until

EXAMPLES = Path(__file__).parents[3] / "examples" / "abguide"
ENV = """\
AB_TESTING_ENABLED=true
MODEL_REGISTRY_PATH=models/registry.json
PALIO_SOURCE_ROOTS=models
PALIO_ALLOW_PICKLE=true
PALIO_ABGUIDE_MODEL=loans
PALIO_ABGUIDE_OUTCOMES={"0": "granted", "1": "declined"}
"""


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.fixture
def run(files: Path, tmp_path: Path) -> Iterator[tuple[httpx.Client, Path]]:
    """The document's command in a folder with models and ``.env``; one line of it changed."""
    shutil.copytree(files, tmp_path / "models")
    (tmp_path / ".env").write_text(ENV, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "palio.dialects.abguide.api:app", "--port"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, str(port)],
            cwd=tmp_path,
            env=servers.environment(),
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            until(lambda: _answers(http))
            yield http, tmp_path
    finally:
        process.terminate()
        process.wait(servers.PATIENCE_S)


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@documents(
    "abguide:uvicorn", "abguide:env-file", "abguide:registry-path", "abguide:integration",
    "abguide:api-docs",
)  # fmt: skip
def test_the_app_by_its_import_name(run: tuple[httpx.Client, Path]) -> None:
    http, folder = run
    body = {"version": "v3", "name": "n", "model_path": "models/credit_model_v1.pkl"}
    assert http.post("/registry/models", json=body).status_code == 201
    assert http.post("/registry/ab-test/weights", json={"v3": 1.0}).json() == {"v3": 1.0}
    answer = http.post("/predict", json=ROW).json()
    assert (answer["model_version"], answer["outcome"] in {"granted", "declined"}) == ("v3", True)
    file = folder / "models" / "registry.json"
    until(lambda: read(file).get("traffic_weights") == {"v3": 1.0})
    assert read(file)["models"]["v3"] == http.get("/registry/models/v3").json()
    assert "/registry/models/{version}/load" in http.get("/openapi.json").json()["paths"]
    assert http.get("/docs").status_code == 200
    with palio.connect(folder / "palio.db") as opened:
        assert opened.models.aliases("loans") == {"champion": "v3"}


def test_importing_the_module_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("palio.dialects.abguide.api")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AttributeError, match="has no attribute 'application'"):
        _ = module.application


@documents("abguide:env-variables", "abguide:registry-path-default")
def test_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AB_TESTING_ENABLED", raising=False)
    plain = Settings()
    assert (plain.ab_testing_enabled, plain.model) == (False, MODEL)
    assert plain.model_registry_path == Path("models/registry.json")
    with palio.connect(tmp_path / "palio.db") as opened:
        assert registry_file(opened.verbs) is None  # nobody has asked for this dialect
    monkeypatch.setenv("AB_TESTING_ENABLED", "true")
    monkeypatch.setenv("MODEL_REGISTRY_PATH", "elsewhere/kept.json")
    assert Settings().ab_testing_enabled
    assert Settings().model_registry_path == Path("elsewhere/kept.json")
    assert [plain.outcome(one) for one in (0, 1, True, "good", 2)] == [
        "approved", "rejected", "rejected", "good", "2",
    ]  # fmt: skip


@documents("abguide:registry-file")
def test_the_file_follows_what_anybody_does(guide: Guide) -> None:
    file = guide.folder / "models" / "registry.json"
    time.sleep(1.1)
    assert not file.exists()  # nobody has registered anything
    guide.register("v1.0.0")
    guide.register("v1.1.0")
    guide.weigh(v1_0_0=0.9, v1_1_0=0.1)
    until(lambda: read(file).get("traffic_weights") == {"v1.0.0": 0.9, "v1.1.0": 0.1})
    with guide.opened() as opened:
        opened.endpoints.weigh(MODEL, {"v1.1.0": 1.0}, promote=True)
    until(lambda: read(file)["models"]["v1.1.0"]["status"] == "active")
    file.unlink()
    assert list(until(lambda: read(file))["models"]) == ["v1.0.0", "v1.1.0"]


def test_a_file_that_is_gone_waits_for_who_writes_here(
    guide: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "apart" / "registry.json"
    monkeypatch.setenv("MODEL_REGISTRY_PATH", str(file))
    guide.register("v1.0.0")
    with guide.opened() as opened:
        kept = registry_file(opened.verbs)
        assert kept is not None
        kept.step()
        writer = Thread(target=kept.step)
        with alone(file.with_name(".registry")):
            file.unlink()
            writer.start()
            writer.join(0.3)  # long enough to write, were it let
            assert not file.exists()
        writer.join(servers.PATIENCE_S)
    assert list(read(file)["models"]) == ["v1.0.0"]


def test_a_model_of_palio_s_own_is_shown(guide: Guide) -> None:
    with guide.opened() as opened:
        opened.models.create(MODEL)  # in the standard lifecycle
        sample = servers.SAMPLE
        opened.register(MODEL, servers.model(), version="1", sample=sample, tags={"team": "risk"})
        opened.register(MODEL, servers.model(0.1), version="2", sample=sample)
        opened.versions.promote(f"{MODEL}:1")
        opened.versions.move(f"{MODEL}:2", "testing")
    assert guide.statuses() == {"1": "active", "2": "testing"}
    guide.register("3")
    shown = guide.get("/registry/models/1")
    assert (shown["name"], shown["tags"]) == (f"{MODEL}:1", ["team:risk"])
    assert guide.weigh(**{"2": 1.0}).json() == {"2": 1.0}
    assert guide.statuses() == {"1": "deprecated", "2": "active", "3": "inactive"}
    assert shown["updated_at"] <= guide.get("/registry/models/1")["updated_at"]


def test_the_example_tells_the_whole_story(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, EXAMPLES / "story.py"],
        cwd=tmp_path,
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    for told in (
        '"absolute_difference":0.0059',
        "Traffic weights must sum to 1.0, got 0.95",
        "Model version 'v9' not found in registry",
        "Model file not found: models/credit_model_v2.pkl",
        '{"v1.0.0":0.7,"v1.1.0":0.15,"v1.2.0-canary":0.15}',
    ):
        assert told in run.stdout, run.stdout
    with palio.connect(tmp_path / "palio.db") as opened:
        assert opened.endpoints.shares(MODEL)["v1.0.0"] == 0.7
