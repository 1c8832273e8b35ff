"""The verbs on units: what is kept of them is removed, on request or when it is old."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidInput, Refused, TooLarge
from palio.experiments.events import check_id
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.erasing import Erased, Traces, erase_within
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.experiments.privacy.retaining import Forgotten, forget_old
from palio.ports import Clock, Store

__all__ = ["Units"]

_MOST = 500  # units in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What is randomised: users, accounts, requests; here only so that they can be forgotten."""

    store: Store[ExperimentUnit]
    clock: Clock
    actor: Identity
    pseudonyms: Pseudonyms = AS_SENT
    retention_days: int | None = None

    @requires(Role.ADMIN)
    def erase(self, units: Sequence[str], reason: str) -> Erased:
        """Remove all that is kept of units, and take it off the statistics.

        Their predictions, exposures and outcomes, the outcomes of their requests, the variants
        that they kept and their values in every experiment; all of it, or nothing when it fails.
        Units that nothing is kept of are no error, so that it can be repeated. The record that
        an experiment has ended with stays: it is about all units together.

        Parameters
        ----------
        units
            1 to 500 ids, as clients send them.
        reason
            Why, for the audit log, which names the units by pseudonym or digest only.

        Raises
        ------
        InvalidInput
            If the reason is empty or names a unit, as the audit log never forgets.
        """
        named = self._checked(units, reason)
        traces = Traces(frozenset(self.pseudonyms.of(unit) for unit in named))
        with self.store.read() as unit:
            while traces.read_on(unit.log):
                pass
        with self.store.write() as unit:
            erased = erase_within(unit, traces, self.clock())
            unit.audit.append(self._change(named, erased, reason))
        return erased

    @requires(Role.ADMIN)
    def retain(self) -> Forgotten:
        """Remove the events that are older than PALIO_RETENTION_DAYS and that nobody needs.

        An experiment that is running or paused needs all that came since it started. The
        statistics of those that have ended stay, and cannot be recomputed any more.
        """
        if self.retention_days is None:
            raise Refused(
                "PALIO_RETENTION_DAYS is not set, so events are kept for good; set it to a number "
                "of days",
                field="PALIO_RETENTION_DAYS",
            )
        days = self.retention_days
        return forget_old(self.store, now=self.clock(), days=days, actor=self.actor.name)

    def _checked(self, units: Sequence[str], reason: str) -> Sequence[str]:
        if isinstance(units, str) or not units:
            raise InvalidInput("units must be a list of ids, at least one", field="units")
        if len(units) > _MOST:
            raise TooLarge(
                f"{len(units)} units were sent at once; send at most {_MOST}",
                field="units",
                value=len(units),
            )
        for one in units:
            check_id("unit", one)
        if not reason.strip():
            raise InvalidInput(
                "reason is empty; say why the units are erased", field="reason", value=reason
            )
        if not set(units).isdisjoint(reason.split()):
            raise InvalidInput(
                "reason names a unit, and the audit log would keep it for good; name the request "
                "instead",
                field="reason",
            )
        return list(dict.fromkeys(units))

    def _change(self, units: Sequence[str], erased: Erased, reason: str) -> Change:
        names = [self._alias(unit) for unit in units]
        counts = {
            "predictions": erased.predictions,
            "exposures": erased.exposures,
            "outcomes": erased.outcomes,
            "assignments": erased.assignments,
            "experiments": erased.experiments,
        }
        return Change(
            at=self.clock(),
            actor=self.actor.name,
            action="units.erase",
            subject=names[0] if len(names) == 1 else f"{len(names)} units",
            after={"units": names, **counts},
            reason=reason,
        )

    def _alias(self, unit: str) -> str:
        if self.pseudonyms.key is not None:
            return self.pseudonyms.of(unit)
        return "sha256:" + hashlib.sha256(unit.encode()).hexdigest()
