"""Measures: from events to the parts kept of a unit, and from these to the numbers summed.

A *part* is a named pile of values of one unit, kept as count and sum. A metric's *numbers* for a
unit are made of its parts: the mean; numerator and denominator of a ratio; a return and its square
for a Sharpe ratio; with covariates the mean, then of each covariate its value and whether there is
one. In a paired experiment a challenger has the mean difference to the control within requests,
then its own mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from palio.experiments.designs.covariates import Covariate
from palio.experiments.designs.design import ExperimentDraft, Type
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.designs.metrics import Metric, Source, outcome_values, request_values
from palio.experiments.events import Outcome, Prediction
from palio.experiments.folding.statistics import Numbers, UnitValues

__all__ = ["Measures", "Part"]

Part = tuple[str, Sequence[float]]
Maker = Callable[[Metric, UnitValues], Numbers | None]
_WITH_COVARIATES = frozenset({Kind.MEAN, Kind.WIN_RATE})


@dataclass(frozen=True, slots=True)
class Measures:
    """All that an experiment measures.

    Attributes
    ----------
    metrics
        In the order of the design.
    makers
        Of each metric, what makes its numbers of a unit's parts.
    served, told
        Name of each part with the mean that it is a pile of: those that a prediction makes
        alone, and those that outcomes make.
    covariates
        Those of the design.
    variants
        The keys of a paired experiment, control first; of others none.
    timed
        Metrics that wait for outcomes only so long.
    followed
        The metric whose fall a stop-loss limits.
    """

    metrics: tuple[Metric, ...]
    makers: tuple[Maker, ...]
    served: tuple[tuple[str, Metric], ...]
    told: tuple[tuple[str, Metric], ...]
    covariates: tuple[Covariate, ...] = ()
    variants: tuple[str, ...] = ()
    timed: tuple[Metric, ...] = ()
    followed: Metric | None = None

    @classmethod
    def of(cls, design: ExperimentDraft) -> Measures:
        """Return what a design measures."""
        metrics = design.metrics.all
        parts = [
            (name, base)
            for metric in metrics
            for name, base in zip(_names(metric), metric.bases, strict=True)
        ]
        paired = design.type is Type.PAIRED
        return cls(
            metrics,
            makers=tuple(_NUMBERS[metric.kind] for metric in metrics),
            served=tuple(part for part in parts if part[1].source is Source.PREDICTION),
            told=tuple(part for part in parts if part[1].source is not Source.PREDICTION),
            covariates=design.covariates,
            variants=tuple(variant.key for variant in design.variants) if paired else (),
            timed=tuple(metric for metric in metrics if metric.window_s is not None),
            followed=_followed(design),
        )

    @property
    def of_outcomes(self) -> list[Metric]:
        """Metrics that outcomes of a unit as a whole give values."""
        return [
            metric
            for metric in self.metrics
            if any(base.source is Source.OUTCOME for base in metric.bases)
        ]

    def of_request(
        self,
        prediction: Prediction,
        outcomes: Sequence[Outcome],
        *,
        matured: bool,
        served: bool = True,
    ) -> Iterator[Part]:
        """Yield the parts of a request.

        Parameters
        ----------
        prediction
            As it was served.
        outcomes
            Those in force.
        matured
            Whether its outcomes count yet.
        served
            Whether those of the prediction alone are asked for, too: they never change.
        """
        parts = self.served if served else ()
        if matured and outcomes:
            parts += self.told
        if self.variants:
            yield from self._paired(prediction, outcomes, parts)
            return
        for name, base in parts:
            values = request_values(base, prediction, outcomes)
            if values:
                yield name, values

    def _paired(
        self,
        prediction: Prediction,
        outcomes: Sequence[Outcome],
        parts: Iterable[tuple[str, Metric]],
    ) -> Iterator[Part]:
        scored = {prediction.variant: prediction}
        for other in prediction.others:
            scored[other.variant] = replace(
                prediction,
                variant=other.variant,
                version=other.version,
                values=other.values,
                probabilities=other.probabilities,
                latency_ms=other.latency_ms,
                error=other.error,
                others=(),
            )
        control, *challengers = self.variants
        for name, base in parts:
            of = {key: request_values(base, one, outcomes) for key, one in scored.items()}
            first = of.get(control)
            if first:
                yield f"{name}@{control}", first
            for key in challengers:
                if first and of.get(key):
                    yield f"{name}@{key}", of[key]
                    yield f"{name}@{key}-", [of[key][0] - first[0]]

    def of_unit(
        self, outcomes: Sequence[Outcome], row: UnitValues, *, matured: bool
    ) -> Iterator[Part]:
        """Yield the parts that outcomes of a unit as a whole make.

        Parameters
        ----------
        outcomes
            Those in force from after the experiment's start.
        row
            The unit's.
        matured
            Whether its outcomes count yet.
        """
        if not matured or self.variants:
            return
        history = {covariate.name for covariate in self.covariates}
        for name, base in self.told:
            if base.source is not Source.OUTCOME:
                continue
            counted = outcomes
            if base.name in history and row.first_at is not None:
                counted = [one for one in outcomes if one.at >= row.first_at]
            values = outcome_values(base, counted, since=row.first_at)
            if values:
                yield name, values

    def of_history(self, outcomes: Sequence[Outcome], row: UnitValues) -> Iterator[Part]:
        """Yield the parts that covariates are made of, from all outcomes of a unit."""
        for covariate in self.covariates:
            values = covariate.values(outcomes, row.first_at)
            if values:
                yield covariate.part, values

    def numbers(self, row: UnitValues) -> Iterator[tuple[str, str, Numbers]]:
        """Yield variant, metric and the numbers that a unit has for it."""
        if self.variants:
            yield from self._differences(row)
            return
        for metric, maker in zip(self.metrics, self.makers, strict=True):
            found = maker(metric, row)
            if found is None:
                continue
            if self.covariates and metric.kind in _WITH_COVARIATES:
                found += self._known_before(row)
            yield row.variant, metric.name, found

    def _differences(self, row: UnitValues) -> Iterator[tuple[str, str, Numbers]]:
        control, *challengers = self.variants
        for metric in self.metrics:
            mean = row.mean(f"{metric.name}@{control}")
            if mean is not None:
                yield control, metric.name, (mean,)
            for key in challengers:
                gap, own = row.mean(f"{metric.name}@{key}-"), row.mean(f"{metric.name}@{key}")
                if gap is not None and own is not None:
                    yield key, metric.name, (gap, own)

    def _known_before(self, row: UnitValues) -> Numbers:
        means = [row.mean(covariate.part) for covariate in self.covariates]
        return tuple(
            number for mean in means for number in ((0.0, 0.0) if mean is None else (mean, 1.0))
        )


def _followed(design: ExperimentDraft) -> Metric | None:
    loss = design.stop_loss
    if loss is None or loss.max_drawdown is None:
        return None
    return next(metric for metric in design.metrics.all if metric.name == loss.metric)


def _names(metric: Metric) -> tuple[str, ...]:
    """Return the names of a metric's parts."""
    if metric.kind is Kind.RATIO:
        return f"{metric.name}:numerator", f"{metric.name}:denominator"
    return (metric.name,)


def _mean(metric: Metric, row: UnitValues) -> Numbers | None:
    n, total = row.values.get(metric.name, (0, 0.0))
    return (total / n,) if n else None


def _ratio(metric: Metric, row: UnitValues) -> Numbers | None:
    above, below = _names(metric)
    n, total = row.values.get(below, (0, 0.0))
    return (row.values.get(above, (0, 0.0))[1], total) if n else None


def _return(metric: Metric, row: UnitValues) -> Numbers | None:
    mean = row.mean(metric.name)
    return None if mean is None else (mean, mean * mean)


def _win(metric: Metric, row: UnitValues) -> Numbers | None:
    mean = row.mean(metric.name)
    return None if mean is None else (float(mean > 0),)


_NUMBERS: Mapping[Kind, Maker] = {
    Kind.MEAN: _mean,
    Kind.RATIO: _ratio,
    Kind.QUANTILE: _mean,
    Kind.SHARPE: _return,
    Kind.WIN_RATE: _win,
}
