"""The files of ``palio audit``: exported logs, checkpoints and keys."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from palio.access.audit import AuditCheck, Mark, check_chain, entries_of
from palio.access.checkpoint import new_key_pair
from palio.errors import AlreadyExists, InvalidInput

__all__ = [
    "check_file",
    "file_taken",
    "moment_in",
    "read_file",
    "read_private",
    "write_lines",
    "write_new",
    "write_pair",
]

_OWN = 0o600  # read and written by its owner alone
_ALL = 0o644


def check_file(path: Path, known: Mark | None) -> AuditCheck:
    """Check an exported log, a line at a time."""
    try:
        with path.open("rb") as lines:
            return check_chain(entries_of(lines), known)
    except OSError as unreadable:
        raise _cannot("file", path, unreadable) from unreadable


def moment_in(name: str, text: str | None) -> datetime | None:
    """Read a day or a moment; without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as unreadable:
        raise InvalidInput(
            f"{name} is {text!r}, which is no day or moment; write 2026-11-01 or "
            "2026-11-01T12:00:00Z",
            field=name,
            value=text,
        ) from unreadable


def read_file(path: Path, name: str) -> bytes:
    """Read a file that an option named."""
    try:
        return path.read_bytes()
    except OSError as unreadable:
        raise _cannot(name, path, unreadable) from unreadable


def read_private(path: Path) -> bytes:
    """Read a private key, unless others may read it too."""
    content = read_file(path, "key")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(
            f"key: others may read {path}; run `chmod 600 {path}`, or make another pair if they "
            "may have read it",
            field="key",
            value=str(path),
        )
    return content


def write_pair(path: Path) -> Path:
    """Make a key pair, the private key under a path and the public key beside it.

    Returns
    -------
    Path
        Where the public key is.
    """
    pair, public = new_key_pair(), path.with_name(f"{path.name}.pub")
    if public.exists():
        raise file_taken("file", public)
    write_new(path, pair.private, "file", mode=_OWN)
    write_new(public, pair.public, "file")
    return public


def write_new(path: Path, content: bytes, name: str, *, mode: int = _ALL) -> None:
    """Write a file where none is; who may read it is settled before anything is in it."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        _fill(number, path, [content])
    except FileExistsError as taken:
        raise file_taken(name, path) from taken
    except OSError as refused:
        raise _cannot(name, path, refused) from refused


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines aside, then put them in a file's place; return how many.

    Its owner alone may read what is written.
    """
    try:
        number, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        count = _fill(number, Path(aside), lines)
        _put(Path(aside), path)
    except OSError as refused:
        raise _cannot("file", path, refused) from refused
    return count


def _fill(number: int, path: Path, lines: Iterable[bytes]) -> int:
    """Write lines into a file that was opened, or take it away; return how many."""
    count = 0
    try:
        with os.fdopen(number, "wb") as file:
            for line in lines:
                file.write(line)
                count += 1
            file.flush()
            os.fsync(number)
    except BaseException:  # an interruption too
        path.unlink()
        raise
    return count


def _put(aside: Path, path: Path) -> None:
    try:
        aside.replace(path)
    except OSError:
        aside.unlink()
        raise


def _cannot(name: str, path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"{name}: {path}: {error.strerror or error}; check the path and who may use it",
        field=name,
        value=str(path),
    )


def file_taken(name: str, path: Path) -> AlreadyExists:
    """Return the error for a file that is there already."""
    return AlreadyExists(
        f"{name}: {path} exists and is not replaced; give another path",
        kind="file",
        name=str(path),
    )
