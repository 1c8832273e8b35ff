"""What a fitted estimator says of its inputs and answers by itself, without a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier  # type: ignore[import-untyped]
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from sklearn.utils import get_tags  # type: ignore[import-untyped]

from palio.artifacts.flavors.sklearn.inputs import positions
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Label, Signature, Task

__all__ = ["features_of", "signature_of"]


def signature_of(model: Any) -> Signature:
    """Return the signature of a fitted model.

    Raises
    ------
    InvalidInput
        If the model does not say how many features it takes.
    """
    features = features_of(model)
    classes: list[Label] = np.asarray(getattr(model, "classes_", ())).tolist()
    known = is_classifier(model) if isinstance(model, BaseEstimator) else bool(classes)
    if not known:
        return Signature(features=features, task=Task.REGRESSION)
    return Signature(features=features, task=Task.CLASSIFICATION, classes=tuple(classes))


def features_of(fitted: Any) -> tuple[Feature, ...]:
    """Return the features that a fitted model or transformer takes.

    Names are the columns it was fitted on, ``x0``, ``x1`` and so on where it was fitted on an
    array. A feature is a string where an encoder or an imputer learned strings of it, else a
    number; it may be missing where the first step says that it takes missing values.

    Raises
    ------
    InvalidInput
        If it does not say how many there are.
    """
    width = getattr(fitted, "n_features_in_", None)
    if not isinstance(width, int | np.integer):
        kind = type(fitted).__name__
        raise InvalidInput(
            f"this {kind} does not say which features it takes; register it with a signature, or "
            "give a fitted estimator of scikit-learn's kind",
            field="signature",
            value=kind,
        )
    names = [str(name) for name in getattr(fitted, "feature_names_in_", ())]
    texts, nullable = _texts(fitted, names), _takes_missing(fitted)
    return tuple(
        Feature(name, FeatureType.STRING if at in texts else FeatureType.NUMBER, nullable)
        for at, name in enumerate(names or [f"x{at}" for at in range(width)])
    )


def _texts(fitted: Any, names: Sequence[str]) -> set[int]:
    """Return the positions of the columns of which strings were learned."""
    if isinstance(fitted, Pipeline):
        return _texts(fitted.steps[0][1], names)
    if isinstance(fitted, ColumnTransformer):
        places = {name: at for at, name in enumerate(names)}
        every = np.arange(fitted.n_features_in_)
        found: set[int] = set()
        for _, inner, columns in fitted.transformers_:
            own = np.atleast_1d(every[positions(columns, places)])
            found |= {int(own[at]) for at in _texts(inner, ())}
        return found
    learned: Any = getattr(fitted, "categories_", getattr(fitted, "statistics_", ()))
    return {at for at, one in enumerate(learned) if _has_text(one)}


def _has_text(learned: Any) -> bool:
    return any(isinstance(one, str) for one in np.atleast_1d(np.asarray(learned, dtype=object)))


def _takes_missing(fitted: Any) -> bool:
    if not isinstance(fitted, BaseEstimator):
        return False
    return bool(get_tags(fitted).input_tags.allow_nan)
