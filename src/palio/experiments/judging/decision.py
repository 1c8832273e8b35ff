"""The decision: one pure function of what was seen, in a fixed order of precedence.

Who has lost enough, by a stop-loss or a limit, is sent home alone where weights may move: the
decision to go on then names it, and whoever moves weights gives it nothing any more. Where weights
stay as they are, and when nobody is left, it is a rollback. Of the control nothing of it is said
but that it loses, too: to roll back to it would be no rescue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from palio.experiments.designs.design import Type
from palio.experiments.designs.risk import Criteria
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import (
    Contrast,
    Crossing,
    Decision,
    DecisionKind,
    MetricRole,
    Report,
    SampleRatio,
    Statistics,
    Verdict,
)
from palio.experiments.judging.comparing import contrasts_of, sample_ratio_of, segment_contrasts_of
from palio.experiments.judging.label_share import label_share_of
from palio.experiments.judging.limits import Hit, hits_of, with_exact_harm
from palio.experiments.judging.snapshot import Snapshot, place_of

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
        else with_exact_harm(experiment, statistics, row)
        for row in contrasts_of(experiment, statistics)
    )
    ratio, hits = sample_ratio_of(experiment, statistics), hits_of(experiment, statistics)
    crossed = {place_of(crossing): crossing for crossing in known}
    seen = crossings_in(
        experiment, contrasts, ratio, hits=hits, now=now, watermark=statistics.watermark
    )
    fresh = [crossing for crossing in seen if place_of(crossing) not in crossed]
    crossed |= {place_of(crossing): crossing for crossing in fresh}
    snapshot = Snapshot(
        experiment=experiment,
        statistics=statistics,
        contrasts=contrasts,
        ratio=ratio,
        hits=hits,
        crossed=crossed,
        arms=tuple(statistics.arm(experiment, one) for one in experiment.design.variants),
        now=now,
        labels=label_share_of(experiment, statistics),
    )
    return _reported(snapshot), fresh


def _reported(seen: Snapshot) -> Report:
    """Decide, and put together what is told."""
    experiment, statistics = seen.experiment, seen.statistics
    return Report(
        experiment=experiment.key,
        at=seen.now,
        watermark=statistics.watermark,
        progress=seen.progress,
        arms=seen.arms,
        contrasts=seen.contrasts,
        sample_ratio=seen.ratio,
        decision=decide(seen),
        label_share=seen.labels,
        by_segment=segment_contrasts_of(experiment, statistics),
        unadjusted=(
            contrasts_of(experiment, statistics, adjusted=False)
            if experiment.design.covariates
            else ()
        ),
        policy_version=experiment.policy_version,
        chance_to_win=seen.chance_to_win,
    )


def crossings_in(
    experiment: Experiment,
    contrasts: Iterable[Contrast],
    ratio: SampleRatio,
    *,
    hits: Iterable[Hit] = (),
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
    reached += [(hit.limit, hit.variant, Verdict.WORSE) for hit in hits]
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


def decide(seen: Snapshot) -> Decision:
    """Return the first decision that has a reason, in the order of the design."""
    for rule in (_rollback, _invalid, _ship, _inconclusive):
        decision = rule(seen)
        if decision is not None:
            return decision
    leaving = [one for one in seen.stopped if seen.experiment.weights[one] > 0]
    return Decision(
        DecisionKind.KEEP_RUNNING,
        tuple(_waiting_for(seen)),
        leaving[0] if leaving else None,
    )


def _rollback(seen: Snapshot) -> Decision | None:
    if seen.experiment.design.type is Type.AA:
        return None
    reasons = [
        f"guardrail {metric.name} is harmed in {variant}"
        for metric in seen.experiment.design.metrics.guardrail_metrics
        for variant in seen.variants(metric.name, Verdict.WORSE)
    ]
    nobody_left = len(seen.lost) == len(seen.experiment.challengers)
    if nobody_left:
        reasons += [
            f"{variant} is worse than {seen.control} on {seen.goal}"
            for variant in seen.variants(seen.goal, Verdict.WORSE)
        ]
    if nobody_left or not seen.experiment.design.weights_may_move:
        reasons += [said for variant in seen.stopped for said in seen.limits_hit(variant)]
    if not reasons:
        return None
    return Decision(DecisionKind.ROLLBACK, (*reasons, *_of_control(seen)))


def _of_control(seen: Snapshot) -> list[str]:
    """Return what is said of a control that loses: it decides nothing."""
    return [
        f"{said}; {key} is not what is tried, and rolling back would not end it"
        for key in seen.experiment.weights
        if key not in seen.stopped
        for said in seen.limits_hit(key)
    ]


def _invalid(seen: Snapshot) -> Decision | None:
    reasons = []
    if (SAMPLE_RATIO, "", Verdict.WORSE) in seen.crossed:
        reasons.append(
            "units are not split as designed (sample ratio mismatch, "
            f"p = {seen.ratio.p_value:.2g}); look for lost or repeated requests"
        )
    if crossovers := sum(row.crossovers for row in seen.statistics.counts):
        reasons.append(
            f"{crossovers} requests came from units that had been given another variant"
        )
    if seen.experiment.design.type is Type.AA:
        reasons += [
            f"{variant} differs from {seen.control} on {seen.goal}, and both are one version"
            for verdict in (Verdict.BETTER, Verdict.WORSE)
            for variant in seen.variants(seen.goal, verdict)
        ]
    return Decision(DecisionKind.INVALID, tuple(reasons)) if reasons else None


def _ship(seen: Snapshot) -> Decision | None:
    if seen.experiment.design.type is Type.AA or seen.is_early or not seen.fit:
        return None
    if not (seen.stopping.early_stop or seen.at_horizon or seen.is_over_age):
        return None
    best = seen.fit[0]
    return Decision(DecisionKind.SHIP, tuple(_ship_reasons(seen, best)), best.variant)


def _ship_reasons(seen: Snapshot, best: Contrast) -> list[str]:
    bounds = "" if best.lower is None else f", interval {best.lower:+.4g} to {best.upper:+.4g}"
    shown = f"{best.variant} is better than {seen.control} on {seen.goal}"
    first = seen.crossed[seen.goal, best.variant, Verdict.BETTER]
    if first.watermark < seen.statistics.watermark:
        shown += f" since event {first.watermark} of {seen.statistics.watermark}"
    reasons = [f"{shown}: {best.effect:+.4g}{bounds}"]
    if guardrails := seen.experiment.design.metrics.guardrail_metrics:
        reasons.append(f"no harm shown on {', '.join(metric.name for metric in guardrails)}")
    reasons.append(f"{seen.sample} units in the smallest variant, minimum reached")
    if seen.experiment.design.criteria != Criteria():
        reasons.append("all criteria are fulfilled")
    if seen.labels is not None and seen.labels.differs:
        reasons.append(f"warning: {seen.labels.reason}")
    return reasons


def _inconclusive(seen: Snapshot) -> Decision | None:
    waits = bool(seen.fit) and seen.is_early
    reasons = []
    if seen.at_horizon and not waits:  # a winner that is too young is waited for
        horizon = seen.stopping.horizon
        reasons.append(f"the horizon of {horizon} units is reached without a winner")
    if seen.is_over_age:
        reasons.append(f"the maximum duration of {seen.stopping.max_duration_s:g} s is reached")
    least, chance = seen.stopping.futility, seen.chance_to_win
    if least is not None and chance is not None and chance < least:
        reasons.append(
            f"the chance to win on {seen.goal} by the horizon is {chance:.2g}, below {least:g}"
        )
    if not reasons:
        return None
    return Decision(DecisionKind.INCONCLUSIVE, (*reasons, *_unfit(seen), *_of_control(seen)))


def _unfit(seen: Snapshot) -> list[str]:
    """Return what winners lack."""
    return [f"{row.variant} has won, but {lack}" for row in seen.won for lack in seen.lacking(row)]


def _waiting_for(seen: Snapshot) -> list[str]:
    stopping = seen.stopping
    waits = []
    if seen.sample < stopping.min_sample:
        waits.append(
            f"{seen.sample} of at least {stopping.min_sample} units with {seen.goal} "
            "in the smallest variant"
        )
    if seen.age_s < stopping.min_duration_s:
        waits.append(f"{seen.age_s:.0f} of at least {stopping.min_duration_s:g} s have passed")
    if not seen.variants(seen.goal, Verdict.BETTER):
        waits.append(f"no difference on {seen.goal} is shown yet")
    if seen.fit and not seen.is_early:
        waits.append(f"{seen.fit[0].variant} has won, and early_stop is off: it waits for the end")
    waits += _unfit(seen)
    waits += [
        f"{said}; give {variant} no weight any more"
        for variant in seen.stopped
        for said in seen.limits_hit(variant)
        if seen.experiment.weights[variant] > 0
    ]
    return waits + _of_control(seen)
