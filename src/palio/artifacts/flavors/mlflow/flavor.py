"""Loading model folders of MLflow, of whatever library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from palio.artifacts.flavors import Safety, model_file
from palio.artifacts.flavors.mlflow.declared import MODEL_FILE, declared_in, read_declared
from palio.artifacts.flavors.mlflow.folder import opened
from palio.artifacts.flavors.mlflow.predictor import MlflowPredictor
from palio.artifacts.flavors.mlflow.signatures import signature_as_declared, signature_of
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["MlflowFlavor"]


class MlflowFlavor:
    """A folder with ``MLmodel``, kept as it is and answered by its ``python_function``.

    Loading runs what the folder names, whatever the library. It comes before the flavors of the
    files inside: these alone lack what the folder adds to them. Who wants a safer flavor gives
    the path of that file.

    Parameters
    ----------
    trusted_types
        Not used: MLflow cannot check types.
    """

    name = "mlflow"
    safety = Safety.CODE

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        del trusted_types

    def recognises(self, _model: object) -> bool:
        """Tell that no object is a folder: models in memory are of their own library's flavor."""
        return False

    def claims(self, name: str, _head: bytes, /) -> bool:
        """Tell whether a file is the one that every folder of MLflow has."""
        return name == MODEL_FILE

    def declared(self, files: Mapping[str, bytes], target: Any = None) -> Signature:
        """Return the signature that the files tell by themselves, none of them run.

        Parameters
        ----------
        files
            Bytes by path, ``MLmodel`` among them.
        target
            Labels, with every class at least once; MLflow's signature names none.

        Raises
        ------
        InvalidInput
            If they do not tell one.
        """
        return signature_as_declared(read_declared(model_file(self, files)[1]), target)

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read features off what the model declares, or a sample; its answer by asking it."""
        own = cast("Any", model).metadata.signature
        return signature_of(model, declared_in(own and own.to_dict()), sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> NoReturn:
        """Refuse: only folders are kept, and they are copied as they are."""
        del folder, signature
        raise InvalidInput(
            f"flavor mlflow keeps folders, and this is a {type(model).__name__}; save it with "
            "mlflow and give the Path of the folder",
            field="model",
            value=type(model).__name__,
        )

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Run what the verified bytes hold; the loader calls this only where policy allows it.

        Raises
        ------
        InvalidInput
            If MLflow cannot load them.
        MissingExtra
            If MLflow is not installed.
        """
        read_declared(model_file(self, files)[1])
        return cast("object", opened(files))

    def load(self, files: Mapping[str, bytes], signature: Signature) -> MlflowPredictor:
        """Run what the verified bytes hold, and let it answer."""
        declared = read_declared(model_file(self, files)[1])
        if declared:
            declared.check_fits(signature)
        return MlflowPredictor(opened(files), signature, declared)
