"""Answers that are no probabilities, or none at all, are refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.torch.network import Network
from palio.artifacts.flavors.torch.predictor import TorchPredictor, probabilities
from palio.registry.signature import Feature, FeatureType, Signature, Task

from .models import INPUTS, ROWS, network, nn, torch

FEATURES = tuple(Feature(name, FeatureType.NUMBER) for name in "abc")
NUMBERS = Signature(features=FEATURES, task=Task.REGRESSION)
LABELS = Signature(features=FEATURES, task=Task.CLASSIFICATION, classes=("no", "yes"))


def test_rounding_is_cut_off() -> None:
    assert probabilities(np.array([1.00001, -0.00001])).tolist() == [1.0, 0.0]
    assert probabilities(np.array([[0.3, 0.70001]])).tolist() == [[0.3, 0.70001]]


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([2.5, 0.1], "2.5, which is no probability; end it with Softmax or Sigmoid"),
        ([[-3.0, 4.0]], "-3, which is no probability"),
        ([[0.9, 0.9]], "do not add up to 1"),
    ],
)
def test_scores_of_other_kinds_are_refused(scores: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        probabilities(np.array(scores))


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda rows: (rows, rows), "answered a tuple, not one tensor"),
        (lambda rows: rows[:1], r"answered \(1, 3\) to 200 rows"),
        (lambda rows: rows.sum(), r"answered \(\) to 200 rows"),
        (lambda rows: rows[:, :0], r"answered \(200, 0\) to 200 rows"),
        (lambda rows: rows[:, :, None], r"answered \(200, 3, 1\) to 200 rows"),
        (lambda rows: rows[:, 0] / 0, "which is no number"),
    ],
)
def test_other_than_a_row_of_numbers_a_row_is_refused(
    compute: Callable[[Any], Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        TorchPredictor(Network(compute), NUMBERS).predict(ROWS)


def test_one_probability_is_that_of_the_second_class() -> None:
    found = TorchPredictor(Network(lambda rows: rows[:, 0].double()), LABELS).predict(
        [[0.25, 0, 0], [0.75, 0, 0]]
    )
    assert found.values == ["no", "yes"]
    assert found.probabilities == [[0.75, 0.25], [0.25, 0.75]]


def test_missing_cells_are_nan_and_large_ones_infinite() -> None:
    predictor = TorchPredictor(
        Network(lambda rows: rows.isnan().sum(1) + 2.0 * rows.isinf().sum(1)), NUMBERS
    )
    assert predictor.predict([[None, 1, True], [1e300, None, 2]]).values == [1.0, 3.0]


def test_rows_are_float32_or_float64_where_asked() -> None:
    for double, kind in ((False, torch.float32), (True, torch.float64)):
        seen: list[Any] = []
        predictor = TorchPredictor(
            Network(lambda rows: seen.append(rows.dtype) or rows[:, 0], double=double),  # noqa: B023
            NUMBERS,
        )
        predictor.predict(ROWS)
        assert seen == [kind]


def test_threads_share_one_predictor() -> None:
    predictor = TorchPredictor(Network(network(2, nn.Softmax(1)).eval()), LABELS)
    tables = [ROWS[start : start + 9] for start in range(0, len(INPUTS), 9)] * 8
    alone = [predictor.predict(table) for table in tables]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, tables)) == alone
