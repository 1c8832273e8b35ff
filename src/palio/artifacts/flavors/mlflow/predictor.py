"""A ``python_function`` of MLflow that answers tables."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.answers import scored
from palio.artifacts.flavors.callables.predictor import array_of
from palio.artifacts.flavors.mlflow.declared import Declared
from palio.registry.signature import (
    Cell,
    Feature,
    FeatureType,
    Label,
    Predictions,
    Signature,
    Task,
)

__all__ = ["MlflowPredictor"]

_ROUNDING = 1e-5  # of probabilities in float32: how far they may lie outside of [0, 1]
_TWO = 2
_DTYPES = {
    FeatureType.BOOLEAN: "bool",
    FeatureType.INTEGER: "int64",
    FeatureType.NUMBER: "float64",
    FeatureType.STRING: "object",
}
_NULLABLE = {**_DTYPES, FeatureType.BOOLEAN: "object", FeatureType.INTEGER: "float64"}


class MlflowPredictor:
    """A loaded model, asked by one thread at a time.

    Parameters
    ----------
    model
        What ``mlflow.pyfunc.load_model`` returned.
    signature
        What rows are checked against; compared with what the model declares.
    declared
        What the model declares. Without that it is given a frame with the features' names, or
        an array if these are ``x0``, ``x1`` and so on, as of a sample without names.
    """

    def __init__(self, model: Any, signature: Signature, declared: Declared | None) -> None:
        self._model, self._signature, self._declared = model, signature, declared
        self._pandas = needed("pandas", extra="mlflow")
        names = [feature.name for feature in signature.columns]
        self._unnamed = names == [f"x{at}" for at in range(len(names))]
        self._dtypes = declared.dtypes if declared else tuple(map(_dtype, signature.columns))
        self._names: list[Any] = names
        if declared and not declared.named:
            self._names = list(range(len(names)))
        self._lock = Lock()  # nothing is known of what the model's code shares

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what the model raises.

        Several columns are probabilities of the classes, and so is one of floats, of the second
        of two classes that are no floats themselves. Others are labels, or numbers.

        Raises
        ------
        ValueError
            If the answer is none of these.
        """
        answers = self.answers(table)
        classes, width = self._signature.classes, answers.shape[1]
        if self._signature.task is Task.REGRESSION and width == 1:
            return scored(answers, self._signature)
        if classes and width == 1 and not self._is_share(answers):
            return Predictions(values=self._labels(answers[:, 0].tolist()))
        if width not in {1, len(classes)}:
            raise ValueError(f"the model answered {width} columns for {len(classes) or 1}")
        shares = answers.astype(np.float64)
        if not ((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING)).all():
            raise ValueError(f"the model answered {shares.max()}, which is no probability")
        clipped = shares.clip(0, 1)
        return scored(clipped[:, 0] if width == 1 else clipped, self._signature)

    def answers(self, table: list[list[Cell]]) -> Any:
        """Return what the model answers as an array (n_rows, n_columns)."""
        inputs = self._inputs(table)
        with self._lock:
            given = self._model.predict(inputs)
        found = np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)
        if found.shape[:1] != (len(table),):
            raise ValueError(
                f"the model answered {len(table)} rows with a {type(given).__name__} of shape "
                f"{found.shape}; one answer a row is needed"
            )
        return found.reshape(len(table), -1)

    def _inputs(self, table: list[list[Cell]]) -> Any:
        if self._declared and self._declared.tensor:
            return np.array(table, dtype=self._dtypes[0])
        if self._unnamed and not self._declared:
            return array_of(table, self._signature)
        columns = zip(self._names, zip(*table, strict=True), self._dtypes, strict=True)
        return self._pandas.DataFrame(
            {name: np.array(cells, dtype=dtype) for name, cells, dtype in columns}
        )

    def _is_share(self, answers: Any) -> bool:
        classes = self._signature.classes
        floats = any(isinstance(label, float) for label in classes)
        return len(classes) == _TWO and np.issubdtype(answers.dtype, np.floating) and not floats

    def _labels(self, values: list[Label]) -> list[Label]:
        known = {label: label for label in self._signature.classes}
        for value in values:
            if value not in known:
                raise ValueError(f"the model answered {value!r}, which is none of {list(known)}")
        return [known[value] for value in values]


def _dtype(feature: Feature) -> str:
    return (_NULLABLE if feature.nullable else _DTYPES)[feature.type]
