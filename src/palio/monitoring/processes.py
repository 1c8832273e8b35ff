"""What a serving process takes of its machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil

from palio.delivery.traffic import ProcessUse
from palio.ports import Clock

__all__ = ["ProcessWatch"]


class ProcessWatch:
    """Looks at this process, each time it is called.

    Parameters
    ----------
    process, server
        Its name, which no other one has, and that of all that answer at its address.
    clock
        What time it is.
    loaded
        Names the versions in its memory.
    """

    def __init__(
        self, process: str, server: str, *, clock: Clock, loaded: Callable[[], Sequence[str]]
    ) -> None:
        self._names = {"process": process, "server": server}
        self._clock, self._loaded = clock, loaded
        self._watched = psutil.Process()
        self._watched.cpu_percent()  # the first one only begins to measure

    def __call__(self) -> ProcessUse:
        """Return what it takes now."""
        return ProcessUse(
            **self._names,
            at=self._clock(),
            rss_bytes=self._watched.memory_info().rss,
            cpu_share=self._watched.cpu_percent() / 100,
            loaded=tuple(self._loaded()),
        )
