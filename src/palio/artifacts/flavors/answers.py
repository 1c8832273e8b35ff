"""What libraries that answer with arrays share: tables in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from palio.errors import InvalidInput
from palio.registry.signature import Cell, Label, Predictions, Signature, Task

__all__ = ["check_fits", "chosen", "is_any", "labels_of", "misfit", "numbers", "scored"]


def is_any(model: object, names: Collection[str]) -> bool:
    """Tell whether a class of the model, or one it inherits from, has one of the full names."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(model).__mro__)


def numbers(table: list[list[Cell]]) -> Any:
    """Return a table of numbers as an array (n_rows, n_features) float64, missing ones as NaN."""
    return np.array(table, dtype=np.float64)


def labels_of(count: int, target: Any = None) -> tuple[Label, ...]:
    """Return the labels of ``count`` classes: those of the target in order, or 0 to count - 1.

    Raises
    ------
    InvalidInput
        If the target has another number of labels.
    """
    if target is None:
        return tuple(range(count))
    labels: list[Label] = np.unique(np.asarray(target)).tolist()
    if len(labels) != count:
        raise InvalidInput(
            f"the target has {len(labels)} labels, and the model knows {count} classes; give a "
            "target with every label at least once",
            field="target",
            value=len(labels),
        )
    return tuple(labels)


def scored(scores: Any, signature: Signature) -> Predictions:
    """Return what scores say.

    Parameters
    ----------
    scores
        For a classifier probabilities (n_rows, n_classes), or (n_rows,) of the second of two
        classes; for a regression n_rows numbers.
    signature
        What the model gives.
    """
    if signature.task is Task.REGRESSION:
        return Predictions(values=[*np.asarray(scores, dtype=np.float64).ravel().tolist()])
    if scores.ndim == 1:
        scores = np.stack([1 - scores, scores], axis=1)
    values = [signature.classes[at] for at in scores.argmax(axis=1).tolist()]
    return Predictions(values=values, probabilities=scores.tolist())


def chosen(indices: Any, signature: Signature) -> Predictions:
    """Return the classes at the indices (n_rows,), without probabilities."""
    at = np.asarray(indices).astype(np.int64).tolist()
    return Predictions(values=[signature.classes[index] for index in at])


def check_fits(
    signature: Signature, *, width: int, classes: int | None, names: Sequence[str] = ()
) -> None:
    """Compare a signature with a model that takes a matrix of numbers.

    Parameters
    ----------
    signature
        What rows will be checked against.
    width
        How many features the model takes.
    classes
        How many classes it knows; ``None`` if it answers numbers.
    names
        The features' names in the model's order, if it keeps them.

    Raises
    ------
    InvalidInput
        If they do not fit.
    """
    given = [feature.name for feature in signature.columns]
    if not signature.numeric:
        raise misfit("takes numbers only; encode strings as numbers before it", "string")
    if len(given) != width:
        raise misfit(f"takes {width} features, not {len(given)}", len(given))
    if given != list(names) and sorted(given) == sorted(names):
        raise misfit(f"takes the features in the order {', '.join(names)}", given)
    task = Task.REGRESSION if classes is None else Task.CLASSIFICATION
    if signature.task is not task:
        raise misfit(f"is made for {task}, not for {signature.task}", str(signature.task))
    if classes is not None and len(signature.classes) != classes:
        raise misfit(f"knows {classes} classes, not {len(signature.classes)}", classes)


def misfit(why: str, value: object) -> InvalidInput:
    """Return the error for a model and a signature that do not fit."""
    return InvalidInput(
        f"the model does not fit its signature: it {why}; infer the signature from a sample of "
        "the model's inputs",
        field="signature",
        value=value,
    )
