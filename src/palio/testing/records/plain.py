"""Events and designs with plain values, but for those that are given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Variant
from palio.experiments.events import Exposure, Outcome, Prediction

__all__ = ["design", "exposure", "outcome", "prediction"]


def prediction(request_id: str, **fields: Any) -> Prediction:
    """Return a prediction of one row; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "unit": request_id,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "endpoint": "credit",
        "model": "credit-risk",
        "version": "v1",
        "values": [1],
        "probabilities": [[0.25, 0.75]],
        "classes": (0, 1),
        "latency_ms": 1.5,
    }
    return Prediction(request_id=request_id, **{**plain, **fields})


def exposure(unit: str, **fields: Any) -> Exposure:
    """Return an exposure; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "endpoint": "credit",
        "model": "credit-risk",
        "version": "v1",
        "experiment": "exp",
        "variant": "control",
        "epoch": 1,
        "propensity": 0.5,
    }
    return Exposure(unit=unit, **{**plain, **fields})


def design(key: str = "exp", **fields: Any) -> ExperimentDraft:
    """Return a design on the endpoint ``credit``: versions 1 and 2, half and half, by Brier."""
    plain: dict[str, Any] = {
        "endpoint": "credit",
        "variants": (Variant("control", "1", 0.5), Variant("challenger", "2", 0.5)),
        "metrics": Metrics("brier"),
        "stopping": Stopping(horizon=4_000, min_sample=100),
    }
    return ExperimentDraft(key=key, **{**plain, **fields})


def outcome(outcome_id: str, **fields: Any) -> Outcome:
    """Return an outcome; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "revision": 1,
        "name": "label",
        "value": 1,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Outcome(outcome_id=outcome_id, **{**plain, **fields})
