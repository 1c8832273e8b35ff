"""The example runs from start to end in an empty folder: every command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.dialects.documented import documents
from tests.e2e import servers

from . import conftest  # noqa: F401 - a plain word where PyTorch is not installed

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
