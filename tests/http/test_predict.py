"""Predictions over HTTP: what is answered, by whom, what is refused, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve

import palio
from palio.experiments.designs.audience import Condition
from palio.experiments.events import LogEntry, Prediction
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.storage.store import SqlStore, engine_for

ROW = [0.1, -0.2, 0.3]
NAMED = {"x0": 0.1, "x1": -0.2, "x2": 0.3}


def expected(*rows: list[float], strength: float = 1.0) -> list[list[float]]:
    """Return what scikit-learn itself says."""
    answer: list[list[float]] = servers.model(strength).predict_proba(np.array(rows)).tolist()
    return answer


def logged(world: World) -> list[LogEntry]:
    store = SqlStore(engine_for(world.store))
    with store.read() as unit:
        entries = list(unit.log.after(0, limit=100_000))
    store.close()
    return entries


def predictions(world: World) -> list[Prediction]:
    return [e.event for e in logged(world) if isinstance(e.event, Prediction)]


def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether something comes to hold; servers look twice a second, busy ones later."""
    until = time.monotonic() + servers.PATIENCE_S
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.01)
    return holds()


def test_the_fields_of_an_answer(shared: World) -> None:
    answer = shared.predict(ROW, unit="ann", request_id="fields").json()
    assert answer == {
        "request_id": "fields",
        "endpoint": "credit",
        "model": "credit",
        "version": "v1",
        "variant": None,
        "experiment": None,
        "predictions": [int(expected(ROW)[0][1] > 0.5)],
        "probabilities": pytest.approx(np.array(expected(ROW)), rel=1e-12),
        "classes": [0, 1],
        "fallback": False,
    }


def test_rows_may_be_objects_or_arrays_and_many(shared: World) -> None:
    other = [1.0, 2.0, -3.0]
    shuffled = {"x2": -3, "x0": 1, "x1": 2}
    for rows in ([ROW, other], [NAMED, shuffled], [ROW, shuffled]):
        answer = shared.predict(*rows).json()
        assert np.allclose(answer["probabilities"], expected(ROW, other), rtol=1e-12)
        assert len(answer["predictions"]) == 2


def test_an_id_is_made_when_none_is_given(world: World) -> None:
    ids = [world.predict().json()["request_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(made.startswith("req_") for made in ids)
    assert [(one.request_id, one.unit) for one in predictions(world)] == [(i, i) for i in ids]
    assert world.predict(request_id="mine").json()["request_id"] == "mine"
    assert world.predict(request_id="x" * 256, unit="ü" * 256).status_code == 200


def test_what_is_kept_of_a_prediction(world: World) -> None:
    answer = world.predict(ROW, unit="ann", request_id="r").json()
    (kept,) = predictions(world)
    assert (kept.request_id, kept.unit, kept.endpoint) == ("r", "ann", "credit")
    assert (kept.model, kept.version, kept.error) == ("credit", "v1", None)
    assert (kept.values, kept.probabilities) == (answer["predictions"], answer["probabilities"])
    assert kept.classes == (0, 1)
    assert 0 < kept.latency_ms < 60_000


def test_a_version_by_name_stays_outside_of_experiments(world: World) -> None:
    with world.opened() as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
    assert eventually(lambda: world.predict().json()["experiment"] == "e")
    before = len(predictions(world))
    for version in ("v1", "v2"):
        answer = world.predict(ROW, version=version, unit="u").json()
        assert (answer["version"], answer["variant"], answer["experiment"]) == (
            version, None, None,
        )  # fmt: skip
    assert {one.experiment for one in predictions(world)[before:]} == {None}
    refused = world.predict(version="v9")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert len(predictions(world)) == before + 2


def test_attributes_decide_who_takes_part(world: World) -> None:
    with world.opened() as opened:
        opened.experiments.draft(
            servers.design("e", audience=(Condition.parse("country in NL,BE"),))
        )
        opened.experiments.start("e")
    said = {"attributes": {"country": "NL", "age": 41, "pro": True, "score": 0.5}}
    assert eventually(lambda: world.predict(ROW, **said).json()["experiment"] == "e")
    for outside in ({}, {"attributes": {}}, {"attributes": {"country": "FR"}}):
        answer = world.predict(ROW, request_id="outside", **outside).json()
        assert (answer["experiment"], answer["version"]) == (None, "v1")
    kept = [one for one in predictions(world) if one.request_id == "outside"]
    assert {(one.experiment, one.variant, one.epoch) for one in kept} == {(None, None, 0)}


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"a": None}, "the body cannot be read"),
        ({"a": ["b"]}, "the body cannot be read"),
        ([], "the body cannot be read"),
        ({"a": "b" * 257}, "attributes: a must have at most 256 characters"),
        ({"a": 10**30}, "attributes: a must be a number of at most"),
        ({str(number): 1 for number in range(65)}, "65 attributes were sent; send at most 64"),
    ],
)
def test_attributes_that_are_refused(shared: World, attributes: object, says: str) -> None:
    answer = shared.predict(ROW, attributes=attributes)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("by_header", [False, True])
