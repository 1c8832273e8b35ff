"""What a version takes and gives: feature names, types, and the check of rows against them."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

from palio.errors import InvalidInput, InvalidRows

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

_LARGEST = 2**1024 - 2**970  # integers from here on have no float
_SHOWN = 60  # characters of a cell that a message repeats
_MOST_CELLS = 1_000_000  # of one array: a request holds it as text

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
    """One input: its name, type, and whether it may be missing (null or NaN).

    Where ``size`` is given it is an array of so many cells of that type, a second of sound say,
    and each cell a column of the table that the model gets.
    """

    name: str
    type: FeatureType
    nullable: bool = False
    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= _MOST_CELLS:
            raise InvalidInput(
                f"size of {self.name} must be in [1, {_MOST_CELLS}], got {self.size}; leave it "
                "out for a single cell",
                field="size",
                value=self.size,
            )

    @property
    def said(self) -> str:
        """Its type in words."""
        return str(self.type) if self.size is None else f"array of {self.size} x {self.type}"

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The columns that it is in a table: itself, or one for each cell of an array."""
        if self.size is None:
            return (self,)
        return tuple(
            Feature(f"{self.name}[{at}]", self.type, self.nullable) for at in range(self.size)
        )


@dataclass(frozen=True)  # without slots: what requests ask of it is reckoned once
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
        inputs = tuple((feature.name, feature.type, feature.size) for feature in self.features)
        return inputs, self.task, self.classes

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The columns of the table that a model gets, arrays taken apart."""
        return tuple(column for feature in self.features for column in feature.columns)

    @cached_property
    def has_arrays(self) -> bool:
        """Tell whether some feature is an array."""
        return any(feature.size is not None for feature in self.features)

    @property
    def width(self) -> int:
        """How many columns the table has."""
        return sum(feature.size or 1 for feature in self.features)

    def table(self, rows: Sequence[object]) -> list[list[Cell]]:
        """Return rows as lists in the order of the columns, each cell checked.

        Parameters
        ----------
        rows
            Objects by feature name, or arrays in feature order; at least one. A feature that is
            an array is one in either.

        Raises
        ------
        InvalidRows
            Naming the first row and field that do not fit.
        """
        if not rows:
            raise InvalidRows("rows is empty; send at least one row", field="rows", value=[])
        table = [self._row(number, row) for number, row in enumerate(rows)]
        return [self._flat(row) for row in table] if self.has_arrays else table

    def _flat(self, row: list[Any]) -> list[Cell]:
        flat: list[Cell] = []
        for feature, cell in zip(self.features, row, strict=True):
            flat += [cell] if feature.size is None else cell
        return flat

    def _row(self, number: int, row: object) -> list[Cell]:
        if isinstance(row, Mapping):
            cells = self._by_name(number, row)
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes):
            cells = self._by_position(number, row)
        else:
            raise _refused(number, None, row, "is neither an object nor an array")
        if self.has_arrays or not all(_plainly(pick(cells), kinds) for pick, kinds in self._plain):
            self._check_each(number, cells)
        return cells

    @cached_property
    def _plain(self) -> list[_Plain]:
        """What picks the cells of one type, and the kinds that they usually are."""
        places: dict[FeatureType, list[int]] = {}
        for at, feature in enumerate(self.features):
            places.setdefault(feature.type, []).append(at)
        return [(_picking(found), _KINDS[kind]) for kind, found in places.items()]

    @cached_property
    def _checks(self) -> list[Callable[[Any], bool]]:
        return [_fits(feature) for feature in self.features]

    def _check_each(self, number: int, cells: list[Any]) -> None:
        for feature, fits, cell in zip(self.features, self._checks, cells, strict=True):
            name = feature.name
            if fits(cell):
                continue
            if feature.size is not None:
                raise _refused(number, name, None, _unlike(cell, feature))
            if not _missing(cell):
                raise _refused(number, name, cell, f"is no {feature.type}")
            if not feature.nullable:
                raise _refused(number, name, cell, "is missing, and this field must be given")

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


_Plain = tuple[Callable[[Any], Sequence[Any]], frozenset[type]]
_KINDS: Mapping[FeatureType, frozenset[type]] = {
    FeatureType.NUMBER: frozenset({float, int}),
    FeatureType.INTEGER: frozenset({int}),
    FeatureType.BOOLEAN: frozenset({bool}),
    FeatureType.STRING: frozenset({str}),
}


def _plainly(cells: Sequence[Any], kinds: frozenset[type]) -> bool:
    """Tell at little cost that cells are of these kinds, and finite; false leaves it open."""
    if not kinds.issuperset(map(type, cells)):
        return False
    try:
        return str in kinds or math.isfinite(sum(map(float, cells)))
    except OverflowError:
        return False


def _picking(places: Sequence[int]) -> Callable[[Any], Sequence[Any]]:
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1))


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


def _fits(feature: Feature) -> Callable[[Any], bool]:
    fits, size, nullable = _CHECKS[feature.type], feature.size, feature.nullable
    kinds = _KINDS[feature.type]
    if size is None:
        return fits

    def fits_as_array(cells: Any) -> bool:
        return (
            isinstance(cells, list | tuple)
            and len(cells) == size
            and (
                _plainly(cells, kinds)
                or all(fits(cell) or (nullable and _missing(cell)) for cell in cells)
            )
        )

    return fits_as_array


def _unlike(cells: object, feature: Feature) -> str:
    """Return what is wrong with an array, never repeating it as a whole."""
    wanted = f"an array of {feature.size} values of type {feature.type} is expected"
    if not isinstance(cells, list | tuple):
        return f"{wanted}, got a {type(cells).__name__}"
    if len(cells) != feature.size:
        return f"{wanted}, got {len(cells)}"
    fits = _CHECKS[feature.type]
    at = next(at for at, one in enumerate(cells) if not fits(one))
    return f"{wanted}, and the one at {at} is {str(cells[at])[:_SHOWN]!r}"


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
