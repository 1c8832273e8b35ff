"""CUPED: numpy on the raw rows with scipy's Welch, and statsmodels' OLS, are the witnesses."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from palio.stats.adjusted.cuped import Adjusted, cuped
from palio.stats.adjusted.regression import lin
from palio.stats.anytime.sequential import compare
from palio.stats.joint import JointMoments
from palio.stats.one_look.means import welch

Array = NDArray[np.float64]
LOOKS = 100


def draw(
    rng: np.random.Generator, n: int, slopes: list[float], *, level: float = 0.0, noise: float = 1
) -> tuple[Array, Array]:
    """Metric (n,) and covariates (k, n) with means off 0 and unequal units."""
    units = np.arange(1, len(slopes) + 1)[:, None]
    x = (rng.standard_normal((len(slopes), n)) + 3) * units
    return level + np.array(slopes) @ x + rng.standard_normal(n) * noise, x


def joint(y: Array, x: Array) -> JointMoments:
    return JointMoments.of(y, *x)


def theta_by_hand(y_c: Array, x_c: Array, y_t: Array, x_t: Array) -> Array:
    """Least squares on rows centred within their arm."""
    y = np.concatenate([y_c - y_c.mean(), y_t - y_t.mean()])
    x = np.concatenate([x_c.T - x_c.mean(axis=1), x_t.T - x_t.mean(axis=1)])
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])


@pytest.mark.parametrize("slopes", [[0.7], [0.7, -0.2], [0.5, 0.0, 1.5, 2.0]], ids=len)
def test_equals_welch_on_adjusted_rows(slopes: list[float]) -> None:
    """``y - theta (x - xbar)`` row by row, then scipy's Welch: the formula of the peers."""
    rng = np.random.default_rng(1)
    y_c, x_c = draw(rng, 230, slopes)
    y_t, x_t = draw(rng, 90, slopes, level=0.3, noise=2)
    theta = theta_by_hand(y_c, x_c, y_t, x_t)
    mean = np.concatenate([x_c, x_t], axis=1).mean(axis=1)
    rows_c, rows_t = y_c - theta @ (x_c.T - mean).T, y_t - theta @ (x_t.T - mean).T
    found = cuped(joint(y_c, x_c), joint(y_t, x_t))
    assert found.theta_control == found.theta_treatment == pytest.approx(theta, rel=1e-9)
    assert found.control.mean == pytest.approx(rows_c.mean(), rel=1e-9)
    assert found.treatment.mean == pytest.approx(rows_t.mean(), rel=1e-9)
    ours, theirs = (
        welch(found.control, found.treatment),
        ttest_ind(rows_t, rows_c, equal_var=False),
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-8)
    interval = theirs.confidence_interval()
    assert (ours.lower, ours.upper) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_theta_is_the_slope_of_an_analysis_of_covariance() -> None:
    """statsmodels: the coefficient of x in ``y ~ 1 + treatment + x``."""
    rng = np.random.default_rng(2)
    (y_c, x_c), (y_t, x_t) = draw(rng, 80, [0.7]), draw(rng, 50, [0.9], level=5)
    arm = np.repeat([0.0, 1.0], [80, 50])
    design = np.column_stack([np.ones(130), arm, np.concatenate([x_c[0], x_t[0]])])
    fit = sm.OLS(np.concatenate([y_c, y_t]), design).fit()
    found = cuped(joint(y_c, x_c), joint(y_t, x_t))
    assert found.theta_control[0] == pytest.approx(fit.params[2], rel=1e-9)
    effect = found.treatment.mean - found.control.mean
    assert effect == pytest.approx(fit.params[1], rel=1e-9)


