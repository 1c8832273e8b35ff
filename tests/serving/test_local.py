"""Servers in process: what is answered has been kept, and what waits is answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from palio.delivery.domain import Answer, PredictRequest
from palio.errors import NotFound, Overloaded, PredictionFailed, StoreUnavailable
from palio.serving import local
from palio.serving.local import LocalServer, TickServer

from .conftest import House, ask

PATIENCE_S = 10.0
Story = Callable[[TickServer], Awaitable[None]]


def play(house: House, story: Story) -> None:
    """Run a story against a started server, and stop it."""

    async def run() -> None:
        async with started(house) as server:
            await asyncio.wait_for(story(server), PATIENCE_S)

    asyncio.run(run())


@asynccontextmanager
async def started(house: House) -> AsyncIterator[TickServer]:
    server = TickServer(house.engine)
    await server.start()
    yield server
    await asyncio.wait_for(server.stop(), PATIENCE_S)


class Gate:
    """A model that waits until it may answer."""

    def __init__(self, house: House) -> None:
        house.engine.refresh()
        self.asked, self.open = threading.Event(), threading.Event()
        house.loader.models["v1"].answering = self.answer

    def answer(self, table: Any) -> list[float]:
        self.asked.set()
        assert self.open.wait(PATIENCE_S)
        return [row[0] for row in table]


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE_S)


def test_what_waits_is_one_batch(house: House) -> None:
    gate = Gate(house)

    async def story(server: TickServer) -> None:
        first = asyncio.create_task(server.predict(ask(0)))
        await until(gate.asked)
        rest = [asyncio.create_task(server.predict(ask(n, n + 0.5))) for n in range(1, 9)]
        await asyncio.sleep(0)
        gate.open.set()
        assert (await first).predictions == [0]
        assert [(await one).predictions for one in rest] == [[n, n + 0.5] for n in range(1, 9)]

    play(house, story)
    assert [len(table) for table in house.loader.models["v1"].tables] == [1, 16]
    assert len(house.recorded()) == 9


def test_what_comes_while_the_loop_turns_is_one_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_GATHER_S", PATIENCE_S)  # however busy the machine is

    async def story(server: TickServer) -> None:
        async def later(turns: int) -> Answer:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await server.predict(ask(turns))

        answers = await asyncio.gather(*(later(turns) for turns in range(8)))
        assert [answer.predictions for answer in answers] == [[n + 1] for n in range(8)]

    house.engine.refresh()
    play(house, story)
    assert [len(table) for table in house.loader.models["v1"].tables] == [8]


def test_gathering_has_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_QUIET_TURNS", 10**9)  # there is always more to come
    for seconds in (0.01, 0.0, -1.0):  # over before it began: the loop was held up meanwhile
        monkeypatch.setattr(local, "_GATHER_S", seconds)

        async def story(server: TickServer) -> None:
            assert (await server.predict(ask(3))).predictions == [4]
            assert (await server.predict(ask(4))).predictions == [5]

        play(house, story)


def test_a_tick_has_a_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_TICK_ROWS", 3)
    gate = Gate(house)

    async def story(server: TickServer) -> None:
        tasks = [asyncio.create_task(server.predict(ask(0)))]
        await until(gate.asked)
        tasks += [asyncio.create_task(server.predict(ask(n, n))) for n in range(5)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*tasks)

    play(house, story)
    assert [len(table) for table in house.loader.models["v1"].tables] == [1, 4, 4, 2]


def test_a_full_queue_refuses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_QUEUE", 2)
    gate = Gate(house)

    async def story(server: TickServer) -> None:
        tasks = [asyncio.create_task(server.predict(ask(0)))]
        await until(gate.asked)
        tasks += [asyncio.create_task(server.predict(ask(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 requests are waiting; try again in a second"):
            await server.predict(ask(3))
        gate.open.set()
        assert [answer.predictions for answer in await asyncio.gather(*tasks)] == [[0], [1], [2]]
        assert (await server.predict(ask(4))).predictions == [4]

    play(house, story)
    assert len(house.recorded()) == 4  # the refused one left nothing


def test_no_request_reads_the_store(house: House) -> None:
    house.start_experiment()
    server = LocalServer(house.engine)
    server.predict(ask(1))
    house.store.refuse_reads = True
    with pytest.raises(StoreUnavailable):
        house.engine.refresh()

    async def story(server: TickServer) -> None:
        house.store.refuse_reads = True
        reads = house.store.reads
        for number in range(50):
            answer = await server.predict(ask(number, unit=f"u{number}"))
            assert answer.experiment == "x"
        assert house.store.reads <= reads + 1  # one of the looks at others' changes, at most

    house.store.refuse_reads = False
    play(house, story)


def test_a_store_that_is_away_leaves_the_routes_as_they_were(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_LOOK_S", 0.01)
    monkeypatch.setattr(local, "_ASK_S", 0.02)

    async def story(server: TickServer) -> None:
        house.store.refuse_reads = True
        await asyncio.sleep(0.1)
        assert (await server.predict(ask(1))).version == "v1"
        house.versions.promote("m:v2")
        house.store.refuse_reads = False
        versions = set()
        for _ in range(100):
            await asyncio.sleep(0.01)
            versions.add((await server.predict(ask(1))).version)
        assert "v2" in versions

    play(house, story)


def test_what_cannot_be_kept_is_not_acknowledged(house: House) -> None:
    house.store.refuse_writes = True

    async def story(server: TickServer) -> None:
        for answer in await asyncio.gather(
            *(server.predict(ask(n)) for n in range(5)), return_exceptions=True
        ):
            assert isinstance(answer, StoreUnavailable)
        house.store.refuse_writes = False
        assert (await server.predict(ask(1))).predictions == [2]

    play(house, story)
    house.store.refuse_writes = True
    with pytest.raises(StoreUnavailable):
        LocalServer(house.engine).predict(ask(1))
    assert len(house.recorded()) == 1


def test_an_answer_is_in_the_log_when_it_arrives(house: House) -> None:
    async def story(server: TickServer) -> None:
        for number in range(5):
            await server.predict(ask(number, request_id=f"r{number}"))
            assert house.recorded()[-1].request_id == f"r{number}"

    play(house, story)


def test_a_failure_is_in_the_log_too(house: House) -> None:
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda table: [1 / row[0] for row in table]

    async def story(server: TickServer) -> None:
        answers = await asyncio.gather(
            *(server.predict(ask(n, request_id=f"r{n}")) for n in (1, 0, 2)),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [Answer, PredictionFailed, Answer]

    play(house, story)
    assert {one.request_id: one.error for one in house.recorded()} == {
        "r1": None, "r0": "ZeroDivisionError: division by zero", "r2": None,
    }  # fmt: skip


def test_stopping_answers_what_waits(house: House) -> None:
    gate = Gate(house)

    async def run() -> None:
        server = TickServer(house.engine)
        await server.start()
        tasks = [asyncio.create_task(server.predict(ask(0)))]
        await until(gate.asked)  # one is with the model, the others wait
        tasks += [asyncio.create_task(server.predict(ask(n))) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        gate.open.set()
        await asyncio.wait_for(stopping, PATIENCE_S)
        assert all(task.done() for task in tasks)
        assert [(await task).predictions for task in tasks] == [[0], [1], [2], [3]]

    asyncio.run(run())
    assert len(house.recorded()) == 4


@pytest.mark.parametrize("waiting", [0, 1])
def test_stopping_answers_the_last_one(house: House, waiting: int) -> None:
    gate = Gate(house)

    async def run() -> None:
        server = TickServer(house.engine)
        await server.start()
        tasks = []
        if waiting:
            tasks.append(asyncio.create_task(server.predict(ask(5))))
            await until(gate.asked)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.wait_for(stopping, PATIENCE_S)
        for task in tasks:
            assert (await asyncio.wait_for(task, PATIENCE_S)).predictions == [5]

    asyncio.run(run())


def test_a_caller_who_has_gone_away_harms_nobody(house: House) -> None:
    gate = Gate(house)

    async def story(server: TickServer) -> None:
        gone = asyncio.create_task(server.predict(ask(1)))
        await until(gate.asked)
        stays = asyncio.create_task(server.predict(ask(2)))
        await asyncio.sleep(0)
        gone.cancel()
        gate.open.set()
        assert (await stays).predictions == [2]

    play(house, story)
    assert len(house.recorded()) == 2


def test_a_version_by_name_is_loaded_without_stopping_others(house: House) -> None:
    async def story(server: TickServer) -> None:
        answer = await server.predict(ask(1, version="v3"))
        assert (answer.version, answer.predictions) == ("v3", [4])
        with pytest.raises(NotFound):
            await server.predict(ask(1, version="v9"))

    play(house, story)


def test_in_process_own_changes_count_at_once_and_others_soon(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = LocalServer(house.engine)
    assert server.predict(ask(1)).version == "v1"
    house.versions.promote("m:v2")
    assert server.predict(ask(1)).version == "v2"
    reads = house.store.reads
    for _ in range(20):
        server.predict(ask(1))
    assert house.store.reads - reads <= 1
    monkeypatch.setattr(local, "_ASK_S", 0.0)
    LocalServer(house.engine).predict(ask(1))
    reads = house.store.reads
    time.sleep(0.001)
    server._ask_at = 0.0
    server.predict(ask(1))
    assert house.store.reads == reads + 1


def test_what_another_process_made_just_now_is_found(house: House) -> None:
    async def story(server: TickServer) -> None:
        with pytest.raises(NotFound):
            await server.predict(PredictRequest(endpoint="new", rows=[[3]]))
        house.endpoints.create("new", "m")
        answer = await server.predict(PredictRequest(endpoint="new", rows=[[3]]))
        assert (answer.endpoint, answer.predictions) == ("new", [4])
        house.endpoints.create("newer", "m")
        in_process = LocalServer(house.engine)
        assert in_process.predict(PredictRequest(endpoint="newer", rows=[[4]])).predictions == [5]

    play(house, story)


def test_the_store_is_asked_often_enough_for_the_second_that_is_promised() -> None:
    """Serving's promise is a second; that much is left to load what is new."""
    assert local._ASK_S + local._LOOK_S <= 0.6
