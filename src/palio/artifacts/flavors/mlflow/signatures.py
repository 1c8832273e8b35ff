"""What a model of MLflow takes and gives, as its file says or as it answers a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.artifacts.flavors.mlflow.declared import Declared
from palio.artifacts.flavors.mlflow.predictor import MlflowPredictor
from palio.artifacts.flavors.samples import answers_of, features_of, rows_of
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Label, Signature, Task

__all__ = ["signature_as_declared", "signature_of"]

_TRIED_ROWS = 100


def signature_as_declared(declared: Declared | None, target: Any = None) -> Signature:
    """Return the signature that the file tells, without asking the model.

    Raises
    ------
    InvalidInput
        If it does not tell enough: labels of classes stand in no MLflow signature.
    """
    if declared is None:
        raise InvalidInput(
            "sample is missing, and MLmodel has no signature of its own; give some of the rows "
            "the model was fitted on, or a signature",
            field="sample",
        )
    if target is not None:
        task, classes = answers_of(target)
        return Signature(features=declared.features, task=task, classes=classes)
    if declared.answers is FeatureType.NUMBER:
        return Signature(features=declared.features, task=Task.REGRESSION)
    raise InvalidInput(
        "MLmodel does not say which classes the model answers; give target, with every label at "
        "least once, or a sample",
        field="target",
        value=None,
    )


def signature_of(
    model: Any, declared: Declared | None, sample: Any, target: Any = None
) -> Signature:
    """Return the signature of a model that is asked for the first rows of a sample.

    Parameters
    ----------
    model
        What ``mlflow.pyfunc.load_model`` returned.
    declared
        What it declares: names and types are taken from there where it does.
    sample
        Inputs as a frame or an array, or ``None`` to go by what it declares.
    target
        Labels of the sample. Without them answers that are strings or booleans, or several
        columns, are of classes, and other numbers are numbers.

    Raises
    ------
    InvalidInput
        If the model fails on the sample, or does not answer it row by row.
    """
    if sample is None:
        return signature_as_declared(declared, target)
    features = _features(declared, sample)
    table = rows_of(sample, features)[:_TRIED_ROWS]
    asked = Signature(features=features, task=Task.REGRESSION)
    try:
        answers = MlflowPredictor(model, asked, declared).answers(table)
        task, classes = _answered(answers, target)
        found = Signature(features=features, task=task, classes=classes)
        if declared:
            declared.check_fits(found)
        MlflowPredictor(model, found, declared).predict(table)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"the MLflow model does not answer the sample: {type(error).__name__}: {error}",
            field="sample",
        ) from error
    return found


def _features(declared: Declared | None, sample: Any) -> tuple[Feature, ...]:
    if declared is None or not declared.named:
        return features_of(sample)
    names = [feature.name for feature in declared.features]
    features_of(sample, names)  # for its errors
    return declared.features


def _answered(answers: Any, target: Any) -> tuple[Task, tuple[Label, ...]]:
    width = answers.shape[1]
    if target is not None:
        return answers_of(target)
    if width > 1:
        return Task.CLASSIFICATION, tuple(range(width))
    if np.issubdtype(answers.dtype, np.number):
        return Task.REGRESSION, ()
    return answers_of(answers)
