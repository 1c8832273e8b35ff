"""Folders that MLflow writes, or a word where it is not installed."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if not find_spec("mlflow") and not os.environ.get("PALIO_CI"):
    pytest.skip("needs mlflow-skinny", allow_module_level=True)

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", ".*type hint")  # of MLflow about its own functions
    pyfunc: Any = import_module("mlflow.pyfunc")
models: Any = import_module("mlflow.models")

FRAME = pd.DataFrame(
    np.random.default_rng(7).normal(size=(120, 3)), columns=["age", "debt", "rate"]
)
LABELS = np.array(["bad", "good"])[(FRAME["age"] > FRAME["debt"]).astype(int)]
ROWS: list[Any] = FRAME.to_numpy().tolist()


def classifier() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)


def regression() -> Any:
    return LinearRegression().fit(FRAME, FRAME["age"] * 2 - FRAME["rate"])


def folder_of(model: Any, folder: Path, sample: Any = FRAME, **options: Any) -> Path:
    """Return a folder that ``mlflow.sklearn`` wrote, with a signature of the sample if given."""
    if sample is not None:
        options["signature"] = signature_of(sample, model.predict(sample))
    path = folder / "written"
    import_module("mlflow.sklearn").save_model(
        model, path, pip_requirements=["scikit-learn"], **options
    )
    return path


def function_of(answer: Any, folder: Path, **options: Any) -> Path:
    """Return a folder with any function of a frame, which MLflow pickles."""

    class Answering:  # apart from its base, or MLflow asks for the types of an answer
        def predict(self, model_input):  # type: ignore[no-untyped-def]
            return answer(model_input)

    class Function(Answering, pyfunc.PythonModel):  # type: ignore[misc]
        pass

    path = folder / "written"
    with warnings.catch_warnings(action="ignore"):  # that it saw no example
        pyfunc.save_model(path, python_model=Function(), pip_requirements=["numpy"], **options)
    return path


def signature_of(sample: Any, answer: Any) -> Any:
    """Return what MLflow makes of a sample."""
    with warnings.catch_warnings(action="ignore"):  # that integers may never be missing
        return models.infer_signature(sample, answer)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
