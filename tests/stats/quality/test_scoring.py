"""Comparing the scores of two versions, against scikit-learn, scipy and statsmodels."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel
from sklearn import metrics as witness
from statsmodels.stats.contingency_tables import mcnemar

from palio.stats.anytime.sequential import compare_paired
from palio.stats.moments import Moments
from palio.stats.quality.auc import auc, auc_estimate, paired_auc_difference, paired_auc_moments
from palio.stats.quality.calibration import calibration_error, spiegelhalter
from palio.stats.quality.paired import Loss, mcnemar_evalue
from palio.stats.quality.paired_calibration import even_bins, paired_calibration_difference
from palio.stats.quality.scoring import ScoreReport, compare_scores

RNG = np.random.default_rng(17)
N = 2_000
TRUE = RNG.beta(2, 4, N)
Y = (RNG.random(N) < TRUE).astype(int)
GOOD = np.clip(TRUE + RNG.normal(0, 0.05, N), 0.01, 0.99)
POOR = np.clip(TRUE + RNG.normal(0, 0.25, N), 0.01, 0.99)
AMOUNT = RNG.gamma(2, 10, N)
NEAR, FAR = AMOUNT + RNG.normal(0, 2, N), AMOUNT + RNG.normal(0, 3, N)


def figure(report: ScoreReport, name: str) -> Any:
    return next(one for one in report.figures if one.name == name)


def test_means_equal_scikit_learn() -> None:
    found = compare_scores(Y, POOR, GOOD)
    assert [one.name for one in found.figures] == ["brier", "log_loss", "error", "roc_auc"]
    for side, scores in (("control", POOR), ("treatment", GOOD)):
        expected = {
            "brier": witness.brier_score_loss(Y, scores),
            "log_loss": witness.log_loss(Y, scores),
            "error": witness.zero_one_loss(Y, scores >= 0.5),
            "roc_auc": witness.roc_auc_score(Y, scores),
        }
        for name, value in expected.items():
            assert getattr(figure(found, name), side).value == pytest.approx(value)


def test_numbers_have_squared_and_absolute_errors() -> None:
    found = compare_scores(AMOUNT, FAR, NEAR)
    assert [one.name for one in found.figures] == ["squared_error", "absolute_error"]
    square, absolute = found.figures
    assert square.control.value == pytest.approx(witness.mean_squared_error(AMOUNT, FAR))
    assert absolute.treatment.value == pytest.approx(witness.mean_absolute_error(AMOUNT, NEAR))
    assert (square.better, absolute.better) == ("treatment", "treatment")
    assert (found.decisions, found.calibration) == (None, None)


def test_a_loss_is_compared_within_requests() -> None:
    losses = (FAR - AMOUNT) ** 2, (NEAR - AMOUNT) ** 2
    found = compare_scores(AMOUNT, FAR, NEAR, losses=["squared_error"], alpha=0.1, planned=9_000)
    (one,) = found.figures
    differences = Moments.of(losses[1] - losses[0])
    expected = compare_paired(differences, alpha=0.1, planned=9_000)
    for name in ("effect", "se", "lower", "upper", "p_value"):
        assert getattr(one.comparison, name) == pytest.approx(getattr(expected, name))
    paired = ttest_rel(losses[1], losses[0])  # scipy
    assert one.one_look.p_value == pytest.approx(paired.pvalue)
    bounds = paired.confidence_interval(0.9)
    assert (one.one_look.lower, one.one_look.upper) == pytest.approx((bounds.low, bounds.high))
    level = ttest_1samp(losses[0], 0).confidence_interval(0.9)
    assert (one.control.lower, one.control.upper) == pytest.approx((level.low, level.high))
    apart = losses[0].var(ddof=1) + losses[1].var(ddof=1)
    assert one.traffic_share == pytest.approx((losses[1] - losses[0]).var(ddof=1) / apart / 2)
    assert found.notes == ()


def test_the_area_is_compared_by_delong() -> None:
    found = compare_scores(Y, POOR, GOOD, horizon=4_000)
    one = figure(found, "roc_auc")
    level = auc_estimate(auc(Y, POOR))
    assert (one.control.value, one.control.lower, one.control.upper) == (
        level.effect, level.lower, level.upper,
    )  # fmt: skip
    assert one.one_look == paired_auc_difference(Y, POOR, GOOD)
    assert one.comparison == compare_paired(paired_auc_moments(Y, POOR, GOOD), horizon=4_000)
    assert one.better == "treatment"  # a larger area is better, a larger loss is not
    assert figure(found, "brier").better == "treatment"
    assert (found.horizon, found.planned) == (4_000, None)


def test_decisions_are_mcnemars_table() -> None:
    found = compare_scores(Y, POOR, GOOD, threshold=0.4, planned=N).decisions
    assert found is not None
    right = [(scores >= 0.4) == Y for scores in (POOR, GOOD)]
    table = [
        [(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum()],
        [(~right[0] & right[1]).sum(), (~right[0] & ~right[1]).sum()],
    ]
    assert [
        [found.both_right, found.only_treatment_wrong],
        [found.only_control_wrong, found.both_wrong],
    ] == table
    assert found.one_look.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert found.evidence == mcnemar_evalue(table[1][0], table[0][1])
    assert found.better == "treatment"


def test_calibration_of_both_and_its_difference() -> None:
    found = compare_scores(Y, POOR, GOOD, planned=N).calibration
    assert found is not None
    assert found.control == calibration_error(even_bins(Y, POOR))
    assert found.treatment_z == spiegelhalter(even_bins(Y, GOOD))
    assert found.difference == paired_calibration_difference(Y, POOR, GOOD)
    assert found.better == "treatment"


def test_versions_that_say_the_same() -> None:
    found = compare_scores(Y, GOOD, GOOD, planned=N)
    assert [one.better for one in found.figures] == [None] * 4
    assert figure(found, "brier").comparison.reason == "sample has no variance"
    assert figure(found, "brier").traffic_share == 0
    assert found.decisions is not None
    assert (found.decisions.better, found.decisions.evidence.p_value) == (None, 1)
    assert found.calibration is not None
    assert found.calibration.better is None


def test_requests_of_the_table_stand_for_planned_ones() -> None:
    found = compare_scores(Y, POOR, GOOD)
    told = compare_scores(Y, POOR, GOOD, planned=N)
    assert replace(found, notes=()) == told
    assert found.notes[0].startswith("tightest at these 2,000 requests")


def test_an_infinite_log_loss_is_left_out_unless_asked_for() -> None:
    sure = GOOD.copy()
    sure[:3] = 1 - Y[:3]
    found = compare_scores(Y, sure, GOOD, planned=N)
    assert [one.name for one in found.figures] == ["brier", "error", "roc_auc"]
    (note,) = found.notes
    assert note.startswith("log_loss is infinite, and left out: ")
    assert note.endswith(" in 3 requests")
    with pytest.raises(ValueError, match="control_scores must not rule out the label"):
        compare_scores(Y, sure, GOOD, losses=["log_loss"])


def test_scores_that_are_no_probabilities_are_ranked() -> None:
    found = compare_scores(Y, 3 * POOR, GOOD, planned=N)
    assert [one.name for one in found.figures] == ["roc_auc"]
    assert found.figures[0].control.value == pytest.approx(witness.roc_auc_score(Y, POOR))
    assert (found.decisions, found.calibration) == (None, None)
    assert "no probabilities" in found.notes[0]


def test_one_class_has_no_ranking_and_no_calibration() -> None:
    found = compare_scores(np.zeros(N), POOR, GOOD, planned=N)
    assert [one.name for one in found.figures] == ["brier", "log_loss", "error"]
    assert found.calibration is None
    assert found.notes[0] == "no ranking: 0 of 2,000 labels are 1"
    assert found.notes[1].startswith("no calibration: positives must be in [1, 1999] of 2000")


def test_few_of_a_class_are_noted() -> None:
    found = compare_scores([1] * 5 + [0] * 195, POOR[:200], GOOD[:200], planned=N)
    assert found.notes == ("roc_auc: 5 requests of the rarer label are few; its bounds want 30",)
    one = figure(found, "roc_auc")
    assert (one.comparison.p_value, one.comparison.lower, one.comparison.upper) == (1, -inf, inf)
    assert one.comparison.reason == "the rarer label has 5 requests, a verdict needs 100"
    assert (one.better, one.comparison.significant) == (None, False)
    assert one.comparison.effect == one.one_look.effect


def test_looking_again_and_again_at_the_areas_of_rare_labels_keeps_the_error_rate() -> None:
    # versions that are equally good, 5 % positives, 30 looks; 500 runs of the same, at two noises
    # and two plans, gave 1 to 4 %, and 5 to 6 % without the least number of either label
    chance = np.random.default_rng(21)
    runs, wrong, n = 60, 0, 6_000
    for _ in range(runs):
        true = 0.3 * chance.beta(2, 10, n)
        y = (chance.random(n) < true).astype(float)
        scores = true + chance.normal(0, 0.1, (2, n))  # not in [0, 1], so ranked and no more
        wrong += any(
            compare_scores(y[:at], *scores[:, :at], horizon=n).figures[0].better
            for at in range(1_650, n + 1, 150)
        )
    assert wrong <= 8  # at 5 % of 60 runs more happen with 0.3 % (scipy's binomial)


def test_scores_without_a_spread_have_no_z() -> None:
    flat = np.full(N, 0.5)
    found = compare_scores(Y, flat, GOOD, planned=N).calibration
    assert found is not None
    assert found.control_z is None
    assert found.treatment_z is not None


def test_nothing_varies() -> None:
    found = compare_scores([1.0, 2.0, 3.0], [2, 3, 4], [2, 3, 4], losses=["absolute_error"])
    (one,) = found.figures
    assert (one.control.value, one.control.lower, one.control.upper) == (1, -inf, inf)
    assert one.traffic_share is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_other_way_round_is_mirrored(seed: int, alpha: float) -> None:
    chance = np.random.default_rng(seed)
    at = chance.integers(0, N, 500)
    one = compare_scores(Y[at], POOR[at], GOOD[at], alpha=alpha)
    other = compare_scores(Y[at], GOOD[at], POOR[at], alpha=alpha)
    opposite = {"control": "treatment", "treatment": "control", None: None}
    for ours, theirs in zip(one.figures, other.figures, strict=True):
        assert (ours.control, ours.treatment) == (theirs.treatment, theirs.control)
        assert ours.comparison.effect == pytest.approx(-theirs.comparison.effect, abs=1e-12)
        assert ours.comparison.lower == pytest.approx(-theirs.comparison.upper, abs=1e-12)
        assert ours.better == opposite[theirs.better]
        assert (ours.better is None) is (ours.comparison.p_value > alpha)
        assert ours.control.lower <= ours.control.value <= ours.control.upper
    assert one.decisions is not None
    assert other.decisions is not None
    assert one.decisions.better == opposite[other.decisions.better]


@pytest.mark.parametrize("losses", [["brier"], ["error", "error"]])
def test_the_losses_asked_for_are_compared_once(losses: list[Loss]) -> None:
    found = compare_scores(Y, POOR, GOOD, losses=losses)
    assert [one.name for one in found.figures] == [losses[0], "roc_auc"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": [1]}, "labels must hold at least 2 values, got 1"),
        ({"labels": [nan] * N}, "labels must be finite"),
        ({"control_scores": GOOD[1:]}, "control_scores must hold 2000 values as labels do"),
        ({"treatment_scores": [inf] * N}, "treatment_scores must be finite"),
        ({"threshold": 0.0}, r"threshold must be in \(0, 1\), got 0"),
        ({"alpha": 0.5}, r"alpha must be in \[0.001, 0.2\], got 0.5"),
        ({"horizon": 0}, "horizon must be >= 1, got 0"),
        ({"planned": 0}, "planned must be >= 1, got 0"),
        ({"losses": ["gini"]}, "kind must be one of brier"),
        ({"labels": AMOUNT, "losses": ["brier"]}, "labels must be 0 or 1 for brier"),
        ({"labels": [0] * N, "control_scores": 2 * GOOD}, "losses must be named"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"labels": Y, "control_scores": POOR, "treatment_scores": GOOD}
    given |= changed
    with pytest.raises(ValueError, match=said):
        compare_scores(
            given.pop("labels"),
            given.pop("control_scores"),
            given.pop("treatment_scores"),
            **given,
        )
