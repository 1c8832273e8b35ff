"""What else an artifact store does: files by path, documents, streams, checks, removal."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from palio.artifacts.files import FsspecArtifactStore
from palio.errors import CorruptArtifact, InvalidInput, StoreUnavailable
from palio.registry.domain import RESERVED_FILES, ArtifactFile, Manifest
from palio.registry.manifests import MANIFEST_NAME
from palio.registry.ports import Difference

CONTENT = {"a.bin": b"a" * 3_000_000, "plots/roc.png": b"png", "z": b""}


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FsspecArtifactStore:
    if request.param == "s3":
        return FsspecArtifactStore(f"s3://{request.getfixturevalue('bucket')}/palio")
    urls = {"folder": str(tmp_path / "artifacts"), "memory": f"memory://{secrets.token_hex(4)}"}
    return FsspecArtifactStore(urls[request.param])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files at places that have nothing to do with the paths they get."""
    given = {}
    for number, (name, content) in enumerate(CONTENT.items()):
        given[name] = tmp_path / f"{number}.tmp"
        given[name].write_bytes(content)
    return given


@pytest.fixture
def manifest(store: FsspecArtifactStore, files: dict[str, Path]) -> Manifest:
    with store.stage("m", "v1", files) as staged:
        staged.publish()
    return staged.manifest


def put(store: FsspecArtifactStore, path: str, content: bytes) -> None:
    full = f"{store._folders.root}/{path}"
    if "file" in store._folders.fs.protocol:
        Path(full).parent.mkdir(parents=True, exist_ok=True)
    store._folders.fs.pipe_file(full, content)


def test_files_are_given_by_path(store: FsspecArtifactStore, manifest: Manifest) -> None:
    assert store.read("m", "v1", manifest) == CONTENT


def test_only_what_is_below_is_read(store: FsspecArtifactStore, manifest: Manifest) -> None:
    put(store, "m/v1/a.bin", b"other")
    assert store.read("m", "v1", manifest, below="plots/") == {"plots/roc.png": b"png"}


def test_documents_stand_in_the_manifest(
    store: FsspecArtifactStore, files: dict[str, Path]
) -> None:
    documents = {"metadata.json": b"{}", "plots/pr.png": b"drawn"}
    with store.stage("m", "v1", files, documents) as staged:
        staged.publish()
    assert store.read("m", "v1", staged.manifest) == CONTENT | documents


def test_a_document_of_its_own_is_enough(store: FsspecArtifactStore) -> None:
    described = {"metadata.json": b"{}"}
    with (
        pytest.raises(InvalidInput, match="holds no files"),
        store.stage("m", "v1", {}, described),
    ):
        pass
    documents = {**described, "ensemble.json": b"[]"}
    with store.stage("m", "v1", {}, documents) as staged:
        staged.publish()
    assert store.read("m", "v1", staged.manifest) == documents


@pytest.mark.parametrize("name", [*sorted(RESERVED_FILES), "Manifest.JSON", "plots/pr.png"])
def test_names_that_palio_writes_are_refused(
    store: FsspecArtifactStore, files: dict[str, Path], name: str
) -> None:
    given = {**files, name: files["z"]}
    with (
        pytest.raises(InvalidInput, match=r"reserves; rename it"),
        store.stage("m", "v1", given, {"plots/pr.png": b""}),
    ):
        pass
    assert list(store.leftovers()) == []


def test_reserved_names_are_free_in_folders_within(
    store: FsspecArtifactStore, files: dict[str, Path]
) -> None:
    with store.stage("m", "v1", {"model/metadata.json": files["z"]}) as staged:
        staged.publish()
    assert store.read("m", "v1", staged.manifest) == {"model/metadata.json": b""}


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../x", "a//x", "./x", "a\\..\\x", "a\0x", "a\nx", "", "a/", "\udcff"],
)
def test_paths_that_lead_elsewhere_are_refused(
    store: FsspecArtifactStore, files: dict[str, Path], name: str
) -> None:
    with (
        pytest.raises(InvalidInput, match=r"leaves the|cannot be"),
        store.stage("m", "v1", {name: files["z"]}),
    ):
        pass
    assert list(store.leftovers()) == []


