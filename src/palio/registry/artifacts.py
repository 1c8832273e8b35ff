"""Verbs on the bytes of versions: whether they are what was registered, and what is nobody's."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from palio.access.audit import AuditQuery, Change
from palio.access.domain import Identity, Role, requires
from palio.errors import Conflict, InvalidInput
from palio.ports import Clock, Store
from palio.registry.domain import Reference
from palio.registry.finding import find_version
from palio.registry.ports import ArtifactStore, Difference, Leftover, RegistryUnit

__all__ = ["Artifacts", "Fate", "Found", "Verification"]

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing a version with its manifest found; it holds when nothing differs."""

    version: str
    files: int
    size_bytes: int
    differences: Sequence[Difference]


class Fate(enum.StrEnum):
    """What becomes of a leftover."""

    KEPT = "kept"  # something may need it
    REMOVABLE = "removable"  # nothing needs it; it is removed when asked
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that belongs to no version, how old it is, and what becomes of it and why."""

    place: str
    size_bytes: int
    age_s: float
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """The files of versions."""

    store: Store[RegistryUnit]
    artifacts: ArtifactStore
    clock: Clock
    actor: Identity

    @requires(Role.VIEWER)
    def verify(self, reference: str) -> Verification:
        """Compare every byte of a version with its manifest, and tell what differs, by file.

        Raises
        ------
        Conflict
            If its files were purged.
        """
        with self.store.read() as unit:
            version = find_version(unit, reference, deleted=True)
        if version.purged_at is not None:
            raise Conflict(
                f"the files of {version.reference} were purged at "
                f"{version.purged_at.isoformat()}; there is nothing to compare",
                version=version.reference,
            )
        found = self.artifacts.differences(version.model, version.version, version.manifest)
        return Verification(
            version=version.reference,
            files=len(version.manifest.files),
            size_bytes=sum(file.size_bytes for file in version.manifest.files),
            differences=[*found],
        )

    @requires(Role.ADMIN)
    def gc(self, *, dry_run: bool = True, older_than_s: float = 3600.0) -> Sequence[Found]:
        """List what nothing needs, or remove it: registrations that did not finish, purged files.

        What a record, an alias, an experiment or the audit log names stays, whatever its age.

        Parameters
        ----------
        dry_run
            Whether everything stays.
        older_than_s
            Seconds since the last byte was written; what is younger may belong to a registration
            under way, and stays.
        """
        if not (math.isfinite(older_than_s) and older_than_s >= 0):
            raise InvalidInput(
                f"older_than_s is {older_than_s}; give seconds, 0 or more",
                field="older_than_s",
                value=str(older_than_s),
            )
        with self.store.read() as unit:
            known = {version.reference for version in unit.versions.find(purged_at=None)}
        leftovers = self.artifacts.leftovers(known)
        return [self._judged(one, older_than_s, dry_run=dry_run) for one in leftovers]

    def _judged(self, leftover: Leftover, older_than_s: float, *, dry_run: bool) -> Found:
        age_s = (self.clock() - leftover.changed_at).total_seconds()
        if age_s < older_than_s:
            why = f"younger than {older_than_s:g} s; it may be a registration under way"
            return _found(leftover, age_s, Fate.KEPT, why)
        if not dry_run:
            return self._removed(leftover, age_s)
        with self.store.read() as unit:
            needed = _needed_by(unit, leftover)
            why = needed or _why_nobodys(unit, leftover)
        return _found(leftover, age_s, Fate.KEPT if needed else Fate.REMOVABLE, why)

    def _removed(self, leftover: Leftover, age_s: float) -> Found:
        """Look again while no registration can end there, and remove it if nothing needs it."""
        with self.store.write() as unit:
            if leftover.version is not None:
                unit.models.get(Reference.parse(leftover.version).model, lock=True)
            if needed := _needed_by(unit, leftover):
                return _found(leftover, age_s, Fate.KEPT, needed)
            why = _why_nobodys(unit, leftover)
            self.artifacts.discard(leftover)
            unit.audit.append(
                Change(
                    at=self.clock(),
                    actor=self.actor.name,
                    action="artifacts.gc",
                    subject=leftover.version or leftover.place,
                    before={"place": leftover.place, "size_bytes": leftover.size_bytes},
                    reason=why,
                )
            )
        return _found(leftover, age_s, Fate.REMOVED, why)


def _found(leftover: Leftover, age_s: float, fate: Fate, why: str) -> Found:
    return Found(leftover.place, leftover.size_bytes, max(0.0, age_s), fate, why)


def _needed_by(unit: RegistryUnit, leftover: Leftover) -> str:
    """Return what needs a folder, in words; nothing for a folder that nobody needs."""
    if leftover.version is None:
        return ""
    named = Reference.parse(leftover.version)
    model, version = named.model, str(named.version)
    record = unit.versions.get(model, version)
    if record is not None:
        return "" if record.purged_at is not None else "it was registered meanwhile"
    missing = "its record is missing; restore the database from a newer backup"
    if any(
        version in (move.version, move.previous) for move in unit.alias_moves.find(model=model)
    ):
        return f"an alias has pointed at this version, and {missing}"
    if uses := unit.uses_of(model, version):
        return f"{uses[0].kind} {uses[0].name} uses this version, and {missing}"
    if _was_registered(unit, model, leftover.version):
        return f"the audit log tells of its registration, and {missing}"
    return ""


def _why_nobodys(unit: RegistryUnit, leftover: Leftover) -> str:
    if leftover.version is None:
        return "a registration that did not finish"
    named = Reference.parse(leftover.version)
    if unit.versions.get(named.model, named.version) is not None:
        return "the version was purged"
    return "no version has these files: a registration that did not finish"


def _was_registered(unit: RegistryUnit, model: str, version: str) -> bool:
    query, after = AuditQuery(model=model, action="version.register"), 0
    while page := unit.audit.find(query, after=after, limit=_PAGE):
        if any(entry.subject == version for entry in page):
            return True
        after = page[-1].seq
    return False
