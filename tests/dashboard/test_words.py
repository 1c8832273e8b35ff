"""The decision as one sentence: what it says where there is more to say than won or lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.experiments.judging.test_decision import START, crossing, experiment, two

from palio.dashboard.words import headline
from palio.experiments.designs.design import Stopping
from palio.experiments.judging.analysis import Decision, DecisionKind, Verdict
from palio.experiments.judging.decision import report_of

OLD = Stopping(horizon=4_000, min_sample=100, max_duration_s=1)
SOON = Stopping(horizon=4_000, min_sample=100, min_duration_s=60)
FUTILE = Stopping(horizon=4_000, min_sample=100, futility=0.1)


@pytest.mark.parametrize(
    ("stopping", "effect", "said"),
    [
        (SOON, 0.0, "Keep running: the evidence on brier is not enough yet."),
        (
            SOON,
            -0.1,
            "Keep running: brier is better, and what else is asked of a winner is not there yet.",
        ),
        (FUTILE, 0.001, "a difference on brier is not likely to be shown any more."),
    ],
)
def test_headlines(stopping: Stopping, effect: float, said: str) -> None:
    one = experiment(stopping=stopping)
    report, _ = report_of(one, two(1_500, effect), START)
    assert headline(one, report).endswith(said)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (
            Decision(DecisionKind.KEEP_RUNNING, (), "challenger"),
            "Keep running: but without 2 (challenger), which has lost more than is borne.",
        ),
        (
            Decision(DecisionKind.INCONCLUSIVE, ()),
            "Stay with 1 (control): no difference on brier was shown in the time planned.",
        ),
    ],
)
def test_headlines_of(decision: Decision, said: str) -> None:
    one = experiment(stopping=OLD)
    report, _ = report_of(one, two(500), START, known=[crossing(Verdict.BETTER)])
    assert headline(one, replace(report, decision=decision)) == said
