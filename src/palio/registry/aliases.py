"""How aliases move, inside a unit of work in which the model is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from palio.access.audit import Change
from palio.errors import Conflict, InvalidInput, NotFound
from palio.registry.domain import CHAMPION, AliasMove, MoveKind, Version
from palio.registry.lifecycle import Lifecycle
from palio.registry.ports import RegistryUnit
from palio.registry.requirements import Evidence, Requirement, assess, enforce

__all__ = [
    "abdicate",
    "clear",
    "crown",
    "demanded",
    "enter",
    "in_force",
    "move",
    "target",
    "targets",
    "vacate",
]


def target(unit: RegistryUnit, model: str, alias: str) -> str | None:
    """Return the version that an alias points at, if it does."""
    last = unit.alias_moves.find(model=model, alias=alias, last=1)
    return last[0].version if last else None


def targets(unit: RegistryUnit, model: str) -> Mapping[str, str]:
    """Return where each alias of a model points."""
    points = {move.alias: move.version for move in unit.alias_moves.find(model=model)}
    return {alias: version for alias, version in points.items() if version is not None}


def in_force(unit: RegistryUnit, model: str, alias: str, at: datetime) -> AliasMove:
    """Return the move that said at a moment where an alias points, ``None`` for nowhere.

    Raises
    ------
    InvalidInput
        If the moment has no zone.
    NotFound
        If the alias had not moved by then, with the moment of its first move.
    """
    if at.tzinfo is None:
        raise InvalidInput(
            f"at is {at.isoformat()}, which has no zone; write {at.isoformat()}Z",
            field="at",
            value=at.isoformat(),
        )
    moves = unit.alias_moves.find(model=model, alias=alias)
    for one in reversed(moves):
        if one.at <= at:
            return one
    when = f"first moved at {moves[0].at.isoformat()}" if moves else "has never moved"
    raise NotFound(
        f"{model}@{alias} pointed nowhere at {at.isoformat()}: it {when}; "
        f"`palio models history {model} {alias}` shows every move",
        kind="alias",
        name=f"{model}@{alias}",
    )


def move(
    unit: RegistryUnit,
    model: str,
    alias: str,
    version: str | None,
    *,
    change: Change,
    expected: str | None = None,
    kind: MoveKind = MoveKind.SET,
) -> AliasMove:
    """Point an alias at a version, or nowhere, if it points where it is expected to.

    Raises
    ------
    Conflict
        If ``expected`` is given and is not where the alias points (an empty text: nowhere).
    """
    last = unit.alias_moves.find(model=model, alias=alias, last=1)
    previous = last[0].version if last else None
    if expected is not None and (previous or "") != expected:
        raise Conflict(
            f"{model}@{alias} points at {previous or 'nothing'}, "
            f"not at {expected or 'nothing'}; look again, then repeat with expected="
            f"{previous or ''!r}",
            alias=alias,
            expected=expected,
            actual=previous,
        )
    made = AliasMove(
        model=model,
        alias=alias,
        seq=last[0].seq + 1 if last else 1,
        kind=kind,
        version=version,
        previous=previous,
        at=change.at,
        actor=change.actor,
        reason=change.reason,
    )
    unit.alias_moves.add(made)
    return made


def clear(
    unit: RegistryUnit, model: str, alias: str, change: Change, *, expected: str | None = None
) -> AliasMove:
    """Let an alias point nowhere, if it points where it is expected to.

    Raises
    ------
    Conflict
        If it points elsewhere, or nowhere already.
    """
    kind = MoveKind.CLEARED
    made = move(unit, model, alias, None, change=change, expected=expected, kind=kind)
    if made.previous is None:
        raise Conflict(f"{model}@{alias} points nowhere; nothing to clear", alias=alias)
    return made


def demanded(lifecycle: Lifecycle, stage: str, evidence: Evidence) -> tuple[Requirement, ...]:
    """Return what a lifecycle requires of a stage, and what this process does of production."""
    own = lifecycle.required_by(stage)
    more = evidence.demands if stage == lifecycle.production else ()
    return (*own, *(one for one in more if one not in own))


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
    enforce(version, stage, assess(demanded(lifecycle, stage, evidence), version, evidence))
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
        As ``Versions.promote`` takes them.
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
    name = version.version
    move(unit, version.model, CHAMPION, name, change=change, expected=expected, kind=kind)
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


def abdicate(unit: RegistryUnit, lifecycle: Lifecycle, model: str, change: Change) -> str | None:
    """Take the champion out of production with nobody to follow; return who it was, if any.

    Raises
    ------
    IllegalTransition
        If the lifecycle does not let production retire.
    """
    name = target(unit, model, CHAMPION)
    former = None if name is None else unit.versions.get(model, name)
    if former is None:
        return None
    clear(unit, model, CHAMPION, change)
    unit.versions.put_many([_entered(lifecycle, former, lifecycle.retired, None)])
    return former.version


def vacate(unit: RegistryUnit, champion: Version, change: Change) -> Change:
    """Let ``champion`` point nowhere, for a version that leaves production with nobody to follow.

    Returns
    -------
    Change
        With what the alias was before and is now.

    Raises
    ------
    Conflict
        Naming every endpoint and experiment that names the version.
    """
    if uses := unit.uses_of(champion.model, champion.version):
        listed = ", ".join(f"{use.kind} {use.name}" for use in uses)
        raise Conflict(
            f"{champion.reference} cannot leave production while something names it: {listed}; "
            "end it or point it elsewhere first, or use promote on the version that should serve",
            version=champion.reference,
        )
    clear(unit, champion.model, CHAMPION, change)
    before = {**(change.before or {}), "champion": champion.version}
    return replace(change, before=before, after={**(change.after or {}), "champion": None})


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
