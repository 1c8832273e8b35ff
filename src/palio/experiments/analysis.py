"""Analysis: the folded statistics become a report. Its cost does not grow with the traffic."""

from __future__ import annotations

import enum
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from palio.experiments.design import Variant
from palio.experiments.domain import Experiment
from palio.experiments.metrics import Metric
from palio.experiments.statistics import MetricSums, ReportedSums, VariantCounts
from palio.stats import Comparison, Estimate, Looking, Moments, report_row, sample_ratio

__all__ = [
    "Arm",
    "Contrast",
    "Crossing",
    "Decision",
    "DecisionKind",
    "FixedFigures",
    "LabelShare",
    "Look",
    "MetricFigures",
    "MetricRole",
    "Record",
    "Report",
    "ReportedFigures",
    "SampleRatio",
    "Statistics",
    "Verdict",
    "contrasts_of",
    "looks_of",
    "sample_ratio_of",
]


# A mismatch ends an experiment for good, and on a right split it is a false alarm: it gets a
# budget of its own, far below that of the goal.
_SAMPLE_RATIO_ALPHA = 0.001
_LATER = ("overdue", "reported")  # fields that arms of old reports do not have
_NEVER_DIFFERED = 100  # units per arm, all of one value, after which that is worth saying


class DecisionKind(enum.StrEnum):
    """What the evidence says should be done."""

    ROLLBACK = "rollback"  # the control should serve everybody, now
    INVALID = "invalid"  # the comparison is broken; find out why
    SHIP = "ship"  # a challenger has won
    INCONCLUSIVE = "inconclusive"  # time is up, and nothing was shown
    KEEP_RUNNING = "keep_running"  # wait for more


