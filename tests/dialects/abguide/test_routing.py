"""Who gets which version: by the hash of a request or the user it names, whatever else happens."""

from __future__ import annotations

from collections import Counter
from threading import Event, Thread

import pytest
from tests.dialects.documented import documents

from palio.bucketing import Split
from palio.dialects.abguide.prediction import request_of, unit_of
from palio.dialects.abguide.settings import Settings
from palio.errors import InvalidInput
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant

from .conftest import MODEL, ROW, Guide, said, until


@pytest.fixture
def two(guide: Guide) -> Guide:
    """Two versions, 70 to 30."""
    guide.register("v1.0.0")
    guide.register("v1.1.0", "credit_model_v1_2.pkl")
    assert guide.weigh(v1_0_0=0.7, v1_1_0=0.3).status_code == 200
    return guide


@documents("abguide:hash", "abguide:deterministic", "abguide:predict")
def test_the_same_request_goes_to_the_same_version(two: Guide) -> None:
    split = Split.of(salt=f"endpoint/{MODEL}", weights={"v1.0.0": 0.7, "v1.1.0": 0.3})
    for age in range(20, 32):
        row = ROW | {"age": age}
        expected = split.assign(unit_of(row))  # witness: the public function, recomputed
        reordered = dict(reversed(row.items()))
        for sent in (row, reordered, row | {"age": float(age)}):
            assert two.predict(sent)["model_version"] == expected
        bare = two.send("POST", "/predict", row)  # features alone are a request too
        assert bare.json()["model_version"] == expected


@documents("abguide:same-user", "abguide:by-weight", "abguide:example-70-30", "abguide:consistent")
def test_a_user_keeps_a_version_and_shares_follow_weights(two: Guide) -> None:
    users = [f"user-{number}" for number in range(100)]
    first = {user: two.predict(user_id=user)["model_version"] for user in users}
    other = {user: two.predict(ROW | {"age": 60}, user_id=user)["model_version"] for user in users}
    assert first == other
    counts = Counter(first.values())
    assert 55 <= counts["v1.0.0"] <= 85  # 70, three standard deviations of 4.6 around it
    two.weigh(v1_0_0=0.9, v1_1_0=0.1)  # and an odd share only moves those it must
    again = {user: two.predict(user_id=user)["model_version"] for user in users}
    assert {first[user] for user in users if again[user] != first[user]} == {"v1.1.0"}
    with two.opened() as opened:
        assert opened.endpoints.shares(MODEL) == {"v1.0.0": 0.9, "v1.1.0": 0.1}


@documents("abguide:no-downtime")
def test_no_request_fails_while_models_and_weights_change(two: Guide) -> None:
    ending, answers = Event(), Counter[int]()

    def ask() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            sent = {"features": ROW, "user_id": f"u{number}"}
            answers[two.send("POST", "/predict", sent).status_code] += 1

    asking = Thread(target=ask)
    asking.start()
    for share in (0.5, 1.0, 0.0, 0.25):
        two.send("POST", "/registry/models/v1.1.0/load")
        two.weigh(v1_0_0=1 - share, v1_1_0=share)
        two.weigh(v1_0_0=1.0)
        two.send("POST", "/registry/models/v1.1.0/unload")
    ending.set()
    asking.join(30)
    assert set(answers) == {200}
    assert answers[200] > 5


@documents("abguide:compare-live")
def test_what_became_of_requests_is_compared(two: Guide) -> None:
    given = [two.predict(user_id=f"u{n}", request_id=f"r{n}") for n in range(20)]
    outcomes = [
        {"request_id": one["request_id"], "value": one["prediction"] if n % 4 else 1}
        for n, one in enumerate(given)
    ]
    assert two.send("POST", "/v1/outcomes", outcomes).status_code == 200
    online = two.get("/registry/ab-test/compare/v1.0.0/v1.1.0")["online"]
    counts = Counter(one["model_version"] for one in given)
    assert {version: online[version]["requests"] for version in online} == counts
    assert {version: online[version]["error_rate"] for version in online} == dict.fromkeys(
        counts, 0
    )
    with two.opened() as opened:
        judged = opened.versions.quality(f"{MODEL}:v1.0.0").overall
    assert online["v1.0.0"]["labelled"] == judged.labelled == counts["v1.0.0"]
    assert judged.accuracy is not None
    assert online["v1.0.0"]["accuracy"] == judged.accuracy.value < 1


@documents("abguide:experiments-of-others")
def test_an_experiment_of_palio_s_own_is_served_and_shown(two: Guide) -> None:
    key = "challenge"
    with two.opened() as opened:
        variants = (Variant("control", "v1.0.0", 0.4), Variant("new", "v1.1.0", 0.6))
        metrics = Metrics(goal="error")
        opened.experiments.draft(
            ExperimentDraft(key=key, endpoint=MODEL, variants=variants, metrics=metrics)
        )
        opened.experiments.start(key)
        given = {f"u{n}": opened.experiments.assign(key, f"u{n}").version for n in range(20)}
    assert two.get("/registry/ab-test/weights") == {"v1.0.0": 0.4, "v1.1.0": 0.6}
    for user, version in given.items():  # once the server has seen what another process began
        assert until(lambda: two.predict(user_id=user)["model_version"] == version)  # noqa: B023
    [told] = two.get("/registry/ab-test/compare/v1.0.0/v1.1.0")["experiments"]
    counts = Counter(given.values())
    assert told["units"] == {"v1.0.0": counts["v1.0.0"], "v1.1.0": counts["v1.1.0"]}
    with two.opened() as opened:
        assert told["decision"] == opened.experiments.analyze(key).decision.kind
    status, text = said(two.weigh(v1_0_0=1.0))
    assert (status, key in text) == (409, True)
    assert two.statuses() == {"v1.0.0": "active", "v1.1.0": "testing"}
    with two.opened() as opened:  # as that refusal advises
        opened.endpoints.override(MODEL, "v1.0.0", reason="now")
    assert two.get("/registry/ab-test/weights") == {"v1.0.0": 1.0}
    status, text = said(two.weigh(v1_0_0=0.5, v1_1_0=0.5))
    assert (status, f"palio endpoints clear {MODEL}" in text) == (409, True)
    with two.opened() as opened:
        opened.endpoints.clear(MODEL)
    assert two.weigh(v1_0_0=0.5, v1_1_0=0.5).json() == {"v1.0.0": 0.5, "v1.1.0": 0.5}


@pytest.mark.parametrize(
    ("sent", "match"),
    [
        ({"features": ROW, "user": "u"}, "user: beside features"),
        ({"features": ROW, "user_id": 7}, "user_id is 7"),
        ({"features": [1, 2], "request_id": [1]}, "request_id"),
    ],
)
def test_what_cannot_be_read_is_refused(sent: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        request_of(sent, Settings())


def test_a_feature_may_be_called_features() -> None:
    sent = {"features": 3, "user_id": 5}
    assert request_of(sent, Settings()).rows == [sent]
