"""Files that others expect on disk: made from the audit log, entry by entry, from a cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_hex

from palio.access.audit import AuditEntry
from palio.access.service import Audit

__all__ = ["Follower", "written"]

_CURSOR = ".palio-cursor"
_AT_ONCE = 500


class Follower:
    """Keeps a tree of files as the audit log says; what it does twice changes nothing.

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
        while entries := self._audit.list(after=self._cursor(), limit=_AT_ONCE):
            self._project(entries)
            written(self._folder / _CURSOR, str(entries[-1].seq).encode())

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursor."""

    def _cursor(self) -> int:
        try:
            return int((self._folder / _CURSOR).read_text())
        except (FileNotFoundError, ValueError):
            return 0


def written(path: Path, content: bytes) -> Path:
    """Write a file as a whole: who reads it meanwhile sees the old one or the new one.

    Several threads and processes, also of several machines, may do so at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    beside.write_bytes(content)
    beside.replace(path)
    return path
