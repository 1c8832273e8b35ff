"""What they share who act by themselves: a lease, and failures that stop nobody else."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from palio.errors import AlreadyExists, PalioError
from palio.experiments.lease import Lease
from palio.ports import Clock, Collection, Store

__all__ = ["LeaseUnit", "Leasing", "guarded"]

_INTERVALS = 3  # that a lease outlives its last renewal
T = TypeVar("T")


class LeaseUnit(Protocol):
    """Leases inside one unit of work."""

    @property
    def leases(self) -> Collection[Lease]:
        """Who does what only one may do, under its name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leasing:
    """How a process holds a lease: taken when it is free, renewed before it ends.

    Parameters
    ----------
    store
        Where the lease is.
    name
        Of the lease.
    holder
        Name of this process, which no other one has.
    clock
        What time it is.
    interval_s
        Seconds between two looks; when the holder is gone, another takes over after three.
    """

    store: Store[LeaseUnit]
    name: str
    holder: str
    clock: Clock
    interval_s: float

    def leads(self) -> bool:
        """Tell whether this process holds the lease, taken or renewed where that is due."""
        now = self.clock()
        held = self.leader()
        if held is not None and held.holder != self.holder:
            return False
        if held is not None and held.until - now > timedelta(seconds=2 * self.interval_s):
            return True
        try:
            with self.store.write() as unit:
                return self._taken(unit, now)
        except AlreadyExists:  # another process was first
            return False

    def leader(self) -> Lease | None:
        """Return the lease that is in force, if any."""
        with self.store.read() as unit:
            lease = unit.leases.get(self.name)
        return lease if lease is not None and lease.until > self.clock() else None

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        with self.store.write() as unit:
            lease = unit.leases.get(self.name, lock=True)
            if lease is not None and lease.holder == self.holder:
                unit.leases.put_many([self._lease(self.clock())])

    def _taken(self, unit: LeaseUnit, now: datetime) -> bool:
        lease = unit.leases.get(self.name, lock=True)
        mine = self._lease(now + timedelta(seconds=_INTERVALS * self.interval_s))
        if lease is None:
            unit.leases.add(mine)
            return True
        if lease.holder != self.holder and lease.until > now:
            return False
        unit.leases.put_many([mine])
        return True

    def _lease(self, until: datetime) -> Lease:
        return Lease(name=self.name, holder=self.holder, until=until)


def guarded(work: Callable[[], T], what: str, log: Callable[[str], object]) -> T | None:
    """Return what comes of work; what fails is told, and tried again next time."""
    try:
        return work()
    except PalioError as refused:
        log(f"{what}: {refused}; it is tried again next time")
    except Exception:  # noqa: BLE001 - one failure never stops the others
        log(f"{what} has failed; it is tried again next time\n{traceback.format_exc()}")
    return None
