"""Feature names and types read off a sample: a frame of any library, or an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import is_classifier  # type: ignore[import-untyped]

from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Label, Signature, Task

__all__ = ["signature_of"]


def signature_of(model: Any, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a fitted model.

    Parameters
    ----------
    model
        A fitted estimator. If it was fitted on a frame, its columns in its order are taken.
    sample
        Inputs as a frame of pandas, polars or another library narwhals knows, or as an array
        (n_rows, n_features). A feature may be missing where the sample has missing values.
    target
        Labels, only needed for a classifier that does not keep its classes.

    Raises
    ------
    InvalidInput
        If the sample is no table, lacks columns, or has columns of other types.
    """
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    frame = nw.from_native(sample, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        features = _of_frame(frame, names)
    else:
        features = _of_array(np.asarray(sample), names)
    if not is_classifier(model):
        return Signature(features=features, task=Task.REGRESSION)
    classes: list[Label] = np.asarray(getattr(model, "classes_", np.unique(target))).tolist()
    return Signature(features=features, task=Task.CLASSIFICATION, classes=tuple(classes))


def _of_frame(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[Feature, ...]:
    chosen = names or frame.columns
    if missing := [name for name in chosen if name not in frame.columns]:
        raise _unusable(f"it lacks the columns {', '.join(missing)} that the model was fitted on")
    return tuple(_of_column(name, frame[name]) for name in chosen)


def _of_column(name: str, column: nw.Series[Any]) -> Feature:
    kind, nullable = column.dtype, bool(column.is_null().any())
    if kind == nw.Boolean:
        return Feature(name, FeatureType.BOOLEAN, nullable)
    if kind.is_integer():
        return Feature(name, FeatureType.INTEGER, nullable)
    if kind.is_float():
        return Feature(name, FeatureType.NUMBER, nullable or bool(column.is_nan().any()))
    if isinstance(kind, nw.String | nw.Categorical | nw.Enum):
        return Feature(name, FeatureType.STRING, nullable)
    if kind == nw.Object:
        return _of_cells(name, column.to_list())
    raise _unusable(f"column {name!r} is of type {kind}; give numbers, booleans or strings")


def _of_array(array: Any, names: Sequence[str]) -> tuple[Feature, ...]:
    if array.ndim != 2:  # noqa: PLR2004  a table
        raise _unusable(f"it has {array.ndim} dimensions; give a frame or an array of rows")
    if names and len(names) != array.shape[1]:
        raise _unusable(f"it has {array.shape[1]} columns, and the model takes {len(names)}")
    chosen = names or [f"x{at}" for at in range(array.shape[1])]
    return tuple(_of_cells(name, array[:, at].tolist()) for at, name in enumerate(chosen))


def _of_cells(name: str, cells: Sequence[object]) -> Feature:
    present = [cell for cell in cells if cell is not None and cell == cell]  # noqa: PLR0124  NaN
    kinds = {type(cell) for cell in present}
    nullable = len(present) < len(cells)
    for allowed, kind in (
        ({bool}, FeatureType.BOOLEAN),
        ({int}, FeatureType.INTEGER),
        ({int, float}, FeatureType.NUMBER),
        ({str}, FeatureType.STRING),
    ):
        if kinds <= allowed and (kinds or kind is FeatureType.NUMBER):
            return Feature(name, kind, nullable)
    listed = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise _unusable(f"column {name!r} mixes {listed}; give one of numbers, booleans or strings")


def _unusable(why: str) -> InvalidInput:
    return InvalidInput(f"the sample is of no use: {why}", field="sample")
