"""The replay: rows as HTTP requests from many clients at once, labels later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from palio.demo.material import Case
from palio.demo.traffic import Stretch, batches_of
from palio.errors import PredictionFailed
from palio.experiments.events import OutcomeDraft
from palio.session import Palio

__all__ = ["Replay", "Sent"]

_WORKERS = 16


@dataclass(slots=True)
class Sent:
    """What has gone out so far.

    ``outcomes`` counts labels once each, ``repeated`` those sent once more, ``early`` those that
    the server kept for a request it had not seen yet.
    """

    requests: int = 0
    outcomes: int = 0
    repeated: int = 0
    early: int = 0


@dataclass(slots=True)
class Replay:
    """Sends cases to an endpoint; use it in a ``with`` statement.

    Parameters
    ----------
    palio
        A connection to the server; its clients share it.
    endpoint
        Where requests go.
    cases
        Rows and labels, by number of request.
    on_request
        Called when a request has been answered.
    """

    palio: Palio
    endpoint: str
    cases: Sequence[Case]
    on_request: Callable[[], None] = lambda: None
    sent: Sent = field(default_factory=Sent)
    _names: list[str] = field(init=False)
    _labelled: set[int] = field(default_factory=set)
    _clients: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_WORKERS, thread_name_prefix="palio-demo")
    )

    def __post_init__(self) -> None:
        self._names = [f"applicant-{number:06}" for number in range(len(self.cases))]

    def run(self, stretch: Stretch) -> None:
        """Send one stretch of the plan, everything in it at once but for the early labels."""
        self._wait([self._clients.submit(self._label, stretch.early)] if stretch.early else [])
        work = [self._clients.submit(self._label, batch) for batch in stretch.late]
        work += [self._clients.submit(self._ask, number) for number in stretch.requests]
        self._wait(work)

    def flush(self, rng: np.random.Generator) -> None:
        """Send the labels that are still out, of the requests that were sent."""
        missing = sorted(set(range(self.sent.requests)) - self._labelled)
        self._wait(self._clients.submit(self._label, batch) for batch in batches_of(missing, rng))

    def close(self) -> None:
        """Send nothing more, and wait for what is on its way."""
        self._clients.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self, work: Iterable[Future[Callable[[], None]]]) -> None:
        for future in as_completed(list(work)):
            future.result()()  # counted here, in one thread

    def _ask(self, number: int) -> Callable[[], None]:
        with suppress(PredictionFailed):  # recorded by the server, as that variant's error
            self.palio.predict(
                self.endpoint, [self.cases[number].row], request_id=self._names[number]
            )
        return self._answered

    def _answered(self) -> None:
        self.sent.requests += 1
        self.on_request()

    def _label(self, numbers: Sequence[int]) -> Callable[[], None]:
        receipt = self.palio.outcomes.record(
            [
                OutcomeDraft(request_id=self._names[number], value=self.cases[number].label)
                for number in numbers
            ]
        )

        def count() -> None:
            fresh = set(numbers) - self._labelled
            self._labelled |= fresh
            self.sent.outcomes += len(fresh)
            self.sent.repeated += len(numbers) - len(fresh)
            self.sent.early += receipt.unknown

        return count