def test_theta_does_not_know_the_arm() -> None:
    """Peers take theta from all units together, which a large effect moves; ours it does not."""
    rng = np.random.default_rng(3)
    (y_c, x_c), (y_t, x_t) = draw(rng, 60, [0.7]), draw(rng, 60, [0.7])
    none, large = (cuped(joint(y_c, x_c), joint(y_t + e, x_t)) for e in (0.0, 100.0))
    assert large.theta_control == pytest.approx(none.theta_control, rel=1e-9)
    both = joint(y_c, x_c).merge(joint(y_t, x_t))
    peers = both.cov[0][1] / both.cov[1][1]
    assert none.theta_control[0] == pytest.approx(peers, rel=0.02)  # gap of x: 0.1 deviations
    moved = both.merge(joint(y_t + 100, x_t)).cov
    assert abs(moved[0][1] / moved[1][1] - peers) > 1


def test_a_mean_of_a_billion_loses_nothing() -> None:
    rng = np.random.default_rng(4)
    (y_c, x_c), (y_t, x_t) = draw(rng, 5_000, [0.7]), draw(rng, 5_000, [0.7], level=0.1)
    plain = cuped(joint(y_c, x_c), joint(y_t, x_t))
    far = cuped(joint(y_c + 1e9, x_c + 1e9), joint(y_t + 1e9, x_t + 1e9))
    assert far.variance_removed == pytest.approx(plain.variance_removed, rel=1e-6)
    assert far.treatment.var == pytest.approx(plain.treatment.var, rel=1e-6)
    gap = plain.treatment.mean - plain.control.mean
    # the spacing of floats at 1e9 is 1.2e-7
    assert far.treatment.mean - far.control.mean == pytest.approx(gap, abs=3e-7)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.3, 0.7, 0.99])
def test_the_interval_shrinks_by_what_correlation_explains(rho: float) -> None:
    cov = ((4.0, 2 * rho), (2 * rho, 1.0))
    found = cuped(JointMoments(900, (1.0, 5.0), cov), JointMoments(700, (1.2, 5.0), cov))
    before, after = (welch(*arms) for arms in (
        (found.raw_control, found.raw_treatment), (found.control, found.treatment)
    ))  # fmt: skip
    assert after.effect == pytest.approx(before.effect)
    ratio = (after.upper - after.lower) / (before.upper - before.lower)
    assert ratio == pytest.approx(sqrt(1 - rho**2), rel=1e-12)
    assert found.variance_removed == pytest.approx(rho**2, abs=1e-12)


def same(one: Adjusted, two: Adjusted, *, rel: float = 1e-7) -> bool:
    numbers = [
        (a.control.mean, a.control.var, a.treatment.mean, a.treatment.var) for a in (one, two)
    ]
    return numbers[0] == pytest.approx(numbers[1], rel=rel)


@pytest.mark.parametrize("adjust", [cuped, lin])
def test_constant_and_collinear_covariates_change_nothing(
    adjust: Callable[[JointMoments, JointMoments], Adjusted],
) -> None:
    rng = np.random.default_rng(5)
    (y_c, x_c), (y_t, x_t) = draw(rng, 70, [0.7, 1]), draw(rng, 70, [0.4, 1], level=1)
    rows = []
    for x in (x_c, x_t):
        tenth = np.full(70, 0.1)  # its variance is rounding: 70 times 0.1 is not 7
        rows.append(np.stack([x[0], x[1], 1e6 * x[0] - 7 * x[1] + 3, tenth]))
    plain = cuped(joint(y_c, x_c), joint(y_t, x_t))
    found = cuped(joint(y_c, rows[0]), joint(y_t, rows[1]))
    assert same(found, plain)
    assert found.theta_control[3] == 0
    assert max(map(abs, found.theta_control)) < 2
    alone = adjust(joint(y_c, rows[0][3:]), joint(y_t, rows[1][3:]))
    assert alone.theta_control == alone.theta_treatment == (0.0,)
    assert alone.control.mean == alone.raw_control.mean


