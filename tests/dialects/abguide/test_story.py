"""The document's own stories, and the same again with other names and numbers."""

from __future__ import annotations

import re

import pytest
from tests.dialects.documented import documents

from palio.registry.signature import FeatureType

from .conftest import COMMANDS, MODEL, Guide, arguments

REGISTER = ("quick start: register version 1", "quick start: register version 2")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def corrected(text: str) -> str:
    """Return the second registration without the quotation mark that ends too early."""
    return text.replace('"Content-Type": application/json"', '"Content-Type: application/json"')


def registered(guide: Guide) -> None:
    """Register both versions by the document's commands."""
    guide.run(REGISTER[0])
    (second,) = COMMANDS[REGISTER[1]]
    assert guide.command(corrected(second)).status_code == 201


@documents("abguide:stray-quote")
def test_the_second_registration_is_no_command_as_it_stands() -> None:
    (second,) = COMMANDS[REGISTER[1]]
    with pytest.raises(ValueError, match="No closing quotation"):
        arguments(second)
    assert arguments(corrected(second))[2]["Content-Type"] == "application/json"


@documents(
    "abguide:several-versions", "abguide:registry", "abguide:register", "abguide:register-command",
    "abguide:load-command", "abguide:weights-command", "abguide:weights-get-command",
    "abguide:compare-command", "abguide:model-path", "abguide:preprocessor-path",
    "abguide:version-field", "abguide:name-field", "abguide:description-field",
    "abguide:metrics-field", "abguide:tags-field", "abguide:api-key", "abguide:route-register",
    "abguide:route-load", "abguide:route-weights-get", "abguide:route-weights-set",
    "abguide:route-compare", "abguide:diagram", "abguide:loaded-models", "abguide:compare-live",
)  # fmt: skip
def test_the_quick_start(guide: Guide) -> None:
    registered(guide)
    assert guide.statuses() == {"v1.0.0": "inactive", "v1.1.0": "inactive"}
    guide.run("quick start: load")
    weights = {"v1.0.0": 0.8, "v1.1.0": 0.2}
    assert guide.run("quick start: weights") == weights
    assert guide.run("quick start: current weights") == weights
    compared = guide.run("quick start: compare")["metric_differences"]
    assert compared["accuracy"]["absolute_difference"] == 0.0059  # as in the champion's example
    answer = guide.predict()
    assert answer["model_version"] in weights
    assert answer["outcome"] in {"approved", "rejected"}
    with guide.opened() as opened:
        version = opened.versions.get(f"{MODEL}:v1.1.0")
        assert version.metrics == {"accuracy": 0.8601, "brier_score": 0.1104}
        assert {"testing", "improved-calibration"} == set(version.tags)
        assert {file.path for file in version.manifest.files} >= {
            "credit_model_v1_1.pkl",
            "preprocessor.pkl",
        }
        assert version.signature is not None  # of the preprocessor, which runs first
        features = [(one.name, one.type) for one in version.signature.features]
        assert features == [(name, FeatureType.NUMBER) for name in ("age", "income", "debt")]
        endpoint = opened.endpoints.get(MODEL)
        assert (endpoint.weights, endpoint.held) == (weights, ("v1.0.0", "v1.1.0"))
        assert opened.models.aliases(MODEL) == {"champion": "v1.0.0"}
    told = guide.get(f"/v1/endpoints/{MODEL}/metrics")["versions"]
    assert {name: one["requests"] for name, one in told.items()} == {answer["model_version"]: 1}


