"""A fitted estimator that answers tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV  # type: ignore[import-untyped]
from sklearn.ensemble import (  # type: ignore[import-untyped]
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import (  # type: ignore[import-untyped]
    LogisticRegression,
    LogisticRegressionCV,
)
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]

from palio.artifacts.flavors.sklearn.inputs import inputs_for
from palio.artifacts.flavors.threads import FewThreads
from palio.registry.signature import Cell, Label, Predictions, Signature, Task

__all__ = ["SklearnPredictor"]

_LIKELIEST = (
    CalibratedClassifierCV,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    LogisticRegression,
    LogisticRegressionCV,
    RandomForestClassifier,
)


class SklearnPredictor:
    """A loaded estimator in memory. May be called from several threads.

    Parameters
    ----------
    model
        A fitted estimator that nobody else uses.
    signature
        What it takes and gives.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self._inputs = inputs_for(model, signature)
        self._model = model
        self._threads = FewThreads()
        self._classes: list[Label] = list(signature.classes)
        self._is_classifier = signature.task is Task.CLASSIFICATION
        self._has_probabilities = hasattr(model, "predict_proba")
        self._answers_likeliest = _answers_likeliest(model)
        self._index = {label: at for at, label in enumerate(_labels(model))}

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what the model raises."""
        with self._threads.over(len(table)):
            return self._answer(table)

    def _answer(self, table: list[list[Cell]]) -> Predictions:
        inputs = self._inputs(table)
        if not self._is_classifier:
            numbers = np.asarray(self._model.predict(inputs), dtype=np.float64)
            return Predictions(values=[*numbers.ravel().tolist()])
        if not self._has_probabilities:
            return Predictions(values=self._chosen(inputs))
        probabilities = self._model.predict_proba(inputs)
        if self._answers_likeliest:
            values = [self._classes[at] for at in probabilities.argmax(axis=1)]
        else:
            values = self._chosen(inputs)
        return Predictions(values=values, probabilities=probabilities.tolist())

    def _chosen(self, inputs: Any) -> list[Label]:
        answers = self._model.predict(inputs)
        return [self._classes[self._index[label]] for label in answers.tolist()]


def _labels(model: Any) -> list[Label]:
    labels: list[Label] = np.asarray(getattr(model, "classes_", ())).tolist()
    return labels


def _answers_likeliest(model: Any) -> bool:
    # others may move the threshold, so both of their methods are asked
    final = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return type(final) in _LIKELIEST
