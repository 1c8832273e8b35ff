"""Analysis: the folded statistics become a report. Its cost does not grow with the traffic."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import msgspec

from palio.experiments.designs.design import Type, Variant
from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import (
    ContrastSums,
    Falls,
    MetricSums,
    ReportedSums,
    VariantCounts,
)
from palio.experiments.judging.arm_moments import arm_moments
from palio.stats import AdaptiveSums, Moments

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
    "looks_of",
]


_LATER = ("overdue", "reported")  # fields that arms of old reports do not have
_REPORT_LATER = (*("label_share", "by_segment", "unadjusted", "policy_version", "chance_to_win"),)
_COUNTED = (*("units", "requests", "errors", "labelled", "outcomes", "crossovers", "overdue"),)


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
    without a horizon. ``by_segment`` are the contrasts within each segment, ``unadjusted`` those
    without covariates, ``policy_version`` the weights in force, and ``chance_to_win`` how likely
    the best challenger still wins by the horizon if its effect is as good as its interval admits,
    where futility is asked for.
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
    by_segment: Mapping[str, tuple[Contrast, ...]] = field(default_factory=dict)
    unadjusted: tuple[Contrast, ...] = ()
    policy_version: int = 0
    chance_to_win: float | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the report: what the audit log names.

        Fields that came later count only where they are used, so that digests stay as they were.
        """
        report = msgspec.to_builtins(self)
        for part, later in ((report, _REPORT_LATER), *((a, _LATER) for a in report["arms"])):
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
    """What one look at the goal showed, for the interval over time.

    ``counts`` are the units of each variant, ``known`` those of them with a value of the goal,
    ``weights`` those in force.
    """

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
    known: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The analysis that an experiment ended with, and its digest."""

    experiment: str
    at: datetime
    digest: str
    report: Report


@dataclass(frozen=True)
class Statistics:
    """An experiment's statistics at a watermark, as read from the store.

    Parameters
    ----------
    watermark, sums, counts, reported
        As folded.
    contrasts
        Of a bandit.
    falls
        How values under a stop-loss added up.
    weights
        Those that units of an epoch were assigned by, where they differ from the present ones.
    settled
        Whether the sums are of the metrics themselves already, as those of a table are.
    """

    watermark: int
    sums: Sequence[MetricSums]
    counts: Sequence[VariantCounts]
    reported: Sequence[ReportedSums] = ()
    contrasts: Sequence[ContrastSums] = ()
    falls: Sequence[Falls] = ()
    weights: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    settled: bool = False

    @cached_property
    def _rows(self) -> Mapping[tuple[int, str, str, str], MetricSums]:
        return {(row.epoch, row.variant, row.metric, row.segment): row for row in self.sums}

    @cached_property
    def epochs(self) -> Sequence[int]:
        """Epochs with units, oldest first."""
        return sorted({row.epoch for row in self.sums if row.n})

    def row(self, epoch: int, variant: str, metric: str, segment: str = "") -> MetricSums | None:
        """Return the sums at a place, if there are any."""
        return self._rows.get((epoch, variant, metric, segment))

    def moments(self, variant: str, metric: str, segment: str = "") -> Moments:
        """Return the moments of a metric's first number in a variant, over all epochs."""
        rows = (self.row(epoch, variant, metric, segment) for epoch in self.epochs)
        return Moments.merged([Moments(0, 0.0, 0.0), *(row.moments() for row in rows if row)])

    def contrast(self, variant: str, metric: str) -> AdaptiveSums:
        """Return what a bandit's challenger has added up against the control."""
        total = AdaptiveSums()
        for row in self.contrasts:
            if (row.variant, row.metric) == (variant, metric):
                total = total.merge(row.adaptive())
        return total

    def count(self, variant: str, field_name: str) -> int:
        """Return a count of a variant over all epochs."""
        return sum(getattr(row, field_name) for row in self.counts if row.variant == variant)

    def arm(self, experiment: Experiment, variant: Variant) -> Arm:
        """Return a variant's counts and plain figures."""
        return Arm(
            variant=variant.key,
            version=variant.version,
            weight=experiment.weights[variant.key],
            **{name: self.count(variant.key, name) for name in _COUNTED},
            metrics={
                metric.name: self._figures(experiment, variant, metric)
                for metric in experiment.design.metrics.all
            },
            reported={
                row.metric: ReportedFigures(row.n, row.total / row.n)
                for row in self.reported
                if row.variant == variant.key and row.n
            },
        )

    def observed(
        self,
        experiment: Experiment,
        variant: str,
        metric: Metric,
        *,
        epochs: Sequence[int] | None = None,
    ) -> Moments:
        """Return a metric as observed, nothing taken out.

        Parameters
        ----------
        experiment, variant, metric
            Of what.
        epochs
            Which are taken together; all if None.
        """
        chosen = self.epochs if epochs is None else epochs
        rows = [self.row(epoch, variant, metric.name) for epoch in chosen]
        filled = [row for row in rows if row is not None and row.n]
        if experiment.design.type is Type.PAIRED and variant != experiment.control.key:
            parts = [row.joint().value(1) for row in filled]  # the first is the difference
        else:
            parts = [
                found
                for row in filled
                for found in arm_moments(metric, [row], adjusted=False, settled=self.settled)
            ]
        return Moments.merged([Moments(0, 0.0, 0.0), *parts])

    def _figures(self, experiment: Experiment, variant: Variant, metric: Metric) -> MetricFigures:
        found = self.observed(experiment, variant.key, metric)
        return MetricFigures(found.n, found.mean, math.sqrt(max(found.var, 0.0)))


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
            known={arm.variant: arm.metrics[row.metric].n for arm in report.arms},
            weights=experiment.weights,
        )
