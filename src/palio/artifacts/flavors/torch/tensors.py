"""The weights of an exported program: raw bytes as tensors, each within its own bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from palio.artifacts.flavors import needed
from palio.errors import UntrustedArtifact

__all__ = ["DTYPES", "tensors"]

# ScalarType of torch/_export/serde/schema.py
DTYPES: Mapping[int, str] = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_STRIDED = 7


def tensors(files: Mapping[str, bytes], folder: str) -> dict[str, Any]:
    """Return the tensors of one folder of an archive by name.

    Parameters
    ----------
    files
        The members of the archive by path.
    folder
        ``weights`` or ``constants``.

    Raises
    ------
    UntrustedArtifact
        If one is kept as anything but raw bytes, or reaches beyond its bytes.
    ValueError, KeyError, TypeError
        If the description is not what PyTorch writes.
    """
    torch = needed("torch", extra="torch")
    described = json.loads(files[f"data/{folder}/model_{folder}_config.json"])["config"]
    memory: dict[str, Any] = {}
    found = {}
    for name, entry in described.items():
        if entry["use_pickle"] is not False:
            raise UntrustedArtifact(
                f"{name!r} in the archive is a pickle, which could run code when it is loaded; "
                "export the model with plain tensors only",
                member=str(entry["path_name"]),
            )
        path = f"data/{folder}/{entry['path_name']}"
        if path not in memory:
            memory[path] = bytearray(files[path])
        found[name] = _tensor(torch, memory[path], entry["tensor_meta"], name)
    return found


def _tensor(torch: Any, memory: bytearray, meta: Any, name: str) -> Any:
    sizes = [_integer(size) for size in meta["sizes"]]
    strides = [_integer(stride) for stride in meta["strides"]]
    offset = _integer(meta["storage_offset"])
    if meta["layout"] != _STRIDED or len(sizes) != len(strides):
        raise ValueError(f"{name!r} is no plain tensor")
    dtype = getattr(torch, DTYPES[meta["dtype"]])
    if 0 in sizes:
        return torch.empty(sizes, dtype=dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if max(last + 1, math.prod(sizes)) * dtype.itemsize > len(memory):
        raise UntrustedArtifact(
            f"{name!r} in the archive reaches beyond its own bytes, which PyTorch never writes; "
            "find out where the file comes from, and export the model again",
            tensor=name,
        )
    # a truth value of raw bytes may be neither 0 nor 1, which kernels take for granted
    flat = torch.frombuffer(memory, dtype=torch.uint8 if dtype == torch.bool else dtype).to(dtype)
    return torch.as_strided(flat, sizes, strides, offset)


def _integer(found: Any) -> int:
    number = found["as_int"]
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no size")
    return number
