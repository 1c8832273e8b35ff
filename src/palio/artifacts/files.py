"""Files of versions over fsspec: staged aside, hashed as written, renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from palio.errors import CorruptArtifact, InvalidInput, MissingExtra, StoreUnavailable
from palio.registry.domain import ArtifactFile, Manifest, check_name

__all__ = ["MANIFEST_NAME", "FsspecArtifactStore", "manifest_of"]

MANIFEST_NAME = "manifest.json"
_CHUNK_BYTES = 1 << 20
_REMEDY = (
    "restore the file from a backup of the artifact store, or register the model again "
    "under a new version"
)


def manifest_of(files: Sequence[ArtifactFile]) -> Manifest:
    """Return the manifest of files: sorted by path, with the SHA-256 over their list.

    The digest is taken over canonical JSON (sorted keys, no spaces, ASCII), so that anyone can
    recompute it.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    listed = json.dumps(
        [asdict(file) for file in ordered], sort_keys=True, separators=(",", ":")
    ).encode()
    return Manifest(files=ordered, digest=hashlib.sha256(listed).hexdigest())


class FsspecArtifactStore:
    """One folder a version, ``<root>/<model>/<version>/``, on any file system of fsspec.

    Beside the version's files lies ``manifest.json`` with their digests. Files that are not
    published yet lie under ``<root>/.staging-…``, which no version's name can be. On a local
    disk, files and folders are flushed to the device before ``publish`` returns.

    Parameters
    ----------
    url
        A local folder, or an address that fsspec knows: ``file:///data/palio``,
        ``memory://palio``, ``s3://bucket/palio`` (with ``s3fs`` installed).

    Raises
    ------
    MissingExtra
        If the package for that kind of address is not installed.
    InvalidInput
        If fsspec knows no such kind of address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise MissingExtra(f"the artifact store {url!r} needs a package: {error}") from error
        except ValueError as error:
            raise InvalidInput(
                f"the artifact store {url!r} is no folder and no address that fsspec knows: "
                f"{error}",
                field="artifacts",
                value=url,
            ) from error
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    @contextmanager
    def stage(self, model: str, version: str, source: Path) -> Iterator[_Staged]:
        """Copy the regular files below ``source`` aside, hashing the bytes as they are written.

        Raises
        ------
        InvalidInput
            If ``source`` is no folder, is empty, or holds a link, a device or a file under the
            reserved name ``manifest.json``.
        StoreUnavailable
            If the store cannot be written.
        """
        target = self._folder(model, version)
        found = _regular_files(source)
        staging = f"{self._root}/.staging-{secrets.token_hex(8)}"
        staged = _Staged(self, staging, target)
        try:
            with self._translated():
                staged.manifest = manifest_of(
                    [self._copy(path, f"{staging}/{name}", name) for name, path in found.items()]
                )
                self._write(f"{staging}/{MANIFEST_NAME}", _manifest_bytes(staged.manifest))
            yield staged
        finally:
            if not staged.published:
                self._remove(staging)

    def read(self, model: str, version: str, manifest: Manifest) -> dict[str, bytes]:
        """Return the bytes of every file of the manifest by path, each compared with it first.

        Files in the folder that the manifest does not name are never read.

        Raises
        ------
        CorruptArtifact
            If a file is missing or differs, or if the manifest beside the files is not the one
            that was registered.
        StoreUnavailable
            If the store cannot be read.
        """
        where, folder = f"{model}:{version}", self._folder(model, version)
        if manifest_of(manifest.files) != manifest:
            raise CorruptArtifact(
                f"{where}: the registered list of files does not have the registered digest "
                f"{manifest.digest}; restore the database from a backup",
                version=where,
                expected=manifest.digest,
                found=manifest_of(manifest.files).digest,
            )
        written = _manifest_bytes(manifest)
        own = ArtifactFile(MANIFEST_NAME, len(written), hashlib.sha256(written).hexdigest())
        self._verified(where, folder, own)
        return {file.path: self._verified(where, folder, file) for file in manifest.files}

    def _folder(self, model: str, version: str) -> str:
        return f"{self._root}/{check_name('model', model)}/{check_name('version', version)}"

    def _verified(self, where: str, folder: str, file: ArtifactFile) -> bytes:
        with self._translated():
            try:
                with self._fs.open(f"{folder}/{file.path}", "rb") as handle:
                    content: bytes = handle.read(file.size_bytes + 1)
            except FileNotFoundError as error:
                raise _corrupt(where, file, "nothing", "the file is missing") from error
        if len(content) > file.size_bytes:
            raise _corrupt(where, file, f"more than {file.size_bytes} bytes", "it has grown")
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            short = len(content) < file.size_bytes
            raise _corrupt(
                where, file, found, f"{len(content)} bytes" if short else "its bytes differ"
            )
        return content

    def _copy(self, source: Path, target: str, name: str) -> ArtifactFile:
        digest, size = hashlib.sha256(), 0
        with _opened_for_copy(source) as original, self._created(target) as copy:
            while chunk := original.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                copy.write(chunk)
        return ArtifactFile(path=name, size_bytes=size, sha256=digest.hexdigest())

    def _write(self, target: str, content: bytes) -> None:
        with self._created(target) as handle:
            handle.write(content)

    @contextmanager
    def _created(self, target: str) -> Iterator[Any]:
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        with self._fs.open(target, "wb") as handle:
            yield handle
            if self._local:
                handle.flush()
                os.fsync(handle.fileno())

    def publish(self, staging: str, target: str) -> None:
        """Rename a staged folder to ``target``, taking an orphan there out of the way first."""
        with self._translated():
            if self._local:
                for folder in {Path(root) for root, _, _ in os.walk(staging)}:
                    _flush_folder(folder)
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            if self._fs.exists(target):
                orphan = f"{self._root}/.staging-{secrets.token_hex(8)}"
                self._move(target, orphan)
                self._move(staging, target)
                self._remove(orphan)
            else:
                self._move(staging, target)
            if self._local:
                for folder in (Path(target).parent, Path(self._root)):
                    _flush_folder(folder)

    def _move(self, source: str, target: str) -> None:
        if self._local:
            Path(source).rename(target)
        else:
            self._fs.mv(source, target, recursive=True)

    def _remove(self, folder: str) -> None:
        with self._translated():
            if self._fs.exists(folder):
                self._fs.rm(folder, recursive=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"the artifact store {self.url} did not answer: {error}; check that it is "
                "reachable, writable and has space, then try again",
                store=self.url,
            ) from error


class _Staged:
    """Files of one version, aside until published."""

    def __init__(self, store: FsspecArtifactStore, staging: str, target: str) -> None:
        self._store, self._staging, self._target = store, staging, target
        self.manifest = Manifest(files=(), digest="")
        self.published = False

    def publish(self) -> None:
        self._store.publish(self._staging, self._target)
        self.published = True


def _manifest_bytes(manifest: Manifest) -> bytes:
    return json.dumps(asdict(manifest), sort_keys=True, indent=1).encode()


def _regular_files(source: Path) -> dict[str, Path]:
    if not source.is_dir():
        raise _unusable(source, "is no folder; give the folder that holds the model's files")
    found = {}
    for root, folders, names in os.walk(source):
        for path in (Path(root) / name for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise _unusable(path, "is a link or a device; copy the file itself there")
            if path.is_file():
                found[path.relative_to(source).as_posix()] = path
    if not found:
        raise _unusable(source, "holds no files; save the model there first")
    if MANIFEST_NAME in found:
        raise _unusable(found[MANIFEST_NAME], "has a name that Palio reserves; rename it")
    return found


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} {why}", field="source", value=str(path))


def _opened_for_copy(source: Path) -> BinaryIO:
    # O_NOFOLLOW: a link put there after the check is refused too
    return os.fdopen(os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _corrupt(where: str, file: ArtifactFile, found: str, why: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{where}: {file.path} is not what was registered ({why}): expected SHA-256 "
        f"{file.sha256} of {file.size_bytes} bytes, found {found}; {_REMEDY}",
        version=where,
        file=file.path,
        expected=file.sha256,
        found=found,
    )
