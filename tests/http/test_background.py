"""Work beside answering: step by step, whatever fails, and ended before the server is."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field

import pytest

from palio.errors import StoreUnavailable
from palio.http.background import repeat


@dataclass
class Work:
    """Steps that are counted; the first one fails."""

    ending: asyncio.Event
    enough: int = 3
    error: Exception = field(default_factory=lambda: OSError("the disk is away"))
    rest_s: float = 0.0
    done: list[str] = field(default_factory=list)

    def step(self) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.done.append("step")
        if len(self.done) == 1:
            raise self.error
        if len(self.done) == self.enough:
            self.loop.call_soon_threadsafe(self.ending.set)

    def release(self) -> None:
        self.done.append("release")

    loop: asyncio.AbstractEventLoop = field(init=False)


@pytest.mark.parametrize(
    ("error", "traced"),
    [
        (OSError("the disk is away"), False),
        (StoreUnavailable("the store is away"), False),  # a line each second is enough
        (KeyError("it is away"), True),
    ],
)
def test_steps_go_on_until_the_end(
    caplog: pytest.LogCaptureFixture, error: Exception, *, traced: bool
) -> None:
    async def run() -> list[str]:
        work = Work(asyncio.Event(), error=error)
        work.loop = asyncio.get_running_loop()
        await repeat(work, work.ending)
        return work.done

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(run()) == ["step", "step", "step", "release"]
    assert "is away" in caplog.text
    assert ("Traceback" in caplog.text) is traced


def test_the_end_does_not_wait_for_the_rest() -> None:
    async def run() -> list[str]:
        work = Work(asyncio.Event(), enough=2, rest_s=0.01)
        work.loop = asyncio.get_running_loop()
        task = asyncio.create_task(repeat(work, work.ending))
        await work.ending.wait()
        work.rest_s = 60.0
        await asyncio.wait_for(task, 10)
        return work.done

    assert asyncio.run(run()) == ["step", "step", "release"]
