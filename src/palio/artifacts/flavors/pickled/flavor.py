"""Saving and loading estimators with joblib, which reads plain pickles too."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import joblib  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]

from palio.artifacts.flavors import Safety, model_file
from palio.artifacts.flavors.callables.predictor import CallablePredictor
from palio.artifacts.flavors.callables.signatures import signature_of as signature_by_asking
from palio.artifacts.flavors.sklearn.flavor import check_fits
from palio.artifacts.flavors.sklearn.predictor import SklearnPredictor
from palio.artifacts.flavors.sklearn.signatures import signature_of
from palio.errors import InvalidInput
from palio.registry.ports import Predictor
from palio.registry.signature import Signature

__all__ = ["MODEL_FILE", "PickledFlavor"]

MODEL_FILE = "model.joblib"
_NAME = re.compile(r".*\.(pkl|pickle|joblib)(\.(gz|bz2|xz|lzma|z))?", re.IGNORECASE)
_CLOUDPICKLE = ".cloudpickle"
_PROTOCOLS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


class PickledFlavor:
    """Estimators of scikit-learn's kind, from a file that joblib or pickle wrote.

    Loading runs what the file holds. No object is of this flavor by itself: it is asked for by
    name, where skops cannot save an estimator.

    Parameters
    ----------
    trusted_types
        Not used: a pickle cannot be checked by its types.
    """

    name = "pickled"
    safety = Safety.CODE

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        del trusted_types

    def recognises(self, _model: object) -> bool:
        """Tell that no object asks for this by itself: safer flavors come first."""
        return False

    def claims(self, name: str, head: bytes, /) -> bool:
        """Tell whether a file is a pickle, by its name or its first two bytes."""
        if name.endswith(_CLOUDPICKLE):
            return False
        return bool(_NAME.fullmatch(name)) or head.startswith(_PROTOCOLS)

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read features off a sample; the answer off an estimator, or by asking another object."""
        if isinstance(model, BaseEstimator):
            return signature_of(model, sample, target)
        return signature_by_asking(model, sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model into ``folder``.

        Raises
        ------
        InvalidInput
            If it does not fit the signature, cannot be pickled, or names code of the script that
            runs, which no other process has.
        """
        _check(model, signature)
        buffer = io.BytesIO()
        try:
            joblib.dump(model, buffer)
        except Exception as error:
            raise _unsaved(model, str(error)) from error
        content = buffer.getvalue()
        if b"__main__" in content:
            raise _unsaved(model, "it names code of the running script, __main__")
        (folder / MODEL_FILE).write_bytes(content)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Run what the verified bytes hold; the loader calls this only where policy allows it.

        Raises
        ------
        InvalidInput
            If they are no pickle, or their code fails.
        """
        name, content = model_file(self, files)
        try:
            return cast("object", joblib.load(io.BytesIO(content)))
        except Exception as error:
            raise InvalidInput(
                f"{name} cannot be loaded: {type(error).__name__}: {error}; if the file is "
                "whole, install the packages that the model was made with where it is served",
                field="model",
                value=name,
            ) from error

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """Run what the verified bytes hold, and let it answer."""
        model = self.restore(files)
        _check(model, signature)
        if isinstance(model, BaseEstimator):
            return SklearnPredictor(model, signature)
        return CallablePredictor(model, signature)


def _check(model: object, signature: Signature) -> None:
    if isinstance(model, BaseEstimator):
        check_fits(model, signature)
    elif not callable(getattr(model, "predict", None)):
        raise InvalidInput(
            f"this is a {type(model).__name__}, which answers nothing: it has no predict; give a "
            "fitted estimator",
            field="model",
            value=type(model).__name__,
        )


def _unsaved(model: object, why: str) -> InvalidInput:
    return InvalidInput(
        f"pickle cannot save this {type(model).__name__}: {why}; move the code to a package that "
        "is installed where it is served, or use the flavor callables, which carries it",
        field="model",
        value=type(model).__name__,
    )
