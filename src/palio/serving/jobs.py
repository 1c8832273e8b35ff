"""Requests on their way through models: those of one version go through it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from palio.delivery.domain import Choice, PredictRequest, Route
from palio.errors import NotFound
from palio.registry.ports import Predictor
from palio.registry.signature import Cell, Label, Predictions, Signature
from palio.serving.deadlines import Deadlines

__all__ = ["Ask", "Asked", "Given", "Job", "Loaded", "asked_together"]

_ROUNDING = 1e-5  # of probabilities: how far they may lie outside of [0, 1]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory, or the reason why it could not be loaded.

    ``cold`` says why it answered nothing when it was warmed, if so.
    """

    model: str
    version: str
    signature: Signature | None
    predictor: Predictor | None
    failure: Exception | None = None
    cold: str | None = None


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

    @property
    def timeout_s(self) -> float | None:
        """Seconds that it has; ``None``: as many as it takes."""
        ...


Ask = Callable[[Sequence[Asked]], "list[Given]"]


@dataclass(slots=True)
class Job:
    """A request that was admitted: checked, routed, and waiting for its model."""

    request_id: str
    unit: str
    request: PredictRequest
    route: Route
    choice: Choice
    loaded: Loaded
    rows: list[list[Cell]]
    started: float = field(default_factory=time.perf_counter)

    @property
    def endpoint(self) -> str:
        """Where it arrived."""
        return self.request.endpoint

    @property
    def timeout_s(self) -> float | None:
        """Seconds that a model has for it; ``None``: as many as it takes."""
        return self.route.timeout_s

    @property
    def fallback(self) -> Choice | None:
        """The version that answers instead, should the chosen one fail."""
        return self.route.fallback(self.choice, named=self.request.version is not None)


@dataclass(slots=True)
class Given:
    """What a version answered, or its error; its model was at work from ``began`` to ``ended``."""

    values: list[Label]
    probabilities: list[list[float]] | None
    error: str | None
    began: float
    ended: float


def asked_together(asked: Sequence[Asked], deadlines: Deadlines) -> list[Given]:
    """Ask models, each once about all rows that are for it.

    A model that raises is asked again one by one, so that nobody fails for another's rows. Those
    that must answer in time work beside each other, each in a thread; the others work here.

    Parameters
    ----------
    asked
        Rows and the version that each is for.
    deadlines
        Keeps the versions to their time.

    Returns
    -------
    list of Given
        In the order asked.
    """
    by_version: dict[tuple[int, float | None], list[int]] = {}
    for place, one in enumerate(asked):
        by_version.setdefault((id(one.loaded), one.timeout_s), []).append(place)
    begun = [
        (places, _begun([asked[place] for place in places], timeout_s, deadlines))
        for (_, timeout_s), places in by_version.items()
        if timeout_s is not None
    ]
    given: dict[int, Given] = {}
    for (_, timeout_s), places in by_version.items():
        if timeout_s is None:
            given |= zip(places, _given([asked[place] for place in places]), strict=True)
    for places, wait in begun:
        given |= zip(places, wait(), strict=True)
    return [given[place] for place in range(len(asked))]


def _begun(
    asked: Sequence[Asked], timeout_s: float, deadlines: Deadlines
) -> Callable[[], Iterable[Given]]:
    began, loaded = time.perf_counter(), asked[0].loaded
    key = (loaded.model, loaded.version)
    end = deadlines.begin(key, lambda: _given(asked), timeout_s)

    def wait() -> Iterable[Given]:
        try:
            return end()
        except Exception as failed:  # noqa: BLE001 - late, or what no model should raise
            return [_failed(failed, began) for _ in asked]

    return wait


def _given(asked: Sequence[Asked]) -> Sequence[Given]:
    began = time.perf_counter()
    try:
        found = _predict(asked[0].loaded, [row for one in asked for row in one.rows])
        return list(_shared_out(asked, found, began))
    except (Exception, SystemExit) as failed:  # noqa: BLE001 - a model may raise anything
        if len(asked) > 1:
            return [given for one in asked for given in _given([one])]
        return [_failed(failed, began)]


def _failed(failed: BaseException, began: float) -> Given:
    return Given([], None, _text(failed), began, time.perf_counter())


def _shared_out(asked: Sequence[Asked], found: Predictions, began: float) -> Iterable[Given]:
    start, ended = 0, time.perf_counter()
    signature, shares = asked[0].loaded.signature, found.probabilities
    all_well = shares is None or _odd(shares, len(found.values), signature) is None
    for one in asked:
        end = start + len(one.rows)
        own = None if shares is None else shares[start:end]
        odd = None if own is None or all_well else _odd(own, len(one.rows), signature)
        if odd is None:
            yield Given(found.values[start:end], own, None, began, ended)
        else:
            yield _failed(ValueError(f"the model answered {odd}"), began)
        start = end


def _odd(shares: list[list[float]], n_rows: int, signature: Signature | None) -> str | None:
    """Tell what is wrong with probabilities that judgements would stumble over."""
    if len(shares) != n_rows:
        return f"{len(shares)} lists of probabilities for {n_rows} rows"
    width = len(signature.classes) if signature else 0
    for other in set(map(len, shares)) - {width}:
        return f"{other} probabilities for {width} classes"
    for wrong in (min(map(min, shares)), max(map(max, shares))):
        if not -_ROUNDING <= wrong <= 1 + _ROUNDING:
            return f"{wrong:g}, which is no probability"
    return None


def _predict(loaded: Loaded, rows: list[list[Cell]]) -> Predictions:
    if loaded.predictor is None or loaded.signature is None:
        raise loaded.failure or NotFound("the version is not loaded, or has no signature")
    given = loaded.predictor.predict(rows)
    if len(given.values) != len(rows):  # nobody could say whose answer is whose
        raise ValueError(f"the model gave {len(given.values)} answers to {len(rows)} rows")
    return given


def _text(failed: BaseException) -> str:
    lines = str(failed).splitlines()
    said = f"{type(failed).__name__}: {lines[0] if lines else ''}"[:300]
    return said.encode("utf-8", "backslashreplace").decode()  # it repeats what clients sent
