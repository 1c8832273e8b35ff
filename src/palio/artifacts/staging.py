"""Files that are to become a version: which there are, and which are refused."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from palio.artifacts.folders import CHUNK_BYTES
from palio.errors import InvalidInput
from palio.registry.domain import RESERVED_FILES, ArtifactFile
from palio.registry.paths import Paths

__all__ = ["copied", "files_of"]


def files_of(source: Path | Mapping[str, Path], documents: Iterable[str]) -> dict[str, Path]:
    """Return the files of a folder, or the files given, by the path they are to have.

    Raises
    ------
    InvalidInput
        If there are none, and no document says more than the reserved ones, which describe;
        or if one of them is no regular file, would lie outside of the version's folder, or has
        a name that Palio writes itself: those of ``documents``, and the reserved ones in
        whatever case.
    """
    given = _below(source) if isinstance(source, Path) else source
    found = dict(sorted(given.items()))
    documents = frozenset(documents)
    if not found and documents <= RESERVED_FILES:
        raise _unusable(source, "holds no files; save the model there first")
    taken = RESERVED_FILES.union(documents)
    paths = Paths("files", most=sys.maxsize)  # on this machine nobody counts
    for name, path in found.items():
        paths.add(name)
        if path.is_symlink() or not path.is_file():
            raise _unusable(path, "is a link or no file; give the file itself")
        if name in taken or name.casefold() in taken:
            raise _unusable(path, f"would be {name}, a name that Palio reserves; rename it")
    return found


def copied(source: Path, copy: Any, name: str) -> ArtifactFile:
    """Copy a file into an open one, and hash the very bytes that are written.

    Raises
    ------
    InvalidInput
        If the file cannot be read.
    """
    digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK_BYTES))
    with _opened(source) as original:
        while count := original.readinto(buffer):  # type: ignore[attr-defined]
            chunk = buffer[:count]
            copy.write(chunk)
            digest.update(chunk)
            size += count
    return ArtifactFile(path=name, size_bytes=size, sha256=digest.hexdigest())


def _below(source: Path) -> dict[str, Path]:
    if not source.is_dir():
        raise _unusable(source, "is no folder; give the folder that holds the model's files")
    found = {}
    for root, folders, names in os.walk(source):
        for path in (Path(root) / name for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise _unusable(path, "is a link or a device; copy the file itself there")
            if path.is_file():
                found[path.relative_to(source).as_posix()] = path
    return found


def _opened(source: Path) -> BinaryIO:
    try:
        # O_NOFOLLOW: a link put there after the check is refused too
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise _unusable(source, f"cannot be read: {error.strerror}; check who may") from error
    return os.fdopen(descriptor, "rb", buffering=0)


def _unusable(source: object, why: str) -> InvalidInput:
    what = source if isinstance(source, Path) else "the source"
    return InvalidInput(f"{what} {why}", field="source", value=str(what))
