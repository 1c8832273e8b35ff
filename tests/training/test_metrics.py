"""Figures, against scikit-learn and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import beta, binomtest, ttest_1samp
from sklearn import metrics as witness
from sklearn.calibration import calibration_curve

from palio.stats.quality.auc import auc, auc_estimate
from palio.stats.quality.calibration import calibration_error as debiased
from palio.stats.quality.paired_calibration import even_bins
from palio.training.metrics import (
    calibration_bins,
    calibration_error,
    classifier_intervals,
    classifier_metrics,
)

RNG = np.random.default_rng(5)
P = RNG.beta(1.5, 4, 1_000)
Y = (RNG.random(1_000) < P**1.3).astype(int)
BOTH = np.column_stack([1 - P, P])
TRUTH = {  # of calibrated scores from Beta(1.5, 4), by scipy's quadrature
    "brier": beta(1.5, 4).expect(lambda p: p * (1 - p)),
    "log_loss": beta(1.5, 4).expect(lambda p: entr(p) + entr(1 - p)),
    "calibration_rms": 0.0,
}


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
    assert set(found) == {*expected, "calibration_error", "calibration_rms"}
    assert found["calibration_rms"] == debiased(even_bins(Y, P)).error


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


def test_intervals_are_those_of_scipy_and_of_the_statistics() -> None:
    found = classifier_intervals(Y, BOTH)
    hits = int(((P > 0.5) == Y).sum())
    wilson: Any = binomtest(hits, len(Y)).proportion_ci(method="wilson")
    assert found["accuracy"] == pytest.approx((wilson.low, wilson.high))
    for name, losses in (
        ("brier", (P - Y) ** 2),
        ("log_loss", -np.log(np.where(Y == 1, P, 1 - P))),
    ):
        student = ttest_1samp(losses, 0).confidence_interval()
        assert found[name] == pytest.approx((student.low, student.high))
    area = auc_estimate(auc(Y, P))
    assert found["roc_auc"] == (area.lower, area.upper)
    calibration = debiased(even_bins(Y, P))
    assert found["calibration_rms"] == (calibration.lower, calibration.upper)


def test_intervals_hold_the_figures_of_several_classes() -> None:
    chance = np.random.default_rng(8)
    p = chance.dirichlet([1, 2, 3], 600)
    y = np.array([chance.choice(3, p=row) for row in p])
    figures, found = classifier_metrics(y, p), classifier_intervals(y, p)
    assert set(found) == {"accuracy", "brier", "log_loss", "calibration_rms"}
    for name, (lower, upper) in found.items():
        assert lower <= figures[name] <= upper
    assert found["brier"][1] - found["brier"][0] < 0.1  # 600 rows: about 4 sd / sqrt(600)


def test_intervals_that_cannot_be_told_are_left_out() -> None:
    alone = classifier_intervals(np.zeros(50, dtype=int), BOTH[:50])
    assert set(alone) == {"accuracy", "brier", "log_loss"}
    perfect = np.eye(2)[[0, 1, 0, 1]]  # no loss varies, and four rows tell nothing of calibration
    assert set(classifier_intervals(np.array([0, 1, 0, 1]), perfect)) == {"accuracy", "roc_auc"}
    assert set(classifier_intervals(np.array([1]), perfect[1:2])) == {"accuracy"}


def test_intervals_of_a_calibrated_classifier_hold_the_truth() -> None:
    chance = np.random.default_rng(3)
    held = {"brier": 0, "log_loss": 0, "calibration_rms": 0}
    for _ in range(200):
        p = chance.beta(1.5, 4, 600)
        y = (chance.random(600) < p).astype(int)
        found = classifier_intervals(y, np.column_stack([1 - p, p]))
        for name, true in TRUTH.items():
            held[name] += found[name][0] <= true <= found[name][1]
    for times in held.values():
        assert times / 200 > 0.95 - 3 * 0.0154  # three standard errors of 200 draws at 95 %


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
