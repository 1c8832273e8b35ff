"""An experiment's analysis in plain words, for pages and terminals alike."""

from __future__ import annotations

from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import (
    Contrast,
    DecisionKind,
    MetricRole,
    Report,
    SampleRatio,
    Verdict,
)

__all__ = ["effect_in_words", "headline", "kind_in_words", "split_in_words", "verdict_in_words"]

_KINDS = {
    DecisionKind.SHIP: "ship",
    DecisionKind.ROLLBACK: "roll back",
    DecisionKind.INVALID: "invalid",
    DecisionKind.INCONCLUSIVE: "inconclusive",
    DecisionKind.KEEP_RUNNING: "keep running",
}
_VERDICTS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.UNCLEAR: "no difference shown",
    Verdict.TOO_EARLY: "too early",
}
_NO_BETTER_THAN = 1e-4


def kind_in_words(kind: DecisionKind) -> str:
    """Return a decision as people say it."""
    return _KINDS[kind]


def verdict_in_words(verdict: Verdict) -> str:
    """Return what one contrast shows, as people say it."""
    return _VERDICTS[verdict]


def headline(experiment: Experiment, report: Report) -> str:
    """Return the decision as one sentence."""
    goal = experiment.design.metrics.goal_metric.name
    control = _named(experiment, experiment.control.key)
    match report.decision.kind:
        case DecisionKind.SHIP:
            winner = _named(experiment, report.decision.variant or "")
            return f"Ship {winner}: it is better than {control} on {goal}."
        case DecisionKind.ROLLBACK:
            return f"Stay with {control}: harm was shown."
        case DecisionKind.INVALID:
            return "No conclusion: the comparison is broken. Find out why before trying again."
        case DecisionKind.INCONCLUSIVE:
            return f"Stay with {control}: {_not_enough(experiment, report)}."
        case DecisionKind.KEEP_RUNNING:
            return f"Keep running: {_not_yet(experiment, report)}."


def _not_enough(experiment: Experiment, report: Report) -> str:
    """Return why nothing is shipped at the end."""
    goal = experiment.design.metrics.goal_metric.name
    least, chance = experiment.design.stopping.futility, report.chance_to_win
    if any(row.verdict is Verdict.BETTER for row in _goals(report)):
        return f"{goal} was better, and what else is asked of a winner was not there in time"
    if least is not None and chance is not None and chance < least:
        return f"a difference on {goal} is not likely to be shown any more"
    return f"no difference on {goal} was shown in the time planned"


def _not_yet(experiment: Experiment, report: Report) -> str:
    """Return what is waited for."""
    goal = experiment.design.metrics.goal_metric.name
    if report.decision.variant is not None:
        loser = _named(experiment, report.decision.variant)
        return f"but without {loser}, which has lost more than is borne"
    if any(row.verdict is Verdict.BETTER for row in _goals(report)):
        return f"{goal} is better, and what else is asked of a winner is not there yet"
    return f"the evidence on {goal} is not enough yet"


def _goals(report: Report) -> list[Contrast]:
    return [row for row in report.contrasts if row.role is MetricRole.GOAL]


def effect_in_words(contrast: Contrast, metric: Metric, *, control: str) -> str:
    """Return the size of an effect as one sentence, with its interval."""
    if contrast.effect is None:
        return f"Nothing is known of {metric.name} yet."
    side = "higher" if contrast.effect > 0 else "lower"
    relative = "" if contrast.relative is None else f" ({contrast.relative:+.1%})"
    wanted = "higher" if metric.direction is Direction.HIGHER else "lower"
    said = (
        f"{metric.name.capitalize()} is {abs(contrast.effect):.3g} {side} with {contrast.variant} "
        f"than with {control}{relative}; {wanted} is better."
    )
    if contrast.lower is None or contrast.upper is None:
        return f"{said} It is too early for an interval."
    return (
        f"{said} The difference lies between {contrast.lower:+.3g} and {contrast.upper:+.3g} at "
        f"{100 * (1 - contrast.alpha):.4g} % confidence, however often one looks."
    )


def split_in_words(ratio: SampleRatio) -> str:
    """Return what the sample-ratio check says."""
    p = f"p {'< 0.0001' if ratio.p_value < _NO_BETTER_THAN else f'= {ratio.p_value:.4g}'}"
    if ratio.mismatch:
        return f"Units were not split as designed ({p}): the comparison is not to be trusted."
    return f"Units were split as designed ({p}; small values would mean a mismatch)."


def _named(experiment: Experiment, variant: str) -> str:
    return f"{experiment.variant(variant).version} ({variant})"
