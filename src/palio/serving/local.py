"""Servers in process: one for a caller that waits, one for an event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from palio.delivery.domain import Answer, PredictRequest
from palio.delivery.loaded import InMemory
from palio.errors import NotFound, Overloaded, PalioError
from palio.experiments.events import Prediction
from palio.serving.engine import Engine, told
from palio.serving.jobs import Job
from palio.serving.lanes import Lanes

__all__ = ["LocalServer", "TickServer"]

_LOG = logging.getLogger(__name__)
_QUEUE = 4_096  # requests that may wait; beyond it the answer is 429
_TICK_ROWS = 8_192  # rows that go through a model together at most
_GATHER_S = 0.005  # how long requests are gathered for a tick at most, while more come
_QUIET_TURNS = 2  # of the loop that bring none: one to read, one to check what was read
_LOOK_S = 0.1  # how often this process's own changes are looked for
_PUBLISH_S = 1.0  # how often what was answered is published
_ASK_S = 0.5  # how often the store is asked for those of others
_Waiting = tuple[Job, asyncio.Future[Prediction]]


class LocalServer:
    """Answers one request at a time, for Python callers in process.

    There is no thread beside the callers': about once a second one of them publishes what was
    tallied, with ``publish``.
    """

    def __init__(self, engine: Engine, publish: Callable[[], object] = lambda: None) -> None:
        self._engine = engine
        self._publish = publish
        self._ask_at = 0.0
        self._publish_at = time.monotonic() + _PUBLISH_S

    def predict(self, request: PredictRequest) -> Answer:
        """Route, check, predict, record."""
        self._refresh()
        try:
            chosen = self._engine.choose(request)
        except NotFound:  # another process may have made it just now
            self._engine.refresh()
            chosen = self._engine.choose(request)
        loaded = self._engine.loaded(chosen[2]) or self._engine.load(chosen[2])
        job = self._engine.admit(request, chosen, loaded)
        predictions = self._engine.answer([job])
        self._engine.record(predictions)
        self._publish_if_due()
        return told(job, predictions[0])

    def _publish_if_due(self) -> None:
        now = time.monotonic()
        if now < self._publish_at:
            return
        self._publish_at = now + _PUBLISH_S
        try:
            self._publish()
        except PalioError as error:  # the answer is recorded; counts are published next time
            _LOG.warning("what was answered is not counted yet: %s", error)

    def in_memory(self, endpoint: str) -> InMemory:
        """Return what of an endpoint is in memory in this process."""
        self._engine.refresh()
        return self._engine.in_memory(endpoint)

    def _refresh(self) -> None:
        now = time.monotonic()
        ask = now >= self._ask_at
        if ask:
            self._ask_at = now + _ASK_S
        self._engine.refresh(ask_store=ask)


class TickServer:
    """Answers for an event loop: whatever waits when the models become free is one batch.

    There is no timer, so idle traffic pays nothing; a batch is only taken once the loop brings
    no more requests. Its predictions are committed to the event log together, before any of its
    answers leaves.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="palio-predict")
        self._lanes = Lanes(self._work)

    @property
    def revision(self) -> int:
        """The revision of the state that requests are routed by."""
        return self._engine.snapshot.table.revision

    async def start(self) -> None:
        """Load what the routes need, and begin to answer."""
        await asyncio.to_thread(self._engine.refresh)
        self._tasks = [asyncio.create_task(self._answer()), asyncio.create_task(self._follow())]

    async def stop(self) -> None:
        """Answer what waits, then end."""
        answering, following = self._tasks
        self._ending.set()
        self._filled.set()
        await answering
        await self._lanes.stop()
        await following  # not cancelled: its thread may be reading the store, which is closed next
        await asyncio.to_thread(self._pool.shutdown)

    def catch_up(self) -> None:
        """Serve by what this process has changed."""
        self._refresh(ask_store=False)

    def in_memory(self, endpoint: str) -> InMemory:
        """Return what of an endpoint is in memory in this process; not from the event loop."""
        self._refresh(ask_store=True)
        return self._engine.in_memory(endpoint)

    async def predict(self, request: PredictRequest) -> Answer:
        """Route, check, wait for the tick's models and its commit."""
        try:
            chosen = self._engine.choose(request)
        except NotFound:  # another process may have made it just now
            await asyncio.to_thread(self._refresh, ask_store=True)
            chosen = self._engine.choose(request)
        loaded = self._engine.loaded(chosen[2])
        if loaded is None:
            loaded = await asyncio.to_thread(self._engine.load, chosen[2])
        job = self._engine.admit(request, chosen, loaded)
        if job.timeout_s is not None:
            return told(job, await self._lanes.predict(job))
        if len(self._waiting) >= _QUEUE:
            raise Overloaded(f"{_QUEUE} requests are waiting; try again in a second")
        promise: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, promise))
        self._filled.set()
        return told(job, await promise)

    async def _answer(self) -> None:
        while await self._gathered():
            await self._answer_tick()

    async def _answer_tick(self) -> None:
        """Answer what waits; once it is done, nothing here keeps a version in memory."""
        loop = asyncio.get_running_loop()
        tick = self._take()
        try:
            predictions = await loop.run_in_executor(
                self._pool, self._work, [job for job, _ in tick]
            )
        except Exception as failed:  # noqa: BLE001 - every caller of the tick is told
            for _, promise in tick:
                if not promise.done():
                    promise.set_exception(failed)
            return
        for (_, promise), prediction in zip(tick, predictions, strict=True):
            if not promise.done():
                promise.set_result(prediction)

    async def _gathered(self) -> bool:
        """Wait for requests, and while the loop brings more; false once the end has come.

        A tick costs about as much for one request as for dozens, and the loop learns only turn
        by turn what clients have sent while it answered others.
        """
        await self._filled.wait()
        until, seen, quiet = time.monotonic() + _GATHER_S, 0, 0
        while quiet < _QUIET_TURNS and time.monotonic() < until:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)
        return bool(self._waiting)  # the event is set without a request only at the end

    def _work(self, jobs: list[Job]) -> list[Prediction]:
        predictions = self._engine.answer(jobs)
        self._engine.record(predictions)
        return predictions

    def _take(self) -> list[_Waiting]:
        tick: list[_Waiting] = []
        rows = 0
        while self._waiting and rows < _TICK_ROWS:
            tick.append(self._waiting.popleft())
            rows += len(tick[-1][0].rows)
        if not (self._waiting or self._ending.is_set()):
            self._filled.clear()
        return tick

    async def _follow(self) -> None:
        """Keep the snapshot up to date; a store that does not answer leaves the last one."""
        looks = 0
        while not await self._ends_within(_LOOK_S):
            looks += 1
            ask = looks % round(_ASK_S / _LOOK_S) == 0
            await asyncio.to_thread(self._refresh, ask_store=ask)

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    def _refresh(self, *, ask_store: bool) -> None:
        try:
            self._engine.refresh(ask_store=ask_store)
        except PalioError as error:
            _LOG.warning("routes stay as they were: %s", error)
