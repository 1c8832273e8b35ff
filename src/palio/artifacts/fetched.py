"""Files of versions that lie with a server: fetched, compared, read or written here."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from palio.errors import CorruptArtifact, InvalidInput
from palio.registry.domain import ArtifactFile, Manifest, Version
from palio.registry.manifests import MANIFEST_NAME, manifest_bytes

__all__ = ["FetchedArtifacts", "download"]

Fetch = Callable[[str, str], Iterator[bytes]]


class FetchedArtifacts:
    """Reads versions through the verb ``fetch``; what arrives is compared with the manifest.

    Parameters
    ----------
    fetch
        Yields the bytes of a file of a version, given reference and path.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def read(
        self, model: str, version: str, manifest: Manifest, *, below: str = ""
    ) -> dict[str, bytes]:
        """Return the bytes of the files whose path starts with ``below``, each compared first.

        Raises
        ------
        CorruptArtifact
            If what arrived differs from the manifest.
        """
        where = f"{model}:{version}"
        return {
            file.path: b"".join(compared(self._fetch(where, file.path), where, file))
            for file in manifest.files
            if file.path.startswith(below)
        }


def compared(chunks: Iterator[bytes], where: str, file: ArtifactFile) -> Iterator[bytes]:
    """Yield chunks, and raise after the last one if they are not the file that was registered.

    Raises
    ------
    CorruptArtifact
        If size or digest differ; nothing beyond the registered size is yielded.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size > file.size_bytes:
            break
        yield chunk
    if size != file.size_bytes or digest.hexdigest() != file.sha256:
        raise CorruptArtifact(
            f"{where}: {file.path} did not arrive as it was registered: {size} bytes instead of "
            f"{file.size_bytes}, or other ones; try again, and if it stays, "
            f"`palio artifacts verify {where}` tells what is wrong",
            version=where,
            file=file.path,
            expected=file.sha256,
            found=digest.hexdigest(),
        )


def download(version: Version, folder: Path, fetch: Fetch) -> None:
    """Write all files of a version into a folder that is not there yet, or is empty.

    They are written aside and renamed, with their ``manifest.json``: all are there, or none.

    Parameters
    ----------
    version
        Whose files.
    folder
        Where they go, under their relative paths.
    fetch
        Yields the bytes of a file, given reference and path.

    Raises
    ------
    InvalidInput
        If the folder holds something, or cannot be written.
    CorruptArtifact
        If what arrived differs from the manifest.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise _unusable(folder, "is not an empty folder; give one that is not there yet")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".palio-download-"))
    except OSError as refused:
        raise _unusable(folder, f"cannot be written: {refused.strerror}") from refused
    try:
        for file in version.manifest.files:
            target = aside / _relative(file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            chunks = fetch(version.reference, file.path)
            with target.open("xb") as written:
                written.writelines(compared(chunks, version.reference, file))
        (aside / MANIFEST_NAME).write_bytes(manifest_bytes(version.manifest))
        aside.chmod(0o755)  # as a folder that people make, and not one for its owner alone
        aside.rename(folder)
    except OSError as refused:
        raise _unusable(folder, f"cannot be written: {refused.strerror}") from refused
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _relative(path: str) -> PurePosixPath:
    """Return a path that stays below its folder: a server is not trusted with more."""
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or "\\" in path or "\0" in path:
        raise InvalidInput(
            f"the file {path!r} would lie outside of its folder; nothing was written",
            field="files",
            value=path,
        )
    return found


def _unusable(folder: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{folder} {why}", field="folder", value=str(folder))
