"""The example runs from start to end in an empty folder: every command in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.dialects import nightscan

from . import conftest

COMMANDS = """
set +e
palio nightscan registry list --model-id falcons --json >list.json; echo $?
palio nightscan registry compare falcons:r7 falcons:r8; echo $?
palio nightscan registry compare falcons:r7 falcons:r9; echo $?
palio nightscan experiment start beak_length; echo $?
palio nightscan experiment start beak_length; echo $?
palio nightscan experiment stop beak_length --reason "out of season"; echo $?
palio nightscan deploy falcons r8 --deployment-id falcons_trial --environment staging; echo $?
palio nightscan health falcons_trial; echo $?
palio nightscan status nobody; echo $?
"""
"""Names that the document does not show, asked of a server; each exit code."""
STORY = Path(__file__).parents[3] / "examples" / "nightscan" / "story.sh"


@documents(
    "nightscan:cli-registry-list",
    "nightscan:cli-registry-filter",
    "nightscan:cli-registry-compare",
    "nightscan:cli-experiment-list",
    "nightscan:cli-experiment-status",
    "nightscan:cli-experiment-start",
    "nightscan:cli-experiment-stop",
    "nightscan:cli-experiment-analyze",
    "nightscan:cli-deploy",
    "nightscan:cli-list",
    "nightscan:cli-status",
    "nightscan:cli-health",
    "nightscan:cli-undeploy",
)
def test_the_story(tmp_path: Path, store_url: str) -> None:
    environment = servers.environment(PALIO_STORE=store_url)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    (home := tmp_path / "an empty folder").mkdir()
    told = subprocess.run(
        ["sh", STORY], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "Accuracy improvement: 4.40%" in told.stdout
    assert "wildlife_detector_v2.1.0.pt2" in told.stdout
    assert "accuracy_improvement_test is running" in told.stdout
    assert "Predicted class: " in told.stdout
    assert '"experiment_info":{"experiment_id":"accuracy_improvement_test"' in told.stdout
    assert "wildlife_detector_v2_1_prod is healthy" in told.stdout
    assert told.stdout.endswith("wildlife_detector_v2_1_prod is undeployed\n")
    analysis = json.loads((home / "analysis.json").read_text())
    assert analysis["total_samples"] == 21


def test_commands_in_processes_of_their_own(
    prepared_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(shutil.copy(prepared_sqlite, tmp_path / "palio.db"))
    monkeypatch.setenv("PALIO_STORE", store)
    monkeypatch.chdir(tmp_path)
    with conftest.closing(monkeypatch), servers.serving(store, control_s=0.5) as address:
        world = conftest.World(store, address, tmp_path)
        model = world.model("falcons", "r7", "r8")
        pair = {"control": f"{model}:r7", "treatment": f"{model}:r8"}
        design = conftest.configured("beak_length", model, model_variants=pair)
        nightscan.get_ab_test_manager().create_experiment(design)
        environment = servers.environment(PALIO_STORE=address)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        told = subprocess.run(
            ["sh", "-c", COMMANDS],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        with world.native() as opened:
            experiment = opened.experiments.get("beak_length")
            placed = opened.deployments.get("falcons_trial")
    codes = [int(line) for line in told.stdout.splitlines() if line.isdigit()]
    assert codes == [0, 0, 3, 0, 4, 0, 0, 0, 3], told
    assert "Traceback" not in told.stderr
    assert all(line.startswith("error: ") for line in told.stderr.splitlines()), told.stderr
    assert [one["version"] for one in json.loads((tmp_path / "list.json").read_text())] == [
        "r7",
        "r8",
    ]
    assert (str(experiment.state), experiment.reason) == ("stopped", "out of season")
    assert (placed.reference, placed.endpoint) == ("falcons:r8", "falcons-staging")
