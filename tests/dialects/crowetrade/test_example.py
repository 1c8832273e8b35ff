"""The example and the page's own code run from start to end in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

import palio
from palio import platform
from palio.cli.app import run

ROOT = Path(__file__).parents[3]
STORY = ROOT / "examples" / "crowetrade" / "story.py"
PAGE = (ROOT / "docs" / "dialects" / "crowetrade.md").read_text(encoding="utf-8")


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


def test_the_page_s_code_runs_and_the_commands_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "crowetrade.md", "exec"), names)
    names["registry"].close()
    assert capsys.readouterr().out == "running\n"
    (commands,) = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in commands.splitlines():
        assert run(platform, shlex.split(line)[1:]) == 0
    told = capsys.readouterr().out
    assert "signal_lasso" in told
    assert "keep_running" in told
