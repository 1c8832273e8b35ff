"""The decision: one pure function of what was seen, in a fixed order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from palio.experiments.analysis import (
    Contrast,
    Crossing,
    Decision,
    DecisionKind,
    LabelShare,
    MetricRole,
    Report,
    SampleRatio,
    Statistics,
    Verdict,
)
from palio.experiments.comparing import contrasts_of, sample_ratio_of, segment_contrasts_of
from palio.experiments.design import Type
from palio.experiments.domain import Experiment
from palio.experiments.label_share import label_share_of

__all__ = ["SAMPLE_RATIO", "crossings_in", "decide", "report_of"]

SAMPLE_RATIO = "sample_ratio"


def report_of(
    experiment: Experiment,
    statistics: Statistics,
    now: datetime,
    *,
    known: Sequence[Crossing] = (),
    smallest_p: dict[str, float] | None = None,
) -> tuple[Report, list[Crossing]]:
    """Analyse and decide.

    Parameters
    ----------
    experiment
        As it stands.
    statistics
        As folded up to a watermark.
    now
        The moment of this look.
    known
        Crossings seen by earlier looks: they stay.
    smallest_p
        The smallest p-value on the goal that earlier looks have seen, by variant.

    Returns
    -------
    tuple of Report and list of Crossing
        The report, and the crossings that this look is the first to see.
    """
    smallest = smallest_p or {}
    contrasts = tuple(
        replace(row, p_value=min(row.p_value, smallest.get(row.variant, 1.0)))
        if row.role is MetricRole.GOAL
        else row
        for row in contrasts_of(experiment, statistics)
    )
    ratio = sample_ratio_of(experiment, statistics)
    seen = crossings_in(experiment, contrasts, ratio, now=now, watermark=statistics.watermark)
    crossed = {_place(crossing): crossing for crossing in known}
    fresh = [crossing for crossing in seen if _place(crossing) not in crossed]
    crossed |= {_place(crossing): crossing for crossing in fresh}
    labels = label_share_of(experiment, statistics)
    look = _Look(experiment, statistics, contrasts, ratio, crossed, now, labels)
    report = Report(
        experiment=experiment.key,
        at=now,
        watermark=statistics.watermark,
        progress=look.progress,
        arms=tuple(statistics.arm(experiment, variant) for variant in experiment.design.variants),
        contrasts=contrasts,
        sample_ratio=ratio,
        decision=decide(look),
        label_share=labels,
        by_segment=segment_contrasts_of(experiment, statistics),
        unadjusted=(
            contrasts_of(experiment, statistics, adjusted=False)
            if experiment.design.covariates
            else ()
        ),
        policy_version=experiment.policy_version,
    )
    return report, fresh


def crossings_in(
    experiment: Experiment,
    contrasts: Iterable[Contrast],
    ratio: SampleRatio,
    *,
    now: datetime,
    watermark: int,
) -> list[Crossing]:
    """Return every verdict that this look reaches."""
    reached = [
        (row.metric, row.variant, row.verdict)
        for row in contrasts
        if row.role is not MetricRole.SECONDARY and row.verdict in (Verdict.BETTER, Verdict.WORSE)
    ]
    if ratio.mismatch:
        reached.append((SAMPLE_RATIO, "", Verdict.WORSE))
    return [
        Crossing(
            experiment=experiment.key,
            metric=metric,
            variant=variant,
            verdict=verdict,
            at=now,
            watermark=watermark,
        )
        for metric, variant, verdict in reached
    ]


_Place = tuple[str, str, Verdict]


def _place(crossing: Crossing) -> _Place:
    return crossing.metric, crossing.variant, crossing.verdict


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything a decision depends on."""

    experiment: Experiment
    statistics: Statistics
    contrasts: Sequence[Contrast]
    ratio: SampleRatio
    crossed: Mapping[_Place, Crossing]
    now: datetime
    labels: LabelShare | None

    @property
    def goal(self) -> str:
        return self.experiment.design.metrics.goal_metric.name

    @property
    def age_s(self) -> float:
        started = self.experiment.started_at
        return 0.0 if started is None else (self.now - started).total_seconds()

    @property
    def sample(self) -> int:
        """Units with a value of the goal in the smallest variant."""
        return min(self._sizes())

    @property
    def progress(self) -> float | None:
        horizon = self.experiment.design.stopping.horizon
        return None if horizon is None else sum(self._sizes()) / horizon

    def _sizes(self) -> list[int]:
        return [
            self.statistics.moments(key, self.goal).n
            for key, weight in self.experiment.weights.items()
            if weight > 0
        ]

    def variants(self, metric: str, verdict: Verdict) -> list[str]:
        return [
            variant.key
            for variant in self.experiment.challengers
            if (metric, variant.key, verdict) in self.crossed
        ]


