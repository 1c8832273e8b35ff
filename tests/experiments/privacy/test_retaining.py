"""Retention: what is old and no open experiment needs goes, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from palio.errors import Conflict, InvalidInput, Refused
from palio.experiments.designs.covariates import Covariate
from palio.experiments.designs.design import Metrics
from palio.experiments.events import OutcomeDraft
from palio.experiments.privacy.retaining import Forgotten, forget_daily, forget_old
from palio.testing.fakes import FakeClock
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure, prediction
from palio.testing.wired import Wired

START = FakeClock().now
DAY = 86_400.0


@pytest.fixture
def wired() -> Wired:
    made = Wired(MemoryStore(), retention_days=30)
    made.serve("1", "2")
    return made


def serve(wired: Wired, *names: str, **fields: Any) -> None:
    """Append predictions with the time of the clock."""
    with wired.store.write() as unit:
        unit.log.append([prediction(name, at=wired.clock.now, **fields) for name in names])


def left(wired: Wired) -> list[Any]:
    with wired.store.read() as unit:
        events = [entry.event for entry in unit.log.after(0, limit=10_000)]
    return [event.request_id or event.unit for event in events]


def part(wired: Wired, *names: str) -> None:
    """Serve requests that are units of the experiment."""
    for name in names:
        variant = wired.experiments.get("exp").split().assign(name)
        serve(wired, name, experiment="exp", variant=variant, epoch=1)
        wired.outcomes.record([OutcomeDraft(request_id=name, value=1)])


def test_what_is_old_goes(wired: Wired) -> None:
    serve(wired, "old-1", "old-2")
    wired.clock.advance(31 * DAY)
    serve(wired, "new")
    told = wired.units.retain()
    limit = START + timedelta(days=1)
    assert told == Forgotten(events=2, up_to=2, before=limit, held_by=())
    assert left(wired) == ["new"]
    entry = wired.audit.list()[-1]
    assert (entry.action, entry.after) == (
        "units.retain",
        {"events": 2, "up_to": 2, "before": limit.isoformat()},
    )
    assert wired.units.retain().events == 0  # and tells nobody
    assert wired.audit.list()[-1] == entry


def test_an_open_experiment_keeps_what_came_since_its_start(wired: Wired) -> None:
    serve(wired, "before")
    wired.clock.advance(DAY)
    wired.run(design())
    part(wired, "a", "b")
    wired.clock.advance(100 * DAY)
    assert wired.units.retain().held_by == ("exp",)
    wired.experiments.pause("exp")
    wired.units.retain()
    assert left(wired) == ["a", "a", "b", "b"]
    assert wired.experiments.verify("exp").differences == ()
    assert wired.experiments.rebuild("exp", "try").differences == ()


def test_an_ended_experiment_keeps_its_statistics(wired: Wired) -> None:
    wired.run(design())
    part(wired, *"abcdef")
    wired.experiments.stop("exp", "done")
    record = wired.experiments.record("exp")
    wired.clock.advance(100 * DAY)
    with wired.store.read() as unit:
        before = unit.metric_sums.find(), unit.variant_counts.find()
    assert wired.units.retain().events == 12
    with wired.store.read() as unit:
        assert (unit.metric_sums.find(), unit.variant_counts.find()) == before
    checked = wired.experiments.verify("exp")
    assert (checked.compared, checked.differences) == (0, ())
    assert "events of exp have been forgotten since it ended" in checked.note
    assert wired.experiments.record("exp") == record
    with pytest.raises(Conflict, match="cannot be built again"):
        wired.experiments.rebuild("exp", "try")
    wired.units.erase(["a"], "asked")  # its row goes, and its share of the sums
    with wired.store.read() as unit:
        assert sorted(row.unit for row in unit.unit_values.find()) == [*"bcdef"]
        assert sum(row.n for row in unit.metric_sums.find(metric="brier")) == 5
        assert sum(row.units for row in unit.variant_counts.find()) == 5


def test_an_experiment_after_it_is_whole(wired: Wired) -> None:
    """The log is empty, its numbers go on: what starts now starts behind what was forgotten."""
    serve(wired, "a", "b")
    wired.clock.advance(100 * DAY)
    wired.units.retain()
    wired.run(design())
    part(wired, "c")
    wired.experiments.stop("exp", "done")
    checked = wired.experiments.verify("exp")
    assert (checked.note, checked.differences) == ("", ())


def test_a_covariate_needs_its_window(wired: Wired) -> None:
    windowed = Covariate(name="revenue", window_s=10 * DAY)
    serve(wired, "x")
    for day, value in ((0, 1.0), (35, 2.0)):
        wired.clock.now = START + timedelta(days=day)
        wired.outcomes.record([OutcomeDraft(unit="u", name="revenue", value=value)])
    wired.clock.now = START + timedelta(days=40)
    metrics = Metrics("revenue:higher")
    wired.run(design(metrics=metrics, covariates=(windowed,)))
    wired.clock.now = START + timedelta(days=200)
    assert wired.units.retain().events == 2
    assert left(wired) == ["u"]
    wired.experiments.stop("exp", "done")
    assert wired.units.retain().events == 1


def test_all_of_a_history_is_needed_where_no_window_is_said(wired: Wired) -> None:
    serve(wired, "x")
    wired.run(design(metrics=Metrics("revenue:higher"), covariates=(Covariate(name="revenue"),)))
    wired.clock.advance(200 * DAY)
    told = wired.units.retain()
    assert (told.events, told.held_by) == (0, ("exp",))


def test_an_outcome_ahead_of_its_prediction_stays_with_it(wired: Wired) -> None:
    wired.outcomes.record([OutcomeDraft(request_id="r", value=1)])
    serve(wired, "old")
    wired.clock.advance(DAY)
    wired.run(design())
    part(wired, "r")
    wired.clock.advance(100 * DAY)
    assert wired.units.retain().events == 1
    assert left(wired) == ["r", "r"]  # the second time part() sends it, it is a repeat
    assert wired.experiments.verify("exp").differences == ()


def test_an_outcome_from_the_future_holds_nobody_up(wired: Wired) -> None:
    """It says when it happened, not when it came; it stays until its own time is old."""
    serve(wired, "a")
    draft = OutcomeDraft(unit="u", name="n", value=1, at=START + timedelta(days=5_000))
    wired.outcomes.record([draft])
    serve(wired, "b")
    wired.clock.advance(100 * DAY)
    assert wired.units.retain().events == 2
    assert left(wired) == ["u"]


def test_exposures_and_pages(wired: Wired) -> None:
    with wired.store.write() as unit:
        unit.log.append([exposure(f"u{number}", at=START) for number in range(2_345)])
    told = forget_old(wired.store, now=START + timedelta(days=3), days=2, actor="chore")
    assert (told.events, left(wired)) == (2_345, [])
    assert wired.audit.list()[-1].actor == "chore"


def test_nothing_is_forgotten_unless_asked() -> None:
    with pytest.raises(Refused, match="PALIO_RETENTION_DAYS is not set"):
        Wired(MemoryStore()).units.retain()


def test_a_rebuild_needs_a_reason_and_a_start(wired: Wired) -> None:
    wired.experiments.draft(design())
    with pytest.raises(Conflict, match="has not been started"):
        wired.experiments.rebuild("exp", "try")
    with pytest.raises(InvalidInput, match="reason is empty"):
        wired.experiments.rebuild("exp", " ")


def test_who_asks_all_the_time_forgets_once_a_day(wired: Wired) -> None:
    for hour in range(60):
        serve(wired, f"r{hour}")
        forget_daily(wired.store, now=wired.clock.now, days=1, actor="evaluator")
        wired.clock.advance(3_600)
    entries = [one for one in wired.audit.list() if one.action == "units.retain"]
    assert [entry.after["events"] for entry in entries if entry.after] == [1, 24]
    assert left(wired)[0] == "r25"