def test_a_metric_its_covariate_explains_wholly_has_no_verdict() -> None:
    rng = np.random.default_rng(6)
    x_c, x_t = rng.standard_normal((2, 1, 50)) / 3
    found = cuped(joint(3 * x_c[0] + 0.1, x_c), joint(3 * x_t[0] + 0.1, x_t))
    assert (found.control.var, found.treatment.var, found.variance_removed) == (0, 0, 1)
    assert welch(found.control, found.treatment).lower == -inf


def test_without_variance_nothing_is_removed() -> None:
    arm = JointMoments.of([1.0, 1.0], [1.0, 2.0])
    found = cuped(arm, arm)
    assert (found.control, found.variance_removed) == (found.raw_control, 0.0)


@st.composite
def arms(draw: st.DrawFn) -> JointMoments:
    """Moments whose covariance is a Gram matrix, of the metric and two covariates."""
    numbers = st.floats(-10, 10).map(lambda x: round(x, 3))
    root = np.array(draw(st.lists(numbers, min_size=9, max_size=9))).reshape(3, 3)
    mean = draw(st.tuples(numbers, numbers, numbers))
    cov = root @ root.T
    return JointMoments(draw(st.integers(10, 10**6)), mean, tuple(map(tuple, cov.tolist())))


@given(arms(), arms())
def test_properties(control: JointMoments, treatment: JointMoments) -> None:
    found = cuped(control, treatment)
    gap = np.subtract(treatment.mean, control.mean)
    effect = gap[0] - np.dot(found.theta_control, gap[1:])
    ours = found.treatment.mean - found.control.mean
    size = abs(gap[0]) + np.abs(found.theta_control) @ np.abs(gap[1:])
    assert ours == pytest.approx(effect, rel=1e-9, abs=1e-9 * (1 + size))
    pooled = [
        sum((arm.n - 1) * arm.var for arm in pair)
        for pair in ((found.control, found.treatment), (found.raw_control, found.raw_treatment))
    ]
    assert pooled[0] <= pooled[1] * (1 + 1e-9)
    assert found.variance_removed <= 1
    mirrored = cuped(treatment, control)
    assert mirrored.treatment.mean == pytest.approx(found.control.mean, rel=1e-6, abs=1e-6)
    assert mirrored.treatment.var == pytest.approx(found.control.var, rel=1e-6, abs=1e-6)


