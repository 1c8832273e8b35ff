"""Verbs on deployments: what is asked for is what is observed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from palio.access.domain import Role
from palio.delivery.deployments.domain import State
from palio.delivery.deployments.ports import NO_GPUS, Gpus, Probe
from palio.delivery.deployments.wanted import Canary, HealthCheck, Resources, Scaling
from palio.delivery.service import routing_table
from palio.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    InvalidRows,
    NotFound,
)
from palio.registry.domain import ArtifactFile, Manifest, VersionDraft
from palio.registry.ensembles.spec import Combine, Ensemble
from palio.testing.records import design

from .cases import Watched, asked

BROKEN = Probe(reason="ValueError: it broke")


def answering(watched: Watched, units: int = 2_000) -> dict[str, float]:
    """Return the share of units that each version answers."""
    with watched.wired.store.read() as unit:
        route = routing_table(unit).route("credit")
    given = [route.choose(f"u{n}").version for n in range(units)]
    return {version: given.count(version) / units for version in set(given)}


def test_a_version_that_is_ready_gets_everything_at_once(watched: Watched) -> None:
    made = watched.deploy(asked())
    assert (made.state, made.endpoint, made.created_by) == (State.LIVE, "credit", "ann")
    assert answering(watched) == {"2": 1.0}
    assert watched.wired.endpoints.get("credit").held == ("2",)
    assert watched.audited() == [("ann", "deployment.deploy"), ("ann", "deployment.start")]


@pytest.mark.parametrize("reason", ["", "it knows more"])
def test_the_audit_log_says_why(watched: Watched, reason: str) -> None:
    watched.deploy(asked(reason=reason))
    entry = watched.wired.audit.list()[-2]
    assert (entry.action, entry.subject, entry.reason) == ("deployment.deploy", "d", reason)
    assert entry.after is not None
    assert (entry.after["version"], entry.after["endpoint"]) == ("credit:2", "credit")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_traffic_share(watched: Watched, share: float) -> None:
    watched.deploy(asked(traffic_share=share))
    assert watched.weights() == {"1": 1 - share, "2": share}
    assert answering(watched)["2"] == pytest.approx(share, abs=0.03)  # 4 deviations of 2,000


def test_what_weights_there_were_keep_their_proportions_and_come_back(watched: Watched) -> None:
    watched.wired.endpoints.weigh("credit", {"1": 0.75, "3": 0.25})
    watched.deploy(asked(traffic_share=0.2))
    assert watched.weights() == {"1": 0.6, "3": 0.2, "2": 0.2}
    ended = watched.wired.deployments.undeploy("d", "enough")
    assert (ended.state, ended.reason) == (State.UNDEPLOYED, "enough")
    assert watched.weights() == {"1": 0.75, "3": 0.25}
    assert watched.wired.endpoints.get("credit").held == ()


def test_a_rollback_is_one_command(watched: Watched) -> None:
    watched.deploy(asked())
    ended = watched.wired.deployments.rollback("d", "it misprices")
    assert ended.state is State.ROLLED_BACK
    assert watched.weights() is None
    assert answering(watched) == {"1": 1.0}
    entry = watched.wired.audit.list()[-1]
    assert (entry.action, entry.subject, entry.reason) == (
        "deployment.rollback",
        "d",
        "it misprices",
    )
    assert entry.before == {"state": "live", "weights": {"1": 0.0, "2": 1.0}}
    assert entry.after == {"state": "rolled_back", "weights": None}


def test_people_are_told_of_a_rollback_by_hand(watched: Watched) -> None:
    watched.deploy(asked())
    watched.wired.deployments.rollback("d", "it misprices")
    with watched.wired.store.read() as unit:
        (alert,) = unit.alerts.find()
    assert alert.text == "d (credit:2 on credit): rolled back by ann: it misprices"


def test_the_process_that_asked_has_it_in_memory(watched: Watched) -> None:
    """It need not have said so yet: what it loads is published every few seconds."""
    watched.serves("credit:1")
    watched.wired.runtime.probes["credit:2"] = Probe(process="p")
    assert watched.deploy(asked()).state is State.LIVE


def test_a_canary_begins_with_its_start_share(watched: Watched) -> None:
    for start in (0.05, 0.1):
        made = watched.deploy(asked(traffic_share=0.5, canary=Canary(start_share=start)))
        assert made.state is State.CANARY
        assert watched.weights() == {"1": 1 - start, "2": start}
        watched.wired.deployments.undeploy("d")


@pytest.mark.parametrize(
    ("environment", "endpoint"), [("production", "credit"), ("staging", "credit-staging")]
)
def test_environment(watched: Watched, environment: str, endpoint: str) -> None:
    """It says where a version answers, and the endpoint is opened if it is missing."""
    made = watched.deploy(asked(environment=environment))
    assert made.endpoint == endpoint
    assert watched.wired.endpoints.get(endpoint).model == "credit"
    with watched.wired.store.read() as unit:
        assert routing_table(unit).route(endpoint).choose("u").version == "2"
    deployments = watched.wired.deployments
    assert [one.name for one in deployments.list(environment=environment)] == ["d"]
    assert [one.name for one in deployments.list(endpoint=endpoint)] == ["d"]
    assert deployments.list(environment="other") == []


def test_an_endpoint_that_is_named_comes_before_the_environment(watched: Watched) -> None:
    watched.wired.endpoints.create("shop", "credit")
    assert watched.deploy(asked(environment="staging", endpoint="shop")).endpoint == "shop"
    with pytest.raises(NotFound, match="no endpoint is named 'credit-staging'"):
        watched.wired.endpoints.get("credit-staging")


def test_a_version_that_does_not_answer_gets_nothing(watched: Watched) -> None:
    watched.wired.runtime.probes["credit:2"] = BROKEN
    made = watched.deploy(asked())
    assert made.state is State.PENDING
    assert watched.weights() is None
    assert made.health is not None
    assert (made.health.failures, made.health.reason) == (1, "ValueError: it broke")
    status = watched.wired.deployments.status("d")
    assert status.share == 0
    assert status.notes == ("it gets traffic when it is ready: ValueError: it broke",)


def test_a_process_that_has_not_loaded_it_keeps_it_waiting(watched: Watched) -> None:
    watched.serves("credit:1")
    assert watched.deploy(asked()).state is State.PENDING
    assert watched.wired.deployments.status("d").notes[0].endswith("ready: p must load it")
    assert watched.step() == ["d wait"]
    watched.serves("credit:1", "credit:2")
    assert watched.step() == ["d start"]
    assert watched.get().state is State.LIVE


@pytest.mark.parametrize(
    ("check", "waits_s"),
    [
        (HealthCheck(timeout_s=1.0), 1.0),
        (HealthCheck(timeout_s=7.0), 7.0),
        (HealthCheck(), 5.0),
        (HealthCheck(interval_s=2.0), 2.0),
    ],
)
def test_health_check_timeout(watched: Watched, check: HealthCheck, waits_s: float) -> None:
    watched.deploy(asked(health_check=check))
    assert watched.wired.runtime.asked == [("credit:2", waits_s, None)]


def test_health_check_row(watched: Watched) -> None:
    row = {"age": 41}
    watched.deploy(asked(health_check=HealthCheck(row=row)))
    assert watched.wired.runtime.asked[0][2] == row
    with pytest.raises(InvalidRows, match="row 0, field 'age'"):
        watched.deploy(asked("3", "e", health_check=HealthCheck(row={"age": "old"})))


def test_a_made_up_row_that_nothing_is_answered_to(watched: Watched) -> None:
    """A model may know what to make of its own rows and not of this one: it gets its traffic."""
    watched.wired.runtime.probes["credit:2"] = Probe(cold="ValueError: unknown category ''")
    made = watched.deploy(asked())
    assert (made.state, made.health is not None) == (State.LIVE, True)
    health = watched.wired.deployments.health("d")
    assert (health.healthy, health.failures) == (True, 0)
    assert "a made-up row met ValueError" in health.reason
    assert "health_check.row can say what to ask instead" in health.reason


@pytest.mark.parametrize("memory_bytes", [900, 2_000])
def test_memory_is_a_limit_on_the_process(watched: Watched, memory_bytes: int) -> None:
    watched.serves("credit:2", rss_bytes=1_000)
    watched.deploy(asked(resources=Resources(memory_bytes=memory_bytes)))
    health = watched.wired.deployments.health("d")
    assert health.rss_bytes == 1_000
    is_too_much = memory_bytes < 1_000
    assert bool(health.failures) is is_too_much
    if is_too_much:
        assert health.reason == "a process that serves it takes 1,000 bytes, more than 900"


def test_files_that_are_larger_than_it_may_take(watched: Watched) -> None:
    manifest = Manifest(
        (ArtifactFile("a", 600, "ab" * 32), ArtifactFile("b", 401, "cd" * 32)), "e"
    )
    with watched.wired.store.write() as unit:
        version = unit.versions.get("credit", "2")
        assert version is not None
        unit.versions.put_many([replace(version, manifest=manifest)])
    with pytest.raises(InvalidInput, match="alone have 1,001; allow more") as refused:
        watched.deploy(asked(resources=Resources(memory_bytes=1_000)))
    assert refused.value.details["field"] == "resources.memory_bytes"
    assert watched.deploy(asked(resources=Resources(memory_bytes=1_001))).state is State.LIVE


def test_what_is_not_honoured_is_in_every_answer(watched: Watched) -> None:
    resources = Resources(cpu=2, gpu=1)
    made = watched.deploy(asked(resources=resources, scaling=Scaling(max_replicas=10)))
    assert [said.partition(" ")[0] for said in made.not_honoured] == [
        "resources.cpu",
        "resources.gpu",
        "scaling.max_replicas",
    ]
    deployments = watched.wired.deployments
    (listed,) = deployments.list()
    for answer in (deployments.get("d"), deployments.status("d"), listed):
        assert answer.not_honoured == made.not_honoured  # type: ignore[attr-defined]
    assert deployments.undeploy("d").not_honoured == made.not_honoured
    entry = watched.wired.audit.list()[-3]
    assert entry.after is not None
    assert len(entry.after["not_honoured"]) == 3


def test_gpus_are_looked_for_where_they_are_asked_for(watched: Watched) -> None:
    seen: list[Collection[str]] = []

    def gpus(flavors: Collection[str]) -> Gpus:
        seen.append(flavors)
        return Gpus(used=1, lack="there is one")

    deployments = replace(watched.wired.deployments, gpus=gpus)
    assert deployments.deploy(asked("2", "without")).not_honoured == ()
    assert seen == []
    deployments.undeploy("without")
    assert deployments.deploy(asked("2", "d", resources=Resources(gpu=1))).not_honoured == ()
    more = deployments.deploy(asked("3", "more", resources=Resources(gpu=2)))
    assert more.not_honoured == ("resources.gpu = 2: there is one",)
    assert seen == [{"sklearn"}] * 2


def test_an_ensemble_is_asked_where_its_members_are(watched: Watched) -> None:
    watched.wired.versions.combine(
        "credit",
        VersionDraft(version="both", flavor=""),
        Ensemble(members=("credit:2", "credit:3"), combine=Combine.SOFT_VOTE),
    )
    seen: list[Collection[str]] = []

    def gpus(flavors: Collection[str]) -> Gpus:
        seen.append(flavors)
        return NO_GPUS

    deployments = replace(watched.wired.deployments, gpus=gpus)
    made = deployments.deploy(asked("both", resources=Resources(gpu=1)))
    assert made.not_honoured == (f"resources.gpu = 1: {NO_GPUS.lack}",)
    assert seen == [{"sklearn"}]


# -- several on one endpoint, and again


def test_several_on_one_endpoint(watched: Watched) -> None:
    """Each gets its share of what there is; whichever goes, the rest stands as if it never was."""
    watched.deploy(asked("2", "two", traffic_share=0.5))
    watched.wired.clock.advance(1)
    watched.deploy(asked("3", "three", traffic_share=0.2))
    assert watched.weights() == {"1": 0.4, "2": 0.4, "3": 0.2}
    watched.wired.deployments.undeploy("two")
    assert watched.weights() == {"1": 0.8, "3": 0.2}
    watched.wired.deployments.rollback("three")
    assert watched.weights() is None


def test_a_version_that_took_everything_gets_it_back(watched: Watched) -> None:
    watched.deploy(asked("2", "two"))
    watched.wired.clock.advance(1)
    watched.deploy(asked("3", "three", canary=Canary(start_share=0.1)))
    assert watched.weights() == {"1": 0.0, "2": 0.9, "3": 0.1}
    watched.wired.deployments.rollback("three")
    assert watched.weights() == {"1": 0.0, "2": 1.0}


def test_a_name_is_free_again_when_its_deployment_has_ended(watched: Watched) -> None:
    watched.deploy(asked())
    with pytest.raises(AlreadyExists, match=r"d is live with credit:2; `palio deployments undep"):
        watched.deploy(asked("3"))
    watched.wired.deployments.undeploy("d")
    assert watched.wired.deployments.list() == []
    assert [one.name for one in watched.wired.deployments.list(ended=True)] == ["d"]
    again = watched.deploy(asked("3"))
    assert (again.revision, again.version, again.state) == (2, "3", State.LIVE)


def test_a_version_that_was_held_before_stays_held(watched: Watched) -> None:
    watched.wired.endpoints.load("credit", "2")
    watched.deploy(asked())
    watched.wired.deployments.undeploy("d")
    assert watched.wired.endpoints.get("credit").held == ("2",)


# -- refused


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"version": "9"}, NotFound, "9"),
        ({"endpoint": "nothing"}, NotFound, "palio endpoints create nothing --model credit"),
    ],
)
def test_what_does_not_exist(
    watched: Watched, fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        watched.deploy(asked(**fields))
    assert watched.wired.deployments.list(ended=True) == []


def test_an_unknown_model(watched: Watched) -> None:
    with pytest.raises(NotFound, match="no model is named 'x'"):
        watched.deploy(replace(asked(), model="x"))
    assert len(watched.wired.endpoints.list()) == 1


def test_another_model_answers_there(watched: Watched) -> None:
    watched.wired.register("other:1")
    with pytest.raises(Conflict, match="credit serves versions of credit, not of other"):
        watched.deploy(replace(asked("1"), model="other", endpoint="credit"))


def test_a_version_twice_on_one_endpoint(watched: Watched) -> None:
    watched.deploy(asked(traffic_share=0.5))
    with pytest.raises(Conflict, match="d has credit:2 on credit already; undeploy it first"):
        watched.deploy(asked(name="e"))


def test_a_share_whose_rest_nobody_could_answer(watched: Watched) -> None:
    with pytest.raises(InvalidInput, match="nothing else answers") as refused:
        watched.deploy(asked("1", traffic_share=0.5))
    assert refused.value.details["field"] == "traffic_share"
    with pytest.raises(InvalidInput) as refused:
        watched.deploy(asked("1", canary=Canary()))
    assert refused.value.details["field"] == "canary.start_share"


def test_there_may_be_nothing_to_go_back_to(watched: Watched) -> None:
    watched.deploy(asked("1"))
    assert "it is not rolled back by itself" in watched.wired.deployments.status("d").notes[0]
    with pytest.raises(Conflict, match="nothing to go back to"):
        watched.wired.deployments.rollback("d")
    assert watched.wired.deployments.undeploy("d").state is State.UNDEPLOYED


def test_what_has_ended_has_ended(watched: Watched) -> None:
    watched.deploy(asked())
    watched.wired.deployments.undeploy("d")
    for verb in (watched.wired.deployments.undeploy, watched.wired.deployments.rollback):
        with pytest.raises(IllegalTransition, match="it has ended; deploy again"):
            verb("d")
    with pytest.raises(Conflict, match=r"d is undeployed since .* deploy again"):
        watched.wired.deployments.health("d")
    assert watched.wired.deployments.status("d").notes == ()


def test_unknown_deployments(watched: Watched) -> None:
    found = watched.wired.deployments
    verbs = (found.get, found.status, found.health, found.metrics, found.rollback, found.undeploy)
    for verb in verbs:
        with pytest.raises(NotFound, match="no deployment is named 'x'"):
            verb("x")
    with pytest.raises(InvalidInput, match="take 1 to 900"):
        found.metrics("x", 0.5)


def test_viewers_only_look(watched: Watched) -> None:
    viewer = watched.wired.acting("vic", Role.VIEWER).deployments
    for verb in (lambda: viewer.deploy(asked()), lambda: viewer.rollback("d")):
        with pytest.raises(Forbidden):
            verb()
    assert viewer.list() == []


def test_weights_are_not_set_beside_deployments(watched: Watched) -> None:
    watched.deploy(asked())
    with pytest.raises(Conflict, match="shared out by its deployments: d; undeploy them first"):
        watched.wired.endpoints.weigh("credit", {"1": 1.0})
    watched.wired.deployments.undeploy("d")
    watched.wired.endpoints.weigh("credit", {"1": 1.0})


def test_a_version_that_is_deployed_stays_in_memory(watched: Watched) -> None:
    watched.wired.runtime.probes["credit:2"] = BROKEN
    watched.deploy(asked())
    with pytest.raises(Conflict, match="the deployment d has credit hold 2; undeploy it instead"):
        watched.wired.endpoints.unload("credit", "2")
    with pytest.raises(Conflict, match="deployment d"):
        watched.wired.versions.delete("credit:2")


# -- what comes first, and figures


def test_status_says_what_comes_before_the_weights(watched: Watched) -> None:
    watched.deploy(asked(traffic_share=0.25))
    assert watched.wired.deployments.status("d").share == 0.25
    assert watched.wired.deployments.status("d").notes == ()
    watched.wired.run(design())
    (note,) = watched.wired.deployments.status("d").notes
    assert note == "the experiment exp comes first: its units do not see the weights"
    watched.wired.endpoints.override("credit", "1")
    assert watched.wired.deployments.status("d").notes[0].startswith("credit is overridden to 1")


def test_metrics_are_those_of_its_version_on_its_endpoint(watched: Watched) -> None:
    watched.serves("credit:2", rss_bytes=1_000)
    watched.serves("credit:2", process="q", rss_bytes=500)
    watched.deploy(asked(traffic_share=0.5))
    watched.answered("2", 60, 3, latency_ms=20.0)
    watched.answered("1", 30)
    watched.answered("2", 99, endpoint="elsewhere")
    found = watched.wired.deployments.metrics("d", window_s=60)
    assert (found.traffic.requests, found.traffic.requests_per_s) == (60, 1.0)
    assert found.traffic.error_rate == 0.05
    assert found.traffic.mean_ms == pytest.approx(20.0)
    assert found.traffic.p95_ms == pytest.approx(20.0, rel=0.01)
    assert found.traffic.p99_ms == pytest.approx(20.0, rel=0.01)
    assert found.others.requests == 30
    assert (found.processes, found.rss_bytes, found.cpu_share) == (2, 1_500, 0.5)


def test_the_audit_log_tells_of_the_model(watched: Watched) -> None:
    watched.deploy(asked())
    told = [one.action for one in watched.wired.audit.list(model="credit")]
    assert told[-2:] == ["deployment.deploy", "deployment.start"]
