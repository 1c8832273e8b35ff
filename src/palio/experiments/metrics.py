"""Metrics: how a number per unit is made from predictions and outcomes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from palio.errors import InvalidInput
from palio.experiments.events import LABEL, Outcome, Prediction
from palio.registry.signature import Label

__all__ = [
    "BUILTIN",
    "Direction",
    "Metric",
    "Source",
    "metric_named",
    "outcome_values",
    "request_values",
]

_LARGEST = 1e120  # scores beyond cannot be summed and squared; the square of an outcome can
_TINY = 1e-15  # probabilities are kept this far from 0 under the logarithm


class Direction(enum.StrEnum):
    """Which way is better."""

    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"

    @property
    def sign(self) -> int:
        """+1 where higher is better, -1 where lower is."""
        return 1 if self is Direction.HIGHER else -1


class Source(enum.StrEnum):
    """Where a metric's values come from."""

    OUTCOME = "outcome"  # an outcome of the metric's name
    PREDICTION = "prediction"  # a field of the prediction
    SCORING = "scoring"  # a rule of prediction and label


_KNOWN: Mapping[Source, tuple[str, ...]] = {
    Source.PREDICTION: ("latency_ms", "error"),
    Source.SCORING: ("brier", "log_loss", "accuracy", "squared_error", "absolute_error"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured on every unit, and which way is better.

    ``margin`` is how much worse, relative to the control's mean, a guardrail may be
    before it counts as harmed; in [0, 1).
    """

    name: str
    direction: Direction
    source: Source = Source.OUTCOME
    margin: float = 0.0

    def __post_init__(self) -> None:
        known = _KNOWN.get(self.source)
        if known is not None and self.name not in known:
            raise InvalidInput(
                f"{self.name!r} is no metric of {self.source}; there are {', '.join(known)}",
                field="metric",
                value=self.name,
            )
        if not 0 <= self.margin < 1:
            raise InvalidInput(
                f"margin of {self.name} must be in [0, 1), got {self.margin}",
                field="margin",
                value=self.margin,
            )


BUILTIN: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("brier", Direction.LOWER, Source.SCORING),
        Metric("log_loss", Direction.LOWER, Source.SCORING),
        Metric("accuracy", Direction.HIGHER, Source.SCORING),
        Metric("squared_error", Direction.LOWER, Source.SCORING),
        Metric("absolute_error", Direction.LOWER, Source.SCORING),
        Metric("latency_ms", Direction.LOWER, Source.PREDICTION),
        Metric("error", Direction.LOWER, Source.PREDICTION),
    )
}


def metric_named(text: str) -> Metric:
    """Read a metric as people write it.

    A built-in name (``brier``), or for an outcome its name and direction: ``revenue:higher``,
    ``complaints:lower``.

    Examples
    --------
    >>> metric_named("revenue:higher").direction
    <Direction.HIGHER: 'higher_is_better'>
    """
    if text in BUILTIN:
        return BUILTIN[text]
    name, _, side = text.partition(":")
    if name in BUILTIN:
        raise InvalidInput(
            f"{name} is built in and {BUILTIN[name].direction}; write {name} alone, or give the "
            "outcome another name",
            field="metric",
            value=text,
        )
    for direction in Direction:
        if name and side and direction.startswith(side):
            return Metric(name, direction)
    raise InvalidInput(
        f"{text!r} is no metric; take one of {', '.join(BUILTIN)}, or an outcome's name with its "
        "direction, as in revenue:higher",
        field="metric",
        value=text,
    )


def request_values(
    metric: Metric, prediction: Prediction, outcomes: Sequence[Outcome]
) -> list[float]:
    """Return the values of a metric that one request gives: none, one, or one per outcome.

    Parameters
    ----------
    metric
        What is measured.
    prediction
        The request as it was served.
    outcomes
        Its outcomes that are in force, oldest first; of several labels the last one counts.
    """
    match metric.source:
        case Source.PREDICTION:
            return [_PREDICTION_FIELDS[metric.name](prediction)]
        case Source.OUTCOME:
            return outcome_values(metric, outcomes)
        case Source.SCORING:
            labels = [outcome for outcome in outcomes if outcome.name == LABEL]
            return _score(metric.name, prediction, labels[-1]) if labels else []
    assert_never(metric.source)


def outcome_values(metric: Metric, outcomes: Iterable[Outcome]) -> list[float]:
    """Return the values of the outcomes that bear the metric's name."""
    return [
        float(value)
        for outcome in outcomes
        if outcome.name == metric.name
        for value in (outcome.value if isinstance(outcome.value, list) else [outcome.value])
        if not isinstance(value, str)
    ]


def _score(name: str, prediction: Prediction, label: Outcome) -> list[float]:
    labels = label.value if isinstance(label.value, list) else [label.value]
    if prediction.error is not None or len(labels) != len(prediction.values):
        return []
    rule = _SCORING_RULES[name]
    scores = [rule(prediction, row, truth) for row, truth in enumerate(labels)]
    known = [score for score in scores if score is not None and abs(score) <= _LARGEST]
    return [math.fsum(known) / len(known)] if known else []


def _brier(prediction: Prediction, row: int, truth: Label) -> float | None:
    shares = _probabilities(prediction, row, truth)
    if shares is None:
        return None
    if len(shares) == 2:  # noqa: PLR2004 - the binary form: squared error of the positive class
        return (shares[1] - (truth == prediction.classes[1])) ** 2
    return math.fsum(
        (share - (truth == label)) ** 2
        for share, label in zip(shares, prediction.classes, strict=True)
    )


def _log_loss(prediction: Prediction, row: int, truth: Label) -> float | None:
    shares = _probabilities(prediction, row, truth)
    if shares is None:
        return None
    share = shares[prediction.classes.index(truth)]
    return -math.log(min(max(share, _TINY), 1.0))


def _probabilities(prediction: Prediction, row: int, truth: Label) -> list[float] | None:
    if prediction.probabilities is None or truth not in prediction.classes:
        return None
    return prediction.probabilities[row]


def _accuracy(prediction: Prediction, row: int, truth: Label) -> float | None:
    if prediction.classes and truth not in prediction.classes:
        return None
    return float(prediction.values[row] == truth)


def _error_of(prediction: Prediction, row: int, truth: Label) -> float | None:
    value = prediction.values[row]
    if isinstance(value, str) or isinstance(truth, str):
        return None
    return float(value) - float(truth)


def _squared_error(prediction: Prediction, row: int, truth: Label) -> float | None:
    error = _error_of(prediction, row, truth)
    return None if error is None else error * error  # a power would raise when it overflows


def _absolute_error(prediction: Prediction, row: int, truth: Label) -> float | None:
    error = _error_of(prediction, row, truth)
    return None if error is None else abs(error)


_PREDICTION_FIELDS: Mapping[str, Callable[[Prediction], float]] = {
    "latency_ms": lambda prediction: prediction.latency_ms,
    "error": lambda prediction: float(prediction.error is not None),
}
_SCORING_RULES: Mapping[str, Callable[[Prediction, int, Label], float | None]] = {
    "brier": _brier,
    "log_loss": _log_loss,
    "accuracy": _accuracy,
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
}
