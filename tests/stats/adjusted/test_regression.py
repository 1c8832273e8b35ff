"""Regression adjustment: statsmodels' interacted OLS and formulas on raw rows as witnesses."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from palio.stats.adjusted.cuped import cuped
from palio.stats.adjusted.regression import lin
from palio.stats.joint import JointMoments
from palio.stats.one_look.means import welch

Array = NDArray[np.float64]
Rows = tuple[Array, Array]


def draw(seed: int, n: int, slopes: list[float], *, noise: float = 1.0, level: float = 0) -> Rows:
    """Metric (n,) and covariates (k, n), the residuals wider where the first covariate is off."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, 1.0, (len(slopes), n))
    wide = 1 + 0.5 * np.abs(x[0] - 2)
    return level + np.array(slopes) @ x + noise * wide * rng.standard_normal(n), x


def joint(rows: Rows) -> JointMoments:
    return JointMoments.of(rows[0], *rows[1])


CASES = [
    (draw(1, 400, [1.0]), draw(2, 300, [0.3], noise=2, level=1)),
    (draw(3, 900, [1.0, -2.0]), draw(4, 150, [0.3, 1.0], level=1)),
    (draw(5, 30, [1.0, 0.0, 1.0]), draw(6, 40, [2.0, 1.0, 0.0])),
]
ids = ["one", "two", "three"]


def population_term(control: Rows, treatment: Rows, change: Array) -> float:
    """What the slopes' difference makes of the chance of each arm's covariates, from rows."""
    units = control[0].size + treatment[0].size
    return sum(
        float(np.var(change @ x, ddof=1)) * y.size / units**2 for y, x in (control, treatment)
    )


@pytest.mark.parametrize(("control", "treatment"), CASES, ids=ids)
def test_equals_the_interacted_regression(control: Rows, treatment: Rows) -> None:
    """Effect to 1e-9; se but for the population term within 3 % of HC2 and HC3, 10 % of HC3 at
    n = 70 with three covariates: the residuals' spread depends on x here, moments cannot know.
    """
    y, x = np.concatenate([control[0], treatment[0]]), np.hstack([control[1], treatment[1]])
    arm = np.repeat([0.0, 1.0], [control[0].size, treatment[0].size])
    centred = (x.T - x.mean(axis=1)).T
    design = np.column_stack([np.ones(y.size), arm, *centred, *(centred * arm)])
    fit = sm.OLS(y, design).fit()
    found = lin(joint(control), joint(treatment))
    k = len(x)
    assert found.treatment.mean - found.control.mean == pytest.approx(fit.params[1], rel=1e-9)
    assert found.control.mean == pytest.approx(fit.params[0], rel=1e-9)
    assert found.theta_control == pytest.approx(fit.params[2 : 2 + k], rel=1e-8, abs=1e-9)
    change = np.subtract(found.theta_treatment, found.theta_control)
    assert change == pytest.approx(fit.params[2 + k :], rel=1e-8, abs=1e-9)
    square = welch(found.control, found.treatment).se ** 2
    se = sqrt(square - population_term(control, treatment, change))
    tolerance = 0.03 if y.size > 100 else 0.1
    assert se == pytest.approx(fit.HC2_se[1], rel=tolerance)
    assert se == pytest.approx(fit.HC3_se[1], rel=tolerance)


@pytest.mark.parametrize(("control", "treatment"), CASES, ids=ids)
def test_the_variance_is_that_of_each_arms_fit_and_of_the_population(
    control: Rows, treatment: Rows
) -> None:
    """statsmodels: the standard error of the fitted value at the common mean, arm by arm."""
    mean = np.hstack([control[1], treatment[1]]).mean(axis=1)
    square = 0.0
    for y, x in (control, treatment):
        fit = sm.OLS(y, np.column_stack([np.ones(y.size), x.T])).fit()
        square += float(fit.get_prediction(np.array([[1, *mean]])).se_mean[0]) ** 2
    found = lin(joint(control), joint(treatment))
    change = np.subtract(found.theta_treatment, found.theta_control)
    expected = square + population_term(control, treatment, change)
    assert welch(found.control, found.treatment).se == pytest.approx(sqrt(expected), rel=1e-9)


