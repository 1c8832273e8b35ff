"""How many threads a model may use for one table."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

__all__ = ["FewThreads"]

# below this, threads that wait for each other cost more than they save, and far more on a busy
# machine: 64 rows took 190 ms on two contended cores instead of 1.3 ms
_ROWS_FOR_ONE_THREAD = 2048


class FewThreads:
    """One thread for a small table, all of OpenMP's for a large one.

    Make it after the model's library was imported: it knows the runtimes that are loaded then.
    """

    def __init__(self) -> None:
        self._openmp = ThreadpoolController()

    def over(self, rows: int) -> AbstractContextManager[object]:
        """Return a context that limits the threads of the calling thread for so many rows."""
        if rows > _ROWS_FOR_ONE_THREAD:
            return nullcontext()
        limited: AbstractContextManager[object] = self._openmp.limit(limits=1, user_api="openmp")
        return limited
