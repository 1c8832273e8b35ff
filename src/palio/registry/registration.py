"""How files become a version, inside a unit of work."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime

from palio.access.audit import Change
from palio.errors import AlreadyExists, InvalidInput
from palio.registry.domain import Manifest, Model, Version, VersionDraft
from palio.registry.ensembles.members import hold
from palio.registry.finding import find_model, find_version, lifecycle_of
from palio.registry.ports import RegistryUnit, StagedFiles

__all__ = ["Registration", "register", "with_parent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What is to become a version: of which model, what is known of it, since when, by whom.

    ``members`` are the versions that it asks, if it is an ensemble.
    """

    model: str
    draft: VersionDraft
    created_at: datetime
    created_by: str
    members: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.model}:{self.draft.version}"


def with_parent(unit: RegistryUnit, asked: Registration) -> Registration:
    """Return a registration whose parent, if it has one, exists and is named by its own name.

    Raises
    ------
    NotFound
        If there is no such version.
    InvalidInput
        If it would be its own parent.
    """
    if asked.draft.parent is None:
        return asked
    parent = asked.draft.parent
    if parent == asked.reference:
        raise InvalidInput(
            f"parent: {parent} cannot be made from itself; name the version it was made from",
            field="parent",
            value=parent,
        )
    found = find_version(unit, parent).reference
    return replace(asked, draft=replace(asked.draft, parent=found))


def register(
    unit: RegistryUnit, asked: Registration, staged: StagedFiles, *, at: datetime
) -> Version:
    """Add a version, and its model if it is the first; publish its files, write the audit log."""
    hold(unit, asked.model, asked.members)
    asked = with_parent(unit, asked)
    change = Change(
        at=at, actor=asked.created_by, action="version.register", subject=asked.reference
    )
    model = unit.models.get(asked.model, lock=True)
    first = model is None
    if model is None:
        model = Model(asked.model, "standard", asked.created_at, asked.created_by)
        unit.models.add(model)
    model = find_model(unit, model.name)
    version = _admitted(unit, model, asked, staged.manifest)
    unit.versions.add(version)
    staged.publish()
    if first:
        made = {"lifecycle": model.lifecycle, "description": ""}
        unit.audit.append(replace(change, action="model.create", subject=model.name, after=made))
    after = {"digest": version.manifest.digest, "stage": version.stage}
    unit.audit.append(replace(change, after=after))
    return version


def _admitted(
    unit: RegistryUnit, model: Model, asked: Registration, manifest: Manifest
) -> Version:
    taken = unit.versions.get(model.name, asked.draft.version)
    if taken is not None:
        raise AlreadyExists(
            f"{asked.reference} exists, and versions never change; register under another version"
            if taken.deleted_at is None
            else f"{asked.reference} was deleted, and its name never means other bytes; "
            "register under another version",
            kind="version",
            name=asked.reference,
        )
    last = unit.versions.find(model=model.name, last=1)
    draft = {field.name: getattr(asked.draft, field.name) for field in fields(asked.draft)}
    return Version(
        **draft,
        model=model.name,
        ordinal=last[0].ordinal + 1 if last else 1,
        stage=lifecycle_of(unit, model).initial,
        manifest=manifest,
        created_at=asked.created_at,
        created_by=asked.created_by,
    )
