"""An endpoint whose champion is an ensemble, over real sockets: routed, failing, rolled back."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.e2e.worlds import World, home, serve, world, world_files

import palio
from palio.errors import PredictionFailed
from palio.experiments.designs.design import Variant
from palio.experiments.events import Prediction
from palio.storage.store import SqlStore, engine_for

from .servers import LABELS, SAMPLE, design, model, serving

__all__ = ["home", "world", "world_files"]

ROWS = SAMPLE[:6].tolist()
STRONG, WEAK = (model(strength).predict_proba(SAMPLE[:6]) for strength in (1.0, 0.001))


def recorded(store: str) -> list[Prediction]:
    opened = SqlStore(engine_for(store))
    with opened.read() as unit:
        entries = unit.log.after(0, limit=1_000)
    opened.close()
    return [entry.event for entry in entries if isinstance(entry.event, Prediction)]


def test_an_endpoint_serves_an_ensemble_of_two_models(world: World) -> None:
    with world.remote() as remote:
        other = LogisticRegression(C=0.001).fit(SAMPLE, LABELS)
        remote.register("forest", other, version="v1", sample=SAMPLE)
        made = remote.combine(
            "credit",
            ["credit:v1", "forest:v1"],
            version="e1",
            combine="soft_vote",
            weights=[0.25, 0.75],
        )
        assert made.flavor == "ensemble"
        before = remote.predict("credit", ROWS)
        remote.versions.promote("credit:e1", expected="v1")
        answer = remote.predict("credit", ROWS, request_id="r1")
        loaded = remote.load("credit:e1").predict(ROWS)  # in this process, files over HTTP
        remote.models.rollback("credit")
        after = remote.predict("credit", ROWS)
    assert (answer.version, answer.classes) == ("e1", (0, 1))
    # witness: the two models by themselves, numpy's weighted mean
    expected = np.average([STRONG, WEAK], axis=0, weights=[0.25, 0.75])
    np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-12)
    assert answer.predictions == expected.argmax(axis=1).tolist()
    assert loaded.probabilities == answer.probabilities
    assert (before.version, after.version) == ("v1", "v1")
    assert after.probabilities == before.probabilities
    (kept,) = [one for one in recorded(world.store) if one.request_id == "r1"]
    assert (kept.version, kept.error, kept.probabilities) == ("e1", None, answer.probabilities)


def test_an_ensemble_is_a_variant(world: World) -> None:
    with world.remote() as remote:
        remote.combine("credit", ["credit:v1", "credit:v2"], version="e1", combine="mean")
        variants = (Variant("control", "v1", 0.5), Variant("challenger", "e1", 0.5))
        remote.experiments.draft(design("ab", variants=variants))
        remote.experiments.start("ab")
        answer = remote.predict("credit", ROWS, variant="ab/challenger")
    assert (answer.version, answer.variant) == ("e1", "challenger")
    np.testing.assert_allclose(answer.probabilities, (STRONG + WEAK) / 2, rtol=1e-12)


def test_a_member_cannot_be_deleted(world: World) -> None:
    with world.remote() as remote:
        remote.combine("credit", ["credit:v1", "credit:v2"], version="e1", combine="mean")
    answer = world.http.delete("/v1/versions/credit:v2")
    assert answer.status_code == 409
    assert answer.json()["details"]["uses"] == [{"kind": "ensemble", "name": "credit:e1"}]


def test_a_misspelt_field_is_told(world: World) -> None:
    spec = {"members": ["credit:v1", "credit:v2"], "combine": "mean", "on_error": "skip"}
    body = {"draft": {"version": "e1", "flavor": ""}, "ensemble": spec}
    answer = world.post("/v1/models/credit/ensembles", body)
    assert (answer.status_code, answer.json()["details"]["field"]) == (422, "on_error")
    body["ensemble"] = {"members": ["credit@champion", "credit:v2"], "combine": "mean"}
    answer = world.post("/v1/models/credit/ensembles", body)
    assert (answer.status_code, answer.json()["details"]["field"]) == (422, "members")


def served(address: str, **fields: Any) -> None:
    """Serve an ensemble of two functions, of which one cannot divide by 0."""
    with palio.connect(address) as remote:
        remote.register("m", lambda rows: [row[0] for row in rows], version="v1", sample=SAMPLE)
        remote.register(
            "m", lambda rows: [1 / float(row[0]) for row in rows], version="v2", sample=SAMPLE
        )
        remote.combine("m", ["m:v1", "m:v2"], version="e1", combine="mean", **fields)
        remote.versions.promote("m:e1")
        remote.endpoints.create("m", "m")


def test_a_member_that_fails_is_the_ensembles_failure(sqlite_url: str) -> None:
    with serving(sqlite_url, allow_pickle=True) as address:
        served(address)
        with palio.connect(address) as remote:
            assert remote.predict("m", [[2, 0, 0]], request_id="good").predictions == [1.25]
            with pytest.raises(PredictionFailed, match="m:e1 failed: PredictionFailed: 2 of 2"):
                remote.predict("m", [[0, 0, 0]], request_id="bad")
    good, bad = recorded(sqlite_url)
    assert (good.version, good.error, good.values) == ("e1", None, [1.25])
    assert (bad.version, bad.values) == ("e1", [])
    assert bad.error == (
        "PredictionFailed: 2 of 2 members must answer, and m:v2 failed: ZeroDivisionError: "
        "float division by zero"
    )


@pytest.mark.parametrize(("least", "answers"), [(1, True), (2, False)])
def test_a_member_that_fails_is_skipped_while_enough_are_left(
    sqlite_url: str, least: int, *, answers: bool
) -> None:
    with serving(sqlite_url, allow_pickle=True) as address:
        served(address, on_member_error="skip", min_members=least)
        asked = httpx.post(f"{address}/v1/predict/m", json={"rows": [[2, 0, 0], [0, 0, 0]]})
    (kept,) = recorded(sqlite_url)
    if answers:  # 2 and 1/2 together; 0 alone
        assert asked.json()["predictions"] == kept.values == [1.25, 0.0]
    else:
        assert asked.status_code == 500
        assert asked.json()["code"] == "prediction_failed"
        assert kept.error is not None
        assert kept.error.startswith("PredictionFailed: 2 of 2 members must answer")


def test_what_is_answered_without_a_member_is_told_to_prometheus(sqlite_url: str) -> None:
    told = 'palio_members_skipped_total{member="m:v2",model="m",version="e1"} '
    with serving(sqlite_url, allow_pickle=True) as address:
        served(address, on_member_error="skip")
        counts = []
        for rows in ([[2, 0, 0]], [[2, 0, 0], [0, 0, 0], [0, 0, 0]]):
            httpx.post(f"{address}/v1/predict/m", json={"rows": rows}).raise_for_status()
            text = httpx.get(f"{address}/metrics").text
            found = [line for line in text.splitlines() if line.startswith(told)]
            counts.append(sum(float(line.removeprefix(told)) for line in found))
    warmed, both = counts  # zeros, which are among the rows of the first count
    assert (warmed, both) == (1, 3)


def test_members_are_trusted_as_any_version(sqlite_url: str) -> None:
    """A server that runs no code of others refuses a member that needs it, and says why."""
    with serving(sqlite_url, allow_pickle=True) as address:
        served(address)
    with serve(sqlite_url) as strict:
        asked = strict.post("/v1/predict/m", {"rows": [[2, 0, 0]]})
    assert asked.json()["code"] == "untrusted_artifact"
    assert "m:e1 needs 2 of 2 members, and could not load m:v1: " in asked.json()["detail"]
