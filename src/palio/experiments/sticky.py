"""Sticky assignments: which variant a unit was given first, whatever the weights have become."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["StickyAssignment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyAssignment:
    """A unit's variant, and under which weights and with which chance it was given it."""

    experiment: str
    unit: str
    variant: str
    epoch: int
    policy_version: int
    propensity: float
    at: datetime