def test_a_variant_that_is_asked_for_answers_and_is_no_evidence(
    world: World, *, by_header: bool
) -> None:
    asked = {} if by_header else {"variant": "challenger"}
    headers = {"X-Palio-Variant": "challenger"} if by_header else {}

    def ask(number: int) -> httpx.Response:
        body = {"rows": [ROW], "unit": f"u{number}", "request_id": f"f{number}", **asked}
        return world.http.post("/v1/predict/credit", json=body, headers=headers)

    answer = ask(0)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "of what runs on credit: no experiment" in answer.json()["detail"]
    with world.opened() as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
    assert eventually(lambda: ask(1).status_code == 200)
    for number in range(2, 12):
        told = ask(number).json()
        assert (told["variant"], told["version"], told["experiment"]) == ("challenger", "v2", "e")
    assert all(one.forced and one.experiment == "e" for one in predictions(world))
    with world.opened() as opened:
        report = opened.experiments.analyze("e")
        assert [(arm.units, arm.requests) for arm in report.arms] == [(0, 0), (0, 0)]
        assert opened.experiments.verify("e").differences == ()


def test_override_then_experiment_then_champion(world: World) -> None:
    """The order in which a version is chosen."""
    assert world.predict().json()["version"] == "v1"
    assert world.post("/v1/models/credit/rollback").status_code == 409
    assert world.post("/v1/experiments", EXPERIMENT).status_code == 200
    assert world.post("/v1/experiments/e/start").status_code == 200
    assert eventually(lambda: world.predict().json()["experiment"] == "e")
    units = [f"u{number}" for number in range(60)]
    first = {unit: world.predict(unit=unit).json()["variant"] for unit in units}
    assert set(first.values()) == {"control", "challenger"}
    again = {unit: world.predict(unit=unit).json() for unit in units}
    assert {unit: one["variant"] for unit, one in again.items()} == first  # sticky
    by_variant = {one["variant"]: one["version"] for one in again.values()}
    assert by_variant == {"control": "v1", "challenger": "v2"}
    overridden = world.http.put("/v1/endpoints/credit/override", json={"version": "v2"})
    assert overridden.status_code == 200
    assert eventually(lambda: world.predict().json()["experiment"] is None)
    assert {world.predict(unit=unit).json()["version"] for unit in units} == {"v2"}
    assert world.http.get("/v1/experiments/e").json()["state"] == "paused"
    assert world.http.delete("/v1/endpoints/credit/override").status_code == 200
    assert eventually(lambda: world.predict().json()["version"] == "v1")
    assert world.post("/v1/experiments/e/resume").status_code == 200
    assert eventually(lambda: world.predict().json()["experiment"] == "e")
    resumed = {unit: world.predict(unit=unit).json()["variant"] for unit in units}
    assert resumed == first


EXPERIMENT = {
    "key": "e",
    "endpoint": "credit",
    "variants": [
        {"key": "control", "version": "v1", "weight": 0.5},
        {"key": "challenger", "version": "v2", "weight": 0.5},
    ],
    "metrics": {"goal": "brier"},
}


