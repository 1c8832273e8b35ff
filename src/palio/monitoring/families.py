"""What Prometheus is told, under Palio's own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import inf

import numpy as np
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from palio.delivery.deployments.domain import OPEN, State, Verdict
from palio.delivery.observed import Judged, Observed, Placed, Served, Watched
from palio.delivery.traffic import TrafficSums
from palio.experiments.judging.analysis import DecisionKind
from palio.registry.drift import VersionDrift
from palio.registry.quality import Rate

__all__ = ["buckets_of", "families"]

_SERVED = ("endpoint", "model", "version")
_DEPLOYED = ("deployment", *_SERVED, "environment")
_EDGES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ENOUGH = 200  # rows, so that chance alone keeps the index well below what alarms
_ERROR = "error"  # the class of requests that a version failed to answer


def families(seen: Observed) -> Iterator[Metric]:
    """Give all that is seen as families of samples."""
    yield from _traffic(seen.served)
    yield _latencies(seen.served)
    yield _skipped(seen.served)
    yield from _processes(seen)
    yield from _experiments(seen.watched)
    yield from _deployments(seen.placed)
    yield from _qualities(seen.qualities)
    yield _drifts(seen.drifts)
    waiting = seen.alerts_waiting
    yield _gauge("palio_alerts_waiting", "Alerts on their way to a webhook.", waiting)


def buckets_of(sums: TrafficSums, edges_s: Sequence[float] = _EDGES_S) -> list[tuple[str, float]]:
    """Return how many requests took at most so many seconds, edges within 1 %.

    Parameters
    ----------
    sums
        Whose latencies.
    edges_s
        Upper edges in seconds, ascending, without infinity.

    Returns
    -------
    list of (str, float)
        Edge and count, cumulative, infinity included.
    """
    lower, upper, counts = sums.histogram.steps()
    middle_s = (lower + upper) / 2_000
    places = np.searchsorted(middle_s, edges_s, side="right")
    summed = np.concatenate([[0], np.cumsum(counts)])
    edges = [*(repr(edge) for edge in edges_s), "+Inf"]
    return list(zip(edges, [*summed[places].tolist(), summed[-1].item()], strict=True))


def _traffic(served: Iterable[Served]) -> Iterable[Metric]:
    requests = CounterMetricFamily(
        "palio_requests", "Requests that a version was asked, answered or not.", labels=_SERVED
    )
    predictions = CounterMetricFamily(
        "palio_predictions",
        "Rows by the class they were given: value for numbers, error for a failed request.",
        labels=(*_SERVED, "outcome"),
    )
    errors = CounterMetricFamily(
        "palio_errors", "Requests that a version failed, by error.", labels=(*_SERVED, "kind")
    )
    for one in served:
        labels = (one.endpoint, one.model, one.version)
        requests.add_metric(labels, one.sums.requests)
        outcomes = dict(one.sums.outcomes)
        outcomes[_ERROR] = outcomes.get(_ERROR, 0) + one.sums.errors
        for outcome, n in outcomes.items():
            predictions.add_metric((*labels, outcome), n)
        for kind, n in one.sums.failures.items():
            errors.add_metric((*labels, kind), n)
    return requests, predictions, errors


def _latencies(served: Iterable[Served]) -> Metric:
    latency = HistogramMetricFamily(
        "palio_request_latency_seconds",
        "From a request's admission to its version's answer; edges within 1 %.",
        labels=_SERVED,
    )
    for one in served:
        labels = (one.endpoint, one.model, one.version)
        latency.add_metric(labels, buckets_of(one.sums), one.sums.latency_ms / 1_000)
    return latency


def _skipped(served: Iterable[Served]) -> Metric:
    counter = CounterMetricFamily(
        "palio_members_skipped",
        "Rows that an ensemble answered without a member.",
        labels=("model", "version", "member"),
    )
    rows: Counter[tuple[str, str, str]] = Counter()
    for one in served:
        rows.update({(one.model, one.version, name): n for name, n in one.sums.skipped.items()})
    for labels, n in sorted(rows.items()):
        counter.add_metric(labels, n)
    return counter


def _processes(seen: Observed) -> Iterable[Metric]:
    loaded = GaugeMetricFamily(
        "palio_version_loaded",
        "Processes of this server that have the version in memory.",
        labels=("model", "version"),
    )
    references = [reference for use in seen.processes for reference in use.loaded]
    for reference in sorted(set(references)):
        model, _, version = reference.rpartition(":")
        loaded.add_metric((model, version), references.count(reference))
    yield loaded
    yield _gauge("palio_processes", "Processes of this server.", len(seen.processes))
    memory = sum(use.rss_bytes for use in seen.processes)
    yield _gauge("palio_resident_memory_bytes", "Memory of these processes.", memory)
    cores = sum(use.cpu_share for use in seen.processes)
    yield _gauge("palio_cpu_cores", "Cores that these processes are busy on.", cores)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _experiments(watched: Sequence[Watched]) -> Iterable[Metric]:
    labels = ("experiment", "endpoint")
    decision = GaugeMetricFamily(
        "palio_experiment_decision",
        "1 for what the last look at an open experiment decided, 0 for the others.",
        labels=(*labels, "decision"),
    )
    looked = GaugeMetricFamily(
        "palio_experiment_look_timestamp_seconds",
        "When an open experiment was last looked at.",
        labels=labels,
    )
    figures = {
        name: GaugeMetricFamily(f"palio_experiment_{name}", text, labels=(*labels, "variant"))
        for name, text in _FIGURES.items()
    }
    for one in watched:
        key = (one.experiment.key, one.experiment.design.endpoint)
        for look in one.looks:
            values = {
                "confidence": 1 - look.p_value,
                "effect": look.effect,
                "effect_lower": look.lower,
                "effect_upper": look.upper,
                "units": look.counts.get(look.variant),
            }
            for name, value in values.items():
                if value is not None and abs(value) != inf:
                    figures[name].add_metric((*key, look.variant), value)
        for last in one.looks[:1]:
            looked.add_metric(key, last.at.timestamp())
            for kind in DecisionKind:
                decision.add_metric((*key, kind), float(last.decision is kind))
    return decision, looked, *figures.values()


def _deployments(placed: Sequence[Placed]) -> Iterable[Metric]:
    state = GaugeMetricFamily(
        "palio_deployment_state",
        "1 for the state of a deployment, 0 for the others; told for a day after its end.",
        labels=(*_DEPLOYED, "state"),
    )
    verdict = GaugeMetricFamily(
        "palio_deployment_verdict",
        "1 for what the last look at an open deployment has shown, 0 for the others.",
        labels=(*_DEPLOYED, "verdict"),
    )
    share = GaugeMetricFamily(
        "palio_deployment_share",
        "Share of its endpoint's traffic that a deployment is given.",
        labels=_DEPLOYED,
    )
    since = GaugeMetricFamily(
        "palio_deployment_since_timestamp_seconds",
        "Since when a deployment is in its state.",
        labels=_DEPLOYED,
    )
    for one in placed:
        of = one.deployment
        labels = (of.name, of.endpoint, of.model, of.version, of.environment)
        share.add_metric(labels, one.share)
        since.add_metric(labels, of.since.timestamp())
        for kind in State:
            state.add_metric((*labels, kind), float(of.state is kind))
        for shown in Verdict if of.state in OPEN else ():
            verdict.add_metric((*labels, shown), float(of.verdict is shown))
    return state, verdict, share, since


def _drifts(drifts: Iterable[VersionDrift]) -> Metric:
    drift = GaugeMetricFamily(
        "palio_feature_drift",
        "Population stability index of a feature in the last seven days against a version's first "
        f"rows; once {_ENOUGH} rows have come.",
        labels=("model", "version", "feature"),
    )
    for one in drifts:
        model, _, version = one.reference.rpartition(":")
        for name, moved in one.features.items() if one.rows >= _ENOUGH else ():
            drift.add_metric((model, version, name), moved.index)
    return drift


def _qualities(judged: Sequence[Judged]) -> Iterable[Metric]:
    found = {
        name: GaugeMetricFamily(
            f"palio_quality_{name}", text, labels=("model", "version", "segment")
        )
        for name, text in _QUALITIES.items()
    }
    for one in judged:
        figures = one.figures
        values: dict[str, float | Rate | None] = {
            "labelled": figures.labelled,
            "accuracy": figures.accuracy,
            "brier": figures.brier,
            "calibration_error": figures.calibration_error,
            "positive_share": figures.positive,
            "false_positive_rate": figures.false_positive_rate,
            "false_negative_rate": figures.false_negative_rate,
            "mean_squared_error": figures.mean_squared_error,
        }
        for name, value in values.items():
            number = value.value if isinstance(value, Rate) else value
            if number is not None:
                found[name].add_metric((one.model, one.version, one.segment), number)
    return found.values()


_QUALITIES = {
    "labelled": "Rows of the last seven days that a label is known of; segment empty: all.",
    "accuracy": "Share of them that were right.",
    "brier": "Their mean Brier score.",
    "calibration_error": "Expected calibration error over ten bins.",
    "positive_share": "Share of answers that were the second of two classes, labelled or not.",
    "false_positive_rate": "Share of the first class that was called the second.",
    "false_negative_rate": "Share of the second class that was called the first.",
    "mean_squared_error": "Of answers that are numbers.",
}
_FIGURES = {
    "confidence": "1 minus the goal's anytime-valid p-value for a challenger.",
    "effect": "Estimated effect of a challenger on the goal.",
    "effect_lower": "Lower end of its anytime-valid interval.",
    "effect_upper": "Upper end of it.",
    "units": "Units of a challenger.",
}
