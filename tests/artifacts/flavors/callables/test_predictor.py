"""Answers of user code: given as they are, or refused when nobody could read them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.callables.predictor import CallablePredictor, array_of
from palio.registry.signature import Feature, FeatureType, Signature, Task

MIXED = (Feature("town", FeatureType.STRING, True), Feature("age", FeatureType.NUMBER, True))
NUMBER = Signature(features=(Feature("x", FeatureType.NUMBER),), task=Task.REGRESSION)
LABEL = Signature(
    features=(Feature("x", FeatureType.NUMBER),),
    task=Task.CLASSIFICATION,
    classes=("no", "yes"),
)


class Sure:
    def predict(self, rows: Any) -> Any:
        return np.full(len(rows), "yes")

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), 3), 1 / 3)


def test_numbers_become_floats_and_missing_ones_nan() -> None:
    array = array_of([[1], [None]], NUMBER)
    assert array.dtype == np.float64
    assert array[0, 0] == 1.0
    assert math.isnan(array[1, 0])


def test_strings_stay_and_missing_ones_are_none() -> None:
    array = array_of([["Siena", 1.0], [None, None]], Signature(MIXED, Task.REGRESSION))
    assert array.dtype == object
    assert array[0].tolist() == ["Siena", 1.0]
    assert array[1, 0] is None
    assert math.isnan(array[1, 1])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: 1.0, r"shape \(\)"),
        (lambda rows: rows[:-1, 0], r"shape \(1,\)"),
        (lambda rows: np.zeros((len(rows), 2)), r"shape \(2, 2\)"),
        (lambda rows: np.full(len(rows), math.nan), "answered nan"),
    ],
)
def test_other_than_one_number_a_row_is_refused(answer: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CallablePredictor(answer, NUMBER).predict([[1.0], [2.0]])


def test_a_column_of_answers_is_one_answer_a_row() -> None:
    assert CallablePredictor(lambda rows: rows * 2, NUMBER).predict([[1.0], [2.0]]).values == [
        2.0,
        4.0,
    ]


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'maybe', which is none of \['no', 'yes'\]"):
        CallablePredictor(lambda rows: np.full(len(rows), "maybe"), LABEL).predict([[1.0]])


def test_probabilities_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\); \(1, 2\) is needed"):
        CallablePredictor(Sure(), LABEL).predict([[1.0]])


def test_user_code_is_asked_by_one_thread_at_a_time() -> None:
    inside: list[int] = []

    def answer(rows: Any) -> Any:
        inside.append(1)
        seen = len(inside)
        sum(range(20_000))  # time for another thread to come in
        inside.pop()
        return np.full(len(rows), float(seen))

    predictor = CallablePredictor(answer, NUMBER)
    with ThreadPoolExecutor(8) as pool:
        answered = [one.values for one in pool.map(predictor.predict, [[[1.0]]] * 40)]
    assert answered == [[1.0]] * 40  # nobody was inside with another
