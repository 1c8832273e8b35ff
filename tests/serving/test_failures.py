"""A version that raises, hangs or answers no number fails alone; the champion may answer."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from palio.delivery.domain import Answer, OnError, PredictRequest, Route
from palio.errors import CorruptArtifact, InvalidInput, PredictionFailed
from palio.experiments.designs.design import Type, Variant
from palio.experiments.events import OutcomeDraft, Scored
from palio.experiments.outcomes import Outcomes
from palio.registry.domain import VersionDraft
from palio.registry.signature import Cell, Feature, FeatureType, Predictions, Signature, Task
from palio.serving.local import LocalServer, TickServer
from palio.testing.fakes import FakeClock, FakeIds

from .conftest import House, ask
from .test_local import PATIENCE_S, play

CLASSES = Signature((Feature("x", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))


class Raw:
    """A classifier with the probabilities that it is told to give, by row."""

    def __init__(self, shares: dict[int, float], *, width: int = 2) -> None:
        self.shares, self.width = shares, width

    def predict(self, table: list[list[Cell]]) -> Predictions:
        shares = [self.shares[int(row[0] or 0)] for row in table]
        return Predictions([1 for _ in table], [[0.5, share][-self.width :] for share in shares])


class Hanging:
    """Answers rows below 100, and hangs on others until it is let go."""

    def __init__(self) -> None:
        self.asked, self.open = threading.Event(), threading.Event()

    def __call__(self, table: list[list[Cell]]) -> list[Any]:
        if any(float(row[0] or 0) >= 100 for row in table):
            self.asked.set()
            assert self.open.wait(PATIENCE_S)
        return [row[0] for row in table]


@pytest.fixture
def hanging(house: House) -> Iterator[Hanging]:
    """Send everything to v2, which hangs on rows from 100 on."""
    model = Hanging()
    house.endpoints.weigh("e", {"v2": 1.0})
    house.engine.refresh()
    house.loader.models["v2"].answering = model
    yield model
    model.open.set()


def failing(house: House, error: Exception | None = None) -> None:
    """Let v2 raise."""

    def answer(_: Any) -> list[Any]:
        raise error or ZeroDivisionError("division by zero")

    house.engine.refresh()
    house.loader.models["v2"].answering = answer


def unit_of(house: House, variant: str) -> str:
    """Return a unit that the experiment gives a variant."""
    house.engine.refresh()
    units = (f"u{number}" for number in range(1_000))
    return next(u for u in units if house.engine.choose(ask(1, unit=u))[2].variant == variant)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_fails_its_own_request_only(house: House, odd: float) -> None:
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda table: [
        odd if row[0] == 0 else row[0] for row in table
    ]

    async def story(server: TickServer) -> None:
        asked = (server.predict(ask(*n, request_id=f"r{n[0]}")) for n in ((1, 2), (0, 1), (3, 4)))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in answers] == [Answer, PredictionFailed, Answer]

    play(house, story)
    errors = {one.request_id: one.error for one in house.recorded()}
    assert errors == {
        "r1": None, "r3": None, "r0": f"ValueError: the model answered {odd}, which is no number",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("share", "error"),
    [
        (0.5, None),
        (1 + 1e-6, None),  # float32 says so of 1
        (1.5, "ValueError: the model answered 1.5, which is no probability"),
        (-0.25, "ValueError: the model answered -0.25, which is no probability"),
        (math.nan, "ValueError: the model answered nan, which is no number"),
    ],
)
def test_what_is_no_probability_fails_its_own_request_only(
    house: House, tmp_path: Any, share: float, error: str | None
) -> None:
    answers = {0: 0.25, 1: share, 2: 1.0}
    house.loader.models["v9"] = Raw(answers)  # type: ignore[assignment]
    house.versions.register(
        "m", VersionDraft(version="v9", flavor="f", signature=CLASSES), tmp_path
    )
    house.endpoints.weigh("e", {"v9": 1.0})
    engine = house.engine
    engine.refresh()
    jobs = []
    for number in answers:
        chosen = engine.choose(ask(number))
        jobs.append(engine.admit(ask(number), chosen, engine.snapshot.models["m", "v9"]))
    assert [one.error for one in engine.answer(jobs)] == [None, error, None]


def test_probabilities_for_other_classes_fail(house: House, tmp_path: Any) -> None:
    house.loader.models["v9"] = Raw({1: 1.0}, width=1)  # type: ignore[assignment]
    house.versions.register(
        "m", VersionDraft(version="v9", flavor="f", signature=CLASSES), tmp_path
    )
    with pytest.raises(PredictionFailed, match="answered 1 probabilities for 2 classes"):
        LocalServer(house.engine).predict(ask(1, version="v9"))


def test_a_version_that_hangs_has_failed_and_nobody_else_waits(
    house: House, hanging: Hanging
) -> None:
    house.endpoints.configure("e", timeout_s=0.3)
    house.endpoints.create("other", "m")

    async def story(server: TickServer) -> None:
        late = asyncio.create_task(server.predict(ask(100, request_id="late")))
        await asyncio.to_thread(hanging.asked.wait, PATIENCE_S)
        behind = asyncio.create_task(server.predict(ask(1, request_id="behind")))
        for _ in range(20):  # on another endpoint, tick after tick
            answer = await server.predict(PredictRequest(endpoint="other", rows=[[1]]))
            assert answer.predictions == [2]
        assert not late.done()
        with pytest.raises(PredictionFailed, match=r"m:v2 failed: TimeoutError: no answer within"):
            await late
        with pytest.raises(PredictionFailed, match="still at work on rows that it did not answer"):
            await behind
        (seen,) = [one for one in house.engine.in_memory("e").versions if one.version == "v2"]
        assert (seen.ready, seen.hanging) == (False, True)
        hanging.open.set()
        for _ in range(500):
            try:
                answer = await server.predict(ask(1))
            except PredictionFailed:
                await asyncio.sleep(0.01)
                continue
            assert answer.predictions == [1]
            return
        raise AssertionError("it did not come back")

    play(house, story)
    told = {one.request_id: one.error for one in house.recorded()}
    assert told["late"] == "TimeoutError: no answer within 0.3 s"
    assert "still at work" in str(told["behind"])


def test_versions_in_time_still_go_through_in_batches(house: House, hanging: Hanging) -> None:
    house.endpoints.configure("e", timeout_s=PATIENCE_S)

    async def story(server: TickServer) -> None:
        first = asyncio.create_task(server.predict(ask(100)))
        await asyncio.to_thread(hanging.asked.wait, PATIENCE_S)
        rest = [asyncio.create_task(server.predict(ask(n))) for n in range(8)]
        await asyncio.sleep(0)
        hanging.open.set()
        assert [(await one).predictions for one in [first, *rest]] == [
            [100],
            *([n] for n in range(8)),
        ]

    play(house, story)
    assert [len(table) for table in house.loader.models["v2"].tables] == [1, 8]
    assert len(house.recorded()) == 9


def test_stopping_waits_for_those_in_time(house: House, hanging: Hanging) -> None:
    house.endpoints.configure("e", timeout_s=0.2)

    async def run() -> None:
        server = TickServer(house.engine)
        await server.start()
        late = asyncio.create_task(server.predict(ask(100)))
        await asyncio.to_thread(hanging.asked.wait, PATIENCE_S)
        await asyncio.wait_for(server.stop(), PATIENCE_S)  # and for no thread that hangs
        with pytest.raises(PredictionFailed):
            await late

    asyncio.run(run())


def test_without_a_timeout_no_thread_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: Any) -> Any:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr("palio.serving.deadlines.Deadlines.begin", begin)
    assert LocalServer(house.engine).predict(ask(1)).predictions == [2]


@pytest.mark.usefixtures("hanging")
def test_in_process_a_version_that_hangs_has_failed_too(house: House) -> None:
    house.endpoints.configure("e", timeout_s=0.05, on_error=OnError.FALLBACK)
    answer = LocalServer(house.engine).predict(ask(100))
    assert (answer.version, answer.predictions, answer.fallback) == ("v1", [101], True)


@pytest.mark.parametrize("how", ["experiment", "weights", "override"])
def test_the_champion_answers_for_a_version_that_failed(house: House, how: str) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    if how == "experiment":
        house.start_experiment()
    elif how == "weights":
        house.endpoints.weigh("e", {"v2": 1.0})
    else:
        house.endpoints.override("e", "v2")
    failing(house)
    unit = unit_of(house, "challenger") if how == "experiment" else "u"
    answer = LocalServer(house.engine).predict(ask(1, 2, unit=unit))
    assert (answer.version, answer.predictions, answer.fallback) == ("v1", [2, 3], True)
    assert answer.variant == ("challenger" if how == "experiment" else None)
    (kept,) = house.recorded()
    assert (kept.version, kept.values, kept.error) == (
        "v2", [], "ZeroDivisionError: division by zero",
    )  # fmt: skip
    assert kept.fallback is not None
    assert (kept.fallback.version, kept.fallback.values, kept.fallback.error) == (
        "v1", [2, 3], None,
    )  # fmt: skip
    assert kept.fallback.latency_ms >= kept.latency_ms


def test_who_asks_by_name_is_told_of_the_failure(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.start_experiment()
    failing(house)
    server = LocalServer(house.engine)
    for named in ({"version": "v2"}, {"variant": "challenger"}):
        with pytest.raises(PredictionFailed, match="m:v2 failed: ZeroDivisionError"):
            server.predict(ask(1, **named))
    assert [one.fallback for one in house.recorded()] == [None, None]


def test_without_the_setting_the_failure_is_told(house: House) -> None:
    house.endpoints.weigh("e", {"v2": 1.0})
    failing(house)
    with pytest.raises(PredictionFailed, match="m:v2 failed: ZeroDivisionError"):
        LocalServer(house.engine).predict(ask(1))


def test_a_champion_that_fails_has_nobody_behind_it(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda table: [1 / row[0] for row in table]
    with pytest.raises(PredictionFailed, match="m:v1 failed: ZeroDivisionError"):
        LocalServer(house.engine).predict(ask(0))


def test_where_both_fail_both_failures_are_told(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.endpoints.weigh("e", {"v2": 1.0})
    failing(house)
    house.loader.models["v1"].answering = lambda table: [1 / row[0] for row in table]
    with pytest.raises(PredictionFailed) as caught:
        LocalServer(house.engine).predict(ask(0))
    assert caught.value.message == (
        "m:v2 failed: ZeroDivisionError: division by zero; the champion, m:v1, failed too: "
        "ZeroDivisionError: division by zero; the failure is recorded against this version"
    )
    (kept,) = house.recorded()
    assert kept.fallback is not None
    assert kept.fallback.error == "ZeroDivisionError: division by zero"


def test_the_champion_answers_for_a_version_that_cannot_be_loaded(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.loader.failures["v2"] = CorruptArtifact("not what was registered", file="model")
    house.endpoints.weigh("e", {"v2": 1.0})
    assert LocalServer(house.engine).predict(ask(1)).version == "v1"
    (kept,) = house.recorded()
    assert kept.error == "CorruptArtifact: not what was registered"


def test_the_champion_answers_for_a_version_without_a_signature(
    house: House, tmp_path: Any
) -> None:
    house.versions.register("m", VersionDraft(version="v9", flavor="plain"), tmp_path)
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.endpoints.override("e", "v9", "weights would be refused")
    answer = LocalServer(house.engine).predict(ask(1))
    assert (answer.version, answer.predictions) == ("v1", [2])


def test_a_variant_without_a_signature_fails_for_its_requests(house: House, tmp_path: Any) -> None:
    house.versions.register("m", VersionDraft(version="v9", flavor="plain"), tmp_path)
    house.loader.failures["v9"] = InvalidInput("v9 answers no requests", field="flavor")
    house.start_experiment(variants=(Variant("control", "v1", 0.5), Variant("new", "v9", 0.5)))
    server, refused = LocalServer(house.engine), 0
    for number in range(20):
        try:
            server.predict(ask(number))
        except InvalidInput:
            refused += 1
    kept = house.recorded()
    assert len(kept) == 20
    failed = [one for one in kept if one.error is not None]
    assert {(one.variant, one.error) for one in failed} == {
        ("new", "InvalidInput: v9 answers no requests")
    }
    assert len(failed) == refused > 0


def test_rows_that_the_champion_does_not_take_are_its_failure(house: House, tmp_path: Any) -> None:
    wide = Signature((Feature("x", FeatureType.NUMBER, nullable=True),), Task.REGRESSION)
    house.versions.register("m", VersionDraft(version="v4", flavor="f", signature=wide), tmp_path)
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.endpoints.weigh("e", {"v4": 1.0})
    house.engine.refresh()
    house.loader.models["v4"].answering = lambda table: [1 / 0 for _ in table]
    request = ask(1)
    request.rows[0] = [None]
    with pytest.raises(PredictionFailed, match="failed too: InvalidRows: row 0, field 'x'"):
        LocalServer(house.engine).predict(request)


def test_failures_of_one_tick_are_asked_of_the_champion_together(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.start_experiment()
    failing(house)

    async def story(server: TickServer) -> None:
        asked = [server.predict(ask(n, unit=f"u{n}")) for n in range(40)]
        answers = await asyncio.gather(*asked)
        assert [one.predictions for one in answers] == [[n + 1] for n in range(40)]
        assert {one.fallback for one in answers} == {True, False}

    play(house, story)
    sizes = [len(table) for table in house.loader.models["v1"].tables]
    assert sum(sizes) == 40
    assert len(sizes) <= 4  # own requests, and those of the one that failed, in at most two ticks


def test_an_outcome_of_a_fallback_is_no_merit_of_the_variant(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK)
    house.start_experiment()
    failing(house)
    server = LocalServer(house.engine)
    for number in range(20):
        server.predict(ask(number, unit=f"u{number}", request_id=f"r{number}"))
    store: Any = house.memory
    actor = house.experiments.actor
    outcomes = Outcomes(store=store, clock=FakeClock(), ids=FakeIds(), actor=actor)
    outcomes.record([OutcomeDraft(request_id=f"r{n}", value=n + 1) for n in range(20)])
    failed = [one for one in house.recorded() if one.error is not None]
    report = house.experiments.analyze("x")
    arms = {arm.variant: arm for arm in report.arms}
    assert 0 < len(failed) < 20
    assert all(one.fallback is not None and one.fallback.error is None for one in failed)
    assert arms["challenger"].errors == len(failed)
    assert arms["control"].errors == 0
    # witness: squared errors exist for what a version answered itself, and for nothing else
    scored = {name: arm.metrics["squared_error"].n for name, arm in arms.items()}
    assert scored == {"control": 20 - len(failed), "challenger": 0}


def test_another_variant_of_a_pair_still_scores_beside_a_fallback(house: House) -> None:
    house.endpoints.configure("e", on_error=OnError.FALLBACK, timeout_s=PATIENCE_S)
    house.start_experiment(type=Type.PAIRED, label_independent=True)
    failing(house)
    unit = unit_of(house, "challenger")
    answer = LocalServer(house.engine).predict(ask(1, unit=unit))
    assert (answer.version, answer.fallback) == ("v1", True)
    (kept,) = house.recorded()
    (other,) = kept.others
    assert isinstance(other, Scored)
    assert (other.variant, other.values) == ("control", [2])


@pytest.mark.parametrize(
    ("fields", "named", "expected"),
    [
        ({"on_error": OnError.FALLBACK}, False, "v1"),
        ({"on_error": OnError.FALLBACK}, True, None),
        ({"on_error": OnError.FAIL}, False, None),
        ({"on_error": OnError.FALLBACK, "champion": None}, False, None),
        ({"on_error": OnError.FALLBACK, "champion": "v2"}, False, None),
    ],
)
def test_who_answers_for_whom(fields: Any, expected: str | None, *, named: bool) -> None:
    route = Route(**{"endpoint": "e", "model": "m", "champion": "v1", "override": "v2"} | fields)
    found = route.fallback(route.choose("u"), named=named)
    assert (found.version if found else None) == expected
