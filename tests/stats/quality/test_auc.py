"""Areas under ROC curves: scikit-learn, brute force and a bootstrap are the witnesses."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from palio.stats import welch
from palio.stats.estimate import Estimate
from palio.stats.quality.auc import (
    Auc,
    auc,
    auc_difference,
    auc_estimate,
    auc_moments,
    binned_auc,
    paired_auc_difference,
    paired_auc_moments,
)
from palio.stats.quality.histogram import LogHistogram

Array = NDArray[np.float64]

labels_and_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-4, 4), st.integers(-4, 4)), min_size=4, max_size=40
).filter(lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2)
areas = st.builds(
    Auc,
    st.integers(2, 10**5),
    st.integers(2, 10**5),
    st.floats(0.01, 0.99),
    st.floats(1e-4, 0.2),
)
alternatives = st.sampled_from(["two-sided", "larger", "smaller"])
levels = st.floats(0.001, 0.5)


def wins(positives: Array, negatives: Array) -> Array:
    """Every pair: 1 where the positive wins, 0.5 for a tie; shape (positives, negatives)."""
    gap = positives[:, None] - negatives[None, :]
    return (np.sign(gap) + 1) / 2


def columns(rows: list[tuple[int, int, int]]) -> tuple[NDArray[np.bool_], Array, Array]:
    y, one, two = np.array(rows, dtype=np.float64).T
    return y == 1, one, two


def rows_of(
    rng: np.random.Generator, n: int, shift: float = 1.0
) -> tuple[NDArray[np.bool_], Array]:
    """Three in ten positive, their scores normal around shift; area Phi(shift / sqrt 2)."""
    y = rng.random(n) < 0.3
    return y, rng.standard_normal(n) + shift * y


@given(labels_and_scores)
def test_area_equals_scikit_learns_and_se_brute_force(rows: list[tuple[int, int, int]]) -> None:
    y, scores, _ = columns(rows)
    found = auc(y, scores)
    assert found.area == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
    pairs = wins(scores[y], scores[~y])
    of_positives, of_negatives = pairs.mean(axis=1), pairs.mean(axis=0)
    square = of_positives.var(ddof=1) / y.sum() + of_negatives.var(ddof=1) / (~y).sum()
    assert found.se == pytest.approx(sqrt(square), abs=1e-9)
    assert (found.positives, found.negatives, found.binning) == (y.sum(), (~y).sum(), 0)


@given(labels_and_scores, levels)
def test_paired_difference_equals_delongs_covariance(
    rows: list[tuple[int, int, int]], alpha: float
) -> None:
    y, one, two = columns(rows)
    found = paired_auc_difference(y, one, two, alpha=alpha)
    expected = roc_auc_score(y, two) - roc_auc_score(y, one)
    assert found.effect == pytest.approx(expected, abs=1e-12)
    before, after = wins(one[y], one[~y]), wins(two[y], two[~y])
    square = 0.0
    for axis, size in ((1, y.sum()), (0, (~y).sum())):
        cov = np.cov(before.mean(axis=axis), after.mean(axis=axis))
        square += (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) / size
    assert found.se == pytest.approx(sqrt(max(square, 0)), abs=1e-7)
    mirrored = paired_auc_difference(y, two, one, alpha=alpha)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
    assert -1 <= found.lower <= found.effect <= found.upper <= 1


def test_se_equals_that_of_a_bootstrap() -> None:
    """400 resamples know a standard deviation to 1/sqrt(800) = 3.5 %: within four of these."""
    rng = np.random.default_rng(5)
    y, one = rows_of(rng, 600)
    two = one + rng.standard_normal(600)
    areas, gaps = [], []
    for _ in range(400):
        at = rng.integers(0, 600, 600)
        a, b = auc(y[at], one[at]).area, auc(y[at], two[at]).area
        areas.append(a)
        gaps.append(b - a)
    assert auc(y, one).se == pytest.approx(np.std(areas), rel=0.14)
    assert paired_auc_difference(y, one, two).se == pytest.approx(np.std(gaps), rel=0.14)


@given(labels_and_scores, st.sampled_from([0.001, 0.01, 0.3]))
def test_bins_give_the_area_of_the_rounded_scores_and_bound_the_distance(
    rows: list[tuple[int, int, int]], accuracy: float
) -> None:
    y, one, two = columns(rows)
    scores = one + two / 8
    sides = [LogHistogram.of(part, accuracy=accuracy) for part in (scores[~y], scores[y])]
    found, exact = binned_auc(*sides), auc(y, scores)
    assert abs(found.area - exact.area) <= found.binning + 1e-12
    rounded = [LogHistogram.of([s], accuracy=accuracy).quantile(1) for s in scores]
    again = auc(y, rounded)
    assert (found.area, found.se) == pytest.approx((again.area, again.se), abs=1e-12)
    same = wins(np.array(rounded)[y], np.array(rounded)[~y]) == 0.5
    assert found.binning == pytest.approx(same.mean() / 2, abs=1e-12)


def test_odds_in_bins_of_one_percent_are_as_good_as_rows() -> None:
    rng = np.random.default_rng(6)
    y, scores = rows_of(rng, 5_000)
    exact = auc(y, scores)
    found = binned_auc(LogHistogram.of(np.exp(scores[~y])), LogHistogram.of(np.exp(scores[y])))
    assert found.binning < 0.003
    assert abs(found.area - exact.area) < 0.05 * exact.se
    assert found.se == pytest.approx(exact.se, rel=0.01)


def test_only_the_order_of_scores_counts() -> None:
    y, scores = rows_of(np.random.default_rng(7), 300)
    assert auc(y, scores) == auc(y, np.exp(scores / 3))


def share_covered(draw: Callable[[np.random.Generator], Estimate], truth: float) -> float:
    rng = np.random.default_rng(8)
    found = [draw(rng) for _ in range(800)]
    return sum(one.lower <= truth <= one.upper for one in found) / len(found)


AREA, BETTER = (float(norm.cdf(shift / sqrt(2))) for shift in (1.0, 1.3))


def test_the_interval_of_one_area_covers() -> None:
    """95 % within four standard errors, 3.1 points, of 800 simulations."""
    share = share_covered(lambda rng: auc_estimate(auc(*rows_of(rng, 200))), AREA)
    assert share == pytest.approx(0.95, abs=0.031)


def test_the_interval_of_a_difference_covers() -> None:
    share = share_covered(
        lambda rng: auc_difference(auc(*rows_of(rng, 200)), auc(*rows_of(rng, 300, 1.3))),
        BETTER - AREA,
    )
    assert share == pytest.approx(0.95, abs=0.031)


def test_the_interval_of_a_paired_difference_covers() -> None:
    """The control adds noise of variance 1.3^2 - 1 to the treatment's scores: shift 1.3 / 1.3."""

    def draw(rng: np.random.Generator) -> Estimate:
        y, scores = rows_of(rng, 300, 1.3)
        noisy = scores + sqrt(1.3**2 - 1) * rng.standard_normal(300)
        return paired_auc_difference(y, noisy, scores)

    assert share_covered(draw, BETTER - AREA) == pytest.approx(0.95, abs=0.031)


