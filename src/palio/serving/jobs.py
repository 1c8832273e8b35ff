"""Requests on their way through models: those of one version go through it together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from palio.delivery.domain import Choice
from palio.errors import NotFound
from palio.registry.ports import Predictor
from palio.registry.signature import Cell, Predictions, Signature

__all__ = ["Asked", "Given", "Job", "Loaded", "asked_together"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory, or the reason why it could not be loaded."""

    model: str
    version: str
    signature: Signature | None
    predictor: Predictor | None
    failure: Exception | None = None


class Asked(Protocol):
    """Rows for a version."""

    @property
    def loaded(self) -> Loaded:
        """The version."""
        ...

    @property
    def rows(self) -> list[list[Cell]]:
        """What it is asked about."""
        ...


@dataclass(slots=True)
class Job:
    """A request that was admitted: checked, routed, and waiting for its model."""

    request_id: str
    unit: str
    endpoint: str
    choice: Choice
    loaded: Loaded
    rows: list[list[Cell]]
    started: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class Given:
    """What a version answered, or its error; its model was at work from ``began`` to ``ended``."""

    predictions: Predictions
    error: str | None
    began: float
    ended: float


def asked_together(asked: Sequence[Asked]) -> list[Given]:
    """Ask models, each once about all rows that are for it.

    A model that raises is asked again one by one, so that nobody fails for another's rows.

    Parameters
    ----------
    asked
        Rows and the version that each is for.

    Returns
    -------
    list of Given
        In the order asked.
    """
    by_version: dict[int, list[int]] = {}
    for place, one in enumerate(asked):
        by_version.setdefault(id(one.loaded), []).append(place)
    given: dict[int, Given] = {}
    for places in by_version.values():
        given |= zip(places, _given([asked[place] for place in places]), strict=True)
    return [given[place] for place in range(len(asked))]


def _given(asked: Sequence[Asked]) -> Iterable[Given]:
    began = time.perf_counter()
    try:
        found = _predict(asked[0].loaded, [row for one in asked for row in one.rows])
    except Exception as failed:  # noqa: BLE001 - a model may raise anything
        if len(asked) > 1:
            return [given for one in asked for given in _given([one])]
        return [Given(Predictions([]), _text(failed), began, time.perf_counter())]
    return list(_shared_out(asked, found, began))


def _shared_out(asked: Sequence[Asked], found: Predictions, began: float) -> Iterable[Given]:
    start, ended = 0, time.perf_counter()
    for one in asked:
        end = start + len(one.rows)
        shares = None if found.probabilities is None else found.probabilities[start:end]
        yield Given(Predictions(found.values[start:end], shares), None, began, ended)
        start = end


def _predict(loaded: Loaded, rows: list[list[Cell]]) -> Predictions:
    if loaded.predictor is None or loaded.signature is None:
        raise loaded.failure or NotFound("the version is not loaded, or has no signature")
    given = loaded.predictor.predict(rows)
    if len(given.values) != len(rows):  # nobody could say whose answer is whose
        raise ValueError(f"the model gave {len(given.values)} answers to {len(rows)} rows")
    return given


def _text(failed: Exception) -> str:
    lines = str(failed).splitlines()
    said = f"{type(failed).__name__}: {lines[0] if lines else ''}"[:300]
    return said.encode("utf-8", "backslashreplace").decode()  # it repeats what clients sent
