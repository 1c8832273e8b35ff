"""Files that others expect on disk: made from the audit log, entry by entry, from a cursor."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from palio.access.audit import AuditEntry
from palio.access.service import Audit
from palio.errors import StoreUnavailable

__all__ = ["Follower", "alone", "written"]

_CURSOR, _LOCK = ".palio-cursor", ".palio-lock"
_WAIT_S = 30.0  # for others who write: a model that is written as an object may take its time
_LOOK_S = 0.02
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_AT_ONCE = 500


class Follower:
    """Keeps a tree of files as the audit log says; what it does twice changes nothing.

    Any number of processes may follow in one folder: one at a time reads what there is and writes
    it, so that nobody writes what was true before over what is true now.

    Parameters
    ----------
    audit
        The verbs on the audit log.
    folder
        Where the tree stands; its cursor is kept in it, so that a tree that is removed is made
        anew.
    project
        Brings the tree up to what entries say; called with those since the last time.
    rest_s
        Seconds between two looks of a server.
    """

    def __init__(
        self,
        audit: Audit,
        folder: Path,
        project: Callable[[Sequence[AuditEntry]], None],
        *,
        rest_s: float = 1.0,
    ) -> None:
        self._audit = audit
        self._folder = folder
        self._project = project
        self.rest_s = rest_s

    def step(self) -> None:
        """Follow to the end of the log."""
        while self._next(limit=1):  # most looks find nothing, and need nobody to wait
            with alone(self._folder):
                if entries := self._next(limit=_AT_ONCE):
                    self._project(entries)
                    written(self._folder / _CURSOR, str(entries[-1].seq).encode())

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursor."""

    def _next(self, *, limit: int) -> Sequence[AuditEntry]:
        return self._audit.list(after=self._cursor(), limit=limit)

    def _cursor(self) -> int:
        try:
            return int((self._folder / _CURSOR).read_text())
        except (FileNotFoundError, ValueError):
            return 0


@contextmanager
def alone(folder: Path, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold a tree of files: no other thread or process does until the end.

    What is to be written must be read within. Where the file system knows no locks, nobody waits.

    Parameters
    ----------
    folder
        Where the tree stands, made if it is not there.
    wait_s
        Seconds that others may hold it.

    Raises
    ------
    StoreUnavailable
        If it is held for longer.
    """
    until = time.monotonic() + wait_s
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as lock:  # closed, and so let go, however this ends
        while not _locked(lock):
            if time.monotonic() >= until:
                raise StoreUnavailable(
                    f"{folder} has been written by another process for {wait_s:g} s; see what "
                    "hangs there, and try again"
                )
            time.sleep(_LOOK_S)
        yield


def _locked(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as refused:
        if refused.errno not in _NO_LOCKS:
            raise
    return True


def written(path: Path, content: bytes) -> Path:
    """Write a file as a whole: who reads it meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
    return path
