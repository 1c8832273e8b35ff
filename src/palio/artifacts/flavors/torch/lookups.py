"""Operators that look into a tensor by index, each index compared with it first.

On a GPU an index beyond the tensor ends all work of the process there, for good: one odd cell of
a row would, such as a missing one that becomes an index. Here it raises, as on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from palio.artifacts.flavors import needed

__all__ = ["LOOKUPS"]


def _embedding(weight: Any, indices: Any, *more: Any, **named: Any) -> Any:
    _check(indices, 0, len(weight))
    return _aten().embedding.default(weight, indices, *more, **named)


def _gather(self: Any, dim: int, index: Any, **named: Any) -> Any:
    _check(index, 0, _size(self, dim))
    return _aten().gather.default(self, dim, index, **named)


def _index_select(self: Any, dim: int, index: Any) -> Any:
    _check(index, 0, _size(self, dim))
    return _aten().index_select.default(self, dim, index)


def _index(self: Any, indices: Sequence[Any]) -> Any:
    at = 0
    for index in indices:
        if index is None or not _is_mask(index):
            size = _size(self, at)
            if index is not None:
                _check(index, -size, size)
            at += 1
        else:
            at += index.ndim  # PyTorch compares its shape
    return _aten().index.Tensor(self, indices)


def _one_hot(self: Any, num_classes: int = -1) -> Any:
    _check(self, 0, None if num_classes < 0 else num_classes)
    return _aten().one_hot.default(self, num_classes)


def _check(index: Any, least: int, size: int | None) -> None:
    if index.is_meta or not index.numel():
        return
    low, high = (int(one) for one in index.aminmax())
    if low < least or (size is not None and high >= size):
        wrong, most = low if low < least else high, "any" if size is None else f"{size - 1}"
        raise IndexError(f"index {wrong} is outside of {least} to {most}")


def _is_mask(index: Any) -> bool:
    torch = needed("torch", extra="torch")
    return index.dtype in (torch.bool, torch.uint8)


def _size(tensor: Any, dim: int) -> int:
    return int(tensor.shape[dim]) if tensor.ndim else 1


def _aten() -> Any:
    return needed("torch", extra="torch").ops.aten


LOOKUPS: Mapping[str, Callable[..., Any]] = {
    "torch.ops.aten.embedding.default": _embedding,
    "torch.ops.aten.gather.default": _gather,
    "torch.ops.aten.index.Tensor": _index,
    "torch.ops.aten.index_select.default": _index_select,
    "torch.ops.aten.one_hot.default": _one_hot,
}
"""All operators of the list that take indices, by name, and what computes the same."""
