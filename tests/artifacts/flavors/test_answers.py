"""Scores as answers, and signatures that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.answers import check_fits, chosen, is_any, labels_of, numbers, scored
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature, Task

FEATURES = (Feature("age", FeatureType.INTEGER), Feature("debt", FeatureType.NUMBER))
LABELS = Signature(features=FEATURES, task=Task.CLASSIFICATION, classes=("bad", "good"))
NUMBERS = Signature(features=FEATURES, task=Task.REGRESSION)


def test_a_single_probability_is_that_of_the_second_class() -> None:
    answered = scored(np.array([0.25, 0.75, 0.5]), LABELS)
    assert answered.values == ["bad", "good", "bad"]  # a tie goes to the first, as in argmax
    assert answered.probabilities == [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]


def test_rows_of_probabilities_answer_the_likeliest() -> None:
    assert scored(np.array([[0.1, 0.9]]), LABELS).values == ["good"]


def test_numbers_and_labels() -> None:
    assert scored(np.array([[1.5], [2.5]], dtype=np.float32), NUMBERS).values == [1.5, 2.5]
    assert chosen(np.array([1.0, 0.0]), LABELS).values == ["good", "bad"]


def test_missing_numbers_are_nan() -> None:
    np.testing.assert_array_equal(numbers([[1, None], [True, 2.5]]), [[1, np.nan], [1, 2.5]])


def test_labels_come_from_the_target_in_order() -> None:
    assert labels_of(3) == (0, 1, 2)
    assert labels_of(2, ["b", "a", "b"]) == ("a", "b")
    with pytest.raises(InvalidInput, match=r"1 labels.*2 classes"):
        labels_of(2, [1, 1])


def test_a_kind_is_told_by_name_of_any_base() -> None:
    class Own(dict[str, int]):
        pass

    assert is_any(Own(), {"builtins.dict"})
    assert not is_any(Own(), {"dict", "builtins.list"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"width": 3, "classes": 2}, "takes 3 features, not 2"),
        ({"width": 2, "classes": 3}, "knows 3 classes, not 2"),
        ({"width": 2, "classes": None}, "is made for regression, not for classification"),
        ({"width": 2, "classes": 2, "names": ["debt", "age"]}, "in the order debt, age"),
    ],
)
def test_what_does_not_fit(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        check_fits(LABELS, **given)


def test_what_fits() -> None:
    check_fits(LABELS, width=2, classes=2, names=["age", "debt"])
    check_fits(NUMBERS, width=2, classes=None, names=["f0", "f1"])


def test_strings_do_not_fit() -> None:
    town = Signature(features=(Feature("town", FeatureType.STRING),), task=Task.REGRESSION)
    with pytest.raises(InvalidInput, match="takes numbers only"):
        check_fits(town, width=1, classes=None)
