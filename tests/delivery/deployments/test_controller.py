"""What happens by itself: once, by one process, with what shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palio.delivery.deployments.domain import State, Verdict
from palio.delivery.deployments.ports import Probe
from palio.delivery.deployments.wanted import (
    Canary,
    GuardAction,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
)
from palio.errors import AlreadyExists, PalioError
from palio.storage.store import SqlStore
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

from .cases import Watched, asked

CANARY = Canary(start_share=0.1, success_threshold=0.9, duration_s=60.0, min_sample=50)
BROKEN = Probe(reason="ValueError: it broke")


def test_a_canary_that_fails_is_rolled_back(watched: Watched) -> None:
    watched.deploy(asked(canary=CANARY))
    watched.answered("2", 100)
    watched.answered("1", 900)
    assert watched.step() == ["d wait"]
    watched.answered("2", 20, 15)
    assert watched.step(1) == ["d rollback"]
    found = watched.get()
    assert (found.state, found.verdict) == (State.ROLLED_BACK, Verdict.HARMED)
    assert watched.weights() is None
    entry = watched.wired.audit.list()[-1]
    assert (entry.actor, entry.action, entry.subject) == (
        "controller",
        "deployment.rollback",
        "d",
    )
    assert entry.before == {
        "state": "canary", "verdict": "fine", "weights": {"1": 0.9, "2": 0.1},
    }  # fmt: skip
    assert entry.after is not None
    harm = entry.after["evidence"]["harm"]
    assert (harm["requests"], harm["bad"]) == (20, 15)
    assert harm["bound"] > harm["limit"] == pytest.approx(0.1)
    assert entry.reason.startswith("success_threshold 0.9 is shown to be crossed: 15 of 20")
    assert watched.lines == [f"the deployment d: rollback: {entry.reason}"]
    before = watched.audited()
    assert watched.step() == []
    assert watched.audited() == before
    assert watched.told == ["d rolled_back critical"]


def test_people_are_told_with_what_shows_it(watched: Watched) -> None:
    watched.deploy(asked(canary=CANARY))
    watched.answered("2", 20, 15)
    watched.step(1)
    with watched.wired.store.read() as unit:
        (alert,) = unit.alerts.find()
    entry = watched.wired.audit.list()[-1]
    assert alert.text == f"d (credit:2 on credit): rolled back by controller: {entry.reason}"
    assert alert.at == entry.at
    assert entry.after is not None
    assert alert.evidence["harm"] == entry.after["evidence"]["harm"]
    assert alert.evidence["endpoint"] == "credit"


def test_success_threshold_says_what_fails(watched: Watched) -> None:
    lax = replace(CANARY, success_threshold=0.1)
    watched.deploy(asked(canary=lax, guardrails=()))
    watched.answered("2", 20, 15)
    assert watched.step(1) == ["d wait"]


def test_a_canary_that_does_well_is_let_on(watched: Watched) -> None:
    watched.deploy(asked(canary=CANARY, traffic_share=0.5))
    watched.answered("2", 30)
    assert watched.step(59) == ["d wait"]
    assert watched.step(1) == ["d tell"]  # its time is up, and it has had 30 of 50 requests
    assert watched.get().verdict is Verdict.INCONCLUSIVE
    assert watched.step() == ["d wait"]
    assert watched.weights() == {"1": 0.9, "2": 0.1}
    watched.answered("2", 20)
    assert watched.step(1) == ["d advance"]
    assert watched.get().state is State.LIVE
    assert watched.weights() == {"1": 0.5, "2": 0.5}
    assert watched.told == ["d inconclusive warning", "d advanced info"]
    evidence = (watched.wired.audit.list()[-1].after or {})["evidence"]
    assert evidence == {"canary": {"requests": 50, "errors": 0}}


def test_a_canary_longer_than_counts_are_kept(watched: Watched) -> None:
    """What is settled is remembered; the counts themselves last for 15 minutes."""
    watched.deploy(asked(canary=replace(CANARY, duration_s=3_600.0, min_sample=240)))
    for _ in range(60):
        watched.answered("2", 4)
        assert watched.step(60)[0] in {"d wait", "d advance"}
        with watched.wired.store.write() as unit:
            unit.traffic.forget(int(watched.wired.clock().timestamp()) - 900)
    assert watched.get().state is State.LIVE
    evidence = (watched.wired.audit.list()[-1].after or {})["evidence"]
    assert evidence == {"canary": {"requests": 240, "errors": 0}}


def test_a_live_version_that_begins_to_fail_is_rolled_back(watched: Watched) -> None:
    watched.deploy(asked())
    watched.answered("2", 100_000)
    watched.wired.clock.advance(30)
    watched.answered("2", 10, 9)
    assert watched.step(1) == ["d rollback"]
    assert watched.weights() is None


def test_without_rollback_on_error_it_is_only_told(watched: Watched) -> None:
    watched.deploy(asked(rollback_on_error=False))
    watched.answered("2", 10, 9)
    assert watched.step(1) == ["d tell"]
    found = watched.get()
    assert (found.state, found.verdict) == (State.LIVE, Verdict.HARMED)
    assert watched.weights() == {"1": 0.0, "2": 1.0}
    assert watched.step() == ["d wait"]
    assert watched.step(300) == ["d tell"]  # the window is over
    assert watched.get().verdict is Verdict.FINE
    assert watched.told == ["d harmed critical", "d recovered info"]


def test_a_guardrail_on_latency(watched: Watched) -> None:
    rails = (Guardrail(metric=Guarded.LATENCY, limit=100.0),)
    watched.deploy(asked(guardrails=rails))
    watched.answered("2", 50, latency_ms=90.0)
    assert watched.step(1) == ["d wait"]
    watched.answered("2", 50, latency_ms=120.0)
    assert watched.step(1) == ["d rollback"]


def test_a_guardrail_that_compares_with_the_others(watched: Watched) -> None:
    watched.deploy(asked(traffic_share=0.5, guardrails=(Guardrail(),)))
    watched.answered("2", 50, 25)
    watched.answered("1", 500, 250)
    assert watched.step(1) == ["d wait"]  # the store is down for all
    watched.answered("2", 50, 25)
    watched.answered("1", 5_000, 5)
    assert watched.step(1) == ["d rollback"]


def test_a_guardrail_that_warns(watched: Watched) -> None:
    rails = (Guardrail(limit=0.05, action=GuardAction.WARN),)
    watched.deploy(asked(guardrails=rails))
    watched.answered("2", 50, 25)
    assert watched.step(1) == ["d tell"]
    assert watched.get().state is State.LIVE


@pytest.mark.parametrize("threshold", [1, 3])
def test_checks_that_fail_in_a_row_roll_back(watched: Watched, threshold: int) -> None:
    check = HealthCheck(interval_s=10, failure_threshold=threshold)
    watched.deploy(asked(health_check=check))
    watched.wired.runtime.probes["credit:2"] = BROKEN
    for _ in range(threshold - 1):
        assert watched.step(10) == ["d wait"]
    assert watched.step(10) == ["d rollback"]
    failed = {1: "a check has failed", 3: "3 checks in a row have failed"}[threshold]
    assert watched.get().reason == f"{failed}: {BROKEN.reason}"


@pytest.mark.parametrize("interval_s", [10.0, 40.0])
def test_checks_come_once_an_interval(watched: Watched, interval_s: float) -> None:
    watched.deploy(asked(health_check=HealthCheck(interval_s=interval_s)))
    for _ in range(16):
        watched.step(5)
    assert len(watched.wired.runtime.asked) == 1 + 80 // interval_s


def test_a_check_that_succeeds_begins_anew(watched: Watched) -> None:
    watched.deploy(asked(health_check=HealthCheck(failure_threshold=2)))
    for probe in (BROKEN, Probe(), BROKEN, Probe()):
        watched.wired.runtime.probes["credit:2"] = probe
        assert watched.step(10) == ["d wait"]
    assert watched.get().state is State.LIVE


def test_a_version_that_is_loading_is_waited_for(watched: Watched) -> None:
    watched.wired.runtime.probes["credit:2"] = Probe(loading=True)
    assert watched.deploy(asked()).state is State.PENDING
    for _ in range(4):
        assert watched.step(10) == ["d wait"]
    watched.wired.runtime.probes["credit:2"] = Probe()
    assert watched.step(5) == ["d start"]


def test_a_version_that_never_loads_has_failed(watched: Watched) -> None:
    watched.wired.runtime.probes["credit:2"] = Probe(loading=True)
    watched.deploy(asked())
    assert watched.step(600) == ["d fail"]
    found = watched.get()
    assert found.state is State.FAILED
    assert found.reason == "it was not ready within 600 s: it is being loaded"
    assert watched.wired.endpoints.get("credit").held == ()


def test_a_version_that_breaks_before_it_is_ready_has_failed(watched: Watched) -> None:
    watched.wired.runtime.probes["credit:2"] = BROKEN
    watched.deploy(asked(health_check=HealthCheck(failure_threshold=2)))
    assert watched.step(10) == ["d fail"]
    assert watched.told == ["d failed critical"]


def test_a_process_that_takes_too_much(watched: Watched) -> None:
    watched.deploy(
        asked(
            resources=Resources(memory_bytes=2_000),
            health_check=HealthCheck(failure_threshold=1),
        )
    )
    watched.serves("credit:2", rss_bytes=2_000)
    assert watched.step(10) == ["d wait"]
    watched.serves("credit:2", rss_bytes=2_001)
    assert watched.step(10) == ["d rollback"]
    health = (watched.wired.audit.list()[-1].after or {})["evidence"]["health"]
    assert health["rss_bytes"] == 2_001


def test_the_rest_follows_the_champion(watched: Watched) -> None:
    watched.deploy(asked(traffic_share=0.2))
    watched.wired.versions.promote("credit:3")
    assert watched.step() == ["d wait"]
    assert watched.weights() == {"3": 0.8, "2": 0.2}
    assert watched.audited()[-1] == ("controller", "deployment.place")
    watched.step()
    assert watched.audited().count(("controller", "deployment.place")) == 1


def test_a_version_that_became_champion_is_not_rolled_back(watched: Watched) -> None:
    """Its traffic could go nowhere else; that it fails is told."""
    watched.deploy(asked())
    watched.wired.versions.promote("credit:2")
    watched.answered("2", 10, 9)
    assert watched.step(1) == ["d tell"]
    assert watched.get().state is State.LIVE


def test_one_process_looks(watched: Watched) -> None:
    other = Watched(watched.wired, holder="two")
    watched.deploy(asked())
    assert watched.step() == ["d wait"]
    assert other.step(0) == []
    watched.controller.release()
    assert other.step(0) == ["d wait"]
    assert watched.step(0) == []


def test_two_that_look_at_once_act_once(watched: Watched) -> None:
    watched.deploy(asked(canary=CANARY))
    watched.answered("2", 20, 15)
    looking = watched.controller.looking
    in_threads([lambda _: looking.look("d")] * 4)
    assert [one for one in watched.audited() if one[1] == "deployment.rollback"] == [
        ("controller", "deployment.rollback")
    ]


def test_two_processes_on_one_database_act_once(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.serve("1", "2")
    watched = Watched(wired)
    watched.deploy(asked(canary=CANARY))
    watched.answered("2", 20, 15)
    looking = watched.controller.looking
    in_threads([lambda _: looking.look("d")] * 4)
    assert watched.audited().count(("controller", "deployment.rollback")) == 1
    assert watched.weights() is None
    assert watched.told == ["d rolled_back critical"]


def test_of_two_who_take_a_name_at_once_one_is_refused(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.serve("1", "2", "3")
    wired.endpoints.create("other", "credit")
    refused: list[PalioError] = []

    def deploy(place: int) -> None:
        endpoint = ("credit", "other")[place]
        try:
            wired.deployments.deploy(asked(str(place + 2), endpoint=endpoint))
        except PalioError as error:
            refused.append(error)

    in_threads([deploy, deploy])
    assert [type(one) for one in refused] == [AlreadyExists]
    (made,) = wired.deployments.list()
    left = {"credit", "other"} - {made.endpoint}
    assert wired.endpoints.get(left.pop()).held == ()


def test_one_that_cannot_be_looked_at_stops_no_other(watched: Watched) -> None:
    watched.deploy(asked("2", "bad", traffic_share=0.5))
    watched.wired.clock.advance(1)
    watched.deploy(asked("3", "good", traffic_share=0.5))

    class Raising:
        def probe(
            self, model: str, version: str, *, timeout_s: float, row: object = None
        ) -> Probe:
            if version == "2":
                raise ZeroDivisionError(timeout_s, model, row)
            return Probe()

    looking = replace(watched.controller.looking, runtime=Raising())
    controller = replace(watched.controller, looking=looking)
    watched.wired.clock.advance(10)
    assert [name for name, _ in controller.step()] == ["good"]
    assert "the deployment bad has failed; it is tried again" in watched.lines[0]
