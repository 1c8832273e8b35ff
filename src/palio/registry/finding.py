"""Models, versions and lifecycles by name, inside a unit of work.

What was deleted is found by those alone that ask for it: to look at it, restore it or purge it.
"""

from __future__ import annotations

from palio.errors import InvalidInput, NotFound
from palio.registry import aliases
from palio.registry.domain import Model, Reference, Version
from palio.registry.lifecycle import BUILTIN, Lifecycle
from palio.registry.ports import RegistryUnit

__all__ = [
    "check_stage",
    "find_lifecycle",
    "find_model",
    "find_version",
    "lifecycle_of",
    "remedy_for",
]


def find_model(
    unit: RegistryUnit, name: str, *, lock: bool = False, deleted: bool = False
) -> Model:
    """Return a model or raise ``NotFound``.

    Parameters
    ----------
    unit, name
        Where, and which.
    lock
        Keep its versions and aliases still until the unit ends.
    deleted
        Return it if it was deleted, too.
    """
    model = unit.models.get(name, lock=lock)
    if model is None:
        raise NotFound(
            f"no model is named {name!r}; `palio models list` shows them", kind="model", name=name
        )
    if model.deleted_at is not None and not deleted:
        raise NotFound(
            f"the model {name!r} was deleted at {model.deleted_at.isoformat()}; "
            f"`palio models restore {name}` brings it back",
            kind="model",
            name=name,
        )
    return model


def find_lifecycle(unit: RegistryUnit, name: str, revision: int | None = None) -> Lifecycle:
    """Return a revision of a lifecycle, the newest if none is asked for, or raise ``NotFound``."""
    revisions = [BUILTIN[name]] if name in BUILTIN else unit.lifecycles.find(name=name)
    if not revisions:
        raise NotFound(
            f"no lifecycle is named {name!r}; built in are {', '.join(BUILTIN)}, "
            "and `palio lifecycles list` shows the declared ones",
            kind="lifecycle",
            name=name,
        )
    newest = revisions[-1]
    for one in reversed(revisions):
        if revision in (None, one.revision):
            return one
    raise NotFound(
        f"the lifecycle {name!r} has no revision {revision}; its newest is {newest.revision}",
        kind="lifecycle",
        name=name,
    )


def lifecycle_of(unit: RegistryUnit, model: Model) -> Lifecycle:
    """Return the lifecycle that a model's versions follow, in the model's revision."""
    return find_lifecycle(unit, model.lifecycle, model.lifecycle_revision)


def find_version(unit: RegistryUnit, reference: str, *, deleted: bool = False) -> Version:
    """Return the version that a reference names, or raise ``NotFound``.

    Parameters
    ----------
    unit, reference
        Where, and which.
    deleted
        Return it if it or its model was deleted, too.
    """
    named = Reference.parse(reference)
    find_model(unit, named.model, deleted=deleted)
    name = named.version
    if named.alias is not None:
        name = aliases.target(unit, named.model, named.alias)
        if name is None:
            raise NotFound(
                f"{named.model} has no alias {named.alias!r}; "
                f"`palio models aliases {named.model}` shows them",
                kind="alias",
                name=reference,
            )
    version = unit.versions.get(named.model, name)
    if version is None:
        raise NotFound(
            f"{named.model} has no version {name!r}; "
            f"`palio models versions {named.model}` shows them",
            kind="version",
            name=reference,
        )
    if version.deleted_at is not None and not deleted:
        raise NotFound(
            f"{version.reference} was deleted at {version.deleted_at.isoformat()}; "
            + remedy_for(version),
            kind="version",
            name=reference,
        )
    return version


def remedy_for(version: Version) -> str:
    """Return what can be done about a version that was deleted."""
    if version.purged_at is not None:
        return f"its files were purged at {version.purged_at.isoformat()}; use another version"
    return f"`palio models restore {version.reference}` brings it back"


def check_stage(lifecycle: Lifecycle, stage: str) -> None:
    """Raise ``InvalidInput`` unless a lifecycle has a stage."""
    if stage not in lifecycle.stages:
        raise InvalidInput(
            f"{stage!r} is no stage of the lifecycle {lifecycle.name!r}; "
            f"it has {', '.join(lifecycle.stages)}",
            field="stage",
            value=stage,
        )
