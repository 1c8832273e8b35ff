"""The document's story as a person types it: real commands, a real server, a fresh folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import joblib  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

import palio
from palio.demo.loan_book import TARGET, loan_book
from palio.training.train import train

ROOT = Path(__file__).parents[3]
STORY = ROOT / "examples" / "credtech" / "story.sh"
PAGE = ROOT / "docs" / "dialects" / "credtech.md"


def _shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``sh`` in a folder, where ``palio`` and ``python`` are this code and this Python."""
    commands = folder.parent / "bin"
    commands.mkdir(exist_ok=True)
    for name, what in (("palio", "-m palio"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        (commands / name).chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", *arguments],
        cwd=folder,
        env=servers.environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@documents(
    "credtech:cli", "credtech:train", "credtech:list-models", "credtech:get-model-json",
    "credtech:promote", "credtech:create-experiment", "credtech:list-experiments-json",
    "credtech:get-experiment", "credtech:stop-experiment", "credtech:tree", "credtech:logs",
)  # fmt: skip
def test_the_example_runs(tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    run = _shell(folder, str(STORY))
    assert (run.returncode, run.stderr) == (0, "")
    assert "v1.3.0 is in production" in run.stdout
    assert "New Features Test" in run.stdout
    assert "50 applicants scored by v1.2.0" in run.stdout
    assert json.loads((folder / "v1.3.0.json").read_text())["description"] == "Trees"
    log = (folder / "logs" / "credtech_xscore.log").read_text(encoding="utf-8")
    assert "stopped the experiment new-features-test-" in log

    registry = folder / "models" / "registry"
    index = json.loads((registry / "registry.json").read_text())
    assert index["production_model_id"] == "v1.3.0"
    [key] = index["experiments"]
    with palio.connect(folder / "palio.db") as opened:
        report = opened.experiments.record(key).report
        assert opened.experiments.get(key).state == "stopped"
        assert opened.models.aliases("credtech") == {"champion": "v1.3.0"}
    results = json.loads((registry / "experiments" / key / "results.json").read_text())
    assert [one["requests"] for one in results["models"]] == [one.requests for one in report.arms]
    assert sum(one["requests"] for one in results["models"]) == 50


def _blocks(kind: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def loans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """The table that the page speaks of, in a folder of its own, where one is."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = loan_book(600, seed=1)
    made.write_csv("loans.csv")
    return made


@documents("credtech:cli", "credtech:api-score")
def test_the_page_begins_as_it_stands(loans: pl.DataFrame) -> None:
    start, ask = _blocks("sh")
    Path("applicant.json").write_text(json.dumps(loans.drop(TARGET).to_dicts()[0]))
    assert start.endswith("palio serve\n")
    run = _shell(Path.cwd(), "-ec", start.removesuffix("palio serve\n"))
    assert (run.returncode, run.stderr) == (0, "")
    with servers.serving("palio.db") as address:
        asked = _shell(Path.cwd(), "-ec", ask.replace("http://127.0.0.1:8000", address))
    answer = json.loads(asked.stdout)
    assert answer["request_id"] == "application-7"
    with palio.connect("palio.db") as opened:
        [experiment] = opened.experiments.list()
        chosen = experiment.assigner().assign("application-7")
    assert answer["experiment_id"] == experiment.key
    assert answer["model_id"] == experiment.variant(str(chosen)).version


@documents("credtech:registry-keeps")
def test_models_of_the_old_system_come_in_as_data(loans: pl.DataFrame) -> None:
    old = {}
    for name in ("logistic", "gradient-boosting"):
        old[name] = train(loans, target=TARGET, estimator=name)
        folder = Path("models/registry/models") / name
        folder.mkdir(parents=True)
        joblib.dump(old[name].model, folder / "model.joblib")
        (folder / "metrics.json").write_text(json.dumps(old[name].metrics))
    index = Path("models/registry/registry.json")
    index.write_text('{"models": {}}')
    [move] = _blocks("python")
    run = _shell(Path.cwd(), "-ec", f"python - <<'MOVE'\n{move}\nMOVE\n")
    assert (run.returncode, run.stderr) == (0, "")
    run = _shell(Path.cwd(), "-ec", "palio credtech promote logistic")
    assert (run.returncode, run.stdout) == (0, "logistic is the production model\n")
    assert "was made by another program" in run.stderr
    assert index.read_text() == '{"models": {}}'
    rows = loans.drop(TARGET).head(20).to_dicts()
    with palio.connect("palio.db") as opened:
        for name, trained in old.items():
            version = opened.versions.get(f"credtech:{name}")
            assert (version.flavor, version.metrics) == ("sklearn", trained.metrics)
            found = opened.predict("credtech", rows, version=name)
            inputs = np.array(trained.signature.table(rows), dtype=object)
            assert found.probabilities == trained.model.predict_proba(inputs).tolist()
