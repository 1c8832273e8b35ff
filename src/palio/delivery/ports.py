"""What delivery needs of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from palio.delivery.deployments.domain import Deployment
from palio.delivery.domain import Answer, Endpoint, PredictRequest
from palio.delivery.loaded import InMemory
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficTotals
from palio.experiments.ports import ExperimentUnit
from palio.ports import Collection

__all__ = ["AsyncServer", "DeliveryUnit", "Server", "TrafficLog", "TrafficUnit"]


class TrafficLog(Collection[TrafficCounts], Protocol):
    """Counts per second under (second, process, endpoint, model, version), in any order."""

    def since(self, second: int, *, endpoint: str | None = None) -> Sequence[TrafficCounts]:
        """Return the counts of a second and of those after it; of one endpoint, if asked."""
        ...

    def forget(self, before: int) -> int:
        """Remove the counts of the seconds before one, and return how many there were."""
        ...


class TrafficUnit(Protocol):
    """What serving processes tell of themselves, inside one unit of work."""

    @property
    def traffic(self) -> TrafficLog:
        """Counts per second, of the last quarter of an hour."""
        ...

    @property
    def traffic_totals(self) -> Collection[TrafficTotals]:
        """Counts since a process began, under (server, process, endpoint, model, version)."""
        ...

    @property
    def process_uses(self) -> Collection[ProcessUse]:
        """What processes take, under their name."""
        ...


class DeliveryUnit(ExperimentUnit, TrafficUnit, Protocol):
    """Endpoints beside all that experiments and the registry know, inside one unit of work."""

    @property
    def endpoints(self) -> Collection[Endpoint]:
        """Endpoints under their name."""
        ...

    @property
    def deployments(self) -> Collection[Deployment]:
        """Deployments under their name."""
        ...

    def revision(self) -> int:
        """Return a number that only grows, and does so with all that requests are routed by.

        It is the number of audit entries plus that of weights published: a bandit's refresh is
        no entry.
        """
        ...


class Server(Protocol):
    """Answers requests in process. Safe to share between threads.

    Obligation: an answer that was given has been recorded; one that the model failed to give
    has been recorded as that version's error.
    """

    def predict(self, request: PredictRequest) -> Answer:
        """Route, check, predict, record."""
        ...

    def in_memory(self, endpoint: str) -> InMemory:
        """Return what of an endpoint is in memory in this process, or raise ``NotFound``.

        Obligation: it is what requests are answered by that arrive now; a version that was just
        to be loaded is there, or its error is.
        """
        ...


class AsyncServer(Protocol):
    """The same for an event loop: requests that wait together are answered together."""

    @property
    def revision(self) -> int:
        """The revision of the state that requests are routed by; costs nothing to read."""
        ...

    async def start(self) -> None:
        """Load what the routes need, and begin to answer."""
        ...

    async def stop(self) -> None:
        """Answer what waits, then end."""
        ...

    def catch_up(self) -> None:
        """Serve by what this process has changed; from any thread but the event loop's.

        When it returns, requests that arrive are routed by the new state.
        """
        ...

    def in_memory(self, endpoint: str) -> InMemory:
        """Return what of an endpoint is in memory here; from any thread but the event loop's."""
        ...

    async def predict(self, request: PredictRequest) -> Answer:
        """Route, check, predict, record."""
        ...
