"""Verbs that say how versions have done where they serve; each is one unit of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidInput
from palio.ports import Clock, Store
from palio.registry.finding import find_version
from palio.registry.ports import RegistryUnit
from palio.registry.quality import DAY_S, VersionQuality, quality_of

__all__ = ["VersionReports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReports:
    """How versions have done where they serve.

    ``fold_quality`` brings the sums up to date, and returns the place in the event log up to
    which they are.
    """

    store: Store[RegistryUnit]
    clock: Clock
    actor: Identity
    fold_quality: Callable[[], int] = field(default_factory=lambda: _folded, repr=False)

    @requires(Role.VIEWER)
    def quality(self, reference: str, cohort_s: int = DAY_S) -> VersionQuality:
        """Return how good a version's answers were, once labels have come.

        Parameters
        ----------
        reference
            The version, by name or by alias.
        cohort_s
            Seconds of prediction time in one cohort: a whole number of days, at most 3660.
        """
        if cohort_s % DAY_S or not DAY_S <= cohort_s <= 3_660 * DAY_S:
            raise InvalidInput(
                f"cohort_s is {cohort_s}; take a whole number of days, as 86400 or 604800",
                field="cohort_s",
                value=cohort_s,
            )
        watermark = self.fold_quality()
        with self.store.read() as unit:
            version = find_version(unit, reference)
            sums = unit.quality_sums.find(model=version.model, version=version.version)
        return quality_of(version.reference, sums, cohort_s=cohort_s, watermark=watermark)


def _folded() -> int:
    """Leave folding to others."""
    return 0
