"""The weights inside a ``.keras`` file: numbers that lie in this file, and nothing else."""

from __future__ import annotations

import io
from typing import Any

from palio.artifacts.flavors import needed

__all__ = ["check_weights"]

_NUMBERS = "biuf"  # kinds of NumPy
_BFLOAT16 = "V"  # as h5py gives it: two bytes without a meaning


def check_weights(content: bytes) -> None:
    """Read the structure of an HDF5 file, but none of its numbers.

    Raises
    ------
    ValueError
        If it has links or storage outside, data of other kinds, the same data twice, or more
        numbers than it stores.
    """
    h5py = needed("h5py", extra="keras")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _check_group(h5py, file, seen=set())
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"its weights cannot be read: {error}") from error


def _check_group(h5py: Any, group: Any, seen: set[int]) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if type(link) is not h5py.HardLink:
            raise ValueError(
                f"its weights hold a {type(link).__name__}, {name}, out of their place"
            )
        found = group[name]
        address = h5py.h5o.get_info(found.id).addr
        if address in seen:
            raise ValueError(f"its weights hold {name} twice")
        seen.add(address)
        if isinstance(found, h5py.Group):
            _check_group(h5py, found, seen)
        elif isinstance(found, h5py.Dataset):
            _check_dataset(found)


def _check_dataset(found: Any) -> None:
    if found.external or found.is_virtual:
        raise ValueError(f"its weights {found.name} lie in another file")
    kind = found.dtype
    if kind.kind not in _NUMBERS and (kind.kind, kind.itemsize) != (_BFLOAT16, 2):
        raise ValueError(f"its weights {found.name} are {kind}, which are no numbers")
    if found.nbytes != found.id.get_storage_size():
        raise ValueError(
            f"its weights {found.name} claim {found.nbytes} bytes and hold "
            f"{found.id.get_storage_size()}"
        )
