"""A served store in a folder with model files, and the document's own commands."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tests.e2e import servers

import palio
from palio.access.domain import Role

__all__ = ["COMMANDS", "MODEL", "ROW", "Guide", "arguments"]

MODEL = "main"  # of the dialect's settings, where nothing else is set
ROW = {"age": 41, "income": 52.5, "debt": 0.25}
PLACE = "http://localhost:8000"
_TEXT = (Path(__file__).parent / "commands.sh").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Sequence[str]] = {
    name: [one.strip() for one in re.split(r"(?m)^(?=curl )", text) if one.strip()]
    for name, text in re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", _TEXT)
}


def arguments(command: str) -> tuple[str, str, dict[str, str], str | None]:
    """Return method, address, headers and body of a curl line, read as a shell reads it."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    method, headers, body, address = None, {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        else:
            address = word
    return method or ("GET" if body is None else "POST"), address, headers, body


@dataclass(frozen=True)
class Guide:
    """The server, and who calls."""

    address: str
    store: str
    artifacts: str
    folder: Path
    key: str
    http: httpx.Client

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send JSON with the key."""
        given = {} if body is None else {"json": body}
        return self.http.request(method, path, **given, **more)

    def get(self, path: str) -> Any:
        """Get what must be there."""
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, text: str) -> httpx.Response:
        """Run one of the document's commands: its address and key are those of this server."""
        method, address, headers, body = arguments(text)
        assert address.startswith(PLACE)
        assert headers["X-API-Key"] == "your-api-key"
        return self.http.request(
            method,
            address.removeprefix(PLACE),
            headers=headers | {"X-API-Key": self.key},
            content=body,
        )

    def run(self, *names: str) -> Any:
        """Run named commands, which must succeed, and return the last answer."""
        answers = [self.command(text) for name in names for text in COMMANDS[name]]
        for answer in answers:
            assert answer.status_code in {200, 201}, answer.text
        return answers[-1].json()

    def register(self, version: str, file: str = "credit_model_v1.pkl", **fields: Any) -> Any:
        """Register a version of a model file, and return it."""
        body = {"version": version, "name": f"Model {version}", "model_path": f"models/{file}"}
        answer = self.send("POST", "/registry/models", body | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def weigh(self, **weights: float) -> httpx.Response:
        """Set weights; an underscore stands for a dot."""
        named = {name.replace("_", "."): weight for name, weight in weights.items()}
        return self.send("POST", "/registry/ab-test/weights", named)

    def predict(self, row: Any = None, **more: Any) -> Any:
        """Ask for one prediction, which must succeed."""
        answer = self.send("POST", "/predict", {"features": row or ROW, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def statuses(self) -> dict[str, str]:
        """Return the status of every version."""
        return {one["version"]: one["status"] for one in self.get("/registry/models")}

    @contextmanager
    def opened(self) -> Iterator[palio.Palio]:
        """Open the same store by Palio's own face."""
        with palio.connect(self.store, artifacts=self.artifacts) as found:
            yield found

    def shown(self, *actions: str) -> list[Any]:
        """Return the entries of the audit log on these actions."""
        with self.opened() as opened:
            return [one for one in opened.audit.list(limit=1_000) if one.action in actions]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents' model files, and some that are not as they should be."""
    folder = tmp_path_factory.mktemp("guide") / "models"
    folder.mkdir()
    drawn = np.random.default_rng(11).normal(size=(300, 3))
    frame = pl.DataFrame(drawn, schema=list(ROW)).to_pandas()
    rejected = (drawn[:, 2] - drawn[:, 1] > 0).astype(int)
    scaler = StandardScaler().fit(frame)
    scaled = scaler.transform(frame)
    square = pl.DataFrame(np.eye(3), schema=list(ROW)).to_pandas()
    inverse = make_pipeline(FunctionTransformer(np.linalg.inv), LogisticRegression())
    contents = {
        "credit_model_v1.pkl": LogisticRegression(C=1.0).fit(frame, rejected),
        "credit_model_v1_1.pkl": LogisticRegression(C=0.1).fit(scaled, rejected),
        "credit_model_v1_2.pkl": LogisticRegression(C=0.01).fit(frame, rejected),
        "preprocessor_v1.pkl": scaler,
        "preprocessor_v1_1.pkl": scaler,
        "wide.pkl": LogisticRegression().fit(drawn[:, :2], rejected),
        "failing.pkl": inverse.fit(square, [0, 1, 1]),  # of one row there is no inverse
        "no_model.pkl": {"weights": [1, 2]},
    }
    for name, one in contents.items():
        (folder / name).write_bytes(pickle.dumps(one))
    (folder / "corrupt.pkl").write_bytes(b"\x80\x04 no pickle at all")
    (folder / "notes.txt").write_text("trained in November")
    return folder


Opener = Callable[..., AbstractContextManager[Guide]]


@contextmanager
def _served(store: str, folder: Path, files: Path, **fields: Any) -> Iterator[Guide]:
    """Serve a store from a folder with the model files in it."""
    artifacts = str(folder / "artifacts")
    shutil.copytree(files, folder / "served" / "models")
    with contextlib.chdir(folder / "served"):
        with palio.connect(store, artifacts=artifacts) as found:
            key = found.keys.create("ann", Role.OPERATOR).secret
        given = {"source_roots": (Path("models"),), "allow_pickle": True, "artifacts": artifacts}
        with (
            servers.serving(store, **(given | fields)) as address,
            httpx.Client(base_url=address, headers={"X-API-Key": key}, timeout=30) as http,
        ):
            yield Guide(address, store, artifacts, folder / "served", key, http)


@pytest.fixture
def opener(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Serve a store from a folder of the test's own."""
    monkeypatch.setenv("AB_TESTING_ENABLED", "true")
    return lambda store, **fields: _served(store, tmp_path, files, **fields)


@pytest.fixture(scope="module")
def untouched(
    files: Path, prepared_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guide]:
    """A server that tests share in which nothing is registered, before or after."""
    folder = tmp_path_factory.mktemp("untouched")
    store = shutil.copy(prepared_sqlite, str(folder / "palio.db"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AB_TESTING_ENABLED", "true")
        with _served(store, folder, files) as found:
            yield found


@pytest.fixture
def guide(store_url: str, opener: Opener) -> Iterator[Guide]:
    """A server on a store of its own: SQLite, then PostgreSQL."""
    with opener(store_url) as found:
        yield found


def said(answer: httpx.Response) -> tuple[int, str]:
    """Return the status of a refusal and what it says."""
    return answer.status_code, json.loads(answer.text)["detail"]


def until(seen: Callable[[], Any]) -> Any:
    """Return what is seen once there is something, within the patience of a busy machine."""
    ends = time.monotonic() + servers.PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return found
