"""What cannot be done says so in the document's words, and changes nothing."""

from __future__ import annotations

import json

import pytest
from tests.dialects.documented import documents

from palio.access.domain import Role
from palio.registry.domain import VersionDraft

from .conftest import COMMANDS, MODEL, Guide, Opener, said

JSON = {"Content-Type": "application/json"}
BODY = {"version": "v1.1.0", "name": "n", "model_path": "models/credit_model_v1_1.pkl"}


@documents(
    "abguide:error-sum", "abguide:weights-range", "abguide:solution-sum", "abguide:weights-sum"
)
def test_weights_that_do_not_sum_to_one(guide: Guide) -> None:
    guide.register("v1.0.0")
    guide.register("v1.1.0")
    told = {
        (0.9, 0.05): "Traffic weights must sum to 1.0, got 0.95",
        (0.7, 0.1): "Traffic weights must sum to 1.0, got 0.8",  # 0.7999999999999999 in floats
        (1.0, 1.0): "Traffic weights must sum to 1.0, got 2.0",
        (0.0, 0.0): "Traffic weights must sum to 1.0, got 0.0",
        (1.5, -0.5): "Traffic weight of 'v1.0.0' must be between 0.0 and 1.0, got 1.5",
    }
    for (first, second), text in told.items():
        assert said(guide.weigh(v1_0_0=first, v1_1_0=second)) == (422, text)
    assert said(guide.send("POST", "/registry/ab-test/weights", {})) == (
        422, "Traffic weights must sum to 1.0, got 0.0",
    )  # fmt: skip
    for odd in ({"v1.0.0": "1.0"}, {"v1.0.0": True}, {"v1.0.0": None}, [1.0], "all"):
        assert guide.send("POST", "/registry/ab-test/weights", odd).status_code == 422
    assert said(guide.send("POST", "/registry/ab-test/weights", {"v1.0.0": "1.0"})) == (
        422, "v1.0.0: Input should be a valid number, got '1.0'",
    )  # fmt: skip
    assert guide.get("/registry/ab-test/weights") == {}
    tenths = guide.weigh(v1_0_0=0.1 + 0.2, v1_1_0=0.7)  # 1.0 but for what floats leave over
    assert tenths.status_code == 200
    guide.run("troubleshooting: weights")
    with guide.opened() as opened:
        assert opened.endpoints.get(MODEL).weights == {"v1.0.0": 0.8, "v1.1.0": 0.2}


@documents("abguide:error-unknown", "abguide:register-first", "abguide:solution-unknown")
def test_versions_that_are_not_there(guide: Guide) -> None:
    text = "Model version 'v1.1.0' not found in registry"
    assert guide.run("listing: all") == []
    for registered in (False, True):  # before anything is registered, and then
        if registered:
            guide.register("v1.0.0")
        assert said(guide.command(COMMANDS["quick start: weights"][0]))[0] == 404
        assert said(guide.weigh(v1_1_0=1.0)) == (404, text)
        for method, path in (
            ("GET", "/registry/models/v1.1.0"),
            ("POST", "/registry/models/v1.1.0/load"),
            ("POST", "/registry/models/v1.1.0/unload"),
            ("GET", "/registry/ab-test/compare/v1.1.0/v1.0.0"),
        ):
            assert said(guide.send(method, path)) == (404, text)
    assert said(guide.send("GET", "/registry/ab-test/compare/v1.0.0/2099-no")) == (
        404, "Model version '2099-no' not found in registry",
    )  # fmt: skip
    guide.register("v1.1.0")  # as the document advises
    assert guide.weigh(v1_1_0=1.0).status_code == 200


