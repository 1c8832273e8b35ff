"""A model registered here and asked in another process, and one without a library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import palio

_ASK = """
import dataclasses, json, sys, palio
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.loader import ArtifactLoader
with palio.connect(sys.argv[1], artifacts=sys.argv[2]) as p:
    version = p.versions.get("m:v1")
predictor = ArtifactLoader(FsspecArtifactStore(sys.argv[2])).load(version)
answered = predictor.predict(json.load(sys.stdin))
print(json.dumps({"flavor": version.flavor, **dataclasses.asdict(answered)}))
"""

_WITHOUT = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from pathlib import Path
from sklearn.linear_model import LinearRegression
from palio.artifacts.flavors import named, recognise
from palio.errors import MissingExtra
path = Path(sys.argv[3])
assert recognise(LinearRegression()).name == "sklearn"
flavor = recognise(path)
assert flavor.name == sys.argv[2], flavor.name
try:
    flavor.restore({path.name: path.read_bytes()})
except MissingExtra as error:
    print(error)
"""


def _run(code: str, *arguments: object, **other: Any) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **other,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def asked_elsewhere(
    folder: Path, model: object, sample: Any, rows: Any, **other: Any
) -> dict[str, Any]:
    """Register a model and return what another process answers to the rows."""
    store, artifacts = folder / "palio.db", folder / "artifacts"
    with palio.connect(store, artifacts=artifacts) as opened:
        opened.register("m", model, version="v1", sample=sample, **other)
    found: dict[str, Any] = json.loads(_run(_ASK, store, artifacts, input=json.dumps(rows)))
    return found


def told_without(library: str, flavor: str, path: Path) -> str:
    """Return what a process without the library says to a file of the flavor."""
    return _run(_WITHOUT, library, flavor, path)