@given(arms(), arms(), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_units_of_a_covariate_do_not_matter(
    control: JointMoments, treatment: JointMoments, unit: float, shift: float
) -> None:
    spread = [sqrt(arm.cov[1][1]) for arm in (control, treatment)]
    assume(min(spread) > 1e-2)
    scale = np.array([1.0, unit, 1.0])
    turned = [
        JointMoments(
            arm.n,
            (arm.mean[0], (arm.mean[1] + shift) * unit, arm.mean[2]),
            tuple(map(tuple, (np.array(arm.cov) * np.outer(scale, scale)).tolist())),
        )
        for arm in (control, treatment)
    ]
    plain, other = cuped(control, treatment), cuped(*turned)
    assert other.control.var == pytest.approx(plain.control.var, rel=1e-3, abs=1e-4)
    assert other.variance_removed == pytest.approx(plain.variance_removed, rel=1e-3, abs=1e-4)


def looks_of(y: Array, x: Array) -> list[list[JointMoments]]:
    """Joint moments at every look, from values (sims, looks, units a look)."""
    n = (np.arange(LOOKS) + 1) * y.shape[2]
    sums = [v.sum(axis=2).cumsum(axis=1) for v in (y, x, y * y, y * x, x * x)]
    mean_y, mean_x = sums[0] / n, sums[1] / n
    products = (
        sums[2] - n * mean_y**2, sums[3] - n * mean_y * mean_x, sums[4] - n * mean_x**2
    )  # fmt: skip
    table = np.stack([mean_y, mean_x, *(p / (n - 1) for p in products)], axis=2).tolist()
    return [
        [JointMoments(int(k), (a, b), ((c, d), (d, e))) for k, (a, b, c, d, e) in
         zip(n, row, strict=True)]
        for row in table
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("adjust", "slope_t", "plan"),
    [(cuped, 0.8, {"horizon": 10_000}), (lin, 0.4, {"planned": 10_000})],
    ids=["cuped", "lin"],
)
def test_constant_looking_keeps_the_coverage(
    adjust: Callable[[JointMoments, JointMoments], Adjusted], slope_t: float, plan: dict[str, int]
) -> None:
    """100 looks to 5,000 units an arm: the true effect is missed at any look in at most 5 %.

    300 simulations with seed 7, three standard errors; widths at the last look within 2 % of
    what the correlations say, with slope 0.8 and unit noise 1 / 1.64 of the variance.
    """
    rng, sims, effect = np.random.default_rng(7), 300, 0.05
    missed, ratios = 0, []
    for _ in range(sims // 100):
        x = rng.standard_normal((2, 100, LOOKS, 50))
        y = np.array([0.8, slope_t])[:, None, None, None] * x + rng.standard_normal(x.shape)
        pairs = zip(looks_of(y[0], x[0]), looks_of(y[1] + effect, x[1]), strict=True)
        for control, treatment in pairs:
            shown = [adjust(*arms) for arms in zip(control, treatment, strict=True)]
            found = [compare(a.control, a.treatment, **plan) for a in shown]
            missed += any(not look.lower <= effect <= look.upper for look in found)
            raw = compare(shown[-1].raw_control, shown[-1].raw_treatment, **plan)
            ratios.append((found[-1].upper - found[-1].lower) / (raw.upper - raw.lower))
    assert missed / sims <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)
    # variances: cuped 1 + 1 of 1.64 + 1.64; lin 2 + (0.4)^2 / 2 of 1.64 + 1.16
    share = 2 / 3.28 if adjust is cuped else 2.08 / 2.8
    assert np.mean(ratios) == pytest.approx(sqrt(share), rel=0.02)


ARM = JointMoments(9, (0.0, 0.0), ((1.0, 0.5), (0.5, 1.0)))


@pytest.mark.parametrize(
    ("control", "treatment", "says"),
    [
        (JointMoments(9, (0.0,), ((1.0,),)), ARM, "control must have a metric and >= 1 covariate"),
        (ARM, JointMoments(9, (0.0,), ((1.0,),)), "treatment must have 2 values .* got 1"),
        (JointMoments(1, ARM.mean, ((0, 0), (0, 0))), ARM, "n of control must be >= 2, got 1"),
        (ARM, JointMoments(0, ARM.mean, ((0, 0), (0, 0))), "n of treatment must be >= 2, got 0"),
        (
            JointMoments(2, (0.0,) * 3, ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))),
            JointMoments(2, (0.0,) * 3, ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))),
            "n of both arms together must be >= 5 with 2 covariates, got 4",
        ),
        (
            JointMoments(9, (0.0, 0.0), ((1.0, 5.0), (5.0, 1.0))),
            ARM,
            "cov must be positive semi-definite, got an adjusted variance of",
        ),
        (
            JointMoments(9, (0.0,) * 3, ((1.0, 0, 0), (0, 1.0, 5.0), (0, 5.0, 1.0))),
            JointMoments(9, (0.0,) * 3, ((1.0, 0, 0), (0, 1.0, 5.0), (0, 5.0, 1.0))),
            "cov must be positive semi-definite, got a correlation of 5",
        ),
        (
            JointMoments(9, (0.0, 0.0), ((1e308, 1e154), (1e154, 1.0))),
            JointMoments(9, (0.0, 0.0), ((1e308, 1e154), (1e154, 1.0))),
            "sum of the terms of the adjusted variance must be finite, got inf",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(
    control: JointMoments, treatment: JointMoments, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        cuped(control, treatment)


def test_what_is_no_number_never_gets_in() -> None:
    with pytest.raises(ValueError, match=r"cov\[1\]\[0\] must be finite, got nan"):
        JointMoments(9, (0.0, 0.0), ((1.0, nan), (nan, 1.0)))
