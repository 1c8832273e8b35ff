"""Lifecycles over HTTP: old bodies, new ones, and fields that are named when they do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.worlds import World

OLD = {
    "name": "short",
    "initial": "a",
    "production": "b",
    "retired": "c",
    "transitions": {"a": ["b"], "b": ["c"], "c": ["b"]},
}
WHOLE = {
    **OLD,
    "name": "whole",
    "requires": {"b": [{"metric": "auc", "at_least": 1}, {"approval": "four_eyes"}]},
    "aliases": {"shadow": "admin"},
}


@pytest.mark.parametrize("body", [OLD, WHOLE], ids=["old", "whole"])
def test_a_lifecycle_comes_back_as_it_was_sent(world: World, body: dict[str, Any]) -> None:
    whole = {"requires": {}, "aliases": {}, "revision": 1, **body}
    assert world.post("/v1/lifecycles", body).json() == whole
    assert world.http.get(f"/v1/lifecycles/{body['name']}").json() == whole
    listed = world.http.get("/v1/lifecycles").json()
    assert [one["name"] for one in listed] == ["standard", "strict", body["name"]]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"require": {}}, "require"),
        ({"requires": {"d": []}}, "requires.d"),
        ({"requires": {"b": [{"metric": "auc", "at_lest": 1}]}}, "requires.b.0.at_lest"),
        ({"requires": {"b": [{"metric": "auc", "at_least": "1"}]}}, "requires.b.0.at_least"),
        ({"requires": {"b": [{"metric": "auc"}]}}, "requires.b.0"),
        ({"aliases": {"champion": "admin"}}, "aliases.champion"),
        ({"aliases": {"shadow": "king"}}, "aliases.shadow"),
        ({"transitions": {"a": ["b"], "b": ["c"], "c": ["b"], "d": []}}, "transitions"),
    ],
)
def test_what_does_not_fit_is_named(shared: World, changed: dict[str, Any], field: str) -> None:
    answer = shared.post("/v1/lifecycles", {**OLD, **changed})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
    assert answer.json()["details"]["field"] == field


def test_what_a_version_lacks_over_http(world: World) -> None:
    asked = world.http.get("/v1/versions/credit:v2/requirements", params={"stage": "archived"})
    assert asked.json() == {
        "version": "credit:v2",
        "stage": "archived",
        "ready": False,
        "step": "credit:v2 cannot go from development to archived; allowed from development: "
        "validation, testing, staging, production, failed",
        "findings": [],
    }
