"""Rolling back: by the evidence, by an operator, and after it was shipped."""

from __future__ import annotations

import pytest

from palio.access.domain import Role
from palio.delivery.service import routing_table
from palio.errors import Conflict, Forbidden, IllegalTransition, InvalidInput, NotFound
from palio.experiments.designs.design import Metrics
from palio.experiments.domain import State
from palio.experiments.judging.analysis import DecisionKind
from palio.storage.store import SqlStore
from palio.testing.records import design, prediction
from palio.testing.wired import Wired


@pytest.fixture
def running(wired: Wired) -> Wired:
    wired.serve("1", "2")
    wired.run(design(metrics=Metrics("brier", (), ("error",))))
    return wired


def harm(wired: Wired, requests: int = 20) -> None:
    """Let every request of the challenger fail, and none of the control."""
    failed = {"control": None, "challenger": "it broke"}
    events = [
        prediction(f"{key}{k}", experiment="exp", variant=key, epoch=1, error=error)
        for key, error in failed.items()
        for k in range(requests)
    ]
    with wired.store.write() as unit:
        unit.log.append(events)


def versions_served(wired: Wired) -> set[str]:
    with wired.store.read() as unit:
        route = routing_table(unit).route("credit")
    return {route.choose(f"u{k}").version for k in range(50)}


def test_by_the_evidence_no_reason_is_needed(running: Wired) -> None:
    harm(running)
    ended = running.experiments.rollback("exp")
    assert (ended.state, ended.winner, ended.ended_at) == (
        State.COMPLETED,
        None,
        running.clock.now,
    )
    record = running.experiments.record("exp")
    assert record.report.decision.kind is DecisionKind.ROLLBACK
    entry = running.audit.list()[-1]
    assert (entry.action, entry.before) == ("experiment.rollback", {"state": "running"})
    assert entry.after == {
        "state": "completed",
        "forced": False,
        "decision": "rollback",
        "reasons": ("guardrail error is harmed in challenger",),
        "analysis": record.digest,
        "watermark": 40,
    }
    assert running.models.aliases("credit") == {"champion": "1"}


def test_the_champion_serves_everybody_at_once(running: Wired) -> None:
    assert versions_served(running) == {"1", "2"}
    running.experiments.rollback("exp", "complaints")
    assert versions_served(running) == {"1"}


@pytest.mark.parametrize("reason", ["", "  "])
def test_against_the_evidence_a_reason_is_needed(running: Wired, reason: str) -> None:
    with pytest.raises(InvalidInput, match="the evidence says keep_running, not rollback; say"):
        running.experiments.rollback("exp", reason)
    assert running.experiments.get("exp").state is State.RUNNING
    with pytest.raises(NotFound, match="no record yet"):
        running.experiments.record("exp")


def test_an_operator_may_for_a_reason(running: Wired) -> None:
    running.experiments.pause("exp")
    ended = running.experiments.rollback("exp", "complaints")
    assert (ended.state, ended.reason) == (State.COMPLETED, "complaints")
    entry = running.audit.list()[-1]
    assert entry.after is not None
    assert (entry.after["forced"], entry.after["decision"]) == (True, "keep_running")
    assert (entry.reason, entry.before) == ("complaints", {"state": "paused"})
    with pytest.raises(Conflict, match="is completed and has shipped nothing"):
        running.experiments.rollback("exp", "again")


def test_what_has_not_begun_or_was_stopped_cannot(running: Wired) -> None:
    running.experiments.draft(design("other"))
    with pytest.raises(IllegalTransition, match="draft and cannot become completed"):
        running.experiments.rollback("other", "why")
    running.experiments.stop("exp", "why")
    with pytest.raises(Conflict, match="is stopped and has shipped nothing"):
        running.experiments.rollback("exp", "why")
    with pytest.raises(NotFound, match="no experiment has the key 'x'"):
        running.experiments.rollback("x", "why")


def test_a_viewer_may_not(running: Wired) -> None:
    with pytest.raises(Forbidden, match="needs operator"):
        running.acting("vic", Role.VIEWER).experiments.rollback("exp", "why")


# -- after it was shipped


@pytest.fixture
def shipped(sql_store: SqlStore) -> Wired:
    wired = Wired(sql_store)
    wired.serve("1", "2", "3")
    wired.run(design())
    wired.experiments.ship("exp", "why not", force=True)
    return wired


def test_production_goes_one_step_back(shipped: Wired) -> None:
    assert shipped.models.aliases("credit") == {"champion": "2"}
    found = shipped.experiments.rollback("exp", "complaints")
    assert (found.state, found.winner) == (State.COMPLETED, "challenger")
    assert shipped.models.aliases("credit") == {"champion": "1"}
    moved, told = shipped.audit.list()[-2:]
    assert (moved.action, moved.reason) == ("version.rollback", "experiment exp: complaints")
    assert (told.action, told.subject, told.reason) == ("experiment.rollback", "exp", "complaints")
    assert told.before == {"champion": "2"}
    assert told.after == {
        "champion": "1",
        "analysis": shipped.experiments.record("exp").digest,
    }
    assert shipped.audit.verify().broken is None
    with pytest.raises(Conflict, match="the champion of credit is 1, not 2, which exp has"):
        shipped.experiments.rollback("exp", "again")
    assert shipped.models.aliases("credit") == {"champion": "1"}


def test_it_needs_a_reason_then(shipped: Wired) -> None:
    with pytest.raises(InvalidInput, match="reason is missing: exp has shipped 2; say"):
        shipped.experiments.rollback("exp")
    assert shipped.models.aliases("credit") == {"champion": "2"}


def test_not_where_production_has_moved_on(shipped: Wired) -> None:
    shipped.versions.promote("credit:3")
    with pytest.raises(Conflict, match="palio models rollback credit"):
        shipped.experiments.rollback("exp", "complaints")
    assert shipped.models.aliases("credit") == {"champion": "3"}
