"""Verbs on endpoints, and the routes that follow from the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.bandit_cases import Traffic, bandit

from palio.delivery.domain import OnError, Table
from palio.delivery.service import routing_table
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficSums
from palio.errors import (
    AlreadyExists,
    Conflict,
    IllegalTransition,
    InvalidInput,
    InvalidWeights,
    NotFound,
)
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.design import Variant
from palio.experiments.domain import State
from palio.registry.domain import VersionDraft
from palio.stats.quality.histogram import LogHistogram
from palio.testing.memory import MemoryAuditLog, MemoryStore
from palio.testing.records import design
from palio.testing.wired import Wired


@pytest.fixture
def serving(wired: Wired) -> Wired:
    """An endpoint ``credit`` with the champion 1, and a version 2."""
    wired.serve("1", "2")
    return wired


def table(wired: Wired) -> Table:
    with wired.store.read() as unit:
        return routing_table(unit)


def test_an_endpoint_is_created_once(serving: Wired) -> None:
    made = serving.endpoints.get("credit")
    assert (made.model, made.override, made.created_by) == ("credit", None, "ann")
    with pytest.raises(AlreadyExists, match="take another name"):
        serving.endpoints.create("credit", "credit")
    assert list(serving.endpoints.list()) == [made]


def test_an_endpoint_needs_a_model_and_a_name(serving: Wired) -> None:
    with pytest.raises(NotFound, match="no model is named 'x'"):
        serving.endpoints.create("other", "x")
    with pytest.raises(InvalidInput, match="is no name"):
        serving.endpoints.create("a b", "credit")
    assert len(serving.endpoints.list()) == 1


def test_unknown_endpoints(serving: Wired) -> None:
    endpoints = serving.endpoints
    for call in (endpoints.get, endpoints.clear, lambda name: endpoints.override(name, "1")):
        with pytest.raises(NotFound, match="no endpoint is named 'x'"):
            call("x")


def test_an_experiment_that_serves_elsewhere_answers_no_requests(serving: Wired) -> None:
    serving.run(design(serves=False))
    route = table(serving).route("credit")
    assert {route.choose(f"u{number}").version for number in range(40)} == {"1"}
    assert {serving.experiments.assign("credit", f"u{n}").version for n in range(40)} == {"1", "2"}


def test_champion_then_experiment_then_override(serving: Wired) -> None:
    assert table(serving).route("credit").choose("u").version == "1"
    experiment = serving.run(design())
    route = table(serving).route("credit")
    assert (route.experiments, route.champion) == ((experiment.assigner(),), "1")
    serving.endpoints.override("credit", "2", "fire")
    assert table(serving).route("credit").choose("u").version == "2"
    assert table(serving).route("credit").experiments == ()
    serving.endpoints.clear("credit")
    assert table(serving).route("credit").choose("u").version == "1"
    serving.experiments.resume("exp")
    assert [one.experiment for one in table(serving).route("credit").experiments] == ["exp"]


def test_the_table_names_its_revision(serving: Wired) -> None:
    before = table(serving).revision
    serving.endpoints.override("credit", "2")
    assert table(serving).revision == before + 1 == serving.audit.list()[-1].seq


def test_weights_published_are_another_revision(serving: Wired) -> None:
    """A refresh is no audit entry, and routes notice all the same."""
    serving.run(bandit())
    before = table(serving)
    entries = len(serving.audit.list())
    traffic = Traffic(serving)
    traffic.reward(traffic.serve(50))
    made = serving.experiments.refresh("exp")
    after = table(serving)
    assert len(serving.audit.list()) == entries
    assert after.revision == before.revision + 1
    [assigner] = after.route("credit").experiments
    assert (assigner.policy_version, dict(assigner.split.variants)) == (1, made.weights)


def test_an_override_pauses_the_experiment(serving: Wired) -> None:
    serving.run(design())
    serving.endpoints.override("credit", "2", "fire")
    paused = serving.experiments.get("exp")
    assert (paused.state, paused.reason) == (State.PAUSED, "endpoint credit overridden to 2")
    first, second = serving.audit.list()[-2:]
    assert (first.action, first.before, first.after, first.reason) == (
        "endpoint.override",
        {"override": None},
        {"override": "2"},
        "fire",
    )
    assert (second.action, second.subject) == ("experiment.pause", "exp")
    assert (second.before, second.after) == ({"state": "running"}, {"state": "paused"})


@pytest.mark.parametrize("kept", [0, 1])
def test_override_and_pause_happen_together_or_not_at_all(
    serving: Wired, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    serving.run(design())
    before = table(serving), serving.experiments.get("exp"), serving.endpoints.get("credit")
    append, calls = MemoryAuditLog.append, []

    def fails(self: MemoryAuditLog, change: Any) -> Any:
        calls.append(change)
        if len(calls) > kept:
            raise RuntimeError("disk full")
        return append(self, change)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryAuditLog, "append", fails)
        with pytest.raises(RuntimeError, match="disk full"):
            serving.endpoints.override("credit", "2")
    assert len(calls) == kept + 1
    after = table(serving), serving.experiments.get("exp"), serving.endpoints.get("credit")
    assert after == before


def test_an_override_leaves_other_endpoints_alone(serving: Wired) -> None:
    serving.endpoints.create("other", "credit")
    serving.run(design(endpoint="other"))
    serving.endpoints.override("credit", "2")
    assert serving.experiments.get("exp").state is State.RUNNING
    assert [one.experiment for one in table(serving).route("other").experiments] == ["exp"]


def test_an_override_pauses_all_experiments_of_the_endpoint(serving: Wired) -> None:
    for number, key in enumerate(["a", "b"]):
        slots = Namespace("n", 5_000 * number, 5_000 * (number + 1))
        serving.run(design(key, namespace=slots))
    serving.endpoints.override("credit", "2")
    assert {one.state for one in serving.experiments.list()} == {State.PAUSED}
    actions = [entry.action for entry in serving.audit.list()[-3:]]
    assert actions == ["endpoint.override", "experiment.pause", "experiment.pause"]


def test_an_override_needs_a_version_that_exists(serving: Wired) -> None:
    with pytest.raises(NotFound, match="credit has no version '9'"):
        serving.endpoints.override("credit", "9")
    assert serving.endpoints.get("credit").override is None


def test_an_override_is_replaced_and_taken_back(serving: Wired) -> None:
    serving.endpoints.override("credit", "2")
    assert serving.endpoints.override("credit", "1").override == "1"
    assert serving.audit.list()[-1].before == {"override": "2"}
    assert serving.endpoints.clear("credit").override is None
    with pytest.raises(Conflict, match="nothing to clear"):
        serving.endpoints.clear("credit")


def test_a_model_without_champion_has_nothing_to_serve() -> None:
    wired = Wired(MemoryStore())
    wired.register("credit:1")
    wired.endpoints.create("credit", "credit")
    with pytest.raises(NotFound, match="palio models promote credit:VERSION"):
        table(wired).route("credit").choose("u")


def answered(
    wired: Wired, version: str, *latencies: float, process: str = "p", model: str = "credit"
) -> None:
    """Count answers as a process that serves would publish them."""
    sums = TrafficSums(
        requests=len(latencies),
        rows=len(latencies),
        latency_ms=sum(latencies),
        latencies=LogHistogram.of(latencies).bins,
    )
    counts = TrafficCounts(
        second=int(wired.clock().timestamp()),
        process=process,
        endpoint="credit",
        model=model,
        version=version,
        sums=sums,
    )
    use = ProcessUse(process=process, server="s", at=wired.clock(), rss_bytes=7, cpu_share=0.1)
    with wired.store.write() as unit:
        unit.traffic.put_many([counts])
        unit.process_uses.put_many([use])


def test_metrics_are_by_version_over_all_processes(serving: Wired) -> None:
    answered(serving, "1", 1.0, 3.0)
    answered(serving, "1", 5.0, process="q")
    serving.clock.advance(20)
    answered(serving, "2", 1.0, process="r")
    answered(serving, "2", 1.0, 2.0, process="r", model="fraud")
    found = serving.endpoints.metrics("credit")
    assert {version: one.requests for version, one in found.versions.items()} == {
        "1": 3,
        "2": 1,
        "fraud:2": 2,
    }
    assert found.versions["1"].mean_ms == 3.0
    assert found.versions["1"].requests_per_s == 3 / 60
    assert [use.process for use in found.processes] == ["r"]  # the others say nothing any more
    assert set(serving.endpoints.metrics("credit", window_s=10).versions) == {"2", "fraud:2"}


def test_metrics_publish_what_this_process_has_answered(serving: Wired) -> None:
    own = replace(serving.endpoints, publish=lambda: answered(serving, "1", 2.0))
    assert own.metrics("credit").versions["1"].requests == 1


@pytest.mark.parametrize("window_s", [0.0, 0.99, 901.0, float("nan")])
def test_metrics_look_back_as_far_as_counts_are_kept(serving: Wired, window_s: float) -> None:
    with pytest.raises(InvalidInput, match="take 1 to 900"):
        serving.endpoints.metrics("credit", window_s=window_s)
    with pytest.raises(NotFound, match="no endpoint is named"):
        serving.endpoints.metrics("nothing")


def test_traffic_is_shared_out(serving: Wired) -> None:
    made = serving.endpoints.weigh("credit", {"1": 0.75, "2": 0.25}, "try")
    assert made == serving.endpoints.get("credit")
    split = table(serving).route("credit").traffic
    assert split is not None
    assert split.variants == (("1", 0.75), ("2", 0.25))
    entry = serving.audit.list()[-1]
    assert (entry.action, entry.reason) == ("endpoint.weigh", "try")
    assert (entry.before, entry.after) == (
        {"weights": None},
        {"weights": {"1": 0.75, "2": 0.25}},
    )
    assert serving.endpoints.weigh("credit", None).traffic is None


def test_units_that_are_served_elsewhere_get_the_same_shares(serving: Wired) -> None:
    serving.endpoints.weigh("credit", {"1": 0.75, "2": 0.25})
    route = table(serving).route("credit")
    units = [f"u{number}" for number in range(200)]
    given = serving.experiments.assign_many("credit", units)
    assert [one.version for one in given] == [route.choose(unit).version for unit in units]
    assert {(one.version, one.propensity) for one in given} == {("1", 0.75), ("2", 0.25)}
    serving.endpoints.override("credit", "2")
    assert serving.experiments.assign("credit", "u1").version == "2"


@pytest.mark.parametrize(
    ("weights", "kind", "said"),
    [
        ({"1": 0.5}, InvalidWeights, "sum to 1"),
        ({"1": 1.5, "2": -0.5}, InvalidWeights, "weight"),
        ({"1": 0.5, "9": 0.5}, NotFound, "no version .9."),
        ({}, InvalidWeights, "weights"),
    ],
)
def test_shares_that_cannot_be(
    serving: Wired, weights: dict[str, float], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        serving.endpoints.weigh("credit", weights)
    assert serving.endpoints.get("credit").weights is None


def test_versions_are_held(serving: Wired) -> None:
    assert serving.endpoints.load("credit", "2").held == ("2",)
    entries = len(serving.audit.list())
    assert serving.endpoints.load("credit", "2").held == ("2",)  # twice changes nothing
    assert len(serving.audit.list()) == entries
    assert table(serving).route("credit").versions == [("credit", "1"), ("credit", "2")]
    serving.endpoints.weigh("credit", {"1": 0.5, "2": 0.5})
    with pytest.raises(Conflict, match=r"2 gets 50\.00% of credit's traffic"):
        serving.endpoints.unload("credit", "2")
    serving.endpoints.weigh("credit", None)
    assert serving.endpoints.unload("credit", "2").held == ()
    with pytest.raises(Conflict, match="credit does not hold 2; it holds none"):
        serving.endpoints.unload("credit", "2")
    with pytest.raises(NotFound, match=r"no version .9."):
        serving.endpoints.load("credit", "9")


def test_what_becomes_of_failures(serving: Wired) -> None:
    made = serving.endpoints.configure("credit", on_error=OnError.FALLBACK, timeout_s=2.0)
    assert (made.on_error, made.timeout_s) == (OnError.FALLBACK, 2.0)
    route = table(serving).route("credit")
    assert (route.on_error, route.timeout_s) == (OnError.FALLBACK, 2.0)
    assert serving.endpoints.configure("credit", timeout_s=0).timeout_s is None
    with pytest.raises(InvalidInput, match="timeout_s must be in"):
        serving.endpoints.configure("credit", timeout_s=-1)


def test_what_is_shared_out_or_held_is_in_use(serving: Wired) -> None:
    serving.endpoints.weigh("credit", {"1": 1.0, "2": 0.0})
    with pytest.raises(Conflict, match="endpoint credit"):
        serving.versions.delete("credit:2")
    serving.endpoints.weigh("credit", None)
    serving.endpoints.load("credit", "2")
    with pytest.raises(Conflict, match="endpoint credit"):
        serving.versions.delete("credit:2")


def test_a_variant_of_another_model(serving: Wired) -> None:
    serving.register("other:9")
    foreign = (Variant("control", "1", 0.5), Variant("challenger", "other:9", 0.5))
    serving.run(replace(design(), variants=foreign))
    units = [f"u{number}" for number in range(50)]
    given = serving.experiments.assign_many("credit", units, record=True)
    assert {one.version for one in given} == {"1", "other:9"}
    with serving.store.read() as unit:
        logged = {(one.event.model, one.event.version) for one in unit.log.after(0, limit=100)}
    assert logged == {("credit", "1"), ("other", "9")}
    with pytest.raises(Conflict, match="experiment"):
        serving.versions.delete("other:9")
    with pytest.raises(Conflict, match="is of another model than credit"):
        serving.experiments.ship(design().key, "must", variant="challenger", force=True)


def test_production_is_among_those_who_serve(serving: Wired) -> None:
    serving.register("credit:3")
    weigh, champion = serving.endpoints.weigh, lambda: serving.models.aliases("credit")["champion"]
    weigh("credit", {"1": 0.2, "2": 0.8}, promote=True)
    assert champion() == "1"  # it serves still
    weigh("credit", {"2": 1.0}, "full", promote=True)
    assert champion() == "2"
    weighed, promoted = serving.audit.list(limit=1_000)[-2:]
    assert [weighed.action, promoted.action] == ["endpoint.weigh", "version.promote"]
    assert (weighed.reason, promoted.reason) == ("full", "full")
    assert (promoted.before or {})["champion"] == "1"
    weigh("credit", {"1": 0.3, "3": 0.7}, promote=True)
    assert champion() == "3"
    assert serving.versions.get("credit:2").stage == "deprecated"  # as with any promotion
    weigh("credit", {"1": 1.0})
    assert champion() == "3"  # nobody asked
    assert serving.endpoints.shares("credit") == {"1": 1.0}


def test_weights_do_not_change_where_the_promotion_is_refused(serving: Wired) -> None:
    serving.endpoints.weigh("credit", {"1": 0.5, "2": 0.5})
    serving.versions.move("credit:2", "failed")
    with pytest.raises(IllegalTransition):
        serving.endpoints.weigh("credit", {"2": 1.0}, promote=True)
    assert serving.endpoints.shares("credit") == {"1": 0.5, "2": 0.5}


def test_weights_that_are_the_same_change_nothing(serving: Wired) -> None:
    serving.endpoints.weigh("credit", {"1": 0.5, "2": 0.5}, promote=True)
    before = serving.audit.verify().entries
    serving.endpoints.weigh("credit", {"1": 0.5, "2": 0.5}, promote=True)
    assert serving.audit.verify().entries == before


def test_files_that_are_only_kept_get_no_traffic(serving: Wired) -> None:
    draft = VersionDraft(version="notes", flavor="plain")
    serving.versions.register("credit", draft, Path("/nonexistent"))
    serving.endpoints.weigh("credit", {"1": 1.0})
    for shares in ({"1": 0.5, "notes": 0.5}, {"notes": 1.0}):
        with pytest.raises(InvalidInput, match=r"credit:notes is of flavor plain.*no requests"):
            serving.endpoints.weigh("credit", shares, promote=True)
    serving.endpoints.weigh("credit", {"1": 1.0, "notes": 0.0})  # a share of nothing loses none
    assert serving.endpoints.shares("credit")["1"] == 1.0
