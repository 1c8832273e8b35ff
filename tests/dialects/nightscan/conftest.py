"""A served store with models that answer sound, and what a test opens of it."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers

import palio
from palio.artifacts.flavors.torch import TorchFlavor
from palio.dialects import nightscan
from palio.dialects.nightscan import ModelMetadata, ModelStatus, metadata, opening
from palio.dialects.nightscan.networks import prepared
from palio.registry.signature import Signature

if not find_spec("torch") and not os.environ.get("PALIO_CI"):
    pytest.skip("needs torch", allow_module_level=True)

LABELS = ["owl", "hawk", "sparrow", "robin"]
SAMPLES = 64  # of the small models


def network(seed: int, *, samples: int = SAMPLES, end: Any = None) -> Any:
    """Return a small convolutional network over samples, which answers four scores."""
    torch: Any = import_module("torch")
    nn = torch.nn
    torch.manual_seed(seed)
    layers = [nn.Unflatten(1, (1, samples)), nn.Conv1d(1, 6, 16, 8), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, len(LABELS))]
    return nn.Sequential(*layers, *([] if end is None else [end]))


def broken(seed: int) -> Any:
    """Return a network that gives no numbers where the first sample is below -1."""
    torch: Any = import_module("torch")

    class Broken(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = network(seed)

        def forward(self, sound: Any) -> Any:
            return self.inner(sound) + 0 * torch.log(sound[:, :1] + 1)

    return Broken()


@cache
def exported(kind: str, seed: int) -> tuple[Path, Signature]:
    """Return a small network as a file, exported once a run, and what it takes."""
    model, signature = prepared(
        broken(seed) if kind == "broken" else network(seed), [SAMPLES], LABELS
    )
    folder = Path(tempfile.mkdtemp(prefix="palio-nightscan-"))
    atexit.register(shutil.rmtree, folder)
    TorchFlavor().save(model, folder, signature)
    return folder / "model.pt2", signature


def described(model_id: str, version: str, **fields: Any) -> ModelMetadata:
    """Return metadata as the document gives them, for a small model unless told otherwise."""
    given: dict[str, Any] = {
        "name": f"{model_id} {version}",
        "description": "Improved accuracy with new training data",
        "created_at": datetime(2026, 11, 2, 8, 30),  # noqa: DTZ001 - as the document has it
        "status": ModelStatus.TRAINING,
        "framework": "pytorch",
        "architecture": "resnet18",
        "dataset_version": "v1.5",
        "training_config": {"epochs": 100, "samples": SAMPLES, "labels": LABELS},
        "metrics": {"accuracy": 0.95, "precision": 0.93, "recall": 0.92, "f1_score": 0.925},
        "tags": ["production", "high-accuracy"],
    }
    return ModelMetadata(model_id=model_id, version=version, **(given | fields))


@dataclass
class World:
    """A store with its server, and the folder in which everything is run."""

    store: str
    address: str
    folder: Path

    def native(self) -> palio.Palio:
        """Open the store by Palio's own API."""
        return palio.connect(self.store)

    def model(self, model_id: str, *versions: str, last: str = "network") -> str:
        """Register small models, the last one perhaps ``broken``; return the model's id."""
        with self.native() as opened:
            opening.ensure_model(opened.verbs, model_id)
            for number, version in enumerate(versions):
                kind = last if number == len(versions) - 1 else "network"
                file, signature = exported(kind, number)
                said = metadata.described(described(model_id, version))
                opened.register(model_id, file, signature=signature, **said)
        return model_id

    def experiment(self, key: str, model_id: str, **fields: Any) -> str:
        """Create and start an experiment of v1 against v2, and return its id."""
        manager = nightscan.get_ab_test_manager()
        manager.create_experiment(configured(key, model_id, **fields))
        manager.start_experiment(key)
        return key

    def send(self, path: str, **request: Any) -> httpx.Response:
        """Send a POST to the server."""
        return httpx.post(f"{self.address}/api/v1{path}", timeout=servers.PATIENCE_S, **request)

    def run(self, capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
        """Run ``palio nightscan`` with a command line; exit code and output."""
        from palio.__main__ import main  # noqa: PLC0415 - as the command does

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["palio", "nightscan", *shlex.split(line)])
            with pytest.raises(SystemExit) as ended:
                main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err


def configured(key: str, model_id: str, **fields: Any) -> nightscan.ExperimentConfig:
    """Return the document's experiment, of v1 against v2."""
    given: dict[str, Any] = {
        "name": "Test v2 vs v1 Accuracy",
        "description": "Compare new model version against current production",
        "model_variants": {"control": f"{model_id}:v1", "treatment": f"{model_id}:v2"},
        "traffic_allocation": {"control": 70.0, "treatment": 30.0},
        "success_metrics": ["accuracy", "confidence", "inference_time"],
        "minimum_sample_size": 1000,
        "maximum_duration_days": 14,
        "confidence_level": 0.95,
    }
    return nightscan.ExperimentConfig(experiment_id=key, **(given | fields))


@pytest.fixture(scope="module")
def served(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server on SQLite, then one on PostgreSQL; each test takes models of its own."""
    folder = tmp_path_factory.mktemp("nightscan")
    store = module_store
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALIO_ARTIFACTS", str(folder / "files"))
        patch.setenv("PALIO_STORE", store)
        patch.chdir(folder)
        patch.setattr("palio.delivery.tally._USE_S", 0.2)  # a deployment waits for it
        with servers.serving(store, evaluate_s=0.5, control_s=0.5) as address:
            yield World(store, address, folder)


@pytest.fixture
def world(served: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The served store, the current folder being its own; what is opened is closed."""
    monkeypatch.setenv("PALIO_STORE", served.store)
    monkeypatch.setenv("PALIO_ARTIFACTS", str(served.folder / "files"))
    monkeypatch.chdir(served.folder)
    with closing(monkeypatch):
        yield served


class closing:  # noqa: N801 - a context
    """Close every Palio that the dialect opens meanwhile."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._opened: list[Any] = []
        connect: Callable[..., Any] = opening.connect

        def remembered(*given: Any, **named: Any) -> Any:
            self._opened.append(connect(*given, **named))
            return self._opened[-1]

        patch.setattr(opening, "connect", remembered)

    def __enter__(self) -> None:
        opening._opened.cache_clear()

    def __exit__(self, *_: object) -> None:
        for session in self._opened:
            atexit.unregister(session.__exit__)
            session.close()
        opening._opened.cache_clear()
