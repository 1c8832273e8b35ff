"""What a Keras model takes and gives, as a signature, and whether it fits one."""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.artifacts.flavors import answers
from palio.artifacts.flavors.answers import labels_of, misfit
from palio.artifacts.flavors.keras.predictor import KerasPredictor
from palio.artifacts.flavors.samples import features_of, rows_of
from palio.errors import InvalidInput
from palio.registry.signature import FeatureType, Signature, Task

__all__ = ["check_fits", "signature_of"]

_TRIED_ROWS = 100
_TWO = 2


def signature_of(model: Any, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a model, having tried it on the first rows of the sample.

    Several outputs are probabilities of classes. A single one is a probability if the target has
    two labels and the sample's scores lie in [0, 1], and a number otherwise.

    Raises
    ------
    InvalidInput
        If the sample is of no use, or the model does not answer it.
    """
    outputs = _shape(model)[1]
    features = features_of(sample)
    table = rows_of(sample, features)[:_TRIED_ROWS]
    found = Signature(features=features, task=Task.REGRESSION)
    if outputs > 1:
        classes = labels_of(outputs, target)
        found = Signature(features=features, task=Task.CLASSIFICATION, classes=classes)
    elif target is not None and len(np.unique(np.asarray(target))) == _TWO:
        classes = labels_of(_TWO, target)
        binary = Signature(features=features, task=Task.CLASSIFICATION, classes=classes)
        if _failure(model, binary, table) is None:
            return binary
    if failure := _failure(model, found, table):
        raise InvalidInput(
            f"the Keras model does not answer the sample: {failure}", field="sample"
        ) from failure
    return found


def check_fits(model: Any, signature: Signature) -> None:
    """Compare a model with a signature; raise ``InvalidInput`` if they do not fit."""
    width, outputs = _shape(model)
    classes = outputs if outputs > 1 else None
    if classes is None and signature.task is Task.CLASSIFICATION:
        classes = _TWO
    answers.check_fits(signature, width=width, classes=classes)
    dtype = str(model.inputs[0].dtype)
    if dtype.startswith("float"):
        return
    for feature in signature.columns:
        if feature.nullable or feature.type is FeatureType.NUMBER:
            raise misfit(f"takes {dtype} for {feature.name!r}, never missing", feature.name)


def _failure(model: Any, signature: Signature, table: Any) -> Exception | None:
    check_fits(model, signature)
    try:
        KerasPredictor(model, signature).predict(table)
    except Exception as error:  # noqa: BLE001  each backend raises its own
        return error
    return None


def _shape(model: Any) -> tuple[int, int]:
    """Return how many numbers a row of the model's input and of its output has."""
    if not getattr(model, "inputs", None):
        raise _not_a_table("was never built; call it on some rows before it is saved")
    taken, given = list(model.inputs), list(model.outputs)
    if len(taken) != 1 or len(given) != 1:
        raise _not_a_table(
            f"has {len(taken)} inputs and {len(given)} outputs; concatenate each to one"
        )
    shapes = tuple(taken[0].shape), tuple(given[0].shape)
    for shape in shapes:
        if len(shape) != _TWO or shape[0] is not None or shape[1] is None:
            raise _not_a_table(
                f"has the shapes {shapes[0]} and {shapes[1]}; reshape them to (None, features) "
                "and (None, outputs)"
            )
    return shapes[0][1], shapes[1][1]


def _not_a_table(why: str) -> InvalidInput:
    return InvalidInput(
        f"the Keras model does not answer rows of a table: it {why}", field="model"
    )
