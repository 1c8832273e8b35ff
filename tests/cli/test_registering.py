"""``palio models register``: a file, a folder or an archive, from here or from the server."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tests.e2e import servers
from tests.e2e.worlds import World, serve

import palio
from palio.registry.domain import RESERVED_FILES

Cli = Callable[..., tuple[int, str, str]]
ROWS = "age,town,paid\n1,3,no\n2,4,yes\n3,5,yes\n4,1,no\n"


@pytest.fixture
def store(home: str) -> str:
    return home


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a model, a sample beside it, and the command run from where they lie."""
    monkeypatch.chdir(tmp_path)
    fitted = LogisticRegression().fit([[1, 3], [2, 4], [3, 5], [4, 1]], ["no", "yes", "yes", "no"])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(fitted))
    (tmp_path / "rows.csv").write_text(ROWS)
    return path


def own(told: Any) -> set[str]:
    return {file["path"] for file in told["manifest"]["files"]} - RESERVED_FILES


def test_a_file_with_a_sample(told: Callable[..., Any], store: str, model: Path) -> None:
    found = told("--store", store, "models", "register", "loans", model, "--version", "v1",
                 "--sample", model.parent / "rows.csv", "--target", "paid")  # fmt: skip
    assert (found["flavor"], own(found)) == ("pickled", {"model.pkl"})
    signature = found["signature"]
    assert [feature["name"] for feature in signature["features"]] == ["age", "town"]
    assert (signature["task"], signature["classes"]) == ("classification", ["no", "yes"])


def test_what_runs_before_a_model_is_shown(cli: Cli, store: str) -> None:
    scaler = StandardScaler().fit(servers.SAMPLE)
    with palio.connect(store) as opened:
        given = {"sample": servers.SAMPLE, "preprocessor": scaler}
        opened.register("credit", servers.model(), version="v3", **given)
    for version, named in (("v3", "preprocessor.skops"), ("v1", "")):
        _, out, _ = cli("--store", store, "models", "show", f"credit:{version}")
        [line] = [one for one in out.splitlines() if one.startswith("preprocessor")]
        assert line.removeprefix("preprocessor").strip() == named


def test_an_archive_is_unpacked(
    told: Callable[..., Any], world: World, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in" / "docs").mkdir(parents=True)
    shutil.copy(model, tmp_path / "in")
    (tmp_path / "in" / "docs" / "how.md").write_text("so")
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path / "in")
    for store, version in ((world.store, "v1"), (world.address, "v2")):
        found = told("--store", store, "models", "register", "loans", packed, "--unpack",
                     "--version", version, "--sample", tmp_path / "rows.csv",
                     "--target", "paid")  # fmt: skip
        assert (found["flavor"], own(found)) == ("pickled", {"model.pkl", "docs/how.md"})


def test_files_that_lie_on_the_server(
    told: Callable[..., Any], cli: Cli, store: str, model: Path
) -> None:
    tmp_path = model.parent
    (tmp_path / "open").mkdir()
    shutil.copy(model, tmp_path / "open")
    with palio.connect(store) as opened:
        signature = opened.versions.get("credit:v1").signature
    (tmp_path / "signature.json").write_bytes(msgspec.json.encode(signature))
    with serve(store, source_roots=(tmp_path / "open",)) as world:
        found = told("--store", world.address, "models", "register", "loans",
                     tmp_path / "open" / "model.pkl", "--on-server", "--version", "v1",
                     "--signature", tmp_path / "signature.json")  # fmt: skip
        assert (found["flavor"], own(found)) == ("pickled", {"model.pkl"})
        code, _, err = cli("--store", world.address, "models", "register", "loans", model,
                           "--on-server", "--version", "v2")  # fmt: skip
        assert (code, "lies below no folder of PALIO_SOURCE_ROOTS" in err) == (2, True)
        code, _, err = cli("--store", world.address, "models", "register", "loans",
                           tmp_path / "open" / "model.pkl", "--on-server", "--ask",
                           "--version", "v3")  # fmt: skip
        assert (code, "PALIO_ALLOW_PICKLE" in err) == (6, True)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["model.pkl"], (2, "sample is missing; give some of the rows")),
        (["model.pkl", "--sample", "rows.csv"], (2, "the file holds code that this process")),
        (["model.pkl", "--sample", "rows.csv", "--target", "x"], (2, "has no column 'x'; it has")),
        (["model.pkl", "--sample", "none.csv"], (2, "is no file; check the path")),
        (["model.pkl", "--unpack"], (2, "is no archive that is taken here")),
        (["model.pkl", "--flavor", "none"], (2, "'none' is no flavor known here")),
        (["nowhere"], (2, "cannot be read")),
        (["/a", "--on-server"], (4, "set PALIO_SOURCE_ROOTS")),
        (["/a", "--on-server", "--sample", "rows.csv"], (2, "give --signature FILE.json")),
        (["model.pkl", "--ask"], (2, "give --on-server with it, or --sample")),
    ],
)
def test_what_is_refused(cli: Cli, store: str, given: list[str], said: tuple[int, str]) -> None:
    code, out, err = cli("--store", store, "models", "register", "m", *given, "--version", "v1")
    assert (code, out, said[1] in err) == (said[0], "", True), err


def test_a_model_in_memory_and_its_file_are_the_same(store: str, model: Path) -> None:
    with palio.connect(store) as opened:
        kept = opened.register("loans", model, version="v1", sample=model.parent / "rows.csv",
                               target="paid", files={"a/b.txt": b"b"})  # fmt: skip
        assert {file.path for file in kept.manifest.files} - RESERVED_FILES == {
            "model.pkl",
            "a/b.txt",
        }
        with pytest.raises(palio.errors.InvalidInput, match=r"model\.pkl is the model's own"):
            opened.register("loans", model, version="v2", sample=servers.SAMPLE,
                            target=["no"], files={"model.pkl": b""})  # fmt: skip
        with pytest.raises(palio.errors.InvalidInput, match="leaves the version's folder"):
            opened.register("loans", model, version="v2", sample=servers.SAMPLE,
                            target=["no"], files={"../up": b""})  # fmt: skip
