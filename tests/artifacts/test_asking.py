"""Models that are asked what they take: the same as a sample of their inputs tells."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from palio.artifacts.asking import signature_asked
from palio.artifacts.flavors import named
from palio.artifacts.flavors.sklearn import SklearnFlavor
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from .test_preprocessing import FIRST, FRAME, LABELS, MODEL, SIGNATURE

ALLOWING = Trust(allow_pickle=True)
ARRAY = np.random.default_rng(5).normal(size=(40, 3))


def asked(model: Any, first: Any = None, *, trust: Trust = ALLOWING) -> Signature | None:
    files = {"credit_v1.pkl": pickle.dumps(model)}
    if first is not None:
        files["preprocessor.pkl"] = pickle.dumps(first)
    return signature_asked(files, named("pickled"), trust)


def test_a_model_of_an_array_numbers_its_features() -> None:
    found = asked(LinearRegression().fit(ARRAY, ARRAY[:, 0]))
    numbers = tuple(Feature(name, FeatureType.NUMBER) for name in ("x0", "x1", "x2"))
    assert found == Signature(features=numbers, task=Task.REGRESSION)


def test_a_model_that_takes_missing_values_says_so() -> None:
    found = asked(HistGradientBoostingClassifier(max_iter=2).fit(ARRAY, ARRAY[:, 0] > 0))
    assert found is not None
    assert {feature.nullable for feature in found.features} == {True}
    assert found.classes == (False, True)


@pytest.mark.parametrize("imputed", [False, True])
def test_columns_of_strings_are_known_by_what_was_learned(imputed: bool) -> None:
    towns: Any = OneHotEncoder()
    if imputed:
        towns = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    steps = ColumnTransformer([("a", StandardScaler(), ["age"]), ("t", towns, ["town"])])
    frame = FRAME.to_pandas().astype({"town": object})
    model = make_pipeline(steps, LogisticRegression()).fit(frame, LABELS)
    found = asked(model)
    assert found is not None
    types = {feature.name: feature.type for feature in found.features}
    assert types == {"town": FeatureType.STRING, "age": FeatureType.NUMBER}


def test_with_a_preprocessor_the_features_are_its_own() -> None:
    found = asked(MODEL, FIRST)
    assert found is not None
    assert found.shape == SIGNATURE.shape  # witness: what a sample tells


def test_files_of_data_need_no_permission() -> None:
    model = LogisticRegression().fit(ARRAY, ARRAY[:, 0] > 0)
    files = {"model.skops": SklearnFlavor().dumped(model)}
    found = signature_asked(files, SklearnFlavor(), NOTHING_TRUSTED)
    assert found is not None
    assert len(found.features) == 3


def test_files_that_are_kept_tell_nothing() -> None:
    assert signature_asked({"a.txt": b"a"}, named("plain"), ALLOWING) is None


def test_code_is_not_run_where_it_is_not_allowed() -> None:
    with pytest.raises(UntrustedArtifact, match="PALIO_ALLOW_PICKLE"):
        asked(MODEL, trust=NOTHING_TRUSTED)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"a.pkl": b"no pickle"}, "cannot be loaded"),
        ({"a.pkl": pickle.dumps(io.BytesIO())}, "does not say which features it takes"),
        ({"a.pkl": pickle.dumps(StandardScaler().fit(ARRAY))}, "answers nothing"),
        ({"a.pkl": pickle.dumps(MODEL), "preprocessor.pkl": b"no"}, "cannot be loaded"),
    ],
)
def test_what_is_no_model_is_refused(files: dict[str, bytes], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        signature_asked(files, named("pickled"), ALLOWING)


def test_a_model_of_another_width_than_its_preprocessor_gives_is_refused() -> None:
    wide = LogisticRegression().fit(np.eye(9), np.arange(9) > 4)
    with pytest.raises(InvalidInput, match="takes 9 features, not 4"):
        asked(wide, FIRST)
