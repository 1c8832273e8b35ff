"""Figures, against scikit-learn and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as witness
from sklearn.calibration import calibration_curve

from palio.training.metrics import calibration_bins, calibration_error, classifier_metrics

RNG = np.random.default_rng(5)
P = RNG.beta(1.5, 4, 1_000)
Y = (RNG.random(1_000) < P**1.3).astype(int)
BOTH = np.column_stack([1 - P, P])


def test_two_classes_equal_scikit_learn() -> None:
    chosen = (P > 0.5).astype(int)
    expected = {
        "accuracy": witness.accuracy_score(Y, chosen),
        "precision": witness.precision_score(Y, chosen),
        "recall": witness.recall_score(Y, chosen),
        "f1": witness.f1_score(Y, chosen),
        "roc_auc": witness.roc_auc_score(Y, P),
        "average_precision": witness.average_precision_score(Y, P),
        "brier": witness.brier_score_loss(Y, P),
        "log_loss": witness.log_loss(Y, P),
    }
    found = classifier_metrics(Y, BOTH)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "calibration_error"}


def test_several_classes_equal_scikit_learn() -> None:
    p = RNG.dirichlet([1, 2, 3], 600)
    y = np.array([RNG.choice(3, p=row) for row in p])
    chosen = p.argmax(axis=1)
    expected = {
        "precision": witness.precision_score(y, chosen, average="macro"),
        "recall": witness.recall_score(y, chosen, average="macro"),
        "f1": witness.f1_score(y, chosen, average="macro"),
        "roc_auc": witness.roc_auc_score(y, p, multi_class="ovr"),
        "average_precision": witness.average_precision_score(np.eye(3)[y], p),
        "brier": witness.brier_score_loss(y, p),
        "log_loss": witness.log_loss(y, p),
    }
    found = classifier_metrics(y, p)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_class_that_does_not_occur_is_left_out_of_rankings() -> None:
    p = RNG.dirichlet([1, 2, 3], 200)
    found = classifier_metrics(RNG.integers(0, 2, 200), p)
    assert 0 <= found["roc_auc"] <= 1


def test_one_class_alone_cannot_be_ranked() -> None:
    assert "roc_auc" not in classifier_metrics(np.zeros(50, dtype=int), BOTH[:50])


def test_bins_equal_those_of_scikit_learn() -> None:
    observed, predicted = calibration_curve(Y, P, n_bins=10, strategy="quantile")
    bins = calibration_bins(Y == 1, P)
    np.testing.assert_allclose([b.observed for b in bins], observed)
    np.testing.assert_allclose([b.predicted for b in bins], predicted)
    assert {b.rows for b in bins} == {100}
    error = float(np.abs(observed - predicted).mean())  # bins of equal mass: a plain mean
    assert calibration_error(Y == 1, P) == pytest.approx(error)


def test_bounds_are_wilson_intervals() -> None:
    first = calibration_bins(Y == 1, P)[0]
    interval: Any = binomtest(round(first.observed * 100), 100).proportion_ci(method="wilson")
    assert (first.lower, first.upper) == (interval.low, interval.high)


def test_equal_predictions_share_a_bin() -> None:
    bins = calibration_bins(Y == 1, np.full(1_000, 0.3))
    assert [b.rows for b in bins] == [1_000]
    assert calibration_error(Y == 1, np.full(1_000, 0.3)) == pytest.approx(abs(Y.mean() - 0.3))
