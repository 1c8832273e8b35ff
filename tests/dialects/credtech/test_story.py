"""The document's story as a person types it: real commands, a real server, a fresh folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.dialects.documented import documents
from tests.e2e import servers

import palio

STORY = Path(__file__).parents[3] / "examples" / "credtech" / "story.sh"


@documents(
    "credtech:cli", "credtech:train", "credtech:list-models", "credtech:get-model-json",
    "credtech:promote", "credtech:create-experiment", "credtech:list-experiments-json",
    "credtech:get-experiment", "credtech:stop-experiment", "credtech:tree", "credtech:logs",
)  # fmt: skip
def test_the_example_runs(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, what in (("palio", "-m palio"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        (commands / name).chmod(0o755)
    folder = tmp_path / "fresh"
    folder.mkdir()
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["sh", str(STORY)],
        cwd=folder,
        env=servers.environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
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
