"""A world with deployments: versions, an endpoint, processes that serve, traffic per second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from palio.access.domain import Role
from palio.delivery.deployments.controller import CONTROLLER, Controller
from palio.delivery.deployments.domain import Deployment
from palio.delivery.deployments.looking import Looking
from palio.delivery.deployments.wanted import DeploymentDraft
from palio.delivery.traffic import LATENCY_ACCURACY, ProcessUse, TrafficCounts, TrafficSums
from palio.stats.quality.histogram import LogHistogram
from palio.testing.wired import Wired

__all__ = ["Watched", "asked", "sums"]


def asked(version: str = "2", name: str = "d", **fields: Any) -> DeploymentDraft:
    """Return what is asked for, on the endpoint of the model ``credit``."""
    return DeploymentDraft(name=name, model="credit", version=version, **fields)


def sums(requests: int, errors: int = 0, latency_ms: float = 1.0) -> TrafficSums:
    """Return what was answered, all equally fast."""
    return TrafficSums(
        requests=requests,
        rows=requests,
        errors=errors,
        latency_ms=requests * latency_ms,
        latencies=LogHistogram.of([latency_ms] * requests, accuracy=LATENCY_ACCURACY).bins,
    )


@dataclass
class Watched:
    """Deployments under a controller."""

    wired: Wired
    holder: str = "one"
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = self.wired.acting(CONTROLLER, Role.OPERATOR)
        self.controller = Controller(
            store=own.store,
            looking=Looking(
                store=own.store,
                clock=own.clock,
                runtime=own.runtime,
                actor=CONTROLLER,
            ),
            clock=own.clock,
            holder=self.holder,
            log=self.lines.append,
        )

    def step(self, seconds: float = 5.0) -> list[str]:
        """Let time pass, look once, and return what was done."""
        self.wired.clock.advance(seconds)
        return [f"{name} {action.kind}" for name, action in self.controller.step()]

    def deploy(self, draft: DeploymentDraft) -> Deployment:
        """Deploy in the name of a person."""
        return self.wired.deployments.deploy(draft)

    def get(self, name: str = "d") -> Deployment:
        """Return a deployment as it stands."""
        return self.wired.deployments.get(name)

    def weights(self, endpoint: str = "credit") -> dict[str, float] | None:
        """Return the endpoint's weights."""
        found = self.wired.endpoints.get(endpoint).weights
        return None if found is None else {key: round(share, 9) for key, share in found.items()}

    def serves(self, *loaded: str, process: str = "p", rss_bytes: int = 1_000) -> None:
        """Say that a process serves, with versions in its memory."""
        use = ProcessUse(
            process=process,
            server="s",
            at=self.wired.clock(),
            rss_bytes=rss_bytes,
            cpu_share=0.25,
            loaded=loaded,
        )
        with self.wired.store.write() as unit:
            unit.process_uses.put_many([use])

    def answered(
        self,
        version: str,
        requests: int,
        errors: int = 0,
        *,
        latency_ms: float = 1.0,
        ago_s: int = 0,
        endpoint: str = "credit",
    ) -> None:
        """Say that a version has answered, in one second."""
        counts = TrafficCounts(
            second=int(self.wired.clock().timestamp()) - ago_s,
            process="p",
            endpoint=endpoint,
            model="credit",
            version=version,
            sums=sums(requests, errors, latency_ms),
        )
        with self.wired.store.write() as unit:
            unit.traffic.put_many([counts])

    @property
    def told(self) -> list[str]:
        """What people were told, oldest first."""
        with self.wired.store.read() as unit:
            found = unit.alerts.find()
        return [f"{one.subject} {one.kind.partition('.')[2]} {one.severity}" for one in found]

    def audited(self) -> list[tuple[str, str]]:
        """Return who did what."""
        found = self.wired.audit.list(limit=1_000)
        return [(one.actor, one.action) for one in found if one.action.startswith("deployment")]
