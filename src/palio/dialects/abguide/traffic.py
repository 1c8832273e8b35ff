"""Weights, and versions beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

from palio.delivery.traffic import TrafficMetrics
from palio.dialects.abguide.registry import Registry
from palio.dialects.abguide.words import difference_of
from palio.errors import Conflict, InvalidWeights
from palio.experiments.domain import Experiment, State
from palio.registry.domain import Version

__all__ = ["compare", "weigh"]

_WINDOW_S = 900.0  # as long as counts per second are kept
_DIGITS = 10  # of a sum: what floats leave over is not told


def weigh(registry: Registry, weights: Mapping[str, float]) -> Mapping[str, float]:
    """Share the traffic out; production is always among those who get some of it.

    Raises
    ------
    InvalidWeights
        If a weight is not in [0, 1], or they do not sum to 1.
    NotFound
        If a version is not in the registry.
    Conflict
        If an operator's override or an experiment decides who serves.
    """
    for version, weight in weights.items():
        if not 0 <= weight <= 1:
            raise InvalidWeights(
                f"Traffic weight of '{version}' must be between 0.0 and 1.0, got {weight}",
                key=version,
            )
    _check_weights_count(registry)
    try:
        with registry.known(*weights):
            registry.verbs.endpoints.weigh(registry.model, weights, promote=True)
    except InvalidWeights as refused:
        if "total" not in refused.details:
            raise
        total = round(fsum(weights.values()), _DIGITS)
        raise InvalidWeights(
            f"Traffic weights must sum to 1.0, got {total}", total=total
        ) from refused
    return registry.shares()


def compare(registry: Registry, first: str, second: str) -> dict[str, Any]:
    """Return how far the second version is from the first: offline, online, in experiments."""
    pair = [registry.version(name) for name in (first, second)]
    references = [one.reference for one in pair]
    compared = registry.verbs.versions.compare(references)
    return {
        "version_a": first,
        "version_b": second,
        "metric_differences": {one.metric: difference_of(one, references[1]) for one in compared},
        "online": _online(registry, pair),
        "experiments": [_verdict(registry, one) for one in _between(registry, {first, second})],
    }


def _check_weights_count(registry: Registry) -> None:
    """Refuse weights that would change nothing, for something else decides who serves."""
    name = registry.model
    overridden = [
        one for one in registry.verbs.endpoints.list() if one.name == name and one.override
    ]
    if overridden:
        raise Conflict(
            f"an operator has sent everything to {overridden[0].override}; take that back first: "
            f"palio endpoints clear {name}",
            endpoint=name,
        )
    running = [one.key for one in _experiments(registry) if one.state is State.RUNNING]
    if running:
        raise Conflict(
            f"the experiment {running[0]} splits the traffic of {name}; stop or pause it first "
            f"(palio experiments pause {running[0]}), or send everything to one version at once: "
            f"palio endpoints override {name} VERSION",
            experiment=running[0],
        )


def _experiments(registry: Registry) -> Sequence[Experiment]:
    return registry.verbs.experiments.list(registry.model)


def _between(registry: Registry, versions: set[str]) -> list[Experiment]:
    """Return the experiments that have been started on both versions."""
    return [
        one
        for one in _experiments(registry)
        if one.state is not State.DRAFT
        and versions <= {variant.version for variant in one.design.variants}
    ]


def _verdict(registry: Registry, experiment: Experiment) -> dict[str, Any]:
    """Return what an experiment shows; valid however often one looks."""
    report = registry.verbs.experiments.analyze(experiment.key)
    return {
        "experiment": experiment.key,
        "state": experiment.state,
        "units": {arm.version: arm.units for arm in report.arms},
        "decision": report.decision.kind,
        "reasons": list(report.decision.reasons),
    }


def _online(registry: Registry, pair: Sequence[Version]) -> dict[str, Any]:
    """Return how versions have done of late, and how good they were where labels have come."""
    found = registry.verbs.endpoints.metrics(registry.model, _WINDOW_S).versions
    return {one.version: _figures(registry, one, found.get(one.version)) for one in pair}


def _figures(
    registry: Registry, version: Version, traffic: TrafficMetrics | None
) -> dict[str, Any]:
    judged = registry.verbs.versions.quality(version.reference).overall
    return {
        "requests": traffic.requests if traffic else 0,
        "error_rate": traffic and traffic.error_rate,
        "mean_latency_ms": traffic and traffic.mean_ms,
        "p95_latency_ms": traffic and traffic.p95_ms,
        "labelled": judged.labelled,
        "accuracy": judged.accuracy and judged.accuracy.value,
        "brier_score": judged.brier,
    }
