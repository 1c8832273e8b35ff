"""The zip archives of PyTorch, read strictly: stored members only, none out of place."""

from __future__ import annotations

import io
import struct
import zipfile

from palio.errors import InvalidInput, UntrustedArtifact

__all__ = ["members"]

_ENCRYPTED = 0x1
_TORCHSCRIPT = "/constants.pkl"
_ODD = ("\\", ":", "\0")
_UNREADABLE = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error)


def members(content: bytes, name: str) -> dict[str, bytes]:
    """Return the members of an archive by path, without the folder that all of them lie in.

    PyTorch compresses nothing, so members together are never larger than the file: an archive
    that says otherwise is refused before any of it is read.

    Raises
    ------
    UntrustedArtifact
        If it is TorchScript, which is code; if a member is compressed or encrypted, lies outside
        of the folder or is there twice, or if they claim more bytes than the file has.
    InvalidInput
        If the bytes are no archive, or are cut off or changed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check(entries, len(content), name)
            return {_inside(entry.filename, name): archive.read(entry) for entry in entries}
    except _UNREADABLE as error:
        raise InvalidInput(
            f"{name} is no archive that PyTorch writes: {error}; save the model again",
            field="model",
            value=name,
        ) from error


def _check(entries: list[zipfile.ZipInfo], size_bytes: int, name: str) -> None:
    if any(entry.filename.endswith(_TORCHSCRIPT) for entry in entries):
        raise UntrustedArtifact(
            f"{name} holds TorchScript, which is code; export the model by torch.export, or "
            "register the model itself, which exports it as data",
            file=name,
        )
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise _refused(name, f"{entry.filename!r} in it is compressed or encrypted")
    if sum(entry.file_size for entry in entries) > size_bytes:
        raise _refused(name, "its members claim more bytes than the file has")
    paths = [_inside(entry.filename, name) for entry in entries]
    if len(set(paths)) < len(paths):
        raise _refused(name, "a member is there twice")
    if len({entry.filename.partition("/")[0] for entry in entries}) > 1:
        raise _refused(name, "its members lie in several folders")


def _inside(path: str, name: str) -> str:
    parts = path.split("/")
    if len(parts) == 1 or {"", ".", ".."} & set(parts) or any(odd in path for odd in _ODD):
        raise _refused(name, f"{path!r} in it does not lie in one folder with the others")
    return "/".join(parts[1:])


def _refused(name: str, why: str) -> UntrustedArtifact:
    return UntrustedArtifact(
        f"{name} is not what PyTorch writes: {why}; find out where it comes from, and save the "
        "model again",
        file=name,
    )
