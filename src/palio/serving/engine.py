"""The engine: routes and loaded models in memory; admits requests, answers and records them.

The snapshot {routes, models} is immutable and swapped by one reference: requests in flight keep
the one they were admitted under. No request reads the store, but for the variants that units of
sticky experiments keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from palio.delivery.domain import Answer, Choice, PredictRequest, Table
from palio.delivery.ports import DeliveryUnit
from palio.delivery.service import routing_table
from palio.delivery.tally import Tally
from palio.errors import InvalidInput, NotFound, PalioError, PredictionFailed, StoreUnavailable
from palio.experiments.designs.audience import check_attributes
from palio.experiments.events import Prediction, check_id
from palio.experiments.privacy.marks import ERASED, StoreMark
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.ports import Clock, Ids, Store
from palio.registry.domain import Version
from palio.registry.finding import find_version
from palio.registry.ports import Loader
from palio.serving.jobs import Given, Job, Loaded, asked_together
from palio.serving.paired import with_others
from palio.serving.sticky import StickyCache

__all__ = ["Engine", "RevisedStore", "Snapshot", "told"]

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
class Snapshot:
    """Routes and the models they need, as they stood at one revision."""

    table: Table
    models: Mapping[tuple[str, str], Loaded]


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
        tally: Tally | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._store = store
        self._loader = loader
        self._clock = clock
        self._ids = ids
        self._pseudonyms = pseudonyms
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
                    named = self._named.items()
                    self._named = {  # what failed may load now: it was signed, or is back
                        key: one for key, one in named if not one.failure and _is_there(unit, key)
                    }
                    new = {key: find_version(unit, ":".join(key)) for key in self._missing(table)}
                else:
                    table, new, erasures = self.snapshot.table, {}, self._erasures
            if table is not self.snapshot.table:  # files are read with no transaction open
                self.snapshot = Snapshot(table, self._models(table, new))
                self._sticky.forget(
                    all_but=_experiments(table) if erasures == self._erasures else ()
                )
                self._erasures = erasures
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

        Units of sticky experiments are first given the variants they keep, by one look at the
        store for all jobs. Other variants of paired experiments score after all answers are
        there: that is no part of an answer's latency, but whoever asked waits for it, since it
        is recorded with the answer.
        """
        self._settle(jobs)
        given = asked_together(jobs)
        predictions = [self._prediction(*one) for one in zip(jobs, given, strict=True)]
        return with_others(jobs, given, predictions, self._found)

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
            values=given.predictions.values,
            probabilities=given.predictions.probabilities,
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


def _experiments(table: Table) -> set[str]:
    return {one.experiment for route in table.routes.values() for one in route.experiments}


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
