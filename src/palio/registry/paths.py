"""Relative names of a version's files: what comes from outside is checked here, one by one."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from palio.errors import InvalidInput

__all__ = ["MOST_FILES", "Paths"]

MOST_FILES = 1_000
"""How many files one version may have that come as an upload, an archive or a source."""

_LONGEST_PART = 255  # bytes: what file systems take
_LONGEST_PATH = 1_024
_DRIVE = re.compile(r"[A-Za-z]:")


class Paths:
    """The names of one version's files, checked as they are added.

    Two names clash that are the same, that differ by case or Unicode normal form only, or where
    one is a folder of the other: on some disk they would be one file.

    Parameters
    ----------
    field
        How errors call the parameter that the names came with.
    most
        How many there may be.
    """

    def __init__(self, field: str, *, most: int = MOST_FILES) -> None:
        self._field = field
        self._most = most
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str) -> PurePosixPath:
        """Return a file's name as a path that stays inside of its folder.

        Raises
        ------
        InvalidInput
            As ``check``; or if the name clashes with another, or is one too many.
        """
        path = self.check(name)
        self._take(path, name)
        return path

    def check(self, name: str) -> PurePosixPath:
        """Return a name as a path, without taking it.

        Raises
        ------
        InvalidInput
            If it would leave the folder, percent-encoded or not, or if no file can have it.
        """
        plain = unquote(name)
        if _leaves(plain) or _leaves(unquote(plain)):
            raise self._refused(name, "leaves the version's folder; send a relative path")
        if not _possible(name) or not _possible(plain):
            raise self._refused(name, "cannot be the name of a file")
        return PurePosixPath(name)

    def _take(self, path: PurePosixPath, name: str) -> None:
        key = normalize("NFC", normalize("NFC", str(path)).casefold())
        above = {str(one) for one in PurePosixPath(key).parents}
        if key in self._files | self._folders or above & self._files:
            raise self._refused(name, "comes twice, or as file and folder")
        if len(self._files) == self._most:
            raise self._refused(name, f"is one too many: a version has at most {self._most} files")
        self._files.add(key)
        self._folders |= above

    def _refused(self, name: str, why: str) -> InvalidInput:
        shown = name[:_LONGEST_PART]
        return InvalidInput(f"the file name {shown!r} {why}", field=self._field, value=shown)


def _leaves(name: str) -> bool:
    parts = name.split("/")
    return name.startswith("/") or ".." in parts or "\\" in name or bool(_DRIVE.match(name))


def _possible(name: str) -> bool:
    parts = name.split("/")
    longest = max(len(part.encode(errors="surrogatepass")) for part in parts)
    short = longest <= _LONGEST_PART and len(name) <= _LONGEST_PATH
    # a form cannot carry a quotation mark in a name as it is
    return short and name.isprintable() and not {"", "."} & set(parts) and '"' not in name
