"""What access needs of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from palio.access.alerts import AlertUnit
from palio.access.audit import AuditEntry, AuditQuery, Change
from palio.access.domain import ApiKey
from palio.ports import Collection

__all__ = ["AccessUnit", "AuditLog"]


class AuditLog(Protocol):
    """The chain of audit entries, inside one unit of work.

    Obligations: an entry is kept exactly when the change it describes is; two units never
    append after the same entry; entries are never changed. Where somebody else made an entry
    unreadable, reading it raises ``CorruptArtifact``, and the entries before it can be read.
    """

    def append(self, change: Change) -> AuditEntry:
        """Seal the change after the last entry; called last in a unit, for it locks the head."""
        ...

    def head(self) -> int:
        """Return the ``seq`` of the last entry, 0 when there is none."""
        ...

    def entries(self, *, after: int = 0, limit: int | None = None) -> Sequence[AuditEntry]:
        """Return entries in order, from the one following ``after``."""
        ...

    def head_hash(self) -> str:
        """Return the hash that the next entry will follow, as kept beside the entries."""
        ...

    def find(self, query: AuditQuery, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return the entries a query asks for, in order, from the one following ``after``.

        Subjects decide which entries belong to a model, and nothing in ``before`` or ``after``:
        ``model:…`` and ``model@…`` under any action; the model's own name, unless the action's
        noun is ``endpoint``, ``experiment``, ``key`` or ``lifecycle``; under ``endpoint.…`` the
        endpoints that serve it; under ``experiment.…`` the experiments on it.
        """
        ...


class AccessUnit(AlertUnit, Protocol):
    """Keys, alerts and the audit log, inside one unit of work."""

    @property
    def keys(self) -> Collection[ApiKey]:
        """Keys under their id."""
        ...

    @property
    def audit(self) -> AuditLog:
        """The audit log."""
        ...
