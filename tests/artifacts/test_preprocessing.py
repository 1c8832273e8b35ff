"""A transformer in front of a model: the same answers as both in one pipeline, and refusals."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.flavors import named, recognise
from palio.artifacts.loader import ArtifactLoader, flavor_of, infer_signature, package
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.artifacts.preprocessing import Preprocessor, holder, parted, saved
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.domain import Version
from palio.registry.signature import Feature, FeatureType, Signature, Task

from .test_loader import version

FRAME = pl.DataFrame(
    {"town": ["Siena", "Pisa", "Siena", "Lucca"] * 10, "age": [float(at) for at in range(40)]}
)
LABELS = [age > 20 for age in FRAME["age"]]
ALLOWING = Trust(allow_pickle=True)


def transformer() -> Any:
    return ColumnTransformer(
        [("scaled", StandardScaler(), ["age"]), ("town", OneHotEncoder(), ["town"])]
    ).fit(FRAME)


FIRST = transformer()
MODEL = LogisticRegression().fit(FIRST.transform(FRAME), LABELS)
EXPECTED = MODEL.predict_proba(FIRST.transform(FRAME))  # witness: both by hand
SIGNATURE = Signature(
    features=(Feature("town", FeatureType.STRING), Feature("age", FeatureType.NUMBER)),
    task=Task.CLASSIFICATION,
    classes=(False, True),
)


class Marking:
    """Pickled, it is a call that leaves a folder behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def registered(
    tmp_path: Path, given: Any, preprocessor: Any, trust: Trust = NOTHING_TRUSTED
) -> tuple[FsspecArtifactStore, Version]:
    folder = tmp_path / "package"
    folder.mkdir()
    files = package(given, folder, SIGNATURE, preprocessor=preprocessor, trust=trust)
    store = FsspecArtifactStore(str(tmp_path / "artifacts"))
    with store.stage("credit-risk", "v1", files) as staged:
        staged.publish()
    return store, version(staged.manifest, SIGNATURE, flavor=flavor_of(given, None).name)


def test_the_signature_has_the_columns_of_the_sample_and_the_answers_of_the_model() -> None:
    found = infer_signature(
        MODEL, named("sklearn"), FRAME, preprocessor=FIRST, trust=NOTHING_TRUSTED
    )
    assert found == SIGNATURE


def test_both_answer_as_they_did_in_memory(tmp_path: Path) -> None:
    store, kept = registered(tmp_path, MODEL, FIRST)
    assert [file.path for file in kept.manifest.files] == ["model.skops", "preprocessor.skops"]
    answered = ArtifactLoader(store).load(kept).predict([list(row) for row in FRAME.rows()])
    np.testing.assert_array_equal(answered.probabilities, EXPECTED)
    assert list(FIRST.feature_names_in_) == ["town", "age"]  # the caller's own is as it was


def test_files_of_both_answer_where_code_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(MODEL))
    (tmp_path / "preproc.pkl").write_bytes(pickle.dumps(FIRST))
    paths = tmp_path / "model.pkl", tmp_path / "preproc.pkl"
    flavor = named("pickled")
    found = infer_signature(paths[0], flavor, FRAME, preprocessor=paths[1], trust=ALLOWING)
    assert found == SIGNATURE
    unasked = infer_signature(
        paths[0], flavor, FRAME, LABELS, preprocessor=paths[1], trust=NOTHING_TRUSTED
    )
    assert unasked == SIGNATURE
    store, kept = registered(tmp_path, *paths)
    assert [file.path for file in kept.manifest.files] == ["model.pkl", "preprocessor.pkl"]
    answered = ArtifactLoader(store, ALLOWING).load(kept)
    np.testing.assert_array_equal(
        answered.predict([list(row) for row in FRAME.rows()]).probabilities, EXPECTED
    )


def test_code_in_front_of_a_safe_model_is_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "code-was-run", tmp_path / "preproc.pkl"
    path.write_bytes(pickle.dumps(Marking(mark)))
    (tmp_path / "in").mkdir()
    package(MODEL, tmp_path / "in", _inner(), trust=NOTHING_TRUSTED)
    with pytest.raises(UntrustedArtifact, match="the preprocessor is of flavor pickled"):
        package(MODEL, tmp_path, SIGNATURE, preprocessor=path)
    store, kept = registered(tmp_path, tmp_path / "in", path)
    assert kept.flavor == "sklearn"
    with pytest.raises(UntrustedArtifact, match=r"the preprocessor of credit-risk:v1, preproc"):
        ArtifactLoader(store).load(kept)
    assert not mark.exists()
    with pytest.raises(InvalidInput, match="has no transform"):
        ArtifactLoader(store, ALLOWING).load(kept)
    assert mark.is_dir()  # so the file would have run it


def _inner() -> Signature:
    return Preprocessor(FIRST, SIGNATURE).inner


def test_what_the_model_behind_takes() -> None:
    # witness: scikit-learn's own names
    assert [feature.name for feature in _inner().features] == list(FIRST.get_feature_names_out())
    assert (_inner().task, _inner().classes) == (SIGNATURE.task, SIGNATURE.classes)


def test_a_preprocessor_is_not_taken_for_the_model(tmp_path: Path) -> None:
    (tmp_path / "preprocessor.skops").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("read me")
    assert recognise(tmp_path).name == "plain"
    own, first = parted({"model.onnx": b"1", "preprocessor.pkl": b"2"})
    assert (own, first) == ({"model.onnx": b"1"}, {"preprocessor.pkl": b"2"})


def test_two_preprocessors_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"preprocessor\.pkl and preprocessor\.skops could"):
        parted({"preprocessor.skops": b"", "preprocessor.pkl": b""})


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"preprocessor\.txt is no file of skops or pickle"):
        holder("preprocessor.txt", b"hello", NOTHING_TRUSTED)
    (tmp_path / "steps.txt").write_text("hello")
    with pytest.raises(InvalidInput, match="is neither an estimator of scikit-learn nor a file"):
        saved(tmp_path / "steps.txt", tmp_path, NOTHING_TRUSTED)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (LogisticRegression(), "has no transform"),
        (FunctionTransformer(np.log1p), "does not say what it gives"),
        (StandardScaler(), "does not say what it gives"),
        (StandardScaler().fit([[1.0], [2.0]]), "takes 1 features, not 2"),
    ],
)
def test_other_than_a_fitted_transformer_is_refused(given: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        Preprocessor(given, SIGNATURE)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("scaler.pkl", "preprocessor.pkl"),
        ("scaler.pkl.gz", "preprocessor.pkl.gz"),
        ("scaler", "preprocessor.pkl"),
        ("scaler.skops", "preprocessor.skops"),
    ],
)
def test_the_file_keeps_its_kind(name: str, kept: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(pickle.dumps(None, protocol=5))
    saved(tmp_path / "in" / name, tmp_path, NOTHING_TRUSTED)
    assert (tmp_path / kept).is_file()
