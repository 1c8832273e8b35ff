"""Weights that lie in files beside the model, brought into it.

A graph names these files itself, and a runtime would open whatever it names. Here nothing is
opened: a name is only ever looked up among the bytes of the version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from palio.errors import InvalidInput, UntrustedArtifact

__all__ = ["LARGEST_BYTES", "bring_in", "has_outside"]

LARGEST_BYTES = 2**31 - 1
"""A model with its weights is one protobuf message, which cannot be larger."""

_TENSOR = "onnx.TensorProto"
_EXTERNAL = 1  # TensorProto.DataLocation


def has_outside(model: Any) -> bool:
    """Tell whether weights of a ``ModelProto`` lie in other files."""
    return any(tensor.data_location == _EXTERNAL for tensor in _tensors(model))


def bring_in(model: Any, files: Mapping[str, bytes]) -> None:
    """Put weights that lie in other files into a ``ModelProto``.

    Parameters
    ----------
    model
        Changed in place, also in subgraphs and functions.
    files
        The bytes of the version by path.

    Raises
    ------
    UntrustedArtifact
        If the model names a file outside of its folder.
    InvalidInput
        If a file is missing or too short, or all together is too large.
    """
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != _EXTERNAL:
            continue
        content = _content(tensor, files)
        total += len(content)
        if total > LARGEST_BYTES:
            raise _unusable("has more than 2 GiB of weights; ONNX files of this size are not read")
        tensor.raw_data = content
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _content(tensor: Any, files: Mapping[str, bytes]) -> bytes:
    entry = {item.key: item.value for item in tensor.external_data}
    path = _inside(entry.get("location", ""))
    if path not in files:
        raise _unusable(
            f"keeps weights in {path!r}, which is not among the files "
            f"({', '.join(sorted(files))}); register it together with the model"
        )
    try:
        start = int(entry.get("offset", "0"))
        length = int(entry.get("length", len(files[path]) - start))
    except ValueError as error:
        raise _unusable(f"names no place in {path!r}: {error}; export it again") from error
    if start < 0 or length < 0 or start + length > len(files[path]):
        raise _unusable(
            f"wants bytes {start} to {start + length} of {path!r}, which has "
            f"{len(files[path])}; register the file that was written with the model"
        )
    return files[path][start : start + length]


def _inside(location: str) -> str:
    path = PurePosixPath(location)
    odd = {"\\", ":", "\0", "%"} & set(location)
    if not path.parts or path.is_absolute() or ".." in path.parts or odd:
        raise UntrustedArtifact(
            f"the model names {location!r} as the file of its weights, which is not in its own "
            "folder; export it with its weights inside or beside it",
            location=location,
        )
    return str(path)


def _tensors(message: Any) -> Iterator[Any]:
    if message.DESCRIPTOR.full_name == _TENSOR:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else [value]:
            yield from _tensors(part)


def _unusable(why: str) -> InvalidInput:
    return InvalidInput(f"the ONNX model {why}", field="model")
