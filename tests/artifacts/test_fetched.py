"""Files that arrive from elsewhere: compared, and written wholly or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palio.artifacts.fetched import FetchedArtifacts, download
from palio.errors import CorruptArtifact, InvalidInput
from palio.registry.domain import ArtifactFile, Manifest, Version
from palio.registry.manifests import manifest_bytes, manifest_of
from palio.testing.records import RECORDS

FILES = {"model.bin": b"abc" * 1000, "plots/roc.png": b"", "plots/deep/x": b"\0"}
Fetch = Callable[[str, str], Iterator[bytes]]


def manifest(files: dict[str, bytes]) -> Manifest:
    return manifest_of(
        [
            ArtifactFile(path, len(content), hashlib.sha256(content).hexdigest())
            for path, content in files.items()
        ]
    )


def version(files: dict[str, bytes]) -> Version:
    record: Any = RECORDS["versions"][0]
    return replace(record, manifest=manifest(files))


def sending(files: dict[str, bytes]) -> Fetch:
    """Return a sender of files in chunks of 7 bytes."""

    def fetch(_: str, path: str) -> Iterator[bytes]:
        content = files[path]
        return (content[at : at + 7] for at in range(0, len(content), 7))

    return fetch


def test_files_arrive(tmp_path: Path) -> None:
    assert FetchedArtifacts(sending(FILES)).read("m", "1", manifest(FILES)) == FILES
    download(version(FILES), tmp_path / "new" / "deep", sending(FILES))
    found = {
        path.relative_to(tmp_path / "new/deep").as_posix(): path.read_bytes()
        for path in (tmp_path / "new/deep").rglob("*")
        if path.is_file()
    }
    beside = {"manifest.json": manifest_bytes(manifest(FILES))}
    assert found == FILES | beside
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["deep"]


def test_some_files_arrive() -> None:
    found = FetchedArtifacts(sending(FILES)).read("m", "1", manifest(FILES), below="plots/")
    assert sorted(found) == ["plots/deep/x", "plots/roc.png"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    download(version(FILES), tmp_path / "empty", sending(FILES))
    assert (tmp_path / "empty" / "model.bin").read_bytes() == FILES["model.bin"]


@pytest.mark.parametrize(
    "arrived",
    [b"abd" + b"abc" * 999, b"abc" * 999, b"abc" * 1001, b""],
    ids=["changed", "short", "long", "nothing"],
)
def test_what_differs_is_refused_and_nothing_is_left(tmp_path: Path, arrived: bytes) -> None:
    fetch = sending({**FILES, "model.bin": arrived})
    with pytest.raises(CorruptArtifact, match=r"model\.bin did not arrive"):
        FetchedArtifacts(fetch).read("m", "1", manifest(FILES))
    with pytest.raises(CorruptArtifact, match=r"model\.bin did not arrive"):
        download(version(FILES), tmp_path / "folder", fetch)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_cut_off() -> None:
    taken = 0

    def endless(_: str, __: str) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(CorruptArtifact):
        FetchedArtifacts(endless).read("m", "1", manifest(FILES))
    assert taken == 4  # the fourth thousand is beyond the 3,000 registered


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    (tmp_path / "file").write_text("")
    for name in ("mine", "file"):
        with pytest.raises(InvalidInput, match="not an empty folder") as refused:
            download(version(FILES), tmp_path / name, sending(FILES))
        assert refused.value.details["field"] == "folder"
    assert (tmp_path / "mine" / "letter").read_text() == "dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        download(version(FILES), tmp_path / "file" / "below", sending(FILES))


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out", "a\\..\\out", "a\0b"])
def test_a_server_cannot_write_elsewhere(tmp_path: Path, path: str) -> None:
    files = {path: b"mine"}
    with pytest.raises(InvalidInput, match="outside of its folder"):
        download(version(files), tmp_path / "folder", sending(files))
    assert list(tmp_path.iterdir()) == []
