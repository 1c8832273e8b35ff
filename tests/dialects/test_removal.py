"""A dialect is removed by its own folders and one line; what is left is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .documented import DIALECTS

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "docs", "examples", "scripts", "deploy", "requirements")
FILES = ("pyproject.toml", "ARCHITECTURE.md", "README.md", "DECISIONS.md", "CHANGELOG.md",
         "Makefile", "LICENSE")  # fmt: skip
LEFT = ("tests/dialects/test_documented.py", "tests/docs/test_architecture.py",
        "tests/docs/test_reference.py", "tests/docs/test_import_contracts.py",
        "tests/test_public_names.py", "tests/test_settings.py")  # fmt: skip


def without(dialect: str, folder: Path) -> Path:
    """Copy the project and remove a dialect as the recipe says."""
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    for name in ("src/palio", "tests", "tests/dialects/golden"):
        place = "dialects/" if not name.startswith("tests/dialects") else ""
        shutil.rmtree(folder / name / f"{place}{dialect}")
    shutil.rmtree(folder / "examples" / dialect)
    (folder / "docs" / "dialects" / f"{dialect}.md").unlink()
    (folder / "tests" / "dialects" / "items" / f"{dialect}.yaml").unlink()
    (folder / "tests" / "dialects" / "test_together.py").unlink()  # it is about all of them
    architecture = folder / "ARCHITECTURE.md"
    lines = architecture.read_text().splitlines(keepends=True)
    architecture.write_text("".join(one for one in lines if f"dialects/{dialect}/" not in one))
    _drop_line(folder / "src" / "palio", dialect)
    return folder


def _drop_line(package: Path, dialect: str) -> None:
    """Take a dialect's name out of the one line that lists them."""
    [wired] = [
        path
        for path in package.rglob("*.py")
        if re.search(r"^_?DIALECTS\b.* = \(", path.read_text(), re.MULTILINE)
        and "dialects" not in path.parts
    ]
    text = wired.read_text()
    assert text.count(f'"{dialect}"') == 1
    wired.write_text(re.sub(rf'"{dialect}",? ?', "", text))


ASKED = DIALECTS if os.environ.get("PALIO_REMOVALS") == "all" else DIALECTS[:1]
"""One of them, which takes half a minute; with PALIO_REMOVALS=all each."""


@pytest.mark.parametrize("dialect", ASKED)
def test_what_is_left_is_whole(dialect: str, tmp_path: Path) -> None:
    home = without(dialect, tmp_path / "left")
    environment = {name: one for name, one in os.environ.items() if not name.startswith("PALIO_")}
    environment["PYTHONPATH"] = str(home / "src")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, check=False
        )

    linted = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert linted.returncode == 0, linted.stdout
    shutil.copytree(ROOT / "tests" / "golden", home / "tests" / "golden", dirs_exist_ok=True)
    tested = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LEFT)
    assert tested.returncode == 0, tested.stdout
    collected = run(
        sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "tests"
    )
    assert collected.returncode == 0, collected.stdout[-2_000:]
    said = run(sys.executable, "-m", "palio", "--help")
    assert (said.returncode, dialect in said.stdout) == (0, False)
