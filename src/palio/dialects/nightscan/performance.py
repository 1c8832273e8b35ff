"""What is measured of deployments, in the document's units."""

from __future__ import annotations

from dataclasses import dataclass

from palio.edge.verbs import Verbs
from palio.errors import NotFound

__all__ = ["DeploymentPerformance", "PerformanceTracker"]

_MB = 1_000_000
_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPerformance:
    """How a deployment has done in the last minute; rates of errors and CPU in percent."""

    deployment_id: str
    requests_per_second: float
    average_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    error_rate: float
    memory_usage_mb: float
    cpu_usage_percent: float


@dataclass(frozen=True, slots=True)
class PerformanceTracker:
    """Reads what the core counts of each deployment; nothing is kept here."""

    verbs: Verbs

    def get_current_metrics(self, deployment_id: str) -> DeploymentPerformance | None:
        """Return how a deployment has done of late; None if there is no such deployment."""
        try:
            seen = self.verbs.deployments.metrics(deployment_id, _WINDOW_S)
        except NotFound:
            return None
        traffic = seen.traffic
        return DeploymentPerformance(
            deployment_id=deployment_id,
            requests_per_second=traffic.requests_per_s,
            average_latency_ms=traffic.mean_ms or 0.0,
            p95_latency_ms=traffic.p95_ms or 0.0,
            p99_latency_ms=traffic.p99_ms or 0.0,
            error_rate=100 * (traffic.error_rate or 0.0),
            memory_usage_mb=seen.rss_bytes / _MB,
            cpu_usage_percent=100 * seen.cpu_share,
        )
