"""How aliases move, inside a unit of work in which the model is locked."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict
from palio.registry.domain import CHAMPION, AliasMove, MoveKind, Version
from palio.registry.lifecycle import Lifecycle
from palio.registry.ports import RegistryUnit

__all__ = ["crown", "move", "target"]


def target(unit: RegistryUnit, model: str, alias: str) -> str | None:
    """Return the version that an alias points at, if it does."""
    last = unit.alias_moves.find(model=model, alias=alias, last=1)
    return last[0].version if last else None


def move(
    unit: RegistryUnit,
    version: Version,
    alias: str,
    change: Change,
    *,
    expected: str | None = None,
    kind: MoveKind = MoveKind.SET,
) -> AliasMove:
    """Point an alias at a version, if it points where it is expected to.

    Raises
    ------
    Conflict
        If ``expected`` is given and is not where the alias points (an empty text: nowhere).
    """
    last = unit.alias_moves.find(model=version.model, alias=alias, last=1)
    previous = last[0].version if last else None
    if expected is not None and (previous or "") != expected:
        raise Conflict(
            f"{version.model}@{alias} points at {previous or 'nothing'}, "
            f"not at {expected or 'nothing'}; look again, then repeat with expected="
            f"{previous or ''!r}",
            alias=alias,
            expected=expected,
            actual=previous,
        )
    made = AliasMove(
        model=version.model,
        alias=alias,
        seq=last[0].seq + 1 if last else 1,
        kind=kind,
        version=version.version,
        previous=previous,
        at=change.at,
        actor=change.actor,
        reason=change.reason,
    )
    unit.alias_moves.add(made)
    return made


def crown(
    unit: RegistryUnit,
    lifecycle: Lifecycle,
    version: Version,
    change: Change,
    *,
    expected: str | None = None,
    former_to: str | None = None,
    kind: MoveKind = MoveKind.SET,
) -> tuple[Version, Change]:
    """Make a version champion and production, and retire the one that was.

    Returns
    -------
    tuple of Version and Change
        The version as it is now, and the change completed with before and after.
    """
    former_name = target(unit, version.model, CHAMPION)
    if former_name == version.version and expected in (None, version.version):
        raise Conflict(
            f"{version.reference} is champion already; nothing to do", version=version.reference
        )
    lifecycle.check(version.reference, version.stage, lifecycle.production)
    move(unit, version, CHAMPION, change, expected=expected, kind=kind)
    crowned = replace(version, stage=lifecycle.production, approved_by=change.actor)
    moved = [crowned]
    if former_name is not None:
        former = unit.versions.get(version.model, former_name)
        if former is not None:
            retired = former_to or lifecycle.retired
            lifecycle.check(former.reference, former.stage, retired)
            moved.append(replace(former, stage=retired))
    unit.versions.put_many(moved)
    return crowned, replace(
        change,
        subject=version.reference,
        before={"champion": former_name, "stage": version.stage},
        after={"champion": version.version, "stage": crowned.stage, "approved_by": change.actor},
    )
