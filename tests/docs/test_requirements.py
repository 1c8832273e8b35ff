"""What is pinned: every requirement with hashes, no index named, nothing heavy, no drift."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(REQUIREMENTS.glob("*.txt"))
PIN = re.compile(r"[a-z0-9-]+==[^\s;]+( ; .+?)?(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)")
HEAVY = re.compile(r"torch|tensorflow|nvidia-|cuda|cupy|triton")


def logical_lines(path: Path) -> list[str]:
    text = re.sub(r"\s*\\\n\s*", " ", path.read_text(encoding="utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(path: Path) -> set[str]:
    return {line.split(" --hash", 1)[0] for line in logical_lines(path)}


def versions(path: Path) -> dict[str, set[str]]:
    """Return the pinned versions by package; several where the markers differ."""
    found: dict[str, set[str]] = {}
    for pin in pins(path):
        name, version = pin.split(";")[0].strip().split("==")
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def unsatisfied(wanted: list[str], path: Path) -> list[str]:
    pinned = versions(path)
    return [
        text
        for text in wanted
        for requirement in [Requirement(text)]
        for found in [pinned.get(canonicalize_name(requirement.name), set())]
        if not found or not all(requirement.specifier.contains(version) for version in found)
    ]


def group(name: str) -> list[str]:
    entries = PYPROJECT["dependency-groups"][name]
    plain = [entry for entry in entries if isinstance(entry, str)]
    included = [entry["include-group"] for entry in entries if isinstance(entry, dict)]
    return plain + [entry for inner in included for entry in group(inner)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_line_is_a_pin_with_hashes(path: Path) -> None:
    assert logical_lines(path)
    assert [line for line in logical_lines(path) if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_a_host_or_an_index(path: Path) -> None:
    assert not re.search(r"://|index-url|find-links|trusted-host", path.read_text("utf-8"))


SMALL = [path for path in FILES if path.name != "frameworks.txt"]  # all that `make test` installs


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_nothing_heavy_is_dragged_in(path: Path) -> None:
    assert [name for name in versions(path) if HEAVY.search(name)] == []


def test_no_other_lock_file() -> None:
    assert [path.name for path in (*ROOT.glob("*.lock"), *ROOT.glob("*-lock.*"))] == []


def test_runtime_pins_what_the_project_asks_for() -> None:
    wanted = PYPROJECT["project"]["dependencies"]
    assert unsatisfied(wanted, REQUIREMENTS / "runtime.txt") == []


@pytest.mark.parametrize("name", sorted(PYPROJECT["dependency-groups"]))
def test_each_group_is_pinned_in_the_file_of_its_name(name: str) -> None:
    assert unsatisfied(group(name), REQUIREMENTS / f"{name}.txt") == []


def test_the_sets_agree() -> None:
    runtime, test, check = (pins(REQUIREMENTS / f"{n}.txt") for n in ("runtime", "test", "check"))
    assert runtime <= test <= check


def test_the_build_backend_is_the_pinned_one() -> None:
    wanted = PYPROJECT["build-system"]["requires"]
    assert all("==" in requirement for requirement in wanted)
    assert unsatisfied(wanted, REQUIREMENTS / "build.txt") == []
