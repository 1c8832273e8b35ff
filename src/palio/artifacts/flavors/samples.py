"""Feature names and types read off a sample: a frame of any library, or an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from palio.errors import InvalidInput
from palio.registry.signature import Cell, Feature, FeatureType, Label, Task

__all__ = ["answers_of", "features_of", "rows_of"]


def features_of(sample: Any, names: Sequence[str] = ()) -> tuple[Feature, ...]:
    """Return the features of a sample of inputs.

    Parameters
    ----------
    sample
        Inputs as a frame of pandas, polars or another library narwhals knows, or as an array
        (n_rows, n_features). A feature may be missing where the sample has missing values.
    names
        The columns that the model takes, in its order; all of the sample by default.

    Raises
    ------
    InvalidInput
        If the sample is no table, lacks columns, or has columns of other types.
    """
    frame = nw.from_native(sample, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return _of_frame(frame, names)
    return _of_array(np.asarray(sample), names)


def rows_of(sample: Any, features: Sequence[Feature]) -> list[list[Cell]]:
    """Return the rows of a sample in feature order, missing cells as ``None``."""
    frame = nw.from_native(sample, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        rows = frame.select([feature.name for feature in features]).rows()
    else:
        rows = np.asarray(sample).tolist()
    return [[None if cell != cell else cell for cell in row] for row in rows]  # noqa: PLR0124  NaN


def answers_of(labels: Any) -> tuple[Task, tuple[Label, ...]]:
    """Return the task that labels of a sample speak of, and the classes among them.

    Parameters
    ----------
    labels
        Shape (n_rows,). Strings, booleans and integers are classes; floats are numbers to hit.

    Raises
    ------
    InvalidInput
        If they are of mixed or other types, or none.
    """
    found = np.asarray(labels).ravel().tolist()
    kinds = {type(label) for label in found}
    if kinds == {float}:
        return Task.REGRESSION, ()
    if len(kinds) == 1 and kinds <= {bool, int, str}:
        return Task.CLASSIFICATION, tuple(sorted(set(found)))
    listed = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
    raise InvalidInput(
        f"the labels are of type {listed}; give strings, booleans or integers for classes, "
        "floats for numbers",
        field="target",
        value=listed,
    )


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
