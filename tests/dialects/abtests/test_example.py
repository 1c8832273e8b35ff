"""The example runs from start to end in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e import servers

STORY = Path(__file__).parents[3] / "examples" / "abtests" / "story.sh"


def test_the_story(tmp_path: Path) -> None:
    environment = servers.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    (home := tmp_path / "an empty folder").mkdir()
    told = subprocess.run(
        ["sh", STORY], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert '"variant_a":{"requests"' in told.stdout
    assert '"status":"completed"' in told.stdout
    assert "v2.0.0" in told.stdout.splitlines()[-1]
