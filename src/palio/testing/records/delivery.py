"""Records of endpoints, deployments, and traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from palio.delivery.deployments.domain import (
    Deployment,
    Health,
)
from palio.delivery.deployments.domain import (
    State as Standing,
)
from palio.delivery.deployments.domain import (
    Verdict as Shown,
)
from palio.delivery.deployments.evidence import Counts, Settled
from palio.delivery.deployments.wanted import (
    Canary,
    GuardAction,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.delivery.domain import Endpoint, OnError
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficSums, TrafficTotals
from palio.testing.records.odd import ODD, WHEN

__all__ = ["RECORDS"]

_TRAFFIC = TrafficSums(
    requests=2**40,
    rows=2**41,
    errors=1,
    latency_ms=0.1 + 0.2,
    latencies=((-7, 2**40), (3, 1)),
    outcomes={ODD: 2**40, "1": 1},
    failures={"ValueError": 1},
    skipped={"m:1": 2**40},
)
_PER_SECOND = TrafficCounts(
    second=2**33, process=ODD, endpoint="e", model="m", version=ODD, sums=_TRAFFIC
)
_TOTALS = TrafficTotals(
    server=ODD, process=ODD, endpoint="e", model="m", version=ODD, sums=_TRAFFIC
)
_USE = ProcessUse(
    process=ODD, server=ODD, at=WHEN, rss_bytes=2**40, cpu_share=0.1 + 0.2, loaded=("m:v", ODD)
)
_BARE_DEPLOYMENT = Deployment(
    name="z",
    model="m",
    version="v",
    endpoint="pay",
    state=Standing.PENDING,
    since=WHEN,
    created_at=WHEN,
    created_by="ann",
)
_DEPLOYMENT = Deployment(
    name="y",
    model="m",
    version="w",
    endpoint="pay",
    environment="staging",
    resources=Resources(cpu=0.5, memory_bytes=2**33, gpu=1),
    scaling=Scaling(min_replicas=2, max_replicas=10, target_cpu=0.7),
    health_check=HealthCheck(
        interval_s=30.0, timeout_s=0.25, failure_threshold=4, row={ODD: 0.1 + 0.2}
    ),
    traffic_share=0.1 + 0.2,
    rollback_on_error=False,
    guardrails=(
        Guardrail(limit=0.1 + 0.2, alpha=0.01, window_s=60),
        Guardrail(metric=Guarded.LATENCY, margin=0.5, action=GuardAction.WARN),
    ),
    canary=Canary(start_share=0.1, success_threshold=0.9, duration_s=60.5, min_sample=7),
    reason=ODD,
    state=Standing.CANARY,
    since=WHEN,
    created_at=WHEN,
    created_by=ODD,
    verdict=Shown.INCONCLUSIVE,
    revision=2**40,
    weights_before={"v": 0.75, "w": 0.25},
    holds=False,
    health=Health(
        at=WHEN,
        healthy=False,
        failures=4,
        reason=ODD,
        latency_ms=0.1 + 0.2,
        rss_bytes=2**40,
        waiting=(ODD,),
        loading=True,
    ),
    settled=Settled(
        second=2**33,
        own=Counts(requests=3, errors=1, latencies=((700, 3),)),
        others=Counts(requests=2),
    ),
    not_honoured=(ODD,),
)
RECORDS: Mapping[str, Sequence[Any]] = {
    "endpoints": [
        Endpoint(
            name="pay", model="m", created_at=WHEN, created_by="ann", description=ODD, override="v"
        ),
        Endpoint(
            name="shared",
            model="m",
            created_at=WHEN,
            created_by="ann",
            weights={"v": 0.75, "w": 0.25},
            held=("v", "w"),
            on_error=OnError.FALLBACK,
            timeout_s=1.5,
        ),
        Endpoint(name="an", model="m", created_at=WHEN, created_by="ann"),
    ],
    "deployments": [_BARE_DEPLOYMENT, _DEPLOYMENT],
    "traffic": [_PER_SECOND, replace(_PER_SECOND, second=1, sums=TrafficSums())],
    "traffic_totals": [_TOTALS, replace(_TOTALS, version="a", sums=TrafficSums())],
    "process_uses": [_USE, replace(_USE, process="a", loaded=())],
}
