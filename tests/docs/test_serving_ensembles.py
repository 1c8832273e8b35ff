"""docs/serving.md, the section on ensembles: its code runs, and it names what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from palio import platform
from palio.cli.app import run
from palio.edge.routes import ROUTES
from palio.registry.ensembles.spec import Combine, OnMemberError

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Ensembles\n")[2].partition("\n## ")[0]


def test_the_code_runs_and_the_commands_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (block,) = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)
    exec(compile(block, "serving.md", "exec"), names)
    names["p"].close()  # type: ignore[attr-defined]
    assert capsys.readouterr().out == "e1 [1]\n"  # x0 is 0.4, and y is 1 where x0 > 0
    (commands,) = re.findall(r"```bash\n(.*?)```", SECTION, flags=re.DOTALL)
    for line in commands.splitlines():
        assert run(platform, shlex.split(line)[1:]) == 0
    assert "hard_vote" in capsys.readouterr().out


def test_every_rule_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)`", SECTION, flags=re.MULTILINE)
    columns = ["combine", "on_member_error"]
    assert [row for row in rows if row not in columns] == [*Combine, *OnMemberError]


def test_the_route_exists() -> None:
    assert "POST /v1/models/{model}/ensembles" in SECTION
    assert any(
        (one.method, one.path) == ("POST", "/v1/models/{model}/ensembles") for one in ROUTES
    )
