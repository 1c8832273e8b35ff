"""Verbs that say how versions have done where they serve; each is one unit of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidInput
from palio.ports import Clock, Store
from palio.registry.drift import VersionDrift, drift_of
from palio.registry.finding import find_version
from palio.registry.ports import RegistryUnit
from palio.registry.quality import DAY_S, VersionQuality, quality_of

__all__ = ["VersionReports"]

_MOST_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReports:
    """How versions have done where they serve.

    ``fold_quality`` brings the sums up to date, and returns the place in the event log up to
    which they are; ``publish`` brings what this process was asked into the store.
    """

    store: Store[RegistryUnit]
    clock: Clock
    actor: Identity
    publish: Callable[[], object] = field(default_factory=lambda: _nothing, repr=False)
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

    @requires(Role.VIEWER)
    def drift(self, reference: str, days: int = 7) -> VersionDrift:
        """Return how far the features of a version's requests have moved since it was first asked.

        Parameters
        ----------
        reference
            The version, by name or by alias.
        days
            How many days, today included, are compared with its first rows: 1 to 90.
        """
        if not 1 <= days <= _MOST_DAYS:
            raise InvalidInput(
                f"days is {days}; take 1 to {_MOST_DAYS}, for no more are kept",
                field="days",
                value=days,
            )
        self.publish()
        with self.store.read() as unit:
            version = find_version(unit, reference)
            first = unit.feature_references.get(version.model, version.version)
            start = int(self.clock().timestamp()) // DAY_S * DAY_S - (days - 1) * DAY_S
            every = unit.feature_counts.find(model=version.model, version=version.version)
            counts = [one for one in every if one.day >= start]
        return drift_of(version.reference, first, counts)


def _nothing() -> None:
    """Do nothing: this process is asked nothing."""


def _folded() -> int:
    """Leave folding to others."""
    return 0
