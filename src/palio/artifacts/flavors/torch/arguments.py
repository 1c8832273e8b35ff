"""Arguments of a graph's operators: constants of its JSON, and values computed before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.operators import LARGEST_SIZE
from palio.artifacts.flavors.torch.tensors import DTYPES

__all__ = ["Read", "Values", "check", "only", "read"]


class Values(dict[str, Any]):
    """Values computed so far by name, and the device that they lie on."""

    __slots__ = ("device",)

    def __init__(self, given: Mapping[str, Any], device: str) -> None:
        super().__init__(given)
        self.device = device


Read = Callable[[Values], Any]
"""Returns an argument, given all values computed so far by name."""

_NOT_FINITE = frozenset({"Infinity", "-Infinity", "NaN"})
# MemoryFormat of torch/_export/serde/schema.py
_MEMORY_FORMATS = {1: "contiguous_format", 2: "channels_last", 4: "preserve_format"}
_STRIDED = 7


def only(union: Mapping[str, Any]) -> tuple[str, Any]:
    """Return kind and content of a union, an object with one member."""
    ((kind, held),) = union.items()
    return kind, held


def read(union: Mapping[str, Any]) -> Read:
    """Return what reads an argument.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is of a kind that no allowed operator takes, such as code or a graph.
    """
    kind, held = only(union)
    return _KINDS[kind](held)


def check(given: Mapping[str, Any], kind: str) -> None:
    """Compare an argument with the type in the schema of its operator; kernels do not.

    Raises
    ------
    ValueError
        If it is of another type.
    """
    found, _ = only(given)
    inner = kind.removeprefix("Optional[").removesuffix("]") if kind[:1] == "O" else kind
    if found not in _TAKES[inner] and (found != "as_none" or inner == kind):
        raise ValueError(f"{found} stands where {kind} is taken")


def _constant(held: Any) -> Read:
    return lambda _: held


def _typed(*kinds: type) -> Callable[[Any], Read]:
    def checked(held: Any) -> Read:
        if type(held) not in kinds or (type(held) is int and abs(held) > LARGEST_SIZE):
            raise ValueError(f"{held!r} is no {kinds[0].__name__}")
        return _constant(held)

    return checked


def _float(held: Any) -> Read:
    return _constant(float(held)) if held in _NOT_FINITE else _typed(float, int)(held)


def _many(one: Callable[[Any], Read]) -> Callable[[Any], Read]:
    def several(held: list[Any]) -> Read:
        parts = [one(part) for part in held]
        return lambda values: [part(values) for part in parts]

    return several


def _tensor(held: Any) -> Read:
    return itemgetter(str(held["name"]))


def _size(held: Any) -> Read:
    kind, inner = only(held)
    return itemgetter(str(inner)) if kind == "as_name" else _KINDS[kind](inner)


def _of_torch(names: Mapping[int, str]) -> Callable[[Any], Read]:
    return lambda held: _constant(getattr(needed("torch", extra="torch"), names[held]))


def _device(held: Any) -> Read:
    if held["type"] != "cpu":
        raise ValueError(f"it computes on {held['type']}; move it to the CPU before exporting it")
    return lambda values: values.device


_KINDS: Mapping[str, Callable[[Any], Read]] = {
    "as_none": lambda _: _constant(None),
    "as_bool": _typed(bool),
    "as_int": _typed(int),
    "as_float": _float,
    "as_string": _typed(str),
    "as_ints": _many(_typed(int)),
    "as_floats": _many(_float),
    "as_bools": _many(_typed(bool)),
    "as_tensor": _tensor,
    "as_tensors": _many(_tensor),
    "as_optional_tensors": _many(read),
    "as_sym_int": _size,
    "as_sym_ints": _many(_size),
    "as_scalar_type": _of_torch(DTYPES),
    "as_memory_format": _of_torch(_MEMORY_FORMATS),
    "as_layout": _of_torch({_STRIDED: "strided"}),
    "as_device": _device,
}

_TAKES: Mapping[str, frozenset[str]] = {
    "Tensor": frozenset({"as_tensor", "as_float", "as_int", "as_bool"}),  # a number is wrapped
    "List[Tensor]": frozenset({"as_tensors"}),
    "List[Optional[Tensor]]": frozenset({"as_tensors", "as_optional_tensors"}),
    "int": frozenset({"as_int", "as_sym_int"}),
    "List[int]": frozenset({"as_ints", "as_sym_ints"}),
    "float": frozenset({"as_float", "as_int"}),
    "number": frozenset({"as_float", "as_int", "as_bool", "as_sym_int"}),
    "bool": frozenset({"as_bool"}),
    "str": frozenset({"as_string"}),
    "ScalarType": frozenset({"as_scalar_type"}),
    "MemoryFormat": frozenset({"as_memory_format"}),
    "Layout": frozenset({"as_layout"}),
    "Device": frozenset({"as_device"}),
}
