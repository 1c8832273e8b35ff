"""Saving and loading fitted estimators with skops."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import skops.io  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]
from skops.io.exceptions import UnsupportedTypeException  # type: ignore[import-untyped]

from palio.artifacts.flavors import Safety, model_file
from palio.artifacts.flavors.sklearn.predictor import SklearnPredictor
from palio.artifacts.flavors.sklearn.signatures import signature_of
from palio.artifacts.flavors.sklearn.trees import check_trees
from palio.artifacts.flavors.sklearn.trusted import TRUSTED_TYPES
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Signature, Task

__all__ = ["MODEL_FILE", "SklearnFlavor", "check_fits"]

MODEL_FILE = "model.skops"
_UNREADABLE = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class SklearnFlavor:
    """Estimators of scikit-learn as one file, ``model.skops``.

    A file is only loaded when the name of every type in it is allowed: by skops, by
    :data:`~palio.artifacts.flavors.sklearn.trusted.TRUSTED_TYPES`, or by ``trusted_types``.

    Parameters
    ----------
    trusted_types
        Exact names of further types that may be loaded, such as ``mypackage.steps.Winsorizer``.
    """

    name = "sklearn"
    safety = Safety.CHECKED

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        self._trusted = TRUSTED_TYPES | frozenset(trusted_types)

    def recognises(self, model: object) -> bool:
        """Tell whether the model is an estimator."""
        return isinstance(model, BaseEstimator)

    def claims(self, name: str, _head: bytes, /) -> bool:
        """Tell whether a file is an archive of skops, by its name: a zip may hold anything."""
        return name.endswith(".skops")

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read feature names and types off a sample of inputs."""
        return signature_of(model, sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the estimator into ``folder``.

        Raises
        ------
        InvalidInput
            If the model does not fit the signature, or skops cannot save it.
        UntrustedArtifact
            If it could not be loaded again, because of types that are not allowed.
        """
        check_fits(model, signature)
        (folder / MODEL_FILE).write_bytes(self.dumped(model))

    def dumped(self, estimator: object) -> bytes:
        """Return an estimator of any kind, also a transformer, as bytes that can be loaded.

        Raises
        ------
        InvalidInput
            If skops cannot save it.
        UntrustedArtifact
            If it could not be loaded again, because of types that are not allowed.
        """
        try:
            content: bytes = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        except UnsupportedTypeException as error:
            raise InvalidInput(
                f"skops cannot save this {type(estimator).__name__}: {error}; use an estimator "
                "without such parts, or flavor pickled where those who load it trust you",
                field="model",
                value=type(estimator).__name__,
            ) from error
        self._check_types(content)
        return content

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make an estimator of bytes whose digests have been compared.

        Raises
        ------
        UntrustedArtifact
            If the file holds types that are not allowed, or trees that no estimator grows;
            before anything in it is called.
        InvalidInput
            If the bytes are no skops file that this installation reads.
        """
        name, content = model_file(self, files)
        try:
            self._check_types(content)
            model = skops.io.loads(content, trusted=sorted(self._trusted))
        except _UNREADABLE as error:
            raise _unreadable(name, error) from error
        check_trees(model)
        return cast("object", model)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> SklearnPredictor:
        """Make an estimator of bytes whose digests have been compared, and let it answer.

        Raises
        ------
        UntrustedArtifact, InvalidInput
            As ``restore``; ``InvalidInput`` also if the model does not fit the signature.
        """
        model = self.restore(files)
        check_fits(model, signature)
        return SklearnPredictor(model, signature)

    def _check_types(self, content: bytes) -> None:
        found = set(skops.io.get_untrusted_types(data=content)) - self._trusted
        if found:
            listed = ",".join(sorted(found))
            raise UntrustedArtifact(
                f"the model holds types that are not allowed to be loaded: {listed}; if you know "
                f"this code and trust it, allow it by exact name: PALIO_TRUSTED_TYPES={listed} "
                "(trusted_types in Python)",
                types=sorted(found),
            )


def check_fits(model: Any, signature: Signature) -> None:
    """Raise ``InvalidInput`` when an estimator takes or gives other than the signature says."""
    width = getattr(model, "n_features_in_", signature.width)
    if not callable(getattr(model, "predict", None)):
        raise _misfit("answers nothing, it has no predict", type(model).__name__)
    if width != signature.width:
        raise _misfit(f"takes {width} features, not {signature.width}", width)
    if signature.task is Task.CLASSIFICATION:
        classes = list(getattr(model, "classes_", ()))
        if classes != list(signature.classes):
            raise _misfit(f"answers {classes}, not {list(signature.classes)}", str(classes))


def _misfit(why: str, value: object) -> InvalidInput:
    return InvalidInput(
        f"the model does not fit its signature: it {why}; fit it before saving it, and infer the "
        "signature from a sample of its inputs",
        field="signature",
        value=value,
    )


def _unreadable(name: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{name} cannot be read: {error}; save the model with palio and the versions of "
        "scikit-learn and skops that are installed where it is served",
        field="model",
        value=name,
    )
