"""The champion's answers to requests whose version has failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from palio.delivery.domain import Choice
from palio.errors import InvalidRows
from palio.experiments.events import Fallback, Prediction
from palio.registry.signature import Cell
from palio.serving.jobs import Ask, Given, Job, Loaded

__all__ = ["with_fallbacks"]


@dataclass(frozen=True, slots=True)
class _Second:
    """The rows of a request that failed, for the champion."""

    place: int
    loaded: Loaded
    rows: list[list[Cell]]
    timeout_s: float | None


def with_fallbacks(
    jobs: Sequence[Job],
    predictions: list[Prediction],
    *,
    find: Callable[[Choice], Loaded],
    ask: Ask,
) -> list[Prediction]:
    """Add what the champion answers where a version failed and the endpoint says so.

    Each champion is asked once about all rows that are for it; its own failure is kept beside
    the first one.

    Parameters
    ----------
    jobs, predictions
        Requests, and what will be recorded of them.
    find
        Gives a version in memory.
    ask
        Asks versions.
    """
    failed = [place for place, one in enumerate(predictions) if one.error is not None]
    if not failed:
        return predictions
    seconds = [
        _second(place, jobs[place], find(choice))
        for place in failed
        if (choice := jobs[place].fallback) is not None
    ]
    given = ask(seconds)
    answered = dict(
        zip((one.place for one in seconds), zip(seconds, given, strict=True), strict=True)
    )
    return [
        replace(one, fallback=_fallback(jobs[place], *answered[place]))
        if place in answered
        else one
        for place, one in enumerate(predictions)
    ]


def _second(place: int, job: Job, loaded: Loaded) -> _Second:
    """Read the rows as the champion does: it may take others than the version that failed."""
    rows: list[list[Cell]] = []
    try:
        if loaded.signature is not None:
            rows = loaded.signature.table(job.request.rows)
    except InvalidRows as refused:
        loaded = replace(loaded, predictor=None, failure=refused)
    return _Second(place, loaded, rows, job.timeout_s)


def _fallback(job: Job, second: _Second, given: Given) -> Fallback:
    signature = second.loaded.signature
    return Fallback(
        model=second.loaded.model,
        version=second.loaded.version,
        values=given.values,
        probabilities=given.probabilities,
        classes=signature.classes if signature else (),
        latency_ms=(time.perf_counter() - job.started) * 1_000,
        error=given.error,
    )