def test_a_link_given_by_path_is_refused(
    store: FsspecArtifactStore, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(files["z"])
    with (
        pytest.raises(InvalidInput, match="link is a link"),
        store.stage("m", "v1", {"x": tmp_path / "link"}),
    ):
        pass


def test_a_stream_is_what_was_published(store: FsspecArtifactStore, manifest: Manifest) -> None:
    for file in manifest.files:
        chunks = list(store.stream("m", "v1", file))
        assert b"".join(chunks) == CONTENT[file.path]
        assert all(len(chunk) <= 1 << 20 for chunk in chunks)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"b" + CONTENT["a.bin"][1:], "bytes differ"), (b"a", "1 bytes"), (None, "missing"),
     (CONTENT["a.bin"] + b"a", "grown")],
)  # fmt: skip
def test_a_stream_of_other_bytes_ends_in_an_error(
    store: FsspecArtifactStore, manifest: Manifest, content: bytes | None, why: str
) -> None:
    file = next(file for file in manifest.files if file.path == "a.bin")
    if content is None:
        store._folders.fs.rm_file(f"{store._folders.root}/m/v1/a.bin")
    else:
        put(store, "m/v1/a.bin", content)
    with pytest.raises(CorruptArtifact, match=why):
        list(store.stream("m", "v1", file))
    with pytest.raises(CorruptArtifact, match=why):
        store.check("m", "v1", manifest)
    (found,) = store.differences("m", "v1", manifest)
    assert found.file == "a.bin"
    assert why in found.why


def test_every_difference_is_told(store: FsspecArtifactStore, manifest: Manifest) -> None:
    store.check("m", "v1", manifest)
    assert list(store.differences("m", "v1", manifest)) == []
    put(store, "m/v1/z", b"z")
    put(store, "m/v1/plots/roc.png", b"gnp")
    put(store, f"m/v1/{MANIFEST_NAME}", b"{}")
    assert list(store.differences("m", "v1", manifest)) == [
        Difference(MANIFEST_NAME, "2 bytes"),
        Difference("plots/roc.png", "its bytes differ"),
        Difference("z", "it has grown"),
    ]


def test_an_edited_record_is_told(store: FsspecArtifactStore, manifest: Manifest) -> None:
    edited = replace(manifest, files=(ArtifactFile("a.bin", 1, "0" * 64),))
    told = [one.file for one in store.differences("m", "v1", edited)]
    assert told == [MANIFEST_NAME, "a.bin"]
    with pytest.raises(CorruptArtifact, match="registered digest"):
        store.check("m", "v1", edited)


def test_removing_takes_a_version_away(store: FsspecArtifactStore, manifest: Manifest) -> None:
    with store.stage("m", "v2", Path(__file__).parent) as staged:
        staged.publish()
    store.remove("m", "v1")
    store.remove("m", "v1")
    with pytest.raises(CorruptArtifact, match="missing"):
        store.read("m", "v1", manifest)
    store.check("m", "v2", staged.manifest)
    assert [one.version for one in store.leftovers()] == ["m:v2"]


def test_leftovers_are_what_is_not_known(store: FsspecArtifactStore, manifest: Manifest) -> None:
    with store.stage("m", "v2", Path(__file__).parent) as staged:
        places = {one.place: one for one in store.leftovers({"m:v2"})}
        assert len(places) == 2
    (found,) = store.leftovers()
    assert found == places["m/v1"]
    assert found.version == "m:v1"
    written = sum(file.size_bytes for file in manifest.files)
    assert written < found.size_bytes < written + 1_000  # and its manifest
    assert list(store.leftovers({"m:v1"})) == []
    assert staged.manifest.files


def test_what_the_store_did_not_make_is_no_leftover(store: FsspecArtifactStore) -> None:
    for path in (
        "site/public/manifest.json",
        ".staging-mine/a",
        "a/b/c",
        "top",
        "x/..y/manifest.json",
    ):
        put(store, path, b'{"files": [], "digest": "of something else"}')
    assert list(store.leftovers()) == []


def test_discarding_twice_is_no_error(store: FsspecArtifactStore, manifest: Manifest) -> None:
    (found,) = store.leftovers()
    store.discard(found)
    store.discard(found)
    assert manifest.files
    assert list(store.leftovers()) == []
    assert store._folders.fs.find(store._folders.root) == []


