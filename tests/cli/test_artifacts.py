"""``palio artifacts``: in a store on disk and through a server, for people and for programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

from palio.settings import Settings

Cli = Callable[..., tuple[int, str, str]]
Told = Callable[..., Any]


@pytest.fixture
def files(home: str) -> Path:
    return Path(Settings(store=home).artifacts_url())


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


@pytest.fixture
def left(files: Path) -> Path:
    """A staging folder of two hours ago."""
    folder = files / ".staging-0123456789abcdef"
    folder.mkdir()
    (folder / "model.skops").write_bytes(bytes(1500))
    two_hours_ago = (folder / "model.skops").stat().st_mtime - 7200
    for path in (folder / "model.skops", folder):
        os.utime(path, (two_hours_ago, two_hours_ago))
    return folder


def test_what_is_whole_is_said(store: str, cli: Cli) -> None:
    for what, versions in (
        (["credit:v1"], "1 version"),
        (["credit@champion"], "1 version"),
        (["credit"], "2 versions"),
        ([], "2 versions"),
    ):
        code, out, err = cli("--store", store, "artifacts", "verify", *what)
        assert (code, err) == (0, "")
        assert out.startswith(f"{versions}, ")
        assert "all as registered" in out


def test_what_differs_is_named_and_ends_with_1(store: str, files: Path, cli: Cli) -> None:
    model = next((files / "credit" / "v2").glob("*.skops"))
    model.write_bytes(b"other")
    code, out, err = cli("--store", store, "artifacts", "verify")
    assert code == 1
    assert err == f"credit:v2: {model.name}: 5 bytes\n"
    assert "1 not as registered; restore them from a backup" in out
    assert cli("--store", store, "artifacts", "verify", "credit:v1")[0] == 0


def test_programs_are_told_what_differs(home: str, files: Path, cli: Cli, told: Told) -> None:
    (found,) = told("--store", home, "artifacts", "verify", "credit:v1")
    assert (found["version"], found["differences"]) == ("credit:v1", [])
    (files / "credit" / "v1" / "manifest.json").unlink()
    code, out, _ = cli("--store", home, "artifacts", "verify", "credit:v1", "--json")
    assert code == 1
    assert '"why": "the file is missing"' in out


def test_what_is_not_there_cannot_be_compared(home: str, cli: Cli) -> None:
    assert cli("--store", home, "artifacts", "verify", "nothing")[0] == 3
    assert cli("--store", home, "artifacts", "verify", "credit:v9")[0] == 3


def test_nothing_goes_without_remove(store: str, left: Path, cli: Cli, told: Told) -> None:
    code, out, err = cli("--store", store, "artifacts", "gc")
    assert (code, err) == (0, "")
    for word in (left.name, "1.5 kB", "2 h", "removable", "did not finish"):
        assert word in out
    assert "`palio artifacts gc --remove` removes 1 folder, 1.5 kB" in out
    assert left.exists()
    (found,) = told("--store", store, "artifacts", "gc", "--remove")
    assert (found["place"], found["fate"], found["size_bytes"]) == (left.name, "removed", 1500)
    assert not left.exists()
    assert told("--store", store, "artifacts", "gc", "--remove") == []
    assert "nothing is left behind" in cli("--store", store, "artifacts", "gc")[1]


def test_what_is_young_is_kept_and_said(home: str, left: Path, cli: Cli) -> None:
    code, out, _ = cli("--store", home, "artifacts", "gc", "--remove", "--older-than-s", "1e6")
    assert code == 0
    assert "kept" in out
    assert "registration under way" in out
    assert left.exists()


def test_versions_stay_and_a_negative_age_is_refused(home: str, files: Path, cli: Cli) -> None:
    before = sorted(files.rglob("*"))
    assert cli("--store", home, "artifacts", "gc", "--remove", "--older-than-s", "0")[0] == 0
    assert sorted(files.rglob("*")) == before
    assert cli("--store", home, "artifacts", "gc", "--older-than-s", "-1")[0] == 2
