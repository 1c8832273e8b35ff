"""Versions are warmed before they serve, told of, and forgotten when nothing needs them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from palio.delivery.domain import PredictRequest
from palio.errors import Conflict, CorruptArtifact, NotFound
from palio.registry.domain import VersionDraft
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.serving.engine import Engine
from palio.serving.local import LocalServer, TickServer
from palio.serving.warming import row_of
from palio.testing.fakes import FakeClock, FakeIds

from .conftest import SIGNATURE, FakePredictor, House, ask
from .test_local import PATIENCE_S, play


@pytest.fixture
def warm(house: House) -> House:
    """Let the engine warm what it loads."""
    store: Any = house.store
    house.engine = Engine(store, house.loader, FakeClock(), FakeIds(), warming_s=PATIENCE_S)
    return house


def tables(house: House, version: str) -> Any:
    return house.loader.models[version].tables


def test_a_row_is_made_of_the_signature() -> None:
    features = tuple(Feature(str(kind), kind) for kind in FeatureType)
    signature = Signature(features, Task.REGRESSION)
    row = row_of(signature)
    assert row == [0.0, 0, False, ""]
    assert signature.table([row]) == [row]  # it would be let in
    sound = Signature((Feature("s", FeatureType.NUMBER, size=3),), Task.REGRESSION)
    assert sound.table([row_of(sound)]) == [[0.0, 0.0, 0.0]]


def test_a_version_is_asked_once_before_it_serves(warm: House) -> None:
    warm.engine.refresh()
    assert tables(warm, "v1") == [[[0.0]]]
    warm.endpoints.load("e", "v2")
    assert "v2" not in warm.loader.models
    warm.engine.refresh()
    assert (tables(warm, "v1"), tables(warm, "v2")) == ([[[0.0]]], [[[0.0]]])
    assert warm.recorded() == []  # nobody has asked


def test_a_version_that_cannot_be_warmed_serves_all_the_same(
    warm: House, caplog: pytest.LogCaptureFixture
) -> None:
    model = FakePredictor(1, answering=lambda table: [1 // int(row[0]) for row in table])
    warm.loader.models["v1"] = model
    server = LocalServer(warm.engine)
    assert server.predict(ask(1)).predictions == [1]
    (seen,) = server.in_memory("e").versions
    assert (seen.ready, seen.cold) == (
        True,
        "ZeroDivisionError: integer division or modulo by zero",
    )
    assert "m:v1 answered nothing to a made-up row" in caplog.text


def test_a_version_that_hangs_when_it_is_warmed_does_not_hold_up_the_routes(
    house: House,
) -> None:
    store: Any = house.store
    engine = Engine(store, house.loader, FakeClock(), FakeIds(), warming_s=0.05)
    let_go = threading.Event()

    def hang(table: Any) -> list[Any]:
        assert let_go.wait(PATIENCE_S)
        return [row[0] for row in table]

    house.loader.models["v2"] = FakePredictor(2, answering=hang)
    house.endpoints.load("e", "v2")
    engine.refresh()
    seen = {one.version: one for one in engine.in_memory("e").versions}
    let_go.set()
    assert (seen["v1"].ready, seen["v1"].hanging) == (True, False)
    assert (seen["v2"].ready, seen["v2"].hanging) == (False, True)
    assert seen["v2"].cold == "TimeoutError: no answer within 0.05 s"


def test_what_cannot_be_loaded_is_told(house: House) -> None:
    house.loader.failures["v2"] = CorruptArtifact("model: not what was registered", file="model")
    house.loader.failures["v3"] = ImportError("no module named lost")
    server = LocalServer(house.engine)
    assert [one.version for one in server.in_memory("e").versions] == ["v1"]
    house.endpoints.load("e", "v2")
    house.endpoints.load("e", "v3")
    found = server.in_memory("e")
    assert [(one.version, one.ready, one.held, one.error) for one in found.versions] == [
        ("v1", True, False, None),
        ("v2", False, True, "model: not what was registered"),
        ("v3", False, True, "ImportError: no module named lost"),
    ]
    assert found.active == 1
    assert found.revision == house.engine.snapshot.table.revision
    with pytest.raises(NotFound, match="no endpoint is named 'nothing'"):
        server.in_memory("nothing")


def test_a_held_version_is_there_before_anything_is_routed_to_it(house: House) -> None:
    async def story(server: TickServer) -> None:
        house.endpoints.load("e", "v2")
        await asyncio.to_thread(server.catch_up)
        assert house.loader.loaded == ["v1", "v2"]
        house.endpoints.weigh("e", {"v2": 1.0})
        await asyncio.to_thread(server.catch_up)
        assert (await server.predict(ask(1))).version == "v2"
        with pytest.raises(Conflict, match="give its share to others first"):
            house.endpoints.unload("e", "v2")

    play(house, story)
    assert house.loader.loaded == ["v1", "v2"]  # once


@pytest.mark.parametrize("timeout_s", [0, PATIENCE_S])
def test_a_version_that_was_unloaded_leaves_memory(house: House, timeout_s: float) -> None:
    house.endpoints.configure("e", timeout_s=timeout_s)
    house.endpoints.load("e", "v2")

    async def story(server: TickServer) -> None:
        house.endpoints.weigh("e", {"v2": 1.0})
        await asyncio.to_thread(server.catch_up)
        gone = weakref.ref(house.loader.models["v2"])
        assert (await server.predict(ask(1))).version == "v2"
        assert (await server.predict(ask(1, version="v2"))).version == "v2"
        house.endpoints.weigh("e", None)
        house.endpoints.unload("e", "v2")
        await asyncio.to_thread(server.catch_up)
        house.loader.models.clear()  # the test's own
        await asyncio.sleep(0.05)  # nobody asks anything meanwhile
        gc.collect()
        assert gone() is None
        assert (await server.predict(ask(1))).version == "v1"

    play(house, story)


def test_two_models_with_two_versions_serve_side_by_side(house: House, tmp_path: Any) -> None:
    for name in ("v10", "v20"):
        draft = VersionDraft(version=name, flavor="fake", signature=SIGNATURE)
        house.versions.register("n", draft, tmp_path)
    house.versions.promote("n:v10")
    house.endpoints.create("f", "n")
    house.endpoints.weigh("e", {"v1": 0.5, "v2": 0.5})
    house.endpoints.weigh("f", {"v10": 0.5, "v20": 0.5})

    async def story(server: TickServer) -> None:
        asked = [
            server.predict(PredictRequest(endpoint=endpoint, rows=[[0]], unit=f"u{n}"))
            for n in range(40)
            for endpoint in ("e", "f")
        ]
        answers = await asyncio.gather(*asked)
        for one in answers:
            assert one.predictions == [float(one.version.removeprefix("v"))]
        seen = {(one.endpoint, one.model, one.version) for one in answers}
        assert seen == {
            ("e", "m", "v1"), ("e", "m", "v2"), ("f", "n", "v10"), ("f", "n", "v20"),
        }  # fmt: skip

    play(house, story)
