"""Welch: scipy is the witness; the relative effect is checked against a numerical gradient."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_ind_from_stats

from palio.stats import Moments, welch

arms = st.builds(Moments, st.integers(2, 10**6), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))


@given(arms, arms, st.floats(0.001, 0.5))
def test_equals_scipy(control: Moments, treatment: Moments, alpha: float) -> None:
    ours = welch(control, treatment, alpha=alpha)
    theirs = ttest_ind_from_stats(
        treatment.mean, sqrt(treatment.var), treatment.n,
        control.mean, sqrt(control.var), control.n, equal_var=False,
    )  # fmt: skip
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-300)
    assert ours.effect / ours.se == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    bounds = student.interval(1 - alpha, ours.df, loc=ours.effect, scale=ours.se)
    assert (ours.lower, ours.upper) == pytest.approx(bounds, rel=1e-6)


def test_interval_equals_scipy_from_raw_values() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 50), rng.normal(1, 3, 20)
    ours = welch(Moments.of(a), Moments.of(b), alpha=0.1)
    from_stats = ttest_ind_from_stats(
        b.mean(), b.std(ddof=1), b.size, a.mean(), a.std(ddof=1), a.size, equal_var=False
    )
    assert ours.p_value == pytest.approx(from_stats.pvalue, rel=1e-9)
    assert welch(Moments.of(b), Moments.of(a), alpha=0.1).lower == pytest.approx(-ours.upper)


@given(arms.filter(lambda arm: abs(arm.mean) > 0.1), arms)
def test_relative_effect_is_the_delta_method(control: Moments, treatment: Moments) -> None:
    """Gradient of b/a by central differences, with the variances of the means."""
    a, b = control.mean, treatment.mean
    step = 1e-6 * abs(a)
    slope_a, slope_b = (b / (a + step) - b / (a - step)) / (2 * step), 1 / a
    se = sqrt(slope_a**2 * control.var / control.n + slope_b**2 * treatment.var / treatment.n)
    ours = welch(control, treatment)
    assert ours.relative is not None
    assert ours.relative.effect == pytest.approx(b / a - 1, rel=1e-9, abs=1e-9)
    assert ours.relative.se == pytest.approx(se, rel=1e-6)
    half = float(student.ppf(0.975, ours.df)) * ours.relative.se
    assert ours.relative.upper - ours.relative.effect == pytest.approx(half, rel=1e-6)
    assert ours.relative.lower <= ours.relative.effect <= ours.relative.upper


def test_relative_interval_covers() -> None:
    """Lift of 10 % on a mean of 10: 95 % +- three standard errors of 4,000 simulations."""
    rng, sims = np.random.default_rng(11), 4_000
    covered = 0
    for mean_c, mean_t in rng.normal([10.0, 11.0], 4.0 / sqrt(400), (sims, 2)):
        relative = welch(Moments(400, mean_c, 16.0), Moments(400, mean_t, 16.0)).relative
        assert relative is not None
        covered += relative.lower <= 0.1 <= relative.upper
    assert covered / sims == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / sims))


def test_without_a_baseline_there_is_no_relative_effect() -> None:
    assert welch(Moments(9, 0.0, 1.0), Moments(9, 1.0, 1.0)).relative is None
    assert welch(Moments(9, 5e-324, 1.0), Moments(9, 1.0, 1.0)).relative is None


def test_without_variance_there_is_no_verdict() -> None:
    found = welch(Moments(9, 1.0, 0.0), Moments(9, 2.0, 0.0))
    assert (found.effect, found.lower, found.upper, found.p_value) == (1.0, -inf, inf, 1.0)


def test_arguments_outside_the_range_are_named() -> None:
    arm = Moments(9, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 1"):
        welch(arm, arm, alpha=1.0)
    with pytest.raises(ValueError, match="n of treatment must be >= 2, got 1"):
        welch(arm, Moments(1, 0.0, 0.0))