class Verdict(enum.StrEnum):
    """What one contrast shows."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"  # the interval holds no effect, or a guardrail within its margin
    TOO_EARLY = "too_early"  # too few units for any verdict


class MetricRole(enum.StrEnum):
    """What a metric is there for."""

    GOAL = "goal"
    SECONDARY = "secondary"
    GUARDRAIL = "guardrail"


@dataclass(frozen=True, slots=True)
class MetricFigures:
    """A metric in one arm: units with a value, their mean and standard deviation."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class ReportedFigures:
    """What was reported for a variant as a whole: values, and their mean.

    The weaker evidence: nobody knows whose values they are, so they decide nothing.
    """

    n: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A variant's counts and plain figures.

    ``overdue`` outcomes came after the window of a metric; ``reported`` is apart from the units.
    """

    variant: str
    version: str
    weight: float
    units: int
    requests: int
    errors: int
    labelled: int
    outcomes: int
    crossovers: int
    metrics: Mapping[str, MetricFigures]
    overdue: int = 0
    reported: Mapping[str, ReportedFigures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FixedFigures:
    """What Welch's test says if looked at once only; never a reason to stop."""

    lower: float | None
    upper: float | None
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A challenger against the control on one metric.

    ``effect`` is challenger less control in the metric's units, ``relative`` the same as a
    share of the control's mean. ``lower`` and ``upper`` enclose it at level ``alpha`` however
    often one looks; ``None`` while it is too early. ``null`` is the effect that counts as none:
    zero, or a guardrail's margin. ``p_value`` is the smallest seen so far. ``chance_to_beat`` and
    ``expected_loss`` (of choosing the challenger, in the metric's units) are the posterior's under
    a flat prior: they describe, and never stop anything.
    """

    metric: str
    role: MetricRole
    variant: str
    alpha: float
    null: float
    effect: float | None
    relative: float | None
    lower: float | None
    upper: float | None
    p_value: float
    rule: str
    verdict: Verdict
    fixed: FixedFigures | None = None
    note: str = ""
    relative_lower: float | None = None
    relative_upper: float | None = None
    chance_to_beat: float | None = None
    expected_loss: float | None = None


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether units were split as designed: the e-process's p-value, and the verdict."""

    p_value: float
    mismatch: bool


@dataclass(frozen=True, slots=True)
class LabelShare:
    """Whether units with a value of the goal are split as designed, as all units should be.

    ``shares`` are the units with a value, by variant, of those that have it; ``differs`` where
    the e-process of the sample ratio finds that some variant has more of them than its due.
    """

    p_value: float
    differs: bool
    shares: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What should be done, for which challenger, and why."""

    kind: DecisionKind
    reasons: tuple[str, ...]
    variant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An experiment's analysis at one watermark of the log.

    ``progress`` is the share of the planned sample that has a value of the goal; ``None``
    without a horizon.
    """

    experiment: str
    at: datetime
    watermark: int
    progress: float | None
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]
    sample_ratio: SampleRatio
    decision: Decision
    label_share: LabelShare | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the report: what the audit log names.

        Fields that came later count only where they are used, so that digests stay as they were.
        """
        report = msgspec.to_builtins(self)
        for part, later in ((report, ("label_share",)), *((a, _LATER) for a in report["arms"])):
            for name in later:
                if not part[name]:
                    del part[name]
        return hashlib.sha256(msgspec.json.encode(report, order="sorted")).hexdigest()

    def goal(self, variant: str) -> Contrast:
        """Return a challenger's contrast on the goal."""
        return next(
            row for row in self.contrasts if row.role is MetricRole.GOAL and row.variant == variant
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The first time a verdict was reached; a later look does not take it back."""

    experiment: str
    metric: str
    variant: str
    verdict: Verdict
    at: datetime
    watermark: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the goal showed, for the interval over time."""

    experiment: str
    watermark: int
    variant: str
    at: datetime
    units: int
    requests: int
    labelled: int
    effect: float | None
    lower: float | None
    upper: float | None
    fixed_lower: float | None
    fixed_upper: float | None
    p_value: float
    decision: DecisionKind
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The analysis that an experiment ended with, and its digest."""

    experiment: str
    at: datetime
    digest: str
    report: Report


@dataclass(frozen=True, slots=True)
class Statistics:
    """An experiment's statistics at a watermark, as read from the store."""

    watermark: int
    sums: Sequence[MetricSums]
    counts: Sequence[VariantCounts]
    reported: Sequence[ReportedSums] = ()

    def moments(self, variant: str, metric: str) -> Moments:
        """Return a metric's moments in a variant over all epochs."""
        rows = [row for row in self.sums if (row.variant, row.metric) == (variant, metric)]
        total = Moments(0, 0.0, 0.0)
        for row in rows:
            total = total.merge(row.moments())
        return total

    def arm(self, experiment: Experiment, variant: Variant) -> Arm:
        """Return a variant's counts and plain figures."""
        rows = [row for row in self.counts if row.variant == variant.key]
        figures = {
            metric.name: _figures(self.moments(variant.key, metric.name))
            for metric in experiment.design.metrics.all
        }
        return Arm(
            variant=variant.key,
            version=variant.version,
            weight=variant.weight,
            units=sum(row.units for row in rows),
            requests=sum(row.requests for row in rows),
            errors=sum(row.errors for row in rows),
            labelled=sum(row.labelled for row in rows),
            outcomes=sum(row.outcomes for row in rows),
            crossovers=sum(row.crossovers for row in rows),
            metrics=figures,
            overdue=sum(row.overdue for row in rows),
            reported={
                row.metric: ReportedFigures(row.n, row.total / row.n)
                for row in self.reported
                if row.variant == variant.key and row.n
            },
        )


def contrasts_of(experiment: Experiment, statistics: Statistics) -> tuple[Contrast, ...]:
    """Compare every challenger with the control on every metric.

    The error budget of the goal, and that of all guardrails together, is shared equally over
    what they are asked (Bonferroni).
    """
    metrics, alpha = experiment.design.metrics, experiment.design.stopping.alpha
    arms = len(experiment.challengers)
    asked = [(MetricRole.GOAL, metrics.goal_metric, alpha / arms)]
    asked += [(MetricRole.SECONDARY, metric, alpha / arms) for metric in metrics.secondary_metrics]
    asked += [
        (MetricRole.GUARDRAIL, metric, alpha / arms / len(metrics.guardrails))
        for metric in metrics.guardrail_metrics
    ]
    return tuple(
        _contrast(experiment, statistics, variant, role=role, metric=metric, alpha=share)
        for variant in experiment.challengers
        for role, metric, share in asked
    )


def _contrast(
    experiment: Experiment,
    statistics: Statistics,
    variant: Variant,
    *,
    role: MetricRole,
    metric: Metric,
    alpha: float,
) -> Contrast:
    control = statistics.moments(experiment.control.key, metric.name)
    treated = statistics.moments(variant.key, metric.name)
    better: Literal["larger", "smaller"] = "larger" if metric.direction.sign > 0 else "smaller"
    looking = _looking(experiment, variant, alpha)
    row = report_row(metric.name, control, treated, looking, better=better)
    found, of_control = row.comparison, math.copysign(1.0, control.mean)
    null = -metric.direction.sign * metric.margin * abs(control.mean)
    same = min(control.n, treated.n) >= _NEVER_DIFFERED and found.effect == found.se == 0
    effect = None if not (control.n and treated.n) else treated.mean - control.mean
    relative = row.relative or found
    low, high = sorted((of_control * relative.lower, of_control * relative.upper))
    return Contrast(
        metric=metric.name,
        role=role,
        variant=variant.key,
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


def _looking(experiment: Experiment, variant: Variant, alpha: float) -> Looking:
    stopping = experiment.design.stopping
    both = experiment.control.weight + variant.weight
    return Looking(
        alpha=alpha,
        horizon=None if stopping.horizon is None else max(2, round(stopping.horizon * both)),
        planned=max(2, round(stopping.min_sample / 0.5)),
        treatment_share=variant.weight / both if 0 < variant.weight < both else 0.5,
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
    """Ask whether newly assigned units were split as designed, over all epochs at one budget."""
    epochs: defaultdict[int, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(experiment.weights, 0)
    )
    for row in statistics.counts:
        epochs[row.epoch][row.variant] = row.units
    if not epochs:
        return SampleRatio(1.0, mismatch=False)
    found = sample_ratio((counts, experiment.weights) for counts in epochs.values())
    return SampleRatio(found.p_value, mismatch=found.p_value <= _SAMPLE_RATIO_ALPHA)


def looks_of(experiment: Experiment, report: Report) -> Iterable[Look]:
    """Return what a report shows on the goal, one look per challenger."""
    for variant in experiment.challengers:
        row = report.goal(variant.key)
        yield Look(
            experiment=experiment.key,
            watermark=report.watermark,
            variant=variant.key,
            at=report.at,
            units=sum(arm.units for arm in report.arms),
            requests=sum(arm.requests for arm in report.arms),
            labelled=sum(arm.labelled for arm in report.arms),
            effect=row.effect,
            lower=row.lower,
            upper=row.upper,
            fixed_lower=row.fixed.lower if row.fixed else None,
            fixed_upper=row.fixed.upper if row.fixed else None,
            p_value=row.p_value,
            decision=report.decision.kind,
            counts={arm.variant: arm.units for arm in report.arms},
        )


def _figures(moments: Moments) -> MetricFigures:
    return MetricFigures(moments.n, moments.mean, math.sqrt(max(moments.var, 0.0)))


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
