"""What a version takes and gives: feature names, types, and the check of rows against them."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palio.errors import InvalidRows

__all__ = [
    "Cell",
    "Feature",
    "FeatureType",
    "Label",
    "Predictions",
    "Signature",
    "Task",
    "label_key",
]

_LARGEST = 2**1023  # integers beyond have no float

Cell = float | int | bool | str | None
Label = bool | int | float | str


class FeatureType(enum.StrEnum):
    """What a cell of a feature may be."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"


class Task(enum.StrEnum):
    """What a version answers."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input: its name, type, and whether it may be missing (null or NaN)."""

    name: str
    type: FeatureType
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs of a version in order, and what it answers.

    ``classes`` are the labels of a classifier, in the order of its probabilities.
    """

    features: tuple[Feature, ...]
    task: Task
    classes: tuple[Label, ...] = ()

    @property
    def numeric(self) -> bool:
        """Tell whether every feature can stand in an array of float64."""
        return all(feature.type is not FeatureType.STRING for feature in self.features)

    @property
    def shape(self) -> tuple[object, ...]:
        """What two versions must share to stand behind one endpoint."""
        inputs = tuple((feature.name, feature.type) for feature in self.features)
        return inputs, self.task, self.classes

    def table(self, rows: Sequence[object]) -> list[list[Cell]]:
        """Return rows as lists in feature order, each cell checked.

        Parameters
        ----------
        rows
            Objects by feature name, or arrays in feature order; at least one.

        Raises
        ------
        InvalidRows
            Naming the first row and field that do not fit.
        """
        if not rows:
            raise InvalidRows("rows is empty; send at least one row", field="rows", value=[])
        checks = [(feature.name, _CHECKS[feature.type], feature) for feature in self.features]
        return [self._row(number, row, checks) for number, row in enumerate(rows)]

    def _row(self, number: int, row: object, checks: list[_Check]) -> list[Cell]:
        if isinstance(row, Mapping):
            cells = self._by_name(number, row)
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes):
            cells = self._by_position(number, row)
        else:
            raise _refused(number, None, row, "is neither an object nor an array")
        for (name, fits, feature), cell in zip(checks, cells, strict=True):
            if fits(cell):
                continue
            if not _missing(cell):
                raise _refused(number, name, cell, f"is no {feature.type}")
            if not feature.nullable:
                raise _refused(number, name, cell, "is missing, and this field must be given")
        return cells

    def _by_name(self, number: int, row: Mapping[str, Any]) -> list[Any]:
        try:
            cells = [row[feature.name] for feature in self.features]
        except KeyError as missing:
            raise _refused(number, missing.args[0], None, "is not in the row") from None
        if len(row) > len(cells):
            known = {feature.name for feature in self.features}
            unknown = next(name for name in row if name not in known)
            raise _refused(number, unknown, row[unknown], "is unknown to this version")
        return cells

    def _by_position(self, number: int, row: Sequence[Any]) -> list[Any]:
        if len(row) != len(self.features):
            raise _refused(
                number, None, len(row), f"values were sent, and {len(self.features)} are expected"
            )
        return list(row)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a version answers to a table: one value a row, and a classifier's probabilities.

    ``values`` are labels of the signature's classes, or numbers; ``probabilities`` has a row of
    as many numbers in [0, 1] as there are classes, and is ``None`` for a regression.

    Raises
    ------
    ValueError
        If a number is not finite: no judgement could be made of it later.
    """

    values: list[Label]
    probabilities: list[list[float]] | None = None

    def __post_init__(self) -> None:
        for numbers in (self.values, *(self.probabilities or ())):
            for number in numbers:
                if isinstance(number, float) and not math.isfinite(number):
                    raise ValueError(f"the model answered {number}, which is no number")


def label_key(label: Label) -> tuple[bool, Label]:
    """Return what two labels share if they are the same: 1 is 1.0, and neither is true."""
    return isinstance(label, bool), label


_Check = tuple[str, Callable[[Any], bool], Feature]


def _is_number(cell: Any) -> bool:
    kind = type(cell)
    return (kind is float and math.isfinite(cell)) or (kind is int and abs(cell) < _LARGEST)


def _is_integer(cell: Any) -> bool:
    kind = type(cell)
    return (kind is int and abs(cell) < _LARGEST) or (kind is float and cell.is_integer())


def _is_boolean(cell: Any) -> bool:
    return type(cell) is bool


def _is_string(cell: Any) -> bool:
    return type(cell) is str


_CHECKS: Mapping[FeatureType, Callable[[Any], bool]] = {
    FeatureType.NUMBER: _is_number,
    FeatureType.INTEGER: _is_integer,
    FeatureType.BOOLEAN: _is_boolean,
    FeatureType.STRING: _is_string,
}


def _missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _refused(number: int, name: str | None, value: object, why: str) -> InvalidRows:
    where = f"row {number}" if name is None else f"row {number}, field {name!r}"
    shown = "" if value is None else f"{value!r} "
    return InvalidRows(
        f"{where}: {shown}{why}",
        row=number,
        field=name,
        value=None if isinstance(value, float) and math.isnan(value) else value,
    )
