"""Models that must answer in time: each asked in a thread of its own, which may be left behind.

No thread can be ended from outside. One that is late is therefore left to itself, and its version
is asked nothing more until it comes back: threads that hang do not pile up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, TypeVar

__all__ = ["Deadlines", "Key"]

Key = tuple[str, str]
_Found = TypeVar("_Found")


class Deadlines:
    """Calls that have a deadline, and the versions that have missed one. Safe to share."""

    def __init__(self) -> None:
        self._late: dict[Key, set[Future[Any]]] = {}
        self._lock = Lock()

    def is_hanging(self, key: Key) -> bool:
        """Tell whether a version is still at work on what it should have answered."""
        return key in self._late

    def begin(
        self, key: Key, call: Callable[[], _Found], timeout_s: float
    ) -> Callable[[], _Found]:
        """Begin a call, and return what waits for its end.

        Parameters
        ----------
        key
            The version that is called.
        call
            Asks it.
        timeout_s
            Seconds from now that it has.

        Returns
        -------
        callable
            Returns what the call returned, or raises ``TimeoutError`` once it is late; at once
            where the version is hanging.
        """
        if self.is_hanging(key):
            return _refuse
        until = time.monotonic() + timeout_s
        future: Future[_Found] = Future()
        run = Thread(
            target=self._run,
            args=(key, call, future),
            name=f"palio-{':'.join(key)}",
            daemon=True,  # a process that ends does not wait for a model that hangs
        )
        run.start()

        def wait() -> _Found:
            try:
                return future.result(max(0.0, until - time.monotonic()))
            except TimeoutError:
                if self._is_late(key, future):
                    raise TimeoutError(f"no answer within {timeout_s:g} s") from None
                return future.result()  # it came in the last moment, or this error is its own

        return wait

    def _run(self, key: Key, call: Callable[[], _Found], future: Future[_Found]) -> None:
        try:
            found = call()
        except BaseException as failed:  # noqa: BLE001 - whoever waits is told
            with self._lock:
                future.set_exception(failed)
        else:
            with self._lock:
                future.set_result(found)
        with self._lock:
            late = self._late.get(key, set())
            late.discard(future)
            if not late:
                self._late.pop(key, None)

    def _is_late(self, key: Key, future: Future[Any]) -> bool:
        with self._lock:
            if not future.done():
                self._late.setdefault(key, set()).add(future)
            return not future.done()


def _refuse() -> Any:
    raise TimeoutError("still at work on rows that it did not answer in time, and not asked")
