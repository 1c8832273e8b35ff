"""Serving over real sockets: swaps under load, versions that fail, and models side by side."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest

import palio
from palio.delivery.domain import OnError
from palio.experiments.designs.design import Metrics, Variant
from palio.experiments.events import OutcomeDraft, Prediction
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.storage.store import SqlStore, engine_for

from .servers import PATIENCE_S, SAMPLE, credit, design, serving
from .worlds import World, serve

LOADERS = 4
SWAPS = 24
TARGET = SAMPLE.sum(axis=1)
REQUESTS = 20
ROW = [0.1, 0.2, 0.3]
SIGNATURE = Signature(
    tuple(Feature(f"x{n}", FeatureType.NUMBER) for n in range(3)), Task.REGRESSION
)


def plain(rows: Any) -> Any:
    """Answer the sum, as a champion that never fails."""
    return rows.sum(axis=1)


def raising(rows: Any) -> Any:
    raise RuntimeError(f"no answer to {len(rows)} rows")


def without_number(rows: Any) -> Any:
    return rows.sum(axis=1) * math.nan


def hanging(rows: Any) -> Any:
    time.sleep(1.5)  # far beyond the endpoint's timeout, and the test ends all the same
    return rows.sum(axis=1)


@dataclass
class Load:
    """Clients that ask until they are told to end."""

    address: str
    ended: Event = field(default_factory=Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self) -> tuple[Counter[str], list[str]]:
        """Return answers by version, and what was no answer."""
        seen: Counter[str] = Counter()
        failed: list[str] = []
        with httpx.Client(base_url=self.address, timeout=PATIENCE_S) as http:
            while not self.ended.is_set():
                unit = f"u{next(self.numbers)}"
                body = {"rows": [[0.1, 0.2, 0.3]], "unit": unit}
                answer = http.post("/v1/predict/credit", json=body)
                if answer.is_success:
                    seen[answer.json()["version"]] += 1
                else:
                    failed.append(answer.text)
        return seen, failed


@contextmanager
def under_load(address: str) -> Iterator[Callable[[], tuple[Counter[str], list[str]]]]:
    """Ask all the time; gives what tells what was answered."""
    load, seen, failed = Load(address), Counter[str](), list[str]()
    with ThreadPoolExecutor(LOADERS) as pool:
        asking: list[Future[Any]] = [pool.submit(load.ask) for _ in range(LOADERS)]

        def told() -> tuple[Counter[str], list[str]]:
            load.ended.set()
            for one in asking:
                own, lost = one.result(PATIENCE_S)
                seen.update(own)
                failed.extend(lost)
            return seen, failed

        try:
            yield told
        finally:
            load.ended.set()


def test_weights_promotions_and_rollbacks_fail_no_request(world: World) -> None:
    with world.remote() as remote, under_load(world.address) as told:
        for number in range(SWAPS):
            match number % 6:
                case 0:
                    remote.endpoints.load("credit", "v2")
                case 1:
                    remote.endpoints.weigh("credit", {"v1": 0.5, "v2": 0.5})
                case 2:
                    remote.endpoints.weigh("credit", None)
                case 3:
                    remote.versions.promote("credit:v2")
                case 4:
                    remote.models.rollback("credit")
                case _:
                    remote.endpoints.unload("credit", "v2")
        answered, failed = told()
        serving_now = {one.version for one in remote.endpoints.loaded("credit").versions}
    assert failed == []
    assert answered.keys() == {"v1", "v2"}
    assert len(recorded(world.store)) == answered.total()
    assert serving_now == {"v1"}


def test_an_answer_after_a_swap_is_by_the_new_state(world: World) -> None:
    with world.remote() as remote:
        for version in ("v2", "v1") * 5:
            remote.endpoints.weigh("credit", {version: 1.0})
            assert world.predict().json()["version"] == version


@pytest.fixture
def failing(sqlite_url: str) -> str:
    """Return a store with a champion, and versions that raise, hang and answer NaN."""
    versions = {"v1": plain, "raises": raising, "nan": without_number, "hangs": hanging}
    with palio.connect(sqlite_url) as opened:
        for name, function in versions.items():
            opened.register("credit", function, version=name, signature=SIGNATURE)
        opened.versions.promote("credit:v1")
        opened.endpoints.create("credit", "credit")
    return sqlite_url


ERRORS = {
    "raises": "RuntimeError: no answer to 1 rows",
    "nan": "ValueError: the model answered nan, which is no number",
    "hangs": "TimeoutError: ",
}


def ask_and_judge(store: str) -> tuple[list[Any], Mapping[str, Any]]:
    """Ask, tell what became known, and return the answers and the arms of the report."""
    with serve(store, allow_pickle=True) as world, world.remote() as remote:
        asked = [{"unit": f"u{n}", "request_id": f"r{n}"} for n in range(REQUESTS)]
        answers = [world.predict(ROW, **one).json() for one in asked]
        drafts = [OutcomeDraft(request_id=one["request_id"], value=1.0) for one in asked]
        remote.outcomes.record(drafts)
        return answers, {arm.variant: arm for arm in remote.experiments.analyze("x").arms}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("on_error", OnError)
def test_a_variant_that_fails(failing: str, kind: str, on_error: OnError) -> None:
    halves = (Variant("control", "v1", 0.5), Variant("challenger", kind, 0.5))
    with palio.connect(failing) as opened:
        opened.endpoints.configure("credit", on_error=on_error, timeout_s=0.3)
        draft = design("x", variants=halves, metrics=Metrics("squared_error", ("error",)))
        opened.experiments.draft(draft)
        opened.experiments.start("x")
    answers, arms = ask_and_judge(failing)
    n_failed = 0
    for answer, kept in zip(answers, recorded(failing), strict=True):
        if kept.variant == "control":
            assert (answer["version"], answer["fallback"]) == ("v1", False)
            continue
        n_failed += 1
        assert (kept.version, kept.values) == (kind, [])
        assert str(kept.error).startswith(ERRORS[kind])
        check_failed(answer, kept, on_error)
    assert 0 < n_failed < REQUESTS
    assert (arms["challenger"].errors, arms["control"].errors) == (n_failed, 0)
    # witness: every request has its label; only what a version answered itself is scored
    assert arms["challenger"].labelled == n_failed
    scored = {name: arm.metrics["squared_error"].n for name, arm in arms.items()}
    assert scored == {"control": REQUESTS - n_failed, "challenger": 0}


def check_failed(answer: Any, kept: Prediction, on_error: OnError) -> None:
    if on_error is OnError.FAIL:
        assert (answer["status"], answer["code"]) == (500, "prediction_failed")
        assert kept.fallback is None
        return
    assert (answer["version"], answer["fallback"]) == ("v1", True)
    assert answer["variant"] == "challenger"
    assert answer["predictions"] == [pytest.approx(sum(ROW))]  # witness: the champion's sum
    assert kept.fallback is not None
    assert (kept.fallback.version, kept.fallback.values) == ("v1", answer["predictions"])


def test_two_models_with_two_versions_each_on_one_server(sqlite_url: str) -> None:
    with palio.connect(sqlite_url) as opened:
        credit(opened)
        for factor in (1, 2):
            opened.register("price", _times(factor), version=f"x{factor}", sample=SAMPLE,
                            target=TARGET)  # fmt: skip
        opened.versions.promote("price:x1")
        opened.endpoints.create("price", "price")
        opened.endpoints.weigh("price", {"x1": 0.5, "x2": 0.5})
        opened.endpoints.weigh("credit", {"v1": 0.5, "v2": 0.5})
    with serving(sqlite_url, allow_pickle=True) as address, palio.connect(address) as remote:
        seen = set()
        for number in range(30):
            unit, row = f"u{number}", [number, 1, 2]
            priced = remote.predict("price", [row], unit=unit)
            assert priced.predictions == [int(priced.version[1:]) * (number + 3)]
            seen |= {priced.version, remote.predict("credit", [row], unit=unit).version}
        assert remote.endpoints.loaded("price").active == 2
    assert seen == {"x1", "x2", "v1", "v2"}


def _times(factor: int) -> Any:
    return lambda rows: np.asarray(rows).sum(axis=1) * factor


def test_a_version_that_cannot_be_loaded_is_told_of(world: World) -> None:
    damaged = next(Path(world.artifacts, "credit", "v2").glob("model*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with world.remote() as remote:
        remote.endpoints.load("credit", "v2")
        found = remote.endpoints.loaded("credit")
        by_name = {one.version: one for one in found.versions}
        assert (by_name["v1"].ready, by_name["v1"].error) == (True, None)
        assert (by_name["v2"].ready, by_name["v2"].held) == (False, True)
        assert damaged.name in str(by_name["v2"].error)
        damaged.unlink()
        remote.endpoints.configure("credit", description="tried again")
        (lost,) = [one for one in remote.endpoints.loaded("credit").versions if one.error]
        assert damaged.name in str(lost.error)
    raw = world.http.get("/v1/endpoints/credit/loaded").json()
    assert raw["process"].rpartition(":")[2].isdigit()
    assert world.http.get("/v1/endpoints/nothing/loaded").status_code == 404


def recorded(store: str) -> list[Prediction]:
    opened = SqlStore(engine_for(store))
    found: list[Prediction] = []
    after = 0
    with opened.read() as unit:
        while entries := unit.log.after(after, limit=1_000):
            after = entries[-1].seq
            found += [one.event for one in entries if isinstance(one.event, Prediction)]
    opened.close()
    return found
