"""Which tests show what of the documents: read from the tests, and from lists of what there is.

``items/x.yaml`` lists, for one dialect, everything its document promises, each with the lines
where it stands. A test says what it shows: ``@documents("credtech:train", …)``.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["DIALECTS", "SEEDS", "Document", "Item", "document", "documents", "shown_by", "table"]

HERE = Path(__file__).parent
SEEDS = HERE.parents[2] / "shared" / "seeds"
DIALECTS = tuple(sorted(path.stem for path in (HERE / "items").glob("*.yaml")))


def documents(*items: str) -> pytest.MarkDecorator:
    """Mark a test with what it shows: ``dialect:item``."""
    return pytest.mark.documents(*items)


@dataclass(frozen=True)
class Item:
    """Something that a document promises, in a few words of ours, and the lines it stands in."""

    id: str
    what: str
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Document:
    """A document: what it promises, and which of its lines promise nothing.

    Attributes
    ----------
    source
        The file's name among the reference documents.
    vocabulary
        Words of this dialect that no layer below may know.
    prose
        Lines that promise nothing, each stretch with the reason.
    """

    source: str
    vocabulary: tuple[str, ...]
    items: tuple[Item, ...]
    prose: Mapping[tuple[int, int], str]

    def unclaimed(self, text: str) -> list[int]:
        """Return the numbers of lines that are neither promised nor prose."""
        claimed = {
            number
            for first, last in [*self.prose, *(one for item in self.items for one in item.lines)]
            for number in range(first, last + 1)
        }
        lines = enumerate(text.splitlines(), 1)
        return [number for number, line in lines if line.strip() and number not in claimed]


@cache
def document(dialect: str) -> Document:
    """Return the list of what a dialect's document promises."""
    content: dict[str, Any] = yaml.safe_load((HERE / "items" / f"{dialect}.yaml").read_text())
    return Document(
        source=content["source"],
        vocabulary=tuple(content["vocabulary"]),
        items=tuple(
            Item(f"{dialect}:{one['id']}", one["what"], _stretches(one["lines"]))
            for one in content["items"]
        ),
        prose={
            stretch: why
            for lines, why in content.get("prose", {}).items()
            for stretch in _stretches(lines)
        },
    )


def _stretches(lines: str | int) -> tuple[tuple[int, int], ...]:
    """Read ``12`` or ``3-7, 12``."""
    parts = [part.strip().partition("-") for part in str(lines).split(",")]
    return tuple((int(first), int(last or first)) for first, _, last in parts)


@cache
def shown_by() -> Mapping[str, Sequence[str]]:
    """Return the tests that show each item, as ``file::test``, read from their source."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(HERE.rglob("test_*.py")):
        for name, items in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            for item in items:
                found[item].append(f"{path.relative_to(HERE).as_posix()}::{name}")
    return found


def _marked(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _name(decorator.func) == "documents":
                    given = [one.value for one in decorator.args if isinstance(one, ast.Constant)]
                    yield node.name, [str(one) for one in given]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def table(dialect: str) -> str:
    """Return what a dialect's page says of its coverage, as Markdown."""
    found = document(dialect)
    rows = [
        f"| {item.what} | {_told(item.lines)} | "
        f"{', '.join(f'`{test}`' for test in shown_by().get(item.id, ())) or '**none**'} |"
        for item in found.items
    ]
    head = f"| documented (`{found.source}`) | lines | test |\n| --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _told(lines: Sequence[tuple[int, int]]) -> str:
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in lines)
