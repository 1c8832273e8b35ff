"""What the server does beside answering: one thing, step by step, in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from palio.errors import PalioError

__all__ = ["Background", "repeat"]

_LOG = logging.getLogger(__name__)


class Background(Protocol):
    """Work that is done in steps, one after the other, from any thread."""

    @property
    def rest_s(self) -> float:
        """Seconds until the next step is due."""
        ...

    def step(self) -> object:
        """Do what is due now."""
        ...

    def release(self) -> None:
        """Let another process go on: no further step will come."""
        ...


async def repeat(background: Background, ending: asyncio.Event) -> None:
    """Do step after step until it shall end; one that fails is logged, and the next one comes."""
    while not ending.is_set():
        await _done(background.step)
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), background.rest_s)
    await _done(background.release)


async def _done(work: Callable[[], object]) -> None:
    try:
        await asyncio.to_thread(work)
    except (PalioError, OSError) as error:  # it says itself what is wrong
        _LOG.error("the background work of the server has failed; it goes on: %s", error)
    except Exception:  # noqa: BLE001 - a store that does not answer now may do so later
        _LOG.exception("the background work of the server has failed; it goes on")
