"""The example runs from start to end in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e import servers

import palio

STORY = Path(__file__).parents[3] / "examples" / "crowetrade" / "story.py"


def test_the_story(tmp_path: Path) -> None:
    (home := tmp_path / "an empty folder").mkdir()
    told = subprocess.run(
        [sys.executable, STORY],
        cwd=home,
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert "Test Status: completed" in lines
    assert lines[-4] == "Significant: True"
    assert float(lines[-3].removeprefix("P-value: ")) < 0.05  # units are drawn anew in every run
    assert lines[-2:] == ["Winner: arm_1", "The next request gets signal_transformer:1.0.0"]
    assert (home / "registry" / "models" / "signal_v1" / "1.0.0" / "policy.yaml").exists()
    assert (home / "ab_tests" / "results" / "signal_comparison_001_final.json").exists()
    with palio.connect(home / "registry" / "palio.db") as native:
        assert native.models.aliases("signal_v1") == {"champion": "1.0.0"}
        assert native.experiments.get("signal_comparison_001").chosen == "arm_1"
