"""A model of Keras that answers tables."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from palio.artifacts.flavors.answers import numbers, scored
from palio.registry.signature import Cell, Predictions, Signature, Task

__all__ = ["KerasPredictor"]

_ROUNDING = 1e-5  # of probabilities in float32: how far they may lie outside of [0, 1]


class KerasPredictor:
    """A model in memory, asked by one thread at a time.

    Parameters
    ----------
    model
        One input (n_rows, n_features), one output (n_rows, n_outputs).
    signature
        What rows are checked against; compared with the model.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model, self._signature = model, signature
        self._dtype = str(model.inputs[0].dtype)
        self._lock = Lock()  # not every backend traces safely from several threads
        for rows in (1, 2):  # TensorFlow traces once for one row and once for any number
            self._answers(np.zeros((rows, signature.width)))

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what Keras raises."""
        answers = self._answers(numbers(table))
        if self._signature.task is Task.REGRESSION:
            return scored(answers, self._signature)
        if not ((answers >= -_ROUNDING) & (answers <= 1 + _ROUNDING)).all():
            raise ValueError(
                f"the model answered {answers.max()}, which is no probability; end it with a "
                "softmax or sigmoid activation"
            )
        clipped = answers.clip(0, 1)
        return scored(clipped[:, 0] if clipped.shape[1] == 1 else clipped, self._signature)

    def _answers(self, inputs: Any) -> Any:
        with self._lock:
            return np.asarray(self._model.predict_on_batch(inputs.astype(self._dtype)))
