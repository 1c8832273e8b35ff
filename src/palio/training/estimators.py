"""Unfitted estimators with the preprocessing that a table needs, by position of columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.impute import SimpleImputer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import (  # type: ignore[import-untyped]
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType

__all__ = ["ESTIMATORS", "estimator_for"]

_MAX_CATEGORIES = 255  # what gradient boosting can split as a set
_MIN_ROWS_PER_CATEGORY = 5


def estimator_for(
    name: str, features: Sequence[Feature], rows: np.ndarray[Any, Any], *, seed: int
) -> Any:
    """Return an unfitted estimator that takes arrays as ``training.columns.matrix`` makes them.

    Parameters
    ----------
    name
        ``logistic``, ``gradient-boosting``, or ``module:callable``, which is called without
        arguments for an unfitted classifier; it gets numbers only: missing ones replaced by the
        median and marked, all scaled, and strings one-hot.
    features
        The columns in order.
    rows
        The rows to be learnt from, array (n_rows, n_features).
    seed
        For whatever is random in the estimator.

    Raises
    ------
    InvalidInput
        If there is no estimator of that name.
    """
    strings = [at for at, feature in enumerate(features) if feature.type is FeatureType.STRING]
    if name in ESTIMATORS:
        return ESTIMATORS[name](strings, rows, seed)
    return make_pipeline(*_numbers_only(strings, rows), _imported(name))


def _logistic(strings: Sequence[int], rows: np.ndarray[Any, Any], seed: int) -> Any:
    final = LogisticRegression(max_iter=2000, random_state=seed)
    return make_pipeline(*_numbers_only(strings, rows), final)


def _numbers_only(strings: Sequence[int], rows: np.ndarray[Any, Any]) -> list[Any]:
    numbers = [at for at in range(rows.shape[1]) if at not in strings]
    scaled = [
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    ]
    if not strings:
        return scaled
    one_hot = OneHotEncoder(
        handle_unknown="ignore",
        min_frequency=_MIN_ROWS_PER_CATEGORY,
        max_categories=_MAX_CATEGORIES,
        sparse_output=False,
    )
    both = [("numbers", make_pipeline(*scaled), numbers), ("strings", one_hot, list(strings))]
    return [ColumnTransformer([step for step in both if step[2]])]


def _boosting(strings: Sequence[int], rows: np.ndarray[Any, Any], seed: int) -> Any:
    widest = max((len(_categories(rows[:, at])) for at in strings), default=0)
    if widest <= _MAX_CATEGORIES:
        return _boosted(seed, strings)
    encode = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=_MAX_CATEGORIES,
    )
    encoded = ColumnTransformer([("strings", encode, list(strings))], remainder="passthrough")
    return make_pipeline(encoded, _boosted(seed, range(len(strings))))


def _boosted(seed: int, categorical: Sequence[int]) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=150,
        max_leaf_nodes=15,
        categorical_features=list(categorical) or None,
        early_stopping=False,
        random_state=seed,
    )


def _categories(column: np.ndarray[Any, Any]) -> set[str]:
    return {cell for cell in column.tolist() if isinstance(cell, str)}


ESTIMATORS: dict[str, Callable[[Sequence[int], np.ndarray[Any, Any], int], Any]] = {
    "logistic": _logistic,
    "gradient-boosting": _boosting,
}


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise _unknown(name, f"known are {', '.join(ESTIMATORS)} and module:callable")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise _unknown(
            name, f"it cannot be imported and called without arguments: {error}"
        ) from error
    if not (hasattr(made, "fit") and hasattr(made, "predict_proba")):
        raise _unknown(
            name, f"it made a {type(made).__name__}, which has no fit and predict_proba"
        )
    return made


def _unknown(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"{name!r} is no estimator: {why}", field="estimator", value=name)
