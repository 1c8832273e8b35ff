"""A served store, model types of two versions, keys for an operator and for users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers

import palio
from palio.access.domain import Role

__all__ = ["Command", "World", "tester"]

Command = Callable[..., tuple[int, str]]
SPLIT = {"a": 0.5, "b": 0.5}


@dataclass
class World:
    """The server, and who calls."""

    address: str
    store: str
    operator: str
    tokens: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, *, user: str | None = None) -> Any:
        """Send a request in the operator's name, or in a user's."""
        token = self.operator if user is None else self.token(user)
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.address}/api/v1/ab-tests{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=30)

    def token(self, user: str) -> str:
        """Return the token of a user."""
        if user not in self.tokens:
            with palio.connect(self.store) as opened:
                self.tokens[user] = opened.keys.create(user, Role.VIEWER).secret
        return self.tokens[user]

    def create(self, model_type: str, **fields: Any) -> Any:
        """Create a test of v1.0.0 against v2.0.0, and return it."""
        given = {"name": "Test", "model_type": model_type, "variant_a": "v1.0.0",
                 "variant_b": "v2.0.0", "traffic_split": SPLIT}  # fmt: skip
        answer = self.call("POST", "", given | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def running(self, model_type: str, **fields: Any) -> str:
        """Create and start a test on a model type of its own, and return its id."""
        add_type(self.store, model_type)
        test_id: str = self.create(model_type, **fields)["test_id"]
        assert self.call("POST", f"/{test_id}/start").status_code == 200
        return test_id

    def native(self) -> palio.Palio:
        """Open the same store by Palio's own API."""
        return palio.connect(self.address, key=self.operator)


def add_type(store: str, model_type: str, *, champion: str | None = "v1.0.0") -> None:
    """Register v1.0.0 and v2.0.0 of a model type, the first as its champion."""
    with palio.connect(store) as opened:
        for version, strength in (("v1.0.0", 1.0), ("v2.0.0", 0.001)):
            made = servers.model(strength)
            opened.register(model_type, made, version=version, sample=servers.SAMPLE)
        if champion is not None:
            opened.versions.promote(f"{model_type}:{champion}")


@pytest.fixture(scope="module")
def tester(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server on SQLite, then one on PostgreSQL; each test takes model types of its own."""
    store = module_store
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALIO_ARTIFACTS", str(tmp_path_factory.mktemp("abtests") / "files"))
        with palio.connect(store) as opened:
            operator = opened.keys.create("ops", Role.OPERATOR).secret
        with servers.serving(store, evaluate_s=0) as address:
            yield World(address, store, operator)


@pytest.fixture
def command(tester: World, tmp_path: Path) -> Command:
    """Run ``palio`` in a process of its own on the tester's store: exit code and output."""

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "palio", "--store", tester.store, *map(str, arguments)],
            env=servers.environment(PALIO_ARTIFACTS=os.environ["PALIO_ARTIFACTS"]),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def refused_type(tester: World) -> str:
    """A model type of which no test can be made."""
    add_type(tester.store, "refused")
    return "refused"
