"""Ratios by the delta method: statsmodels' sandwiches are the witness, simulations cover."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from palio.stats.anytime.sequential import compare
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.one_look.means import relative, welch
from palio.stats.ratios import ratio

Array = NDArray[np.float64]


def orders(rng: np.random.Generator, users: int, lift: float = 0.0) -> tuple[Array, Array]:
    """Revenue and orders a user; who orders more pays more an order, so that they correlate."""
    count = 1.0 + rng.poisson(2.0, users)
    return count * (5.0 + lift + 0.5 * count + rng.normal(0, 2, users)), count


def test_the_standard_error_equals_statsmodels() -> None:
    """A ratio of sums is a weighted mean: the robust sandwich with n / (n - 1), HC1, is its."""
    top, bottom = orders(np.random.default_rng(1), 300)
    found = ratio(JointMoments.of(top, bottom))
    fit = sm.WLS(top / bottom, np.ones(300), weights=bottom).fit(cov_type="HC1")
    assert found.mean == pytest.approx(fit.params[0], rel=1e-12)
    assert sqrt(found.var / found.n) == pytest.approx(fit.bse[0], rel=1e-9)
    assert found.n == 300


def clusters(
    rng: np.random.Generator, groups: int, shift: float
) -> tuple[list[Array], tuple[Array, Array]]:
    """Rows of each cluster, and what is kept of them: their sums and counts."""
    rows = [
        rng.normal(shift + rng.normal(0, 1), 1.0, size) for size in rng.integers(1, 12, groups)
    ]
    return rows, (np.array([r.sum() for r in rows]), np.array([float(r.size) for r in rows]))


def test_clusters_equal_the_clustered_ols_of_statsmodels() -> None:
    """With the factor G / (G - 1) of each arm on its own, as the docstring says."""
    rng = np.random.default_rng(2)
    rows_c, kept_c = clusters(rng, 25, 0.0)
    rows_t, kept_t = clusters(rng, 40, 0.4)
    rows = rows_c + rows_t
    arm = np.repeat([0.0, 1.0], [sum(r.size for r in rows_c), sum(r.size for r in rows_t)])
    label = np.repeat(np.arange(65), [r.size for r in rows])
    model = sm.OLS(np.concatenate(rows), sm.add_constant(arm))
    options = {"groups": label, "use_correction": False}
    fit = model.fit(cov_type="cluster", cov_kwds=options)
    control, treatment = ratio(JointMoments.of(*kept_c)), ratio(JointMoments.of(*kept_t))
    ours = welch(control, treatment)
    assert ours.effect == pytest.approx(fit.params[1], rel=1e-9)
    cov = fit.cov_params()
    square_c, square_t = cov[0, 0], cov[1, 1] - cov[0, 0]  # of the two means, independent
    assert ours.se == pytest.approx(sqrt(square_c * 25 / 24 + square_t * 40 / 39), rel=1e-9)
    usual = model.fit(cov_type="cluster", cov_kwds={"groups": label}).bse[1]
    assert usual == pytest.approx(ours.se, rel=1.5 / 65)
    assert usual < ours.se


def test_clusters_of_one_row_are_welch() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 30), rng.normal(0.5, 2, 20)
    arms = [ratio(JointMoments.of(values, np.ones(values.size))) for values in (a, b)]
    theirs = ttest_ind(b, a, equal_var=False)
    assert welch(*arms).p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert arms[0].var == pytest.approx(Moments.of(a).var)


def test_the_interval_covers() -> None:
    """Revenue an order, a lift of 1: 95 % +- three standard errors of 2,000 simulations.

    The true ratio is E[revenue] / E[orders] = 5 + lift + E[count^2] / (2 E[count]); it cancels
    from the difference. The relative lift divides by that of control: E[count^2] = 2 + 9.
    """
    rng, sims = np.random.default_rng(4), 2_000
    covered, covered_lift = 0, 0
    for _ in range(sims):
        control = ratio(JointMoments.of(*orders(rng, 300)))
        treatment = ratio(JointMoments.of(*orders(rng, 300, lift=1.0)))
        look, lift = welch(control, treatment), relative(control, treatment)
        covered += look.lower <= 1.0 <= look.upper
        covered_lift += lift.lower <= 1 / (5 + 11 / 6) <= lift.upper
    assert covered / sims == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / sims))
    assert covered_lift / sims == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / sims))


def test_a_sequential_rule_takes_it() -> None:
    rng = np.random.default_rng(5)
    control, treatment = (ratio(JointMoments.of(*orders(rng, 500, lift))) for lift in (0.0, 2.0))
    look, found = welch(control, treatment), compare(control, treatment, planned=1_000)
    assert found.effect == look.effect
    assert found.se >= look.se
    assert found.lower < look.lower < look.upper < found.upper


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.floats(1, 100)), min_size=2, max_size=20
    ),
    st.floats(0.1, 10),
)  # fmt: skip
def test_units_of_measurement_do_not_matter(
    units: list[tuple[float, float]], factor: float
) -> None:
    top, bottom = np.array(units).T
    found = ratio(JointMoments.of(top, bottom))
    scaled = ratio(JointMoments.of(top * factor, bottom))
    halved = ratio(JointMoments.of(top, bottom * 2))
    assert scaled.mean == pytest.approx(factor * found.mean, rel=1e-9, abs=1e-12)
    assert scaled.var == pytest.approx(factor**2 * found.var, rel=1e-6, abs=1e-9)
    assert halved.mean == pytest.approx(found.mean / 2, rel=1e-9, abs=1e-12)
    assert halved.var == pytest.approx(found.var / 4, rel=1e-6, abs=1e-9)
    residual = top - found.mean * bottom
    assert found.var == pytest.approx(
        residual.var(ddof=1) / bottom.mean() ** 2, rel=1e-6, abs=1e-6
    )


def test_a_fixed_price_has_no_variance_below_zero() -> None:
    """Numerator a multiple of the denominator: rounding may not make the variance negative."""
    bottom = np.random.default_rng(6).uniform(1, 9, 1_000)
    for price in np.linspace(0.1, 9.9, 50):
        found = ratio(JointMoments.of(price * bottom, bottom))
        assert found.mean == pytest.approx(price, rel=1e-12)
        assert 0 <= found.var <= 1e-12


UNIT = ((1.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (JointMoments(9, (1.0,), ((1.0,),)), "joint must have 2 values a unit, got 1"),
        (JointMoments(1, (1.0, 1.0), UNIT), "n must be a whole number >= 2, got 1"),
        (JointMoments(9, (1.0, 0.0), UNIT), "mean of the denominator must be far .* got 0.0"),
        (JointMoments(9, (1.0, 5e-324), UNIT), "mean of the denominator must be far .* got 5e-32"),
        (JointMoments(9, (1e-9, 1e-160), UNIT), "var must be finite and >= 0, got"),
    ],
)
def test_what_cannot_be_divided_is_named(joint: JointMoments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratio(joint)
