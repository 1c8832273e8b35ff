"""Counts of traffic add up, and say how a version has done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.delivery.traffic import TrafficCounts, TrafficMetrics, TrafficSums, bounded, summary
from palio.stats.quality.histogram import LogHistogram

NOW = datetime(2026, 1, 1, 12, 0, 0, 400_000, tzinfo=UTC)


def sums(*latencies: float, errors: int = 0) -> TrafficSums:
    return TrafficSums(
        requests=len(latencies),
        rows=len(latencies) - errors,
        errors=errors,
        latency_ms=sum(latencies),
        latencies=LogHistogram.of(latencies).bins,
        outcomes={"1": len(latencies) - errors},
        failures={"ValueError": errors},
    )


def counts(ago_s: int, what: TrafficSums, process: str = "p") -> TrafficCounts:
    second = int((NOW - timedelta(seconds=ago_s)).timestamp())
    return TrafficCounts(
        second=second, process=process, endpoint="e", model="m", version="v", sums=what
    )


def test_nothing_is_known_of_nothing() -> None:
    assert summary([], 10.0, NOW) == TrafficMetrics(
        requests_per_s=0.0,
        mean_ms=None,
        p95_ms=None,
        p99_ms=None,
        error_rate=None,
        requests=0,
        errors=0,
    )


def test_figures_are_those_of_all_processes_together() -> None:
    """Quantiles by numpy's inverted_cdf, within the 1 % that the histogram states."""
    latencies = np.random.default_rng(7).lognormal(3, 1, 2_000)
    parts = [
        counts(n % 10, sums(*part), f"p{n}") for n, part in enumerate(latencies.reshape(40, 50))
    ]
    found = summary([*parts, counts(0, sums(1.0, errors=1))], 10.0, NOW)
    everything = [*latencies, 1.0]
    assert (found.requests, found.errors) == (2_001, 1)
    assert found.requests_per_s == pytest.approx(200.1)
    assert found.error_rate == pytest.approx(1 / 2_001)
    assert found.mean_ms == pytest.approx(np.mean(everything))
    for share, figure in ((0.95, found.p95_ms), (0.99, found.p99_ms)):
        exact = np.quantile(everything, share, method="inverted_cdf")
        assert figure == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(("ago_s", "within"), [(0, True), (9, True), (10, False), (-1, False)])
def test_the_window_has_as_many_seconds_as_it_says(ago_s: int, *, within: bool) -> None:
    assert summary([counts(ago_s, sums(1.0))], 10.0, NOW).requests == within


PARTS = st.lists(st.lists(st.floats(0, 1e6), max_size=5), max_size=5)


@given(PARTS)
def test_merged_equals_counted_at_once(parts: list[list[float]]) -> None:
    merged = TrafficSums()
    for part in parts:
        merged = merged.merge(sums(*part))
    whole = sums(*(one for part in parts for one in part))
    assert merged.latencies == whole.latencies
    assert (merged.requests, merged.rows) == (whole.requests, whole.rows)
    assert merged.latency_ms == pytest.approx(whole.latency_ms)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 9), max_size=120))
def test_classes_are_bounded_and_none_is_lost(classes: dict[str, int]) -> None:
    found = bounded(classes)
    assert len(found) <= 50
    assert sum(found.values()) == sum(classes.values())
    if len(classes) <= 50:
        assert found == classes
