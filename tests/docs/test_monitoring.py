"""docs/monitoring.md: its commands and programs run, and what it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.e2e.worlds import World, home, serve, world_files

from palio import platform
from palio.cli.app import run
from palio.settings import Settings

__all__ = ["home", "world_files"]

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_run_in_their_order(
    home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PALIO_STORE", home)
    names: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "docs/monitoring.md", "exec"), names)
            continue
        for line in block.splitlines():
            assert run(platform, shlex.split(line)[1:]) == 0, line
    said = capsys.readouterr().out
    assert "credit has answered nothing in the last 60 s" in said
    assert '"versions":{}' in said.replace(" ", "")
    assert "no alerts yet" in said


def test_settings_that_are_named_exist() -> None:
    settings = {f"PALIO_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"PALIO_[A-Z_]+", PAGE)) <= settings


def told(world: World) -> set[str]:
    text = world.http.get("/metrics").text
    return set(re.findall(r"^# TYPE (palio_\w+)", text, re.MULTILINE))


def test_metrics_that_are_named_are_told_and_all_are(home: str) -> None:
    named = set(re.findall(r"`(palio_\w+)`", PAGE))
    for stem, line in re.findall(r"`(palio_\w+?)_?…?`[^|]*\|[^|]*\|([^|]*)\|", PAGE):
        named |= {f"{stem}_{end}" for end in re.findall(r"`(\w+)`", line)}
    for end in re.findall(r"`…_(\w+)`", PAGE):
        named.add(f"palio_experiment_{end}")
    with serve(home) as world:
        world.predict()
        assert {name.removesuffix("_total") for name in told(world)} <= {
            name.removesuffix("_total") for name in named
        }
        assert {one for one in named if one.endswith(("_total", "_seconds"))} <= told(world)


def test_kinds_of_alerts_are_those_that_are_raised() -> None:
    source = Path(platform.__file__).parent / "experiments"
    raised = {
        kind
        for path in source.glob("*.py")
        for kind in re.findall(r'"(experiment\.(?:\w+ed|\w+_back))"', path.read_text())
    }
    assert raised == set(re.findall(r"`(experiment\.\w+)`", PAGE))
