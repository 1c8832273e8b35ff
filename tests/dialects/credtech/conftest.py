"""A store with three models, the dialect's files beside it, its commands, a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers

import palio
from palio import platform
from palio.cli.app import run

MODELS = {"model_v1": 1.0, "model_v2": 0.05, "v3.0.0": 0.001}
"""Versions by the strength of their fit: each answers otherwise."""
Cli = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Town:
    """A store, and where the dialect's files lie."""

    store: str
    registry: Path
    log: Path

    @contextmanager
    def native(self) -> Iterator[palio.Palio]:
        """Open the store by Palio's own face."""
        with palio.connect(self.store) as opened:
            yield opened

    def read(self, path: str) -> Any:
        """Read a JSON file of the registry's folder."""
        return json.loads((self.registry / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def town(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The settings of a module name one store and one folder."""
    folder = tmp_path_factory.mktemp("town")
    made = Town(
        module_store, folder / "models" / "registry", folder / "logs" / "credtech_xscore.log"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALIO_STORE", module_store)
        patch.setenv("PALIO_ARTIFACTS", str(folder / "artifacts"))
        patch.setenv("PALIO_ACTOR", "alice")
        patch.setenv("PALIO_CREDTECH_REGISTRY", str(made.registry))
        patch.setenv("PALIO_CREDTECH_LOG_FILE", str(made.log))
        patch.setenv("PALIO_CREDTECH_REFRESH_S", "0.2")
        yield made


@pytest.fixture(scope="module")
def stocked(town: Town) -> Town:
    """Three models, registered natively in the native lifecycle; the first is production."""
    with town.native() as opened:
        for name, strength in MODELS.items():
            opened.register(
                "credtech",
                servers.model(strength),
                version=name,
                sample=servers.SAMPLE,
                metrics={"roc_auc": strength},
                description=f"strength {strength}",
            )
        opened.versions.promote("credtech:model_v1")
    return town


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command as `palio credtech …`: exit code, what it printed, what it complained of."""

    def call(*arguments: object) -> tuple[int, str, str]:
        given = ["credtech", *(str(one) for one in arguments)]
        code = run(platform, given, groups=platform.groups())
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture
def told(cli: Cli) -> Callable[..., Any]:
    """Run a command that succeeds silently, for what it tells programs."""

    def call(*arguments: object) -> Any:
        code, out, err = cli(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


@pytest.fixture(scope="module")
def http(stocked: Town) -> Iterator[httpx.Client]:
    """A server on the stocked store."""
    with (
        servers.serving(stocked.store) as address,
        httpx.Client(base_url=address, timeout=servers.PATIENCE_S) as client,
    ):
        yield client


@pytest.fixture
def experiment(stocked: Town, told: Callable[..., Any]) -> Iterator[str]:
    """An experiment of three models, 50, 30 and 20 percent; stopped in the end."""
    names = ",".join(MODELS)
    made = told("create-experiment", "Drei Modelle", "--model-ids", names,
                "--traffic-split", "50,30,20")["experiment_id"]  # fmt: skip
    yield made
    with stocked.native() as opened:
        if opened.experiments.get(made).ended_at is None:
            opened.experiments.stop(made, "the test is over")
