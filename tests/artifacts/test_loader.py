"""From an object to a registered version and back to a predictor."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.flavors.sklearn import MODEL_FILE, SklearnFlavor
from palio.artifacts.loader import ArtifactLoader, package
from palio.errors import CorruptArtifact, InvalidInput
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
    assert package(MODEL, folder, SIGNATURE) == "sklearn"
    with store.stage("credit-risk", "v1", folder) as staged:
        staged.publish()
    return staged.manifest


def test_a_registered_version_answers(store: FsspecArtifactStore, manifest: Manifest) -> None:
    answered = ArtifactLoader(store).load(version(manifest)).predict(INPUTS.tolist())
    assert answered.values == MODEL.predict(INPUTS).tolist()


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


def test_a_version_without_signature_is_refused(
    store: FsspecArtifactStore, manifest: Manifest
) -> None:
    with pytest.raises(InvalidInput, match="credit-risk:v1 has no signature"):
        ArtifactLoader(store).load(version(manifest, signature=None))


def test_an_unknown_flavor_is_refused(store: FsspecArtifactStore, manifest: Manifest) -> None:
    with pytest.raises(InvalidInput, match="'onnx' is no flavor"):
        ArtifactLoader(store).load(version(manifest, flavor="onnx"))
