"""An engine on a store in memory, with models that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from palio.access.domain import Identity, Role
from palio.artifacts.sources import FileSources
from palio.delivery.domain import PredictRequest
from palio.delivery.service import Endpoints
from palio.errors import StoreUnavailable
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant
from palio.experiments.events import Prediction
from palio.experiments.service import Experiments
from palio.registry.domain import Version, VersionDraft
from palio.registry.service import Models
from palio.registry.signature import Cell, Feature, FeatureType, Predictions, Signature, Task
from palio.registry.versions import Versions
from palio.serving.engine import Engine
from palio.testing.fakes import FakeArtifacts, FakeClock, FakeIds
from palio.testing.memory import MemoryStore
from palio.testing.steps import change

SIGNATURE = Signature((Feature("x", FeatureType.NUMBER),), Task.REGRESSION)
Answering = Callable[[list[list[Cell]]], list[Any]]


@dataclass
class FakePredictor:
    """A model that adds a number to x, and keeps every table that it was asked about."""

    plus: float
    tables: list[list[list[Cell]]] = field(default_factory=list)
    answering: Answering | None = None

    def predict(self, table: list[list[Cell]]) -> Predictions:
        self.tables.append(table)
        if self.answering is not None:
            return Predictions(self.answering(table))
        return Predictions([float(row[0] or 0) + self.plus for row in table])


@dataclass
class FakeLoader:
    """Gives version ``v1`` a model that adds 1, and so on; counts what was loaded."""

    loaded: list[str] = field(default_factory=list)
    models: dict[str, FakePredictor] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def load(self, version: Version) -> FakePredictor:
        self.loaded.append(version.version)
        if version.version in self.failures:
            raise self.failures[version.version]
        plus = float(version.version.removeprefix("v"))
        return self.models.setdefault(version.version, FakePredictor(plus))


class WatchedStore:
    """A store that counts units of work, and refuses those it is told to refuse."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.reads = self.writes = 0
        self.refuse_reads = self.refuse_writes = False

    @property
    def audited(self) -> int:
        return self.inner.audited

    @contextmanager
    def read(self) -> Iterator[Any]:
        self.reads += 1
        if self.refuse_reads:
            raise StoreUnavailable("no read is allowed now")
        with self.inner.read() as unit:
            yield unit

    @contextmanager
    def write(self) -> Iterator[Any]:
        self.writes += 1
        if self.refuse_writes:
            raise StoreUnavailable("the disk is full")
        with self.inner.write() as unit:
            yield unit


class House:
    """Nouns and an engine on one store: endpoint ``e`` of model ``m``, versions v1 to v3."""

    def __init__(self, folder: Path) -> None:
        self.memory = MemoryStore()
        self.store = WatchedStore(self.memory)
        self.loader = FakeLoader()
        clock, ids = FakeClock(), FakeIds()
        actor = Identity("ann", Role.ADMIN)
        memory: Any = self.memory
        self.models = Models(store=memory, clock=clock, actor=actor)
        self.versions = Versions(
            store=memory,
            artifacts=FakeArtifacts(),
            sources=FileSources(),
            clock=clock,
            actor=actor,
        )
        self.endpoints = Endpoints(store=memory, clock=clock, actor=actor)
        self.experiments = Experiments(store=memory, clock=clock, ids=ids, actor=actor)
        (folder / "model").write_text("bytes")
        for name in ("v1", "v2", "v3"):
            draft = VersionDraft(version=name, flavor="fake", signature=SIGNATURE)
            self.versions.register("m", draft, folder)
        self.versions.promote("m:v1")
        self.endpoints.create("e", "m")
        store: Any = self.store
        self.engine = Engine(store, self.loader, clock, ids)

    def start_experiment(self, **fields: Any) -> None:
        """Split the endpoint between v1 and v2, unless told otherwise."""
        plain = {
            "key": "x",
            "endpoint": "e",
            "variants": (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
            "metrics": Metrics("squared_error"),
        }
        draft = ExperimentDraft(**plain | fields)
        self.experiments.draft(draft)
        self.experiments.start(draft.key)

    def reweigh(self, **weights: float) -> None:
        """Give the experiment other weights, as those who move them do, and tell the log."""
        with self.memory.write() as unit:
            one = unit.experiments.get("x")
            assert one is not None
            version, epoch = one.policy_version + 1, one.epoch + 1
            moved = replace(one, published=weights, policy_version=version, epoch=epoch)
            unit.experiments.put_many([moved])
            unit.audit.append(change())

    def recorded(self) -> list[Prediction]:
        """Return the predictions in the log."""
        with self.memory.read() as unit:
            entries = unit.log.after(0, limit=100_000)
        return [entry.event for entry in entries if isinstance(entry.event, Prediction)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def ask(*numbers: float, **fields: Any) -> PredictRequest:
    """Return a request with one row for every number."""
    return PredictRequest(endpoint="e", rows=[[number] for number in numbers], **fields)
