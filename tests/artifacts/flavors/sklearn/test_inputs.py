"""Tables reach estimators as they were fitted: by position, without names and warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from palio.artifacts.flavors.sklearn.inputs import inputs_for
from palio.artifacts.flavors.sklearn.signatures import signature_of
from palio.registry.signature import Cell

from . import models


def answers(model: Any, frame: Any, table: list[list[Cell]]) -> Any:
    inputs = inputs_for(model, signature_of(model, frame))(table)
    return inputs, model.predict_proba(inputs)


def test_numbers_become_float64_with_missing_as_nan() -> None:
    inputs, _ = answers(models.boosted(), models.NUMBERS, [[1, None, True]])
    assert inputs.dtype == np.float64
    np.testing.assert_array_equal(inputs, [[1.0, np.nan, 1.0]])


def test_a_model_fitted_on_a_frame_of_numbers_takes_arrays() -> None:
    frame = models.FRAME.drop("town")
    model = VotingClassifier(
        [("a", make_pipeline(StandardScaler(), LogisticRegression()))], voting="soft"
    ).fit(frame, models.LABELS)
    expected = model.predict_proba(frame)  # witness: the frame, before names are dropped
    inputs, found = answers(model, frame, [list(row) for row in frame.rows()])
    assert isinstance(inputs, np.ndarray)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("columns", ["town", ["town"], slice("town", "town")])
def test_columns_selected_by_name_become_positions(columns: Any) -> None:
    inner: Any = OneHotEncoder()
    if columns == "town":
        inner = "drop"
    model = make_pipeline(
        ColumnTransformer([("c", inner, columns)], remainder=StandardScaler()),
        LogisticRegression(),
    ).fit(models.FRAME, models.LABELS)
    expected = model.predict_proba(models.FRAME)
    inputs, found = answers(model, models.FRAME, [list(row) for row in models.FRAME.rows()])
    assert isinstance(inputs, np.ndarray)
    np.testing.assert_array_equal(found, expected)


def test_steps_that_pass_frames_on_get_a_frame() -> None:
    model = models.by_name()
    model = make_pipeline(
        ColumnTransformer(
            [("n", StandardScaler(), ["age", "debt"])], verbose_feature_names_out=False
        ).set_output(transform="polars"),
        LogisticRegression(),
    ).fit(models.FRAME, models.LABELS)
    expected = model.predict_proba(models.FRAME)
    inputs, found = answers(model, models.FRAME, [list(row) for row in models.FRAME.rows()])
    assert isinstance(inputs, pl.DataFrame)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_strings_are_what_the_model_was_fitted_with(missing: float | None) -> None:
    towns = models.MIXED.copy()
    towns[::5, 3] = missing
    towns[::7, 1] = np.nan
    encode = ColumnTransformer(
        [("n", SimpleImputer(), [0, 1, 2]), ("c", OneHotEncoder(handle_unknown="error"), [3])]
    )
    model = make_pipeline(encode, LogisticRegression()).fit(towns, models.LABELS)
    known = towns == towns  # noqa: PLR0124  NaN is not equal to itself
    table = np.where(known, towns, None).tolist()
    _, found = answers(model, towns, table)
    np.testing.assert_array_equal(found, model.predict_proba(towns))
