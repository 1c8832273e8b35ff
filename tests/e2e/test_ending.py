"""A process that ends while a version is loading lets it load first: its threads are not torn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import palio

from .servers import LABELS, PATIENCE_S, SAMPLE, environment


class Slow:
    """Pickled, it is code that takes a second, and then leaves a mark behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        code = f"import pathlib, time; time.sleep(1); pathlib.Path({str(self.mark)!r}).touch()"
        return exec, (code,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "has-loaded"


@pytest.fixture
def slow(home: str, mark: Path, tmp_path: Path) -> str:
    """Return a store whose credit:slow takes a second to load."""
    path = tmp_path / "slow.pkl"
    path.write_bytes(pickle.dumps(Slow(mark)))
    with palio.connect(home) as opened:
        opened.register("credit", path, version="slow", sample=SAMPLE, target=LABELS)
    return home


def ended(store: str, *arguments: str) -> tuple[int, str]:
    """Run the command ``palio`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "palio", "--store", store, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(PALIO_ALLOW_PICKLE="true"),
        timeout=PATIENCE_S * 2,
    )
    return done.returncode, done.stderr


def test_whoever_asks_a_version_and_ends_lets_it_load(slow: str, mark: Path) -> None:
    deploy = ("deployments", "deploy", "d", "credit:slow", "--timeout-s", "0.05")
    assert ended(slow, *deploy) == (0, "")
    assert mark.exists()
    mark.unlink()
    assert ended(slow, "deployments", "control", "--once") == (0, "")
    assert mark.exists()
