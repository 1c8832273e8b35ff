"""The engine: routes and loaded models in memory; admits requests, answers and records them.

The snapshot {routes, models} is immutable and swapped by one reference: requests in flight keep
the one they were admitted under. No request reads the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from palio.delivery.domain import Answer, Choice, PredictRequest, Table
from palio.delivery.ports import DeliveryUnit
from palio.delivery.service import routing_table
from palio.errors import InvalidInput, NotFound, PalioError, PredictionFailed, StoreUnavailable
from palio.experiments.audience import check_attributes
from palio.experiments.events import Prediction, check_id
from palio.experiments.pseudonyms import AS_SENT, Pseudonyms
from palio.ports import Clock, Ids, Store
from palio.registry.domain import Version
from palio.registry.finding import find_version
from palio.registry.ports import Loader, Predictor
from palio.registry.signature import Cell, Predictions, Signature

__all__ = ["Engine", "Job", "Loaded", "RevisedStore", "Snapshot", "told"]

_MOST_ROWS = 10_000
_KEPT_BY_NAME = 8  # versions that were asked for by name and stay loaded
_RUNTIME = "local"


class RevisedStore(Store[DeliveryUnit], Protocol):
    """A store that counts the changes of state this process has made."""

    @property
    def audited(self) -> int:
        """Audit entries committed by this process so far; costs nothing to read."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory, or the reason why it could not be loaded."""

    model: str
    version: str
    signature: Signature | None
    predictor: Predictor | None
    failure: Exception | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Routes and the models they need, as they stood at one revision."""

    table: Table
    models: Mapping[tuple[str, str], Loaded]


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


class Engine:
    """Routes, models, and the three steps of a request. Safe to share between threads."""

    def __init__(
        self,
        store: RevisedStore,
        loader: Loader,
        clock: Clock,
        ids: Ids,
        *,
        pseudonyms: Pseudonyms = AS_SENT,
    ) -> None:
        self._store = store
        self._loader = loader
        self._clock = clock
        self._ids = ids
        self._pseudonyms = pseudonyms
        self._refreshing = Lock()
        self._audited = -1
        self._named: dict[tuple[str, str], Loaded] = {}
        self.snapshot = Snapshot(Table(-1, {}), {})

    @property
    def is_behind(self) -> bool:
        """Tell whether this process has changed the state since; costs nothing."""
        return self._store.audited != self._audited

    def refresh(self, *, ask_store: bool = True) -> None:
        """Bring the snapshot up to date, if the state has changed.

        Parameters
        ----------
        ask_store
            Look whether other processes have changed it; otherwise only this one's changes
            count, which costs nothing to find out.
        """
        if not ask_store and not self.is_behind:
            return
        with self._refreshing:
            audited = self._store.audited
            with self._store.read() as unit:
                changed = unit.audit.head() != self.snapshot.table.revision
                if changed or self._is_waiting():
                    table = routing_table(unit)
                    named = self._named.items()
                    self._named = {  # what failed may load now: it was signed, or is back
                        key: one for key, one in named if not one.failure and _is_there(unit, key)
                    }
                    new = {key: find_version(unit, ":".join(key)) for key in self._missing(table)}
                else:
                    table, new = self.snapshot.table, {}
            if table is not self.snapshot.table:  # files are read with no transaction open
                self.snapshot = Snapshot(table, self._models(table, new))
            self._audited = audited

    def _is_waiting(self) -> bool:
        """Tell whether a version is missing only because its files could not be reached."""
        loaded = self.snapshot.models.values()
        return any(isinstance(one.failure, StoreUnavailable) for one in loaded)

    def _missing(self, table: Table) -> list[tuple[str, str]]:
        """Return the versions that a table needs and that are not in memory, or failed to be."""
        models = self.snapshot.models
        return [key for key in _needed(table) if key not in models or models[key].failure]

    def _models(
        self, table: Table, new: Mapping[tuple[str, str], Version]
    ) -> Mapping[tuple[str, str], Loaded]:
        return {
            key: self._load(new[key]) if key in new else self.snapshot.models[key]
            for key in _needed(table)
        }

    def _load(self, version: Version) -> Loaded:
        names = (version.model, version.version, version.signature)
        try:
            return Loaded(*names, self._loader.load(version))
        except Exception as failure:  # noqa: BLE001 - one broken version must not stop the others
            return Loaded(*names, None, failure)

    def loaded(self, choice: Choice) -> Loaded | None:
        """Return the version that was chosen, if it is in memory."""
        key = (choice.model, choice.version)
        return self.snapshot.models.get(key) or self._named.get(key)

    def load(self, choice: Choice) -> Loaded:
        """Load a version that was asked for by name; the last few stay in memory."""
        with self._refreshing:
            with self._store.read() as unit:
                version = find_version(unit, f"{choice.model}:{choice.version}")
            loaded = self._load(version)
            self._named = dict(list(self._named.items())[1 - _KEPT_BY_NAME :])
            self._named[choice.model, choice.version] = loaded
        return loaded

    def choose(self, request: PredictRequest) -> tuple[str, str, Choice]:
        """Return request id, unit and version of a request."""
        _check(request)
        request_id = request.request_id or self._ids("req_")
        unit = request.unit or request_id
        route = self.snapshot.table.route(request.endpoint)
        if request.variant is not None:
            return request_id, unit, route.force(request.variant)
        return request_id, unit, route.choose(unit, request.version, request.attributes)

    def admit(
        self, request: PredictRequest, chosen: tuple[str, str, Choice], loaded: Loaded
    ) -> Job:
        """Check the rows against the version's signature.

        Raises
        ------
        InvalidRows
            Naming row and field.
        """
        request_id, unit, choice = chosen
        if loaded.signature is None:
            if isinstance(loaded.failure, PalioError):
                raise loaded.failure
            raise NotFound(
                f"{choice.model}:{choice.version} was registered without a signature and cannot "
                "serve; register it with one",
                kind="signature",
                name=f"{choice.model}:{choice.version}",
            )
        rows = loaded.signature.table(request.rows)
        return Job(request_id, unit, request.endpoint, choice, loaded, rows)

    def answer(self, jobs: Sequence[Job]) -> list[Prediction]:
        """Predict; jobs of one version go through its model together.

        A model that raises is asked again job by job, so that nobody fails for another's rows.
        """
        by_version: dict[int, list[int]] = {}
        for place, job in enumerate(jobs):
            by_version.setdefault(id(job.loaded), []).append(place)
        told: list[Prediction | None] = [None] * len(jobs)
        for places in by_version.values():
            some = [jobs[place] for place in places]
            for place, prediction in zip(places, self._answer(some), strict=True):
                told[place] = prediction
        return [prediction for prediction in told if prediction is not None]

    def _answer(self, jobs: Sequence[Job]) -> Iterable[Prediction]:
        try:
            given = _predict(jobs[0].loaded, [row for job in jobs for row in job.rows])
        except Exception as failed:  # noqa: BLE001 - a model may raise anything
            if len(jobs) > 1:
                return [one for job in jobs for one in self._answer([job])]
            return [self._prediction(jobs[0], Predictions([]), _text(failed))]
        return list(self._shared_out(jobs, given))

    def _shared_out(self, jobs: Sequence[Job], given: Predictions) -> Iterable[Prediction]:
        start = 0
        for job in jobs:
            end = start + len(job.rows)
            shares = None if given.probabilities is None else given.probabilities[start:end]
            yield self._prediction(job, Predictions(given.values[start:end], shares), None)
            start = end

    def _prediction(self, job: Job, given: Predictions, error: str | None) -> Prediction:
        choice, signature = job.choice, job.loaded.signature
        return Prediction(
            request_id=job.request_id,
            unit=self._pseudonyms.of(job.unit),
            at=self._clock(),
            endpoint=job.endpoint,
            model=choice.model,
            version=choice.version,
            experiment=choice.experiment,
            variant=choice.variant,
            epoch=choice.epoch,
            propensity=choice.propensity,
            values=given.values,
            probabilities=given.probabilities,
            classes=signature.classes if signature else (),
            latency_ms=(time.perf_counter() - job.started) * 1_000,
            error=error,
            runtime=_RUNTIME,
            forced=choice.forced,
        )

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Append predictions to the event log; durable when this returns."""
        with self._store.write() as unit:
            unit.log.append(predictions)


