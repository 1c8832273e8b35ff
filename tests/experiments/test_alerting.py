"""What people are told of experiments, and that they are told it once."""

from __future__ import annotations

import pytest

from palio.access.alerts import Severity
from palio.errors import Conflict
from palio.experiments.evaluating import EVALUATOR
from palio.testing.wired import Wired

from .test_evaluating import automatic, errors, evaluator, split_badly, win


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


def told(wired: Wired) -> list[tuple[str, str, Severity]]:
    return [(one.alert.kind, one.alert.subject, one.alert.severity) for one in wired.alerts.list()]


def test_harm_to_a_guardrail_and_the_way_back_are_told_once(serving: Wired) -> None:
    serving.run(automatic())
    errors(serving, of="challenger")
    watched = evaluator(serving)
    for _ in range(3):
        watched.step()
        serving.clock.advance(30)
    assert told(serving) == [
        ("experiment.decided", "exp", Severity.CRITICAL),
        ("experiment.guardrail_harmed", "exp", Severity.CRITICAL),
        ("experiment.rolled_back", "exp", Severity.WARNING),
    ]
    decided, harmed, back = (one.alert for one in serving.alerts.list())
    assert decided.text.startswith("exp: rollback: ")
    assert harmed.text == "exp: challenger harms the guardrail error"
    assert (harmed.evidence["metric"], harmed.evidence["endpoint"]) == ("error", "credit")
    entry = serving.audit.list()[-1]
    assert entry.action == "experiment.rollback"
    assert entry.after is not None
    assert back.evidence["analysis"] == entry.after["analysis"]
    assert back.evidence["actor"] == EVALUATOR


def test_a_winner_and_its_shipment_are_told(serving: Wired) -> None:
    serving.run(automatic())
    win(serving)
    evaluator(serving).step()
    assert told(serving) == [
        ("experiment.decided", "exp", Severity.INFO),
        ("experiment.shipped", "exp", Severity.INFO),
    ]
    assert serving.alerts.list()[-1].alert.evidence["champion"] == "2"
    serving.experiments.rollback("exp", "complaints")
    assert told(serving)[-1] == ("experiment.rolled_back", "exp", Severity.WARNING)
    assert "by ann: complaints" in serving.alerts.list()[-1].alert.text


def test_a_split_that_is_not_as_designed_is_told(serving: Wired) -> None:
    serving.run(automatic(automatic=False))
    split_badly(serving)
    for _ in range(3):
        assert serving.experiments.analyze("exp").decision.kind == "invalid"
    assert told(serving) == [("experiment.decided", "exp", Severity.CRITICAL)]


def test_nothing_is_told_of_what_goes_on_or_was_refused(serving: Wired) -> None:
    serving.run(automatic(automatic=False))
    serving.experiments.analyze("exp")
    with pytest.raises(Conflict):
        serving.experiments.ship("exp")
    assert told(serving) == []
