"""docs/experiments.md: its blocks run one after another, and the commands it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from palio import platform
from palio.cli.app import build

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`palio ([a-z-]+(?: [a-z-]+)?)", PAGE)))


def test_the_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 9
    for block in blocks:
        exec(compile(block, "experiments.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[0] in {"control", "challenger", "None"}
    assert printed[1].split()[0] in {"ship", "keep_running", "inconclusive"}
    assert printed[-1].split()[0] == "ship"  # the effect is 3 with deviations of 20 in 12,000 rows
    names["p"].close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`palio ([a-z-]+(?: [a-z-]+)?)", PAGE)))
)
def test_a_named_command_exists(command: str) -> None:
    found = typer.main.get_command(build(platform))
    for word in command.split():
        inner = getattr(found, "commands", None)
        if inner is None:
            return  # the rest are its arguments
        found = inner[word]
