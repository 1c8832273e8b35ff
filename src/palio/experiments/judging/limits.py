"""Hard limits: what is shown to be beyond what a design bears, without any minimum sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor

from palio import bandits
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Contrast, MetricRole, Statistics, Verdict
from palio.stats import Moments, rate_sequence

__all__ = ["DRAWDOWN", "ERROR_RATE", "LIMITS", "STOP_LOSS", "Hit", "hits_of", "with_exact_harm"]

STOP_LOSS = "limit:stop_loss"
DRAWDOWN = "limit:max_drawdown"
ERROR_RATE = "limit:max_error_rate"
LIMITS = (STOP_LOSS, DRAWDOWN, ERROR_RATE)
"""What crossings of limits are kept under, where those of metrics bear the metric's name."""
_WHOLE = 1e-6  # a mean times its units is a whole number again, within rounding


@dataclass(frozen=True, slots=True)
class Hit:
    """A limit that a variant is beyond, and how that is said."""

    limit: str
    variant: str
    said: str


def hits_of(experiment: Experiment, statistics: Statistics) -> list[Hit]:
    """Return every limit that is hit now; of the control, too, its stop-loss."""
    keys = list(experiment.weights)
    hits = [hit for key in keys for hit in _lost(experiment, statistics, key)]
    return hits + list(_failing(experiment, statistics))


def _lost(experiment: Experiment, statistics: Statistics, variant: str) -> Iterator[Hit]:
    loss = experiment.design.stop_loss
    if loss is None:
        return
    sign = _metric_of(experiment, loss.metric).direction.sign
    found = statistics.moments(variant, loss.metric)
    below, fell = ("below", "fell") if sign > 0 else ("above", "rose")
    if loss.threshold is not None:
        rule = bandits.StopLoss(sign * loss.threshold, loss.alpha)
        if rule.stops(Moments(found.n, sign * found.mean, found.var)):
            said = f"mean {loss.metric} of {variant} is shown to be {below} {loss.threshold:g}"
            yield Hit(STOP_LOSS, variant, f"{said}: {found.mean:.4g} over {found.n} units")
    for fall in statistics.falls:
        deepest = fall.drawdown()
        cap = loss.max_drawdown
        if fall.variant == variant and cap is not None and deepest.exceeds(cap):
            said = f"the sum of {loss.metric} in {variant} {fell} by {deepest.deepest:.4g}"
            yield Hit(DRAWDOWN, variant, f"{said}, more than {cap:g}")


def _metric_of(experiment: Experiment, name: str) -> Metric:
    return next(one for one in experiment.design.metrics.all if one.name == name)


def _failing(experiment: Experiment, statistics: Statistics) -> Iterator[Hit]:
    """Compare the error rate of each challenger, at its share of the error budget."""
    most = experiment.design.criteria.max_error_rate
    if most is None:
        return
    alpha = experiment.design.stopping.alpha / len(experiment.challengers)
    for variant in experiment.challengers:
        errors, requests = (statistics.count(variant.key, one) for one in ("errors", "requests"))
        if rate_sequence(errors, requests, alpha=alpha)[0] > most:
            said = f"the error rate of {variant.key} is shown to be above {most:g}"
            yield Hit(ERROR_RATE, variant.key, f"{said}: {errors} of {requests} requests failed")


def with_exact_harm(
    experiment: Experiment, statistics: Statistics, contrast: Contrast
) -> Contrast:
    """Return a contrast, worse where the exact intervals of a guardrail's two rates show it.

    A share, 1 or 0 or between for each unit, has an interval in each arm that holds at every look
    and for every number of units. Harm is shown once both, at half the guardrail's error
    probability each, lie apart by more than the margin. It is right where the rate of an arm does
    not change in step with the arm's weight; arms are therefore compared within epochs, and where
    there can be several, the k-th has 1 / (k (k + 1)) of the error probability.
    """
    if contrast.role is not MetricRole.GUARDRAIL or statistics.settled:
        return contrast
    metric = _metric_of(experiment, contrast.metric)
    if not metric.is_share or metric.kind not in {Kind.MEAN, Kind.WIN_RATE}:
        return contrast
    several = experiment.design.weights_may_move and not experiment.design.policy.moves
    for epoch in statistics.epochs:
        alpha = contrast.alpha / 2 / (epoch * (epoch + 1) if several else 1)
        keys = experiment.control.key, contrast.variant
        control, treated = (
            statistics.observed(experiment, key, metric, epochs=[epoch]) for key in keys
        )
        if _apart(metric, _bounds(control, alpha), _bounds(treated, alpha)):
            note = (
                f"harm shown by exact intervals: {treated.mean:.4g} of {treated.n} units "
                f"against {control.mean:.4g} of {control.n}"
            )
            return replace(contrast, verdict=Verdict.WORSE, note=note)
    return contrast


def _bounds(found: Moments, alpha: float) -> tuple[float, float]:
    """Bound a mean of shares: a whole number of successes on either side of their sum."""
    total = min(max(found.n * found.mean, 0.0), float(found.n))
    low, high = floor(total + _WHOLE), ceil(total - _WHOLE)
    return rate_sequence(low, found.n, alpha=alpha)[0], rate_sequence(high, found.n, alpha=alpha)[
        1
    ]


def _apart(metric: Metric, control: tuple[float, float], treated: tuple[float, float]) -> bool:
    if metric.direction.sign > 0:
        return treated[1] < control[0] * (1 - metric.margin)
    return treated[0] > control[1] * (1 + metric.margin)
