"""The import contracts bite: the house keeps them, and each planted violation breaks its own."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
NAMES = {contract["id"]: contract["name"] for contract in CONTRACTS}
LINT = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources to a place that is analysed instead of the installed package."""
    copy = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "palio", copy / "palio", ignore=ignored)
    shutil.copy(PYPROJECT, copy)
    return copy


def lint(house: Path) -> tuple[int, str]:
    """Return the exit code and the output of lint-imports over the copy."""
    environment = os.environ | {"PYTHONPATH": str(house), "COLUMNS": "250", "NO_COLOR": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def broken(output: str) -> set[str]:
    return {
        key for key, name in NAMES.items() if re.search(rf"{re.escape(name)}.* BROKEN", output)
    }


def test_the_house_keeps_its_contracts(house: Path) -> None:
    code, output = lint(house)
    assert code == 0, output
    assert f"{len(NAMES)} kept, 0 broken" in output


@pytest.mark.parametrize(
    ("planted", "statement", "contract"),
    [
        ("stats/planted.py", "import os", "pure"),
        ("experiments/planted.py", "import random", "pure"),
        ("registry/planted.py", "import palio.storage", "layers"),
        ("registry/planted.py", "import palio.experiments", "layers"),
        ("stats/planted.py", "import palio.bucketing", "layers"),
        ("http/planted.py", "import palio.cli", "layers"),
        ("experiments/planted.py", "import palio.charts", "layers"),
        ("planted.py", "", "layers"),
        ("cli/planted.py", "import sqlalchemy", "faces-thin"),
        ("edge/planted.py", "import sqlalchemy", "faces-thin"),
        ("http/planted.py", "import palio.serving", "faces-thin"),
        ("storage/planted.py", "import palio.edge", "adapters-blind"),
    ],
)
def test_a_planted_violation_is_found(
    house: Path, planted: str, statement: str, contract: str
) -> None:
    path = house / "palio" / planted
    path.write_text(f'"""Planted."""\n\n{statement}\n', encoding="utf-8")
    try:
        code, output = lint(house)
    finally:
        path.unlink()
    module = "palio." + planted.removesuffix(".py").replace("/", ".")
    assert code != 0
    assert contract in broken(output), output
    assert module in output
