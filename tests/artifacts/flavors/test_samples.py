"""Samples read as features, rows and answers; frames of both libraries, and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from palio.artifacts.flavors.samples import answers_of, features_of, rows_of
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Task

COLUMNS: dict[str, list[Any]] = {"age": [40.0, None], "town": ["Siena", "Pisa"]}
SAMPLES = [pl.DataFrame(COLUMNS), pd.DataFrame(COLUMNS)]
TOWN_FIRST = (
    Feature("town", FeatureType.STRING),
    Feature("age", FeatureType.NUMBER, nullable=True),
)


@pytest.mark.parametrize("sample", SAMPLES, ids=["polars", "pandas"])
def test_columns_in_the_order_asked_for(sample: Any) -> None:
    assert features_of(sample, ["town", "age"]) == TOWN_FIRST
    assert rows_of(sample, TOWN_FIRST) == [["Siena", 40.0], ["Pisa", None]]


def test_an_array_has_its_own_order() -> None:
    sample = np.array([[1.0, np.nan]])
    features = features_of(sample)
    assert [feature.name for feature in features] == ["x0", "x1"]
    assert rows_of(sample, features) == [[1.0, None]]


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        ([0, 1, 1], Task.CLASSIFICATION, (0, 1)),
        (["b", "a"], Task.CLASSIFICATION, ("a", "b")),
        (pl.Series([True, False]), Task.CLASSIFICATION, (False, True)),
        (np.array([[0.5], [1.5]]), Task.REGRESSION, ()),
    ],
)
def test_labels_say_what_is_answered(labels: Any, task: Task, classes: tuple[Any, ...]) -> None:
    assert answers_of(labels) == (task, classes)


@pytest.mark.parametrize(("labels", "said"), [([], "none"), ([None, None], "NoneType")])
def test_labels_that_say_nothing_are_refused(labels: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"labels are of type {said}"):
        answers_of(labels)
