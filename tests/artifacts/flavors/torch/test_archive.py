"""Archives of PyTorch: what it writes is read, and nothing else."""

from __future__ import annotations

import zipfile

import pytest

from palio.artifacts.flavors.torch.archive import members
from palio.errors import InvalidInput, UntrustedArtifact

from .models import nn, packed, parts, saved

GOOD = saved(nn.Linear(3, 1).state_dict())


def test_members_are_read_without_their_folder() -> None:
    # witness: zipfile itself
    assert members(GOOD, "w.pt") == {
        name.partition("/")[2]: content for name, content in parts(GOOD).items()
    }


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "archive/../../x", "archive/./x", "archive//x", "x", "archive\\x/y", "c:/x/y"],
)
def test_paths_that_escape_are_refused(path: str) -> None:
    with pytest.raises(UntrustedArtifact, match="does not lie in one folder"):
        members(packed({"archive/a": b"", path: b""}), "w.pt")


def test_a_second_folder_is_refused() -> None:
    with pytest.raises(UntrustedArtifact, match="several folders"):
        members(packed({"archive/a": b"", "other/b": b""}), "w.pt")


def test_a_member_that_is_there_twice_is_refused() -> None:
    content = packed({"archive/a1": b"good", "archive/a2": b"evil"})
    with pytest.raises(UntrustedArtifact, match="there twice"):
        members(content.replace(b"archive/a2", b"archive/a1"), "w.pt")


def test_a_bomb_is_refused_before_it_is_opened() -> None:
    content = packed({"archive/zeros": b"\0" * 10**8}, zipfile.ZIP_DEFLATED)
    assert len(content) < 10**6
    with pytest.raises(UntrustedArtifact, match="compressed or encrypted"):
        members(content, "w.pt")


def test_members_that_claim_more_than_the_file_are_refused() -> None:
    content = packed({"archive/a": b"x" * 1000})
    size = (1000).to_bytes(4, "little")
    with pytest.raises(UntrustedArtifact, match="more bytes than the file has"):
        members(content.replace(size, (2**31).to_bytes(4, "little")), "w.pt")


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04", GOOD[:-30], GOOD[: len(GOOD) // 2], b"PK\x03\x04" + b"\0" * 500],
)
def test_files_that_are_cut_off_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"w\.pt is no archive that PyTorch writes"):
        members(content, "w.pt")


def test_a_changed_byte_is_found() -> None:
    content = packed({"archive/a": b"hello"}).replace(b"hello", b"hullo")
    with pytest.raises(InvalidInput, match="Bad CRC-32"):
        members(content, "w.pt")
