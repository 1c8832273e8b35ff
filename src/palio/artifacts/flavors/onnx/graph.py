"""What the graph of an ONNX model takes and gives, and a table as its inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palio.errors import InvalidInput, InvalidRows
from palio.registry.signature import Cell, Label

__all__ = ["Graph", "Input", "Outputs", "described"]

_LABEL_ATTRIBUTES = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
_FLOATS = {"float16": np.float16, "float": np.float32, "double": np.float64}
_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_RANKS = (1, 2)


@dataclass(frozen=True, slots=True)
class Input:
    """One input: ``width`` features of one kind (``float``, ``int64``, ``string``, ``bool`` …).

    ``width`` is 0 where the graph takes any; ``flat`` where it takes (n_rows,).
    """

    name: str
    kind: str
    width: int
    flat: bool

    @property
    def takes_missing(self) -> bool:
        """Tell whether NaN can stand in it."""
        return self.kind in _FLOATS

    def tensor(self, columns: Sequence[Sequence[Cell]]) -> Any:
        """Return columns of cells as an array (n_rows, n_columns), or (n_rows,) if flat.

        Raises
        ------
        InvalidRows
            If an integer is beyond what the input holds.
        """
        try:
            array = _ARRAYS.get(self.kind, _floats)(columns, self.kind)
        except OverflowError as error:
            raise InvalidRows(
                f"a value for the input {self.name!r} does not fit {self.kind}: {error}; send a "
                "smaller one",
                field=self.name,
            ) from error
        return array.ravel() if self.flat else np.ascontiguousarray(array.T)


def _floats(columns: Sequence[Sequence[Cell]], kind: str) -> Any:
    with np.errstate(over="ignore"):
        return np.array(columns, dtype=np.float64).astype(_FLOATS[kind])


def _integers(columns: Sequence[Sequence[Cell]], kind: str) -> Any:
    return np.array([[int(cell or 0) for cell in column] for column in columns], dtype=kind)


def _booleans(columns: Sequence[Sequence[Cell]], _: str) -> Any:
    return np.array([[bool(cell) for cell in column] for column in columns], dtype=np.bool_)


def _strings(columns: Sequence[Sequence[Cell]], _: str) -> Any:
    return np.array(columns, dtype=object)


_ARRAYS: dict[str, Callable[[Sequence[Sequence[Cell]], str], Any]] = {
    "bool": _booleans,
    "string": _strings,
    **dict.fromkeys(_INTEGERS, _integers),
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where answers are found: names of the outputs, and how scores come.

    ``label`` gives a class a row, ``scores`` numbers or probabilities: ``width`` a row (0 if
    unknown), or ``zipped`` as maps from class to probability.
    """

    label: str | None
    scores: str | None
    width: int
    zipped: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Inputs, outputs, and the classes that the graph itself names."""

    inputs: tuple[Input, ...]
    outputs: Outputs
    classes: tuple[Label, ...]

    def width(self, given: int) -> int:
        """Return how many features it takes; one that takes any takes what is given."""
        if [port.width for port in self.inputs] == [0]:
            return given
        return sum(port.width for port in self.inputs)


def described(model: Any, session: Any) -> Graph:
    """Describe a model.

    Parameters
    ----------
    model
        Its ``ModelProto``.
    session
        A session of onnxruntime over it.

    Raises
    ------
    InvalidInput
        If it does not take rows of a table, or gives answers of another shape.
    """
    inputs = tuple(_input(port) for port in session.get_inputs())
    if not inputs or (len(inputs) > 1 and not all(port.width for port in inputs)):
        raise _odd("does not say how many features each input takes; export it with shapes")
    return Graph(inputs, _outputs(session.get_outputs()), _classes(model.graph))


def _input(port: Any) -> Input:
    kind = _kind(port)
    if kind not in {*_FLOATS, *_ARRAYS}:
        raise _odd(f"takes {port.type} as {port.name!r}; give it an input of numbers or strings")
    if len(port.shape) not in _RANKS:
        raise _odd(f"takes {len(port.shape)} dimensions as {port.name!r}; rows of a table have 2")
    if isinstance(port.shape[0], int):
        raise _odd(
            f"takes exactly {port.shape[0]} rows at once as {port.name!r}; export it with a "
            "dynamic first axis"
        )
    flat = len(port.shape) == 1
    width = 1 if flat else port.shape[1] if isinstance(port.shape[1], int) else 0
    return Input(port.name, kind, width, flat)


def _outputs(ports: Sequence[Any]) -> Outputs:
    labels = [port.name for port in ports if _kind(port) in _ARRAYS]
    maps = [port.name for port in ports if port.type.startswith("seq(map(")]
    floats = [port for port in ports if _kind(port) in _FLOATS]
    if len(labels) > 1 or len(maps) + len(floats) > 1 or not (labels or maps or floats):
        listed = ", ".join(f"{port.name} {port.type}" for port in ports)
        raise _odd(f"gives {listed}; keep one output of scores, one of labels, or one of each")
    shape = floats[0].shape if floats else []
    if len(shape) > max(_RANKS):
        raise _odd(f"answers in {len(shape)} dimensions; give one row of numbers a row")
    width = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else int(len(shape) == 1)
    scores = [*maps, *(port.name for port in floats)]
    return Outputs(next(iter(labels), None), next(iter(scores), None), width, bool(maps))


def _classes(graph: Any) -> tuple[Label, ...]:
    # from the end: what is closest to the answer names its classes
    for node in reversed(graph.node):
        for attribute in node.attribute:
            if attribute.name in _LABEL_ATTRIBUTES and (attribute.ints or attribute.strings):
                return (*attribute.ints, *(label.decode() for label in attribute.strings))
    return ()


def _kind(port: Any) -> str:
    found = re.fullmatch(r"tensor\((\w+)\)", port.type)
    return found[1] if found else ""


def _odd(why: str) -> InvalidInput:
    return InvalidInput(f"the ONNX model {why}", field="model")
