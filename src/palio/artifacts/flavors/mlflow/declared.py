"""What an ``MLmodel`` file says that its model takes, read as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from palio.artifacts.flavors.answers import misfit
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature

__all__ = ["MODEL_FILE", "Declared", "declared_in", "read_declared"]

MODEL_FILE = "MLmodel"
_MOST_BYTES = 1024 * 1024  # ten times one with hundreds of columns
_MATRIX = 2
_ANY = "any"  # what MLflow writes where it knows no more
_COLUMNS = {
    "boolean": (FeatureType.BOOLEAN, "bool"),
    "integer": (FeatureType.INTEGER, "int32"),
    "long": (FeatureType.INTEGER, "int64"),
    "float": (FeatureType.NUMBER, "float32"),
    "double": (FeatureType.NUMBER, "float64"),
    "string": (FeatureType.STRING, "object"),
}
_TENSORS = {"b": FeatureType.BOOLEAN, "i": FeatureType.INTEGER, "f": FeatureType.NUMBER}
_TAKES_MISSING = {FeatureType.NUMBER, FeatureType.STRING}  # MLflow refuses missing integers


@dataclass(frozen=True, slots=True)
class Declared:
    """The inputs of MLflow's own signature.

    ``dtypes`` are NumPy's, one a feature; ``named`` says whether the file names its columns, and
    ``tensor`` whether rows are given as one array instead of a frame. ``answers`` is the type of
    a single column of answers, if the file tells one.
    """

    features: tuple[Feature, ...]
    dtypes: tuple[str, ...]
    named: bool
    tensor: bool
    answers: FeatureType | None

    def check_fits(self, signature: Signature) -> None:
        """Compare it with a signature; raise ``InvalidInput`` if they do not fit."""
        given = signature.columns
        if len(given) != len(self.features):
            raise misfit(f"takes {len(self.features)} features, not {len(given)}", len(given))
        for one, own in zip(given, self.features, strict=True):
            if self.named and one.name != own.name:
                raise misfit(f"takes {own.name!r} where {one.name!r} is", one.name)
            if one.nullable and own.type not in _TAKES_MISSING:
                raise misfit(f"takes no missing {own.type} for {one.name!r}", one.name)
            if one.type is not own.type and (one.type, own.type) not in _WIDER:
                raise misfit(f"takes {own.type} where {one.name!r} is {one.type}", one.name)


_WIDER = {
    (FeatureType.INTEGER, FeatureType.NUMBER),
    (FeatureType.BOOLEAN, FeatureType.NUMBER),
}


def read_declared(content: bytes) -> Declared | None:
    """Read the bytes of an ``MLmodel`` file.

    Returns
    -------
    Declared or None
        ``None`` if it has no signature.

    Raises
    ------
    InvalidInput
        If it is no such file, or declares inputs that are no rows of a table.
    """
    try:
        return declared_in(_signature(content))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _unreadable(f"{type(error).__name__}: {error}") from error
    except yaml.YAMLError as error:
        raise _unreadable(error) from error


def _signature(content: bytes) -> Mapping[str, Any] | None:
    if len(content) > _MOST_BYTES:
        raise _unreadable(f"it has {len(content)} bytes, more than {_MOST_BYTES}")
    found = yaml.safe_load(content)
    if "python_function" not in found["flavors"]:
        raise _unreadable("it lacks the python_function flavor, by which every model answers")
    signature: Mapping[str, Any] | None = found.get("signature")
    return signature


def declared_in(signature: Mapping[str, Any] | None) -> Declared | None:
    """Return what MLflow's signature, as a mapping, says of the inputs; ``None`` if nothing.

    Raises
    ------
    InvalidInput
        If the inputs are no rows of a table.
    """
    if not signature or not signature.get("inputs"):
        return None
    inputs = json.loads(signature["inputs"])
    if all(one["type"] == _ANY for one in inputs):
        return None
    answers = _answers(json.loads(signature.get("outputs") or "[]"))
    if any("tensor-spec" in one for one in inputs):
        return _tensor(inputs, answers)
    found = [_column(at, one) for at, one in enumerate(inputs)]
    return Declared(
        features=tuple(feature for feature, _ in found),
        dtypes=tuple(dtype for _, dtype in found),
        named=all("name" in one for one in inputs),
        tensor=False,
        answers=answers,
    )


def _column(at: int, column: Mapping[str, Any]) -> tuple[Feature, str]:
    name = str(column.get("name", f"x{at}"))
    if column["type"] not in _COLUMNS:
        raise _no_table(f"column {name!r} is of type {column['type']}")
    kind, dtype = _COLUMNS[column["type"]]
    nullable = kind in _TAKES_MISSING and not column.get("required", True)
    return Feature(name, kind, nullable), dtype


def _tensor(inputs: Any, answers: FeatureType | None) -> Declared:
    spec = inputs[0]["tensor-spec"]
    dtype, shape = str(spec["dtype"]), spec["shape"]
    kind = _TENSORS.get(dtype[0])
    if len(inputs) != 1 or len(shape) != _MATRIX or shape[0] != -1 or shape[1] < 1 or not kind:
        raise _no_table(f"its inputs are {len(inputs)} tensors, the first {dtype} of {shape}")
    return Declared(
        features=tuple(Feature(f"x{at}", kind) for at in range(shape[1])),
        dtypes=(dtype,) * shape[1],
        named=False,
        tensor=True,
        answers=answers,
    )


def _answers(outputs: Any) -> FeatureType | None:
    if len(outputs) != 1:
        return None
    if "tensor-spec" not in outputs[0]:
        return _COLUMNS.get(outputs[0]["type"], (None,))[0]
    spec = outputs[0]["tensor-spec"]
    flat = all(size == 1 for size in spec["shape"][1:])
    return _TENSORS.get(str(spec["dtype"])[0]) if flat else None


def _unreadable(why: object) -> InvalidInput:
    return InvalidInput(
        f"{MODEL_FILE} cannot be read: {why}; save the model again with mlflow",
        field="model",
        value=MODEL_FILE,
    )


def _no_table(why: str) -> InvalidInput:
    return InvalidInput(
        f"the MLflow model does not take rows of a table: {why}; give it an mlflow signature of "
        "columns of numbers, booleans or strings",
        field="model",
        value=MODEL_FILE,
    )