@documents(
    "abguide:metadata", "abguide:metadata-response", "abguide:listing",
    "abguide:listing-by-status",
    "abguide:route-get", "abguide:route-list", "abguide:traffic-weight", "abguide:status-active",
    "abguide:status-testing", "abguide:status-inactive", "abguide:status-deprecated",
    "abguide:check-registered",
)  # fmt: skip
def test_what_is_shown_of_versions(guide: Guide) -> None:
    registered(guide)
    guide.run("quick start: weights")
    shown = guide.run("metadata")
    moments = {shown.pop("created_at"), shown.pop("updated_at")}
    assert all(MOMENT.fullmatch(one) for one in moments)
    assert shown == {  # the document's response, moments apart
        "version": "v1.0.0",
        "name": "Production Model",
        "description": "Current production model",
        "status": "active",
        "model_path": "models/credit_model_v1.pkl",
        "preprocessor_path": "models/preprocessor_v1.pkl",
        "metrics": {"accuracy": 0.8542, "brier_score": 0.1256},
        "tags": ["production", "baseline"],
        "traffic_weight": 0.8,
    }
    assert [one["version"] for one in guide.run("listing: all")] == ["v1.0.0", "v1.1.0"]
    assert [one["version"] for one in guide.run("listing: by status")] == ["v1.0.0"]
    guide.register("2024-12-08-prod")
    guide.register("exp-calibration-v2")
    with guide.opened() as opened:
        opened.versions.move(f"{MODEL}:exp-calibration-v2", "deprecated", reason="old")
        assert opened.versions.get(f"{MODEL}:v1.0.0").stage == "active"
    for status, version in (
        ("active", "v1.0.0"),
        ("testing", "v1.1.0"),
        ("inactive", "2024-12-08-prod"),
        ("deprecated", "exp-calibration-v2"),
    ):
        found = guide.get(f"/registry/models?status={status}")
        assert [one["version"] for one in found] == [version]
        assert found[0] == guide.get(f"/registry/models/{version}")
    plain = guide.get("/registry/models/2024-12-08-prod")
    assert (plain["description"], plain["preprocessor_path"], plain["tags"]) == ("", None, [])
    assert (plain["metrics"], plain["traffic_weight"]) == ({}, 0.0)


@documents(
    "abguide:rollout-5", "abguide:rollout-20", "abguide:rollout-50", "abguide:rollout-80",
    "abguide:rollout-100", "abguide:rollback", "abguide:rollbacks", "abguide:gradual",
    "abguide:audit", "abguide:practice-rollout", "abguide:splitting",
)  # fmt: skip
def test_a_gradual_rollout_and_back(guide: Guide) -> None:
    registered(guide)
    for step, share in (
        ("5 percent", 0.05),
        ("20 percent", 0.2),
        ("even", 0.5),
        ("80 percent", 0.8),
    ):
        weights = guide.run(f"rollout: {step}")
        assert weights == {"v1.0.0": round(1 - share, 2), "v1.1.0": share}
        assert guide.statuses() == {"v1.0.0": "active", "v1.1.0": "testing"}
    assert guide.run("rollout: full") == {"v1.1.0": 1.0}
    assert guide.statuses() == {"v1.0.0": "inactive", "v1.1.0": "active"}
    assert {guide.predict(user_id=f"u{n}")["model_version"] for n in range(5)} == {"v1.1.0"}
    assert guide.run("rollback") == {"v1.0.0": 1.0}
    assert guide.statuses() == {"v1.0.0": "active", "v1.1.0": "inactive"}
    assert {guide.predict(user_id=f"u{n}")["model_version"] for n in range(5)} == {"v1.0.0"}
    with guide.opened() as opened:
        moves = [one.version for one in opened.models.history(MODEL)]
        assert moves == ["v1.0.0", "v1.1.0", "v1.0.0"]
        assert opened.audit.verify().broken is None
    told = guide.shown("version.register", "endpoint.weigh", "version.promote")
    assert [one.action for one in told].count("endpoint.weigh") == 6
    assert {one.actor for one in told} == {"ann"}
    # and a share that no document shows
    assert guide.weigh(v1_0_0=1 / 3, v1_1_0=2 / 3).json() == {"v1.0.0": 1 / 3, "v1.1.0": 2 / 3}


