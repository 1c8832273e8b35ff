"""How a version becomes production, inside a unit of work."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.registry import aliases
from palio.registry.domain import Version
from palio.registry.finding import check_stage, find_model, find_version, lifecycle_of
from palio.registry.ports import RegistryUnit
from palio.registry.requirements import Evidence
from palio.registry.signing.attestation import Vouching

__all__ = ["promote", "promote_within"]


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
