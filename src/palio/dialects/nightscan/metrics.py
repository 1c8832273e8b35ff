"""What Prometheus is told under the document's names: latency, errors in percent, confidence."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from palio.delivery.observed import Observed

__all__ = ["families"]

_SERVED = ("model_id", "version", "endpoint")


def families(seen: Observed) -> Iterator[Metric]:
    """Give the documented figures, those of traffic over the last minute."""
    latency = GaugeMetricFamily(
        "model_inference_latency_p95",
        "95th percentile of latency in milliseconds.",
        labels=_SERVED,
    )
    errors = GaugeMetricFamily(
        "model_error_rate", "Requests that failed, in percent.", labels=_SERVED
    )
    rate = GaugeMetricFamily(
        "model_requests_per_second", "Requests answered or failed.", labels=_SERVED
    )
    for one in seen.recent:
        labels = (one.model, one.version, one.endpoint)
        rate.add_metric(labels, one.metrics.requests_per_s)
        if one.metrics.p95_ms is not None:
            latency.add_metric(labels, one.metrics.p95_ms)
        if one.metrics.error_rate is not None:
            errors.add_metric(labels, 100 * one.metrics.error_rate)
    confidence = GaugeMetricFamily(
        "ab_test_confidence",
        "1 minus the goal's anytime-valid p-value for a variant.",
        labels=("experiment_id", "variant"),
    )
    for watched in seen.watched:
        for look in watched.looks:
            confidence.add_metric((watched.experiment.key, look.variant), 1 - look.p_value)
    yield from (latency, errors, rate, confidence)
