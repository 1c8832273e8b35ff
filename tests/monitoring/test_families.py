"""Samples for Prometheus: the right numbers under the right labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from prometheus_client.metrics_core import Metric

from palio.delivery.deployments.domain import State, Verdict
from palio.delivery.observed import Observed, Placed, Served, Watched
from palio.delivery.traffic import ProcessUse, TrafficSums
from palio.experiments.judging.analysis import DecisionKind
from palio.monitoring.families import buckets_of, families
from palio.stats.quality.histogram import LogHistogram
from palio.testing.records import RECORDS

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
LATENCIES = np.random.default_rng(3).lognormal(3, 1.5, 1_000)
SUMS = TrafficSums(
    requests=1_000,
    rows=1_200,
    errors=3,
    latency_ms=float(LATENCIES.sum()),
    latencies=LogHistogram.of(LATENCIES).bins,
    outcomes={"approved": 1_000, "declined": 200},
    failures={"ValueError": 2, "MemoryError": 1},
)
USE = ProcessUse(
    process="p", server="s", at=WHEN, rss_bytes=100, cpu_share=0.5, loaded=("m:v1", "m:v2")
)


def observed(**fields: Any) -> Observed:
    plain: dict[str, Any] = {
        "at": WHEN,
        "served": (Served(endpoint="e", model="m", version="v1", sums=SUMS),),
        "processes": (USE, replace(USE, process="q", loaded=("m:v1",))),
        "recent": (),
        "watched": (),
    }
    return Observed(**plain | fields)


def samples(found: Iterator[Metric]) -> dict[tuple[str, ...], float]:
    """Return values by name and labels."""
    return {
        (one.name, *one.labels.values()): one.value for family in found for one in family.samples
    }


def test_requests_are_counted_by_version_class_and_error() -> None:
    found = samples(families(observed()))
    served = ("e", "m", "v1")
    assert found["palio_requests_total", *served] == 1_000
    assert found["palio_predictions_total", *served, "approved"] == 1_000
    assert found["palio_predictions_total", *served, "declined"] == 200
    assert found["palio_predictions_total", *served, "error"] == 3
    assert found["palio_errors_total", *served, "ValueError"] == 2
    assert found["palio_request_latency_seconds_sum", *served] == pytest.approx(
        LATENCIES.sum() / 1_000
    )
    assert found["palio_request_latency_seconds_count", *served] == 1_000


def test_members_that_an_ensemble_skipped_are_counted_over_its_endpoints() -> None:
    one = Served(endpoint="e", model="m", version="v1", sums=TrafficSums(skipped={"m:a": 2}))
    sums = TrafficSums(skipped={"m:a": 3, "m:b": 1})
    both = (one, replace(one, endpoint="f", sums=sums), replace(one, version="v2", sums=SUMS))
    found = samples(families(observed(served=both)))
    assert {labels: n for labels, n in found.items() if "skipped" in labels[0]} == {
        ("palio_members_skipped_total", "m", "v1", "m:a"): 5,
        ("palio_members_skipped_total", "m", "v1", "m:b"): 1,
    }


def test_buckets_hold_what_took_at_most_so_long() -> None:
    """Between the exact counts at 1 % less and at 1 % more than the edge."""
    found = dict(buckets_of(SUMS))
    assert found["+Inf"] == 1_000
    for edge_s in (0.001, 0.01, 0.1, 1.0, 10.0):
        low, high = ((edge_s * 1_000 * by >= LATENCIES).sum() for by in (0.99, 1.01))
        assert low <= found[str(edge_s)] <= high
    assert set(dict(buckets_of(TrafficSums())).values()) == {0}


def test_processes_add_up() -> None:
    found = samples(families(observed()))
    assert found["palio_version_loaded", "m", "v1"] == 2
    assert found["palio_version_loaded", "m", "v2"] == 1
    assert found["palio_processes",] == 2
    assert found["palio_resident_memory_bytes",] == 200
    assert found["palio_cpu_cores",] == 1.0


def test_experiments_say_what_the_last_look_decided() -> None:
    look = replace(
        RECORDS["looks"][0], p_value=0.03, decision=DecisionKind.ROLLBACK, lower=-float("inf")
    )
    watched = Watched(experiment=RECORDS["experiments"][0], looks=(look,))
    unseen = Watched(experiment=replace(RECORDS["experiments"][0], key="new"), looks=())
    found = samples(families(observed(watched=(watched, unseen))))
    key = ("exp-1", "credit")
    decided = {kind: found["palio_experiment_decision", *key, kind] for kind in DecisionKind}
    assert {kind for kind, value in decided.items() if value} == {DecisionKind.ROLLBACK}
    assert found["palio_experiment_confidence", *key, "challenger"] == pytest.approx(0.97)
    assert found["palio_experiment_effect", *key, "challenger"] == -0.1
    assert ("palio_experiment_effect_lower", *key, "challenger") not in found
    assert found["palio_experiment_units", *key, "challenger"] == 2**40
    assert found["palio_experiment_look_timestamp_seconds", *key] == look.at.timestamp()
    assert not any("new" in one for one in found)


def test_deployments_say_how_they_stand() -> None:
    """One that has ended has a state and no verdict: what was shown of it is over."""
    harmed = replace(RECORDS["deployments"][1], state=State.CANARY, verdict=Verdict.HARMED)
    ended = replace(harmed, name="ended", state=State.ROLLED_BACK)
    placed = (Placed(deployment=harmed, share=0.25), Placed(deployment=ended, share=0.0))
    found = samples(families(observed(placed=placed)))
    labels = (harmed.endpoint, harmed.model, harmed.version, harmed.environment)
    for name, state in ((harmed.name, State.CANARY), ("ended", State.ROLLED_BACK)):
        told = {of: found["palio_deployment_state", name, *labels, of] for of in State}
        assert {of for of, value in told.items() if value} == {state}
        since = found["palio_deployment_since_timestamp_seconds", name, *labels]
        assert since == harmed.since.timestamp()
    shown = {of: found["palio_deployment_verdict", harmed.name, *labels, of] for of in Verdict}
    assert {of for of, value in shown.items() if value} == {Verdict.HARMED}
    assert ("palio_deployment_verdict", "ended", *labels, Verdict.HARMED) not in found
    assert found["palio_deployment_share", harmed.name, *labels] == 0.25
    assert found["palio_deployment_share", "ended", *labels] == 0.0


def test_every_name_is_given_once() -> None:
    names = [family.name for family in families(observed())]
    assert len(names) == len(set(names))
    assert all(name.startswith("palio_") for name in names)
