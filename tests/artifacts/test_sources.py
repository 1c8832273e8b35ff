"""Paths that others name: below a root and nowhere else, whatever is swapped meanwhile."""

from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from palio.artifacts.archives import Limits
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.sources import FileSources
from palio.errors import InvalidInput, Refused, TooLarge

SECRET = b"of somebody else"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that is open, and beside it one that is not."""
    for name in ("open/v1/plots", "closed"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "open" / "v1" / "model.onnx").write_bytes(b"model")
    (tmp_path / "open" / "v1" / "plots" / "roc.png").write_bytes(b"png")
    (tmp_path / "closed" / "model.onnx").write_bytes(SECRET)
    return tmp_path / "open"


def staged(root: Path, source: str | Path, between: Callable[[], object] = lambda: None) -> dict:  # type: ignore[type-arg]
    """Return what an artifact store keeps of a source; ``between`` runs after the check."""
    store = FsspecArtifactStore(str(root.parent / "artifacts"))
    with FileSources([root]).opened(str(source)) as files:
        between()
        with store.stage("credit", "v1", files) as found:
            found.publish()
    return store.read("credit", "v1", found.manifest)


def refused(root: Path, source: str | Path, match: str) -> None:
    with (
        pytest.raises(InvalidInput, match=match) as caught,
        FileSources([root]).opened(str(source)),
    ):
        pass
    assert caught.value.details["field"] == "source"


def test_a_folder_and_a_file_below_a_root(root: Path) -> None:
    whole = {"model.onnx": b"model", "plots/roc.png": b"png"}
    assert staged(root, root / "v1") == whole
    assert staged(root, root / "v1" / "model.onnx") == {"model.onnx": b"model"}
    assert staged(root / "v1", root / "v1") == whole  # the root itself
    assert staged(Path("/"), root / "v1" / "plots") == {"roc.png": b"png"}


def test_without_roots_nothing_is_taken(root: Path) -> None:
    with (
        pytest.raises(Refused, match="set PALIO_SOURCE_ROOTS to the"),
        FileSources().opened(str(root / "v1")),
    ):
        pass


def test_paths_outside(root: Path) -> None:
    closed = root.parent / "closed" / "model.onnx"
    refused(root, closed, "lies below no folder of PALIO_SOURCE_ROOTS")
    refused(root, "/etc/passwd", "lies below no folder")
    refused(root, root.parent / "opened-not" / "x", "lies below no folder")  # no mere prefix
    refused(root, root / ".." / "closed" / "model.onnx", "has '..' in it")
    refused(root, root / "v1" / ".." / ".." / "closed", "has '..' in it")


@pytest.mark.parametrize(
    "form",
    [
        lambda path: f"file://{path}",
        lambda path: str(path).lstrip("/"),
        lambda path: f"{path}\0.onnx",
        lambda path: f"{path}\n",
        lambda path: quote(str(path), safe=""),
        lambda path: f"{path.parent}/%2e%2e/%2e%2e/closed",
        lambda _: "",
        lambda _: "s3://bucket/model.onnx",
    ],
)
def test_what_is_no_absolute_path(root: Path, form: Callable[[Path], str]) -> None:
    refused(root, form(root / "v1" / "model.onnx"), "is no absolute path; URLs and encoded")


def test_links_on_the_way_are_resolved_first(root: Path) -> None:
    (root / "latest").symlink_to("v1")
    assert staged(root, root / "latest" / "model.onnx") == {"model.onnx": b"model"}
    (root / "out").symlink_to(root.parent / "closed")
    refused(root, root / "out" / "model.onnx", "lies below no folder")
    refused(root, root / "out", "lies below no folder")
    (root.parent / "way").symlink_to(root)  # a root may be named through a link
    assert staged(root.parent / "way", root / "v1" / "plots") == {"roc.png": b"png"}
    (root / "ring").symlink_to("ring")
    refused(root, root / "ring", "ring of links|lies below|cannot be read")


def test_links_and_pipes_in_a_folder(root: Path) -> None:
    (root / "v1" / "extra").symlink_to(root.parent / "closed" / "model.onnx")
    refused(root, root / "v1", "'extra' is a link or a device")
    (root / "v1" / "extra").unlink()
    (root / "v1" / "extra").symlink_to(root.parent / "closed")
    refused(root, root / "v1", "'extra' is a link or a device")
    (root / "v1" / "extra").unlink()
    os.mkfifo(root / "v1" / "extra")
    refused(root, root / "v1", "'extra' is a link or a device")


def test_what_is_missing_or_too_much(root: Path) -> None:
    refused(root, root / "v2", "cannot be read: No such file")
    refused(root, root / "v1" / "model.onnx" / "x", "cannot be read: Not a directory")
    for number in range(200):
        (root / "deep" / f"{number}").mkdir(parents=True)
    refused(root, root / "deep", "has more than 200 folders")


def swapped(place: Path, for_: Path) -> Callable[[], None]:
    def swap() -> None:
        place.rename(place.with_name("aside"))
        place.symlink_to(for_)

    return swap


def test_a_folder_swapped_for_a_link_after_the_check_changes_nothing(root: Path) -> None:
    swap = swapped(root / "v1", root.parent / "closed")
    assert staged(root, root / "v1" / "model.onnx", swap) == {"model.onnx": b"model"}


def test_the_root_swapped_for_a_link_after_the_check_changes_nothing(root: Path) -> None:
    (root.parent / "closed" / "v1").mkdir()
    (root.parent / "closed" / "v1" / "model.onnx").write_bytes(SECRET)
    kept = staged(root, root / "v1", swapped(root, root.parent / "closed"))
    assert kept["model.onnx"] == b"model"


def test_a_file_swapped_for_a_link_after_the_check_is_refused(root: Path) -> None:
    file = root / "v1" / "model.onnx"
    with pytest.raises(InvalidInput, match=r"is a link|cannot be read"):
        staged(root, file, swapped(file, root.parent / "closed" / "model.onnx"))


def test_an_archive_swapped_for_a_link_after_the_check_is_refused(root: Path) -> None:
    for place in (root, root.parent / "closed"):
        with tarfile.open(place / "m.tar", "w") as archive:
            archive.add(place, "files", filter=lambda one: None if one.isfile() else one)
    sources = FileSources([root])
    with sources.opened(str(root / "m.tar")) as files:
        swapped(root / "m.tar", root.parent / "closed" / "m.tar")()
        with pytest.raises(InvalidInput, match="cannot be opened"), sources.unpacked(files):
            pass


def test_a_path_swapped_between_resolving_and_opening_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = Path.resolve
    swap = swapped(root / "v1", root.parent / "closed")

    def late(self: Path, strict: bool = False) -> Path:
        found = resolve(self, strict)
        if found == root:  # the last that is resolved: now nothing has been opened yet
            swap()
        return found

    monkeypatch.setattr(Path, "resolve", late)
    refused(root, root / "v1" / "model.onnx", "cannot be read")


def test_descriptors_are_given_back(root: Path) -> None:
    before = [*Path("/proc/self/fd").iterdir()]
    staged(root, root / "v1")
    refused(root, root / "v2", "No such file")
    assert [*Path("/proc/self/fd").iterdir()] == before


def test_one_archive_is_unpacked_within_the_limits(root: Path) -> None:
    with tarfile.open(root / "m.tar", "w") as archive:
        archive.add(root / "v1", ".")
    sources = FileSources([root])
    with sources.opened(str(root / "m.tar")) as files, sources.unpacked(files) as folder:
        assert (folder / "plots" / "roc.png").read_bytes() == b"png"
    two = {"a": root / "m.tar", "b": root / "m.tar"}
    with pytest.raises(InvalidInput, match="unpack takes one archive, got 2 files"):
        sources.unpacked(two)
    small = FileSources([root], Limits(size_bytes=1_024))
    with pytest.raises(TooLarge), small.unpacked(root / "m.tar"):
        pass


class Marking:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_flavor_is_recognised_and_nothing_is_run(root: Path, tmp_path: Path) -> None:
    (root / "v2").mkdir()
    (root / "v2" / "model.pkl").write_bytes(pickle.dumps(Marking(tmp_path / "ran")))
    sources = FileSources([root])
    assert sources.recognised(root / "v2") == "pickled"
    with sources.opened(str(root / "v2")) as files:
        assert sources.recognised(files) == "pickled"
    with sources.opened(str(root / "v1" / "plots")) as files:
        assert sources.recognised(files) == "plain"
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_told_apart_below_a_root_only(root: Path) -> None:
    for source, missing in ((root / "no", True), (root.parent / "closed" / "no", None)):
        with pytest.raises(InvalidInput) as caught, FileSources([root]).opened(str(source)):
            pass
        assert caught.value.details.get("missing") is missing


def test_a_transformer_comes_under_a_name_of_its_own(root: Path) -> None:
    (root / "scaler_v1.2.pkl").write_bytes(b"scaler")
    sources = FileSources([root])
    source, first = str(root / "v1" / "model.onnx"), str(root / "scaler_v1.2.pkl")
    with sources.opened(source) as files, sources.preceded(files, first) as both:
        assert {name: path.read_bytes() for name, path in both.items()} == {
            "model.onnx": b"model",
            "preprocessor.2.pkl": b"scaler",
        }


def test_a_transformer_is_one_file_below_a_root(root: Path) -> None:
    sources = FileSources([root])
    for first, match in ((root / "v1", "holds 2 files"), (root.parent / "closed", "lies below")):
        with pytest.raises(InvalidInput, match=match), sources.preceded({}, str(first)):
            pass


def test_a_transformer_s_path_is_called_what_it_was_sent_as(root: Path) -> None:
    model = {"model.onnx": root / "v1" / "model.onnx"}
    for source, match in (
        (root.parent / "closed" / "model.onnx", "preprocessor: '.*' lies below no folder"),
        (root / "v1" / "none.pkl", "preprocessor: '.*' cannot be read: No such file"),
        (root / "v1", "preprocessor: '.*' holds 2 files"),
    ):
        with (
            pytest.raises(InvalidInput, match=match) as caught,
            FileSources([root]).preceded(model, str(source)),
        ):
            pass
        assert caught.value.details["field"] == "preprocessor"
