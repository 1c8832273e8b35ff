"""Outcomes over HTTP: one, several, late, repeated, corrected; all kept or none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve

import palio
from palio.experiments.events import Outcome
from palio.storage.store import SqlStore, engine_for

PATH = "/v1/outcomes"


def outcomes(world: World) -> list[Outcome]:
    store = SqlStore(engine_for(world.store))
    with store.read() as unit:
        entries = unit.log.after(0, limit=100_000)
    store.close()
    return [entry.event for entry in entries if isinstance(entry.event, Outcome)]


def receipt(answer: httpx.Response) -> tuple[int, int, int, int]:
    """Return accepted, corrected, repeated and unknown."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told.keys() == {"accepted", "corrected", "repeated", "unknown", "late"}
    return told["accepted"], told["corrected"], told["repeated"], told["unknown"]


def refused(answer: httpx.Response, code: str = "invalid_outcome") -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (problem["status"], code), problem
    return problem


def test_one_or_several_in_three_forms(world: World) -> None:
    for number in range(5):
        world.predict(request_id=f"r{number}")
    assert receipt(world.post(PATH, {"request_id": "r0", "value": 1})) == (1, 0, 0, 0)
    some = [{"request_id": "r1", "value": 0}, {"request_id": "r2", "value": 1}]
    assert receipt(world.post(PATH, some)) == (2, 0, 0, 0)
    many = [{"request_id": "r3", "value": 0}, {"request_id": "r4", "value": True}]
    assert receipt(world.post(PATH, {"outcomes": many})) == (2, 0, 0, 0)
    assert [(one.request_id, one.value) for one in outcomes(world)] == [
        ("r0", 1), ("r1", 0), ("r2", 1), ("r3", 0), ("r4", True),
    ]  # fmt: skip


def test_repeats_are_harmless(world: World) -> None:
    world.predict(request_id="r")
    sent = {"request_id": "r", "value": 1}
    assert receipt(world.post(PATH, sent)) == (1, 0, 0, 0)
    assert receipt(world.post(PATH, [sent, sent])) == (0, 0, 2, 0)
    assert receipt(world.post(PATH, sent | {"outcome_id": "o"})) == (1, 0, 0, 0)
    assert receipt(world.post(PATH, sent | {"outcome_id": "o"})) == (0, 0, 1, 0)
    assert len(outcomes(world)) == 2


def test_another_value_corrects(world: World) -> None:
    world.predict(request_id="r")
    assert receipt(world.post(PATH, {"request_id": "r", "value": 1})) == (1, 0, 0, 0)
    assert receipt(world.post(PATH, {"request_id": "r", "value": 0})) == (1, 1, 0, 0)
    assert [(one.outcome_id, one.revision, one.value) for one in outcomes(world)] == [
        ("r/label", 1, 1), ("r/label", 2, 0),
    ]  # fmt: skip


def test_what_is_unknown_waits_for_its_prediction(home: str) -> None:
    with palio.connect(home) as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
    early = [{"request_id": f"r{number}", "value": number % 2} for number in range(4)]
    with serve(home) as world, world.opened() as opened:
        assert receipt(world.post(PATH, early)) == (4, 0, 0, 4)
        assert sum(arm.labelled for arm in opened.experiments.analyze("e").arms) == 0
        for number in range(4):
            world.predict(request_id=f"r{number}")
        assert sum(arm.labelled for arm in opened.experiments.analyze("e").arms) == 4
        assert receipt(world.post(PATH, early)) == (0, 0, 4, 0)


def test_outcomes_of_units_need_a_number(world: World) -> None:
    spent = {"unit": "ann", "name": "revenue", "value": 12.5}
    assert receipt(world.post(PATH, spent)) == (1, 0, 0, 0)
    assert receipt(world.post(PATH, spent)) == (1, 0, 0, 0)  # no id: it happened twice
    assert len({one.outcome_id for one in outcomes(world)}) == 2
    problem = refused(world.post(PATH, spent | {"value": "much"}))
    assert "revenue must be a number" in problem["detail"]


