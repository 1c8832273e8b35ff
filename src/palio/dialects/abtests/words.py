"""Its words as data, and tests in them: what is asked for as a design, what there is as JSON."""

from __future__ import annotations

import math
import string
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from palio.errors import Conflict, InvalidInput
from palio.experiments.designs.design import ExperimentDraft, Metrics, Type, Variant
from palio.experiments.designs.risk import Criteria
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import Arm, Report
from palio.experiments.weights.sticky import StickyAssignment
from palio.registry.domain import parted

__all__ = [
    "STATUSES",
    "AskedCriteria",
    "AskedTest",
    "assignment_row",
    "check_startable",
    "draft_of",
    "is_shippable",
    "letter",
    "of_model",
    "states",
    "told",
    "variant_of",
]

STATUSES: Mapping[State, str] = {
    State.DRAFT: "draft",
    State.RUNNING: "active",
    State.PAUSED: "paused",
    State.COMPLETED: "completed",
    State.STOPPED: "completed",
}
_PER_REQUEST = "latency_ms/requests"
_SUM_TOLERANCE = 1e-9


class AskedCriteria(BaseModel):
    """When a variant may win."""

    model_config = ConfigDict(extra="forbid")

    min_requests: int = 0
    max_error_rate: float | None = None
    max_latency_ms: float | None = None
    min_improvement: float = 0.0


class AskedTest(BaseModel):
    """A test as clients ask for it.

    ``metric`` is beyond the document: what the test is decided on, an outcome with its direction
    as in ``satisfaction:higher``; the share of failed requests when not given.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    model_type: str
    variant_a: str
    variant_b: str
    traffic_split: dict[str, float]
    criteria: AskedCriteria = Field(default_factory=AskedCriteria)
    metric: str = "error"


def draft_of(asked: AskedTest, id_: uuid.UUID) -> ExperimentDraft:
    """Return the design of a test: its users keep their variant.

    Raises
    ------
    InvalidInput
        If the split is not of ``a`` and ``b``, or does not sum to 1.
    """
    split, total = asked.traffic_split, math.fsum(asked.traffic_split.values())
    if set(split) != {"a", "b"} or abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidInput(
            f'traffic_split must give "a" and "b" shares that sum to 1.0, got {split}',
            field="traffic_split",
            value=split,
        )
    versions = {"a": asked.variant_a, "b": asked.variant_b}
    return ExperimentDraft(
        key=str(id_),
        endpoint=asked.model_type,
        title=asked.name,
        variants=tuple(Variant(key, versions[key], split[key]) for key in ("a", "b")),
        metrics=Metrics(
            goal=asked.metric,
            secondary=tuple(
                name
                for name in ("error", "latency_ms", f"{_PER_REQUEST}:lower")
                if name != asked.metric
            ),
        ),
        type=Type.AA if asked.variant_a == asked.variant_b else Type.AB,
        criteria=Criteria(**asked.criteria.model_dump()),
        unit="user_id",
        sticky=True,
    )


def states(status: str) -> set[State]:
    """Return the states that a status stands for.

    Raises
    ------
    InvalidInput
        If there is no such status.
    """
    found = {state for state, name in STATUSES.items() if name == status}
    if not found:
        known = ", ".join(dict.fromkeys(STATUSES.values()))
        raise InvalidInput(
            f"status must be one of {known}, got {status!r}", field="status", value=status
        )
    return found


def letter(experiment: Experiment, variant: str | None) -> str | None:
    """Return a variant by its place: ``a`` for the control, then ``b`` and so on."""
    if variant is None:
        return None
    keys = [one.key for one in experiment.design.variants]
    return string.ascii_lowercase[keys.index(variant)]


def variant_of(experiment: Experiment, named: str, field: str) -> str:
    """Return the key of the variant that a letter in a field names."""
    for variant in experiment.design.variants:
        if letter(experiment, variant.key) == named:
            return variant.key
    letters = [str(letter(experiment, one.key)) for one in experiment.design.variants]
    raise InvalidInput(
        f"{field} must be one of {', '.join(letters)}, got {named!r}", field=field, value=named
    )


def told(experiment: Experiment, report: Report | None = None) -> dict[str, Any]:
    """Return a test as JSON, with its metrics where a report is given."""
    design, weights = experiment.design, experiment.weights
    letters = {str(letter(experiment, one.key)): one for one in design.variants}
    test = {
        "test_id": experiment.key,
        "id": experiment.key,
        "name": design.title or experiment.key,
        "model_type": experiment.model,
        **{f"variant_{name}": one.version for name, one in letters.items()},
        "traffic_split": {name: weights[one.key] for name, one in letters.items()},
        "status": STATUSES[experiment.state],
        "criteria": {
            "min_requests": design.criteria.min_requests,
            "max_error_rate": design.criteria.max_error_rate,
            "max_latency_ms": design.criteria.max_latency_ms,
            "min_improvement": design.criteria.min_improvement,
        },
        "winner": letter(experiment, experiment.winner or experiment.chosen),
        "start_date": _moment(experiment.started_at),
        "end_date": _moment(experiment.ended_at),
    }
    return test if report is None else test | _figures(experiment, report)


def _figures(experiment: Experiment, report: Report) -> dict[str, Any]:
    arms = {f"variant_{letter(experiment, arm.variant)}": arm for arm in report.arms}
    counts = {name: arm.units for name, arm in arms.items()}
    return {
        "metrics": {name: _metrics(arm) for name, arm in arms.items()},
        "assignments": {**counts, "total": sum(counts.values())},
        "decision": {
            "kind": report.decision.kind,
            "variant": letter(experiment, report.decision.variant),
            "reasons": list(report.decision.reasons),
        },
    }


def _metrics(arm: Arm) -> dict[str, Any]:
    latency = arm.metrics.get(_PER_REQUEST) or arm.metrics.get("latency_ms")
    own = {name: one for name, one in arm.metrics.items() if name not in _TRACKED}
    custom = {
        name: {"count": one.n, "mean": one.mean} for name, one in (own | {**arm.reported}).items()
    }
    return {
        "requests": arm.requests,
        "errors": arm.errors,
        "error_rate": arm.errors / arm.requests if arm.requests else None,
        "avg_latency": latency.mean if latency is not None and latency.n else None,
        "custom": custom,
    }


_TRACKED = frozenset({"error", "latency_ms", _PER_REQUEST})


def assignment_row(experiment: Experiment, kept: StickyAssignment) -> dict[str, Any]:
    """Return what a user keeps, with the fields that the document gives its table."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kept.experiment}/{kept.unit}")),
        "user_id": kept.unit,
        "ab_test_id": kept.experiment,
        "variant": letter(experiment, kept.variant),
        "assigned_at": _moment(kept.at),
    }


def is_shippable(experiment: Experiment, variant: str) -> bool:
    """Tell whether a variant would become production by winning: not what is so already."""
    model, version = parted(experiment.variant(variant).version, experiment.model)
    own = experiment.design.ships and model == experiment.model
    return own and version != experiment.champion


def check_startable(experiment: Experiment) -> None:
    """Raise ``Conflict`` unless a test is a draft, or paused."""
    if experiment.state not in (State.DRAFT, State.PAUSED):
        raise Conflict(
            f'Ensure test is in "draft" status: {experiment.key} is {STATUSES[experiment.state]}',
            experiment=experiment.key,
            state=experiment.state,
        )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def of_model(found: Sequence[Experiment], model_type: str | None) -> list[Experiment]:
    """Return the experiments on a model, or all."""
    return [one for one in found if model_type in (None, one.model)]
