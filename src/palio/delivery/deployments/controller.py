"""What happens to deployments by itself: a process looks at all of them, and acts.

Of all processes on a store one does it, who holds the lease; when it is gone, another one takes
over after three intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from palio.delivery.deployments.control import Action, Kind
from palio.delivery.deployments.domain import OPEN
from palio.delivery.deployments.looking import Looking
from palio.delivery.ports import DeliveryUnit
from palio.experiments.attending import Leasing, guarded
from palio.experiments.lease import Lease
from palio.ports import Clock, Store

__all__ = ["CONTROLLER", "Controller"]

CONTROLLER = "controller"
"""Name of the lease, and of who acts in the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Looks at the deployments that have not ended, one step at a time.

    Parameters
    ----------
    store
        Where they are.
    looking
        How one is looked at, in the name that the audit log shall tell.
    clock
        What time it is.
    holder
        Name of this process, which no other one has.
    interval_s
        Seconds between two looks, above 0.
    log
        Called with a line for what has failed, and unless ``silent`` for what is done.
    silent
        Whether whoever calls ``step`` tells what is done.
    """

    store: Store[DeliveryUnit]
    looking: Looking
    clock: Clock
    holder: str
    interval_s: float = 5.0
    log: Callable[[str], object]
    silent: bool = False

    @property
    def rest_s(self) -> float:
        """Seconds until the next step is due."""
        return self.interval_s

    def step(self) -> Sequence[tuple[str, Action]]:
        """Take or renew the lease, look at each deployment and act.

        Returns
        -------
        sequence of tuple
            Deployment and what was done about it; nothing without the lease.
        """
        if not self._leasing.leads():
            return []
        with self.store.read() as unit:
            names = [one.name for one in unit.deployments.find() if one.state in OPEN]
        return [(name, done) for name in names if (done := self._looked(name)) is not None]

    def leader(self) -> Lease | None:
        """Return the lease that is in force, if any."""
        return self._leasing.leader()

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        self._leasing.release()

    def _looked(self, name: str) -> Action | None:
        """Look at one, unless the others have taken longer than the lease."""
        if not self._leasing.leads():
            return None
        done = guarded(partial(self.looking.look, name), f"the deployment {name}", self.log)
        if done is not None and done.kind is not Kind.WAIT and not self.silent:
            self.log(f"the deployment {name}: {done.kind}: {done.reason}")
        return done

    @property
    def _leasing(self) -> Leasing:
        return Leasing(
            store=self.store,
            name=CONTROLLER,
            holder=self.holder,
            clock=self.clock,
            interval_s=self.interval_s,
        )
