"""How aliases move, inside a unit of work in which the model is locked."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict
from palio.registry.domain import CHAMPION, AliasMove, MoveKind, Version
from palio.registry.lifecycle import Lifecycle
from palio.registry.ports import RegistryUnit
from palio.registry.requirements import Evidence, assess, enforce

__all__ = ["crown", "enter", "move", "target"]


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


def enter(lifecycle: Lifecycle, version: Version, stage: str, evidence: Evidence) -> Version:
    """Return a version in another stage of its lifecycle, whose requirements it meets.

    Raises
    ------
    IllegalTransition
        If the lifecycle has no such step.
    Conflict
        If the stage requires what the version does not meet; all of it is listed.
    """
    lifecycle.check(version.reference, version.stage, stage)
    enforce(version, stage, assess(lifecycle.required_by(stage), version, evidence))
    return replace(version, stage=stage)


def crown(
    unit: RegistryUnit,
    lifecycle: Lifecycle,
    version: Version,
    change: Change,
    *,
    expected: str | None = None,
    former_to: str | None = None,
    evidence: Evidence | None = None,
) -> tuple[Version, Change]:
    """Make a version champion and production, and retire the one that was.

    Parameters
    ----------
    unit, lifecycle, version, change
        Where, by which rules, who, and the entry to complete.
    expected, former_to
        As ``Models.promote`` takes them.
    evidence
        What requirements are compared with; none for a rollback, whose version met them when
        it entered production before.

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
    kind = MoveKind.ROLLBACK if evidence is None else MoveKind.SET
    if evidence is not None:
        evidence = replace(evidence, rival=former_name is not None)
    entered = _entered(lifecycle, version, lifecycle.production, evidence)
    move(unit, version, CHAMPION, change, expected=expected, kind=kind)
    crowned = replace(entered, approved_by=_approver(lifecycle, version, change))
    moved = [crowned]
    if former_name is not None:
        former = unit.versions.get(version.model, former_name)
        if former is not None:
            retired = former_to or lifecycle.retired
            moved.append(_entered(lifecycle, former, retired, evidence))
    unit.versions.put_many(moved)
    return crowned, replace(
        change,
        subject=version.reference,
        before={"champion": former_name, "stage": version.stage},
        after={
            "champion": version.version,
            "stage": crowned.stage,
            "approved_by": crowned.approved_by,
        },
    )


def _entered(
    lifecycle: Lifecycle, version: Version, stage: str, evidence: Evidence | None
) -> Version:
    if evidence is not None:
        return enter(lifecycle, version, stage, evidence)
    lifecycle.check(version.reference, version.stage, stage)
    return replace(version, stage=stage)


def _approver(lifecycle: Lifecycle, version: Version, change: Change) -> str | None:
    """Return who approves; where four eyes are asked for, a creator never is.

    Only a rollback comes here in its creator's name: the approval from before stands.
    """
    own = lifecycle.four_eyes and change.actor == version.created_by
    return version.approved_by if own else change.actor
