"""Metrics: how a number per unit is made from predictions and outcomes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from palio.errors import InvalidInput
from palio.experiments.designs.metric_forms import Form, Kind, form_of
from palio.experiments.events import LABEL, Outcome, Prediction
from palio.registry.signature import Label

__all__ = [
    "BUILTIN",
    "LATER",
    "Direction",
    "Metric",
    "Source",
    "brier_of",
    "metric_named",
    "outcome_values",
    "overdue",
    "reported_values",
    "request_values",
]

LATER = ("window_s", "limits", "winsorise")
"""Fields that metrics declared before did not have: where unused, no part of a design's digest."""
_LARGEST = 1e120  # scores beyond cannot be summed and squared; the square of an outcome can
_LONGEST_S = 1e9  # a window of thirty years
_SHARES = frozenset({"error", "accuracy"})
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
    Source.PREDICTION: ("latency_ms", "error", "score", "requests"),
    Source.SCORING: ("brier", "log_loss", "accuracy", "squared_error", "absolute_error"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured on every unit, and which way is better.

    ``margin`` is how much worse, relative to the control's mean, a guardrail may be
    before it counts as harmed; in [0, 1).

    An outcome that became known more than ``window_s`` seconds after its prediction, or after
    its unit was first given a variant, is kept and does not count; a correction is as old as what
    it corrects. Values of outcomes outside ``limits`` (low, high) are refused where they are sent
    and never count; with ``winsorise`` they are taken, and count as the limit itself.
    """

    name: str
    direction: Direction
    source: Source = Source.OUTCOME
    margin: float = 0.0
    window_s: float | None = None
    limits: tuple[float, float] | None = None
    winsorise: bool = False

    def __post_init__(self) -> None:
        composed = self.kind is not Kind.MEAN
        known = ("of outcomes and built-in names",) if composed else _KNOWN.get(self.source)
        if composed and self.source is Source.OUTCOME:
            known = None
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
        self._check_window()
        self._check_limits()

    def _check_window(self) -> None:
        if self.window_s is None:
            return
        if self.source is Source.PREDICTION or not 0 < self.window_s <= _LONGEST_S:
            raise InvalidInput(
                f"window_s of {self.name} must be seconds in (0, {_LONGEST_S:g}] and of a metric "
                f"that waits for outcomes, got {self.window_s} of {self.source}",
                field="window_s",
                value=self.window_s,
            )

    def _check_limits(self) -> None:
        low, high = self.limits or (0.0, 1.0)
        given = self.limits is not None
        fits = self.source is Source.OUTCOME if given else not self.winsorise
        if not (fits and -_LARGEST <= low < high <= _LARGEST):
            raise InvalidInput(
                f"limits of {self.name} must be two finite numbers, the lower first, of a metric "
                f"whose source is outcome (winsorise needs them), got {self.limits}",
                field="limits",
                value=self.limits,
            )

    @property
    def form(self) -> Form:
        """What its name says it is made of."""
        return form_of(self.name)

    @property
    def kind(self) -> Kind:
        """How a number for an arm is made of the values of its units."""
        return self.form.kind

    @property
    def bases(self) -> tuple[Metric, ...]:
        """The means that it is made of: itself, if it is one."""
        if self.kind is Kind.MEAN:
            return (self,)
        return tuple(self._base(name) for name in self.form.of)

    def _base(self, name: str) -> Metric:
        for source, known in _KNOWN.items():
            if name in known:
                plain = BUILTIN.get(name)
                return plain or Metric(name, self.direction, source)
        return replace(self, name=name, margin=0.0)

    @property
    def is_share(self) -> bool:
        """Tell whether every value lies in [0, 1]."""
        return self.name in _SHARES or self.kind is Kind.WIN_RATE or self.limits == (0.0, 1.0)

    @property
    def waits(self) -> bool:
        """Tell whether it needs outcomes."""
        return any(base.source is not Source.PREDICTION for base in self.bases)

    def waits_for(self, outcome: str) -> bool:
        """Tell whether outcomes of a name give it values."""
        return any(
            outcome == (base.name if base.source is Source.OUTCOME else LABEL)
            for base in self.bases
            if base.source is not Source.PREDICTION
        )

    def outside(self, value: float) -> bool:
        """Tell whether a value is outside the limits."""
        return self.limits is not None and not self.limits[0] <= value <= self.limits[1]

    def in_time(self, outcome: Outcome, since: datetime | None) -> bool:
        """Tell whether an outcome became known within the window that began at ``since``."""
        if self.window_s is None or since is None:
            return True
        return (outcome.at - since).total_seconds() <= self.window_s

    def limited(self, value: float) -> float | None:
        """Return a value as it counts: ``None`` where it does not."""
        if self.limits is None or not self.outside(value):
            return value
        return min(max(value, self.limits[0]), self.limits[1]) if self.winsorise else None


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

    A built-in name (``brier``), or a name and direction: of an outcome (``revenue:higher``), of
    the predicted ``score``, or of what is made of them, as `form_of` reads it:
    ``revenue/visits:higher``, ``p95(latency_ms):lower``, ``sharpe(return):higher``.

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
            source = Source.PREDICTION if name == "score" else Source.OUTCOME
            return Metric(name, direction, source)
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
            value = _PREDICTION_FIELDS[metric.name](prediction)
            return [] if value is None else [value]
        case Source.OUTCOME:
            return outcome_values(metric, outcomes, since=prediction.at)
        case Source.SCORING:
            for outcome in reversed(outcomes):
                if outcome.name == LABEL and metric.in_time(outcome, prediction.at):
                    return _score(metric.name, prediction, outcome)
            return []
    assert_never(metric.source)


def outcome_values(
    metric: Metric, outcomes: Iterable[Outcome], *, since: datetime | None = None
) -> list[float]:
    """Return the values of the outcomes that bear the metric's name, as they count.

    Parameters
    ----------
    metric
        What is measured.
    outcomes
        Those in force.
    since
        When the metric's window began.
    """
    values = [
        metric.limited(float(value))
        for outcome in outcomes
        if outcome.name == metric.name and metric.in_time(outcome, since)
        for value in (outcome.value if isinstance(outcome.value, list) else [outcome.value])
        if not isinstance(value, str)
    ]
    return [value for value in values if value is not None]


def reported_values(metrics: Iterable[Metric], outcome: Outcome) -> list[float]:
    """Return the values that were reported for a variant as a whole, as they count.

    The name need not be that of a metric; where it is, its limits hold.
    """
    known = {
        base.name: base
        for metric in metrics
        for base in metric.bases
        if base.source is Source.OUTCOME
    }
    plain = Metric(outcome.name, Direction.HIGHER)
    return outcome_values(known.get(outcome.name, plain), [outcome])


def overdue(metrics: Iterable[Metric], outcomes: Iterable[Outcome], since: datetime | None) -> int:
    """Count the outcomes that came too late for some metric that waits for them."""
    windows = [metric for metric in metrics if metric.window_s is not None]
    return sum(
        any(one.waits_for(outcome.name) and not one.in_time(outcome, since) for one in windows)
        for outcome in (outcomes if windows else ())
    )


def _score(name: str, prediction: Prediction, label: Outcome) -> list[float]:
    labels = label.value if isinstance(label.value, list) else [label.value]
    if prediction.error is not None or len(labels) != len(prediction.values):
        return []
    rule = _SCORING_RULES[name]
    known = []
    for row, truth in enumerate(labels):
        score = rule(prediction, row, truth)
        if score is not None and abs(score) <= _LARGEST:
            known.append(score)
    return [math.fsum(known) / len(known)] if len(known) > 1 else known


def brier_of(prediction: Prediction, row: int, truth: Label) -> float | None:
    """Return the Brier score of a row; of two classes that of the second alone."""
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


def _mean_score(prediction: Prediction) -> float | None:
    """Return the mean over rows of the last class's probability, or of the predicted number."""
    shares = prediction.probabilities
    values = prediction.values if shares is None else [row[-1] for row in shares]
    numbers = [float(value) for value in values if not isinstance(value, str)]
    return math.fsum(numbers) / len(numbers) if numbers else None


_PREDICTION_FIELDS: Mapping[str, Callable[[Prediction], float | None]] = {
    "latency_ms": lambda prediction: prediction.latency_ms,
    "error": lambda prediction: float(prediction.error is not None),
    "score": _mean_score,
    "requests": lambda _: 1.0,
}
_SCORING_RULES: Mapping[str, Callable[[Prediction, int, Label], float | None]] = {
    "brier": brier_of,
    "log_loss": _log_loss,
    "accuracy": _accuracy,
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
}
