"""Files of versions over fsspec: staged aside, hashed as written, then put in their place."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from palio.artifacts.addresses import folders_at
from palio.artifacts.folders import CHUNK_BYTES, Folders
from palio.artifacts.leftovers import found_in
from palio.artifacts.staging import copied, files_of
from palio.errors import CorruptArtifact
from palio.registry.domain import ArtifactFile, Manifest, check_name
from palio.registry.manifests import MANIFEST_NAME, manifest_bytes, manifest_of
from palio.registry.ports import Difference, Leftover

__all__ = ["FsspecArtifactStore"]

_REMEDY = (
    "restore the file from a backup of the artifact store, or register the model again "
    "under a new version"
)


class FsspecArtifactStore:
    """One folder a version, ``<root>/<model>/<version>/``, on any file system of fsspec.

    Beside the version's files lies ``manifest.json`` with their digests. Files that are not
    published yet lie under ``<root>/.staging-…``, which no version's name can be.

    On a disk, publishing renames: a folder in a version's place is whole, and it is on the device
    before ``publish`` returns. Object storage cannot rename: publishing copies, ``manifest.json``
    first, then removes what was staged. A crash between leaves part of a folder there, which is
    nobody's: a version exists by its record alone, the record is written after the last file is
    in its place, and reading compares every file with the record. The next registration under
    that name replaces such a folder, and ``palio artifacts gc`` finds it by its manifest, which
    is removed last.

    Parameters
    ----------
    url
        A local folder, or an address that fsspec knows: ``file:///data/palio``,
        ``memory://palio``, ``s3://bucket/palio`` (needs ``palio[s3]``), ``gs://bucket/palio``
        (``palio[gcs]``), ``abfs://container/palio`` (``palio[azure]``). Who may, and where the
        server is, come from where each driver looks for them: for S3 the profile or the
        variables ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION`` and, for
        another server than Amazon's, ``AWS_ENDPOINT_URL``; for any of them fsspec's own
        configuration, ``FSSPEC_S3_…`` or a file in ``~/.config/fsspec``.

    Raises
    ------
    MissingExtra
        If the package for that kind of address is not installed.
    InvalidInput
        If fsspec knows no such kind of address.
    """

    def __init__(self, url: str) -> None:
        self._folders = folders_at(url)

    @contextmanager
    def stage(
        self,
        model: str,
        version: str,
        source: Path | Mapping[str, Path],
        documents: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Iterator[_Staged]:
        """Copy files aside, reading each once and hashing the bytes as they are written.

        Raises
        ------
        InvalidInput
            If there are no files, one of them is a link or a device, its path leads out of the
            version's folder, or its name is reserved.
        StoreUnavailable
            If the store cannot be written.
        """
        target = self._folder(model, version)
        found = files_of(source, documents)
        staged = _Staged(self._folders, self._folders.aside(), target)
        try:
            with self._folders.translated():
                staged.fill(found, documents)
            yield staged
        finally:
            staged.close()

    def read(
        self, model: str, version: str, manifest: Manifest, *, below: str = ""
    ) -> dict[str, bytes]:
        """Return the bytes of the files whose path starts with ``below``, each compared first.

        Files in the folder that the manifest does not name are never read.

        Raises
        ------
        CorruptArtifact
            If a file is missing or differs, or if the manifest beside the files is not the one
            that was registered.
        StoreUnavailable
            If the store cannot be read.
        """
        self._whole(model, version, _beside(f"{model}:{version}", manifest))
        return {
            file.path: self._whole(model, version, file)
            for file in manifest.files
            if file.path.startswith(below)
        }

    def stream(self, model: str, version: str, file: ArtifactFile) -> Iterator[bytes]:
        """Yield the bytes of one file in chunks.

        Raises
        ------
        CorruptArtifact
            After the last chunk, if size or digest are not those of ``file``.
        StoreUnavailable
            If the store cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        with self._opened(model, version, file) as handle:
            while size <= file.size_bytes and (chunk := handle.read(CHUNK_BYTES)):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        _compare(f"{model}:{version}", file, size, digest.hexdigest())

    def check(self, model: str, version: str, manifest: Manifest) -> None:
        """Compare every byte with the manifest; nothing is kept in memory.

        Raises
        ------
        CorruptArtifact
            As ``read`` does.
        StoreUnavailable
            If the store cannot be read.
        """
        for file in (_beside(f"{model}:{version}", manifest), *manifest.files):
            self._check(model, version, file)

    def differences(self, model: str, version: str, manifest: Manifest) -> Iterator[Difference]:
        """Compare as ``check`` does, and yield every file that differs.

        Raises
        ------
        StoreUnavailable
            If the store cannot be read.
        """
        for file in (None, *manifest.files):
            try:
                self._check(model, version, file or _beside(f"{model}:{version}", manifest))
            except CorruptArtifact as corrupt:
                yield Difference(str(corrupt.details["file"]), str(corrupt.details["why"]))

    def remove(self, model: str, version: str) -> None:
        """Take a version's files away for good; nothing happens when there are none."""
        with self._folders.translated():
            self._folders.remove(self._folder(model, version), last=MANIFEST_NAME)

    def leftovers(self, known: Container[str] = frozenset()) -> Iterator[Leftover]:
        """Yield what lies in the store but for the folders of ``known`` versions.

        A folder in a version's place is one of ours when a manifest lies in it.
        """
        with self._folders.translated():
            yield from found_in(self._folders, known)

    def discard(self, leftover: Leftover) -> None:
        """Take a leftover away for good; nothing happens when it is not there."""
        with self._folders.translated():
            self._folders.discard(f"{self._folders.root}/{leftover.place}", last=MANIFEST_NAME)

    def _folder(self, model: str, version: str) -> str:
        names = check_name("model", model), check_name("version", version)
        return "/".join((self._folders.root, *names))

    @contextmanager
    def _opened(self, model: str, version: str, file: ArtifactFile) -> Iterator[Any]:
        path = f"{self._folder(model, version)}/{file.path}"
        with self._folders.translated():
            try:
                with self._folders.opened(path) as handle:
                    yield handle
            except FileNotFoundError as error:
                why = "the file is missing"
                raise _corrupt(f"{model}:{version}", file, "nothing", why) from error

    def _check(self, model: str, version: str, file: ArtifactFile) -> None:
        for _ in self.stream(model, version, file):
            pass

    def _whole(self, model: str, version: str, file: ArtifactFile) -> bytes:
        """Read a file into its bytes at once, each chunk hashed while it is in the cache."""
        content, digest, size = BytesIO(bytes(file.size_bytes)), hashlib.sha256(), 0
        with self._opened(model, version, file) as handle, content.getbuffer() as room:
            while count := handle.readinto(room[size : size + CHUNK_BYTES]):
                digest.update(room[size : size + count])
                size += count
            size += len(handle.read(1))
        _compare(f"{model}:{version}", file, size, digest.hexdigest())
        return content.getvalue()


