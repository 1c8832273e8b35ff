"""What answers look like: plain labels, plain numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier

from palio.artifacts.flavors.sklearn.predictor import SklearnPredictor
from palio.artifacts.flavors.sklearn.signatures import signature_of

from . import models

ROWS: list[Any] = models.NUMBERS.tolist()


@pytest.mark.parametrize("labels", [(0, 1), (False, True), ("good", "bad"), (1.0, 2.0)])
def test_labels_are_of_the_types_of_the_signature(labels: tuple[Any, Any]) -> None:
    target = np.array(labels)[models.LABELS]
    model = LogisticRegression().fit(models.NUMBERS, target)
    signature = signature_of(model, models.NUMBERS)
    answered = SklearnPredictor(model, signature).predict(ROWS)
    assert {type(value) for value in answered.values} == {type(labels[0])}
    assert answered.values == model.predict(models.NUMBERS).tolist()
    assert answered.probabilities is not None
    assert {type(p) for row in answered.probabilities for p in row} == {float}


def test_a_moved_threshold_is_respected() -> None:
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.9)
    model.fit(models.NUMBERS, models.LABELS)
    answered = SklearnPredictor(model, signature_of(model, models.NUMBERS)).predict(ROWS)
    assert answered.values == model.predict(models.NUMBERS).tolist()


def test_a_classifier_without_probabilities_gives_labels_only() -> None:
    model = RidgeClassifier().fit(models.NUMBERS, models.LABELS)
    answered = SklearnPredictor(model, signature_of(model, models.NUMBERS)).predict(ROWS)
    assert answered.values == model.predict(models.NUMBERS).tolist()
    assert answered.probabilities is None


def test_several_threads_get_the_same_answers() -> None:
    model = models.boosted()
    predictor = SklearnPredictor(model, signature_of(model, models.NUMBERS))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(predictor.predict, [ROWS] * 8))
    assert all(answer == answers[0] for answer in answers)
