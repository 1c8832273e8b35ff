"""Registering carries every field, names a parent that exists, and leaves a readable folder."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.policy import Trust
from palio.artifacts.sources import FileSources
from palio.errors import CorruptArtifact, InvalidInput, NotFound
from palio.registry.domain import VersionDraft
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.registry.versions import Versions
from palio.testing.wired import Wired

FULL = VersionDraft(
    version="2",
    flavor="sklearn",
    signature=Signature((Feature("age", FeatureType.NUMBER),), Task.CLASSIFICATION, ("no", "yes")),
    metrics={"auc": 0.9},
    training={"seed": 7, "nested": {"rows": [1, None]}},
    tags={"team": "risk"},
    description="who pays",
    type="classification",
    framework="scikit-learn 1.9",
    architecture="linear",
    dataset_version="2026-01",
    policy={"zuletzt": True, "max_leverage": 3.0},
    backtest={"sharpe": 1.25},
    parent="m:1",
    source={"run": "r1", "commit": "ab12"},
    external_ref="run:r1",
    card="## For\n\nloans",
)


@pytest.fixture(params=["memory_store", "sqlite_store", "postgres_store"])
def everywhere(request: pytest.FixtureRequest) -> Wired:
    """All verbs on each kind of store, in turn."""
    return Wired(request.getfixturevalue(request.param))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    (made / "model.bin").write_bytes(b"bytes")
    return made


@pytest.fixture
def on_disk(wired: Wired, tmp_path: Path) -> Versions:
    """Verbs on a store in memory, with real files."""
    return replace(wired.versions, artifacts=FsspecArtifactStore(str(tmp_path / "kept")))


def test_every_field_of_a_draft_is_kept(everywhere: Wired, folder: Path) -> None:
    everywhere.register("m:1")
    made = everywhere.versions.register("m", FULL, folder)
    found = everywhere.versions.get("m:2")
    assert found == made
    for field in fields(FULL):
        assert getattr(found, field.name) == getattr(FULL, field.name), field.name
    assert found.policy is not None
    assert list(found.policy) == ["zuletzt", "max_leverage"]  # in the order given


def test_a_parent_is_kept_by_name(everywhere: Wired, folder: Path) -> None:
    everywhere.register("m:1", "other:5")
    everywhere.versions.promote("other:5")
    for number, (parent, kept) in enumerate(
        [("other@champion", "other:5"), ("models:/m/1", "m:1"), ("m:1", "m:1")]
    ):
        draft = replace(FULL, version=f"c{number}", parent=parent)
        made = everywhere.versions.register("m", draft, folder)
        assert made.parent == kept
        written = everywhere.files.read("m", made.version, made.manifest)
        assert json.loads(written["metadata.json"])["parent"] == kept


@pytest.mark.parametrize(
    ("parent", "kind", "words"),
    [
        ("m:2", InvalidInput, "parent: m:2 cannot be made from itself"),
        ("m:9", NotFound, "m has no version '9'"),
        ("m@next", NotFound, "m has no alias 'next'"),
        ("x:1", NotFound, "no model is named 'x'"),
        ("m", InvalidInput, "'m' is no reference"),
    ],
)
def test_a_parent_that_is_none(
    *, wired: Wired, folder: Path, parent: str, kind: type[Exception], words: str
) -> None:
    wired.register("m:1")
    with pytest.raises(kind, match=words):
        wired.versions.register("m", replace(FULL, parent=parent), folder)
    assert [version.version for version in wired.versions.list("m")] == ["1"]
    assert "m:2" not in wired.files.kept


def test_the_folder_is_readable(on_disk: Versions, tmp_path: Path, folder: Path) -> None:
    made = on_disk.register("m", replace(FULL, parent=None), folder)
    kept = tmp_path / "kept" / "m" / "2"
    assert sorted(path.name for path in kept.iterdir()) == [
        "features.json", "manifest.json", "metadata.json", "metrics.json", "model.bin",
        "policy.yaml",
    ]  # fmt: skip
    metadata = json.loads((kept / "metadata.json").read_bytes())
    assert datetime.fromisoformat(metadata["created_at"]) == made.created_at
    assert (metadata["created_by"], metadata["description"]) == (made.created_by, "who pays")
    assert yaml.safe_load((kept / "policy.yaml").read_bytes()) == FULL.policy
    assert json.loads((kept / "metrics.json").read_bytes()) == {"auc": 0.9}
    assert json.loads((kept / "features.json").read_bytes())["classes"] == ["no", "yes"]


@pytest.mark.parametrize("name", ["metrics.json", "metadata.json", "policy.yaml", "features.json"])
def test_nobody_edits_a_document_unnoticed(
    on_disk: Versions, tmp_path: Path, folder: Path, name: str
) -> None:
    made = on_disk.register("m", replace(FULL, parent=None), folder)
    document = tmp_path / "kept" / "m" / "2" / name
    document.write_bytes(document.read_bytes().replace(b"0.9", b"1.0") + b"\n")
    with pytest.raises(CorruptArtifact, match=name):
        on_disk.artifacts.read("m", "2", made.manifest)


def test_the_record_and_the_file_name_one_moment(wired: Wired, folder: Path) -> None:
    class Going:
        """A clock that goes on whenever it is asked."""

        def __call__(self) -> datetime:
            wired.clock.advance(1)
            return wired.clock()

    versions = replace(wired.versions, clock=Going())
    made = versions.register("m", replace(FULL, parent=None), folder)
    written = wired.files.read("m", "2", made.manifest)
    at = datetime.fromisoformat(json.loads(written["metadata.json"])["created_at"])
    assert at == made.created_at == wired.models.get("m").created_at
    assert wired.audit.list()[-1].at > at


def test_a_model_by_path_is_asked_and_preceded(on_disk: Versions, tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(size=(30, 2))
    first = StandardScaler().fit(rows)
    model = LogisticRegression().fit(first.transform(rows), rows[:, 0] > 0)
    for name, one in (("model_v1.pkl", model), ("scaler.pkl", first)):
        (tmp_path / name).write_bytes(pickle.dumps(one))
    sources = FileSources([tmp_path], trust=Trust(allow_pickle=True))
    register = replace(on_disk, sources=sources).register_from
    draft = VersionDraft(version="1", flavor="")
    source, scaler = str(tmp_path / "model_v1.pkl"), str(tmp_path / "scaler.pkl")
    made = register("m", draft, source, preprocessor=scaler, ask=True)
    assert {file.path for file in made.manifest.files} >= {"model_v1.pkl", "preprocessor.pkl"}
    assert made.signature is not None
    assert made.signature.classes == (False, True)
    unasked = register("m", replace(draft, version="2"), source)
    assert unasked.signature is None
    # what it is said to take stands, whoever else is asked
    told = register("m", replace(draft, version="3", signature=FULL.signature), source, ask=True)
    assert told.signature == FULL.signature


def test_files_that_are_no_model_cannot_be_asked(on_disk: Versions, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("trained in November")
    register = replace(on_disk, sources=FileSources([tmp_path])).register_from
    draft, source = VersionDraft(version="1", flavor=""), str(tmp_path / "notes.txt")
    with pytest.raises(InvalidInput, match="no flavor recognises these files") as refused:
        register("m", draft, source, ask=True)
    assert refused.value.details["field"] == "source"
    kept = register("m", replace(draft, flavor="plain"), source, ask=True)
    assert (kept.flavor, kept.signature) == ("plain", None)
    assert register("m", replace(draft, version="2"), source).flavor == "plain"
