"""A lifecycle that requires things, and versions that meet some of them."""

from __future__ import annotations

from pathlib import Path

from palio.access.domain import Role
from palio.registry.domain import Version, VersionDraft
from palio.registry.lifecycle import Lifecycle
from palio.registry.signature import Signature
from palio.testing.wired import Wired

__all__ = ["GUARDED", "registered_by"]

GUARDED = Lifecycle(
    name="guarded",
    initial="new",
    production="live",
    retired="old",
    transitions={
        "new": ("tried", "gone"),
        "tried": ("live", "gone"),
        "live": ("old", "tried"),
        "old": ("live", "gone"),
        "gone": (),
    },
    requires={
        "tried": ({"metric": "auc", "at_least": 0.75},),
        "live": ({"metric": "ece", "at_most": 0.05}, {"approval": "four_eyes"}),
    },
    aliases={"shadow": Role.ADMIN},
)


def registered_by(
    wired: Wired,
    name: str,
    reference: str,
    *,
    signature: Signature | None = None,
    **metrics: float,
) -> Version:
    """Register a version without files in somebody's name."""
    model, _, version = reference.partition(":")
    draft = VersionDraft(version=version, flavor="x", signature=signature, metrics=metrics)
    acting = wired.acting(name, Role.OPERATOR)
    return acting.versions.register(model, draft, Path("/nonexistent"))
