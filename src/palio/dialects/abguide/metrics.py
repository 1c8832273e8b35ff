"""What Prometheus is told under its names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from palio.delivery.observed import Observed, Served
from palio.delivery.traffic import TrafficSums
from palio.dialects.abguide.settings import Settings
from palio.edge.configuring import configured

__all__ = ["families"]


def families(seen: Observed) -> Iterable[Metric]:
    """Give requests, predictions and errors by version, and how many versions get traffic."""
    settings = configured(Settings)
    active = [version for version, share in _shares(seen, settings).items() if share > 0]
    sums = {version: TrafficSums() for version in active}  # rates count from 0, not from the first
    for one in seen.served:
        if one.endpoint == settings.model:
            sums[_version(one)] = one.sums
    yield _requests(sums)
    yield _predictions(sums, settings)
    yield _errors(sums)
    yield GaugeMetricFamily("active_models_count", "Versions that get traffic.", value=len(active))


def _shares(seen: Observed, settings: Settings) -> Mapping[str, float]:
    return seen.shares.get(settings.model, {})


def _version(one: Served) -> str:
    return one.version if one.model == one.endpoint else f"{one.model}:{one.version}"


def _requests(sums: Mapping[str, TrafficSums]) -> Metric:
    family = CounterMetricFamily(
        "ab_test_requests", "Requests by version.", labels=("model_version",)
    )
    for version, one in sums.items():
        family.add_metric((version,), one.requests)
    return family


def _predictions(sums: Mapping[str, TrafficSums], settings: Settings) -> Metric:
    family = CounterMetricFamily(
        "model_version_predictions",
        "Predictions by version and outcome.",
        labels=("version", "outcome"),
    )
    for version, one in sums.items():
        counts: dict[str, int] = defaultdict(int, dict.fromkeys(settings.outcomes.values(), 0))
        for answer, rows in one.outcomes.items():
            counts[settings.outcome(answer)] += rows
        for outcome, rows in counts.items():
            family.add_metric((version, outcome), rows)
    return family


def _errors(sums: Mapping[str, TrafficSums]) -> Metric:
    family = CounterMetricFamily(
        "prediction_errors", "Requests that a version failed to answer.", labels=("model_version",)
    )
    for version, one in sums.items():
        family.add_metric((version,), one.errors)
    return family