@given(st.tuples(areas, areas), levels, alternatives, st.floats(-0.5, 0.5))
def test_properties_of_a_difference(
    arms: tuple[Auc, Auc], alpha: float, alternative: Any, null: float
) -> None:
    control, treatment = arms
    found = auc_difference(control, treatment, alpha=alpha, alternative=alternative, null=null)
    assert -1 <= found.lower <= found.effect <= found.upper <= 1
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert (found.p_value <= alpha) == (found.lower > null or found.upper < null)
    opposite = {"larger": "smaller", "smaller": "larger"}.get(alternative, alternative)
    mirrored = auc_difference(
        treatment, control, alpha=alpha, alternative=opposite, null=-null  # type: ignore[arg-type]
    )  # fmt: skip
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
    assert mirrored.p_value == pytest.approx(found.p_value)


@given(areas, levels, alternatives, st.floats(0.1, 0.9))
def test_properties_of_one_area(value: Auc, alpha: float, alternative: Any, null: float) -> None:
    found = auc_estimate(value, alpha=alpha, alternative=alternative, null=null)
    assert (found.effect, found.se) == (value.area, value.se)
    assert 0 <= found.lower <= found.effect + 1e-12
    assert found.effect - 1e-12 <= found.upper <= 1
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert (found.p_value <= alpha) == (found.lower > null or found.upper < null)
    narrower = Auc(value.positives, value.negatives, value.area, value.se / 2)
    half = auc_estimate(narrower, alpha=alpha, alternative=alternative, null=null)
    assert half.upper - half.lower < found.upper - found.lower or alpha == 0.5  # no reach at all


def test_the_bounds_of_one_area_are_normal_in_log_odds() -> None:
    found = auc_estimate(Auc(50, 50, 0.8, 0.04), alpha=0.1)
    reach = norm.isf(0.05) * 0.04 / 0.16
    for bound, sign in ((found.lower, -1), (found.upper, 1)):
        assert log(bound / (1 - bound)) == pytest.approx(log(4) + sign * reach, rel=1e-9)


