"""Columns of a table as features, labels and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from palio.errors import InvalidData
from palio.registry.signature import Feature, FeatureType, Label

__all__ = ["features_of", "identifiers", "labels_of", "matrix"]

_MIN_ROWS = 20
_MIN_ROWS_PER_CLASS = 2


def features_of(frame: pl.DataFrame, target: str, drop: Sequence[str] = ()) -> tuple[Feature, ...]:
    """Return every column but the target and those dropped as a feature.

    A feature may be missing where the table has missing values.

    Raises
    ------
    InvalidData
        If a column named is not there, is neither number, boolean nor string, or has no values,
        or if no column is left.
    """
    for name in (target, *drop):
        if name not in frame.columns:
            listed = ", ".join(frame.columns)
            raise _refused(name, f"is not in the table; its columns are: {listed}")
    left = [column for column in frame.iter_columns() if column.name not in {target, *drop}]
    if not left:
        raise _refused(target, "is the only column left; keep at least one to learn from")
    return tuple(_feature(column) for column in left)


def _feature(column: pl.Series) -> Feature:
    if column.null_count() == len(column):
        raise _refused(column.name, f"has no values; leave it out with --drop {column.name}")
    nullable = column.null_count() > 0
    if column.dtype == pl.Boolean:
        return Feature(column.name, FeatureType.BOOLEAN, nullable)
    if column.dtype.is_integer():
        return Feature(column.name, FeatureType.INTEGER, nullable)
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64)
        if numbers.is_infinite().any():
            raise _refused(
                column.name,
                f"holds an infinite number; make it missing or leave the column out with "
                f"--drop {column.name}",
            )
        missing = nullable or bool(numbers.is_nan().any())
        return Feature(column.name, FeatureType.NUMBER, missing)
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        return Feature(column.name, FeatureType.STRING, nullable)
    raise _refused(
        column.name,
        f"is of type {column.dtype}, which no model here learns from; turn it into a number "
        f"(such as days since a date) or leave it out with --drop {column.name}",
    )


def labels_of(frame: pl.DataFrame, target: str) -> tuple[np.ndarray[Any, Any], tuple[Label, ...]]:
    """Return the class of every row as a number, and the labels in sorted order.

    Returns
    -------
    codes : array (n_rows,) int64
        Positions in ``labels``.
    labels : tuple
        Integers, booleans or strings; the last of two is the positive class.

    Raises
    ------
    InvalidData
        If labels are missing or no classes, if there is only one, or if rows are too few.
    """
    column = frame[target]
    if frame.height < _MIN_ROWS:
        raise _refused(target, f"has {frame.height} rows; at least {_MIN_ROWS} are needed")
    if missing := column.null_count():
        raise _refused(target, f"is missing in {missing} rows; remove these rows")
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if whole.null_count() or bool((whole.cast(pl.Float64) != column).any()):
            raise _refused(
                target, "holds numbers, not classes; give integers, booleans or strings"
            )
        column = whole
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if not (column.dtype.is_integer() or isinstance(column.dtype, pl.Boolean | pl.String)):
        raise _refused(target, f"is of type {column.dtype}; give integers, booleans or strings")
    values, codes, counts = np.unique(column.to_numpy(), return_inverse=True, return_counts=True)
    _check_counts(target, values.tolist(), counts)
    return codes.astype(np.int64), tuple(values.tolist())


def _check_counts(target: str, labels: list[Any], counts: np.ndarray[Any, Any]) -> None:
    if len(labels) == 1:
        raise _refused(target, f"is {labels[0]!r} in every row; there is nothing to tell apart")
    rare = [label for label, n in zip(labels, counts, strict=True) if n < _MIN_ROWS_PER_CLASS]
    if rare:
        raise _refused(
            target,
            f"is {rare[0]!r} in one row only; a class needs at least {_MIN_ROWS_PER_CLASS} rows: "
            "remove the row or add others, and check that the column holds classes",
        )


def matrix(frame: pl.DataFrame, features: Sequence[Feature]) -> np.ndarray[Any, Any]:
    """Return the features as an array, columns in the order of ``features``.

    Returns
    -------
    array (n_rows, n_features)
        float64 when every feature is a number or boolean, object otherwise. Missing cells are
        NaN.
    """
    strings = [feature.type is FeatureType.STRING for feature in features]
    cells = np.empty((frame.height, len(features)), dtype=object if any(strings) else np.float64)
    for at, (feature, is_string) in enumerate(zip(features, strings, strict=True)):
        column = frame[feature.name]
        if is_string:
            texts = column.cast(pl.String)
            cells[:, at] = np.where(texts.is_null().to_numpy(), np.nan, texts.to_numpy())
        else:
            cells[:, at] = column.cast(pl.Float64).to_numpy()
    return cells


def identifiers(frame: pl.DataFrame, features: Sequence[Feature]) -> list[str]:
    """Return a warning for every integer or string feature that differs in every row."""
    suspects = {FeatureType.INTEGER, FeatureType.STRING}
    return [
        f"{feature.name} is unique per row; if it is an identifier, leave it out with "
        f"--drop {feature.name}"
        for feature in features
        if feature.type in suspects and frame[feature.name].n_unique() == frame.height
    ]


def _refused(name: str, why: str) -> InvalidData:
    return InvalidData(f"column {name!r} {why}", field=name, value=name)