@pytest.mark.parametrize(
    ("rows", "place", "said"),
    [
        ([ROW, {"x0": 1, "x1": 2}], (1, "x2"), "is not in the row"),
        ([{**NAMED, "x3": 1}], (0, "x3"), "is unknown to this version"),
        ([ROW, ROW, {**NAMED, "x1": "two"}], (2, "x1"), "'two' is no number"),
        ([{**NAMED, "x1": True}], (0, "x1"), "True is no number"),
        ([{**NAMED, "x1": [1]}], (0, "x1"), "[1] is no number"),
        ([{**NAMED, "x1": None}], (0, "x1"), "must be given"),
        ([[1, None, 3]], (0, "x1"), "must be given"),
        ([[1, 2]], (0, None), "2 values were sent, and 3 are expected"),
        ([[1, 2, 3, 4]], (0, None), "4 values were sent, and 3 are expected"),
        ([[]], (0, None), "0 values were sent"),
        ([{}], (0, "x0"), "is not in the row"),
        (["row"], (0, None), "neither an object nor an array"),
        ([7], (0, None), "neither an object nor an array"),
        ([None], (0, None), "neither an object nor an array"),
    ],
)
def test_rows_that_do_not_fit(
    shared: World, rows: list[Any], place: tuple[int, str | None], said: str
) -> None:
    answer = shared.predict(*rows)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_rows")
    assert (problem["details"]["row"], problem["details"]["field"]) == place
    assert f"row {place[0]}" in problem["detail"]
    assert said in problem["detail"]


def test_refused_rows_are_nobody_s_failure(world: World) -> None:
    with world.opened() as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
    assert eventually(lambda: world.predict().json()["experiment"] == "e")
    before = len(logged(world))
    for rows in ([[1, 2]], [{**NAMED, "x0": "a"}], []):
        assert world.post("/v1/predict/credit", {"rows": rows}).status_code == 422
    assert len(logged(world)) == before


def test_an_integer_beyond_floats_is_refused(shared: World) -> None:
    answer = shared.predict([10**400, 1, 1])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_rows")


def test_nullable_fields_take_null(world: World) -> None:
    signature = Signature(
        features=(
            Feature("age", FeatureType.NUMBER, nullable=True),
            Feature("kids", FeatureType.INTEGER, nullable=True),
            Feature("owner", FeatureType.BOOLEAN),
        ),
        task=Task.CLASSIFICATION,
        classes=(0, 1),
    )
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    fitted = HistGradientBoostingClassifier(max_iter=3).fit(servers.SAMPLE, servers.LABELS)
    with world.opened() as opened:
        opened.register("holey", fitted, version="v1", signature=signature)
        opened.versions.promote("holey:v1")
        opened.endpoints.create("holey", "holey")
    path = "/v1/predict/holey"
    taken = {
        "rows": [[None, None, True], {"age": 1.5, "kids": None, "owner": False}, [1, 2.0, True]]
    }
    assert eventually(lambda: world.post(path, taken).status_code == 200)
    for row, field in (([1, 1.5, True], "kids"), ([1, 1, 1], "owner"), ([1, 1, None], "owner")):
        answer = world.post(path, {"rows": [row]})
        assert (answer.status_code, answer.json()["details"]["field"]) == (422, field)


def test_a_model_that_raises_is_its_variant_s_error(world: World) -> None:
    from palio.experiments.designs.design import Metrics, Variant  # noqa: PLC0415

    signature = Signature(
        features=tuple(Feature(f"x{at}", FeatureType.NUMBER, nullable=True) for at in range(3)),
        task=Task.CLASSIFICATION,
        classes=(0, 1),
    )  # it says that it takes null, and a logistic regression does not
    with world.opened() as opened:
        opened.register("credit", servers.model(), version="frail", signature=signature)
        variants = (Variant("control", "v1", 0.5), Variant("frail", "frail", 0.5))
        metrics = Metrics(goal="brier", guardrails=("error",))
        opened.experiments.draft(servers.design("e", variants=variants, metrics=metrics))
        opened.experiments.start("e")
    assert eventually(lambda: world.predict().json()["experiment"] == "e")
    answers = [
        world.predict([None, 1, 2], unit=f"u{number}", request_id=f"r{number}")
        for number in range(20)
    ]
    failed = [answer.json() for answer in answers if answer.status_code == 500]
    assert {answer.status_code for answer in answers} == {422, 500}  # control takes no null
    assert {problem["code"] for problem in failed} == {"prediction_failed"}
    assert "credit:frail failed: ValueError: " in failed[0]["detail"]
    assert "recorded against this version" in failed[0]["detail"]
    assert failed[0]["details"]["request_id"].startswith("r")
    with world.opened() as opened:
        arms = {arm.variant: arm for arm in opened.experiments.analyze("e").arms}
    assert arms["frail"].errors == len(failed)
    assert arms["control"].errors == 0
    kept = [one for one in predictions(world) if one.error is not None]
    assert {one.request_id for one in kept} == {p["details"]["request_id"] for p in failed}
    assert world.predict([1, 2, 3]).status_code == 200  # and the server lives


