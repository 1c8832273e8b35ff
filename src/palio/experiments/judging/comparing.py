"""Comparing: the statistics of two variants become one contrast, by what the metric is.

Where weights have changed on the way, arms are compared within epochs and put together again
(`post_stratify`); where a policy moves them, the estimator for data that it has chosen is used;
in a paired experiment the differences within requests.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Literal

from palio.experiments.designs.design import Type, Variant
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import (
    Contrast,
    FixedFigures,
    MetricRole,
    SampleRatio,
    Statistics,
    Verdict,
)
from palio.experiments.judging.arm_moments import arm_moments
from palio.stats import (
    Comparison,
    Estimate,
    Looking,
    Moments,
    ReportRow,
    adaptive_interval,
    allocation_ratio,
    compare_paired,
    conclude,
    normal_posterior,
    post_stratify,
    report_row,
    sample_ratio,
)

__all__ = ["arms_of", "contrasts_of", "sample_ratio_of", "segment_contrasts_of"]

# A mismatch ends an experiment for good, and on a right split it is a false alarm: it gets a
# budget of its own, far below that of the goal.
_SAMPLE_RATIO_ALPHA = 0.001
_NEVER_DIFFERED = 100  # units per arm, all of one value, after which that is worth saying
_LEAST_ALPHA = 0.001  # the smallest level that a comparison is made for
_LEAST = 2  # units of a stratum's arm
_MEANS = frozenset({Kind.MEAN, Kind.WIN_RATE})  # a number a unit, and its mean
_PLANNED = 100_000  # units at which the sample ratio is sharpest, where no horizon says it


def contrasts_of(
    experiment: Experiment,
    statistics: Statistics,
    *,
    segment: str = "",
    adjusted: bool = True,
    alpha: float | None = None,
) -> tuple[Contrast, ...]:
    """Compare every challenger with the control on every metric.

    The error budget of the goal, and that of all guardrails together, is shared equally over
    what they are asked (Bonferroni).

    Parameters
    ----------
    experiment, statistics
        What is compared.
    segment
        Only units of a segment; all if empty.
    adjusted
        Whether covariates are taken out, where there are some.
    alpha
        The error budget of the goal, and of all guardrails; that of the design if None.
    """
    metrics = experiment.design.metrics
    budget = alpha or experiment.design.stopping.alpha
    share = max(budget / len(experiment.challengers), _LEAST_ALPHA)
    of_guardrail = max(share / max(1, len(metrics.guardrails)), _LEAST_ALPHA)
    asked = [(MetricRole.GOAL, metrics.goal_metric, share)]
    asked += [(MetricRole.SECONDARY, metric, share) for metric in metrics.secondary_metrics]
    asked += [(MetricRole.GUARDRAIL, metric, of_guardrail) for metric in metrics.guardrail_metrics]
    asking = _Asking(experiment, statistics, segment, adjusted)
    return tuple(
        asking.contrast(variant, role=role, metric=metric, alpha=own)
        for variant in experiment.challengers
        for role, metric, own in asked
    )


def segment_contrasts_of(
    experiment: Experiment, statistics: Statistics
) -> dict[str, tuple[Contrast, ...]]:
    """Compare within each segment, at the attribute's share of the error budget.

    The segments of one attribute share alpha equally, so that the chance of any false verdict in
    them is that of one report, down to the smallest level there is, 0.001 a comparison.
    """
    found: dict[str, tuple[Contrast, ...]] = {}
    filled = {row.segment for row in statistics.sums if row.n}
    for attribute in experiment.design.segments:
        alpha = experiment.design.stopping.alpha / len(attribute.all)
        for segment in attribute.all:
            if segment in filled:
                found[segment] = contrasts_of(experiment, statistics, segment=segment, alpha=alpha)
    return found


def arms_of(
    experiment: Experiment,
    statistics: Statistics,
    metric: Metric,
    variant: str,
    *,
    segment: str = "",
    adjusted: bool = True,
) -> tuple[Moments, Moments]:
    """Return control and challenger on one metric, over all epochs."""
    keys = [experiment.control.key, variant]
    strata = []
    for epoch in statistics.epochs:
        rows = [statistics.row(epoch, key, metric.name, segment) for key in experiment.weights]
        found = arm_moments(metric, rows, adjusted=adjusted, settled=statistics.settled)
        of = dict(zip(experiment.weights, found, strict=True))
        strata.append((of[keys[0]], of[keys[1]]))
    whole = [one for one in strata if min(one[0].n, one[1].n) >= _LEAST]
    if len(whole) == 1:
        return whole[0]
    if whole:
        both = post_stratify(whole)
        return both.control, both.treatment
    empty = Moments(0, 0.0, 0.0)
    return max(strata, key=lambda one: one[0].n + one[1].n, default=(empty, empty))


@dataclass(frozen=True, slots=True)
class _Asking:
    """What contrasts are made of."""

    experiment: Experiment
    statistics: Statistics
    segment: str
    adjusted: bool

    def contrast(
        self, variant: Variant, *, role: MetricRole, metric: Metric, alpha: float
    ) -> Contrast:
        """Compare one challenger with the control on one metric."""
        design = self.experiment.design
        if design.type is Type.PAIRED:
            row, control = self._paired(variant, metric, alpha)
        elif design.policy.moves and metric.kind in _MEANS and not self.segment:
            row, control = self._adaptive(variant, metric, alpha)
        else:
            row, control = self._apart(variant, metric, alpha)
        made = _contrast(row, control, variant.key, role=role, metric=metric, alpha=alpha)
        naive = design.policy.moves and (metric.kind not in _MEANS or bool(self.segment))
        return _described(made) if naive else made

    def _apart(self, variant: Variant, metric: Metric, alpha: float) -> tuple[ReportRow, Moments]:
        control, treated = arms_of(
            self.experiment,
            self.statistics,
            metric,
            variant.key,
            segment=self.segment,
            adjusted=self.adjusted,
        )
        looking = _looking(self.experiment, variant, alpha)
        better = _better(metric)
        return report_row(metric.name, control, treated, looking, better=better), control

    def _paired(self, variant: Variant, metric: Metric, alpha: float) -> tuple[ReportRow, Moments]:
        """Compare within requests; ``treatment`` bears the differences."""
        place = (metric.name, self.segment)
        control = self.statistics.moments(self.experiment.control.key, *place)
        gaps = self.statistics.moments(variant.key, *place)
        stopping = self.experiment.design.stopping
        found = compare_paired(
            gaps,
            alpha=alpha,
            horizon=stopping.horizon,
            planned=max(2, stopping.min_sample),
        )
        se = math.sqrt(gaps.var / gaps.n) if gaps.n else 0.0
        fixed = conclude(gaps.mean, se, alpha=alpha, df=gaps.n - 1) if gaps.n >= _LEAST else None
        return _row(metric, control, gaps, found, fixed), control

    def _adaptive(
        self, variant: Variant, metric: Metric, alpha: float
    ) -> tuple[ReportRow, Moments]:
        """Compare by the estimator for data that a policy has chosen."""
        control, treated = (
            self.statistics.moments(key, metric.name)
            for key in (self.experiment.control.key, variant.key)
        )
        stopping = self.experiment.design.stopping
        sums = self.statistics.contrast(variant.key, metric.name)
        found = adaptive_interval(
            sums,
            alpha=alpha,
            horizon=stopping.horizon,
            planned=max(2, stopping.min_sample * len(self.experiment.weights)),
        )
        fixed = None
        if math.isfinite(found.lower) and found.se > 0:
            fixed = conclude(found.effect, found.se, alpha=alpha)
        return _row(metric, control, treated, found, fixed), control


def _described(made: Contrast) -> Contrast:
    """Return a contrast that says what was observed alone."""
    return replace(
        made,
        lower=None,
        upper=None,
        relative_lower=None,
        relative_upper=None,
        p_value=1.0,
        verdict=Verdict.UNCLEAR,
        fixed=None,
        chance_to_beat=None,
        expected_loss=None,
        note="as observed: where a policy moves weights, only means of all units have an interval",
    )


def _row(  # noqa: PLR0917 -- one row
    metric: Metric,
    control: Moments,
    treatment: Moments,
    found: Comparison,
    fixed: Estimate | None,
) -> ReportRow:
    """Return what `report_row` gives, for a comparison that is not of two arms."""
    chance = None
    if fixed is not None and fixed.se > 0:
        sign = metric.direction.sign
        chance = normal_posterior(sign * fixed.effect, fixed.se).chance_above()
    return ReportRow(
        metric=metric.name,
        control=control,
        treatment=treatment,
        comparison=found,
        relative=None,
        fixed=fixed,
        unadjusted=None,
        variance_removed=None,
        chance_to_beat=chance,
        expected_loss=None,
        adjusted_p=found.p_value,
    )


def _contrast(
    row: ReportRow,
    control: Moments,
    variant: str,
    *,
    role: MetricRole,
    metric: Metric,
    alpha: float,
) -> Contrast:
    found, of_control = row.comparison, math.copysign(1.0, control.mean)
    null = -metric.direction.sign * metric.margin * abs(control.mean)
    sizes = (control.n, row.treatment.n)
    same = min(sizes) >= _NEVER_DIFFERED and found.effect == found.se == 0
    effect = found.effect if all(sizes) else None
    relative = row.relative or found
    low, high = sorted((of_control * relative.lower, of_control * relative.upper))
    return Contrast(
        metric=metric.name,
        role=role,
        variant=variant,
        alpha=alpha,
        null=null,
        effect=effect,
        relative=effect / abs(control.mean) if effect is not None and control.mean else None,
        lower=_finite(found.lower),
        upper=_finite(found.upper),
        p_value=found.p_value,
        rule=found.rule,
        verdict=_verdict(metric, found, null, same=same),
        fixed=None if row.fixed is None else _fixed(row.fixed),
        note=found.reason or "",
        relative_lower=_finite(low) if row.relative else None,
        relative_upper=_finite(high) if row.relative else None,
        chance_to_beat=row.chance_to_beat,
        expected_loss=row.expected_loss.treatment if row.expected_loss else None,
    )


def _better(metric: Metric) -> Literal["larger", "smaller"]:
    return "larger" if metric.direction.sign > 0 else "smaller"


def _looking(experiment: Experiment, variant: Variant, alpha: float) -> Looking:
    # As designed, whatever the weights have become: what is planned must not move with the data.
    stopping, own = experiment.design.stopping, variant.weight
    both = experiment.control.weight + own
    return Looking(
        alpha=alpha,
        horizon=None if stopping.horizon is None else max(2, round(stopping.horizon * both)),
        planned=max(2, round(stopping.min_sample / 0.5)),
        treatment_share=own / both if 0 < own < both else 0.5,
    )


def _verdict(metric: Metric, found: Comparison, null: float, *, same: bool) -> Verdict:
    if not (math.isfinite(found.lower) and math.isfinite(found.upper)):
        return Verdict.UNCLEAR if same else Verdict.TOO_EARLY
    sign = metric.direction.sign
    low, high = sorted((sign * found.lower, sign * found.upper))
    if low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if high < sign * null else Verdict.UNCLEAR


def _fixed(found: Estimate) -> FixedFigures:
    return FixedFigures(_finite(found.lower), _finite(found.upper), found.p_value)


def sample_ratio_of(experiment: Experiment, statistics: Statistics) -> SampleRatio:
    """Ask whether newly assigned units were split as designed, over all epochs at one budget.

    Units of a bandit are held against the sum of their propensities.
    """
    if experiment.design.policy.moves:
        return _allocation_ratio(experiment, statistics)
    epochs: defaultdict[int, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(experiment.weights, 0)
    )
    for row in statistics.counts:
        epochs[row.epoch][row.variant] = row.units
    if not epochs:
        return SampleRatio(1.0, mismatch=False)
    found = sample_ratio(
        (counts, statistics.weights.get(epoch, experiment.weights))
        for epoch, counts in epochs.items()
    )
    return SampleRatio(found.p_value, mismatch=found.p_value <= _SAMPLE_RATIO_ALPHA)


def _allocation_ratio(experiment: Experiment, statistics: Statistics) -> SampleRatio:
    counts, expected = dict.fromkeys(experiment.weights, 0), dict.fromkeys(experiment.weights, 0.0)
    for row in statistics.counts:
        counts[row.variant] += row.units
        expected[row.variant] += row.expected
    planned = max(100, experiment.design.stopping.horizon or _PLANNED)
    found = allocation_ratio(counts, expected, n=sum(counts.values()), planned=planned)
    return SampleRatio(found.p_value, mismatch=found.p_value <= _SAMPLE_RATIO_ALPHA)


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
