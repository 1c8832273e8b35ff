"""Leaving nothing behind, in its parts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from palio.demo.shelter import direct_to_loopback, workplace, write_aside


@pytest.mark.parametrize("keep", [None, "kept"])
def test_the_workplace_is_gone_when_it_was_interrupted(tmp_path: Path, keep: str | None) -> None:
    seen = []

    def work() -> None:
        with workplace(tmp_path / keep if keep else None) as folder:
            (folder / "half").write_text("written")
            seen.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not seen[0].exists()
    assert list(tmp_path.iterdir()) == []


def test_the_workplace_is_kept_when_all_went_well(tmp_path: Path) -> None:
    with workplace(tmp_path / "kept") as folder:
        (folder / "whole").write_text("written")
        assert not (tmp_path / "kept").exists()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["whole"]


def test_loopback_goes_around_proxies_that_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.org")
    with direct_to_loopback():
        assert os.environ["no_proxy"] == "example.org,127.0.0.1"
    assert os.environ["no_proxy"] == "example.org"
    monkeypatch.delenv("no_proxy")
    with direct_to_loopback():
        assert os.environ["no_proxy"].endswith("127.0.0.1")
    assert "no_proxy" not in os.environ


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    write_aside(tmp_path / "page.html", "é")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "é"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_aside(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "page.html"]