@documents("abguide:error-file", "abguide:paths")
def test_files_that_are_not_there(guide: Guide) -> None:
    path = guide.folder / BODY["model_path"]
    path.rename(path.with_suffix(".away"))
    text = "Model file not found: models/credit_model_v1_1.pkl"
    assert said(guide.send("POST", "/registry/models", BODY)) == (404, text)
    absolute = BODY | {"model_path": str(path)}
    assert said(guide.send("POST", "/registry/models", absolute)) == (
        404, f"Model file not found: {path}",
    )  # fmt: skip
    path.with_suffix(".away").rename(path)
    first = BODY | {"preprocessor_path": "models/no.pkl"}
    assert said(guide.send("POST", "/registry/models", first)) == (
        404, "Preprocessor file not found: models/no.pkl",
    )  # fmt: skip
    assert guide.run("listing: all") == []
    assert guide.send("POST", "/registry/models", absolute).status_code == 201
    with guide.opened() as opened:
        assert opened.versions.get(f"{MODEL}:v1.1.0").source["model_path"] == str(path)


@documents("abguide:unsafe-paths")
def test_paths_outside_of_the_roots(untouched: Guide) -> None:
    (untouched.folder / "secret.pkl").write_bytes(b"secret")
    outside = ("/etc/passwd", "/no/such/file", "../m.pkl", "models/../secret.pkl", "https://a/m")
    for path in outside:  # and whether something lies there is not told
        for field in ("model_path", "preprocessor_path"):
            answer = untouched.send("POST", "/registry/models", BODY | {field: path})
            assert answer.status_code == 422, answer.text
            assert said(answer)[1].startswith(f"{field}: '"), answer.text
            assert "not found" not in said(answer)[1]
    assert untouched.run("listing: all") == []


@documents("abguide:unsafe-pickles")
def test_pickles_are_not_loaded_where_nobody_allows_it(opener: Opener, sqlite_url: str) -> None:
    with opener(sqlite_url, allow_pickle=False) as guide:
        status, text = said(guide.send("POST", "/registry/models", BODY))
        assert (status, "PALIO_ALLOW_PICKLE=true" in text) == (422, True)
        assert guide.get("/registry/models") == []


@documents("abguide:no-model")
def test_files_that_are_no_model(untouched: Guide) -> None:
    for file, match in (
        ("corrupt.pkl", "cannot be loaded"),
        ("no_model.pkl", "does not say which features it takes"),
        ("preprocessor_v1.pkl", "answers nothing"),
        ("notes.txt", "model_path: no flavor recognises these files as a model"),
    ):
        body = BODY | {"model_path": f"models/{file}"}
        status, text = said(untouched.send("POST", "/registry/models", body))
        assert (status, match in text) == (422, True), text
    assert untouched.run("listing: all") == []


def test_a_preprocessor_that_gives_other_than_the_model_takes(untouched: Guide) -> None:
    wide = {"model_path": "models/wide.pkl", "preprocessor_path": "models/preprocessor_v1.pkl"}
    status, text = said(untouched.send("POST", "/registry/models", BODY | wide))
    assert (status, "takes 2 features, not 3" in text) == (422, True), text


def test_a_version_is_registered_once(guide: Guide) -> None:
    guide.register("v1.0.0")
    again = guide.send("POST", "/registry/models", BODY | {"version": "v1.0.0"})
    assert again.status_code == 409
    assert "versions never change" in said(again)[1]


@documents("abguide:required-fields")
def test_fields_that_cannot_be(untouched: Guide) -> None:
    odd: tuple[tuple[dict[str, object], str], ...] = (
        ({"version": None}, "version"),
        ({"version": "a b"}, "version"),
        ({"metrics": {"accuracy": "good"}}, "metrics"),
        ({"metrics": {"accuracy": float("inf")}}, "metrics"),
        ({"tags": "canary"}, "tags"),
        ({"weight": 0.5}, "weight"),
    )
    for more, field in odd:
        sent = json.dumps(BODY | more)  # also what is no JSON, as Python's clients send it
        answer = untouched.send("POST", "/registry/models", content=sent, headers=JSON)
        assert (answer.status_code, field in said(answer)[1]) == (422, True), answer.text
    for field in BODY:
        rest = {name: value for name, value in BODY.items() if name != field}
        answer = untouched.send("POST", "/registry/models", rest)
        assert said(answer) == (422, f"{field}: Field required")


