"""ARCHITECTURE.md has a line for every folder and file of the package, and for no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "palio"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
# A folder of numbered revisions is one line; `__init__.py` is described by its folder's line.
UNLISTED_BELOW = "versions"


def house() -> set[str]:
    """Return the paths below ``src/palio``: ``stats/moments.py`` and ``stats/`` alike."""
    files = {
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*.py")
        if "__pycache__" not in path.parts
    }
    folders = {parent for file in files for parent in file.parents if parent != Path()}
    listed = {file for file in files if file.name != "__init__.py"}
    return {f"{path.as_posix()}/" for path in folders if UNLISTED_BELOW not in path.parts[:-1]} | {
        path.as_posix() for path in listed if UNLISTED_BELOW not in path.parts
    }


def mentioned() -> set[str]:
    """Return what stands in backticks and looks like a path of the package."""
    quoted = re.findall(r"`([\w./-]+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    return {text.removeprefix("src/palio/") for text in quoted if re.search(r"\.py$|/$", text)}


def test_every_folder_and_file_has_a_line() -> None:
    missing = sorted(house() - mentioned())
    assert missing == [], "write a line with each of these in backticks, as `stats/moments.py`"


def test_no_line_is_about_a_file_that_is_gone() -> None:
    stale = [
        text
        for text in sorted(mentioned() - house())
        if not (ROOT / text).exists() and not (PACKAGE / text).exists()
    ]
    assert stale == []
