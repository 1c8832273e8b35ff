"""The engine: routes and loaded models in memory; admits requests, answers and records them.

The snapshot {routes, models} is immutable and swapped by one reference: requests in flight keep
the one they were admitted under. No request reads the store, but for the variants that units of
sticky experiments keep.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Protocol

from palio.delivery.domain import Answer, Choice, PredictRequest, Table
from palio.delivery.features import FeatureTally
from palio.delivery.loaded import InMemory, VersionInMemory
from palio.delivery.ports import DeliveryUnit
from palio.delivery.service import routing_table
from palio.delivery.tally import Tally
from palio.errors import InvalidInput, NotFound, PalioError, PredictionFailed, StoreUnavailable
from palio.experiments.designs.audience import check_attributes
from palio.experiments.events import Fallback, Prediction, check_id
from palio.experiments.privacy.marks import ERASED, StoreMark
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.ports import Clock, Ids, Store
from palio.registry.domain import Version, parted
from palio.registry.finding import find_version
from palio.registry.ports import Loader
from palio.registry.signature import Cell
from palio.serving.deadlines import Deadlines
from palio.serving.fallbacks import with_fallbacks
from palio.serving.jobs import Given, Job, Loaded, asked_together
from palio.serving.paired import with_others
from palio.serving.sticky import StickyCache
from palio.serving.warming import warmed

__all__ = ["Engine", "RevisedStore", "Snapshot", "told"]

_MOST_ROWS = 10_000
_KEPT_BESIDE = 8  # versions that stay loaded though no route needs them: asked for, or left
_RUNTIME = "local"


class RevisedStore(Store[DeliveryUnit], Protocol):
    """A store that counts the changes of state this process has made."""

    @property
    def audited(self) -> int:
        """Audit entries committed by this process so far; costs nothing to read."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Routes and the models they need, as they stood at one revision."""

    table: Table
    models: Mapping[tuple[str, str], Loaded]