def decide(look: _Look) -> Decision:
    """Return the first decision that has a reason, in the order of the design."""
    for rule in (_rollback, _invalid, _ship, _inconclusive):
        decision = rule(look)
        if decision is not None:
            return decision
    return Decision(DecisionKind.KEEP_RUNNING, tuple(_waiting_for(look)))


def _rollback(look: _Look) -> Decision | None:
    if look.experiment.design.type is Type.AA:
        return None
    reasons = [
        f"guardrail {metric.name} is harmed in {variant}"
        for metric in look.experiment.design.metrics.guardrail_metrics
        for variant in look.variants(metric.name, Verdict.WORSE)
    ]
    lost = look.variants(look.goal, Verdict.WORSE)
    if len(lost) == len(look.experiment.challengers):
        reasons += [
            f"{variant} is worse than {look.experiment.control.key} on {look.goal}"
            for variant in lost
        ]
    return Decision(DecisionKind.ROLLBACK, tuple(reasons)) if reasons else None


def _invalid(look: _Look) -> Decision | None:
    reasons = []
    if (SAMPLE_RATIO, "", Verdict.WORSE) in look.crossed:
        reasons.append(
            "units are not split as designed (sample ratio mismatch, "
            f"p = {look.ratio.p_value:.2g}); look for lost or repeated requests"
        )
    if crossovers := sum(row.crossovers for row in look.statistics.counts):
        reasons.append(
            f"{crossovers} requests came from units that had been given another variant"
        )
    if look.experiment.design.type is Type.AA:
        reasons += [
            f"{variant} differs from {look.experiment.control.key} on {look.goal}, "
            "and both are one version"
            for verdict in (Verdict.BETTER, Verdict.WORSE)
            for variant in look.variants(look.goal, verdict)
        ]
    return Decision(DecisionKind.INVALID, tuple(reasons)) if reasons else None


def _ship(look: _Look) -> Decision | None:
    stopping = look.experiment.design.stopping
    if look.experiment.design.type is Type.AA:
        return None
    if look.sample < stopping.min_sample or look.age_s < stopping.min_duration_s:
        return None
    lost = set(look.variants(look.goal, Verdict.WORSE))
    won = [key for key in look.variants(look.goal, Verdict.BETTER) if key not in lost]
    if not won:
        return None
    sign = look.experiment.design.metrics.goal_metric.direction.sign
    rows = [row for row in look.contrasts if row.role is MetricRole.GOAL and row.variant in won]
    best = max(rows, key=lambda row: sign * (row.effect or 0.0))
    return Decision(DecisionKind.SHIP, tuple(_ship_reasons(look, best)), best.variant)


def _ship_reasons(look: _Look, best: Contrast) -> list[str]:
    control = look.experiment.control.key
    bounds = "" if best.lower is None else f", interval {best.lower:+.4g} to {best.upper:+.4g}"
    shown = f"{best.variant} is better than {control} on {look.goal}"
    first = look.crossed[look.goal, best.variant, Verdict.BETTER]
    if first.watermark < look.statistics.watermark:
        shown += f" since event {first.watermark} of {look.statistics.watermark}"
    reasons = [f"{shown}: {best.effect:+.4g}{bounds}"]
    if guardrails := look.experiment.design.metrics.guardrail_metrics:
        reasons.append(f"no harm shown on {', '.join(metric.name for metric in guardrails)}")
    reasons.append(f"{look.sample} units in the smallest variant, minimum reached")
    if look.labels is not None and look.labels.differs:
        reasons.append(f"warning: {look.labels.reason}")
    return reasons


def _inconclusive(look: _Look) -> Decision | None:
    stopping = look.experiment.design.stopping
    reasons = []
    if look.progress is not None and look.progress >= 1:
        reasons.append(f"the horizon of {stopping.horizon} units is reached without a winner")
    if stopping.max_duration_s is not None and look.age_s >= stopping.max_duration_s:
        reasons.append(f"the maximum duration of {stopping.max_duration_s:g} s is reached")
    return Decision(DecisionKind.INCONCLUSIVE, tuple(reasons)) if reasons else None


def _waiting_for(look: _Look) -> list[str]:
    stopping = look.experiment.design.stopping
    waits = []
    if look.sample < stopping.min_sample:
        waits.append(
            f"{look.sample} of at least {stopping.min_sample} units with {look.goal} "
            "in the smallest variant"
        )
    if look.age_s < stopping.min_duration_s:
        waits.append(f"{look.age_s:.0f} of at least {stopping.min_duration_s:g} s have passed")
    if not look.variants(look.goal, Verdict.BETTER):
        waits.append(f"no difference on {look.goal} is shown yet")
    return waits
