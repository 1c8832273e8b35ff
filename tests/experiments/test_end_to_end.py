"""From the draft to the decision and back, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random

import pytest

from palio.delivery.service import routing_table
from palio.errors import Conflict
from palio.experiments.designs.design import Metrics
from palio.experiments.domain import State
from palio.experiments.events import Outcome, OutcomeDraft, Prediction
from palio.experiments.judging.analysis import DecisionKind
from palio.storage.store import SqlStore
from palio.testing.records import design, prediction
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

METRICS = Metrics("brier", ("accuracy",), ("latency_ms", "error"))


@pytest.fixture
def serving(sql_store: SqlStore) -> Wired:
    wired = Wired(sql_store)
    wired.serve("1", "2", "3")
    return wired


def traffic(wired: Wired, number: int, seed: int = 5) -> list[Prediction | OutcomeDraft]:
    """Return predictions and outcomes in a shuffled order; the challenger knows more."""
    rng = random.Random(seed)
    split = wired.experiments.get("exp").split()
    made: list[Prediction | OutcomeDraft] = []
    for place in range(number):
        unit = f"u{place % (number // 2)}"
        variant = split.assign(unit)
        truth = int(rng.random() < 0.5)
        share = rng.betavariate(2, 2) if variant == "control" else 0.15 + 0.7 * truth
        made.append(
            prediction(
                f"r{place}",
                unit=unit,
                experiment="exp",
                variant=variant,
                epoch=1,
                values=[int(share > 0.5)],
                probabilities=[[1 - share, share]],
                latency_ms=rng.uniform(1, 2),
            )
        )
        made.append(OutcomeDraft(request_id=f"r{place}", value=truth))
    rng.shuffle(made)
    return made


def send(wired: Wired, events: list[Prediction | OutcomeDraft]) -> None:
    with wired.store.write() as unit:
        unit.log.append([event for event in events if isinstance(event, Prediction)])
    wired.outcomes.record([event for event in events if isinstance(event, OutcomeDraft)])


def heads(wired: Wired) -> tuple[object, ...]:
    """Return everything that a refused verb must not touch."""
    with wired.store.read() as unit:
        return (
            unit.audit.head(),
            unit.versions.find(),
            unit.alias_moves.find(),
            unit.experiments.find(),
            unit.records.find(),
        )


def test_from_the_draft_to_the_decision(serving: Wired) -> None:
    started = serving.run(design(metrics=METRICS))
    assert started.champion == "1"
    events = traffic(serving, 1_200)
    for start in range(0, len(events), 300):
        serving.clock.advance(60)
        send(serving, events[start : start + 300])
        report = serving.experiments.analyze("exp")
    assert report.decision.kind is DecisionKind.SHIP
    assert report.decision.variant == "challenger"
    assert [arm.requests for arm in report.arms] == [
        sum(event.variant == arm.variant for event in events if isinstance(event, Prediction))
        for arm in report.arms
    ]
    assert sum(arm.units for arm in report.arms) == 600
    assert sum(arm.labelled for arm in report.arms) == 1_200
    found = serving.experiments.verify("exp")
    assert found.differences == ()
    assert found.compared == 8  # four metrics in two variants


def test_from_the_decision_to_production_and_back(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    send(serving, traffic(serving, 1_200))
    shipped = serving.experiments.ship("exp", "the numbers say so")
    assert (shipped.state, shipped.winner) == (State.COMPLETED, "challenger")
    assert serving.versions.get("credit@champion").version == "2"
    assert serving.versions.get("credit:1").stage == "deprecated"
    promotion, ending = serving.audit.list()[-2:]
    assert (promotion.action, promotion.reason) == ("version.promote", "experiment exp")
    assert ending.action == "experiment.ship"
    assert ending.after is not None
    record = serving.experiments.record("exp")
    assert ending.after["analysis"] == record.digest == record.report.digest
    assert ending.before == {"state": "running", "champion": "1"}
    with serving.store.read() as unit:
        route = routing_table(unit).route("credit")
    assert (route.champion, route.experiments) == ("2", ())

    assert serving.models.rollback("credit").version == "1"
    check = serving.audit.verify()
    assert check.broken is None
    assert check.entries == len(serving.audit.list(limit=1_000))


def test_an_undecided_experiment_is_not_shipped(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    send(serving, traffic(serving, 100))
    before = heads(serving)
    with pytest.raises(Conflict, match="not ready to ship: keep_running") as caught:
        serving.experiments.ship("exp")
    assert any("of at least 100 units" in str(one) for one in caught.value.details["reasons"])  # type: ignore[attr-defined]
    assert heads(serving) == before


def test_nothing_is_shipped_when_the_champion_has_moved(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    send(serving, traffic(serving, 1_200))
    serving.versions.promote("credit:3", reason="meanwhile")
    before = heads(serving)
    told = "credit@champion points at 3, not at 1, as it did when exp started; complete exp, and"
    with pytest.raises(Conflict, match=told):
        serving.experiments.ship("exp")
    assert heads(serving) == before
    assert serving.experiments.get("exp").state is State.RUNNING


def test_two_experiments_on_one_endpoint(serving: Wired) -> None:
    serving.run(design())
    serving.experiments.draft(design("other"))
    with pytest.raises(Conflict, match="exp is running on credit"):
        serving.experiments.start("other")


def test_of_experiments_started_at_once_one_runs(serving: Wired) -> None:
    keys = [f"exp-{place}" for place in range(6)]
    for key in keys:
        serving.experiments.draft(design(key))
    refused = []

    def start(place: int) -> None:
        try:
            serving.experiments.start(keys[place])
        except Conflict:
            refused.append(place)

    in_threads([start] * len(keys))
    states = [one.state for one in serving.experiments.list()]
    assert len(refused) == 5
    assert sorted(states) == [State.DRAFT] * 5 + [State.RUNNING]


def test_shipped_once_however_often_at_once(serving: Wired) -> None:
    serving.run(design(metrics=METRICS))
    send(serving, traffic(serving, 1_200))
    refused = []

    def ship(place: int) -> None:
        try:
            serving.experiments.ship("exp")
        except Conflict:
            refused.append(place)

    in_threads([ship] * 4)
    assert len(refused) == 3
    assert [move.version for move in serving.models.history("credit")] == ["1", "2"]
    assert serving.audit.verify().broken is None


def test_folding_while_others_append(serving: Wired) -> None:
    """Analyses, predictions and outcomes at once: what is folded equals what was sent."""
    serving.run(design(metrics=METRICS))
    events = traffic(serving, 600)

    def append(place: int) -> None:
        mine = events[place::3]
        for start in range(0, len(mine), 40):
            send(serving, mine[start : start + 40])

    def look(_: int) -> None:
        for _ in range(6):
            serving.experiments.analyze("exp")

    in_threads([append] * 3 + [look] * 2)
    report = serving.experiments.analyze("exp")
    assert serving.experiments.verify("exp").differences == ()
    assert sum(arm.requests for arm in report.arms) == 600
    assert sum(arm.labelled for arm in report.arms) == 600
    with serving.store.read() as unit:
        entries = unit.log.after(0, limit=10_000)
    assert sum(isinstance(entry.event, Outcome) for entry in entries) == 600
