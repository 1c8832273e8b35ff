"""How a model comes to follow another lifecycle, inside a unit of work."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict
from palio.registry import aliases
from palio.registry.domain import CHAMPION, Model
from palio.registry.finding import find_lifecycle, find_model
from palio.registry.ports import RegistryUnit

__all__ = ["adopt"]


def adopt(
    unit: RegistryUnit,
    name: str,
    change: Change,
    *,
    lifecycle: str | None = None,
    revision: int | None = None,
) -> tuple[Model, Change]:
    """Let a model follow another lifecycle, or another revision of its own.

    Raises
    ------
    Conflict
        Naming every version for whose stage the new one has no place.
    """
    model = find_model(unit, name, lock=True)
    target = find_lifecycle(unit, lifecycle or model.lifecycle, revision)
    if (target.name, target.revision) == (model.lifecycle, model.lifecycle_revision):
        raise Conflict(
            f"{name} follows revision {target.revision} of {target.name} already; nothing to do",
            model=name,
        )
    champion = aliases.target(unit, name, CHAMPION)
    lost = [
        f"{one.reference} in {one.stage}"
        for one in unit.versions.find(model=name, deleted_at=None)
        if not target.may_stand(one.stage, champion=one.version == champion)
    ]
    if lost:
        raise Conflict(
            f"{name} cannot adopt revision {target.revision} of {target.name}, which has no place "
            f"for {', '.join(lost)}: its stages are {', '.join(target.stages)}, and "
            f"{target.production} is the champion's; move or delete these versions first",
            model=name,
            versions=lost,
        )
    adopted = replace(model, lifecycle=target.name, lifecycle_revision=target.revision)
    unit.models.put_many([adopted])
    return adopted, replace(change, before=_followed(model), after=_followed(adopted))


def _followed(model: Model) -> dict[str, object]:
    return {"lifecycle": model.lifecycle, "revision": model.lifecycle_revision}
