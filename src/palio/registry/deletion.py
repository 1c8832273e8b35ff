"""Deleting what can be restored, and purging what cannot, inside a unit of work.

What is deleted keeps its record for good: its name never means other bytes, and history and
audit go on naming it. Nothing is deleted while something points at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict
from palio.registry import aliases
from palio.registry.domain import CHAMPION, Model, Use, Version
from palio.registry.ensembles.members import (
    check_restored,
    ensembles_with,
    lock_models,
    members_of,
)
from palio.registry.ensembles.spec import ENSEMBLE
from palio.registry.finding import find_model, find_version, lifecycle_of, remedy_for
from palio.registry.ports import RegistryUnit

__all__ = ["delete", "delete_model", "purge", "restore", "restore_model"]


def delete(unit: RegistryUnit, reference: str, change: Change) -> tuple[Version, Change]:
    """Delete a version that nothing points at.

    Raises
    ------
    Conflict
        Naming every alias, ensemble, endpoint and experiment that points at it.
    """
    named = find_version(unit, reference)
    find_model(unit, named.model, lock=True)
    version = find_version(unit, named.reference)
    pointing = [
        Use("alias", f"{version.model}@{alias}")
        for alias, name in aliases.targets(unit, version.model).items()
        if name == version.version
    ]
    _refuse(
        version.reference,
        [
            *pointing,
            *ensembles_with(unit, version.model, version.version),
            *unit.uses_of(version.model, version.version),
        ],
    )
    deleted = replace(version, deleted_at=change.at)
    unit.versions.put_many([deleted])
    return deleted, _told(change, version, deleted)


def restore(unit: RegistryUnit, reference: str, change: Change) -> tuple[Version, Change]:
    """Bring a deleted version back to the stage where it stood.

    Raises
    ------
    Conflict
        If it is not deleted, if its files are purged, if its model's lifecycle has that stage
        no more, or if it is an ensemble and a member is gone.
    """
    version = find_version(unit, reference, deleted=True)
    lock_models(unit, version.model, members_of(version))
    model = find_model(unit, version.model, lock=True)
    version = find_version(unit, version.reference, deleted=True)
    if version.deleted_at is None:
        raise _live(version.reference)
    if version.purged_at is not None:
        raise Conflict(
            f"{version.reference} cannot be restored: {remedy_for(version)}",
            version=version.reference,
        )
    lifecycle = lifecycle_of(unit, model)
    if not lifecycle.may_stand(version.stage, champion=False):
        raise Conflict(
            f"{version.reference} cannot be restored to {version.stage}: revision "
            f"{lifecycle.revision} of the lifecycle {lifecycle.name!r} has no place for it there; "
            f"`palio models adopt {model.name}` takes the model to one that has",
            version=version.reference,
            stage=version.stage,
        )
    restored = replace(version, deleted_at=None)
    unit.versions.put_many([restored])
    check_restored(unit, restored)
    return restored, _told(change, version, restored)


def purge(unit: RegistryUnit, reference: str, change: Change) -> tuple[Version, Change | None]:
    """Mark a deleted version, or one of a deleted model, as purged; its files go next.

    Returns
    -------
    tuple of Version and Change or None
        The version, and what to append to the audit log; nothing if it was marked before and
        only its files may be left.

    Raises
    ------
    Conflict
        If it is not deleted.
    """
    version = find_version(unit, reference, deleted=True)
    model = find_model(unit, version.model, lock=True, deleted=True)
    version = find_version(unit, version.reference, deleted=True)
    if version.purged_at is not None:
        return version, None
    if version.deleted_at is None and model.deleted_at is None:
        raise Conflict(
            f"{version.reference} is not deleted, and only what is deleted can be purged; "
            f"`palio models delete {version.reference}` first",
            version=version.reference,
        )
    purged = replace(version, deleted_at=version.deleted_at or change.at, purged_at=change.at)
    unit.versions.put_many([purged])
    return purged, _told(change, version, purged)


def delete_model(unit: RegistryUnit, name: str, change: Change) -> tuple[Model, Change]:
    """Delete a model on which nothing stands; its champion, if any, leaves production.

    Raises
    ------
    Conflict
        Naming every other alias, every ensemble of another model, every endpoint and every
        experiment.
    """
    model = find_model(unit, name, lock=True)
    pointing = [
        Use("alias", f"{name}@{alias}")
        for alias in aliases.targets(unit, name)
        if alias != CHAMPION
    ]
    _refuse(f"the model {name!r}", [*pointing, *ensembles_with(unit, name), *unit.uses_of(name)])
    former = aliases.abdicate(unit, lifecycle_of(unit, model), name, change)
    deleted = replace(model, deleted_at=change.at)
    unit.models.put_many([deleted])
    return deleted, replace(
        change,
        before={"champion": former, "deleted_at": None},
        after={"champion": None, "deleted_at": deleted.deleted_at},
    )


def restore_model(unit: RegistryUnit, name: str, change: Change) -> tuple[Model, Change]:
    """Bring a deleted model back, without a champion.

    Raises
    ------
    Conflict
        If it is not deleted, or if one of its ensembles has a member that is gone.
    """
    ensembles = unit.versions.find(model=name, flavor=ENSEMBLE, deleted_at=None)
    lock_models(unit, name, [member for one in ensembles for member in members_of(one)])
    model = find_model(unit, name, lock=True, deleted=True)
    if model.deleted_at is None:
        raise _live(f"the model {name!r}")
    restored = replace(model, deleted_at=None)
    unit.models.put_many([restored])
    for ensemble in ensembles:
        check_restored(unit, ensemble)
    before = {"deleted_at": model.deleted_at}
    return restored, replace(change, before=before, after={"deleted_at": None})


def _refuse(what: str, uses: Sequence[Use]) -> None:
    if uses:
        listed = ", ".join(f"{use.kind} {use.name}" for use in uses)
        raise Conflict(
            f"{what} cannot be deleted while something uses it: {listed}; "
            "point each elsewhere, clear it or end it first",
            uses=[{"kind": use.kind, "name": use.name} for use in uses],
        )


def _live(what: str) -> Conflict:
    return Conflict(f"{what} is not deleted; nothing to restore", name=what)


def _told(change: Change, before: Version, after: Version) -> Change:
    fields = ("deleted_at", "purged_at")
    differ = [name for name in fields if getattr(before, name) != getattr(after, name)]
    return replace(
        change,
        subject=after.reference,
        before={name: getattr(before, name) for name in differ},
        after={name: getattr(after, name) for name in differ},
    )