def test_the_interval_covers_the_effect_on_units_to_come() -> None:
    """Slopes 3 and -3: .95 +- three errors of 2,000 simulations; .465 without the second term.

    The effect on the population is 0 and varies with the sample's covariates. From the formula:
    residuals 2/n, population term 36/(2n), so that without it 1.96 / sqrt(10) deviations hold.
    """
    rng, sims, n = np.random.default_rng(8), 2_000, 100
    covered = bare = 0
    for _ in range(sims):
        x = rng.standard_normal((2, n))
        y = np.array([[3.0], [-3.0]]) * x + rng.standard_normal((2, n))
        found = lin(JointMoments.of(y[0], x[0]), JointMoments.of(y[1], x[1]))
        look = welch(found.control, found.treatment)
        covered += look.lower <= 0 <= look.upper
        bare += abs(look.effect) <= 1.96 * sqrt(2 / n)
    assert covered / sims == pytest.approx(0.95, abs=3 * sqrt(0.05 * 0.95 / sims))
    assert bare / sims == pytest.approx(0.465, abs=0.04)


def test_own_slopes_gain_where_one_slope_loses() -> None:
    """Slopes 2 and -2 at nine to one: the pooled slope 1.6 is wrong for the small arm.

    By hand: raw variances 5 and 5; cuped 1 + 0.4^2 and 1 + 3.6^2; lin 1 + (4 * 0.9)^2 and
    1 + (4 * 0.1)^2 but for the slopes' own estimation (0.1 %), over 9,000 and 1,000 units.
    """
    control = JointMoments(9_000, (0.0, 0.0), ((5.0, 2.0), (2.0, 1.0)))
    treatment = JointMoments(1_000, (0.0, 0.0), ((5.0, -2.0), (-2.0, 1.0)))
    raw = 5 / 9_000 + 5 / 1_000
    one = (1 + 0.4**2) / 9_000 + (1 + 3.6**2) / 1_000
    own = (1 + 3.6**2) / 9_000 + (1 + 0.4**2) / 1_000
    pooled = cuped(control, treatment).variance_removed
    assert pooled == pytest.approx(1 - one / raw, abs=0.002)
    assert lin(control, treatment).variance_removed == pytest.approx(1 - own / raw, abs=0.002)
    assert pooled < 0 < 1 - own / raw


def test_with_one_slope_it_is_cuped() -> None:
    cov = ((2.0, 1.0), (1.0, 1.0))
    arms = JointMoments(5_000, (1.0, 3.0), cov), JointMoments(9_000, (1.3, 3.1), cov)
    one, own = cuped(*arms), lin(*arms)
    assert own.treatment.mean == pytest.approx(one.treatment.mean)
    assert own.treatment.var == pytest.approx(one.treatment.var, rel=0.003)


def test_a_covariate_constant_in_one_arm_only() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((2, 40))
    found = lin(JointMoments.of(y, np.ones(40)), JointMoments.of(y + x, x))
    assert found.theta_control == (0.0,)
    assert found.control.mean == found.raw_control.mean
    assert found.theta_treatment[0] == pytest.approx(np.polyfit(x, y + x, 1)[0])


numbers = st.floats(-10, 10).map(lambda x: round(x, 2))


@st.composite
def arms(draw: st.DrawFn) -> JointMoments:
    root = np.array(draw(st.lists(numbers, min_size=9, max_size=9))).reshape(3, 3)
    mean = draw(st.tuples(numbers, numbers, numbers))
    cov = (root @ root.T + np.diag([0, 1e-3, 1e-3])).tolist()
    return JointMoments(draw(st.integers(4, 10**6)), mean, tuple(map(tuple, cov)))


@given(arms(), arms())
def test_properties(control: JointMoments, treatment: JointMoments) -> None:
    found, mirrored = lin(control, treatment), lin(treatment, control)
    assert mirrored.control.mean == pytest.approx(found.treatment.mean, rel=1e-9, abs=1e-9)
    assert mirrored.control.var == pytest.approx(found.treatment.var, rel=1e-6, abs=1e-6)
    assert found.variance_removed <= 1
    more = [JointMoments(arm.n * 9, arm.mean, arm.cov) for arm in (control, treatment)]
    before, after = (welch(a.control, a.treatment).se for a in (found, lin(*more)))
    assert after <= before
    moved = JointMoments(treatment.n, (treatment.mean[0] + 5, *treatment.mean[1:]), treatment.cov)
    assert lin(control, moved).treatment.mean - 5 == pytest.approx(
        found.treatment.mean, rel=1e-9, abs=1e-9
    )


def test_an_arm_needs_a_unit_more_than_coefficients() -> None:
    arm = JointMoments(9, (0.0, 0.0), ((1.0, 0.5), (0.5, 1.0)))
    few = JointMoments(2, (0.0, 0.0), ((1.0, 0.5), (0.5, 1.0)))
    with pytest.raises(ValueError, match="n of treatment must be >= 3, got 2"):
        lin(arm, few)
    with pytest.raises(ValueError, match="control must have a metric and >= 1 covariate, got 1"):
        lin(JointMoments(9, (0.0,), ((1.0,),)), arm)
    assert lin(arm, JointMoments(3, *(few.mean, few.cov))).treatment.n == 3
