"""Any function, or object with ``predict``, that answers arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from palio.registry.signature import Cell, FeatureType, Label, Predictions, Signature, Task

__all__ = ["CallablePredictor", "array_of", "asked"]


def array_of(table: list[list[Cell]], signature: Signature) -> Any:
    """Return a table as the array that functions are given.

    Returns
    -------
    array
        (n_rows, n_features), float64 when every feature is numeric, object otherwise; a missing
        number is NaN, a missing string ``None``.
    """
    if signature.numeric:
        return np.array(table, dtype=np.float64)
    numeric = [feature.type is not FeatureType.STRING for feature in signature.columns]
    return np.array(
        [
            [math.nan if cell is None and is_number else cell for cell, is_number in pairs]
            for pairs in (zip(row, numeric, strict=True) for row in table)
        ],
        dtype=object,
    )


def asked(model: Any) -> Callable[[Any], Any]:
    """Return what of a model answers: its ``predict``, or the function that it is."""
    answer: Callable[[Any], Any] = getattr(model, "predict", model)
    return answer


class CallablePredictor:
    """A function or an object in memory, asked by one thread at a time.

    Parameters
    ----------
    model
        A function of an array (n_rows, n_features) that returns one answer a row, or an object
        whose ``predict`` is one; ``predict_proba``, if it has one, gives (n_rows, n_classes).
    signature
        What it takes and gives.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self._answer = asked(model)
        self._signature = signature
        self._classifies = signature.task is Task.CLASSIFICATION
        self._probabilities = getattr(model, "predict_proba", None) if self._classifies else None
        self._lock = Lock()  # nothing is known of what the user's code shares

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what the model raises.

        Raises
        ------
        ValueError
            If the answer is not one class or one number a row.
        """
        inputs = array_of(table, self._signature)
        with self._lock:
            answers = np.asarray(self._answer(inputs))
            shares = None if self._probabilities is None else self._probabilities(inputs)
        if answers.shape[:1] != (len(table),) or answers.size != len(table):
            raise ValueError(
                f"the model answered {len(table)} rows with an array of shape {answers.shape}; "
                "one answer a row is needed"
            )
        values = answers.ravel()
        if not self._classifies:
            return Predictions(values=[*values.astype(np.float64).tolist()])
        labels = self._labels(values.tolist())
        if shares is None:
            return Predictions(values=labels)
        return Predictions(values=labels, probabilities=self._shares(shares, len(table)))

    def _labels(self, values: list[Label]) -> list[Label]:
        known = self._signature.classes
        for value in values:
            if value not in known:
                raise ValueError(f"the model answered {value!r}, which is none of {list(known)}")
        return values

    def _shares(self, shares: Any, n_rows: int) -> list[list[float]]:
        found = np.asarray(shares, dtype=np.float64)
        if found.shape != (n_rows, len(self._signature.classes)):
            raise ValueError(
                f"predict_proba answered an array of shape {found.shape}; "
                f"({n_rows}, {len(self._signature.classes)}) is needed"
            )
        rows: list[list[float]] = found.tolist()
        return rows
