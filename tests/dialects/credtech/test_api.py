"""The documented routes over real sockets, and what Palio itself says afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers

from palio.experiments.events import OutcomeDraft

from .conftest import MODELS, Cli, Town

ROW = {"x0": 0.4, "x1": -0.2, "x2": 1.5}
ROWS = [{f"x{at}": float(value) for at, value in enumerate(row)} for row in servers.SAMPLE[:5]]
Told = Callable[..., Any]


def risk(model: str, row: dict[str, float]) -> float:
    """Return what scikit-learn itself says of a row."""
    found = servers.model(MODELS[model]).predict_proba([list(row.values())])
    return float(found[0][1])


@documents("credtech:api-models", "credtech:model-id")
def test_models(stocked: Town, http: httpx.Client, told: Told) -> None:
    found = http.get("/api/models").json()
    assert found["production_model_id"] == "model_v1"
    assert found["models"] == told("list-models")
    with stocked.native() as opened:
        assert [one["model_id"] for one in found["models"]] == [
            one.version for one in opened.versions.list("credtech")
        ]


@documents("credtech:api-model-info")
def test_model_info(http: httpx.Client, told: Told) -> None:
    for name in MODELS:
        answer = http.get("/api/model-info", params={"model_id": name})
        assert (answer.status_code, answer.json()) == (200, told("get-model", name))
    assert http.get("/api/model-info").json()["model_id"] == "model_v1"  # production


@documents("credtech:api-experiments")
def test_experiments(http: httpx.Client, told: Told, experiment: str) -> None:
    found = http.get("/api/experiments").json()["experiments"]
    assert found == told("list-experiments")
    assert found[-1]["experiment_id"] == experiment


@documents("credtech:api-score", "credtech:api")
@pytest.mark.parametrize("model", list(MODELS))
def test_a_model_that_is_named_scores(http: httpx.Client, stocked: Town, model: str) -> None:
    answer = http.post("/api/score", params={"model_id": model}, json=ROW).json()
    assert (answer["model_id"], answer["experiment_id"]) == (model, None)
    assert answer["probability"] == pytest.approx(risk(model, ROW))
    assert answer["score"] == round(1_000 * (1 - answer["probability"]))
    with stocked.native() as opened:
        native = opened.predict("credtech", [ROW], version=model)
    assert native.probabilities is not None
    assert answer["probability"] == native.probabilities[0][1]
    assert answer["decision"] == {0: "approved", 1: "declined"}[int(native.predictions[0])]


@documents("credtech:api-batch-score")
@pytest.mark.parametrize("model", list(MODELS))
def test_a_model_that_is_named_scores_a_batch(http: httpx.Client, model: str) -> None:
    for body in (ROWS, {"features": ROWS, "request_id": f"batch-{model}"}):
        answer = http.post("/api/batch-score", params={"model_id": model}, json=body).json()
        assert answer["model_id"] == model
        assert [one["probability"] for one in answer["results"]] == pytest.approx(
            [risk(model, row) for row in ROWS]
        )
    assert answer["request_id"] == f"batch-{model}"


@documents("credtech:api-no-model-id", "credtech:production-model")
def test_without_a_model_production_scores(http: httpx.Client, cli: Cli) -> None:
    try:
        for name in ("model_v2", "model_v1"):
            cli("promote", name)
            expected = {"model_id": name, "experiment_id": None}
            _until(lambda: http.post("/api/score", json=ROW).json(), **expected)
            batch = http.post("/api/batch-score", json=ROWS).json()
            assert batch["model_id"] == name
    finally:
        cli("promote", "model_v1")


def _until(ask: Callable[[], dict[str, Any]], **expected: Any) -> dict[str, Any]:
    """Ask until the server has seen what another process did: it looks twice a second."""
    for _ in range(2_000):
        answer = ask()
        if expected.items() <= answer.items():
            return answer
    raise AssertionError(answer)


@documents("credtech:api-no-model-id", "credtech:routing", "credtech:routing-same-request",
           "credtech:ab-testing")  # fmt: skip
def test_without_a_model_the_experiment_decides_by_the_request(
    http: httpx.Client, stocked: Town, experiment: str
) -> None:
    _until(lambda: http.post("/api/score", json=ROW).json(), experiment_id=experiment)
    with stocked.native() as opened:
        found = opened.experiments.get(experiment)
        assigner = found.assigner()
    given = Counter()
    for number in range(200):
        request_id = f"application-{number}"
        answer = http.post("/api/score", json=ROW, headers={"X-Request-ID": request_id}).json()
        assert answer["request_id"] == request_id
        expected = assigner.assign(request_id)
        assert expected is not None
        assert answer["model_id"] == found.variant(expected).version
        given[answer["model_id"]] += 1
    body = {"features": ROW, "request_id": "application-7"}
    again = {http.post("/api/score", json=body).json()["model_id"] for _ in range(5)}
    assert again == {found.variant(str(assigner.assign("application-7"))).version}
    # 200 requests of 50, 30 and 20 %: within five standard deviations of a binomial
    for model, share in zip(MODELS, (0.5, 0.3, 0.2), strict=True):
        assert abs(given[model] - 200 * share) < 5 * (200 * share * (1 - share)) ** 0.5
    asked = http.post("/api/score", json=ROW, params={"model_id": "model_v2"}).json()
    assert (asked["model_id"], asked["experiment_id"]) == ("model_v2", None)


@documents("credtech:compare-performance", "credtech:monitor-metrics",
           "credtech:tree-experiment-metadata", "credtech:tree-experiment-results")  # fmt: skip
def test_labels_become_results(
    http: httpx.Client, stocked: Town, told: Told, experiment: str
) -> None:
    _until(lambda: http.post("/api/score", json=ROW).json(), experiment_id=experiment)
    with stocked.native() as opened:
        drafts = []
        for number, label in enumerate(servers.LABELS[:60].tolist()):
            row = {f"x{at}": float(value) for at, value in enumerate(servers.SAMPLE[number])}
            body = {"features": row, "request_id": f"labelled-{experiment}-{number}"}
            http.post("/api/score", json=body).raise_for_status()
            drafts.append(OutcomeDraft(request_id=body["request_id"], value=label))
        opened.outcomes.record(drafts)
        report = opened.experiments.analyze(experiment)
    results = told("get-experiment", experiment)["results"]
    assert [one["labelled"] for one in results["models"]] == [one.labelled for one in report.arms]
    assert sum(one["labelled"] for one in results["models"]) == 60
    assert [one["metrics"]["brier"]["mean"] for one in results["models"]] == pytest.approx(
        [one.metrics["brier"].mean for one in report.arms]
    )
    assert results["decision"] == report.decision.kind
    folder = f"experiments/{experiment}"
    assert stocked.read(f"{folder}/results.json") == results
    assert stocked.read(f"{folder}/metadata.json")["status"] == "running"
    told("stop-experiment", experiment)
    assert stocked.read(f"{folder}/metadata.json")["status"] == "stopped"
    assert stocked.read("registry.json")["experiments"][experiment]["status"] == "stopped"


@documents("credtech:model-not-found")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "model-info"), ("POST", "score"), ("POST", "batch-score")]
)
@pytest.mark.parametrize("name", ["nope", "a b", "other:v1"])
def test_a_model_that_is_not_there(http: httpx.Client, method: str, path: str, name: str) -> None:
    body = {"score": ROW, "batch-score": ROWS}.get(path)
    answer = http.request(method, f"/api/{path}", params={"model_id": name}, json=body)
    assert answer.status_code == 404
    told = answer.json()["detail"]
    assert told.startswith("Model Not Found: ")
    assert told.endswith("Ensure the model ID is correct and the model exists in the registry")


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("score", b"{not json", "the body is no JSON"),
        ("score", b"\xff\xfe", "the body is no JSON"),
        ("score", b"", "the body is no JSON"),
        ("score", b"[1, 2]", "features must be an object"),
        ("score", b'"text"', "features must be an object"),
        ("score", b"{}", "'x0'"),
        ("score", b'{"features": {"x0": 1, "x1": "much", "x2": 1}}', "'x1'"),
        ("score", b'{"features": {"x0": 1}, "request_id": 5}', "request_id must be a text"),
        ("score", b'{"features": 5, "request_id": "r"}', "features must be an object"),
        ("batch-score", b'{"x0": 1}', "features must be a list"),
        ("batch-score", b"[[1, 2, 3]]", "features must be a list"),
        ("batch-score", b"[]", "rows is empty"),
    ],
)
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
def test_bodies_that_cannot_be_scored(
    http: httpx.Client, path: str, body: bytes, why: str
) -> None:
    answer = http.post(f"/api/{path}", content=body)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


@documents("credtech:api-no-model-id", "credtech:model-not-found")
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
def test_production_is_seen_at_once_and_missed_in_words(
    stocked: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_CREDTECH_MODEL", "young")
    with stocked.native() as opened, servers.serving(stocked.store) as address:
        opened.register("young", servers.model(1.0), version="v1", sample=servers.SAMPLE)
        with httpx.Client(base_url=f"{address}/api", timeout=servers.PATIENCE_S) as api:
            for answer in (api.post("/score", json=ROW), api.get("/model-info")):
                assert answer.status_code == 404
                assert "no model is in production; palio credtech promote" in answer.text
            opened.versions.promote("young:v1")
            assert api.post("/score", json=ROW).json()["model_id"] == "v1"


@documents("credtech:logs")
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
def test_refusals_are_logged_without_what_applicants_sent(
    http: httpx.Client, stocked: Town
) -> None:
    http.get("/api/model-info", params={"model_id": "logged-once"})
    http.post("/api/score", json=ROW | {"x1": "a secret"})
    text = stocked.log.read_text(encoding="utf-8")
    assert "logged-once" in text
    assert "invalid_rows: x1" in text
    assert "a secret" not in text


@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
def test_a_server_with_keys_lets_nobody_in_without_one(stocked: Town) -> None:
    with stocked.native() as opened:
        reading = opened.keys.create("reader")
        scoring = opened.keys.create("scorer", role="operator")
    try:
        with servers.serving(stocked.store) as address:

            def ask(method: str, path: str, key: str | None) -> int:
                headers = {} if key is None else {"X-API-Key": key}
                body = ROW if method == "POST" else None
                sent = httpx.request(method, f"{address}/api/{path}", headers=headers, json=body)
                return sent.status_code

            assert ask("GET", "models", None) == ask("POST", "score", None) == 401
            assert ask("GET", "models", reading.secret) == 200
            assert ask("POST", "score", reading.secret) == 403
            assert ask("POST", "score", scoring.secret) == 200
    finally:
        with stocked.native() as opened:
            opened.keys.revoke(reading.key.id)
            opened.keys.revoke(scoring.key.id)
