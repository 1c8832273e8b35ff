"""From an object to a registered version and back to a predictor."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.flavors import named
from palio.artifacts.flavors.sklearn import MODEL_FILE, SklearnFlavor
from palio.artifacts.loader import ArtifactLoader, flavor_of, infer_signature, package
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.errors import CorruptArtifact, InvalidInput, UntrustedArtifact
from palio.registry.domain import Manifest, Version
from palio.registry.signature import Signature

INPUTS = np.random.default_rng(7).normal(size=(50, 2))
MODEL = LogisticRegression().fit(INPUTS, INPUTS[:, 0] > 0)
SIGNATURE = SklearnFlavor().infer_signature(MODEL, INPUTS)


def version(manifest: Manifest, signature: Signature | None = SIGNATURE, **other: Any) -> Version:
    return Version(
        model="credit-risk",
        version="v1",
        ordinal=1,
        stage="development",
        signature=signature,
        manifest=manifest,
        metrics={},
        training={},
        tags={},
        description="",
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        created_by="test",
        **{"flavor": "sklearn", **other},
    )


@pytest.fixture
def store(tmp_path: Path) -> FsspecArtifactStore:
    return FsspecArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def manifest(store: FsspecArtifactStore, tmp_path: Path) -> Manifest:
    folder = tmp_path / "model"
    folder.mkdir()
    files = package(MODEL, folder, SIGNATURE)
    assert files == {MODEL_FILE: folder / MODEL_FILE}
    with store.stage("credit-risk", "v1", files) as staged:
        staged.publish()
    return staged.manifest


def test_a_registered_version_answers(store: FsspecArtifactStore, manifest: Manifest) -> None:
    answered = ArtifactLoader(store).load(version(manifest)).predict(INPUTS.tolist())
    assert answered.values == MODEL.predict(INPUTS).tolist()


def test_a_registered_version_becomes_the_object_again(
    store: FsspecArtifactStore, manifest: Manifest
) -> None:
    found: Any = ArtifactLoader(store).restore(version(manifest, signature=None))
    assert type(found) is LogisticRegression
    assert found.coef_.tolist() == MODEL.coef_.tolist()


def test_a_preprocessor_stands_before_the_object(
    store: FsspecArtifactStore, tmp_path: Path
) -> None:
    scaler = StandardScaler().fit(INPUTS)
    model = LogisticRegression().fit(scaler.transform(INPUTS), INPUTS[:, 0] > 0)
    (tmp_path / "model").mkdir()
    files = package(model, tmp_path / "model", SIGNATURE, preprocessor=scaler)
    with store.stage("credit-risk", "v1", files) as staged:
        staged.publish()
    found: Any = ArtifactLoader(store).restore(version(staged.manifest))
    expected = model.predict_proba(scaler.transform(INPUTS))
    assert found.predict_proba(INPUTS).tolist() == expected.tolist()


def test_flavors_never_see_what_palio_writes(
    store: FsspecArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    files = package(MODEL, folder, SIGNATURE)
    documents = {"metadata.json": b"{}", "policy.yaml": b"a: 1"}
    with store.stage("credit-risk", "v1", files, documents) as staged:
        staged.publish()
    seen: list[str] = []
    monkeypatch.setattr(SklearnFlavor, "load", lambda _, files, __: seen.extend(files))
    ArtifactLoader(store).load(version(staged.manifest))
    assert seen == [MODEL_FILE]


def test_tampered_bytes_are_refused_before_they_are_read_as_a_model(
    store: FsspecArtifactStore,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "artifacts" / "credit-risk" / "v1" / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(SklearnFlavor, "load", lambda *_: pytest.fail("bytes were interpreted"))
    with pytest.raises(CorruptArtifact, match=MODEL_FILE):
        ArtifactLoader(store).load(version(manifest))


def test_tampered_bytes_become_no_object(
    store: FsspecArtifactStore, manifest: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "artifacts" / "credit-risk" / "v1" / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptArtifact, match=MODEL_FILE):
        ArtifactLoader(store).restore(version(manifest))


def test_a_version_without_signature_is_refused(
    store: FsspecArtifactStore, manifest: Manifest
) -> None:
    with pytest.raises(InvalidInput, match="credit-risk:v1 has no signature"):
        ArtifactLoader(store).load(version(manifest, signature=None))


def test_an_unknown_flavor_is_refused(store: FsspecArtifactStore, manifest: Manifest) -> None:
    with pytest.raises(InvalidInput, match="'mystery' is no flavor"):
        ArtifactLoader(store).load(version(manifest, flavor="mystery"))


class Marking:
    """Pickled, it is a call that leaves a folder behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


@pytest.fixture
def crafted(mark: Path, tmp_path: Path) -> Path:
    """Return a file that runs code when it is unpickled."""
    path = tmp_path / "credit.pkl"
    path.write_bytes(pickle.dumps(Marking(mark)))
    return path


def staged(store: FsspecArtifactStore, source: Path, folder: Path, **more: Any) -> Version:
    folder.mkdir()
    flavor = flavor_of(source, None)
    own = package(source, folder, SIGNATURE, flavor=flavor)
    with store.stage("credit-risk", "v1", own) as files:
        files.publish()
    return version(files.manifest, flavor=flavor.name, **more)


