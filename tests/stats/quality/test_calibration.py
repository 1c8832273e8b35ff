"""Calibration errors: numpy on rows, scipy's chi-squares and simulations are the witnesses.

The full simulations behind the short ones here, of 400 runs each at n of 500, 2,000 and 20,000:
95 % intervals cover 94 to 99 % for calibrated, overconfident, shifted, locally wrong and rare
scores; a calibrated model is refused in 1.8 to 5.0 % of the runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from math import nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import chi2, ncx2, norm

from palio.stats import Moments, welch
from palio.stats.quality.calibration import (
    CalibrationBins,
    calibration_difference,
    calibration_error,
    calibration_in_the_large,
    calibration_moments,
    spiegelhalter,
)
from palio.training.metrics import calibration_error as plain_error

Array = NDArray[np.float64]
Truth = Callable[[Array], Array]
HALVES = (0.5,)


def calibrated(p: Array) -> Array:
    return p


def overconfident(p: Array) -> Array:
    """The log odds of the truth are six tenths of those of the scores."""
    return np.asarray(expit(0.6 * logit(p)))


def locally_wrong(p: Array) -> Array:
    return np.where((p > 0.45) & (p < 0.55), p + 0.15, p)


def rows_of(rng: np.random.Generator, n: int, truth: Truth) -> tuple[NDArray[np.bool_], Array]:
    p = rng.random(n)
    return rng.random(n) < truth(p), p


def bins_of(rng: np.random.Generator, n: int, truth: Truth) -> CalibrationBins:
    return CalibrationBins.of(*rows_of(rng, n, truth))


def true_error(truth: Truth) -> float:
    """Root mean squared error over the 20 default bins of uniform scores."""
    p = (np.arange(200_000) + 0.5) / 200_000
    gaps = (truth(p) - p).reshape(20, -1).mean(axis=1)
    return float(sqrt((gaps**2).mean()))


def test_sums_equal_those_of_rows() -> None:
    y, p = rows_of(np.random.default_rng(1), 500, calibrated)
    bins = CalibrationBins.of(y, p, edges=(0.1, 0.5, 0.7))
    for at, (low, high) in enumerate([(0, 0.1), (0.1, 0.5), (0.5, 0.7), (0.7, 1.1)]):
        here = (p >= low) & (p < high)
        ours = [column[at] for column in astuple(bins)[1:]]
        q, z = p[here], y[here]
        noise = q * (1 - q)
        sums = [np.ones_like(q), z, q, noise, (z - q) ** 2, (1 - 2 * q) ** 2 * noise]
        assert ours == pytest.approx([float(np.sum(s, dtype=float)) for s in sums], rel=1e-9)


def test_merging_equals_concatenation() -> None:
    y, p = rows_of(np.random.default_rng(2), 300, calibrated)
    merged = CalibrationBins.of(y[:100], p[:100]).merge(CalibrationBins.of(y[100:], p[100:]))
    whole = CalibrationBins.of(y, p)
    assert (merged.edges, merged.counts, merged.positives) == astuple(whole)[:3]
    for ours, theirs in zip(astuple(merged)[3:], astuple(whole)[3:], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def by_hand() -> tuple[CalibrationBins, Array, Array, Array]:
    """Two bins, with their means of label - score, variances and counts by numpy."""
    rng = np.random.default_rng(3)
    y, p = rows_of(rng, 400, overconfident)
    parts = [(y[here] - p[here]) for here in (p < 0.5, p >= 0.5)]
    gaps, noises, counts = (np.array([f(e) for e in parts]) for f in (np.mean, _var, len))
    return CalibrationBins.of(y, p, edges=HALVES), gaps, noises, counts


def _var(values: Array) -> float:
    return float(values.var(ddof=1))


def test_the_estimate_takes_the_noise_off() -> None:
    bins, gaps, noises, counts = by_hand()
    found = calibration_error(bins)
    shares = counts / 400
    assert (found.n, found.bins) == (400, 2)
    assert found.expected == pytest.approx(shares @ abs(gaps), rel=1e-9)
    assert found.square == pytest.approx(shares @ (gaps**2 - noises / counts), rel=1e-9)
    assert found.error == pytest.approx(sqrt(found.square), rel=1e-12)


def test_the_plain_error_is_that_of_the_trainings_report() -> None:
    """`palio.training.metrics` on bins of equal mass, whose inner edges are handed over."""
    y, p = rows_of(np.random.default_rng(4), 2_000, overconfident)
    edges = np.quantile(p, np.arange(1, 10) / 10)
    found = calibration_error(CalibrationBins.of(y, p, edges=edges.tolist()))
    assert found.bins == 10
    assert found.expected == pytest.approx(plain_error(y, p, n_bins=10), rel=1e-9)


def test_bounds_and_p_value_invert_scipys_chi_squares() -> None:
    bins, gaps, noises, counts = by_hand()
    found = calibration_error(bins, alpha=0.1)
    total, noise = counts @ gaps**2 / 400, noises.sum() / 400
    along = counts @ (gaps**2 * noises) / 400 / total
    c = max((noises**2).sum() / noises.sum(), along) / 400
    tail = chi2.sf(total / c, noise / c)
    assert found.p_value == pytest.approx(2 * tail, rel=1e-9)
    for bound, share in ((found.lower, 0.95), (found.upper, 0.05)):
        assert ncx2.cdf(total / c, noise / c, bound**2 / c) == pytest.approx(share, rel=1e-6)


def test_the_estimate_is_unbiased_where_the_plain_one_is_not() -> None:
    """Four standard errors of the mean of 400 runs."""
    rng = np.random.default_rng(5)
    for truth in (calibrated, overconfident):
        found = [calibration_error(bins_of(rng, 1_000, truth)) for _ in range(400)]
        squares = np.array([one.square for one in found])
        assert abs(squares.mean() - true_error(truth) ** 2) < 4 * squares.std() / 20
        if truth is calibrated:
            assert np.mean([one.expected for one in found]) > 0.03


@pytest.mark.parametrize("truth", [calibrated, overconfident, locally_wrong])
@pytest.mark.parametrize("n", [500, 3_000])
def test_the_interval_covers(truth: Truth, n: int) -> None:
    """95 % less four standard errors, 3.1 points, of 800 runs; half an alpha on either side."""
    rng, exact = np.random.default_rng(6), true_error(truth)
    found = [calibration_error(bins_of(rng, n, truth)) for _ in range(800)]
    below = sum(one.upper < exact for one in found) / 800
    above = sum(one.lower > exact for one in found) / 800
    assert below + above <= 0.081
    assert max(below, above) <= 0.025 + 4 * sqrt(0.025 * 0.975 / 800)


def test_the_test_finds_what_is_wrong() -> None:
    rng = np.random.default_rng(7)
    found = [calibration_error(bins_of(rng, 2_000, overconfident)).p_value for _ in range(50)]
    assert max(found) < 0.05
    assert np.median(found) < 1e-4


@pytest.mark.parametrize(
    ("one", "two"),
    [(calibrated, calibrated), (calibrated, overconfident), (overconfident, overconfident)],
)
def test_the_interval_of_a_difference_covers(one: Truth, two: Truth) -> None:
    """95 % less four standard errors, 5.0 points, of 300 runs with 1,000 and 2,000 rows."""
    rng, exact, covered = np.random.default_rng(8), true_error(two) ** 2 - true_error(one) ** 2, 0
    for _ in range(300):
        found = calibration_difference(bins_of(rng, 1_000, one), bins_of(rng, 2_000, two))
        covered += found.lower <= exact <= found.upper
    assert covered / 300 >= 0.90


def test_a_difference_is_found() -> None:
    rng = np.random.default_rng(9)
    arms = bins_of(rng, 5_000, overconfident), bins_of(rng, 5_000, calibrated)
    found = calibration_difference(*arms, alternative="smaller")
    assert found.effect == pytest.approx(-(true_error(overconfident) ** 2), abs=4 * found.se)
    assert (found.p_value < 1e-6, found.lower, found.upper < 0) == (True, -1, True)


def test_the_moments_carry_the_difference_into_the_rules_for_means() -> None:
    rng = np.random.default_rng(17)
    arms = bins_of(rng, 2_000, overconfident), bins_of(rng, 3_000, calibrated)
    ours, theirs = calibration_difference(*arms), welch(*map(calibration_moments, arms))
    assert (ours.effect, ours.se) == pytest.approx((theirs.effect, theirs.se), rel=1e-12)
    assert calibration_moments(arms[0]).mean == calibration_error(arms[0]).square


def test_the_variance_of_the_moments_is_that_of_simulations() -> None:
    """400 runs know it to 1/sqrt(800) = 3.5 %; the floor of the excess errs to the safe side."""
    rng = np.random.default_rng(18)
    for truth, slack in ((calibrated, 0.35), (overconfident, 0.1)):
        found = [calibration_moments(bins_of(rng, 1_000, truth)) for _ in range(400)]
        spread = np.std([one.mean for one in found])
        promised = np.mean([sqrt(one.var / one.n) for one in found])
        assert 0.9 < promised / spread < 1.07 + slack


seeds = st.integers(0, 10**6)
truths = st.sampled_from([calibrated, overconfident, locally_wrong])
sizes = st.sampled_from([100, 400, 5_000])


@given(seeds, sizes, truths, st.floats(0.001, 0.5))
def test_properties(seed: int, n: int, truth: Truth, alpha: float) -> None:
    bins = bins_of(np.random.default_rng(seed), n, truth)
    found = calibration_error(bins, alpha=alpha)
    assert 0 <= found.lower <= found.error <= found.upper <= 1
    assert found.error**2 <= found.expected
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert (found.p_value <= alpha) == (found.lower > 0)
    wider = calibration_error(bins, alpha=alpha / 2)
    assert wider.lower <= found.lower
    assert found.upper <= wider.upper


@given(seeds, truths, truths, st.floats(0.001, 0.5))
def test_properties_of_a_difference(seed: int, one: Truth, two: Truth, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    arms = bins_of(rng, 300, one), bins_of(rng, 500, two)
    for null in (0.0, 0.05):
        found = calibration_difference(*arms, alpha=alpha, null=null)
        assert -1 <= found.lower <= found.effect <= found.upper <= 1
        assert (found.p_value <= alpha) == (found.lower > null or found.upper < null)
        mirrored = calibration_difference(*arms[::-1], alpha=alpha, null=-null)
        assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
        assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-9)


def test_more_rows_narrow_the_interval() -> None:
    few = bins_of(np.random.default_rng(10), 1_000, overconfident)
    sums = [tuple(4 * value for value in column) for column in astuple(few)[1:]]
    many = CalibrationBins(few.edges, *sums)
    one, four = calibration_error(few), calibration_error(many)
    assert four.expected == pytest.approx(one.expected, rel=1e-12)
    assert four.upper - four.lower < one.upper - one.lower
    gap_one, gap_four = calibration_difference(few, few), calibration_difference(many, many)
    assert gap_four.upper - gap_four.lower < gap_one.upper - gap_one.lower
    assert 0 < gap_four.se < gap_one.se


def test_a_tail_beyond_the_chi_squares_is_bounded_by_the_range() -> None:
    found = calibration_error(bins_of(np.random.default_rng(11), 20_000, lambda p: 1 - p))
    assert found.p_value == 2e-12
    assert 0.5 < found.lower < found.error < found.upper < 0.6  # sqrt(1/3), the root of E(2p-1)^2
    loose = calibration_error(bins_of(np.random.default_rng(11), 500, calibrated), alpha=1e-13)
    assert (loose.lower, loose.upper) == (0, 1)


def test_neighbours_are_pooled_by_the_variance_of_their_scores() -> None:
    """A bin whose variances sum to less than 5 joins the next one, the last one joins its left."""
    p = np.repeat([0.05, 0.5, 0.95], [60, 25, 30])
    y = np.repeat([0, 1, 0, 1], [60, 13, 12, 30])
    found = calibration_error(CalibrationBins.of(y, p))
    assert found.bins == 1  # variances 2.85, 6.25 and 1.425: the first two meet, then the rest
    twice = calibration_error(CalibrationBins.of(np.tile(y, 2), np.tile(p, 2)))
    assert twice.bins == 2  # 5.7, 12.5 and 2.85, too little to stand alone


def test_certain_scores_that_err_are_seen() -> None:
    """Scores of 0 and 1 have no variance of their own: their squares tell them."""
    rng = np.random.default_rng(12)
    p = (rng.random(4_000) < 0.5).astype(float)
    y = rng.random(4_000) < 0.1 + 0.8 * p
    found = calibration_error(CalibrationBins.of(y, p))
    assert found.bins == 2
    assert found.lower < 0.1 < found.upper
    assert found.lower > 0.08


def test_in_the_large_is_the_mean_of_score_less_label() -> None:
    y, p = rows_of(np.random.default_rng(13), 700, locally_wrong)
    found, exact = calibration_in_the_large(CalibrationBins.of(y, p)), Moments.of(p - y)
    assert found.n == 700
    assert (found.mean, found.var) == pytest.approx((exact.mean, exact.var), rel=1e-9)


def test_spiegelhalter_equals_the_formula_on_rows() -> None:
    y, p = rows_of(np.random.default_rng(14), 300, overconfident)
    top = ((y - p) * (1 - 2 * p)).sum()
    z = top / sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    found = spiegelhalter(CalibrationBins.of(y, p))
    assert found.z == pytest.approx(z, rel=1e-9)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(z)), rel=1e-9)


def test_spiegelhalter_keeps_its_level_and_finds_overconfidence() -> None:
    """5 % within four standard errors, 2.8 points, of 1,000 runs."""
    rng = np.random.default_rng(15)
    found = [spiegelhalter(bins_of(rng, 300, calibrated)).p_value for _ in range(1_000)]
    assert sum(p <= 0.05 for p in found) / 1_000 == pytest.approx(0.05, abs=0.028)
    assert spiegelhalter(bins_of(rng, 2_000, overconfident)).z > 5


@pytest.mark.parametrize(
    ("labels", "scores", "edges", "says"),
    [
        ([0, 2], [0.1, 0.2], HALVES, "labels must be 0 or 1, got 2.0"),
        ([0, nan], [0.1, 0.2], HALVES, "labels must be finite"),
        ([0, 1], [0.1, nan], HALVES, "scores must be finite"),
        ([0, 1], [0.1, 1.2], HALVES, r"scores must be in \[0, 1\], got 1.2"),
        ([0, 1], [-0.1, 0.2], HALVES, r"scores must be in \[0, 1\], got -0.1"),
        ([0, 1], [0.1], HALVES, "scores must be as long as labels, 2, got 1"),
        ([0, 1], [0.1, 0.2], (0.5, 0.5), r"edges must ascend within \(0, 1\), got 0.5 after 0.5"),
        ([0, 1], [0.1, 0.2], (0.0,), r"edges must ascend within \(0, 1\), got 0.0 after 0.0"),
        ([0, 1], [0.1, 0.2], (0.5, 1.0), r"edges must ascend within \(0, 1\), got 1.0 after 0.5"),
        ([0, 1], [0.1, 0.2], (nan,), r"edges must ascend within \(0, 1\), got nan after 0.0"),
    ],
)
def test_rows_outside_the_range_are_named(labels: Any, scores: Any, edges: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CalibrationBins.of(labels, scores, edges=edges)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"counts": (1,)}, "counts must have 2 bins, got 1"),
        ({"counts": (1.5, 1)}, r"counts\[0\] must be a whole number >= 0, got 1.5"),
        ({"positives": (0, 9)}, r"positives\[1\] must be in \[0, 1\], got 9"),
        ({"scores": (nan, 0.0)}, r"scores\[0\] must be finite and >= 0, got nan"),
        ({"squares": (0.0, -1.0)}, r"squares\[1\] must be finite and >= 0, got -1.0"),
    ],
)
def test_impossible_bins_are_refused(change: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(CalibrationBins.of([0, 1], [0.2, 0.7], edges=HALVES), **change)


def test_arguments_outside_the_range_are_named() -> None:
    bins = bins_of(np.random.default_rng(16), 200, calibrated)
    with pytest.raises(ValueError, match=r"edges of other must be .*, got \(0.5,\)"):
        bins.merge(CalibrationBins.of([0, 1], [0.1, 0.2], edges=HALVES))
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 0"):
        calibration_error(bins, alpha=0)
    with pytest.raises(ValueError, match=r"null must be in \[-1, 1\], got 3"):
        calibration_difference(bins, bins, null=3)
    one_class = CalibrationBins.of([1] * 100, [0.5] * 100)
    empty = CalibrationBins.of([], [])
    for judge in (calibration_error, calibration_in_the_large, spiegelhalter):
        with pytest.raises(ValueError, match=r"positives must be in \[1, 99\] of 100, got 100"):
            judge(one_class)
        with pytest.raises(ValueError, match="n of bins must be a whole number >= 2, got 0"):
            judge(empty)
    with pytest.raises(ValueError, match=r"variances must sum to 5 at least, got 0\.5"):
        calibration_error(CalibrationBins.of([0, 1], [0.5, 0.5]))
    with pytest.raises(ValueError, match="label - score must vary within some bin"):
        calibration_error(CalibrationBins.of([0, 1] * 50, [1.0, 0.0] * 50))
    with pytest.raises(ValueError, match=r"scores must not all be 0, 0\.5 or 1"):
        spiegelhalter(CalibrationBins.of([0, 1], [0.5, 1.0]))
