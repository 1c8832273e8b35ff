"""docs/privacy.md: its commands run one after another, and what it names exists."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.worlds import home, world_files

import palio
from palio import platform
from palio.cli.app import run
from palio.settings import Settings
from palio.storage import tables
from palio.testing.records import design

__all__ = ["home", "world_files"]

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
SECRET = "0123456789abcdef" * 4


@pytest.fixture
def store(home: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with the experiment that the page names and a unit in it."""
    monkeypatch.setenv("PALIO_STORE", home)
    monkeypatch.setenv("PALIO_UNIT_KEY", SECRET)
    with palio.connect(home) as p:
        variants = [replace(one, version=f"v{one.version}") for one in design().variants]
        p.experiments.draft(design("credit-ab", variants=tuple(variants)))
        p.experiments.start("credit-ab")
        p.predict("credit", [[0.1, 0.2, 0.3]], unit="user-17")
    return home


def test_the_commands_run(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(BLOCKS) == 4
    told = []
    for line in "".join(BLOCKS).splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, SECRET if "$(" in value else value)
            continue
        assert run(platform, shlex.split(line)[1:]) == 0
        told.append(capsys.readouterr().out)
    listed, erased, retained, verified, rebuilt = told
    assert "credit-ab" in listed
    assert erased.startswith("1 of 2 units were known: 1 predictions, 0 exposures and 0 outcomes")
    assert retained.startswith("0 events from before")
    assert "equal a recomputation" in verified
    assert rebuilt.startswith("credit-ab is built anew")
    assert b"user-17" not in Path(store).read_bytes()


def test_what_is_named_exists() -> None:
    settings = {f"PALIO_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"PALIO_[A-Z_]+", PAGE)) <= settings
    assert {"unit_values", "sticky_assignments", "audit_entries"} <= set(tables.metadata.tables)
