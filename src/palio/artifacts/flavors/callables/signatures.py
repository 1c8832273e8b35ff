"""What a function or object takes and gives, seen by asking it."""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.artifacts.flavors.callables.predictor import CallablePredictor, array_of, asked
from palio.artifacts.flavors.samples import answers_of, features_of, rows_of
from palio.errors import InvalidInput
from palio.registry.signature import Label, Signature, Task

__all__ = ["signature_of"]


def signature_of(model: Any, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a model, which is asked for the sample as it will be served.

    Parameters
    ----------
    model
        A function of an array, or an object with ``predict``.
    sample
        Inputs as a frame or an array (n_rows, n_features).
    target
        Labels of the sample. Without them, and without ``classes_`` on the model, answers that
        are strings or booleans are classes, and numbers are numbers.

    Raises
    ------
    InvalidInput
        If the model fails on the sample, or does not answer it row by row.
    """
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    features = features_of(sample, names)
    table = rows_of(sample, features)
    unanswered = Signature(features=features, task=Task.REGRESSION)
    try:
        answers = np.asarray(asked(model)(array_of(table, unanswered)))
        task, classes = _answers(model, answers, target)
        signature = Signature(features=features, task=task, classes=classes)
        CallablePredictor(model, signature).predict(table)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"the model does not answer the sample: {type(error).__name__}: {error}; it is given "
            "an array (n_rows, n_features), float64 or object, and must return one answer a row",
            field="model",
            value=type(model).__name__,
        ) from error
    return signature


def _answers(model: Any, answers: Any, target: Any) -> tuple[Task, tuple[Label, ...]]:
    known: list[Label] = np.asarray(getattr(model, "classes_", ())).tolist()
    if known:
        return Task.CLASSIFICATION, tuple(known)
    if target is not None:
        return answers_of(target)
    if np.issubdtype(answers.dtype, np.number):
        return Task.REGRESSION, ()
    return answers_of(answers)
