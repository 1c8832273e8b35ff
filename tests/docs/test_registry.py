"""docs/registry.md: every test it names exists, and its lifecycle can be declared."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from palio.artifacts.flavors import FLAVORS
from palio.registry.lifecycle import Lifecycle
from palio.registry.search.parsing import parse_query

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not name or name in functions


def test_every_row_of_ours_names_a_test() -> None:
    rows = re.findall(r"^\| [^|]+ \| (●[^|]*) \|", PAGE, flags=re.MULTILINE)
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []


def test_notes_are_all_there() -> None:
    used = {int(number) for number in re.findall(r"\[(\d+)\] ", PAGE)}
    listed = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, flags=re.MULTILINE)]
    assert listed == list(range(1, len(listed) + 1))
    assert used == set(listed)


def test_the_lifecycle_holds() -> None:
    (written,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert Lifecycle.declared(yaml.safe_load(written)).name == "reviewed"


def test_every_flavor_is_listed() -> None:
    table = PAGE.partition("| flavor |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(FLAVORS)


def test_queries_read() -> None:
    table = PAGE.partition("| write | means |")[2].partition("\n\n")[0]
    written = [
        query for query in re.findall(r"`([^`]+)`", table) if re.match(r"[a-z.]+ \S+ .", query)
    ]
    assert len(written) > 4
    for query in written:
        parse_query(query)
