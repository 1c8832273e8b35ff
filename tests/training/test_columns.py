"""Columns as features, labels and arrays."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from palio.errors import InvalidData
from palio.registry.signature import Feature, FeatureType
from palio.training.columns import features_of, identifiers, labels_of, matrix

FRAME = pl.DataFrame(
    {
        "id": [7, 8, 9],
        "rate": [0.5, None, float("nan")],
        "owner": [True, None, False],
        "town": pl.Series(["Siena", None, "Asti"], dtype=pl.Categorical),
        "target": [0, 1, 0],
    }
)
FEATURES = (
    Feature("id", FeatureType.INTEGER),
    Feature("rate", FeatureType.NUMBER, nullable=True),
    Feature("owner", FeatureType.BOOLEAN, nullable=True),
    Feature("town", FeatureType.STRING, nullable=True),
)


def test_types_and_missing_values() -> None:
    assert features_of(FRAME, "target") == FEATURES
    assert features_of(FRAME, "target", ["id", "town"]) == FEATURES[1:3]


@pytest.mark.parametrize(
    ("frame", "drop", "why"),
    [
        (FRAME.drop("target"), (), "'target' is not in the table.*id, rate, owner, town"),
        (FRAME, ("ide",), "'ide' is not in the table"),
        (FRAME.select("target"), (), "only column left"),
        (FRAME.with_columns(due=date(2024, 1, 1)), (), "'due' is of type Date.*--drop due"),
        (FRAME.with_columns(void=None), (), "'void' has no values.*--drop void"),
    ],
)
def test_columns_of_no_use(frame: pl.DataFrame, drop: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidData, match=why):
        features_of(frame, "target", drop)


def test_a_matrix_with_strings_holds_objects() -> None:
    cells = matrix(FRAME, FEATURES)
    assert cells.dtype == object
    assert cells[0].tolist() == [7.0, 0.5, 1.0, "Siena"]
    assert all(np.isnan(cell) for cell in cells[1, 1:])


def test_a_matrix_of_numbers_is_float64() -> None:
    cells = matrix(FRAME, FEATURES[:3])
    assert cells.dtype == np.float64
    np.testing.assert_array_equal(cells[1], [8.0, np.nan, np.nan])


def test_identifiers_are_reported() -> None:
    assert [warning.split()[0] for warning in identifiers(FRAME, FEATURES)] == ["id", "town"]
    assert "--drop id" in identifiers(FRAME, FEATURES)[0]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 1] * 10, (0, 1)),
        ([1.0, 2.0] * 10, (1, 2)),
        ([True, False] * 10, (False, True)),
        (["good", "bad"] * 10, ("bad", "good")),
        ([3, 1, 2, 1] * 5, (1, 2, 3)),
    ],
)
def test_labels_in_sorted_order(values: list[Any], labels: tuple[Any, ...]) -> None:
    codes, found = labels_of(pl.DataFrame({"y": values}), "y")
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]
    assert [found[code] for code in codes] == values


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0, 1] * 9, "has 18 rows; at least 20"),
        ([0, 1, None] * 10, "missing in 10 rows"),
        ([1] * 20, "is 1 in every row"),
        ([0] * 20 + [1], "is 1 in one row only"),
        ([0.5, 1.5] * 10, "holds numbers, not classes"),
        ([date(2024, 1, 1), date(2024, 1, 2)] * 10, "is of type Date"),
    ],
)
def test_targets_of_no_use(values: list[Any], why: str) -> None:
    with pytest.raises(InvalidData, match=why) as caught:
        labels_of(pl.DataFrame({"y": values}), "y")
    assert caught.value.details["field"] == "y"


def test_an_infinite_number_is_refused_with_the_column_and_the_remedy() -> None:
    frame = pl.DataFrame({"debt": [1.0, float("inf")] * 20, "y": [0, 1] * 20})
    with pytest.raises(InvalidData, match=r"'debt' holds an infinite number.*--drop debt"):
        features_of(frame, "y")