def test_a_corrupt_artifact_is_refused_before_it_is_read(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import skops.io  # type: ignore[import-untyped]  # noqa: PLC0415

    def read(*_: object, **__: object) -> None:
        raise AssertionError("bytes that were tampered with became a model")

    file = Path(home).with_name("palio-artifacts") / "credit" / "v1" / "model.skops"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    monkeypatch.setattr(skops.io, "loads", read)
    monkeypatch.setattr(skops.io, "get_untrusted_types", read)
    with serve(home) as world:
        for answer in (world.predict(), world.predict(version="v1"), world.predict()):
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (500, "corrupt_artifact")
            assert "credit:v1: model.skops is not what was registered" in problem["detail"]
            assert problem["details"]["file"] == "model.skops"
        assert len(predictions(world)) == 3
        assert all("CorruptArtifact" in (one.error or "") for one in predictions(world))


def test_artifacts_that_come_back_are_served_again(home: str) -> None:
    folder = Path(home).with_name("palio-artifacts") / "credit" / "v1"
    aside = folder.with_name("aside")
    folder.rename(aside)
    with serve(home) as world:
        assert world.predict().json()["code"] == "corrupt_artifact"
        aside.rename(folder)
        assert world.http.put("/v1/models/credit/aliases/a", json={"version": "v2"}).is_success
        assert eventually(lambda: world.predict().status_code == 200)


def test_another_process_s_promotion_is_served_soon(home: str, tmp_path: Path) -> None:
    process = servers.start(
        home, artifacts=str(Path(home).with_name("palio-artifacts")), folder=tmp_path
    )
    try:
        with serve(home) as world, palio.connect(process.address) as other:
            for version in ("v2", "v1", "v2"):
                other.versions.promote(f"credit:{version}")
                assert eventually(
                    lambda version=version: world.predict().json()["version"] == version
                )
                assert other.predict("credit", [ROW]).version == version
            with world.opened() as opened:  # in process one looks too
                assert opened.predict("credit", [ROW]).version == "v2"
                other.versions.promote("credit:v1")
                assert eventually(lambda: opened.predict("credit", [ROW]).version == "v1")
    finally:
        process.end(servers.signal.SIGTERM)


def test_no_request_fails_while_production_moves(world: World) -> None:
    answers: list[list[httpx.Response]] = [[] for _ in range(3)]
    over = Event()

    def hammer(mine: list[httpx.Response]) -> None:
        with httpx.Client(base_url=world.address, timeout=servers.PATIENCE_S) as http:
            while not over.is_set():
                mine.append(http.post("/v1/predict/credit", json={"rows": [ROW]}))

    threads = [Thread(target=hammer, args=(mine,)) for mine in answers]
    for thread in threads:
        thread.start()
    try:
        for turn in range(20):
            moved = world.post(f"/v1/versions/credit:v{2 - turn % 2}/promote", {})
            assert moved.status_code == 200
            time.sleep(0.07)
    finally:
        over.set()
        for thread in threads:
            thread.join(servers.PATIENCE_S)
    given = [answer for mine in answers for answer in mine]
    assert {answer.status_code for answer in given} == {200}
    assert {answer.json()["version"] for answer in given} == {"v1", "v2"}
    by_version = {"v1": expected(ROW), "v2": expected(ROW, strength=0.001)}
    for answer in given:  # the version that is named is the one that answered
        told = answer.json()
        assert np.allclose(told["probabilities"], by_version[told["version"]], rtol=1e-12)
    assert sorted(one.request_id for one in predictions(world)) == sorted(
        answer.json()["request_id"] for answer in given
    )


@pytest.fixture
def bare(sqlite_url: str) -> Iterator[World]:
    """A server without models."""
    with serve(sqlite_url) as made:
        yield made


def test_an_endpoint_without_a_champion_says_so(bare: World) -> None:
    answer = bare.predict()
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "`palio endpoints create credit --model …` makes it" in answer.json()["detail"]
    assert bare.post("/v1/models", {"name": "credit"}).status_code == 200
    assert bare.post("/v1/endpoints", {"name": "credit", "model": "credit"}).status_code == 200
    said = "`palio models promote credit:VERSION` makes one"
    assert eventually(lambda: said in bare.predict().json()["detail"])
    assert bare.predict().json()["code"] == "not_found"
