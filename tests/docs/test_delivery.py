"""docs/delivery.md: its blocks run one after another, and the commands it names exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from palio import platform
from palio.cli.app import build
from palio.delivery.deployments.domain import ALLOWED, State
from palio.delivery.deployments.wanted import DeploymentDraft

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")


def test_the_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "delivery.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "canary {'v1': 0.9, 'v2': 0.1}"
    assert [line.partition(" ")[0] for line in printed[1:4]] == [
        "resources.gpu",
        "scaling.min_replicas",
        "scaling.max_replicas",
    ]
    assert printed[4] == "1.0"
    assert printed[5].startswith("None ['credit-v2 (credit:v2 on credit): rolled back by ")
    assert printed[6].startswith(
        "rollback - error_rate <= 0.05 is shown to be crossed: 6 of 6 requests failed"
    )
    names["p"].close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`?palio ([a-z-]+ [a-z-]+) [a-z`]", PAGE)))
)
def test_a_named_command_exists(command: str) -> None:
    found = typer.main.get_command(build(platform))
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]


def test_the_picture_is_of_the_states_as_they_are() -> None:
    arrows = set(re.findall(r"(\w+) --> (\w+)", PAGE))
    drawn = {(State(one), State(other)) for one, other in arrows if one in set(State)}
    by_itself = {
        (one, other)
        for one, allowed in ALLOWED.items()
        for other in allowed
        if (one, other) != (State.PENDING, State.ROLLED_BACK)  # only by hand
    }
    assert drawn == by_itself


def test_every_field_is_told_of() -> None:
    told = {one.name for one in fields(DeploymentDraft)} - {"name", "model", "version", "reason"}
    assert [name for name in sorted(told) if f"`{name}`" not in PAGE] == []
