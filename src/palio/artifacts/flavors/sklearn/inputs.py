"""How a checked table reaches a fitted estimator: as an array if at all possible.

An estimator that was fitted on a frame warns at every array, and a ``ColumnTransformer`` in it
selects by name. Both are undone once, after loading: names are dropped and selections by name
become positions. Arrays then give the same answers as frames, without building a frame for every
request. Only where that is impossible (steps that hand frames to each other, or user functions)
a frame is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.impute import SimpleImputer  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]

from palio.artifacts.flavors.answers import numbers
from palio.artifacts.flavors.sklearn.trees import parts
from palio.registry.signature import Cell, FeatureType, Signature

__all__ = ["Inputs", "inputs_for", "positions"]

Inputs = Callable[[list[list[Cell]]], Any]

_NAMES = "feature_names_in_"


def inputs_for(model: object, signature: Signature) -> Inputs:
    """Return the function that turns a table into what the model takes; may adapt the model.

    Parameters
    ----------
    model
        A loaded estimator that nobody else uses; the names it was fitted with are dropped.
    signature
        The features in order.

    Returns
    -------
    callable
        From a table to an array (n_rows, n_features), float64 when every feature is numeric and
        object otherwise, or to a polars frame. Missing numbers are NaN; missing strings are what
        the model was fitted with.
    """
    inside = list(parts(model))
    if hasattr(model, _NAMES):
        if any(_needs_frames(part) for part in inside):
            return _frames(signature)
        for part in inside:
            if isinstance(part, ColumnTransformer):
                _select_by_position(part)
        for part in inside:
            if isinstance(part, BaseEstimator):
                vars(part).pop(_NAMES, None)
    if signature.numeric:
        return numbers
    return _cells(signature, None if any(_knows_none(part) for part in inside) else math.nan)


def _cells(signature: Signature, missing_string: float | None) -> Inputs:
    numeric = np.array([feature.type is not FeatureType.STRING for feature in signature.columns])

    def build(table: list[list[Cell]]) -> Any:
        cells = np.array(table, dtype=object)
        missing = (cells == None) | (cells != cells)  # noqa: E711, PLR0124  cell by cell; NaN
        if missing.any():
            cells[missing & numeric] = math.nan
            cells[missing & ~numeric] = missing_string
        return cells

    return build


def _frames(signature: Signature) -> Inputs:
    import polars as pl  # noqa: PLC0415  seldom needed

    types: dict[FeatureType, Any] = {
        FeatureType.NUMBER: pl.Float64,
        FeatureType.INTEGER: pl.Int64,
        FeatureType.BOOLEAN: pl.Boolean,
        FeatureType.STRING: pl.String,
    }
    schema = {feature.name: types[feature.type] for feature in signature.columns}

    def build(table: list[list[Cell]]) -> Any:
        return pl.DataFrame(table, schema=schema, orient="row", strict=False)

    return build


def _needs_frames(part: Any) -> bool:
    configured = getattr(part, "_sklearn_output_config", {}).get("transform", "default")
    if isinstance(part, FunctionTransformer):
        inner = getattr(part.func, "func", part.func)  # a partial's function
        own = inner is not None and not isinstance(inner, np.ufunc)
        return own and not str(getattr(inner, "__module__", "")).startswith("sklearn.")
    return bool(configured != "default")


def _select_by_position(transformer: ColumnTransformer) -> None:
    at = {name: index for index, name in enumerate(getattr(transformer, _NAMES, ()))}
    transformer.transformers_ = [
        (name, inner, positions(columns, at)) for name, inner, columns in transformer.transformers_
    ]


def positions(columns: Any, at: dict[str, int]) -> Any:
    """Return a selection of columns by name as one by position; others as they are."""
    if isinstance(columns, str):
        return at[columns]
    if isinstance(columns, slice) and isinstance(columns.start or columns.stop, str):
        first = at[columns.start] if columns.start is not None else None
        last = at[columns.stop] + 1 if columns.stop is not None else None  # by name: inclusive
        return slice(first, last, columns.step)
    if isinstance(columns, Sequence | np.ndarray):
        return [at[column] if isinstance(column, str) else column for column in columns]
    return columns


def _knows_none(part: Any) -> bool:
    if isinstance(part, SimpleImputer):
        return part.missing_values is None
    categories = getattr(part, "categories_", None)
    if not isinstance(categories, list):
        return False
    return any(None in np.asarray(known, dtype=object).tolist() for known in categories)