def test_bodies_that_are_no_json(untouched: Guide) -> None:
    for path in ("/registry/models", "/registry/ab-test/weights", "/predict"):
        for content in (b"{", b"", b"\xff", b"[" * 1_000, b"7"):
            answer = untouched.send("POST", path, content=content, headers=JSON)
            assert answer.status_code == 422, answer.text
            assert answer.json()["code"] == "invalid_input"
            assert "body" in answer.json()["detail"]


@documents("abguide:error-disabled")
@pytest.mark.parametrize("value", [None, "false"])
def test_what_is_not_enabled(
    opener: Opener, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("AB_TESTING_ENABLED")
    if value is not None:
        monkeypatch.setenv("AB_TESTING_ENABLED", value)
    text = "A/B testing not enabled. Set AB_TESTING_ENABLED=true"
    with opener(sqlite_url) as guide:
        guide.register("v1.0.0")
        guide.send("POST", "/registry/models/v1.0.0/load")
        assert said(guide.weigh(v1_0_0=1.0)) == (409, text)
        for path in ("weights", "compare/v1.0.0/v1.1.0"):
            assert said(guide.send("GET", f"/registry/ab-test/{path}")) == (409, text)
        with guide.opened() as opened:
            assert opened.endpoints.get(MODEL).weights is None


@documents("abguide:key-needed")
def test_who_may(guide: Guide) -> None:
    with guide.opened() as opened:
        viewer = opened.keys.create("reader", Role.VIEWER).secret
    guide.register("v1.0.0")
    calls = (
        ("GET", "/registry/models", 200),
        ("GET", "/registry/models/v1.0.0", 200),
        ("GET", "/registry/ab-test/weights", 200),
        ("POST", "/registry/models", 403),
        ("POST", "/registry/models/v1.0.0/load", 403),
        ("POST", "/registry/models/v1.0.0/unload", 403),
        ("POST", "/registry/ab-test/weights", 403),
        ("POST", "/predict", 403),
    )
    for method, path, expected in calls:
        given = {"json": {}} if method == "POST" else {}
        for key, status in ((viewer, expected), ("unknown", 401)):
            headers = {"X-API-Key": key}
            answer = guide.http.request(method, path, headers=headers, **given)
            assert answer.status_code == status, (path, answer.text)
            assert status == 200 or answer.json()["detail"]


@documents("abguide:no-model")
def test_what_cannot_be_loaded_says_why(guide: Guide) -> None:
    guide.register("v1.0.0")
    with guide.opened() as opened:
        draft = VersionDraft(version="kept", flavor="plain")
        opened.versions.register(MODEL, draft, {"notes.txt": guide.folder / "models" / "wide.pkl"})
    assert guide.send("POST", "/registry/models/v1.0.0/load").status_code == 200
    status, text = said(guide.send("POST", "/registry/models/kept/load"))
    assert (status, "Model version 'kept' could not be loaded: " in text) == (409, True), text
    guide.weigh(v1_0_0=1.0)
    for shares in ({"v1_0_0": 0.5, "kept": 0.5}, {"kept": 1.0}):  # nobody's requests are lost
        status, text = said(guide.weigh(**shares))
        assert (status, "answer no requests" in text) == (422, True), text
    assert guide.get("/registry/ab-test/weights") == {"v1.0.0": 1.0}
    assert guide.predict()["model_version"] == "v1.0.0"


def test_a_version_that_has_nothing_to_serve_says_so(guide: Guide) -> None:
    text = "no version gets traffic yet; set weights: POST /registry/ab-test/weights"
    assert said(guide.send("POST", "/predict", {"age": 1})) == (404, text)
    guide.register("v1.0.0")
    assert said(guide.send("POST", "/predict", {"age": 1})) == (404, text)
    guide.weigh(v1_0_0=1.0)
    status, text = said(guide.send("POST", "/predict", {"age": 1}))
    assert (status, "field 'income': is not in the row" in text) == (422, True), text
