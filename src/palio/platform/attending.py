"""A command that does what servers do beside answering: look, act, rest."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from palio.errors import InvalidInput
from palio.experiments.lease import Lease
from palio.monitoring.deliverer import Deliverer
from palio.platform.interruption import Interruption
from palio.platform.monitoring import deliverer_of
from palio.settings import Settings
from palio.storage.store import SqlStore

__all__ = ["Attending", "attend", "check_local"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Attending(Protocol[T_co]):
    """Who looks, where it holds the lease."""

    @property
    def holder(self) -> str:
        """The process that it is."""
        ...

    @property
    def rest_s(self) -> float:
        """Seconds until the next look."""
        ...

    def step(self) -> Sequence[T_co]:
        """Look, act, and tell what was done."""
        ...

    def leader(self) -> Lease | None:
        """Return the lease that is in force, if any."""
        ...

    def release(self) -> None:
        """Give the lease back."""
        ...


def check_local(settings: Settings, what: str, command: str) -> None:
    """Refuse to do what the server at an address does by itself."""
    if settings.store.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{settings.store} is a server, which looks at its {what} by itself; name its "
            f"store instead: palio --store … {command}",
            field="store",
            value=settings.store,
        )


def attend(
    own: Attending[T],
    store: SqlStore,
    settings: Settings,
    *,
    once: bool,
    on_look: Callable[[Sequence[T], str | None], None],
) -> None:
    """Look once or until interrupted, send what people are told, and give the lease back.

    What interrupts is Ctrl-C, SIGTERM or a closed terminal; once the lease is given back, each
    ends the process as it would have without.
    """
    interruption = Interruption()
    try:
        with interruption:
            try:
                _look(own, deliverer_of(store, settings), once=once, on_look=on_look)
            finally:
                interruption.ignore()
                own.release()
                store.close()
    except KeyboardInterrupt:
        if interruption.by is not None:
            signal.raise_signal(interruption.by)
        raise


def _look(
    own: Attending[T],
    deliverer: Deliverer | None,
    *,
    once: bool,
    on_look: Callable[[Sequence[T], str | None], None],
) -> None:
    while True:
        done, leader = own.step(), own.leader()
        if deliverer is not None:
            deliverer.step()
        other = leader is not None and leader.holder != own.holder
        on_look(done, leader.holder if leader is not None and other else None)
        if once:
            return
        time.sleep(own.rest_s)
