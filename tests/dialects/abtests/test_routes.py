"""Routes one by one: lists, statuses, users, metrics, rows of tables, and what is refused."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.dialects.abtests import ABTestService
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant
from palio.experiments.domain import State

from .conftest import World, add_type


@documents(
    "abtests:list", "abtests:statuses", "abtests:pause", "abtests:resume", "abtests:management"
)
def test_tests_are_listed_by_type_and_status(tester: World) -> None:
    first, second = tester.running("safety_classifier_1"), tester.running("intent_classifier_1")
    draft = tester.create("safety_classifier_1")["test_id"]

    def listed(query: str) -> list[str]:
        return [one["test_id"] for one in tester.call("GET", query).json()]

    assert set(listed("")) >= {first, second, draft}
    assert listed("?model_type=safety_classifier_1&status=active") == [first]
    assert listed("?model_type=safety_classifier_1&status=draft") == [draft]
    assert tester.call("POST", f"/{second}/pause").json()["status"] == "paused"
    assert second in listed("?status=paused")
    assert tester.call("POST", f"/{second}/start").json()["status"] == "active"
    done = tester.call("POST", f"/{second}/complete", {"winner": None}).json()
    assert (done["status"], done["winner"]) == ("completed", None)
    assert listed("?status=completed&model_type=intent_classifier_1") == [second]
    with tester.native() as native:
        found = {one.key: one.state for one in native.experiments.list()}
        wanted = {first: State.RUNNING, second: State.COMPLETED, draft: State.DRAFT}
        assert {key: found[key] for key in wanted} == wanted
        native.experiments.stop(first, "native stop")
    assert set(listed("?status=completed")) >= {first, second}


@documents("abtests:complete")
def test_the_control_may_win(tester: World) -> None:
    test_id = tester.running("ranker_2")
    done = tester.call("POST", f"/{test_id}/complete", {"winner": "a"}).json()
    assert (done["status"], done["winner"]) == ("completed", "a")
    with tester.native() as native:
        assert native.experiments.get(test_id).chosen == "a"
        assert native.models.aliases("ranker_2")["champion"] == "v1.0.0"


@documents("abtests:complete")
def test_a_winner_that_ships_nothing_is_named(tester: World) -> None:
    add_type(tester.store, "ranker_2b")
    with tester.native() as native:
        native.endpoints.create("ranker_2b", "ranker_2b")
        variants = (Variant("old", "v1.0.0", 0.5), Variant("new", "v2.0.0", 0.5))
        native.experiments.draft(
            ExperimentDraft(
                key="named",
                endpoint="ranker_2b",
                variants=variants,
                metrics=Metrics("brier"),
                ships=False,
            )
        )
        native.experiments.start("named")
        done = tester.call("POST", "/named/complete", {"winner": "b"}).json()
        assert (done["status"], done["winner"]) == ("completed", "b")
        assert native.experiments.get("named").chosen == "new"
        assert native.models.aliases("ranker_2b")["champion"] == "v1.0.0"


@documents("abtests:complete")
def test_a_winner_after_production_has_moved(tester: World) -> None:
    test_id = tester.running("ranker_2c")
    with tester.native() as native:
        native.versions.promote("ranker_2c:v2.0.0")
        moved = tester.call("POST", f"/{test_id}/complete", {"winner": "a"})
        assert moved.status_code == 409
        assert moved.json()["error"].endswith(
            f"complete {test_id}, and promote the version you want"
        )
        done = tester.call("POST", f"/{test_id}/complete", {"winner": "b"}).json()
        assert (done["status"], done["winner"]) == ("completed", "b")
        assert native.models.aliases("ranker_2c")["champion"] == "v2.0.0"


@documents("abtests:complete")
def test_the_first_winner_where_nothing_was_in_production(tester: World) -> None:
    add_type(tester.store, "ranker_2d", champion=None)
    test_id = tester.create("ranker_2d")["test_id"]
    assert tester.call("POST", f"/{test_id}/start").status_code == 200
    assert tester.call("POST", f"/{test_id}/complete", {"winner": "a"}).json()["winner"] == "a"
    with tester.native() as native:
        assert native.models.aliases("ranker_2d")["champion"] == "v1.0.0"


@documents("abtests:user-variant", "abtests:consistent")
def test_a_token_identifies_the_user(tester: World) -> None:
    test_id = tester.running("safety_classifier_3")
    path = "/user/variant?model_type=safety_classifier_3"
    given = {user: tester.call("GET", path, user=user).json() for user in ("ann", "bob", "eve")}
    for user, one in given.items():
        assert one["test_id"] == test_id
        assert one["version"] == {"a": "v1.0.0", "b": "v2.0.0"}[one["variant"]]
        assert tester.call("GET", path, user=user).json() == one
    with tester.native() as native:
        kept = {one.unit: one.variant for one in native.experiments.assignments(test_id)}
    assert kept == {user: one["variant"] for user, one in given.items()}
    none = tester.call("GET", "/user/variant?model_type=unknown", user="ann")
    assert (none.status_code, none.json()["variant"]) == (200, None)


@documents("abtests:bearer")
def test_a_user_without_a_token(tester: World) -> None:
    url = f"{tester.address}/api/v1/ab-tests/user/variant?model_type=x"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    asked = {"name": "T", "model_type": "x", "variant_a": "v1", "variant_b": "v2",
             "traffic_split": {"a": 0.5, "b": 0.5}}  # fmt: skip
    refused = tester.call("POST", "", asked, user="ann")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    test_id = tester.running("ranker_4")
    started = tester.call("POST", f"/{test_id}/pause", user="ann")
    assert (started.status_code, started.json()["code"]) == (403, "forbidden")


@documents("abtests:record-metric", "abtests:not-updating")
def test_custom_metrics(tester: World) -> None:
    test_id = tester.running("ranker_5")
    service = ABTestService(tester.address, key=tester.operator)
    for value in (1.0, 2.0, 6.0):
        service.record_metric(test_id, "b", "custom_metric", value)
    service.close()
    sent = {"variant": "a", "metric": "csat", "value": 4.5}
    assert tester.call("POST", f"/{test_id}/metrics", sent).status_code == 202
    metrics = tester.call("GET", f"/{test_id}").json()["metrics"]
    assert metrics["variant_b"]["custom"]["custom_metric"] == {"count": 3, "mean": 3.0}  # by hand
    assert metrics["variant_a"]["custom"]["csat"] == {"count": 1, "mean": 4.5}
    with tester.native() as native:
        arms = {arm.variant: arm for arm in native.experiments.analyze(test_id).arms}
        assert arms["b"].reported["custom_metric"].mean == 3.0
    for bad, said in (
        ({"variant": "c"}, "variant must be one of a, b"),
        ({"metric": "csat", "value": "NaN"}, "finite"),
    ):
        answer = tester.call("POST", f"/{test_id}/metrics", sent | bad)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["error"]


@documents("abtests:criteria", "abtests:decisions", "abtests:error-rate")
def test_criteria_hold_a_winner_back(tester: World) -> None:
    asked = {"min_requests": 10_000, "max_error_rate": 0.01, "max_latency_ms": 200,
             "min_improvement": 0.05}  # fmt: skip
    test_id = tester.running("ranker_6", criteria=asked, metric="satisfaction:higher")
    stats = tester.call("GET", f"/{test_id}").json()
    assert stats["criteria"] == asked
    assert stats["metrics"]["variant_a"]["error_rate"] is None
    assert stats["decision"]["kind"] == "keep_running"
    with tester.native() as native:
        design = native.experiments.get(test_id).design
        assert (design.criteria.min_requests, design.criteria.max_error_rate) == (10_000, 0.01)
        assert design.metrics.goal_metric.name == "satisfaction"
        native.predict("ranker_6", servers.SAMPLE[:1].tolist(), unit="u1")
    arms = tester.call("GET", f"/{test_id}").json()["metrics"].values()
    [asked_one] = [one for one in arms if one["requests"]]
    assert (asked_one["requests"], asked_one["error_rate"]) == (1, 0.0)
    assert asked_one["avg_latency"] > 0  # of a single user, too


@documents("abtests:tests-table", "abtests:assignments-table", "abtests:not-assigned")
def test_rows_of_the_tables(tester: World) -> None:
    test_id = tester.running("safety_classifier_7", traffic_split={"a": 0.8, "b": 0.2})
    row = tester.call("GET", f"/{test_id}").json()
    fields = ("id", "name", "model_type", "variant_a", "variant_b", "traffic_split", "status",
              "metrics", "start_date", "end_date")  # fmt: skip
    assert [name for name in fields if name not in row] == []
    assert (row["traffic_split"], row["end_date"]) == ({"a": 0.8, "b": 0.2}, None)
    assert tester.call("GET", f"/{test_id}/assignments").json() == []
    variant = tester.call(
        "GET", "/user/variant?model_type=safety_classifier_7", user="7f1c"
    ).json()["variant"]
    [found] = tester.call("GET", f"/{test_id}/assignments?user_id=7f1c").json()
    assert (found["user_id"], found["ab_test_id"], found["variant"]) == ("7f1c", test_id, variant)
    assert str(uuid.UUID(found["id"])) == found["id"]
    assert found["assigned_at"].endswith("Z")
    tester.call("POST", f"/{test_id}/pause")  # "check test status is active"
    paused = tester.call("GET", "/user/variant?model_type=safety_classifier_7", user="7f1c").json()
    assert paused["variant"] is None


@documents("abtests:wont-start", "abtests:split")
@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"variant_b": "v9"}, 404, "no version 'v9'"),
        ({"model_type": "nothing"}, 404, "no model is named 'nothing'"),
        ({"traffic_split": {"a": 0.5, "b": 0.6}}, 422, "sum to 1.0"),
        ({"traffic_split": {"a": 1.0}}, 422, "sum to 1.0"),
        ({"traffic_split": {"a": 50, "b": 50}}, 422, "sum to 1.0"),
        ({"traffic_split": {"a": 1.5, "b": -0.5}}, 422, "weight"),
        ({"name": ""}, 422, "name: String should have at least 1 character, got ''"),
        ({"name": "x" * 201}, 422, "name: String should have at most 200"),
        ({"model_type": "../x"}, 422, "model_type '../x' is no name"),
        ({"colour": "red"}, 422, "colour: the field is unknown"),
        ({"criteria": {"max_error_rate": 2}}, 422, "max_error_rate"),
    ],
)
def test_tests_that_cannot_be(
    tester: World, refused_type: str, *, fields: Any, status: int, said: str
) -> None:
    given = {"name": "T", "model_type": refused_type, "variant_a": "v1.0.0", "variant_b": "v2.0.0",
             "traffic_split": {"a": 0.5, "b": 0.5}}  # fmt: skip
    answer = tester.call("POST", "", given | fields)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert tester.call("GET", "?model_type=refused").json() == []


@documents("abtests:wont-start")
def test_a_test_started_twice(tester: World) -> None:
    test_id = tester.running("ranker_9")
    twice = tester.call("POST", f"/{test_id}/start")
    assert twice.status_code == 409
    assert 'Ensure test is in "draft" status' in twice.json()["error"]
    draft = tester.create("ranker_9")["test_id"]
    for verb, said in (
        ("pause", "Only an active test can be paused"),
        ("complete", "Only an active or paused test can be completed"),
    ):
        early = tester.call("POST", f"/{draft}/{verb}")
        assert (early.status_code, early.json()["error"]) == (409, f"{said}: {draft} is draft")
    unknown = tester.call("POST", "/9b2e6a3c-52a5-4c0c-8f0e-0d9a3b1c7e55/start")
    assert unknown.status_code == 404
    other = tester.create("ranker_9")["test_id"]
    beside = tester.call("POST", f"/{other}/start")
    assert (beside.status_code, test_id in beside.json()["error"]) == (409, True)
    bearer = {"Authorization": f"Bearer {tester.operator}"}
    for headers, said in (
        (bearer | {"Content-Type": "application/json"}, "the body is no JSON: Expecting property"),
        (bearer, "; send JSON, with `Content-Type: application/json`"),
    ):
        url = f"{tester.address}/api/v1/ab-tests"
        no_json = httpx.post(url, content=b"{name", headers=headers)
        assert (no_json.status_code, no_json.json()["field"]) == (422, "body")
        assert said in no_json.json()["error"]
    bad = tester.call("GET", "?status=finished")
    assert (bad.status_code, "draft, active, paused, completed" in bad.text) == (422, True)


def test_an_experiment_that_was_made_natively_is_seen(tester: World) -> None:
    add_type(tester.store, "ranker_10")
    with tester.native() as native:
        native.endpoints.create("rank", "ranker_10")
        variants = (Variant("old", "v1.0.0", 0.5), Variant("new", "v2.0.0", 0.25),
                    Variant("newer", "v2.0.0", 0.25))  # fmt: skip
        native.experiments.draft(
            ExperimentDraft(
                key="native", endpoint="rank", variants=variants, metrics=Metrics("brier")
            )
        )
        native.experiments.start("native")
        given = tester.call("GET", "/user/variant?model_type=ranker_10", user="ann").json()
        assert given["variant"] in {"a", "b", "c"}
        assert native.experiments.assign("rank", "ann").version == given["version"]
    seen = tester.call("GET", "/native").json()
    assert seen["traffic_split"] == {"a": 0.5, "b": 0.25, "c": 0.25}
    assert seen["assignments"]["total"] == 1


def test_many_variants_have_letters(tester: World) -> None:
    add_type(tester.store, "ranker_11")
    with tester.native() as native:
        native.endpoints.create("ranker_11", "ranker_11")
        variants = tuple(Variant(f"k{n}", "v2.0.0" if n else "v1.0.0", 1 / 32) for n in range(32))
        native.experiments.draft(
            ExperimentDraft(
                key="many", endpoint="ranker_11", variants=variants, metrics=Metrics("error")
            )
        )
    [seen] = tester.call("GET", "?model_type=ranker_11").json()
    # by hand: 26 letters, then six of the second round
    assert list(seen["traffic_split"])[24:28] == ["y", "z", "aa", "ab"]
    assert list(seen["traffic_split"])[-1] == "af"