def test_moments_carry_the_standard_error_into_the_rules_for_means() -> None:
    one, two = Auc(30, 70, 0.7, 0.05), Auc(100, 300, 0.8, 0.02)
    found = welch(auc_moments(one), auc_moments(two))
    plain = auc_difference(one, two)
    assert (found.effect, found.se) == pytest.approx((plain.effect, plain.se), rel=1e-12)
    assert auc_moments(one).n == 100
    y, scores = rows_of(np.random.default_rng(10), 200)
    difference = paired_auc_difference(y, scores, scores**2)
    paired = paired_auc_moments(y, scores, scores**2)
    assert (paired.n, paired.mean) == (200, difference.effect)
    assert sqrt(paired.var / 200) == pytest.approx(difference.se, rel=1e-12)


def test_classes_apart_say_nothing_about_the_error() -> None:
    apart = auc([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0])
    assert (apart.area, apart.se) == (1.0, 0.0)
    found = auc_estimate(apart)
    assert (found.effect, found.lower, found.upper, found.p_value) == (1.0, 0.0, 1.0, 1.0)
    both = auc_difference(apart, apart)
    assert (both.effect, both.lower, both.upper, both.p_value) == (0.0, -1.0, 1.0, 1.0)
    alike = paired_auc_difference([0, 1, 0, 1], [1, 2, 3, 4], [2, 4, 6, 8])
    assert (alike.lower, alike.upper, alike.p_value) == (-1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 1, 2, 1], [1, 2, 3, 4], "labels must be 0 or 1, got 2.0"),
        ([0, 1, nan, 1], [1, 2, 3, 4], "labels must be finite"),
        ([0, 0, 0, 0], [1, 2, 3, 4], "positives among labels must be a whole number >= 2, got 0"),
        ([1, 1, 1, 0], [1, 2, 3, 4], "negatives among labels must be a whole number >= 2, got 1"),
        ([0, 1, 0, 1], [1, 2, 3, inf], "scores must be finite"),
        ([0, 1, 0, 1], [1, 2, nan, 3], "scores must be finite"),
        ([0, 1, 0, 1], [1, 2, 3], "scores must be as long as labels, 4, got 3"),
    ],
)
def test_rows_outside_the_range_are_named(labels: Any, scores: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        auc(labels, scores)
    with pytest.raises(ValueError, match=says.replace("scores", "treatment")):
        paired_auc_difference(labels, [1] * len(labels), scores)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ((1, 5, 0.5, 0.1), "positives must be a whole number >= 2, got 1"),
        ((5, 1, 0.5, 0.1), "negatives must be a whole number >= 2, got 1"),
        ((5, 5, 1.1, 0.1), r"area must be in \[0, 1\], got 1.1"),
        ((5, 5, 0.5, nan), "se must be finite and >= 0, got nan"),
        ((5, 5, 0.5, 0.1, 0.6), r"binning must be in \[0, 0.5\], got 0.6"),
    ],
)
def test_impossible_areas_are_refused(fields: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Auc(*fields)


def test_arguments_outside_the_range_are_named() -> None:
    value, many = Auc(5, 5, 0.5, 0.1), LogHistogram.of([1.0, 2.0])
    with pytest.raises(ValueError, match=r"null must be in \(0, 1\), got 1.0"):
        auc_estimate(value, null=1.0)
    with pytest.raises(ValueError, match=r"null must be in \[-1, 1\], got 2"):
        auc_difference(value, value, null=2)
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 1.5"):
        auc_difference(value, value, alpha=1.5)
    with pytest.raises(ValueError, match=r"accuracy of positives must be 0.01, got 0.1"):
        binned_auc(many, LogHistogram.of([1.0, 2.0], accuracy=0.1))
    with pytest.raises(ValueError, match="n of positives must be a whole number >= 2, got 1"):
        binned_auc(many, LogHistogram.of([1.0]))
    with pytest.raises(ValueError, match="n of negatives must be a whole number >= 2, got 0"):
        binned_auc(LogHistogram.of([]), many)


def test_the_same_area_apart_from_its_size_narrows() -> None:
    rng = np.random.default_rng(9)
    y, scores = rows_of(rng, 400)
    few, many = auc(y, scores), auc(np.tile(y, 4), np.tile(scores, 4))
    assert many.area == pytest.approx(few.area, rel=1e-12)
    assert many.se == pytest.approx(few.se / 2, rel=0.02)
