"""The other variants of paired experiments: they score what one of them has answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from palio.delivery.domain import Choice
from palio.experiments.events import Prediction, Scored
from palio.registry.signature import Cell
from palio.serving.jobs import Ask, Given, Job, Loaded

__all__ = ["with_others"]


@dataclass(frozen=True, slots=True)
class _Shadow:
    """The rows of a request for a variant that does not answer it."""

    place: int
    variant: str
    loaded: Loaded
    rows: list[list[Cell]]
    timeout_s: float | None


def with_others(
    jobs: Sequence[Job],
    given: Sequence[Given],
    predictions: Sequence[Prediction],
    *,
    find: Callable[[Choice], Loaded],
    ask: Ask,
) -> list[Prediction]:
    """Add what the other variants make of requests that have been answered.

    Each version is asked once about all rows that are for it. One that fails is recorded with its
    error, and the answer stays what it is. The latency of another variant is what the request
    would have taken with it: its wait until the models began, and the variant's own time.

    Parameters
    ----------
    jobs, given, predictions
        Requests, what their models answered and what will be recorded of it.
    find
        Gives a version in memory.
    ask
        Asks versions.
    """
    shadows = [
        _Shadow(place, variant, find(choice), job.rows, job.timeout_s)
        for place, job in enumerate(jobs)
        for variant, choice in job.choice.others.items()
    ]
    if not shadows:
        return list(predictions)
    others: defaultdict[int, list[Scored]] = defaultdict(list)
    for shadow, own in zip(shadows, ask(shadows), strict=True):
        waited_s = given[shadow.place].began - jobs[shadow.place].started
        others[shadow.place].append(_scored(shadow, own, waited_s))
    return [
        replace(one, others=tuple(others[place])) if place in others else one
        for place, one in enumerate(predictions)
    ]


def _scored(shadow: _Shadow, given: Given, waited_s: float) -> Scored:
    return Scored(
        variant=shadow.variant,
        version=shadow.loaded.version,
        values=given.values,
        probabilities=given.probabilities,
        latency_ms=(waited_s + given.ended - given.began) * 1_000,
        error=given.error,
    )
