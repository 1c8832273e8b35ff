"""Bytes of a ``.keras`` file become ones that Keras may see."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Collection

from palio.artifacts.flavors.keras.config import read_config
from palio.artifacts.flavors.keras.weights import check_weights
from palio.errors import InvalidInput

__all__ = ["rewritten", "unreadable"]

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_EXPANSION = 10  # Keras stores members as they are; others may have compressed them
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_MIB = 1024 * 1024
_MOST = {_CONFIG: 16 * _MIB, _METADATA: _MIB}
_UNREADABLE = (EOFError, NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile)


def rewritten(content: bytes, name: str, trusted: Collection[str]) -> bytes:
    """Read an archive as strictly as it can be, and write it anew.

    What is loaded is what was checked: the bytes given never reach Keras.

    Parameters
    ----------
    content
        Bytes whose digests have been compared.
    name
        The file they are of.
    trusted
        As ``read_config`` takes it.

    Raises
    ------
    UntrustedArtifact
        If the model is made of types that are not allowed.
    InvalidInput
        If this is no archive with the three members of Keras 3, each of its size.
    """
    try:
        members = _members(content)
        config = read_config(members[_CONFIG], trusted)
        check_weights(members[_WEIGHTS])
    except (*_UNREADABLE, zlib.error) as error:
        raise unreadable(name, error) from error
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_METADATA, members[_METADATA])
        archive.writestr(_CONFIG, json.dumps(config))
        archive.writestr(_WEIGHTS, members[_WEIGHTS])
    return buffer.getvalue()


def unreadable(name: str, error: object) -> InvalidInput:
    """Return the error for a file that is no model of Keras."""
    return InvalidInput(
        f"{name} is no Keras model that can be loaded here: {error}; save it again with "
        "model.save('model.keras') of Keras 3",
        field="model",
        value=name,
    )


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        listed = archive.infolist()
        if sorted(one.filename for one in listed) != sorted((_CONFIG, _METADATA, _WEIGHTS)):
            found = ", ".join(repr(one.filename) for one in listed[:5]) or "nothing"
            raise ValueError(
                f"it holds {found}, and {_CONFIG}, {_METADATA} and {_WEIGHTS} are what it must "
                "hold; files of vocabularies are not taken"
            )
        return {one.filename: _member(archive, one, len(content)) for one in listed}


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo, stored: int) -> bytes:
    if one.file_size > _MOST.get(one.filename, _EXPANSION * stored):
        raise ValueError(f"{one.filename} would grow to {one.file_size} bytes")
    if one.compress_type not in _COMPRESSIONS:
        raise ValueError(f"{one.filename} is compressed in a way that Keras does not use")
    with archive.open(one) as opened:
        return opened.read(one.file_size + 1)  # or it grows as far as it can, whatever it says
