"""CUPED of several arms: statsmodels' analysis of covariance and numpy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from palio.stats import JointMoments, Moments, cuped, pooled_cuped

Array = NDArray[np.float64]
SIZES = (80, 50, 120)


def draw(seed: int, *slopes: float, sizes: tuple[int, ...] = SIZES) -> list[tuple[Array, Array]]:
    """Metric (n,) and covariates (k, n) of each arm, with an effect and a noise of its own."""
    rng = np.random.default_rng(seed)
    arms = []
    for at, n in enumerate(sizes):
        x = rng.normal(3, 1 + at, (len(slopes), n))
        arms.append((np.array(slopes) @ x + 5 * at + rng.normal(size=n) * (1 + at), x))
    return arms


def joint(arms: list[tuple[Array, Array]]) -> list[JointMoments]:
    return [JointMoments.of(y, *x) for y, x in arms]


def same(found: list[Moments], expected: list[Moments], *, rel: float = 1e-9) -> None:
    assert [arm.n for arm in found] == [arm.n for arm in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.mean, ours.var) == pytest.approx((theirs.mean, theirs.var), rel=rel)


@pytest.mark.parametrize("slopes", [(0.7,), (0.7, -0.2), (0.5, 0.0, 1.5)], ids=len)
def test_differences_are_those_of_an_analysis_of_covariance(slopes: tuple[float, ...]) -> None:
    """statsmodels: the coefficients of the arms in ``y ~ arm 0 + arm 1 + arm 2 + x``."""
    arms = draw(2, *slopes)
    dummies = np.repeat(np.eye(3), SIZES, axis=0)
    x = np.concatenate([x for _, x in arms], axis=1).T
    y = np.concatenate([y for y, _ in arms])
    levels = sm.OLS(y, np.column_stack([dummies, x])).fit().params[:3]
    means = [arm.mean for arm in pooled_cuped(joint(arms))]
    assert np.diff(means) == pytest.approx(np.diff(levels), rel=1e-9)


def test_equals_least_squares_on_centred_rows() -> None:
    """``y - theta (x - xbar)`` row by row, theta by numpy on rows centred within their arm."""
    arms = draw(3, 0.7, -0.2)
    rows = np.concatenate([(x.T - x.mean(axis=1)) for _, x in arms])
    theta = np.linalg.lstsq(rows, np.concatenate([y - y.mean() for y, _ in arms]), rcond=None)[0]
    middle = np.concatenate([x for _, x in arms], axis=1).mean(axis=1)
    expected = [Moments.of(y - (x.T - middle) @ theta) for y, x in arms]
    same(pooled_cuped(joint(arms)), expected)


def test_two_arms_are_those_of_cuped() -> None:
    control, treatment = joint(draw(4, 0.7, -0.2, sizes=(80, 50)))
    adjusted = cuped(control, treatment)
    same(pooled_cuped([control, treatment]), [adjusted.control, adjusted.treatment], rel=1e-12)


def test_what_says_nothing_takes_no_part() -> None:
    """Constants, among them one whose variance is rounding and one that tells the arm, and a
    covariate that repeats another."""
    arms = draw(5, 0.7, 1.0)
    plain = pooled_cuped(joint(arms))
    more = []
    for at, (y, x) in enumerate(arms):
        n = y.size
        rest = [np.ones(n), np.full(n, 0.1), np.full(n, float(at)), 1e6 * x[0] - 7 * x[1] + 3]
        more.append((y, np.stack([*x, *rest])))
    same(pooled_cuped(joint(more)), plain, rel=1e-7)
    alone = joint([(y, np.ones((1, y.size))) for y, _ in arms])
    assert pooled_cuped(alone) == [arm.value(0) for arm in alone]


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.999])
def test_an_indicator_that_is_1_for_everybody_takes_no_part_in_sums_either(shift: float) -> None:
    """Kept about a frozen shift its variance is rounding; the metric is 100 deviations off."""
    arms = draw(6, 0.7)
    found = []
    for y, x in arms:
        columns = np.stack([y - 100, x[0], np.ones(y.size) - shift])
        found.append(
            JointMoments.from_sums(
                y.size, (100.0, 0.0, shift), columns.sum(axis=1), columns @ columns.T
            )
        )
    same(pooled_cuped(found), pooled_cuped(joint(arms)))


@given(st.floats(-1e3, 1e3), st.integers(0, 2))
def test_an_effect_moves_no_slope(effect: float, at: int) -> None:
    arms = draw(7, 0.7)
    plain = pooled_cuped(joint(arms))
    arms[at] = (arms[at][0] + effect, arms[at][1])
    moved = pooled_cuped(joint(arms))
    for place, (one, two) in enumerate(zip(plain, moved, strict=True)):
        gap = effect if place == at else 0.0
        assert two.mean == pytest.approx(one.mean + gap, abs=1e-9)
        assert two.var == pytest.approx(one.var, rel=1e-9)


@given(st.permutations(range(3)), st.integers(0, 100))
def test_variance_is_taken_out_whatever_the_order(order: list[int], seed: int) -> None:
    arms = joint(draw(seed, 0.7, -0.2))
    found = pooled_cuped(arms)
    left, whole = (
        sum(arm.var * (arm.n - 1) for arm in some)
        for some in (found, [arm.value(0) for arm in arms])
    )
    assert left <= whole
    same(pooled_cuped([arms[at] for at in order]), [found[at] for at in order])


def test_arms_without_units_change_nothing() -> None:
    arms = joint(draw(8, 0.7))
    empty = JointMoments(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))
    found = pooled_cuped([empty, *arms])
    assert found[0] == Moments(0, 0.0, 0.0)
    same(found[1:], pooled_cuped(arms))


def test_too_few_units_for_slopes_leave_the_metric_as_it_is() -> None:
    """Two units an arm leave 2 degrees of freedom for a slope and a variance: enough for one
    covariate, too few for two."""
    one = [JointMoments.of([0.0, 1.0], [0.0, 1.0]), JointMoments.of([2.0, 3.0], [0.0, 1.5])]
    assert pooled_cuped(one) != [arm.value(0) for arm in one]
    two = [JointMoments.of([0.0, 1.0], [0.0, 1.0], [1.0, 0.0]) for _ in range(2)]
    assert pooled_cuped(two) == [arm.value(0) for arm in two]
    none = [JointMoments.of([0.0, 1.0, 4.0]), JointMoments.of([3.0])]
    assert pooled_cuped(none) == [arm.value(0) for arm in none]


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ([], r"arms must be one at least, .*got \[\] values a unit"),
        ([JointMoments(9, (), ())], r"arms must be .*got \[0\] values a unit"),
        (
            [JointMoments.of([1.0], [2.0]), JointMoments.of([1.0])],
            r"arms must be .*the same covariates, got \[2, 1\] values a unit",
        ),
        (
            [JointMoments(9, (0.0, 0.0), ((1.0, 5.0), (5.0, 1.0)))],
            "cov must be positive semi-definite, got an adjusted variance of",
        ),
        (
            [JointMoments(9, (0.0, 0.0), ((1e308, 1e154), (1e154, 1.0)))] * 2,
            "sum of the terms of the adjusted variance must be finite, got inf",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(arms: list[JointMoments], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pooled_cuped(arms)
