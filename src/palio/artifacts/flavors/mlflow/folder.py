"""A private folder with the files of a version, which lives as long as the model read from it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from palio.artifacts.flavors import needed
from palio.errors import InvalidInput

__all__ = ["opened"]

_SILENCED = "MLFLOW_DISABLE_TELEMETRY"
_IMPORTING = Lock()


def opened(files: Mapping[str, bytes]) -> Any:
    """Run what the files hold, and return the ``python_function`` that they make.

    The folder is kept until nobody holds the model: some read their files when they answer.

    Parameters
    ----------
    files
        Verified bytes by path relative to the folder, ``MLmodel`` among them.

    Raises
    ------
    InvalidInput
        If MLflow cannot load them.
    MissingExtra
        If MLflow is not installed.
    """
    pyfunc = _imported()
    folder = Path(tempfile.mkdtemp(prefix="palio-mlflow-"))
    try:
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        model = pyfunc.load_model(str(folder))
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InvalidInput(
            f"MLflow cannot load the folder: {type(error).__name__}: {error}; install where it "
            "is served what its requirements.txt lists",
            field="model",
            value="MLmodel",
        ) from error
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    return model


def _imported() -> Any:
    """Import MLflow, which would otherwise report home from its import on.

    Whoever has imported it before, or set the variable, has decided already.
    """
    with _IMPORTING:
        if "mlflow" in sys.modules or _SILENCED in os.environ:
            return needed("mlflow.pyfunc", extra="mlflow")
        os.environ[_SILENCED] = "true"
        try:
            return needed("mlflow.pyfunc", extra="mlflow")
        finally:
            del os.environ[_SILENCED]
