"""The artifact store: bytes in, the same bytes out, or an error that says what differs."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from palio.artifacts.files import FsspecArtifactStore, _Staged
from palio.errors import CorruptArtifact, InvalidInput, MissingExtra, StoreUnavailable
from palio.registry.domain import ArtifactFile, Manifest
from palio.registry.manifests import MANIFEST_NAME, manifest_of

CONTENT = {"model.skops": b"weights" * 1000, "nested/notes.txt": b"", "b.bin": bytes(range(256))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def store(request: pytest.FixtureRequest, root: Path) -> FsspecArtifactStore:
    urls = {
        "folder": lambda: str(root),
        "file": root.as_uri,
        "memory": lambda: f"memory://{secrets.token_hex(4)}",
        "s3": lambda: f"s3://{request.getfixturevalue('bucket')}/palio",
    }
    return FsspecArtifactStore(urls[request.param]())


def published(store: FsspecArtifactStore, source: Path) -> Manifest:
    with store.stage("credit-risk", "v1", source) as staged:
        staged.publish()
    return staged.manifest


def names_below(store: FsspecArtifactStore) -> list[str]:
    return sorted(
        path.removeprefix(store._folders.root + "/")
        for path in store._folders.fs.find(store._folders.root)
    )


def test_what_was_published_is_read(store: FsspecArtifactStore, source: Path) -> None:
    assert store.read("credit-risk", "v1", published(store, source)) == CONTENT


def test_digests_are_those_of_hashlib(store: FsspecArtifactStore, source: Path) -> None:
    manifest = published(store, source)
    assert {file.path: (file.size_bytes, file.sha256) for file in manifest.files} == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    }


def test_a_version_is_one_folder_with_its_manifest(
    store: FsspecArtifactStore, source: Path
) -> None:
    published(store, source)
    assert names_below(store) == sorted(
        f"credit-risk/v1/{name}" for name in (*CONTENT, MANIFEST_NAME)
    )


def test_staging_left_without_publish_leaves_nothing(
    store: FsspecArtifactStore, source: Path
) -> None:
    with store.stage("credit-risk", "v1", source):
        assert all(name.startswith(".staging-") for name in names_below(store))
        assert names_below(store)
    assert names_below(store) == []


def test_staging_interrupted_leaves_nothing(store: FsspecArtifactStore, source: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.stage("credit-risk", "v1", source):
        raise KeyboardInterrupt
    assert names_below(store) == []


def test_copying_interrupted_leaves_nothing(
    store: FsspecArtifactStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_Staged, "_write", full)  # the manifest comes after the files
    with pytest.raises(StoreUnavailable, match="No space left"):
        published(store, source)
    assert names_below(store) == []


def test_publish_replaces_an_orphan(
    store: FsspecArtifactStore, source: Path, tmp_path: Path
) -> None:
    published(store, source)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.skops").write_bytes(b"other")
    manifest = published(store, other)
    assert store.read("credit-risk", "v1", manifest) == {"model.skops": b"other"}
    assert names_below(store) == ["credit-risk/v1/manifest.json", "credit-risk/v1/model.skops"]


def tampered(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(tampered, "its bytes differ", id="one bit"),
        pytest.param(lambda content: content[:-1], "6999 bytes", id="truncated"),
        pytest.param(lambda content: content + b"!", "it has grown", id="grown"),
        pytest.param(None, "the file is missing", id="missing"),
    ],
)
def test_other_bytes_are_refused(
    store: FsspecArtifactStore, source: Path, change: object, why: str
) -> None:
    manifest = published(store, source)
    path = f"{store._folders.root}/credit-risk/v1/model.skops"
    if callable(change):
        store._folders.fs.pipe_file(path, change(CONTENT["model.skops"]))
    else:
        store._folders.fs.rm_file(path)
    with pytest.raises(
        CorruptArtifact, match=re.escape(f"model.skops is not what was registered ({why})")
    ) as caught:
        store.read("credit-risk", "v1", manifest)
    expected = hashlib.sha256(CONTENT["model.skops"]).hexdigest()
    assert caught.value.details["expected"] == expected
    assert expected in caught.value.message
    assert "register the model again" in caught.value.message


def test_an_edited_manifest_beside_the_files_is_refused(
    store: FsspecArtifactStore, source: Path
) -> None:
    manifest = published(store, source)
    path = f"{store._folders.root}/credit-risk/v1/{MANIFEST_NAME}"
    listed = json.loads(store._folders.fs.cat_file(path))
    listed["files"][0]["sha256"] = "0" * 64
    store._folders.fs.pipe_file(path, json.dumps(listed, sort_keys=True, indent=1).encode())
    with pytest.raises(CorruptArtifact, match=MANIFEST_NAME):
        store.read("credit-risk", "v1", manifest)


def test_an_edited_registration_is_refused(store: FsspecArtifactStore, source: Path) -> None:
    manifest = published(store, source)
    edited = replace(manifest.files[0], sha256="0" * 64)
    with pytest.raises(CorruptArtifact, match="registered digest"):
        store.read("credit-risk", "v1", replace(manifest, files=(edited, *manifest.files[1:])))


def test_manifest_does_not_depend_on_the_order_of_files() -> None:
    files = [ArtifactFile("b", 1, "0" * 64), ArtifactFile("a", 2, "1" * 64)]
    assert manifest_of(files) == manifest_of(files[::-1])
    # witness: the canonical JSON written by hand
    listed = (
        f'[{{"path":"a","sha256":"{"1" * 64}","size_bytes":2}},'
        f'{{"path":"b","sha256":"{"0" * 64}","size_bytes":1}}]'
    )
    assert manifest_of(files).digest == hashlib.sha256(listed.encode()).hexdigest()


def test_a_link_in_the_source_is_refused(store: FsspecArtifactStore, source: Path) -> None:
    (source / "nested" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="passwd is a link"):
        published(store, source)
    assert names_below(store) == []


def test_a_linked_folder_in_the_source_is_refused(
    store: FsspecArtifactStore, source: Path, tmp_path: Path
) -> None:
    (source / "outside").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InvalidInput, match="outside is a link"):
        published(store, source)


def test_the_reserved_name_is_refused(store: FsspecArtifactStore, source: Path) -> None:
    (source / MANIFEST_NAME).write_text("{}")
    with pytest.raises(InvalidInput, match="reserves"):
        published(store, source)


def test_a_source_without_files_is_refused(store: FsspecArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no folder"):
        published(store, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no files"):
        published(store, tmp_path / "empty")


@pytest.mark.parametrize("name", ["..", "a/b", ".staging-1", ""])
def test_names_cannot_leave_the_root(store: FsspecArtifactStore, source: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name"), store.stage("m", name, source):
        pass
    with pytest.raises(InvalidInput, match="is no name"):
        store.read(name, "v1", manifest_of([]))


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no address that fsspec knows"):
        FsspecArtifactStore("nonsense://bucket")


def test_a_missing_package_is_named() -> None:
    with pytest.raises(MissingExtra, match="ocifs"):
        FsspecArtifactStore("oci://bucket/palio")


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, source: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match="did not answer"):
        published(FsspecArtifactStore(str(tmp_path / "taken")), source)
