"""Whether a version answers: it is asked about a row, in a thread of its own.

No thread can be ended from outside, and a process waits for no version that hangs; but where it
ends while a thread is importing a library, or in one that is not written in Python, that may
abort it. The end is therefore told here, and waits for a while.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from palio.delivery.deployments.ports import Probe
from palio.delivery.domain import Choice
from palio.serving.engine import Engine
from palio.serving.warming import row_of

__all__ = ["EngineRuntime"]

_LOADING_S = 20.0  # that the end waits for versions to be loaded, which may import a library
_ANSWERING_S = 1.0  # and for their answers


@dataclass(slots=True)
class _Asking:
    """One question, asked in a thread of its own: a version may never answer."""

    row: object = None
    is_loaded: Event = field(default_factory=Event)
    is_over: Event = field(default_factory=Event)
    reason: str = ""
    cold: str = ""
    latency_ms: float | None = None

    def ask(self, engine: Engine, choice: Choice) -> None:
        try:
            self._ask(engine, choice)
        except Exception as failed:  # noqa: BLE001 - whatever a model raises is its failure
            self.reason = f"{type(failed).__name__}: {failed}"
        self.is_loaded.set()
        self.is_over.set()

    def _ask(self, engine: Engine, choice: Choice) -> None:
        engine.refresh()  # an endpoint holds it: it is loaded once, with what requests need
        loaded = engine.loaded(choice) or engine.load(choice)
        self.is_loaded.set()
        if loaded.failure is not None:
            raise loaded.failure
        if loaded.signature is None or loaded.predictor is None:
            self.reason = "it was registered without a signature and cannot serve"
            return
        given = row_of(loaded.signature) if self.row is None else self.row
        rows = loaded.signature.table([given])
        started = time.perf_counter()
        try:
            loaded.predictor.predict(rows)
        except Exception as failed:
            if self.row is not None:
                raise
            self.cold = f"{type(failed).__name__}: {failed}"  # others of its rows it may answer
        self.latency_ms = (time.perf_counter() - started) * 1_000


class EngineRuntime:
    """Asks the versions that a process has in memory, as its requests would.

    One that does not answer is not asked a second time while it is still at it: questions never
    pile up.

    Parameters
    ----------
    engine
        What has them in memory.
    process
        What this process calls itself among those that serve.
    """

    def __init__(self, engine: Engine, *, process: str = "") -> None:
        self._engine, self._process = engine, process
        self._lock = Lock()
        self._asking: dict[tuple[str, str], _Asking] = {}

    def probe(self, model: str, version: str, *, timeout_s: float, row: object = None) -> Probe:
        """Load a version and ask it about a row."""
        asking = self._begun(model, version, row)
        if not asking.is_loaded.wait(timeout_s):
            return Probe(loading=True)
        if not asking.is_over.wait(timeout_s):
            return Probe(reason=f"it has not answered within {timeout_s:g} s")
        with self._lock:
            self._asking.pop((model, version), None)
        latency_ms = asking.latency_ms
        if latency_ms is not None and latency_ms > timeout_s * 1_000:  # to an earlier question
            return Probe(reason=f"it has answered after {latency_ms / 1_000:.3g} s")
        return Probe(
            latency_ms=latency_ms, reason=asking.reason, cold=asking.cold, process=self._process
        )

    def close(self, *, loading_s: float = _LOADING_S, answering_s: float = _ANSWERING_S) -> None:
        """Wait for the questions that are still asked, but not for ever: the process may end.

        Parameters
        ----------
        loading_s
            Seconds for all versions that are loading.
        answering_s
            Seconds for all answers after that.
        """
        with self._lock:
            asking = list(self._asking.values())
        _wait([one.is_loaded for one in asking], loading_s)
        _wait([one.is_over for one in asking], answering_s)

    def _begun(self, model: str, version: str, row: object) -> _Asking:
        """Return the question that is asked already, or begin to ask."""
        key = (model, version)
        with self._lock:
            found = self._asking.get(key)
            if found is None:
                found = self._asking[key] = _Asking(row)
                work = (self._engine, Choice(model, version))
                Thread(target=found.ask, args=work, name="palio-probe", daemon=True).start()
        return found


def _wait(events: Iterable[Event], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    for one in events:
        one.wait(max(0.0, until - time.monotonic()))
