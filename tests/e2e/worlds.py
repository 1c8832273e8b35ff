"""Fixtures of the rooms that test against a server: a store with a model, copied and served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import palio

from . import servers

__all__ = ["World", "home", "serve", "shared", "world", "world_files"]


@dataclass(frozen=True, slots=True)
class World:
    """A store with credit:v1 (champion), credit:v2 and the endpoint credit, and its server."""

    store: str
    address: str
    http: httpx.Client

    @property
    def artifacts(self) -> Path:
        """Where the files of versions lie."""
        return Path(self.store).with_name("palio-artifacts")

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send JSON."""
        return self.http.post(path, json=body, **more)

    def predict(self, *rows: Any, **fields: Any) -> httpx.Response:
        """Ask the endpoint credit; by default about one row."""
        return self.post("/v1/predict/credit", {"rows": rows or [[0.1, 0.2, 0.3]], **fields})

    @contextmanager
    def opened(self) -> Iterator[palio.Palio]:
        """Open the same store in process."""
        with palio.connect(self.store) as found:
            yield found

    @contextmanager
    def remote(self, key: str | None = None) -> Iterator[palio.Palio]:
        """Open it through the server."""
        with palio.connect(self.address, key=key) as found:
            yield found


@pytest.fixture(scope="session")
def world_files(prepared_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a store and its artifacts, to copy others from."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copy(prepared_sqlite, folder / "palio.db")
    with palio.connect(folder / "palio.db") as opened:
        servers.credit(opened)
    return folder


@pytest.fixture
def home(world_files: Path, tmp_path: Path) -> str:
    """Path of a store of one's own, with the model in it."""
    shutil.copytree(world_files, tmp_path / "home")
    return str(tmp_path / "home" / "palio.db")


@pytest.fixture
def world(home: str) -> Iterator[World]:
    """A server of one's own on a store of one's own."""
    with serve(home) as made:
        yield made


@contextmanager
def serve(store: str, **fields: Any) -> Iterator[World]:
    """Serve a store that has the model."""
    with ExitStack() as stack:
        address = stack.enter_context(servers.serving(store, **fields))
        http = stack.enter_context(httpx.Client(base_url=address, timeout=servers.PATIENCE_S))
        yield World(store, address, http)


@pytest.fixture(scope="session")
def shared(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that many tests share: they leave no trace that another could see."""
    folder = tmp_path_factory.mktemp("shared") / "home"
    shutil.copytree(world_files, folder)
    with serve(str(folder / "palio.db")) as made:
        yield made
