"""Calibration of two versions on the same rows, against sums over all pairs and simulations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from palio.stats.estimate import Alternative
from palio.stats.quality.calibration import (
    CalibrationBins,
    calibration_difference,
    calibration_error,
)
from palio.stats.quality.paired_calibration import even_bins, paired_calibration_difference

Array: TypeAlias = NDArray[np.float64]


def shifted(by: float, slope: float = 1.0) -> Callable[[Array], Array]:
    """A version that is wrong by a shift and a slope of the log odds."""
    return lambda chance: expit(by + slope * logit(chance))


def rows(seed: int, n: int = 400) -> tuple[Array, Array, Array]:
    chance = np.random.default_rng(seed)
    true = expit(chance.normal(-1, 1.2, n))
    y = (chance.random(n) < true).astype(float)
    return y, shifted(0.4)(true), expit(logit(true) + chance.normal(0, 0.5, n))


def test_even_bins_share_what_there_is_to_tell() -> None:
    y, p, _ = rows(1, 5_000)
    bins = even_bins(y, p)
    assert len(bins.counts) == 20
    # each cut is at the first score that completes a twentieth: a score has 1/4 at most
    told = np.array(bins.variances)
    assert told[:-1].min() >= sum(bins.variances) / 20 - 1e-9
    assert told[:-1].max() <= sum(bins.variances) / 20 + 0.25
    assert calibration_error(bins).bins == 20  # none is pooled


def test_equal_scores_share_a_bin() -> None:
    scores = np.repeat([0.1, 0.3, 0.3, 0.7], 100)
    y = np.tile([0, 1], 200)
    bins = even_bins(y, scores)
    assert bins.edges == (0.3, 0.7)
    assert bins.counts == (100, 200, 100)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_few_rows_share_one_bin(n: int) -> None:
    bins = even_bins(np.arange(n) % 2, np.linspace(0.2, 0.8, n))
    assert bins.edges == ()
    assert sum(bins.counts) == n


def test_scores_of_0_and_1_are_told_apart_by_their_squares() -> None:
    y = np.tile([0, 1], 100)
    scores = np.repeat([0.0, 0.6, 1.0], [100, 50, 50])  # an edge at 1 is none
    assert even_bins(y, scores).edges == (0.6,)


def test_the_difference_is_that_of_the_unbiased_squares() -> None:
    y, control, treatment = rows(2)
    found = paired_calibration_difference(y, control, treatment)
    squares = [calibration_error(even_bins(y, p)).square for p in (control, treatment)]
    assert found.effect == squares[1] - squares[0]


def test_the_standard_error_is_that_of_the_sum_over_pairs() -> None:
    y, control, treatment = rows(3, 150)
    kernels, pulls = [], []
    for p in (control, treatment):
        bins = even_bins(y, p)
        at = np.searchsorted(bins.edges, p, side="right")
        size = np.array(bins.counts)[at]
        mean = np.array([(y - p)[at == one].mean() for one in at])
        own = y - p - mean
        kernels.append((at[:, None] == at) * np.outer(own, own) / (size[:, None] - 1))
        pulls.append(mean * own)
    gap = (kernels[1] - kernels[0]) ** 2
    pairs = gap.sum() - np.trace(gap)
    pull = ((pulls[1] - pulls[0]) ** 2).sum()
    expected = np.sqrt(2 * pairs + 4 * max(pull - pairs, 0)) / len(y)
    found = paired_calibration_difference(y, control, treatment)
    assert found.se == pytest.approx(expected)
    reach = norm.ppf(0.975) * expected  # scipy's normal quantile
    assert (found.lower, found.upper) == pytest.approx(
        (found.effect - reach, found.effect + reach)
    )


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (shifted(0.3), shifted(-0.3)),  # errors in opposite directions
        (shifted(0, 1.5), shifted(0, 0.7)),
        (shifted(0), shifted(0.3)),
        (shifted(0.3), shifted(0.32)),  # errors in the same direction
    ],
)
def test_the_interval_covers(
    control: Callable[[Array], Array], treatment: Callable[[Array], Array]
) -> None:
    draws = 200
    chance, held = np.random.default_rng(4), 0
    for _ in range(draws):
        true = expit(chance.normal(-1, 1.2, 2_000))
        y = (chance.random(2_000) < true).astype(float)
        found = paired_calibration_difference(y, control(true), treatment(true))
        target = square(y, treatment(true), true) - square(y, control(true), true)
        held += found.lower <= target <= found.upper
    assert held / draws > 0.95 - 3 * 0.0154  # three standard errors of 200 draws at 95 %


def square(y: Array, scores: Array, true: Array) -> float:
    """The mean squared error of the scores' bins, from the true chances."""
    at = np.searchsorted(even_bins(y, scores).edges, scores, side="right")
    sums = np.bincount(at, weights=true - scores)
    return float((sums**2 / np.bincount(at)).sum() / y.size)


def test_on_the_same_rows_the_other_method_is_wrong() -> None:
    chance = np.random.default_rng(5)
    true = expit(chance.normal(-1, 1.2, 20_000))
    y = (chance.random(20_000) < true).astype(float)
    for pair, narrower in (((0.3, -0.3), False), ((0.3, 0.32), True)):
        control, treatment = (shifted(by)(true) for by in pair)
        paired = paired_calibration_difference(y, control, treatment)
        apart = calibration_difference(even_bins(y, control), even_bins(y, treatment))
        assert paired.effect == apart.effect
        assert (paired.se < apart.se) is narrower


def test_versions_that_say_the_same_tell_nothing() -> None:
    y, control, _ = rows(6)
    found = paired_calibration_difference(y, control, control)
    assert (found.effect, found.se, found.lower, found.upper, found.p_value) == (0, 0, -1, 1, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.3))
def test_properties(seed: int, alpha: float) -> None:
    y, control, treatment = rows(seed, 200)
    found = paired_calibration_difference(y, control, treatment, alpha=alpha)
    assert -1 <= found.lower <= found.effect <= found.upper <= 1
    assert (found.p_value <= alpha) is (found.lower > 0 or found.upper < 0)
    mirrored = paired_calibration_difference(y, treatment, control, alpha=alpha)
    assert mirrored.effect == -found.effect
    assert (mirrored.se, mirrored.p_value) == pytest.approx((found.se, found.p_value))


@pytest.mark.parametrize(("alternative", "end"), [("larger", "upper"), ("smaller", "lower")])
def test_one_sided(alternative: Alternative, end: str) -> None:
    found = paired_calibration_difference(*rows(7), alternative=alternative, null=0.001)
    assert abs(getattr(found, end)) == 1


def test_what_cannot_be_told_is_refused() -> None:
    y, control, treatment = rows(8)
    with pytest.raises(ValueError, match=r"null must be in \[-1, 1\], got 2"):
        paired_calibration_difference(y, control, treatment, null=2)
    with pytest.raises(ValueError, match=r"positives must be in"):
        paired_calibration_difference(np.zeros(400), control, treatment)
    with pytest.raises(ValueError, match=r"scores must be in \[0, 1\], got 1.5"):
        paired_calibration_difference(y, control, np.full(400, 1.5))
    with pytest.raises(ValueError, match="scores must be as long as labels, 400, got 399"):
        paired_calibration_difference(y, control[:-1], treatment)
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 0"):
        paired_calibration_difference(y, control, treatment, alpha=0)


def test_bins_are_those_of_their_edges() -> None:
    y, p, _ = rows(9)
    bins = even_bins(y, p)
    found = CalibrationBins.of(y, p, edges=bins.edges)
    assert (bins.counts, bins.positives) == (found.counts, found.positives)
