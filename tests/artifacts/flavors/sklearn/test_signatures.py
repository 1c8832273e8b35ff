"""Signatures read off samples."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from palio.artifacts.flavors.sklearn.signatures import signature_of
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Task

from . import models

FRAME = pl.DataFrame(
    {
        "age": [40, 50],
        "debt": [1.5, None],
        "rate": [0.1, float("nan")],
        "owner": [True, False],
        "town": pl.Series([None, "Siena"], dtype=pl.Categorical),
    }
)
EXPECTED = (
    Feature("age", FeatureType.INTEGER),
    Feature("debt", FeatureType.NUMBER, nullable=True),
    Feature("rate", FeatureType.NUMBER, nullable=True),
    Feature("owner", FeatureType.BOOLEAN),
    Feature("town", FeatureType.STRING, nullable=True),
)


def test_types_and_missing_values_of_a_frame() -> None:
    assert signature_of(DummyRegressor(), FRAME).features == EXPECTED


def test_types_and_missing_values_of_an_array() -> None:
    found = signature_of(DummyRegressor(), np.array(FRAME.rows(), dtype=object)).features
    assert [(feature.type, feature.nullable) for feature in found] == [
        (feature.type, feature.nullable) for feature in EXPECTED
    ]
    assert [feature.name for feature in found] == ["x0", "x1", "x2", "x3", "x4"]


def test_a_fitted_model_says_which_columns_in_which_order() -> None:
    model = models.by_name()
    shuffled = models.FRAME.select("town", "age", "debt").with_columns(target=1)
    assert [feature.name for feature in signature_of(model, shuffled).features] == [
        "age",
        "debt",
        "town",
    ]


def test_tasks_and_classes() -> None:
    assert signature_of(models.boosted(), models.NUMBERS).classes == (0, 1)
    assert signature_of(DummyRegressor(), models.NUMBERS).task is Task.REGRESSION
    unfitted = signature_of(DummyClassifier(), models.NUMBERS, ["b", "a", "b"])
    assert unfitted.classes == ("a", "b")


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (pl.DataFrame({"due": [date(2024, 1, 1)]}), "column 'due' is of type Date"),
        (np.array([["a"], [1]], dtype=object), "column 'x0' mixes int, str"),
        (np.arange(3), "it has 1 dimensions"),
    ],
)
def test_samples_of_no_use(sample: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        signature_of(DummyRegressor(), sample)


def test_a_sample_without_the_columns_of_the_model() -> None:
    with pytest.raises(InvalidInput, match="lacks the columns town"):
        signature_of(models.by_name(), models.FRAME.drop("town"))
