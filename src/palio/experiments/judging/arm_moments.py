"""From the sums of one metric in every arm to the moments that rules compare, by its kind."""

from __future__ import annotations

from collections.abc import Sequence

from palio.experiments.designs.metric_forms import Kind
from palio.experiments.designs.metrics import Metric
from palio.experiments.folding.statistics import MetricSums
from palio.stats import (
    Moments,
    ReturnMoments,
    least_units,
    pooled_cuped,
    quantile_moments,
    ratio,
    sharpe_moments,
)

__all__ = ["arm_moments"]

_NOTHING = Moments(0, 0.0, 0.0)


def arm_moments(
    metric: Metric,
    rows: Sequence[MetricSums | None],
    *,
    adjusted: bool = True,
    settled: bool = False,
) -> list[Moments]:
    """Return the moments of each arm, none where there is too little to tell.

    Parameters
    ----------
    metric
        What is measured.
    rows
        Sums of each arm in one epoch.
    adjusted
        Whether covariates are taken out of means, by slopes that all arms share.
    settled
        Whether the sums are of the metric itself already, as those of a table are.
    """
    if settled or metric.kind in {Kind.MEAN, Kind.WIN_RATE}:
        return _means(rows, adjusted=adjusted and not settled)
    return [_NOTHING if row is None or not row.n else _of(metric, row) for row in rows]


def _means(rows: Sequence[MetricSums | None], *, adjusted: bool) -> list[Moments]:
    filled = [row for row in rows if row is not None and row.n]
    if not (adjusted and filled and len(filled[0].shift) > 1):
        return [_NOTHING if row is None else row.moments() for row in rows]
    found = iter(pooled_cuped([row.joint() for row in filled]))
    return [_NOTHING if row is None or not row.n else next(found) for row in rows]


def _of(metric: Metric, row: MetricSums) -> Moments:
    try:
        if metric.kind is Kind.RATIO:
            return ratio(row.joint())
        if metric.kind is Kind.SHARPE:
            return sharpe_moments(ReturnMoments.from_joint(row.joint()))
        q = metric.form.q or 0.5
        return quantile_moments(row.histogram(), q) if row.n >= least_units(q) else _NOTHING
    except ValueError:  # too few units, nothing that varies, a denominator of 0: no number yet
        return _NOTHING
