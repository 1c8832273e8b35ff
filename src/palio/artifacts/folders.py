"""Folders of an artifact store: made, filled, moved and removed so that a crash does no harm."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]
from typing_extensions import override

from palio.errors import StoreUnavailable

__all__ = ["CHUNK_BYTES", "DiskFolders", "Folders", "S3Folders", "part_bytes"]

CHUNK_BYTES = 1 << 20
_PART_BYTES, _PARTS = 16 << 20, 9_000  # object stores take 10,000 parts at most
_STAGING = re.compile(r"\.staging-[0-9a-f]{16}")
_MOMENTS = ("mtime", "LastModified", "last_modified", "updated", "created")
_NEVER = datetime.max.replace(tzinfo=UTC)  # what nobody knows is never old


def part_bytes(size_bytes: int) -> int:
    """Return in which parts a file is uploaded: 16 MB, and more where there would be too many."""
    return max(_PART_BYTES, -(-size_bytes // (_PARTS * CHUNK_BYTES)) * CHUNK_BYTES)


class Folders:
    """Folders on an object store, which knows neither renaming nor flushing.

    Parameters
    ----------
    fs, root
        A file system of fsspec, and where the store begins in it.
    shown
        Its address as messages name it.
    failures
        What the driver raises when it cannot.
    keeps_folders
        Whether a folder must be made before files are put there.
    clean
        Takes secrets out of what the driver says.
    """

    def __init__(
        self,
        fs: Any,
        root: str,
        *,
        shown: str,
        failures: tuple[type[Exception], ...],
        keeps_folders: bool,
        clean: Callable[[str], str],
    ) -> None:
        self.fs, self.root, self.shown = fs, root, shown
        self._failures, self._keeps_folders, self._clean = failures, keeps_folders, clean

    def aside(self) -> str:
        """Return a place for files that are no version's yet; no version can have that name."""
        return f"{self.root}/.staging-{secrets.token_hex(8)}"

    def staged(self) -> Iterator[str]:
        """Yield the places that ``aside`` has given and that hold something."""
        yield from (path for path in self.below(self.root) if _STAGING.fullmatch(_name(path)))

    @contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """Open a file to read from its start to its end."""
        with self.fs.open(path, "rb", block_size=_PART_BYTES) as handle:
            yield handle

    @contextmanager
    def created(self, path: str, size_bytes: int) -> Iterator[Any]:
        """Open a file to write; it is there when the block ends, and not when it raises."""
        if self._keeps_folders:
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        handle = self.fs.open(path, "wb", block_size=part_bytes(size_bytes))
        try:
            yield handle
            self._flush(handle)
        except BaseException:
            _abandon(handle)
            raise
        handle.close()

    def move(self, source: str, target: str, names: Sequence[str]) -> None:
        """Put the files of one folder in the place of another, in the order of ``names``.

        What lies there is removed first. The source is removed by whoever staged it: on object
        storage it is still there.
        """
        self.remove(target, last=names[0])
        for name in names:
            self.fs.cp_file(f"{source}/{name}", f"{target}/{name}")

    def remove(self, folder: str, *, last: str) -> None:
        """Take a folder away, the file that tells what it was as the last one."""
        found = [f"{folder}/{file['name']}" for file in self.files(folder)]
        for path in sorted(found, key=lambda path: path == f"{folder}/{last}"):
            self.fs.rm_file(path)
        if self._keeps_folders and self.fs.exists(folder):
            self.fs.rm(folder, recursive=True)

    def discard(self, folder: str, *, last: str) -> None:
        """Take away a folder that somebody else left, with all that was begun there."""
        self.remove(folder, last=last)

    def below(self, folder: str) -> Iterator[str]:
        """Yield the folders directly in a folder; links are none."""
        try:
            found = self.fs.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in found:
            if entry["type"] == "directory" and not entry.get("islink"):
                yield f"{folder}/{_name(entry['name'])}"

    def files(self, folder: str) -> Sequence[dict[str, Any]]:
        """Return what is known of every file in a folder, at any depth, by its path there."""
        found = self.fs.find(folder, detail=True)
        start = len(self.fs._strip_protocol(folder)) + 1  # noqa: SLF001 - for subclasses and users
        return [{**one, "name": path[start:]} for path, one in found.items()]

    def measured(self, folder: str) -> tuple[int, datetime]:
        """Return how many bytes a folder holds, and when the last of them was written.

        That is the end of time if nobody knows: nothing will call it old. Raises
        ``FileNotFoundError`` for a folder that holds nothing.
        """
        found = self._entries(folder)
        if not found:
            raise FileNotFoundError(folder)
        size = sum(entry["size"] for entry in found)
        return size, max(_moment(entry) for entry in found)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say what a driver's error means."""
        try:
            yield
        except self._failures as error:
            raise StoreUnavailable(
                f"the artifact store {self.shown} did not answer: {self._clean(str(error))}; "
                "check that it is reachable, writable and has space, then try again",
                store=self.shown,
            ) from error

    def _entries(self, folder: str) -> Sequence[dict[str, Any]]:
        """Return all that was written in a folder: sizes and moments."""
        return self.files(folder)

    def _flush(self, handle: Any) -> None:
        """Bring what was written to the device, where that can be asked for."""


