"""Cards and edits over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.e2e import servers
from tests.e2e.worlds import World


def test_a_card_is_text_and_plots_are_bytes(world: World) -> None:
    with world.remote() as remote:
        remote.register("drawn", servers.model(), version="v1", sample=servers.SAMPLE,
                        files={"plots/roc.png": b"png", "notes.md": b"x"})  # fmt: skip
        assert remote.versions.plots("drawn:v1") == {"plots/roc.png": b"png"}
    card = world.http.get("/v1/versions/drawn:v1/card")
    assert card.status_code == 200
    assert card.json().startswith("# drawn:v1\n")
    plots = world.http.get("/v1/versions/drawn:v1/plots").json()
    assert plots == {"plots/roc.png": base64.b64encode(b"png").decode()}


def test_an_edit(world: World) -> None:
    body: dict[str, Any] = {"tags": {"team": "ü"}, "reason": "why"}
    answer = world.post("/v1/versions/credit@champion/edit", body)
    assert (answer.status_code, answer.json()["tags"]) == (200, {"team": "ü"})
    answer = world.post("/v1/models/credit/edit", {"description": "who pays"})
    assert (answer.status_code, answer.json()["description"]) == (200, "who pays")
    assert world.http.get("/v1/versions/credit:v1").json()["tags"] == {"team": "ü"}


@pytest.mark.parametrize("field", ["metrics", "policy", "parent", "stage", "nothing"])
def test_all_else_is_frozen_and_the_answer_says_so(shared: World, field: str) -> None:
    answer = shared.post("/v1/versions/credit:v1/edit", {field: "x", "description": "y"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["detail"].startswith(f"{field}: the field is unknown or frozen here")
    assert shared.http.get("/v1/versions/credit:v1").json()["description"] == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy", '{"a": 1e999}'),
        ("policy", "[]"),
        ("tags", '{"a": 1}'),
        ("backtest", '{"a": "1"}'),
        ("description", '"\\u0000"'),
        ("parent", '"nothing:v1"'),
        ("parent", '"credit:new"'),
    ],
)
def test_a_draft_that_cannot_be_kept(shared: World, field: str, value: str) -> None:
    draft = f'{{"version": "new", "flavor": "plain", "{field}": {value}}}'
    answer = shared.http.post(
        "/v1/models/credit/versions", data={"draft": draft}, files=[("files", ("a", b"a"))]
    )
    assert answer.status_code in (404, 422), answer.text
    assert shared.http.get("/v1/versions/credit:new").status_code == 404
