"""Archives become files of a folder of their own, or nothing: no member is trusted.

``zipfile`` and ``tarfile`` only read here; what is written, and where, this module decides, for
their own extraction lets through what must not be: the ``data`` filter of ``tarfile`` counts no
bytes and no members, strips the slash off absolute names, makes links that stay inside, and lets
the last of several equal names win; ``zipfile`` corrects names in silence and knows no limit. All
sizes are counted as bytes come out. Archives within archives stay closed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol, Self, cast

from typing_extensions import override

from palio.errors import InvalidInput, StoreUnavailable, TooLarge
from palio.registry.paths import MOST_FILES, Paths

__all__ = ["Limits", "unpacked"]

_CHUNK_BYTES = 1 << 20
_SIP_BYTES = 4 << 20  # of one read: the directory of a thousand members is far below
_HEADER_BYTES = 1 << 20  # of a long name or the attributes of one member
_MEMORY_BYTES = 256 << 20  # of xz; its strongest preset needs 65 MiB
_ALWAYS_BYTES = 16 << 20  # may come out of any archive: the ratio says little of small ones
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others decompress without a bound
_HEADERS = {
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
}
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, LookupError, NotImplementedError, RuntimeError),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may come out of one archive: so many bytes, and so many for each of its own."""

    size_bytes: int = 1 << 30
    ratio: int = 200


_DEFAULT = Limits()


@contextmanager
def unpacked(archive: Path, limits: Limits = _DEFAULT) -> Iterator[Path]:
    """Write the members of an archive into a folder that lasts as long as the context.

    Parameters
    ----------
    archive
        A file whose name ends in ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``;
        no link to one.
    limits
        How much may come out.

    Raises
    ------
    InvalidInput
        If it cannot be read to its end; if a member's name leaves the folder, clashes with
        another or can be no file's; if a member is a link, a device, sparse or encrypted; if
        members overlap or are too many.
    TooLarge
        If more comes out than the limits allow.
    StoreUnavailable
        If the members cannot be written.
    """
    members = _reader(archive.name)
    with TemporaryDirectory(prefix="palio-unpacked-") as folder:
        with _translated(archive.name), _opened(archive) as raw:
            size = os.fstat(raw.fileno()).st_size
            allowed = min(limits.size_bytes, max(_ALWAYS_BYTES, limits.ratio * size))
            for path, content in members(raw, _Room(archive.name, allowed)):
                _write(Path(folder) / path, content)
        yield Path(folder)


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


_Members = Iterator[tuple[Path, _Reads]]


class _Room:
    """How many bytes may still come out."""

    def __init__(self, name: str, allowed: int) -> None:
        self._name, self._allowed, self._left = name, allowed, allowed

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(
                f"{self._name}: more than {self._allowed} bytes come out of it; unpack it "
                "yourself and register the folder if you know what is in it",
                field="archive",
                value=self._name,
            )


class _Counted:
    """A stream whose bytes take room as they come out."""

    def __init__(self, stream: _Reads, room: _Room) -> None:
        self._stream, self._room = stream, room

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self._room.take(len(chunk))
        return chunk