@documents(
    "abguide:canary-register", "abguide:canary-load", "abguide:canary-10",
    "abguide:canary-increase",
    "abguide:canary-rollback", "abguide:no-preprocessor", "abguide:route-unload",
    "abguide:hot-swap",
)  # fmt: skip
def test_a_canary(guide: Guide) -> None:
    registered(guide)
    guide.run("rollback", "canary: register", "canary: load")
    with guide.opened() as opened:
        assert opened.endpoints.get(MODEL).held == ("v1.2.0-canary",)
    assert guide.run("canary: 10 percent") == {"v1.0.0": 0.9, "v1.2.0-canary": 0.1}
    assert guide.run("canary: increase") == {"v1.0.0": 0.5, "v1.2.0-canary": 0.5}
    given = {guide.predict(user_id=f"u{n}")["model_version"] for n in range(30)}
    assert given == {"v1.0.0", "v1.2.0-canary"}
    refused = guide.send("POST", "/registry/models/v1.2.0-canary/unload")
    assert refused.status_code == 409  # it gets half of the traffic
    assert guide.run("canary: rollback") == {"v1.0.0": 1.0}
    unloaded = guide.send("POST", "/registry/models/v1.2.0-canary/unload")
    assert unloaded.json()["version"] == "v1.2.0-canary"
    with guide.opened() as opened:
        assert opened.endpoints.get(MODEL).held == ()
    assert guide.statuses()["v1.2.0-canary"] == "inactive"


@documents(
    "abguide:champion-weights", "abguide:champion-compare", "abguide:champion-response",
    "abguide:percent-change", "abguide:version-naming",
)  # fmt: skip
def test_champion_and_challenger(guide: Guide) -> None:
    guide.register("champion-v1.0", metrics={"accuracy": 0.8542, "brier_score": 0.1256})
    challenger = {"accuracy": 0.8601, "brier_score": 0.1104}
    guide.register("challenger-v2.0", "credit_model_v1_2.pkl", metrics=challenger)
    assert guide.run("champion: equal weights") == {"champion-v1.0": 0.5, "challenger-v2.0": 0.5}
    assert guide.run("champion: compare")["metric_differences"] == {  # the document's response
        "accuracy": {
            "value_a": 0.8542,
            "value_b": 0.8601,
            "absolute_difference": 0.0059,
            "percent_change": 0.69,
        },
        "brier_score": {
            "value_a": 0.1256,
            "value_b": 0.1104,
            "absolute_difference": -0.0152,
            "percent_change": -12.10,
        },
    }
    # what no document shows: metrics that one lacks, a baseline of 0 or below it
    guide.register("a", metrics={"auc": 0.7, "bias": 0.0, "drift": -0.5})
    guide.register("b", metrics={"bias": 0.25, "drift": -0.4, "gini": 0.4})
    found = guide.get("/registry/ab-test/compare/a/b")["metric_differences"]
    assert found["auc"] == {
        "value_a": 0.7, "value_b": None, "absolute_difference": None, "percent_change": None,
    }  # fmt: skip
    assert found["gini"]["value_b"] == 0.4
    assert (found["bias"]["absolute_difference"], found["bias"]["percent_change"]) == (0.25, None)
    assert found["drift"]["percent_change"] == 20.0  # a fifth of 0.5, upwards
    with guide.opened() as opened:
        [accuracy, _] = opened.versions.compare(
            [f"{MODEL}:champion-v1.0", f"{MODEL}:challenger-v2.0"]
        )
        assert accuracy.baseline == 0.8542


@documents("abguide:three-versions", "abguide:three-weights")
def test_three_versions(guide: Guide) -> None:
    for name in ("v1.0.0-baseline", "v1.1.0-calibrated", "v1.2.0-fairness"):
        guide.register(name)
    weights = guide.run("three versions: weights")
    assert weights == {
        "v1.0.0-baseline": 0.70, "v1.1.0-calibrated": 0.15, "v1.2.0-fairness": 0.15,
    }  # fmt: skip
    assert guide.statuses() == {
        "v1.0.0-baseline": "active", "v1.1.0-calibrated": "testing", "v1.2.0-fairness": "testing",
    }  # fmt: skip
    given = {guide.predict(user_id=f"u{n}")["model_version"] for n in range(60)}
    assert given == set(weights)
    guide.register("fourth")
    four = dict.fromkeys((*weights, "fourth"), 0.25)
    assert guide.send("POST", "/registry/ab-test/weights", four).json() == four
    with guide.opened() as opened:
        assert opened.endpoints.get(MODEL).weights == four
