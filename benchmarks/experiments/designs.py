"""Three designs on one stream of requests: when each decides, and how sure it is at the end.

Every design looks after each percent of its horizon, by rule 1 as a live experiment does, and has
decided at the first look whose bounds exclude 0. The labels come at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from loans import Array, Stream
from numpy.typing import NDArray

from palio.bucketing import Split
from palio.stats import (
    Comparison,
    JointMoments,
    Moments,
    compare,
    compare_paired,
    cuped,
    paired_loss,
)

__all__ = ["LOOKS", "Run", "ab", "ab_with_cuped", "paired"]

LOOKS = 100

Part = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """What one design said of one stream.

    Attributes
    ----------
    requests
        Those of the first look that decided, the horizon if none did.
    effect
        Treatment less control at that look; None if none decided.
    variance
        Of the estimated difference at the last look.
    """

    requests: int
    effect: float | None
    variance: float

    @classmethod
    def of(cls, looks: Iterable[Comparison], horizon: int, variance: float) -> Run:
        """Find the first look that decided."""
        for number, look in enumerate(looks, start=1):
            if look.significant:
                return cls(number * horizon // LOOKS, look.effect, variance)
        return cls(horizon, None, variance)


def ab(stream: Stream, salt: str) -> Run:
    """Send each request to one of the versions, half of the units to each."""
    control, treatment = (list(_running(*arm)) for arm in _arms(stream, salt, ()))
    looks = zip(
        (moments.value(0) for moments in control),
        (moments.value(0) for moments in treatment),
        strict=True,
    )
    return _judged(list(looks), len(stream.units))


def ab_with_cuped(stream: Stream, salt: str, covariates: str = "reference") -> Run:
    """Do the same, and take out what the covariates of that name explain."""
    arms = _arms(stream, salt, stream.covariates[covariates])
    found = (cuped(*pair) for pair in zip(*(_running(*arm) for arm in arms), strict=True))
    return _judged([(one.control, one.treatment) for one in found], len(stream.units))


def paired(stream: Stream, horizon: int | None = None) -> Run:
    """Have both versions score each request, up to a horizon of its own or the stream's end."""
    horizon = horizon or len(stream.units)
    differences = (
        paired_loss("brier", stream.labels[part], stream.control[part], stream.treatment[part])
        for part in _parts(horizon)
    )
    moments = list(accumulate(differences, Moments.merge))
    looks = (compare_paired(one, horizon=horizon) for one in moments)
    return Run.of(looks, horizon, moments[-1].var / moments[-1].n)


def _judged(arms: list[tuple[Moments, Moments]], horizon: int) -> Run:
    looks = (compare(*pair, horizon=horizon) for pair in arms)
    return Run.of(looks, horizon, sum(arm.var / arm.n for arm in arms[-1]))


def _parts(horizon: int) -> list[Part]:
    return np.split(np.arange(horizon), LOOKS)


def _arms(
    stream: Stream, salt: str, covariates: tuple[Array, ...]
) -> list[tuple[NDArray[np.bool_], tuple[Array, ...]]]:
    """Give who is in each arm, and the columns: what its version scored, then the covariates."""
    split = Split.of(salt=salt, weights={"control": 0.5, "treatment": 0.5})
    given = split.assign_many(stream.units)
    briers = {
        "control": (stream.control - stream.labels) ** 2,
        "treatment": (stream.treatment - stream.labels) ** 2,
    }
    return [(given == key, (brier, *covariates)) for key, brier in briers.items()]


def _running(chosen: NDArray[np.bool_], columns: tuple[Array, ...]) -> Iterator[JointMoments]:
    """Give the moments of an arm look by look."""
    parts = (part[chosen[part]] for part in _parts(len(chosen)))
    return accumulate(
        (JointMoments.of(*(column[part] for column in columns)) for part in parts),
        JointMoments.merge,
    )