class S3Folders(Folders):
    """Folders on S3, where an upload that was begun and not finished is no file, but costs."""

    @override
    def staged(self) -> Iterator[str]:
        begun = (
            one["Key"][len(self._prefix) :].partition("/")[0] for one in self._begun(".staging-")
        )
        yield from sorted({*super().staged(), *(f"{self.root}/{name}" for name in begun)})

    @override
    def _entries(self, folder: str) -> Sequence[dict[str, Any]]:
        begun = self._begun_in(folder)
        parts = [part for one in begun for part in self._parts(one)]
        started = [{"size": 0, "LastModified": one["Initiated"]} for one in begun]
        return [*self.files(folder), *started, *parts]

    @override
    def discard(self, folder: str, *, last: str) -> None:
        self.remove(folder, last=last)
        for one in self._begun_in(folder):
            self.fs.abort_mpu(self._bucket, one["Key"], one["UploadId"])

    @property
    def _bucket(self) -> str:
        return self.root.partition("/")[0]

    @property
    def _prefix(self) -> str:
        return f"{self.root}/".partition("/")[2]

    def _begun_in(self, folder: str) -> Sequence[dict[str, Any]]:
        return self._begun(f"{folder.removeprefix(self.root + '/')}/")

    def _begun(self, start: str) -> Sequence[dict[str, Any]]:
        found = self.fs.call_s3(
            "list_multipart_uploads", Bucket=self._bucket, Prefix=f"{self._prefix}{start}"
        )
        begun: Sequence[dict[str, Any]] = found.get("Uploads", [])
        return begun

    def _parts(self, upload: dict[str, Any]) -> Iterator[dict[str, Any]]:
        which = {"Bucket": self._bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        page = {"IsTruncated": True, "NextPartNumberMarker": 0}
        while page["IsTruncated"]:
            marker = page["NextPartNumberMarker"]
            page = self.fs.call_s3("list_parts", PartNumberMarker=marker, **which)
            for part in page.get("Parts", []):
                yield {"size": part["Size"], "LastModified": part["LastModified"]}


class DiskFolders(Folders):
    """Folders on a disk: whole or not there, and flushed to the device."""

    @override
    def move(self, source: str, target: str, names: Sequence[str]) -> None:
        for folder in {Path(root) for root, _, _ in os.walk(source)}:
            _flush_folder(folder)
        for name in names:
            (Path(source) / name).stat()  # whoever took a file away meanwhile makes this fail
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        self.remove(target, last=names[0])
        Path(source).rename(target)
        for folder in (Path(target).parent, Path(self.root)):
            _flush_folder(folder)

    @override
    def remove(self, folder: str, *, last: str) -> None:
        gone = Path(self.aside())
        try:
            Path(folder).rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone)

    @override
    def _entries(self, folder: str) -> Sequence[dict[str, Any]]:
        return [{**self.fs.info(folder), "size": 0}, *self.files(folder)]

    @override
    def _flush(self, handle: Any) -> None:
        handle.flush()
        os.fsync(handle.fileno())


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _moment(entry: dict[str, Any]) -> datetime:
    at = next((entry[name] for name in _MOMENTS if entry.get(name) is not None), None)
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if not isinstance(at, datetime):
        return _NEVER
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _abandon(handle: Any) -> None:
    """Close a file so that nothing of it is kept; closing an upload would finish it."""
    if isinstance(handle, AbstractBufferedFile):
        handle.discard()
        handle.closed = True
    else:
        handle.close()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
