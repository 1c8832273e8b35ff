"""A desk: a registry and an engine on a SQLite file, on PostgreSQL, and through a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.dialects.crowetrade import (
    ABTestEngine,
    ModelRegistry,
    ModelType,
    create_ab_test,
    create_model_metadata,
)
from palio.experiments.events import OutcomeDraft

__all__ = ["FEATURES", "ROWS", "Desk", "model"]

ROWS = np.random.default_rng(0).normal(size=(200, 3))
FEATURES = ["returns", "volume", "volatility"]


def model(width: int = 3, strength: float = 1.0) -> Any:
    """Return a small regression on the first columns of the rows."""
    return Ridge(alpha=strength).fit(ROWS[:, :width], ROWS[:, 0])


@dataclass
class Desk:
    """Where the calls are made, and the same store by Palio's own API."""

    folder: Path
    store: str
    registry: ModelRegistry
    engine: ABTestEngine
    native: palio.Palio
    in_process: bool
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def register(self, reference: str, *, width: int = 3, **more: Any) -> str:
        """Register a small model, unless it is there, and return its id."""
        name, _, version = reference.partition(":")
        known = {one.name for one in self.native.models.list()}
        if name in known and version in {one.version for one in self.native.versions.list(name)}:
            return reference
        given = {"model_type": ModelType.SIGNAL, "created_by": "ds", "name": name} | more
        metadata = create_model_metadata(
            model_id=name, version=version, input_features=FEATURES[:width], **given
        )
        return self.registry.register_model(model(width), metadata)

    def test(self, *references: str, **fields: Any) -> str:
        """Create a test of models that are registered for it, and return its id."""
        for number, one in enumerate(references):
            self.register(one, width=2 + number % 2)
        given = {"test_id": f"test-{next(self.numbers)}", "name": "A test", "description": ""}
        given |= {"created_by": "research", "minimum_sample_size": 100, **fields}
        return self.engine.create_test(create_ab_test(model_registry_ids=references, **given))

    def feed(self, test_id: str, returns: Mapping[str, Callable[[int], Any]], n: int) -> None:
        """Let ``n`` requests bring returns by arm, through the native API and at once."""
        units = [f"{test_id}-{next(self.numbers)}-{number}" for number in range(n)]
        given = self.native.experiments.assign_many(test_id, units, record=True)
        by_arm: dict[str, list[str]] = {}
        for one in given:
            by_arm.setdefault(str(one.variant), []).append(one.unit)
        drafts = [
            OutcomeDraft(name="return", value=float(value), unit=unit)
            for arm, own in by_arm.items()
            for unit, value in zip(own, returns[arm](len(own)), strict=True)
        ]
        self.native.outcomes.record(drafts)


def normal(seed: int, mean: float, sd: float = 0.05) -> Callable[[int], Sequence[float]]:
    """Return a source of normal returns."""
    rng = np.random.default_rng(seed)
    return lambda n: rng.normal(mean, sd, size=n).tolist()


@pytest.fixture(scope="module", params=["sqlite", "postgres", "server"])
def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A desk on each kind of store; tests take models of their own."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "registry").mkdir()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as held:
        patch.chdir(folder)
        patch.setenv("PALIO_ARTIFACTS", str(folder / "files"))
        if request.param == "postgres":
            new, prepared = map(request.getfixturevalue, ("new_postgres", "prepared_postgres"))
            store = new(prepared)
            patch.setenv("PALIO_STORE", store)
        else:
            prepared = request.getfixturevalue("prepared_sqlite")
            store = shutil.copy(prepared, str(folder / "registry" / "palio.db"))
        native = held.enter_context(palio.connect(store))
        if request.param == "server":
            patch.setenv("PALIO_CROWETRADE_REGISTRY_PATH", str(folder / "registry"))
            key = native.keys.create("desk", Role.OPERATOR).secret
            address = held.enter_context(servers.serving(store, evaluate_s=0))
            registry = ModelRegistry(address, key=key)
        else:
            registry = ModelRegistry(folder / "registry")
        held.enter_context(registry)
        engine = ABTestEngine(registry, folder / "ab_tests")
        yield Desk(folder, store, registry, engine, native, request.param != "server")
