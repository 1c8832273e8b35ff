"""docs/statistics.md lists every public function, and each witness test it names exists."""

from __future__ import annotations

import re
from inspect import isfunction
from pathlib import Path

import pytest

import palio.stats

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text()
WITNESS = re.compile(r"(tests/[\w/]+\.py)?::(test_\w+)|(tests/[\w/]+\.py)")


def witnesses() -> list[tuple[str, str]]:
    """Each test that is named, with its file: ``::test_x`` alone is of the file named before."""
    found, file = [], ""
    for match in WITNESS.finditer(PAGE):
        file = match[1] or match[3] or file
        found.append((file, match[2] or ""))
    return found


FUNCTIONS = [name for name in palio.stats.__all__ if isfunction(getattr(palio.stats, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_its_place(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE), f"say in docs/statistics.md what {name} is for"


@pytest.mark.parametrize(("file", "test"), sorted(set(witnesses())))
def test_every_witness_exists(file: str, test: str) -> None:
    source = (ROOT / file).read_text()
    assert f"def {test}(" in source if test else "def test_" in source


def test_every_row_names_a_witness() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and row.count(" | ") >= 5]
    assert len(rows) > 60
    bare = [row for row in rows if "test_" not in row and "witness test" not in row]
    assert bare == []


def test_the_examples_run_in_their_order() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "statistics.md", "exec"), names)
