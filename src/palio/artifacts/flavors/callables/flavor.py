"""Saving and loading functions and objects with cloudpickle."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from palio.artifacts.flavors import Safety, model_file, needed
from palio.artifacts.flavors.callables.origin import carried
from palio.artifacts.flavors.callables.predictor import CallablePredictor
from palio.artifacts.flavors.callables.signatures import signature_of
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["MODEL_FILE", "CallablesFlavor"]

MODEL_FILE = "model.cloudpickle"
_MADE_BY = "made_by.json"
_EXTRA = "callables"


class CallablesFlavor:
    """Any function, or object with ``predict``, as one file ``model.cloudpickle``.

    Loading runs what the file holds. It is given arrays: (n_rows, n_features), float64 when every
    feature is numeric and object otherwise; a model that wants a frame makes one of the array.

    Parameters
    ----------
    trusted_types
        Not used: cloudpickle cannot check types.
    """

    name = "callables"
    safety = Safety.CODE

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        del trusted_types

    def recognises(self, model: object) -> bool:
        """Tell whether the model answers: an object with ``predict``, or a function."""
        if isinstance(model, type | Path):
            return False
        return callable(getattr(type(model), "predict", None)) or callable(model)

    def claims(self, name: str, _head: bytes, /) -> bool:
        """Tell whether a file was written by cloudpickle, by its name."""
        return name.endswith(".cloudpickle")

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read features off a sample, and what the model answers by asking it."""
        return signature_of(model, sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model, with the code of its own package, into ``folder``.

        Raises
        ------
        InvalidInput
            If cloudpickle cannot write it, as with open files and locks.
        MissingExtra
            If cloudpickle is not installed.
        """
        del signature  # compared by asking, when it is inferred
        cloudpickle = needed("cloudpickle", extra=_EXTRA)
        try:
            with carried(model, cloudpickle):
                content = cloudpickle.dumps(model)
        except Exception as error:
            raise InvalidInput(
                f"cloudpickle cannot save this {type(model).__name__}: {error}; open files, "
                "locks and connections where the model is called instead of keeping them in it",
                field="model",
                value=type(model).__name__,
            ) from error
        made_by = {"python": platform.python_version(), "cloudpickle": cloudpickle.__version__}
        (folder / _MADE_BY).write_text(json.dumps(made_by, indent=1))
        (folder / MODEL_FILE).write_bytes(content)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Run what the verified bytes hold; the loader calls this only where policy allows it.

        Raises
        ------
        InvalidInput
            If the file was made by another minor version of Python, or its code fails.
        MissingExtra
            If cloudpickle is not installed.
        """
        name, content = model_file(self, files)
        _check_python(files)
        cloudpickle = needed("cloudpickle", extra=_EXTRA)
        try:
            return cast("object", cloudpickle.loads(content))
        except Exception as error:
            raise InvalidInput(
                f"{name} cannot be loaded: {type(error).__name__}: {error}; if the file is "
                "whole, install the packages that the model was made with where it is served",
                field="model",
                value=name,
            ) from error

    def load(self, files: Mapping[str, bytes], signature: Signature) -> CallablePredictor:
        """Run what the verified bytes hold, and let it answer."""
        model = self.restore(files)
        if not self.recognises(model):
            raise InvalidInput(
                f"the file holds a {type(model).__name__}, which answers nothing; save a "
                "function or an object with predict",
                field="model",
                value=type(model).__name__,
            )
        return CallablePredictor(model, signature)


def _check_python(files: Mapping[str, bytes]) -> None:
    if _MADE_BY not in files:
        return
    try:
        made = str(json.loads(files[_MADE_BY])["python"])
    except (ValueError, KeyError, TypeError):
        return  # another program's file of that name says nothing of Python
    here = platform.python_version()
    if made.split(".")[:2] != here.split(".")[:2]:
        raise InvalidInput(
            f"the model was saved by Python {made} and this is Python {here}, which cannot run "
            "its code; serve it with the same minor version, or save it again",
            field="python",
            value=made,
        )
