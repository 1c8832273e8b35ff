"""Archives: what is whole and harmless comes out, all else is refused and leaves nothing."""

from __future__ import annotations

import io
import lzma
import os
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from palio.artifacts.archives import Limits, unpacked
from palio.errors import InvalidInput, TooLarge

FILES = {"model.onnx": b"\x00\x01" * 70_000, "plots/roc.png": b"png", "empty": b""}
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, where nothing may be left, nor beside it."""
    place = tmp_path / "room"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []
    assert not (tmp_path / "up").exists()


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def zipped(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def refused(path: Path, match: str, limits: Limits | None = None) -> InvalidInput:
    with (
        pytest.raises(InvalidInput, match=match) as caught,
        unpacked(path, limits or Limits()),
    ):
        pass
    assert caught.value.details["field"] == "archive"
    return caught.value


@pytest.mark.parametrize("suffix", [*TARS, ".zip", ".ZIP"])
def test_what_was_put_in_comes_out(tmp_path: Path, suffix: str, room: Path) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix in TARS:
        members = [(named(name), content) for name, content in FILES.items()]
        tar(path, (named("plots", tarfile.DIRTYPE), b""), *members, mode=TARS[suffix])
    else:
        zipped(path, ("plots/", b""), *FILES.items())
    with unpacked(path) as folder:
        assert contents(folder) == FILES
        assert folder.parent == room


def test_what_tar_makes_of_a_folder_comes_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"a")
    with tarfile.open(tmp_path / "model.tar", "w") as archive:
        archive.add(tmp_path / "in", ".")  # as `tar -C in .` does: ./ and ./a
    with unpacked(tmp_path / "model.tar") as folder:
        assert contents(folder) == {"a": b"a"}


def test_a_long_name_in_a_header_of_its_own(tmp_path: Path) -> None:
    name = "d" * 120 + "/" + "f" * 250
    for format_ in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "model.tar", "w", format=format_) as archive:
            archive.addfile(named(name), io.BytesIO())
        with unpacked(tmp_path / "model.tar") as folder:
            assert contents(folder) == {name: b""}


def test_an_error_of_whoever_uses_the_files_is_theirs(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", ("a", b"a"))
    with pytest.raises(ValueError, match="mine"), unpacked(path):
        raise ValueError("mine")


ESCAPES = ["../up", "/up", "a/../../up", "a\\..\\up", "C:\\up", "%2e%2e%2fup", "..", "x" * 256]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_names_that_leave_the_folder_of_a_tar(tmp_path: Path, name: str, kind: bytes) -> None:
    refused(tar(tmp_path / "m.tar", (named("a"), b""), (named(name, kind), b"")), "the file name")


@pytest.mark.parametrize("name", [*ESCAPES, "a//b", "./a", "a/."])
def test_names_that_leave_the_folder_of_a_zip(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "m.zip", ("a", b""), (name, b"x")), "the file name")


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.zip", ("a_b", b"x"))
    path.write_bytes(path.read_bytes().replace(b"a_b", b"a\0b"))
    refused(path, "cannot be the name of a file")
    refused(tar(tmp_path / "m.tar", (named("a", pax_headers={"path": "a\0b"}), b"")), "the file")


@pytest.mark.parametrize(
    "member",
    [
        named("l", tarfile.SYMTYPE, linkname="/etc/passwd"),
        named("l", tarfile.SYMTYPE, linkname="a"),
        named("l", tarfile.LNKTYPE, linkname="a"),
        named("l", tarfile.FIFOTYPE),
        named("l", tarfile.CHRTYPE, devmajor=1, devminor=3),
        named("l", tarfile.BLKTYPE, devmajor=8),
        named("l", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}),
    ],
    ids=["link-out", "link", "hard-link", "pipe", "device", "disk", "sparse"],
)
def test_members_that_are_no_plain_files(tmp_path: Path, member: tarfile.TarInfo) -> None:
    refused(tar(tmp_path / "m.tar", (named("a"), b"x"), (member, b"")), "is a link, a device or")


def test_a_link_that_a_later_member_goes_through(tmp_path: Path) -> None:
    link = named("d", tarfile.SYMTYPE, linkname=str(tmp_path))
    refused(tar(tmp_path / "m.tar", (link, b""), (named("d/up"), b"x")), "is a link")


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644])
def test_links_and_devices_in_a_zip(tmp_path: Path, mode: int) -> None:
    member = zipfile.ZipInfo("l")
    member.external_attr = mode << 16
    refused(zipped(tmp_path / "m.zip", (member, b"/etc/passwd")), "is a link or a device")


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "A"), ("a", "a/b"), ("\u00fc", "u\u0308")]
)
def test_names_that_clash(tmp_path: Path, first: str, second: str) -> None:
    members = [(named(first), b"1"), (named(second), b"2")]
    refused(tar(tmp_path / "m.tar", *members), "comes twice, or as file and folder")
    entries = [(zipfile.ZipInfo(first), b"1"), (zipfile.ZipInfo(second), b"2")]
    with pytest.warns(UserWarning, match="Duplicate") if first == second else nullcontext():
        zipped(tmp_path / "m.zip", *entries)
    refused(tmp_path / "m.zip", "comes twice, or as file and folder")


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.zip", ("a", b"x"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    path.write_bytes(content)
    refused(path, "is encrypted; make the archive without a password")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_without_a_bound(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as archive:
        archive.writestr("a", b"x" * 1_000)
    refused(tmp_path / "m.zip", "use deflate, the usual one")


def test_too_many_members(tmp_path: Path) -> None:
    names = [f"{number}/" for number in range(1_001)]  # folders count, too
    refused(tar(tmp_path / "m.tar", *[(named(n, tarfile.DIRTYPE), b"") for n in names]), "members")
    refused(zipped(tmp_path / "m.zip", *[(name, b"") for name in names]), "1000 members")


SMALL = Limits(size_bytes=3 * MEBIBYTE)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_more_than_may_come_out(tmp_path: Path, suffix: str) -> None:
    path, content = tmp_path / f"m{suffix}", b"\0" * (2 * MEBIBYTE)
    if suffix == ".zip":
        zipped(path, ("a", content), ("b", content))
    else:
        tar(path, (named("a"), content), (named("b"), content), mode=TARS[suffix])
    assert isinstance(refused(path, f"more than {3 * MEBIBYTE} bytes", SMALL), TooLarge)
    with unpacked(path, Limits(size_bytes=5 * MEBIBYTE)) as folder:
        assert contents(folder) == {"a": content, "b": content}


@pytest.mark.parametrize("suffix", [".tar.bz2", ".tar.xz", ".zip"])
def test_a_bomb_is_stopped_by_what_comes_out(tmp_path: Path, suffix: str) -> None:
    """64 MiB of zeros in less than 80 kB: far below the size limit, refused by the ratio."""
    path, zeros = tmp_path / f"m{suffix}", b"\0" * (64 * MEBIBYTE)
    if suffix == ".zip":
        zipped(path, ("a", zeros))
    else:
        tar(path, (named("a"), zeros), mode=TARS[suffix])
    assert path.stat().st_size < 80_000
    tracemalloc.start()
    refused(path, f"more than {16 * MEBIBYTE} bytes come out")  # what any archive may have
    assert tracemalloc.get_traced_memory()[1] < 24 * MEBIBYTE  # it went to the disk in pieces
    tracemalloc.stop()


def test_a_size_that_lies(tmp_path: Path) -> None:
    """The directory says 10 bytes where 4 MiB come out: the header is not what is counted."""
    path = zipped(tmp_path / "m.zip", ("a", b"\0" * (4 * MEBIBYTE)))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(content)
    refused(path, "cannot be read to its end")


def test_members_that_overlap(tmp_path: Path) -> None:
    """Fifield's bomb in small: one kernel, and a directory that names it twice."""
    path = zipped(tmp_path / "m.zip", ("a", b"x" * 1_000), ("b", b"y" * 1_000))
    content = bytearray(path.read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", content, second + 42, 0)  # the offset of b is that of a
    path.write_bytes(content)
    refused(path, "overlaps another member")


def test_headers_that_would_fill_the_memory(tmp_path: Path) -> None:
    long = named("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    path = tar(tmp_path / "m.tar.gz", (long, b"x" * (32 * MEBIBYTE)), mode="w:gz")
    tracemalloc.start()
    refused(path, "a header is too long")
    directory = zipped(tmp_path / "m.zip", *[(f"{number:_>250}", b"") for number in range(18_000)])
    refused(directory, "its directory.*is too long")
    assert tracemalloc.get_traced_memory()[1] < 48 * MEBIBYTE
    tracemalloc.stop()


def test_a_dictionary_that_would_fill_the_memory(tmp_path: Path) -> None:
    tar(tmp_path / "m.tar", (named("a"), b"x"))
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    plain = (tmp_path / "m.tar").read_bytes()
    (tmp_path / "m.tar.xz").write_bytes(packer.compress(plain) + packer.flush())
    refused(tmp_path / "m.tar.xz", "[Mm]emory usage limit")


@pytest.mark.parametrize("suffix", [*TARS, ".zip"])
def test_a_truncated_archive(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".zip":
        zipped(path, ("a", os.urandom(5_000)), ("b", b"b"))
    else:
        tar(path, (named("a"), os.urandom(5_000)), (named("b"), b"b"), mode=TARS[suffix])
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.3, 0.5):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path, "cannot be read to its end|cannot be read")


def test_a_tar_that_ends_between_members(tmp_path: Path) -> None:
    """Where ``tarfile`` sees an end like any other: 512 bytes of header, 512 of content."""
    path = tar(tmp_path / "m.tar", (named("a"), b"a"), (named("b"), b"b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:1_024])
    refused(path, "cannot be read to its end: empty header")
    path.write_bytes(whole[:1_024] + b"garbage " * 64 + whole[1_536:])
    refused(path, "cannot be read to its end")


@pytest.mark.parametrize("suffix", [*TARS, ".zip"])
def test_bytes_that_are_no_archive(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    for content in (b"not an archive" * 100, b"PK\x05\x06" + b"\xff" * 18, b"\x1f\x8b\x08" * 300):
        path.write_bytes(content)
        refused(path, "cannot be read to its end")


def test_a_changed_byte(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.zip", ("a", b"x" * 10_000))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    refused(path, "cannot be read to its end")


def test_archives_within_stay_closed(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", ("a", b"x")).read_bytes()
    with unpacked(zipped(tmp_path / "m.zip", ("inner.zip", inner))) as folder:
        assert contents(folder) == {"inner.zip": inner}


def test_what_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "m.7z").write_bytes(b"")
    refused(tmp_path / "m.7z", r"give a file that ends in \.zip, \.tar, \.tar\.gz")
    refused(tmp_path / "none.zip", "cannot be opened: No such file")
    (tmp_path / "folder.zip").mkdir()
    refused(tmp_path / "folder.zip", "is no file|Is a directory")
    (tmp_path / "link.zip").symlink_to(zipped(tmp_path / "m.zip", ("a", b"")))
    refused(tmp_path / "link.zip", "cannot be opened.*give the file itself")
    os.mkfifo(tmp_path / "pipe.tar")
    refused(tmp_path / "pipe.tar", "is no file")
