"""Folders of MLflow: run only where allowed, answered as MLflow itself answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import palio
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.flavors import Safety, named, recognise
from palio.artifacts.flavors.mlflow import MlflowFlavor
from palio.artifacts.loader import ArtifactLoader, flavor_of, infer_signature, package
from palio.artifacts.policy import Trust
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from ..elsewhere import told_without  # noqa: TID252
from .folders import (
    FRAME,
    LABELS,
    ROWS,
    classifier,
    files_of,
    folder_of,
    function_of,
    pyfunc,
    regression,
    signature_of,
)

FLAVOR = MlflowFlavor()
TRUSTING = Trust(allow_pickle=True)

_ASK = """
import json, os, sys, palio
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.loader import ArtifactLoader
from palio.artifacts.policy import Trust
with palio.connect("palio.db", artifacts="artifacts") as p:
    version = p.versions.get("m:v1")
loader = ArtifactLoader(FsspecArtifactStore("artifacts"), Trust(allow_pickle=True))
before = set(os.listdir())
predictor = loader.load(version)
answered = predictor.predict(json.load(sys.stdin))
home = [str(at) for at, _, files in os.walk(os.environ["HOME"]) if files]
print(json.dumps({
    "flavor": version.flavor,
    "values": answered.values,
    "written": sorted(set(os.listdir()) - before) + home,
    "silenced": os.environ.get("MLFLOW_DISABLE_TELEMETRY"),
    "reports": str(sys.modules["mlflow.telemetry"].get_telemetry_client()),
    "folders": [name for name in os.listdir(os.environ["TMPDIR"]) if "palio" in name],
}))
"""


def answered(path: Path, sample: Any = FRAME, target: Any = None, rows: Any = None) -> Any:
    files = files_of(path)
    signature = FLAVOR.infer_signature(FLAVOR.restore(files), sample, target)
    return FLAVOR.load(files, signature).predict(signature.table(rows or ROWS))


def elsewhere(folder: Path, rows: Any) -> dict[str, Any]:
    """Ask in a process with a home and a temporary folder of its own, whose names it reports."""
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "CI"))
    }
    environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    finished = subprocess.run(
        [sys.executable, "-c", _ASK],
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment,
        input=json.dumps(rows),
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def test_another_process_answers_the_same_and_nothing_is_written_or_reported(
    tmp_path: Path,
) -> None:
    model = classifier()
    path = folder_of(model, tmp_path)
    with palio.connect(tmp_path / "palio.db", artifacts=tmp_path / "artifacts") as opened:
        version = opened.register("m", path, version="v1", sample=FRAME, target=LABELS)
    assert {file.path for file in version.manifest.files} >= set(files_of(path))
    found = elsewhere(tmp_path, ROWS)
    assert found["flavor"] == "mlflow"
    # witness: the estimator itself; the same library reads its own bytes, so bit for bit
    assert found["values"] == model.predict(FRAME).tolist()
    assert found["written"] == []
    assert (found["silenced"], found["reports"]) == (None, "None")
    assert len(found["folders"]) == 1  # while the process held the model
    assert os.listdir(tmp_path / "temporary") == []  # noqa: PTH208


def test_without_leave_nothing_in_the_folder_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = function_of(lambda rows: (mark.touch(), rows["age"])[1], tmp_path)
    artifacts = tmp_path / "artifacts"
    with palio.connect(tmp_path / "palio.db", artifacts=artifacts) as opened:
        version = opened.register("m", path, version="v1", sample=FRAME, target=FRAME["age"])
    with pytest.raises(UntrustedArtifact, match="PALIO_ALLOW_PICKLE=true"):
        ArtifactLoader(FsspecArtifactStore(str(artifacts))).load(version)
    assert not mark.exists()


def test_the_folder_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(folder_of(regression(), tmp_path))
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    model = FLAVOR.restore(files)
    (folder,) = own.iterdir()
    assert files_of(folder).keys() == files.keys()
    del model
    assert list(own.iterdir()) == []
    broken = {**files, "model.skops": b"", "model.pkl": b""}
    with pytest.raises(InvalidInput, match="install where it is served"):
        FLAVOR.restore(broken)
    assert list(own.iterdir()) == []


def test_a_regression_answers_the_same_bit_for_bit(tmp_path: Path) -> None:
    model = regression()
    found = answered(folder_of(model, tmp_path))
    assert found.probabilities is None
    assert found.values == model.predict(FRAME).tolist()


@pytest.mark.parametrize("options", [{"pyfunc_predict_fn": "predict_proba"}, {}])
def test_answers_in_columns_are_probabilities(options: dict[str, str], tmp_path: Path) -> None:
    model = classifier()
    found = answered(folder_of(model, tmp_path, None, **options), target=LABELS)
    assert found.values == model.predict(FRAME).tolist()
    if options:
        assert found.probabilities == model.predict_proba(FRAME).tolist()


def test_a_float_is_the_probability_of_the_second_of_two_classes(tmp_path: Path) -> None:
    path = function_of(lambda rows: 1 / (1 + np.exp(-rows["age"])), tmp_path)
    found = answered(path, target=LABELS)
    expected = 1 / (1 + np.exp(-FRAME["age"]))
    assert [row[1] for row in found.probabilities] == expected.tolist()
    assert found.values == np.where(expected > 0.5, "good", "bad").tolist()


def test_an_array_is_given_to_what_was_fitted_on_one(tmp_path: Path) -> None:
    sample = FRAME.to_numpy()
    model = type(regression())().fit(sample, sample[:, 0])
    expected = model.predict(sample).tolist()
    # without a signature, and with one of a tensor: a frame would be warned about
    assert answered(folder_of(model, tmp_path, None), sample).values == expected
    (tmp_path / "tensor").mkdir()
    tensor = folder_of(model, tmp_path / "tensor", sample)
    assert answered(tensor, sample).values == expected
    assert answered(tensor, None, FRAME["age"]).values == expected


def test_columns_come_as_the_model_declares_them(tmp_path: Path) -> None:
    sample = FRAME.assign(age=np.arange(120, dtype=np.int32), debt=FRAME["debt"].astype("f4"))
    sample = sample.assign(town=np.array(["Siena", "Asti", "Asti"])[np.arange(120) % 3])
    sample = sample.assign(owns=sample["age"] % 2 == 0)

    def seen(rows: Any) -> Any:
        kinds = [str(rows[name].dtype) for name in ("age", "debt", "rate", "owns")]
        return [", ".join([*kinds, *rows["town"]])] * len(rows)

    path = function_of(seen, tmp_path, signature=signature_of(sample, np.array(["a"])))
    declared = FLAVOR.declared(files_of(path), np.array(["a", "b"]))
    assert [(one.name, one.type) for one in declared.features] == [
        ("age", FeatureType.INTEGER),
        ("debt", FeatureType.NUMBER),
        ("rate", FeatureType.NUMBER),
        ("town", FeatureType.STRING),
        ("owns", FeatureType.BOOLEAN),
    ]
    told = "int32, float32, float64, bool, Siena"
    known = Signature(declared.features, Task.CLASSIFICATION, (told, "other"))
    predictor = FLAVOR.load(files_of(path), known)
    row = {"age": 30, "debt": 0.1, "rate": 0.2, "town": "Siena", "owns": True}
    assert predictor.predict(known.table([row])).values == [told]


def test_what_it_declares_is_a_signature_and_nothing_runs(tmp_path: Path) -> None:
    path = folder_of(regression(), tmp_path)
    files = {**files_of(path), "model.pkl": b"", "model.skops": b""}
    found = FLAVOR.declared(files)
    assert found.task is Task.REGRESSION
    assert [feature.name for feature in found.features] == ["age", "debt", "rate"]
    assert FLAVOR.infer_signature(FLAVOR.restore(files_of(path)), None) == found


def test_it_is_registered_without_a_sample(tmp_path: Path) -> None:
    path = folder_of(regression(), tmp_path)
    with palio.connect(tmp_path / "palio.db") as opened:
        version = opened.register("m", path, version="v1")
    assert version.signature is not None
    assert [one.name for one in version.signature.features] == ["age", "debt", "rate"]


def test_it_asks_for_what_is_not_declared(tmp_path: Path) -> None:
    files = files_of(folder_of(classifier(), tmp_path))
    with pytest.raises(InvalidInput, match="give target, with every label"):
        FLAVOR.declared(files)
    assert FLAVOR.declared(files, LABELS).classes == ("bad", "good")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InvalidInput, match="no signature of its own"):
        FLAVOR.declared(files_of(folder_of(classifier(), tmp_path / "bare", None)))


def test_the_folder_wins_over_the_files_inside(tmp_path: Path) -> None:
    path = folder_of(classifier(), tmp_path)
    for name in ("model.onnx", "model.xgb", "model.pkl", "model.skops", "model.keras"):
        (path / name).write_bytes(b"")
    assert recognise(path).name == "mlflow"
    assert recognise(path / "model.skops").name == "sklearn"  # by its path, safer
    assert recognise(path / "MLmodel").name == "mlflow"
    assert FLAVOR.safety is Safety.CODE
    assert not FLAVOR.recognises(classifier())


def test_it_is_packed_as_it_is(tmp_path: Path) -> None:
    path = function_of(lambda rows: rows["age"], tmp_path)
    (path / "data").mkdir()
    (path / "data" / "model.pkl").write_bytes(b"kept")
    flavor = flavor_of(path, None, TRUSTING)
    signature = infer_signature(path, flavor, FRAME, trust=TRUSTING)
    target = tmp_path / "packed"
    target.mkdir()
    packed = package(path, target, signature, trust=TRUSTING)
    assert {name: file.read_bytes() for name, file in packed.items()} == files_of(path)


def test_threads_get_the_answers_of_one_and_one_row_is_quick(tmp_path: Path) -> None:
    files = files_of(folder_of(regression(), tmp_path))
    predictor = FLAVOR.load(files, FLAVOR.declared(files))
    alone = predictor.predict(ROWS).values
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda row: predictor.predict([row]).values, ROWS)
    np.testing.assert_allclose([row[0] for row in together], alone, rtol=1e-12)
    started = time.perf_counter()
    predictor.predict(ROWS[:1])
    assert time.perf_counter() - started < 1  # and no start of a process or a download


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ([("age", "number")], "takes 3 features, not 1"),
        ([("debt", "number"), ("age", "number"), ("rate", "number")], "takes 'age' where 'debt'"),
        ([("age", "string"), ("debt", "number"), ("rate", "number")], "'age' is string"),
    ],
)
def test_a_misfit_is_refused(features: Any, why: str, tmp_path: Path) -> None:
    given = tuple(Feature(name, FeatureType(kind)) for name, kind in features)
    files = files_of(folder_of(regression(), tmp_path))
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.load(files, Signature(given, Task.REGRESSION))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: [1.0], "answered 100 rows with a list of shape"),
        (lambda rows: {"a": rows["age"]}, "with a dict of shape"),
        (lambda rows: rows["unheard"], "KeyError"),
        (lambda rows: [float("nan")] * len(rows), "answered nan"),
    ],
)
def test_answers_that_are_none_are_refused(answer: Any, why: str, tmp_path: Path) -> None:
    model = FLAVOR.restore(files_of(function_of(answer, tmp_path)))
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(model, FRAME)


@pytest.mark.parametrize("answer", ["other", 2])
def test_a_label_that_is_no_class_is_refused(answer: Any, tmp_path: Path) -> None:
    model = FLAVOR.restore(files_of(function_of(lambda rows: [answer] * len(rows), tmp_path)))
    with pytest.raises(InvalidInput, match=f"answered {answer!r}, which is none of"):
        FLAVOR.infer_signature(model, FRAME, LABELS)


def test_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    model = FLAVOR.restore(files_of(function_of(lambda rows: rows, tmp_path)))
    with pytest.raises(InvalidInput, match="answered 3 columns for 2"):
        FLAVOR.infer_signature(model, FRAME, LABELS)
    with pytest.raises(InvalidInput, match="which is no probability"):
        FLAVOR.infer_signature(model, FRAME)


def test_an_object_is_refused_with_what_to_do(tmp_path: Path) -> None:
    signature = Signature((Feature("x", FeatureType.NUMBER),), Task.REGRESSION)
    with pytest.raises(InvalidInput, match="give the Path of the folder"):
        named("mlflow").save(regression(), tmp_path, signature)


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    path = folder_of(regression(), tmp_path) / "MLmodel"
    assert "pip install 'palio[mlflow]'" in told_without("mlflow", "mlflow", path)


def test_it_is_read_by_mlflow_itself_too(tmp_path: Path) -> None:
    path = folder_of(regression(), tmp_path)
    expected = pyfunc.load_model(str(path)).predict(FRAME)
    assert answered(path).values == expected.tolist()
