"""Requests whose versions must answer in time wait in a lane of their version, not in the tick."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from palio.errors import Overloaded
from palio.experiments.events import Prediction
from palio.serving.deadlines import Key
from palio.serving.jobs import Job

__all__ = ["Lanes"]

_QUEUE = 4_096  # requests that may wait in a lane; beyond it the answer is 429
_ROWS = 8_192  # rows that go through a model together at most
_AT_ONCE = 64  # lanes at work together

_Waiting = deque[tuple[Job, "asyncio.Future[Prediction]"]]


class Lanes:
    """A tick for each version: one that is slow, or hangs, holds up its own requests only.

    Parameters
    ----------
    work
        Answers and records requests, within their time; called from a thread.
    """

    def __init__(self, work: Callable[[list[Job]], list[Prediction]]) -> None:
        self._work = work
        self._waiting: dict[Key, _Waiting] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="palio-lane")

    async def predict(self, job: Job) -> Prediction:
        """Wait for the batch of one's version, and for its commit."""
        key = (job.choice.model, job.choice.version)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = deque()
            task = asyncio.create_task(self._answer(key, waiting))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        elif len(waiting) >= _QUEUE:
            raise Overloaded(
                f"{_QUEUE} requests are waiting for {':'.join(key)}; try again in a second"
            )
        promise: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        waiting.append((job, promise))
        return await promise

    async def stop(self) -> None:
        """Answer what waits, then end."""
        await asyncio.gather(*self._busy)
        await asyncio.to_thread(self._pool.shutdown)

    async def _answer(self, key: Key, waiting: _Waiting) -> None:
        while waiting:
            await self._answer_some(waiting)
        del self._waiting[key]

    async def _answer_some(self, waiting: _Waiting) -> None:
        batch, rows = [], 0
        while waiting and rows < _ROWS:
            batch.append(waiting.popleft())
            rows += len(batch[-1][0].rows)
        loop = asyncio.get_running_loop()
        try:
            predictions = await loop.run_in_executor(
                self._pool, self._work, [job for job, _ in batch]
            )
        except Exception as failed:  # noqa: BLE001 - every caller of the batch is told
            for _, promise in batch:
                if not promise.done():
                    promise.set_exception(failed)
            return
        for (_, promise), prediction in zip(batch, predictions, strict=True):
            if not promise.done():
                promise.set_result(prediction)
