"""Every documented item has a test, every line of a document an item, and pages say so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .documented import DIALECTS, SEEDS, document, shown_by

ROOT = Path(__file__).parents[2]
NAMED_IN = ("platform/dialects.py", "settings.py")
BELOW = [
    path
    for path in sorted((ROOT / "src" / "palio").rglob("*.py"))
    if "dialects" not in path.parts and not path.as_posix().endswith(NAMED_IN)
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_item_has_a_test(dialect: str) -> None:
    assert [item.id for item in document(dialect).items if item.id not in shown_by()] == []


def test_tests_show_only_what_is_documented() -> None:
    known = {item.id for name in DIALECTS for item in document(name).items}
    assert sorted(set(shown_by()) - known) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_line_is_an_item_or_prose(dialect: str) -> None:
    source = SEEDS / document(dialect).source
    if not source.exists() and not os.environ.get("PALIO_CI"):
        pytest.skip("the reference documents do not lie beside this checkout")
    assert document(dialect).unclaimed(source.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_layer_below_knows_its_words(dialect: str) -> None:
    words = "|".join(map(re.escape, (dialect, *document(dialect).vocabulary)))
    pattern = re.compile(rf"(?<![A-Za-z])({words})(?![A-Za-z])", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in BELOW
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_pages_say_which_test_shows_what() -> None:
    script = ROOT / "scripts" / "dialects.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")