class Engine:
    """Routes, models, and the three steps of a request. Safe to share between threads.

    Versions that routes need are asked once before they serve; ``warming_s`` is what they have
    for it, and where it is not given nobody is asked: a caller in process would wait for it as
    for the first answer.
    """

    def __init__(
        self,
        store: RevisedStore,
        loader: Loader,
        clock: Clock,
        ids: Ids,
        *,
        pseudonyms: Pseudonyms = AS_SENT,
        tally: Tally | None = None,
        features: FeatureTally | None = None,
        told: Callable[[Sequence[Prediction]], object] = lambda _: None,
        warming_s: float | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._features = features or FeatureTally()
        self._told = told
        self._store = store
        self._loader = loader
        self._clock = clock
        self._ids = ids
        self._pseudonyms = pseudonyms
        self._warming_s = warming_s
        self._deadlines = Deadlines()
        self._ask = partial(asked_together, deadlines=self._deadlines)
        self._refreshing = Lock()
        self._audited = -1
        self._named: dict[tuple[str, str], Loaded] = {}
        self._sticky = StickyCache()
        self._erasures: StoreMark | None = None
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
                changed = unit.revision() != self.snapshot.table.revision
                if changed or self._is_waiting():
                    table = routing_table(unit)
                    erasures = unit.marks.get(ERASED)
                    known = self._known(unit)
                    missing = [key for key in _needed(table) if key not in known]
                    new = {key: find_version(unit, ":".join(key)) for key in missing}
                else:
                    table, erasures = self.snapshot.table, self._erasures
            if table is not self.snapshot.table:  # files are read with no transaction open
                self._serve(
                    table, known | {key: self._warmed(self._load(one)) for key, one in new.items()}
                )
                self._sticky.forget(
                    all_but=_experiments(table) if erasures == self._erasures else ()
                )
                self._erasures = erasures
            self._audited = audited

    def _is_waiting(self) -> bool:
        """Tell whether a version is missing only because its files could not be reached."""
        loaded = self.snapshot.models.values()
        return any(isinstance(one.failure, StoreUnavailable) for one in loaded)

    def _known(self, unit: DeliveryUnit) -> dict[tuple[str, str], Loaded]:
        """Return what is in memory and still there; what failed may load now."""
        models = self._named | dict(self.snapshot.models)
        return {
            key: one for key, one in models.items() if not one.failure and _is_there(unit, key)
        }

    def _serve(self, table: Table, models: Mapping[tuple[str, str], Loaded]) -> None:
        """Swap the snapshot; what it does not need stays in memory for a way back, to a limit.

        What was held and is so no longer has been let go by somebody, and leaves memory.
        """
        needed = {key: models[key] for key in _needed(table)}
        let_go = _held(self.snapshot.table) - _held(table)
        beside = [(key, one) for key, one in models.items() if key not in needed.keys() | let_go]
        self._named = dict(beside[-_KEPT_BESIDE:])
        self.snapshot = Snapshot(table, needed)

    def _warmed(self, loaded: Loaded) -> Loaded:
        if self._warming_s is None:
            return loaded
        return warmed(loaded, self._ask, timeout_s=self._warming_s)

    def _load(self, version: Version) -> Loaded:
        names = (version.model, version.version, version.signature)
        try:
            return Loaded(*names, self._loader.load(version))
        except Exception as failure:  # noqa: BLE001 - one broken version must not stop the others
            return Loaded(*names, None, failure)

    @property
    def references(self) -> tuple[str, ...]:
        """The versions in memory that can answer."""
        models = {**self.snapshot.models, **self._named}
        return tuple(sorted(":".join(key) for key, one in models.items() if not one.failure))

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
            self._named = dict(list(self._named.items())[1 - _KEPT_BESIDE :])
            self._named[choice.model, choice.version] = loaded
        return loaded

    def in_memory(self, endpoint: str) -> InMemory:
        """Return what of an endpoint is in memory here, and why the rest is not."""
        snapshot = self.snapshot
        route = snapshot.table.route(endpoint)
        held = {(route.model, version) for version in route.held}
        return InMemory(
            endpoint=endpoint,
            process=f"{socket.gethostname()}:{os.getpid()}",
            revision=snapshot.table.revision,
            versions=tuple(
                self._seen(key, snapshot.models[key], held=key in held) for key in route.versions
            ),
        )

    def _seen(self, key: tuple[str, str], loaded: Loaded, *, held: bool) -> VersionInMemory:
        hanging = self._deadlines.is_hanging(key)
        failure = loaded.failure
        return VersionInMemory(
            model=loaded.model,
            version=loaded.version,
            ready=loaded.predictor is not None and not hanging,
            held=held,
            error=None if failure is None else _text_of(failure),
            cold=loaded.cold,
            hanging=hanging,
        )

    def choose(self, request: PredictRequest) -> tuple[str, str, Choice]:
        """Return request id, unit and version of a request."""
        _check(request)
        request_id = request.request_id or self._ids("req_")
        unit = request.unit or request_id
        route = self.snapshot.table.route(request.endpoint)
        if request.variant is not None:
            choice = route.force(request.variant)
        else:
            choice = route.choose(unit, request.version, request.attributes, request_id=request_id)
        return request_id, request_id if choice.by_request else unit, choice

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
        route = self.snapshot.table.route(request.endpoint)
        job = Job(request_id, unit, request, route, choice, loaded, [])
        if loaded.signature is not None:
            job.rows = loaded.signature.table(request.rows)
        elif job.fallback is None and (choice.experiment is None or choice.others):
            # else it is the variant's failure, and recorded as one
            if isinstance(loaded.failure, PalioError):
                raise loaded.failure
            raise NotFound(
                f"{choice.model}:{choice.version} was registered without a signature and cannot "
                "serve; register it with one",
                kind="signature",
                name=f"{choice.model}:{choice.version}",
            )
        return job

    def answer(self, jobs: Sequence[Job]) -> list[Prediction]:
        """Predict; jobs of one version go through its model together.

        What a version fails to answer is answered by the champion, where the endpoint says so.

        Units of sticky experiments are first given the variants they keep, by one look at the
        store for all jobs. Other variants of paired experiments score after all answers are
        there: that is no part of an answer's latency, but whoever asked waits for it, since it
        is recorded with the answer.
        """
        self._settle(jobs)
        given = self._ask(jobs)
        self._keep_features(jobs)
        predictions = [self._prediction(*one) for one in zip(jobs, given, strict=True)]
        predictions = with_fallbacks(jobs, predictions, find=self._found, ask=self._ask)
        return with_others(jobs, given, predictions, find=self._found, ask=self._ask)

    def _keep_features(self, jobs: Sequence[Job]) -> None:
        asked: dict[int, tuple[Loaded, list[list[Cell]]]] = {}
        for job in jobs:
            asked.setdefault(id(job.loaded), (job.loaded, []))[1].extend(job.rows)
        for loaded, rows in asked.values():
            signature = loaded.signature
            if signature is not None and not signature.has_arrays:  # sound has no bins
                served = (loaded.model, loaded.version)
                self._features.add(served, signature.features, rows)

    def _settle(self, jobs: Sequence[Job]) -> None:
        """Give units of sticky experiments the variants they keep."""
        now = self._clock()
        kept_as = self._pseudonyms.of
        drawn = [(job, job.choice.drawn(kept_as(job.unit), now)) for job in jobs]
        sticky = [(job, one) for job, one in drawn if one is not None]
        if not sticky:
            return
        kept = self._sticky.settle(self._store, [one for _, one in sticky])
        for job, one in sticky:
            job.choice = job.choice.keeping(kept[one.key])
            job.loaded = self._found(job.choice)

    def _found(self, choice: Choice) -> Loaded:
        """Return a version that an experiment serves; why not, if it is gone by now."""
        try:
            return self.loaded(choice) or self.load(choice)
        except PalioError as failure:
            return Loaded(choice.model, choice.version, None, None, failure)

    def _prediction(self, job: Job, given: Given) -> Prediction:
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
            latency_ms=(given.ended - job.started) * 1_000,
            error=given.error,
            runtime=_RUNTIME,
            forced=choice.forced,
            policy_version=choice.policy_version,
            segments=choice.segments,
        )

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Append predictions to the event log; durable when this returns."""
        with self._store.write() as unit:
            unit.log.append(predictions)
        self._tally.add(predictions)
        self._told(predictions)


def told(job: Job, prediction: Prediction) -> Answer:
    """Return the answer that a recorded prediction stands for, or raise what it failed with."""
    given: Prediction | Fallback = prediction
    if prediction.error is not None:
        if prediction.fallback is None or prediction.fallback.error is not None:
            raise _failure(job, prediction)
        given = prediction.fallback
    return Answer(
        request_id=prediction.request_id,
        endpoint=prediction.endpoint,
        model=given.model,
        version=given.version,
        variant=prediction.variant,
        experiment=prediction.experiment,
        predictions=given.values,
        probabilities=given.probabilities,
        classes=given.classes,
        fallback=given is not prediction,
    )


def _failure(job: Job, prediction: Prediction) -> PalioError:
    failed, fallback = job.loaded.failure, prediction.fallback
    if fallback is None and isinstance(failed, PalioError):
        again = type(failed)(
            failed.message, **failed.details
        )  # each caller's traceback is its own
        again.__cause__ = failed
        return again
    second = (
        ""
        if fallback is None
        else (f"; the champion, {fallback.model}:{fallback.version}, failed too: {fallback.error}")
    )
    return PredictionFailed(
        f"{prediction.model}:{prediction.version} failed: {prediction.error}{second}; the failure "
        "is recorded against this version",
        request_id=prediction.request_id,
        version=f"{prediction.model}:{prediction.version}",
    )


def _text_of(failure: Exception) -> str:
    """Return why a version is not in memory; what libraries raise has its type in front."""
    if isinstance(failure, PalioError):
        return failure.message
    return f"{type(failure).__name__}: {failure}"


def _is_there(unit: DeliveryUnit, key: tuple[str, str]) -> bool:
    """Tell whether a version that was loaded by its name has not been deleted since."""
    try:
        find_version(unit, ":".join(key))
    except NotFound:
        return False
    return True


def _experiments(table: Table) -> set[str]:
    return {one.experiment for route in table.routes.values() for one in route.experiments}


def _held(table: Table) -> set[tuple[str, str]]:
    """Return the versions that somebody has asked to be kept in memory."""
    return {
        parted(version, route.model) for route in table.routes.values() for version in route.held
    }


def _needed(table: Table) -> list[tuple[str, str]]:
    return sorted({key for route in table.routes.values() for key in route.versions})


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