class _Sips(BufferedReader):
    """A file of which nobody reads much at once, whatever length a header in it claims."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _SIP_BYTES + 1 if size is None or size < 0 else min(size, _SIP_BYTES + 1)
        chunk = super().read(wanted)
        if len(chunk) > _SIP_BYTES:
            raise _refused("its directory", "is too long")
        return chunk


class _Xz:
    """The bytes of an xz stream; unlike ``lzma.LZMAFile``, within a bound of memory."""

    def __init__(self, raw: _Reads) -> None:
        self._raw = raw
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES)

    def read(self, size: int, /) -> bytes:
        while not self._xz.eof:
            given = self._raw.read(_CHUNK_BYTES) if self._xz.needs_input else b""
            if self._xz.needs_input and not given:
                raise EOFError("it breaks off")
            if found := self._xz.decompress(given, size):
                return found
        return b""


class _Member(tarfile.TarInfo):
    """A header that is refused where ``tarfile`` would end in silence, or fill the memory."""

    @classmethod
    @override
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark of the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if member.type in _HEADERS and member.size > _HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        return member


def _tarred(raw: _Reads, room: _Room) -> _Members:
    paths = Paths("archive")
    stream = cast("IO[bytes]", _Counted(raw, room))
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
        for number, member in enumerate(archive):
            _check_count(number)
            name = member.name.removeprefix("./")
            if member.isdir():
                _check_folder(paths, name)
            elif not member.isreg() or member.issparse():
                raise _refused(name, "is a link, a device or sparse; put the file itself there")
            else:
                yield Path(paths.add(name)), cast("_Reads", archive.extractfile(member))


def _zipped(raw: _Sips, room: _Room) -> _Members:
    paths = Paths("archive")
    with zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        _check_count(len(members) - 1)
        _check_places(members, archive.start_dir)
        for member in members:
            _check_kind(member)
            if member.is_dir():
                _check_folder(paths, member.orig_filename.rstrip("/"))
                continue
            path = Path(paths.add(member.orig_filename))
            with archive.open(member) as content:
                yield path, _Counted(content, room)


def _check_count(number: int) -> None:
    if number >= MOST_FILES:
        raise _refused("it", f"has more than {MOST_FILES} members; a version has no more files")


def _check_folder(paths: Paths, name: str) -> None:
    if name not in {"", "."}:
        paths.check(name)


def _check_places(members: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes: so few can become petabytes."""
    for member in sorted(members, key=lambda one: one.header_offset, reverse=True):
        own = _LOCAL_HEADER_BYTES + len(member.orig_filename) + member.compress_size
        if member.header_offset + own > end:
            raise _refused(member.orig_filename, "overlaps another member")
        end = member.header_offset


def _check_kind(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG}:
        raise _refused(name, "is a link or a device; put the file itself there")
    if member.flag_bits & _ENCRYPTED:
        raise _refused(name, "is encrypted; make the archive without a password")
    if member.compress_type not in _METHODS:
        raise _refused(name, "is compressed in a way not taken here; use deflate, the usual one")


_READERS: Mapping[str, Callable[[_Sips, _Room], _Members]] = {
    ".zip": _zipped,
    ".tar": _tarred,
    ".tar.gz": lambda raw, room: _tarred(gzip.GzipFile(fileobj=raw), room),
    ".tar.bz2": lambda raw, room: _tarred(bz2.BZ2File(raw), room),
    ".tar.xz": lambda raw, room: _tarred(_Xz(raw), room),
}


def _reader(name: str) -> Callable[[_Sips, _Room], _Members]:
    for suffix, members in _READERS.items():
        if name.lower().endswith(suffix):
            return members
    raise InvalidInput(
        f"{name!r} is no archive that is taken here; give a file that ends in "
        f"{', '.join(_READERS)}",
        field="archive",
        value=name,
    )


def _write(target: Path, content: _Reads) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            file.write(chunk)


def _opened(archive: Path) -> _Sips:
    # a link is not followed, and a pipe is not waited for
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        raw = FileIO(os.open(archive, flags))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _refused(archive.name, f"cannot be opened: {why}; give the file itself") from error
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        raw.close()
        raise _refused(archive.name, "is no file")
    return _Sips(cast("Any", raw))


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        why = f"cannot be read to its end: {str(error) or 'it breaks off'}"
        raise _refused(name, why) from error
    except OSError as error:
        if error.errno is None:  # what gzip and bz2 say of bytes that are not theirs
            raise _refused(name, f"cannot be read to its end: {error}") from error
        raise StoreUnavailable(
            f"{name} cannot be unpacked: {error.strerror}; check that the folder for temporary "
            "files has space, or give the members shorter names"
        ) from error


def _refused(what: str, why: str) -> InvalidInput:
    shown = what[:255]
    return InvalidInput(f"archive: {shown!r} {why}", field="archive", value=shown)
