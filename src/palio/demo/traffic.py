"""When requests and labels go out: a plan drawn from a seed, pure and without a clock.

The plan is cut into stretches, one between two looks. Most labels arrive one to a few stretches
after their request, in shuffled batches; some twice; some before their request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Stretch", "batches_of", "plan_of"]

_EARLY_SHARE = 0.01
_REPEATED_SHARE = 0.02
_MEAN_DELAY = 1.2  # in stretches
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happens between two looks, by numbers of requests.

    ``early`` are labels that go out before the first request, ``late`` batches of labels of
    requests of earlier stretches, some of them sent before.
    """

    requests: range
    early: tuple[int, ...]
    late: tuple[tuple[int, ...], ...]


def plan_of(n_requests: int, *, look_every: int, seed: int) -> list[Stretch]:
    """Return the stretches of a replay; labels due after its end are left to whoever ends it.

    Parameters
    ----------
    n_requests
        How many requests there are, numbered from 0.
    look_every
        Requests in a stretch; the last may be shorter.
    seed
        Of all delays.
    """
    rng = np.random.default_rng(seed)
    own = np.arange(n_requests) // look_every
    is_early = rng.random(n_requests) < _EARLY_SHARE
    delay = 1 + rng.exponential(_MEAN_DELAY, n_requests).astype(np.int64)
    again = rng.random(n_requests) < _REPEATED_SHARE
    due: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(n_requests):
        if not is_early[number]:
            due[int(own[number] + delay[number])].append(number)
        if again[number]:
            due[int(own[number] + delay[number]) + 1].append(number)
    starts = range(0, n_requests, look_every)
    return [
        Stretch(
            requests=range(start, min(start + look_every, n_requests)),
            early=tuple(
                at for at in range(start, min(start + look_every, n_requests)) if is_early[at]
            ),
            late=batches_of(due[at], rng),
        )
        for at, start in enumerate(starts)
    ]


def batches_of(numbers: Sequence[int], rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    """Return numbers shuffled, in batches as a client would send them."""
    shuffled = rng.permutation(np.asarray(numbers, dtype=np.int64)).tolist()
    return tuple(
        tuple(shuffled[start : start + _BATCH]) for start in range(0, len(shuffled), _BATCH)
    )