def test_code_is_not_run_where_that_is_not_allowed(
    store: FsspecArtifactStore, crafted: Path, mark: Path, tmp_path: Path
) -> None:
    registered = staged(store, crafted, tmp_path / "folder")
    assert registered.flavor == "pickled"
    with pytest.raises(UntrustedArtifact, match="credit-risk:v1 is of flavor pickled"):
        ArtifactLoader(store).load(registered)
    assert not mark.exists()
    with pytest.raises(InvalidInput, match="answers nothing"):
        ArtifactLoader(store, Trust(allow_pickle=True)).load(registered)
    assert mark.is_dir()  # so the file would have run it


def test_code_that_was_tampered_with_is_not_run_even_where_it_is_allowed(
    store: FsspecArtifactStore, crafted: Path, mark: Path, tmp_path: Path
) -> None:
    honest = tmp_path / "honest.pkl"
    honest.write_bytes(pickle.dumps(MODEL))
    registered = staged(store, honest, tmp_path / "folder")
    lying = tmp_path / "artifacts" / "credit-risk" / "v1" / "honest.pkl"
    lying.write_bytes(crafted.read_bytes())
    with pytest.raises(CorruptArtifact, match=r"honest\.pkl is not what was registered"):
        ArtifactLoader(store, Trust(allow_pickle=True)).load(registered)
    assert not mark.exists()


def test_a_pickle_behind_the_name_of_a_safe_flavor_is_not_run(
    store: FsspecArtifactStore, crafted: Path, mark: Path, tmp_path: Path
) -> None:
    registered = staged(store, crafted, tmp_path / "folder")
    with pytest.raises(InvalidInput, match="no model of flavor sklearn"):
        ArtifactLoader(store).load(replace(registered, flavor="sklearn"))
    with pytest.raises(InvalidInput, match=r"model\.skops cannot be read"):
        staged(store, crafted.rename(tmp_path / "model.skops"), tmp_path / "other")
    assert not mark.exists()


def test_kept_files_answer_nobody(store: FsspecArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"1")
    registered = staged(store, tmp_path / "weights.bin", tmp_path / "folder")
    with pytest.raises(InvalidInput, match=r"credit-risk:v1 is of flavor plain.*no requests"):
        ArtifactLoader(store, Trust(allow_pickle=True)).load(replace(registered, signature=None))


def test_registering_a_file_runs_it_only_where_that_is_allowed(
    crafted: Path, mark: Path, tmp_path: Path
) -> None:
    flavor = flavor_of(crafted, None)
    signature = infer_signature(crafted, flavor, INPUTS, [True, False], trust=NOTHING_TRUSTED)
    assert signature == SIGNATURE  # what the estimator of the same inputs has
    with pytest.raises(InvalidInput, match=r"give target .* or a signature"):
        infer_signature(crafted, flavor, INPUTS, trust=NOTHING_TRUSTED)
    (tmp_path / "out").mkdir()
    files = package(crafted, tmp_path / "out", SIGNATURE, flavor=flavor)
    assert files == {"credit.pkl": crafted}  # it stays where it is
    assert not mark.exists()
    with pytest.raises(InvalidInput, match="answers nothing"):
        package(crafted, tmp_path / "out", SIGNATURE, trust=Trust(allow_pickle=True))
    assert mark.is_dir()


def test_the_signature_of_a_file_that_may_be_loaded_is_read_off_it(tmp_path: Path) -> None:
    package(MODEL, tmp_path, SIGNATURE)
    for path in (tmp_path, tmp_path / MODEL_FILE):
        found = infer_signature(path, flavor_of(path, None), INPUTS, trust=NOTHING_TRUSTED)
        assert found == SIGNATURE
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(MODEL))
    allowing = Trust(allow_pickle=True)
    found = infer_signature(tmp_path / "other.pkl", named("pickled"), INPUTS, trust=allowing)
    assert found == SIGNATURE


def test_kept_files_have_no_signature(tmp_path: Path) -> None:
    flavor = named("plain")
    assert infer_signature(tmp_path, flavor, None, trust=NOTHING_TRUSTED) is None
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("kept")
    (tmp_path / "out").mkdir()
    files = package(tmp_path / "in", tmp_path / "out", None)
    assert files == {"notes.txt": tmp_path / "in" / "notes.txt"}
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sample is missing"):
        infer_signature(MODEL, named("sklearn"), None, trust=NOTHING_TRUSTED)
    with pytest.raises(InvalidInput, match="signature is missing; a model of flavor sklearn"):
        package(MODEL, tmp_path, None)
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(InvalidInput, match="signature is missing; a model of flavor pickled"):
        package(tmp_path / "model.pkl", tmp_path, None)


def test_a_link_is_not_followed_out_of_a_folder(
    store: FsspecArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").symlink_to(Path(__file__))
    with pytest.raises(InvalidInput, match="is a link"):
        staged(store, tmp_path / "in", tmp_path / "out")


def test_a_link_to_a_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("kept")
    (tmp_path / "notes.txt").symlink_to("blob")  # as caches of downloads have them
    assert package(tmp_path / "notes.txt", tmp_path, None) == {"notes.txt": tmp_path / "blob"}


def test_a_preprocessor_given_twice_is_refused(tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    own = package(MODEL, tmp_path / "in", SIGNATURE, preprocessor=StandardScaler().fit(INPUTS))
    assert set(own) == {MODEL_FILE, "preprocessor.skops"}
    with pytest.raises(InvalidInput, match=r"preprocessor\.skops lies in the folder and is"):
        package(
            tmp_path / "in",
            tmp_path / "out",
            SIGNATURE,
            preprocessor=StandardScaler().fit(INPUTS),
        )
