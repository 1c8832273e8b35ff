"""Names of a version's files: what stays in the folder is taken, all else is refused."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.registry.paths import MOST_FILES, Paths

LEAVING = [
    *("../up", "a/../../up", "..", "a/..", "/etc/up", "//up", "\\up", "a\\b", "..\\up"),
    *("C:up", "c:/up", "C:\\up", "%2e%2e%2fup", "%2E%2E/up", "a/%2e%2e/up", "%2fetc", "a%5cb"),
    *("%252e%252e%252fup", "%252fetc"),
]
IMPOSSIBLE = [
    *("", ".", "./a", "a/./b", "a//b", "a/", "a\0b", "a%00b", "a\nb", "\x7f", "\ud800"),
    *("x" * 256, "ü" * 200, "a/" * 600 + "b", "\u202eb", 'a"b', "a%22b"),
]


@pytest.mark.parametrize("name", LEAVING)
def test_names_that_leave_the_folder(name: str) -> None:
    with pytest.raises(InvalidInput, match="leaves the version's folder") as refused:
        Paths("files").add(name)
    assert refused.value.details == {"field": "files", "value": name}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name of a file") as refused:
        Paths("archive").add(name)
    assert refused.value.details == {"field": "archive", "value": name[:255]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "a"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("A.txt", "a.TXT"),
        ("a/B/c", "A/b"),
        ("stra\u00dfe", "STRASSE"),  # folded by case: ß is ss
        ("\u00fc", "u\u0308"),  # ü as one sign, and as u with dots
        ("\u00dc", "u\u0308"),
    ],
)
def test_names_that_clash(first: str, second: str) -> None:
    paths = Paths("files")
    paths.add(first)
    with pytest.raises(InvalidInput, match="comes twice, or as file and folder"):
        paths.add(second)


def test_names_that_are_taken() -> None:
    paths = Paths("files")
    for name in ("a", "b/c", "b/d", "100%.txt", "a b", "%41", "ünïcode/名前"):
        assert paths.add(name) == PurePosixPath(name)


def test_one_too_many() -> None:
    paths = Paths("files")
    for number in range(MOST_FILES):
        paths.add(f"{number}")
    with pytest.raises(InvalidInput, match="a version has at most 1000 files"):
        paths.add("last")


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.txt", "C:", "\\", "é"]), max_size=6))
def test_what_is_taken_stays_inside_however_it_is_encoded(parts: list[str]) -> None:
    name = "/".join(parts)
    for form in (name, quote(name, safe="/"), quote(name, safe="")):
        try:
            path = Paths("files").add(form)
        except InvalidInput:
            continue
        assert not path.is_absolute()
        assert not {"..", "."} & set(path.parts)
        assert str(path) == form
