"""Its words as data, and what there is in them: tests and assignments as JSON."""

from __future__ import annotations

import string
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from palio.errors import Conflict, InvalidInput
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import Arm, Report
from palio.experiments.weights.sticky import StickyAssignment
from palio.registry.domain import parted

__all__ = [
    "LATENCY_PER_REQUEST",
    "STATUSES",
    "assignment_row",
    "check_allowed",
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
LATENCY_PER_REQUEST = "latency_ms/requests"


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
    """Return a variant by its place: ``a`` for the control, then ``b``; after ``z``, ``aa``."""
    if variant is None:
        return None
    return _lettered([one.key for one in experiment.design.variants].index(variant))


def _lettered(place: int) -> str:
    before, last = divmod(place, len(string.ascii_lowercase))
    return (_lettered(before - 1) if before else "") + string.ascii_lowercase[last]


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
    latency = [arm.metrics[name] for name in _LATENCY if name in arm.metrics]
    own = {name: one for name, one in arm.metrics.items() if name not in _TRACKED}
    custom = {
        name: {"count": one.n, "mean": one.mean} for name, one in (own | {**arm.reported}).items()
    }
    return {
        "requests": arm.requests,
        "errors": arm.errors,
        "error_rate": arm.errors / arm.requests if arm.requests else None,
        "avg_latency": next((one.mean for one in latency if one.n), None),
        "custom": custom,
    }


_LATENCY = (LATENCY_PER_REQUEST, "latency_ms")  # a ratio is known from two users on
_TRACKED = frozenset({"error", *_LATENCY})


def assignment_row(experiment: Experiment, kept: StickyAssignment) -> dict[str, Any]:
    """Return what a user keeps, with the fields that the document gives its table."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kept.experiment}/{kept.unit}")),
        "user_id": kept.unit,
        "ab_test_id": kept.experiment,
        "variant": letter(experiment, kept.variant),
        "assigned_at": _moment(kept.at),
    }


def is_shippable(experiment: Experiment, variant: str, champion: str | None) -> bool:
    """Tell whether a variant would become production by winning: not what is so already.

    Parameters
    ----------
    experiment, variant
        The test, and the key of the variant.
    champion
        The version that is in production now.
    """
    model, version = parted(experiment.variant(variant).version, experiment.model)
    own = experiment.design.ships and model == experiment.model
    return own and version != champion


def check_allowed(experiment: Experiment, verb: str) -> None:
    """Raise ``Conflict`` if a test is in no status to be started, paused or completed."""
    states, said = _ALLOWED[verb]
    if experiment.state not in states:
        raise Conflict(
            f"{said}: {experiment.key} is {STATUSES[experiment.state]}",
            experiment=experiment.key,
            state=experiment.state,
        )


_ALLOWED: Mapping[str, tuple[frozenset[State], str]] = {
    "start": (frozenset({State.DRAFT, State.PAUSED}), 'Ensure test is in "draft" status'),
    "pause": (frozenset({State.RUNNING}), "Only an active test can be paused"),
    "complete": (
        frozenset({State.RUNNING, State.PAUSED}),
        "Only an active or paused test can be completed",
    ),
}


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def of_model(found: Sequence[Experiment], model_type: str | None) -> list[Experiment]:
    """Return the experiments on a model, or all."""
    return [one for one in found if model_type in (None, one.model)]
