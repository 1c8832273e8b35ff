"""Every flavor: saved here, registered over HTTP, loaded elsewhere, and the answers are the same.

Three processes: this one registers, a server keeps and serves, a third loads by reference.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnxruntime
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import palio
from palio.artifacts.flavors import FLAVORS

from .servers import LABELS, PATIENCE_S, SAMPLE, Process, environment, start

ROWS = SAMPLE[:20]
FLOAT32 = 2.0**-23  # one unit in the last place: what a float32 on another path may differ by
_LOAD = """
import json, sys, palio
with palio.connect(sys.argv[1]) as p:
    answered = p.load(sys.argv[2]).predict(json.load(sys.stdin))
print(json.dumps([answered.values, answered.probabilities]))
"""


@dataclass(frozen=True)
class Case:
    """A model, and what its own library answers to ``ROWS``, before it was saved."""

    given: Any
    probabilities: list[list[float]]
    more: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0


def binary(scores: Any) -> list[list[float]]:
    """Return the probabilities of both classes, given those of the second."""
    ones = np.asarray(scores, dtype=float).ravel()
    return np.column_stack([1 - ones, ones]).tolist()


def sklearn(_: Path) -> Case:
    model = LogisticRegression().fit(SAMPLE, LABELS)
    return Case(model, model.predict_proba(ROWS).tolist())


def with_preprocessor(_: Path) -> Case:
    scaler = StandardScaler().fit(SAMPLE)
    model = LogisticRegression().fit(scaler.transform(SAMPLE), LABELS)
    expected = model.predict_proba(scaler.transform(ROWS)).tolist()
    return Case(model, expected, {"preprocessor": scaler})


def onnx(_: Path) -> Case:
    model = LogisticRegression().fit(SAMPLE, LABELS)
    proto = to_onnx(model, SAMPLE[:1].astype(np.float32), options={"zipmap": False})
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    expected = session.run(["probabilities"], {"X": ROWS.astype(np.float32)})[0]
    return Case(proto, expected.astype(float).tolist())


def xgb(_: Path) -> Case:
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(SAMPLE, LABELS)
    return Case(model, model.predict_proba(ROWS).astype(float).tolist())


def lgbm(_: Path) -> Case:
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(SAMPLE, LABELS)
    return Case(model, model.predict_proba(ROWS).tolist())


def pickled(folder: Path) -> Case:
    model = LogisticRegression().fit(SAMPLE, LABELS)
    joblib.dump(model, folder / "model.joblib")
    given = folder / "model.joblib"
    return Case(given, model.predict_proba(ROWS).tolist(), {"flavor": "pickled"})


def callables(_: Path) -> Case:
    def chance(rows: Any) -> Any:
        return 1 / (1 + np.exp(-rows.sum(axis=1)))

    class Own:
        classes_ = np.array([0, 1])

        def predict(self, rows: Any) -> Any:
            return (chance(rows) > 0.5).astype(int)

        def predict_proba(self, rows: Any) -> Any:
            return np.column_stack([1 - chance(rows), chance(rows)])

    return Case(Own(), Own().predict_proba(ROWS).tolist())


def torch(_: Path) -> Case:
    library: Any = import_module("torch")
    library.manual_seed(3)
    nn = library.nn
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid()).eval()
    with library.inference_mode():
        scores = model(library.tensor(ROWS, dtype=library.float32)).numpy()
    return Case(model, binary(scores), {"target": LABELS}, FLOAT32)


def keras(_: Path) -> Case:
    library: Any = import_module("keras")
    library.utils.set_random_seed(3)
    layers = [library.Input((3,)), library.layers.Dense(2, activation="softmax")]
    model = library.Sequential(layers)
    scores = np.array(model(ROWS.astype(np.float32)))
    return Case(model, scores.astype(float).tolist(), {"target": LABELS}, FLOAT32)


def mlflow(folder: Path) -> Case:
    model = LogisticRegression().fit(SAMPLE, LABELS)
    signature = import_module("mlflow.models").infer_signature(SAMPLE, model.predict_proba(SAMPLE))
    import_module("mlflow.sklearn").save_model(
        model,
        folder / "saved",
        signature=signature,
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["scikit-learn"],
    )
    expected = model.predict_proba(ROWS).tolist()
    return Case(folder / "saved", expected, {"sample": SAMPLE, "target": LABELS})


CASES: dict[str, tuple[str, Callable[[Path], Case]]] = {
    "sklearn": ("sklearn", sklearn),
    "sklearn with a preprocessor": ("sklearn", with_preprocessor),
    "onnx": ("onnx", onnx),
    "xgboost": ("xgboost", xgb),
    "lightgbm": ("lightgbm", lgbm),
    "pickled": ("pickled", pickled),
    "callables": ("callables", callables),
    "torch": ("torch", torch),
    "keras": ("keras", keras),
    "mlflow": ("mlflow", mlflow),
}
HEAVY = {"torch": "torch", "keras": "tensorflow", "mlflow": "mlflow"}  # not of `make test`


@pytest.fixture(scope="module")
def server(prepared_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("flavors")
    store = folder / "palio.db"
    store.write_bytes(prepared_sqlite.read_bytes())
    process = start(
        str(store), artifacts=str(folder / "files"), folder=folder, PALIO_ALLOW_PICKLE="true"
    )
    yield process
    process.end(signal.SIGTERM)


def loaded_elsewhere(address: str, reference: str) -> Any:
    finished = subprocess.run(
        [sys.executable, "-c", _LOAD, address, reference],
        input=json.dumps(ROWS.tolist()),
        capture_output=True,
        text=True,
        check=False,
        env=environment(PALIO_ALLOW_PICKLE="true", OMP_NUM_THREADS="1"),
        timeout=PATIENCE_S * 4,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_every_flavor_is_here() -> None:
    assert {flavor for flavor, _ in CASES.values()} | {"plain"} == set(FLAVORS)


@pytest.mark.filterwarnings("ignore")  # of libraries about themselves, while they save
@pytest.mark.parametrize("name", CASES)
def test_a_version_answers_the_same_wherever_it_is_loaded(
    name: str, server: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavor, make = CASES[name]
    if flavor in HEAVY and not find_spec(HEAVY[flavor]) and not os.environ.get("PALIO_CI"):
        pytest.skip(f"needs {HEAVY[flavor]}")
    monkeypatch.setenv("PALIO_ALLOW_PICKLE", "true")
    case = make(tmp_path)
    model = f"m-{name.replace(' ', '-')}"
    with palio.connect(server.address) as remote:
        version = remote.register(
            model, case.given, version="v1", **{"sample": SAMPLE, **case.more}
        )
        assert version.flavor == flavor
        remote.versions.promote(f"{model}:v1")
        remote.endpoints.create(model, model)
        served = remote.predict(model, ROWS.tolist())
    values, probabilities = loaded_elsewhere(server.address, f"{model}@champion")
    np.testing.assert_allclose(probabilities, case.probabilities, rtol=0, atol=case.tolerance)
    assert (probabilities, values) == (served.probabilities, served.predictions)
    if not case.tolerance:
        assert probabilities == case.probabilities
    assert values == np.argmax(case.probabilities, axis=1).tolist()


def test_plain_files_come_back_as_they_were(server: Process, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "deep").mkdir(parents=True)
    (folder / "rules.txt").write_bytes(b"any\0bytes")
    (folder / "deep" / "notes.md").write_text("# Notes")
    with palio.connect(server.address) as remote:
        assert remote.register("rules", folder, version="v1").flavor == "plain"
        remote.download("rules:v1", tmp_path / "found")
    for name in ("rules.txt", "deep/notes.md"):
        assert (tmp_path / "found" / name).read_bytes() == (folder / name).read_bytes()
