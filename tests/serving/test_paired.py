"""Paired experiments: one variant answers, the others score the same rows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from palio.errors import CorruptArtifact
from palio.experiments.designs.design import Metrics, Type, Variant
from palio.serving.local import LocalServer, TickServer

from .conftest import House, ask
from .test_local import Gate, play, until

ONE_ANSWERS = (Variant("control", "v1", 1.0), Variant("challenger", "v2", 0.0))
HALVES = (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5))
SLOW_S = 0.05


def start(house: House, variants: tuple[Variant, ...] = ONE_ANSWERS) -> None:
    house.start_experiment(
        type=Type.PAIRED,
        variants=variants,
        metrics=Metrics("squared_error", guardrails=("latency_ms",)),
        label_independent=True,
    )


def test_one_answers_and_the_other_scores(house: House) -> None:
    start(house)
    server = LocalServer(house.engine)
    for number in range(20):
        answer = server.predict(ask(number, number + 0.5, unit=f"u{number}"))
        assert (answer.version, answer.predictions) == ("v1", [number + 1, number + 1.5])
    for number, one in enumerate(house.recorded()):
        (other,) = one.others
        assert (other.variant, other.version) == ("challenger", "v2")
        assert other.values == [number + 2, number + 2.5]
        assert (one.variant, one.propensity, other.error) == ("control", 1.0, None)


def test_whoever_does_not_answer_scores(house: House) -> None:
    start(house, (*HALVES, Variant("third", "v3", 0.0)))
    server = LocalServer(house.engine)
    for number in range(20):
        server.predict(ask(1, unit=f"u{number}"))
    told = house.recorded()
    assert {one.variant for one in told} == {"control", "challenger"}
    expected = {"control": ("v1", [2]), "challenger": ("v2", [3]), "third": ("v3", [4])}
    for one in told:
        scored = {other.variant: (other.version, other.values) for other in one.others}
        assert scored | {one.variant or "": (one.version, one.values)} == expected


def test_each_version_is_asked_once_a_tick(house: House) -> None:
    start(house)
    gate = Gate(house)

    async def story(server: TickServer) -> None:
        first = asyncio.create_task(server.predict(ask(0)))
        await until(gate.asked)
        rest = [asyncio.create_task(server.predict(ask(n, n + 0.5))) for n in range(1, 9)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *rest)

    play(house, story)
    assert [len(table) for table in house.loader.models["v1"].tables] == [1, 16]
    assert [len(table) for table in house.loader.models["v2"].tables] == [1, 16]
    assert [one.others[0].values for one in house.recorded()[1:]] == [
        [n + 2, n + 2.5] for n in range(1, 9)
    ]


def test_another_that_fails_harms_nobody(house: House) -> None:
    start(house)
    house.engine.refresh()
    house.loader.models["v2"].answering = lambda table: [1 / row[0] for row in table]

    async def story(server: TickServer) -> None:
        answers = await asyncio.gather(*(server.predict(ask(n)) for n in (1, 0, 2)))
        assert [answer.predictions for answer in answers] == [[2], [1], [3]]

    play(house, story)
    told = [one.others[0] for one in house.recorded()]
    assert [one.values for one in told] == [[1], [], [0.5]]
    assert [one.error for one in told] == [None, "ZeroDivisionError: division by zero", None]
    assert {one.error for one in house.recorded()} == {None}


def test_another_that_cannot_be_loaded_harms_nobody(house: House) -> None:
    house.loader.failures["v2"] = CorruptArtifact("broken")
    start(house)
    assert LocalServer(house.engine).predict(ask(1)).predictions == [2]
    assert house.recorded()[0].others[0].error == "CorruptArtifact: broken"


def test_one_that_fails_to_answer_leaves_the_others_score(house: House) -> None:
    start(house)
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda _: 1 / 0  # type: ignore[arg-type, return-value]
    with pytest.raises(Exception, match="m:v1 failed: ZeroDivisionError"):
        LocalServer(house.engine).predict(ask(1))
    (told,) = house.recorded()
    assert (told.values, told.others[0].values) == ([], [3])


def test_the_latency_of_an_answer_is_its_own(house: House) -> None:
    """A slow other is no part of it; and each has the other's wait, not its time at work."""
    start(house)
    house.engine.refresh()

    def slowly(table: Any) -> list[float]:
        time.sleep(SLOW_S)
        return [row[0] for row in table]

    house.loader.models["v2"].answering = slowly
    LocalServer(house.engine).predict(ask(1))
    (told,) = house.recorded()
    assert told.latency_ms < 1_000 * SLOW_S <= told.others[0].latency_ms
    house.loader.models["v1"].answering, house.loader.models["v2"].answering = slowly, None
    LocalServer(house.engine).predict(ask(1))
    told = house.recorded()[-1]
    assert told.others[0].latency_ms < 1_000 * SLOW_S <= told.latency_ms


def test_only_requests_of_the_experiment_are_scored(house: House) -> None:
    start(house)
    server = LocalServer(house.engine)
    server.predict(ask(1, variant="challenger"))
    server.predict(ask(1, version="v1"))
    house.experiments.pause("x")
    server.predict(ask(1))
    assert [one.others for one in house.recorded()] == [(), (), ()]


def test_nobody_scores_in_another_experiment(house: House) -> None:
    house.start_experiment()
    LocalServer(house.engine).predict(ask(1))
    assert house.recorded()[0].others == ()


def test_a_pair_may_be_sticky(house: House) -> None:
    house.start_experiment(
        type=Type.PAIRED, variants=HALVES, label_independent=True, sticky=True,
    )  # fmt: skip
    server = LocalServer(house.engine)
    for _ in range(2):
        for number in range(10):
            server.predict(ask(1, unit=f"u{number}"))
        house.reweigh(control=0.01, challenger=0.99)
    told = house.recorded()
    assert [one.variant for one in told[:10]] == [one.variant for one in told[10:]]
    assert all(one.variant != one.others[0].variant for one in told)
    assert all(one.version != one.others[0].version for one in told)