class _Staged:
    """Files of one version, aside until published."""

    def __init__(self, folders: Folders, staging: str, target: str) -> None:
        self._folders, self._staging, self._target = folders, staging, target
        self.manifest = Manifest(files=(), digest="")

    def fill(self, files: Mapping[str, Path], documents: Mapping[str, bytes]) -> None:
        """Write everything that is to become the version, its manifest last."""
        written = [self._copy(path, name) for name, path in files.items()]
        written += [self._write(name, content) for name, content in documents.items()]
        self.manifest = manifest_of(written)
        self._write(MANIFEST_NAME, manifest_bytes(self.manifest))

    def publish(self) -> None:
        """Put the files into the version's place, where nothing lies that a version owns."""
        names = (MANIFEST_NAME, *(file.path for file in self.manifest.files))
        with self._folders.translated():
            self._folders.move(self._staging, self._target, names)

    def close(self) -> None:
        """Take away what was not published."""
        with self._folders.translated():
            self._folders.remove(self._staging, last=MANIFEST_NAME)

    def _copy(self, source: Path, name: str) -> ArtifactFile:
        size = source.stat().st_size
        with self._folders.created(f"{self._staging}/{name}", size) as copy:
            return copied(source, copy, name)

    def _write(self, name: str, content: bytes) -> ArtifactFile:
        with self._folders.created(f"{self._staging}/{name}", len(content)) as handle:
            handle.write(content)
        return ArtifactFile(name, len(content), hashlib.sha256(content).hexdigest())


def _beside(where: str, manifest: Manifest) -> ArtifactFile:
    """Return what ``manifest.json`` must be, or raise if the record was edited."""
    found = manifest_of(manifest.files)
    if found != manifest:
        raise CorruptArtifact(
            f"{where}: the registered list of files does not have the registered digest "
            f"{manifest.digest}; restore the database from a backup",
            version=where,
            file=MANIFEST_NAME,
            expected=manifest.digest,
            found=found.digest,
            why="the registered list of files does not have the registered digest",
        )
    written = manifest_bytes(manifest)
    return ArtifactFile(MANIFEST_NAME, len(written), hashlib.sha256(written).hexdigest())


def _compare(where: str, file: ArtifactFile, size_bytes: int, sha256: str) -> None:
    if size_bytes > file.size_bytes:
        raise _corrupt(where, file, f"more than {file.size_bytes} bytes", "it has grown")
    if sha256 != file.sha256:
        short = size_bytes < file.size_bytes
        raise _corrupt(where, file, sha256, f"{size_bytes} bytes" if short else "its bytes differ")


def _corrupt(where: str, file: ArtifactFile, found: str, why: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{where}: {file.path} is not what was registered ({why}): expected SHA-256 "
        f"{file.sha256} of {file.size_bytes} bytes, found {found}; {_REMEDY}",
        version=where,
        file=file.path,
        expected=file.sha256,
        found=found,
        why=why,
    )
