"""How deployments stand and do, as faces show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from palio.delivery.deployments.domain import OPEN, Deployment, Health, State
from palio.delivery.deployments.placing import others_of, standing
from palio.delivery.domain import Endpoint
from palio.delivery.ports import DeliveryUnit
from palio.delivery.traffic import TrafficMetrics, alive, summary
from palio.experiments.running import running_on

__all__ = ["DeploymentMetrics", "DeploymentStatus", "metrics_within", "status_within"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentMetrics:
    """How a deployment has done of late, and what serves it.

    Parameters
    ----------
    deployment, at, window_s
        Which one, until when, and over how many seconds.
    traffic
        Requests per second, latencies and errors of its version on its endpoint.
    others
        The same of the endpoint's other versions.
    processes
        How many serve it now.
    rss_bytes, cpu_share
        Memory and share of a core that these take together, whatever else they serve.
    """

    deployment: str
    at: datetime
    window_s: float
    traffic: TrafficMetrics
    others: TrafficMetrics
    processes: int
    rss_bytes: int
    cpu_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStatus:
    """How a deployment stands.

    ``share`` is what the endpoint gives its version now, of what reaches the weights at all;
    ``notes`` say what comes before these, what is waited for and what a rollback would leave.
    """

    deployment: Deployment
    share: float
    notes: tuple[str, ...]
    not_honoured: tuple[str, ...]


def status_within(unit: DeliveryUnit, found: Deployment) -> DeploymentStatus:
    """Return how a deployment stands."""
    endpoint = unit.endpoints.get(found.endpoint)
    is_open = found.state in OPEN and endpoint is not None
    weights = (endpoint.weights if endpoint is not None else None) or {}
    return DeploymentStatus(
        deployment=found,
        share=weights.get(found.version, 0.0) if is_open else 0.0,
        notes=tuple(_notes(unit, found, endpoint)) if is_open and endpoint is not None else (),
        not_honoured=found.not_honoured,
    )


def metrics_within(
    unit: DeliveryUnit, found: Deployment, window_s: float, now: datetime
) -> DeploymentMetrics:
    """Return how a deployment has done within the last seconds."""
    counts = unit.traffic.since(int(now.timestamp() - window_s), endpoint=found.endpoint)
    uses = alive(unit.process_uses.find(), now)
    serving = [one for one in uses if found.reference in one.loaded]
    own = [one for one in counts if one.version == found.version]
    others = [one for one in counts if one.version != found.version]
    return DeploymentMetrics(
        deployment=found.name,
        at=now,
        window_s=window_s,
        traffic=summary(own, window_s, now),
        others=summary(others, window_s, now),
        processes=len(serving),
        rss_bytes=sum(one.rss_bytes for one in serving),
        cpu_share=sum(one.cpu_share for one in serving),
    )


def _notes(unit: DeliveryUnit, found: Deployment, endpoint: Endpoint) -> Sequence[str]:
    notes = []
    if endpoint.override is not None:
        notes.append(
            f"{endpoint.name} is overridden to {endpoint.override}: weights do not count until "
            "it is cleared"
        )
    notes += [
        f"the experiment {one.key} comes first: its units do not see the weights"
        for one in running_on(unit, endpoint.name)
    ]
    if found.state is State.PENDING:
        notes.append(f"it gets traffic when it is ready: {_waits_for(found.health)}")
    if not others_of(unit, endpoint, standing(unit, endpoint.name), found.name):
        notes.append("nothing else could answer: it is not rolled back by itself")
    return notes


def _waits_for(health: Health | None) -> str:
    return "it has not been asked yet" if health is None else health.reason or "it is by now"
