"""Saving and loading models of Keras 3."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from palio.artifacts.flavors import Safety, model_file, needed
from palio.artifacts.flavors.answers import is_any
from palio.artifacts.flavors.keras.archive import rewritten, unreadable
from palio.artifacts.flavors.keras.predictor import KerasPredictor
from palio.artifacts.flavors.keras.signatures import check_fits, signature_of
from palio.artifacts.flavors.keras.trusted import TRUSTED_TYPES
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["KerasFlavor"]

_EXTRA = "keras"
_MODEL = "keras.src.models.model.Model"
_MODEL_FILE = "model.keras"


class KerasFlavor:
    """Models of Keras as ``model.keras``, over rows of numbers, on the backend that is chosen.

    Keras's own safe mode has been evaded many times, so the file is read here first, every type
    it names is compared with a list, and only what was checked is written anew for Keras.

    Parameters
    ----------
    trusted_types
        Exact names allowed beside Keras's own: ``package>name`` of classes that this process
        registers with ``keras.saving.register_keras_serializable``.
    """

    name = "keras"
    safety = Safety.CHECKED

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        self._trusted = TRUSTED_TYPES | frozenset(trusted_types)

    def recognises(self, model: object) -> bool:
        """Tell whether the model is one of Keras 3."""
        return is_any(model, {_MODEL})

    def claims(self, name: str, _head: bytes, /) -> bool:
        """Tell whether a file was saved by Keras, by its name."""
        return name.endswith(".keras")

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read the features off a sample, and the answer off the model.

        Raises
        ------
        InvalidInput
            If the sample does not fit, or the model does not take rows of a table.
        """
        return signature_of(model, sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model into ``folder``.

        Raises
        ------
        InvalidInput
            If it does not fit the signature, or Keras cannot save it.
        UntrustedArtifact
            If it could not be loaded again, because of types that are not allowed.
        """
        check_fits(model, signature)
        with tempfile.TemporaryDirectory(prefix="palio-") as private:
            path = Path(private) / _MODEL_FILE
            try:
                cast("Any", model).save(path)
            except Exception as error:
                raise InvalidInput(
                    f"Keras cannot save this {type(model).__name__}: {error}",
                    field="model",
                    value=type(model).__name__,
                ) from error
            content = path.read_bytes()
        rewritten(content, _MODEL_FILE, self._trusted)
        (folder / _MODEL_FILE).write_bytes(content)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make a model, not compiled, of bytes whose digests have been compared.

        Raises
        ------
        UntrustedArtifact
            If it is made of types that are not allowed, before Keras sees a byte.
        InvalidInput
            If it is no file that the installed Keras loads.
        """
        name, content = model_file(self, files)
        keras = needed("keras", extra=_EXTRA)
        checked = rewritten(content, name, self._trusted)
        with tempfile.TemporaryDirectory(prefix="palio-") as private, _complete():
            path = Path(private) / _MODEL_FILE
            path.write_bytes(checked)
            try:
                return cast("object", keras.saving.load_model(path, compile=False, safe_mode=True))
            except Exception as error:
                raise unreadable(name, f"Keras {keras.__version__} says: {error}") from error

    def load(self, files: Mapping[str, bytes], signature: Signature) -> KerasPredictor:
        """Make a predictor of bytes whose digests have been compared; raises as ``restore``."""
        model = self.restore(files)
        check_fits(model, signature)
        return KerasPredictor(model, signature)


@contextmanager
def _complete() -> Iterator[None]:
    """Make an error of what Keras only warns about: weights not found, random ones taken."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Skipping nested container")
        yield
