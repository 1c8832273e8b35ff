"""One experiment seen through all dialects: made in one, routed in others, read in all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.dialects.abtests import ABTestService
from palio.dialects.crowetrade import (
    ABTestEngine,
    AllocationStrategy,
    ModelRegistry,
    create_ab_test,
)
from palio.dialects.nightscan import ExperimentConfig, get_ab_test_manager
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import DecisionKind

MODEL = "shared"  # model, endpoint, and the id where people choose it
UNITS = [f"user-{number}" for number in range(330)]  # 4 of 10 are 132, and 9 by chance
ROWS = [{f"x{place}": one for place, one in enumerate(row)} for row in servers.SAMPLE.tolist()]
VERSIONS = ("v1.0.0", "v2.0.0")
LEAST = 60  # units in each variant; the statistics themselves want 100


@dataclass
class Together:
    """One store behind one server, and every dialect's way to it."""

    address: str
    key: str
    folder: Path
    service: ABTestService
    engine: ABTestEngine
    manager: Any

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = httpx.request(
            method, self.address + path, json=body, headers={"X-API-Key": self.key, **headers}
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def command(self, *arguments: str) -> Any:
        """Run ``palio credtech`` in a process of its own; return what it tells programs."""
        given = ("--store", self.address, "--key", self.key, "credtech", *arguments, "--json")
        done = subprocess.run(
            [sys.executable, "-m", "palio", *given],
            env=servers.environment(PALIO_CREDTECH_MODEL=MODEL),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def together(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Together]:
    store = request.getfixturevalue(request.param)
    settings = {
        "PALIO_ARTIFACTS": "files", "PALIO_CREDTECH_MODEL": MODEL, "PALIO_ABGUIDE_MODEL": MODEL,
        "AB_TESTING_ENABLED": "true", "NIGHTSCAN_AUTOMATIC": "false",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with palio.connect(store) as opened:
        key = opened.keys.create("ops", Role.OPERATOR).secret
        for version, strength in zip(VERSIONS, (1.0, 0.001), strict=True):
            sample = servers.SAMPLE
            opened.register(MODEL, servers.model(strength), version=version, sample=sample)
        opened.versions.promote(f"{MODEL}:{VERSIONS[0]}")
        opened.endpoints.create(MODEL, MODEL)
    with ExitStack() as held:
        address = held.enter_context(servers.serving(store, evaluate_s=0, control_s=0))
        monkeypatch.setenv("PALIO_STORE", address)
        monkeypatch.setenv("PALIO_KEY", key)
        service = ABTestService(address, key=key)
        held.callback(service.close)
        registry = ModelRegistry(address, key=key)
        held.callback(registry.close)
        yield Together(
            address, key, tmp_path, service, ABTestEngine(registry), get_ab_test_manager(address)
        )


def made_in_abtests(all_: Together) -> str:
    made = all_.http(
        "POST",
        "/api/v1/ab-tests",
        {"name": "Together", "model_type": MODEL, "variant_a": VERSIONS[0],
         "variant_b": VERSIONS[1], "traffic_split": {"a": 0.6, "b": 0.4},
         "metric": "satisfaction:higher"},
    )  # fmt: skip
    all_.http("POST", f"/api/v1/ab-tests/{made['test_id']}/start")
    return str(made["test_id"])


def made_in_nightscan(all_: Together) -> str:
    config = ExperimentConfig(
        experiment_id=MODEL,
        name="Together",
        description="one experiment, five ways to see it",
        model_variants={"control": f"{MODEL}:v1.0.0", "treatment": f"{MODEL}:v2.0.0"},
        traffic_allocation={"control": 60.0, "treatment": 40.0},
        success_metrics=["satisfaction", "confidence"],
        minimum_sample_size=LEAST,
    )
    assert all_.manager.create_experiment(config)
    assert all_.manager.start_experiment(MODEL)
    return MODEL


def made_in_crowetrade(all_: Together) -> str:
    config = create_ab_test(
        test_id="desk",
        name="Together",
        description="one experiment, five ways to see it",
        model_registry_ids=[f"{MODEL}:{version}" for version in VERSIONS],
        created_by="desk",
        allocation_strategy=AllocationStrategy.FIXED,
        minimum_sample_size=LEAST,
        early_stopping=False,  # or it would end by itself while others still route
    )
    return all_.engine.create_test(config)


def made_in_credtech(all_: Together) -> str:
    made = all_.command(
        "create-experiment", "Together", "--model-ids", ",".join(VERSIONS),
        "--traffic-split", "60,40", "--description", "one experiment",
    )  # fmt: skip
    return str(made["experiment_id"])


MAKERS: Mapping[str, Callable[[Together], str]] = {
    "abtests": made_in_abtests,
    "nightscan": made_in_nightscan,
    "crowetrade": made_in_crowetrade,
    "credtech": made_in_credtech,
}


def routed(all_: Together, key: str, unit: str, place: int) -> dict[str, str]:
    """Return the version that each dialect gives a unit; one of two serves it, in turn."""
    info = all_.service.get_model_version_for_user(unit, MODEL)
    assert info is not None
    assigned = {
        "abtests": str(info.version),
        "nightscan": all_.manager.get_model_for_request(unit, key),
        "crowetrade": str(all_.engine.get_model_allocation(key, request_id=unit)),
    }
    row = ROWS[place % len(ROWS)]
    if key == "desk":  # its address is its own
        return assigned
    if place % 2:
        answer = all_.http("POST", "/api/score", row, **{"X-Request-ID": unit})
        return assigned | {"credtech": answer["model_id"]}
    asked = {"features": row, "user_id": unit, "request_id": unit}
    return assigned | {"abguide": all_.http("POST", "/predict", asked)["model_version"]}


@pytest.mark.parametrize("maker", MAKERS)
def test_all_agree(together: Together, maker: str) -> None:
    key = MAKERS[maker](together)
    with palio.connect(together.address, key=together.key) as native:
        experiment = native.experiments.get(key)
        versions = {one.key: one.version for one in experiment.design.variants}
        split = experiment.split()
        units = UNITS if maker == "nightscan" else UNITS[:40]
        goal = experiment.design.metrics.goal_metric.name
        for place, unit in enumerate(units):
            variant = split.assign(unit)
            given = versions[variant].rpartition(":")[2]
            found = routed(together, key, unit, place)
            assert {name: one.rpartition(":")[2] for name, one in found.items()} == dict.fromkeys(
                found, given
            )
            better = 1.0 if variant != experiment.control.key else 0.0
            told = {"unit": unit, "variant": variant, "model": f"{MODEL}:{given}"}
            record(together, native, key, goal=goal, value=better, **told)
        report = native.experiments.analyze(key)
    seen = {name: read(together, key) for name, read in READERS.items()}
    arms = [(arm.units, arm.requests) for arm in report.arms]
    assert sum(units_ for units_, _ in arms) == len(units)
    for name, (counts, verdict) in seen.items():
        wanted = [one[name == "credtech"] for one in arms]  # which counts requests, not units
        assert counts == wanted, name
        assert (name, verdict) == (name, str(report.decision.kind))
    if maker == "nightscan":  # every treated unit is 1 better: the evidence is in
        assert report.decision.kind is DecisionKind.SHIP
    if key != "desk":
        shares = together.http("GET", "/registry/ab-test/weights")
        assert shares == {versions[one]: share for one, share in experiment.weights.items()}


def record(
    all_: Together, native: palio.Palio, key: str, *, goal: str, value: float, **told: str
) -> None:
    """Record an outcome, in turn through a dialect and natively."""
    unit, variant, model = told["unit"], told["variant"], told["model"]
    jitter = value + (len(unit) % 3) / 10
    if goal == "satisfaction" and int(unit[-1]) % 2:
        all_.manager.record_result(key, unit, variant, {goal: jitter})
    elif goal == "return":
        all_.engine.record_result(key, model, jitter, request_id=unit)
    elif goal == "satisfaction":
        native.outcomes.record([OutcomeDraft(name=goal, value=jitter, unit=unit)])


def read_abtests(all_: Together, key: str) -> tuple[list[int], str]:
    found = all_.http("GET", f"/api/v1/ab-tests/{key}")
    counts = [found["assignments"][f"variant_{name}"] for name in "ab"]
    return counts, found["decision"]["kind"]


def read_nightscan(all_: Together, key: str) -> tuple[list[int], str]:
    found = all_.manager.analyze_experiment(key)
    counts = [one["sample_size"] for one in found["variant_statistics"].values()]
    return counts, found["recommendation"]


def read_crowetrade(all_: Together, key: str) -> tuple[list[int], str]:
    found = all_.engine.get_test_results(key)
    return [one["total_requests"] for one in found["arms"]], found["decision"]["kind"]


def read_credtech(all_: Together, key: str) -> tuple[list[int], str]:
    found = all_.command("get-experiment", key)["results"]
    return [one["requests"] for one in found["models"]], found["decision"]


READERS = {
    "abtests": read_abtests,
    "nightscan": read_nightscan,
    "crowetrade": read_crowetrade,
    "credtech": read_credtech,
}