def test_what_goes_while_leftovers_are_listed_is_passed_over(
    store: FsspecArtifactStore, files: dict[str, Path]
) -> None:
    with store.stage("m", "v1", files), store.stage("m", "v2", files):
        listed = store.leftovers()
        first = next(listed)
        (second,) = (one for one in store.leftovers() if one.place != first.place)
        store.discard(second)
        assert list(listed) == []


def test_an_empty_store_has_no_leftovers(store: FsspecArtifactStore) -> None:
    assert list(store.leftovers()) == []
    store.remove("m", "v1")


def test_odd_names_are_kept_and_removed(
    store: FsspecArtifactStore, files: dict[str, Path]
) -> None:
    odd = {"a[1]*?.bin": files["z"], "größe %2e%2e.txt": files["plots/roc.png"]}
    with store.stage("m", "v1", odd) as staged:
        staged.publish()
    assert store.read("m", "v1", staged.manifest) == {
        "a[1]*?.bin": b"",
        "größe %2e%2e.txt": b"png",
    }
    store.remove("m", "v1")
    assert list(store.leftovers()) == []


_INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from palio.artifacts import files
from palio.artifacts.staging import copied

class Dying:
    def __init__(self, copy):
        self.copy, self.left = copy, 40

    def write(self, chunk):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.copy.write(chunk)

files.copied = lambda source, copy, name: copied(source, Dying(copy), name)
with files.FsspecArtifactStore(sys.argv[1]).stage("m", "v1", Path(sys.argv[2])) as staged:
    staged.publish()
"""


def touched(file: Path) -> datetime:
    file.touch()
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def url_of(store: FsspecArtifactStore) -> str:
    protocol = store._folders.fs.protocol
    scheme = "file://" if "file" in protocol else "s3://"
    return f"{scheme}{store._folders.root}"


@pytest.mark.parametrize("names", [["1"], ["0", "1"]], ids=["first file", "second file"])
@pytest.mark.parametrize("store", ["folder", "s3"], indirect=True)
def test_a_process_killed_while_it_writes_leaves_no_version(
    store: FsspecArtifactStore, tmp_path: Path, names: list[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in names:  # of the file 1 about 40 MB are written, in parts of 16 MB
        (source / name).write_bytes(bytes(60 << 20 if name == "1" else 5))
    before = touched(tmp_path / "before") - timedelta(seconds=2)
    command = [sys.executable, "-c", _INTERRUPTED, url_of(store), str(source)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    (found,) = store.leftovers()
    assert found.version is None
    assert found.place.startswith(".staging-")
    assert found.size_bytes >= 32 << 20  # two parts on S3, whose upload never became a file
    assert before < found.changed_at < touched(tmp_path / "after") + timedelta(seconds=2)
    store.discard(found)
    assert list(store.leftovers()) == []
    assert store._folders.fs.find(store._folders.root) == []


def test_a_version_is_whole_or_refused_where_its_staging_was_taken(
    store: FsspecArtifactStore, files: dict[str, Path]
) -> None:
    with store.stage("m", "v1", files) as staged:
        store._folders.fs.rm_file(f"{staged._staging}/z")
        with pytest.raises(StoreUnavailable):
            staged.publish()


_PEAK = """
import resource, sys
from pathlib import Path
from palio.artifacts.files import FsspecArtifactStore

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

store = FsspecArtifactStore(sys.argv[1])
with store.stage("m", "warm", {"x": Path(sys.argv[3])}) as staged:
    staged.publish()
before = peak()
with store.stage("m", "v1", {"x": Path(sys.argv[2])}) as staged:
    staged.publish()
store.check("m", "v1", staged.manifest)
print(peak() - before)
"""


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_large_files_pass_through_and_do_not_sit_in_memory(
    store: FsspecArtifactStore, tmp_path: Path, files: dict[str, Path]
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(200 << 20)
    command = [sys.executable, "-c", _PEAK, url_of(store), str(large), str(files["a.bin"])]
    done = subprocess.run(command, check=True, env=os.environ, capture_output=True, text=True)
    assert int(done.stdout) < 100 << 20  # a few parts of 16 MB
