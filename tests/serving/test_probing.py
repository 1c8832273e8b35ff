"""Whether a version answers: asked as requests ask it, without waiting for one that hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Timer

import pytest

from palio.delivery.deployments.domain import State
from palio.delivery.deployments.wanted import DeploymentDraft
from palio.registry.domain import Version
from palio.registry.ports import Predictor
from palio.registry.signature import (
    Cell,
    Predictions,
)
from palio.serving.engine import Engine
from palio.serving.probing import EngineRuntime
from palio.testing.fakes import FakeClock, FakeIds
from palio.testing.memory import MemoryStore
from palio.testing.wired import Wired


class Models:
    """Loads models that answer, raise, or wait until they are told to go on."""

    def __init__(self) -> None:
        self.loading, self.going, self.asked = Event(), Event(), 0
        self.loading.set()
        self.going.set()
        self.failure: Exception | None = None
        self.loaded: list[str] = []

    def load(self, version: Version) -> Predictor:
        self.loaded.append(version.version)
        self.loading.wait(30)
        if version.version == "broken":
            raise ValueError("no model is in there")
        return self

    def predict(self, table: list[list[Cell]]) -> Predictions:
        self.asked += 1
        self.going.wait(30)
        if self.failure is not None:
            raise self.failure
        return Predictions([0] * len(table), [[1.0, 0.0]] * len(table))


@pytest.fixture
def models() -> Iterator[Models]:
    made = Models()
    yield made
    made.loading.set()
    made.going.set()


@pytest.fixture
def runtime(wired: Wired, memory_store: MemoryStore, models: Models) -> EngineRuntime:
    wired.serve("1", "2", "broken")
    engine = Engine(memory_store, models, FakeClock(), FakeIds())
    return EngineRuntime(engine, process="here")


def test_a_version_that_answers(runtime: EngineRuntime, models: Models) -> None:
    probe = runtime.probe("credit", "2", timeout_s=30)
    assert probe.ok
    assert probe.latency_ms is not None
    assert (probe.process, models.asked) == ("here", 1)


def test_a_version_that_raises(runtime: EngineRuntime, models: Models) -> None:
    models.failure = ZeroDivisionError("by zero")
    asked_about = runtime.probe("credit", "2", timeout_s=30, row=[41.0])
    assert (asked_about.ok, asked_about.reason) == (False, "ZeroDivisionError: by zero")
    made_up = runtime.probe("credit", "2", timeout_s=30)
    assert (made_up.ok, made_up.cold) == (True, "ZeroDivisionError: by zero")
    unfit = runtime.probe("credit", "2", timeout_s=30, row=["x"])
    assert "is no number" in unfit.reason


def test_a_version_that_cannot_be_loaded(runtime: EngineRuntime) -> None:
    assert runtime.probe("credit", "broken", timeout_s=30).reason == (
        "ValueError: no model is in there"
    )
    assert "no version" in runtime.probe("credit", "9", timeout_s=30).reason


def test_a_version_without_a_signature(runtime: EngineRuntime, wired: Wired) -> None:
    wired.register("credit:bare", signature=None)
    assert "without a signature" in runtime.probe("credit", "bare", timeout_s=30).reason


def test_a_version_that_hangs_is_asked_once(runtime: EngineRuntime, models: Models) -> None:
    models.going.clear()
    for _ in range(3):
        probe = runtime.probe("credit", "2", timeout_s=0.05)
        assert probe.reason == "it has not answered within 0.05 s"
    assert models.asked == 1
    models.going.set()
    assert runtime.probe("credit", "2", timeout_s=30).ok
    assert runtime.probe("credit", "2", timeout_s=30).ok
    assert models.asked == 2


def test_an_answer_that_came_too_late_has_failed(runtime: EngineRuntime, models: Models) -> None:
    models.going.clear()
    assert not runtime.probe("credit", "2", timeout_s=0.01).ok
    models.going.set()
    until = time.monotonic() + 30
    while (probe := runtime.probe("credit", "2", timeout_s=0.01)).latency_ms is None:
        if probe.reason.startswith("it has answered after"):
            break
        assert time.monotonic() < until
    assert models.asked == 1


def test_a_version_that_is_loading_has_not_failed(runtime: EngineRuntime, models: Models) -> None:
    models.loading.clear()
    probe = runtime.probe("credit", "2", timeout_s=0.05)
    assert (probe.loading, probe.reason) == (True, "")
    models.loading.set()
    while runtime.probe("credit", "2", timeout_s=5).loading:
        pass


def test_the_end_waits_for_what_is_loading(runtime: EngineRuntime, models: Models) -> None:
    runtime.close()  # nothing is asked
    models.loading.clear()
    assert runtime.probe("credit", "2", timeout_s=0.01).loading
    runtime.close(loading_s=0.01, answering_s=0.01)
    assert models.asked == 0
    Timer(0.1, models.loading.set).start()
    runtime.close()
    assert models.asked == 1


def test_the_end_does_not_wait_for_ever(runtime: EngineRuntime, models: Models) -> None:
    models.going.clear()
    assert not runtime.probe("credit", "2", timeout_s=0.05).ok
    began = time.monotonic()
    runtime.close(answering_s=0.1)
    assert time.monotonic() - began >= 0.1
    assert not models.going.is_set()


def test_a_deployment_is_loaded_once(
    wired: Wired, memory_store: MemoryStore, models: Models
) -> None:
    """It is held, so that asking it loads it where requests will find it."""
    wired.serve("1", "2")
    engine = Engine(memory_store, models, FakeClock(), FakeIds())
    verbs = replace(wired.deployments, runtime=EngineRuntime(engine))
    made = verbs.deploy(DeploymentDraft(name="d", model="credit", version="2"))
    assert made.state is State.LIVE
    engine.refresh()
    assert sorted(models.loaded) == ["1", "2"]