def told(job: Job, prediction: Prediction) -> Answer:
    """Return the answer that a recorded prediction stands for, or raise what it failed with."""
    if prediction.error is not None:
        failure = job.loaded.failure
        if isinstance(failure, PalioError):  # told anew: each caller's traceback is its own
            raise type(failure)(failure.message, **failure.details) from failure
        raise PredictionFailed(
            f"{prediction.model}:{prediction.version} failed: {prediction.error}; the failure is "
            "recorded against this version",
            request_id=prediction.request_id,
            version=f"{prediction.model}:{prediction.version}",
        )
    return Answer(
        request_id=prediction.request_id,
        endpoint=prediction.endpoint,
        model=prediction.model,
        version=prediction.version,
        variant=prediction.variant,
        experiment=prediction.experiment,
        predictions=prediction.values,
        probabilities=prediction.probabilities,
        classes=prediction.classes,
    )


def _is_there(unit: DeliveryUnit, key: tuple[str, str]) -> bool:
    """Tell whether a version that was loaded by its name has not been deleted since."""
    try:
        find_version(unit, ":".join(key))
    except NotFound:
        return False
    return True


def _needed(table: Table) -> list[tuple[str, str]]:
    return sorted(
        {(route.model, version) for route in table.routes.values() for version in route.versions}
    )


def _predict(loaded: Loaded, rows: list[list[Cell]]) -> Predictions:
    if loaded.predictor is None:
        raise loaded.failure or NotFound("the version is not loaded")
    given = loaded.predictor.predict(rows)
    if len(given.values) != len(rows):  # nobody could say whose answer is whose
        raise ValueError(f"the model gave {len(given.values)} answers to {len(rows)} rows")
    return given


def _check(request: PredictRequest) -> None:
    if len(request.rows) > _MOST_ROWS:
        raise InvalidInput(
            f"{len(request.rows)} rows were sent at once; send at most {_MOST_ROWS}",
            field="rows",
            value=len(request.rows),
        )
    for name, value in (("unit", request.unit), ("request_id", request.request_id)):
        if value is not None:
            check_id(name, value)
    if request.attributes is not None:
        check_attributes(request.attributes)
    if request.variant is not None and request.version is not None:
        raise InvalidInput("version and variant exclude each other; ask for one", field="variant")


def _text(failed: Exception) -> str:
    lines = str(failed).splitlines()
    said = f"{type(failed).__name__}: {lines[0] if lines else ''}"[:300]
    return said.encode("utf-8", "backslashreplace").decode()  # it repeats what clients sent
