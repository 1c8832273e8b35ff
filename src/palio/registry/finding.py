"""Models, versions and lifecycles by name, inside a unit of work."""

from __future__ import annotations

from palio.errors import InvalidInput, NotFound
from palio.registry import aliases
from palio.registry.domain import Model, Reference, Version
from palio.registry.lifecycle import BUILTIN, Lifecycle
from palio.registry.ports import RegistryUnit

__all__ = ["check_stage", "find_lifecycle", "find_model", "find_version"]


def find_model(unit: RegistryUnit, name: str, *, lock: bool = False) -> Model:
    """Return a model or raise ``NotFound``; ``lock`` keeps its versions and aliases still."""
    model = unit.models.get(name, lock=lock)
    if model is None:
        raise NotFound(
            f"no model is named {name!r}; `palio models list` shows them", kind="model", name=name
        )
    return model


def find_lifecycle(unit: RegistryUnit, name: str) -> Lifecycle:
    """Return a lifecycle, built in or declared, or raise ``NotFound``."""
    lifecycle = BUILTIN.get(name) or unit.lifecycles.get(name, 1)
    if lifecycle is None:
        raise NotFound(
            f"no lifecycle is named {name!r}; built in are {', '.join(BUILTIN)}, "
            "and `palio lifecycles list` shows the declared ones",
            kind="lifecycle",
            name=name,
        )
    return lifecycle


def find_version(unit: RegistryUnit, reference: str) -> Version:
    """Return the version that a reference names, or raise ``NotFound``."""
    named = Reference.parse(reference)
    find_model(unit, named.model)
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
    return version


def check_stage(lifecycle: Lifecycle, stage: str) -> None:
    """Raise ``InvalidInput`` unless a lifecycle has a stage."""
    if stage not in lifecycle.stages:
        raise InvalidInput(
            f"{stage!r} is no stage of the lifecycle {lifecycle.name!r}; "
            f"it has {', '.join(lifecycle.stages)}",
            field="stage",
            value=stage,
        )
