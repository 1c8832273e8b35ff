"""How a version becomes production, inside a unit of work."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.errors import Conflict
from palio.registry import aliases
from palio.registry.domain import CHAMPION, Version, effective_history
from palio.registry.finding import (
    check_stage,
    find_model,
    find_version,
    lifecycle_of,
    remedy_for,
)
from palio.registry.ports import RegistryUnit
from palio.registry.requirements import Evidence
from palio.registry.signing.attestation import Vouching

__all__ = ["promote", "promote_within", "rollback_within"]


def promote_within(
    unit: RegistryUnit,
    version: Version,
    change: Change,
    *,
    vouching: Vouching,
    expected: str | None = None,
    passed: bool = True,
) -> tuple[Version, Change]:
    """Promote what an experiment ships, inside a unit of work that is already open.

    Parameters
    ----------
    unit
        The unit of work.
    version
        A version that an experiment ships.
    change
        Who ships it, when and why.
    vouching
        Whose signatures count, and whether one is demanded.
    expected
        The version that should be champion now, an empty text for none.
    passed
        Whether it has won, which is evidence for stages that require a passed experiment.

    Returns
    -------
    tuple of Version and Change
        The version as promoted, and the change with what it was before and after, for the
        caller to append to the audit log as its last act.
    """
    evidence = replace(vouching.evidence(unit, change.actor), experiment=passed)
    return promote(unit, version, change, evidence, expected=expected)


def promote(
    unit: RegistryUnit,
    version: Version,
    change: Change,
    evidence: Evidence,
    *,
    expected: str | None = None,
    former_to: str | None = None,
) -> tuple[Version, Change]:
    """Promote a version on the evidence given; ``promote_within`` describes the rest."""
    model = find_model(unit, version.model, lock=True)
    lifecycle = lifecycle_of(unit, model)
    if former_to is not None:
        check_stage(lifecycle, former_to)
    return aliases.crown(
        unit,
        lifecycle,
        find_version(unit, version.reference),
        change,
        expected=expected,
        former_to=former_to,
        evidence=evidence,
    )


def rollback_within(
    unit: RegistryUnit, model: str, change: Change, *, vouching: Vouching
) -> tuple[Version, Change]:
    """Make the champion before this one production again, inside a unit that is already open.

    Parameters
    ----------
    unit
        The unit of work.
    model
        Whose champion.
    change
        Who rolls back, when and why.
    vouching
        Whose signatures count, and whether one is demanded.

    Returns
    -------
    tuple of Version and Change
        The version as it is now, and the change for the caller to append to the audit log.

    Raises
    ------
    Conflict
        If there was no champion before this one, or it was deleted.
    """
    line = find_model(unit, model, lock=True)
    history = effective_history(unit.alias_moves.find(model=model, alias=CHAMPION))
    if len(history) < 2:  # noqa: PLR2004
        raise Conflict(
            f"{model} has no champion before this one; promote a version instead", model=model
        )
    back = find_version(unit, f"{model}:{history[-2]}", deleted=True)
    if back.deleted_at is not None:
        raise Conflict(
            f"the champion before this one, {back.reference}, was deleted at "
            f"{back.deleted_at.isoformat()}; {remedy_for(back)}, or promote a version",
            version=back.reference,
        )
    vouching.check_rollback(unit, back)
    return aliases.crown(unit, lifecycle_of(unit, line), back, change)