def test_a_time_may_be_given(world: World) -> None:
    sent = {"request_id": "r", "value": 1, "at": "2026-03-29T02:30:00+02:00"}
    assert receipt(world.post(PATH, sent)) == (1, 0, 0, 1)
    assert outcomes(world)[0].at.isoformat() == "2026-03-29T02:30:00+02:00"
    problem = refused(world.post(PATH, sent | {"at": "2026-03-29T02:30:00"}))
    assert problem["details"]["field"] == "at"
    assert "the time has no zone; end it with Z" in problem["detail"]


GOOD = {"request_id": "good", "value": 1}
WRONG: list[tuple[Any, str | None]] = [
    ({"request_id": "one", "value": "yes"}, "value"),  # none of the classes
    ({"request_id": "one", "value": 2}, "value"),
    ({"request_id": "one", "value": 0.5}, "value"),
    ({"request_id": "one", "value": [1, 1]}, "value"),  # one row, two labels
    ({"request_id": "one", "value": []}, "value"),
    ({"request_id": "one", "value": None}, "value"),
    ({"request_id": "one", "value": {"label": 1}}, "value"),
    ({"request_id": "one", "value": [[1]]}, "value"),
    ({"request_id": "one", "value": [None]}, "value"),
    ({"request_id": "one"}, None),
    ({"value": 1}, "request_id"),
    ({"request_id": "one", "unit": "u", "value": 1}, "request_id"),
    ({"request_id": 1, "value": 1}, "request_id"),
    ({"request_id": "one", "value": 1, "at": "yesterday"}, "at"),
    ({"request_id": "one", "value": 1, "at": 7}, "at"),
    ({"request_id": "one", "value": 1, "name": None}, "name"),
    ({"unit": "u", "name": "revenue", "value": 1e61}, "value"),
    ({"unit": "u", "name": "revenue", "value": 10**400}, "value"),
    ({"unit": "u", "name": "revenue", "value": "7"}, "value"),
    ({"request_id": "one", "value": 1, "lable": 1}, "lable"),
    (7, None),
    ("value", None),
    (None, None),
    ([], None),
]


@pytest.mark.parametrize(("sent", "field"), WRONG)
def test_what_is_wrong_is_named_and_nothing_is_kept(
    shared: World, sent: Any, field: str | None
) -> None:
    shared.predict(request_id="one")
    before = len(outcomes(shared))
    problem = refused(shared.post(PATH, [GOOD, sent, GOOD]))
    assert problem["status"] == 422
    assert problem["details"].get("outcome") == 1
    assert problem["details"].get("field") == field
    assert problem["detail"].startswith("outcome 1: ")
    assert len(outcomes(shared)) == before  # the good ones neither


@pytest.mark.parametrize("body", [[], {"outcomes": []}, {"outcomes": 1}, {"outcomes": [], "x": 1}])
def test_a_body_without_outcomes(shared: World, body: Any) -> None:
    refused(shared.post(PATH, body))


def test_too_many_at_once(shared: World) -> None:
    many = [{"request_id": f"many{number}", "value": 1} for number in range(10_001)]
    problem = refused(shared.post(PATH, many), "too_large")
    assert problem["status"] == 413
    assert "10001 outcomes were sent at once; send at most 10000" in problem["detail"]
    assert not [one for one in outcomes(shared) if (one.request_id or "").startswith("many")]


def test_an_id_stands_for_one_thing(shared: World) -> None:
    sent = {"outcome_id": "taken", "request_id": "a", "value": 1}
    assert receipt(shared.post(PATH, sent)) == (1, 0, 0, 1)
    problem = refused(shared.post(PATH, sent | {"request_id": "b"}))
    assert problem["details"]["field"] == "outcome_id"


def test_labels_of_several_rows(shared: World) -> None:
    shared.predict([1, 2, 3], [-1, -2, -3], [0, 0, 0], request_id="three")
    refused(shared.post(PATH, {"request_id": "three", "value": 1}))
    refused(shared.post(PATH, {"request_id": "three", "value": [1, 0]}))
    sent = {"request_id": "three", "value": [1, 0, 1]}
    assert receipt(shared.post(PATH, sent)) == (1, 0, 0, 0)
