"""Every module says what it is for, and every list of public names is whole and in order."""

import ast
import importlib
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
FILES = sorted((SRC / "palio").rglob("*.py"))


def label(path: Path) -> str:
    """Return the dotted name: ``palio.stats`` for its ``__init__.py``."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def has_all(path: Path) -> bool:
    targets = [
        target
        for node in parse(path).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def imported() -> dict[str, set[str]]:
    """Return what palio's modules import from each other, by the module it is imported from."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = {alias.name for alias in node.names}
                found.setdefault(node.module or "", set()).update(names)
    return found


def ruff_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Return ruff's key (RUF022): constants, classes, the rest, numbers as numbers."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    pieces = re.findall(r"\d+|\D+", name)
    return kind, [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]


WITH_ALL = [path for path in FILES if has_all(path)]
MODULES = {label(path) for path in FILES}
IMPORTED = imported()


@pytest.mark.parametrize("path", FILES, ids=label)
def test_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", WITH_ALL, ids=label)
def test_public_names_exist_and_are_in_order(path: Path) -> None:
    module = importlib.import_module(label(path))
    names: list[str] = module.__all__
    assert names == sorted(set(names), key=ruff_order)
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("path", WITH_ALL, ids=label)
def test_what_another_module_imports_is_public(path: Path) -> None:
    own = label(path)
    used = {name for name in IMPORTED.get(own, set()) if f"{own}.{name}" not in MODULES}
    assert sorted(used - set(importlib.import_module(own).__all__)) == []
