"""Estimators from files of joblib and pickle."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from palio.artifacts.flavors import Safety
from palio.artifacts.flavors.pickled import MODEL_FILE, PickledFlavor
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature, Task

INPUTS = np.random.default_rng(5).normal(size=(80, 2))
MODEL = LogisticRegression().fit(INPUTS, INPUTS[:, 0] > 0)
FLAVOR = PickledFlavor()
SIGNATURE = FLAVOR.infer_signature(MODEL, INPUTS)


class Mean:
    """Like an estimator of scikit-learn, and not one."""

    def predict(self, rows: Any) -> Any:
        return rows.mean(axis=1)


def test_an_estimator_answers_as_before(tmp_path: Path) -> None:
    FLAVOR.save(MODEL, tmp_path, SIGNATURE)
    files = {MODEL_FILE: (tmp_path / MODEL_FILE).read_bytes()}
    answered = FLAVOR.load(files, SIGNATURE).predict(INPUTS.tolist())
    # witness: the estimator itself
    assert answered.values == MODEL.predict(INPUTS).tolist()
    np.testing.assert_array_equal(answered.probabilities, MODEL.predict_proba(INPUTS))


def by_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(MODEL, protocol=5))


def by_oldest_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(MODEL, protocol=0))


def by_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(pickle.dumps(MODEL)))


def by_joblib(path: Path) -> None:
    joblib.dump(MODEL, path, compress=("xz", 3))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("credit_model_v1.pkl", by_pickle),
        ("old.pickle", by_oldest_pickle),
        ("small.pkl.gz", by_gzip),
        ("small.joblib", by_joblib),
        ("weights.bin", by_pickle),
    ],
)
def test_files_of_any_origin_answer_as_before(name: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert FLAVOR.claims(name, content[:100])
    answered = FLAVOR.load({name: content, "notes.txt": b""}, SIGNATURE)
    assert answered.predict(INPUTS.tolist()).values == MODEL.predict(INPUTS).tolist()


def test_a_model_of_a_frame_answers_in_its_own_order() -> None:
    frame = pl.DataFrame(INPUTS, schema=["a", "b"])
    model = LinearRegression().fit(frame, INPUTS @ [1.0, 2.0])
    signature = FLAVOR.infer_signature(model, frame.select("b", "a"))
    assert [feature.name for feature in signature.features] == ["a", "b"]
    content = pickle.dumps(model)
    answered = FLAVOR.load({"model.pkl": content}, signature).predict([[1.0, 1.0]])
    assert answered.values == [pytest.approx(3.0)]  # 1 + 2, the weights it was fitted to


def test_what_is_like_an_estimator_answers_too(tmp_path: Path) -> None:
    signature = FLAVOR.infer_signature(Mean(), INPUTS)
    FLAVOR.save(Mean(), tmp_path, signature)
    files = {MODEL_FILE: (tmp_path / MODEL_FILE).read_bytes()}
    assert FLAVOR.load(files, signature).predict([[1.0, 3.0]]).values == [2.0]  # their mean


def test_what_it_is_asked_for() -> None:
    assert FLAVOR.safety is Safety.CODE
    assert not FLAVOR.recognises(MODEL)  # skops has it; this must be asked for by name
    for name in ("model.cloudpickle", "model.skops", "model.json", "pkl"):
        assert not FLAVOR.claims(name, b"PK")
    assert not FLAVOR.claims("model.cloudpickle", b"\x80\x05")


def test_a_misfit_is_refused(tmp_path: Path) -> None:
    other = Signature((Feature("x", FeatureType.NUMBER),), Task.CLASSIFICATION, (False, True))
    with pytest.raises(InvalidInput, match="takes 2 features, not 1"):
        FLAVOR.save(MODEL, tmp_path, other)
    with pytest.raises(InvalidInput, match="takes 2 features, not 1"):
        FLAVOR.load({"model.pkl": pickle.dumps(MODEL)}, other)
    with pytest.raises(InvalidInput, match="this is a dict, which answers nothing"):
        FLAVOR.load({"model.pkl": pickle.dumps({})}, SIGNATURE)
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_pickle_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"model\.pkl cannot be loaded"):
        FLAVOR.load({"model.pkl": b"nothing of the kind"}, SIGNATURE)


def test_a_package_that_is_not_installed_is_named() -> None:
    content = b"cpalio_never_installed\nModel\n."  # protocol 0: a global, then stop
    with pytest.raises(InvalidInput, match="No module named 'palio_never_installed'"):
        FLAVOR.load({"model.pkl": content}, SIGNATURE)


class OfTheScript(Mean):
    """Made to look as if it had been defined in the script that runs."""


def test_code_of_the_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import __main__  # noqa: PLC0415

    monkeypatch.setattr(OfTheScript, "__module__", "__main__")
    monkeypatch.setattr(__main__, "OfTheScript", OfTheScript, raising=False)
    with pytest.raises(InvalidInput, match=r"names code of the running script.*callables"):
        FLAVOR.save(OfTheScript(), tmp_path, SIGNATURE)


def test_what_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    model = Mean()
    model.predict = lambda rows: rows[:, 0]  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="pickle cannot save this Mean"):
        FLAVOR.save(model, tmp_path, SIGNATURE)
    assert list(tmp_path.iterdir()) == []
