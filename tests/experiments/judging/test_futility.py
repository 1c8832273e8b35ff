"""Futility: a win that has become unlikely ends an experiment without a winner."""

from __future__ import annotations

from typing import Any

import pytest

from palio.experiments.designs.design import Metrics, Stopping
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Contrast, DecisionKind, Report, Verdict
from palio.experiments.judging.decision import report_of
from palio.stats import Design, conditional_power

from .test_decision import START, THREE, crossing, experiment, three_arms, two


def futile(least: float | None = 0.1, **fields: Any) -> Experiment:
    given: dict[str, Any] = {"metrics": Metrics("brier"), **fields}
    return experiment(stopping=Stopping(horizon=4_000, min_sample=100, futility=least), **given)


def seen(n: int, effect: float, one: Experiment | None = None, **more: Any) -> Report:
    return report_of(one or futile(), two(n, effect), START, **more)[0]


def test_the_chance_is_the_conditional_power() -> None:
    """`palio.stats.conditional_power` at the one-look z and the better end of the interval."""
    report = seen(1_500, -0.005)
    row: Contrast = report.goal("challenger")
    z = 0.005 / (0.1**2 / 1_500 * 2) ** 0.5
    rule = Design(alpha=row.alpha).rule()
    best = (z + rule.reach(0.75)) / 0.75**0.5
    expected = conditional_power(z, 0.75, rule, drift=best)
    assert report.chance_to_win == pytest.approx(expected, rel=0.01)
    assert 0.1 < expected < 0.9
    assert report.decision.kind is DecisionKind.KEEP_RUNNING


def test_below_the_limit_it_is_inconclusive() -> None:
    report = seen(1_500, 0.001)
    assert report.chance_to_win is not None
    assert report.chance_to_win < 0.1
    assert report.decision.kind is DecisionKind.INCONCLUSIVE
    assert report.decision.reasons == (
        f"the chance to win on brier by the horizon is {report.chance_to_win:.2g}, below 0.1",
    )


@pytest.mark.parametrize("n", [99, 199])
def test_not_before_the_minimum_and_a_tenth_of_the_horizon(n: int) -> None:
    report = seen(n, 0.01)
    assert report.chance_to_win is None
    assert report.decision.kind is DecisionKind.KEEP_RUNNING


def test_unasked_it_is_not_told() -> None:
    report = seen(1_500, 0.001, futile(None))
    assert (report.chance_to_win, report.decision.kind) == (None, DecisionKind.KEEP_RUNNING)


def test_what_has_won_is_not_futile() -> None:
    report = seen(1_500, 0.001, known=[crossing(Verdict.BETTER)])
    assert (report.chance_to_win, report.decision.kind) == (1.0, DecisionKind.SHIP)


def test_the_best_challenger_counts() -> None:
    stopping = Stopping(horizon=4_000, min_sample=100, futility=0.1)
    one = experiment(variants=THREE, metrics=Metrics("brier"), stopping=stopping)
    alone = report_of(one, three_arms(0.004, 0.004), START)[0]
    assert alone.decision.kind is DecisionKind.INCONCLUSIVE
    other = report_of(one, three_arms(0.004, -0.008), START)[0]
    assert other.decision.kind is DecisionKind.KEEP_RUNNING
    assert (other.chance_to_win or 0) > (alone.chance_to_win or 0)
