"""Sharpe ratios: the papers' formulas, a paper's example and simulated coverage are witnesses."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kurtosis, norm, skew

from palio.stats.anytime.sequential import compare
from palio.stats.joint import JointMoments
from palio.stats.one_look.means import welch
from palio.stats.returns.series import ReturnMoments
from palio.stats.returns.sharpe import (
    annual_factor,
    probabilistic_sharpe,
    sharpe,
    sharpe_difference,
    sharpe_difference_paired,
    sharpe_moments,
)

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

series = st.lists(
    st.integers(-1000, 1000).map(lambda x: x / 1024), min_size=5, max_size=40, unique=True
)
levels = st.floats(0.001, 0.5)


def moments(n: int, ratio: float, skewness: float, kurt: float) -> ReturnMoments:
    """Unit sample deviation, so that the mean is the ratio."""
    spread = sqrt((n - 1) / n)
    return ReturnMoments(n, ratio, n - 1, skewness * n * spread**3, kurt * n * spread**4)


@given(series, levels)
def test_errors_are_mertens_and_lo(returns: list[float], alpha: float) -> None:
    array = np.array(returns)
    ratio = array.mean() / array.std(ddof=1)
    variance = 1 - skew(array) * ratio + (kurtosis(array, fisher=False) - 1) / 4 * ratio**2
    found = sharpe(ReturnMoments.of(returns), alpha=alpha)
    assert found.effect == pytest.approx(ratio, rel=1e-9, abs=1e-12)
    assert found.se == pytest.approx(sqrt(variance / array.size), rel=1e-6)
    assert found.lower < found.effect < found.upper
    assert (found.p_value <= alpha) == (not found.lower <= 0 <= found.upper)
    mirrored = sharpe(ReturnMoments.of(-array), alpha=alpha)
    assert (-mirrored.upper, -mirrored.lower) == pytest.approx(
        (found.lower, found.upper), rel=1e-9
    )
    lo = sharpe(ReturnMoments.of(returns), normal=True)
    assert lo.se == pytest.approx(sqrt((1 + ratio**2 / 2) / array.size), rel=1e-9)


@given(st.integers(10, 1000), st.floats(-1, 1), st.floats(-1, 1))
def test_intervals_shrink_with_n(n: int, ratio: float, skewness: float) -> None:
    few, many = (sharpe(moments(k * n, ratio, skewness, 4.0)) for k in (1, 4))
    assert few.upper - few.lower == pytest.approx(2 * (many.upper - many.lower), rel=1e-9)


def test_the_scale_goes_through() -> None:
    found = moments(500, 0.1, -1.0, 6.0)
    day, year = sharpe(found), sharpe(found, scale=sqrt(252), null=0.3, alternative="larger")
    assert (year.effect, year.se) == pytest.approx((day.effect * sqrt(252), day.se * sqrt(252)))
    z = (year.effect - 0.3) / year.se
    assert (year.p_value, year.upper) == (pytest.approx(norm.sf(z), rel=1e-9), inf)


def gauss(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(0.1, 1, shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Crashes: 1.1 minus an exponential, skewness -2, kurtosis 9."""
    return 1.1 - rng.exponential(1, shape)


@pytest.mark.parametrize("draw", [gauss, skewed])
def test_intervals_cover(draw: Draw) -> None:
    """500 returns with a ratio of 0.1: 95 % +- three errors of 2,000 and 1 % for the limit."""
    sims = 2_000
    rows = draw(np.random.default_rng(71), (sims, 500))
    found = [sharpe(ReturnMoments.of(row)) for row in rows]
    covered = np.mean([one.lower <= 0.1 <= one.upper for one in found])
    assert covered == pytest.approx(0.95, abs=0.01 + 3 * sqrt(0.95 * 0.05 / sims))
    spread = np.std([one.effect for one in found])
    assert np.mean([one.se for one in found]) == pytest.approx(spread, rel=0.06)


def test_lo_is_wrong_where_returns_are_skewed() -> None:
    """Ratio 1 of crashing returns: Mertens' error meets the simulated one, Lo's falls short."""
    rows = 2 - np.random.default_rng(73).exponential(1, (2_000, 500))
    found = [ReturnMoments.of(row) for row in rows]
    spread = np.std([one.sharpe for one in found])
    assert np.mean([sharpe(one).se for one in found]) == pytest.approx(spread, rel=0.08)
    assert np.mean([sharpe(one, normal=True).se for one in found]) < 0.7 * spread


def test_probabilistic_sharpe_of_the_paper() -> None:
    """Bailey and Lopez de Prado's hedge fund: 24 months, ratio .458, skewness -2.448, kurtosis
    10.164: .913, and .982 had the returns been normal."""
    assert probabilistic_sharpe(moments(24, 0.458, -2.448, 10.164)) == pytest.approx(
        0.913, abs=5e-4
    )
    assert probabilistic_sharpe(moments(24, 0.458, 0.0, 3.0)) == pytest.approx(0.982, abs=5e-4)


@given(series, st.floats(-0.5, 0.5))
def test_probabilistic_sharpe_is_its_formula(returns: list[float], benchmark: float) -> None:
    array = np.array(returns)
    ratio = array.mean() / array.std(ddof=1)
    variance = 1 - skew(array) * ratio + (kurtosis(array, fisher=False) - 1) / 4 * ratio**2
    z = (ratio - benchmark) * sqrt((array.size - 1) / variance)
    found = probabilistic_sharpe(ReturnMoments.of(returns), benchmark=benchmark)
    assert found == pytest.approx(norm.cdf(z), abs=1e-7)


def test_two_valued_returns_may_have_no_error() -> None:
    """Kurtosis 1 + g^2 and S = 2/g make the variance 0: nothing is claimed."""
    assert sharpe(moments(100, 2.0, 1.0, 2.0)).se == pytest.approx(0, abs=1e-8)
    found = sharpe(ReturnMoments(3, 2 * sqrt(1.5), 3.0, 3.0, 6.0 - 2e-6))
    assert (found.se, found.lower, found.upper, found.p_value) == (0.0, -inf, inf, 1.0)


@given(series, series, levels)
def test_independent_variances_add_up(one: list[float], two: list[float], alpha: float) -> None:
    a, b = ReturnMoments.of(one), ReturnMoments.of(two)
    found = sharpe_difference(a, b, scale=2.0, alpha=alpha)
    assert found.effect == pytest.approx(2 * (b.sharpe - a.sharpe), rel=1e-9, abs=1e-12)
    assert found.se == pytest.approx(2 * sqrt(sharpe(a).se ** 2 + sharpe(b).se ** 2), rel=1e-9)
    back = sharpe_difference(b, a, scale=2.0, alpha=alpha)
    assert (-back.upper, -back.lower) == pytest.approx((found.lower, found.upper), rel=1e-9)


@given(series, series)
def test_moments_of_a_ratio_are_its_error(one: list[float], two: list[float]) -> None:
    """Welch's standard error of two of them is that of `sharpe_difference`."""
    a, b = ReturnMoments.of(one), ReturnMoments.of(two)
    found, alone = sharpe_moments(a), sharpe(a)
    assert (found.n, found.mean) == (a.n, alone.effect)
    assert sqrt(found.var / found.n) == pytest.approx(alone.se, rel=1e-12)
    both, apart = welch(found, sharpe_moments(b)), sharpe_difference(a, b)
    assert (both.effect, both.se) == pytest.approx((apart.effect, apart.se), rel=1e-12)


def looks_of(returns: Array) -> list[ReturnMoments]:
    """Moments at each of 50 looks from sums of powers, as a store adds them up; (looks, units)."""
    powers = np.stack([(returns**k).sum(axis=1).cumsum() for k in range(1, 5)]).T.tolist()
    n = (np.arange(returns.shape[0]) + 1) * returns.shape[1]
    return [
        ReturnMoments.from_joint(
            JointMoments.from_sums(int(k), (0.0, 0.0), [s1, s2], [[s2, s3], [s3, s4]])
        )
        for k, (s1, s2, s3, s4) in zip(n, powers, strict=True)
    ]


def test_looking_again_and_again_at_ratios_keeps_the_error_rate() -> None:
    """Two arms with a ratio of 0.3, one normal and one of crashes, at 50 looks to 5,000 returns
    an arm: 5 % of 400 simulations with seed 89 and three standard errors err."""
    rng, sims, wrong = np.random.default_rng(89), 400, 0
    for _ in range(sims):
        control = 0.3 + rng.normal(size=(50, 100))
        treatment = 1.3 - rng.exponential(1, (50, 100))
        arms = zip(looks_of(control), looks_of(treatment), strict=True)
        wrong += any(
            compare(*map(sharpe_moments, pair), horizon=10_000).significant for pair in arms
        )
    assert wrong / sims <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)


def test_a_ratio_that_differs_is_found_as_soon_as_its_error_says() -> None:
    """0.1 against 0.2 with 5,000 returns an arm is five standard errors: found in 95 of 100."""
    rng = np.random.default_rng(97)
    found = 0
    for _ in range(100):
        rows = rng.normal(size=(2, 50, 100)) + np.array([0.1, 0.2])[:, None, None]
        control, treatment = (sharpe_moments(looks_of(arm)[-1]) for arm in rows)
        found += compare(control, treatment, horizon=10_000).significant
    assert found >= 95


@given(series)
def test_paired_with_a_constant_ratio_is_mertens(returns: list[float]) -> None:
    """Against its own mirror image every influence doubles: S - (-S) has twice the error."""
    array = np.array(returns)
    found = sharpe_difference_paired(-array, array, scale=3.0)
    alone = sharpe(ReturnMoments.of(returns), scale=3.0)
    assert found.effect == pytest.approx(2 * alone.effect, rel=1e-9, abs=1e-12)
    assert found.se == pytest.approx(2 * alone.se, rel=1e-6)
    back = sharpe_difference_paired(array, -array, scale=3.0)
    assert (-back.upper, -back.lower) == pytest.approx((found.lower, found.upper))


def test_paired_error_is_memmels_for_normal_returns() -> None:
    """2 - 2 rho + (S1^2 + S2^2 - 2 S1 S2 rho^2) / 2, at 200,000 days within 1 %."""
    rng, n, rho = np.random.default_rng(79), 200_000, 0.8
    first, other = rng.normal(size=(2, n))
    control, treatment = 0.5 + first, 0.9 + rho * first + sqrt(1 - rho**2) * other
    one, two = 0.5, 0.9
    variance = 2 - 2 * rho + 0.5 * (one**2 + two**2 - 2 * one * two * rho**2)
    found = sharpe_difference_paired(control, treatment)
    assert found.se == pytest.approx(sqrt(variance / n), rel=0.01)
    apart = sharpe_difference(ReturnMoments.of(control), ReturnMoments.of(treatment))
    assert found.effect == pytest.approx(apart.effect, rel=1e-9)
    assert found.se < 0.6 * apart.se


def test_paired_intervals_cover() -> None:
    """250 days, skewed, shared shocks: 95 % +- three errors of 2,000 and 1 % for the limit."""
    rng, sims = np.random.default_rng(83), 2_000
    shared = rng.exponential(1, (sims, 250))
    one, two = (0.1 + shared - 2 + rng.exponential(1, shared.shape) for _ in range(2))
    two = two + 0.2
    true = 0.2 / sqrt(2)
    found = [sharpe_difference_paired(a, b) for a, b in zip(one, two, strict=True)]
    covered = np.mean([each.lower <= true <= each.upper for each in found])
    assert covered == pytest.approx(0.95, abs=0.01 + 3 * sqrt(0.95 * 0.05 / sims))


@given(st.integers(1, 300), st.floats(-0.9, 0.9))
def test_annual_factor_of_an_ar1(periods: int, rho: float) -> None:
    """Lo's closed form for autocorrelations rho^k."""
    geometric = (1 - rho**periods) / (periods * (1 - rho))
    expected = sqrt(periods / (1 + 2 * rho / (1 - rho) * (1 - geometric)))
    found = annual_factor(periods, correlations=[rho**k for k in range(1, periods + 5)])
    assert found == pytest.approx(expected, rel=1e-9)
    assert annual_factor(periods) == pytest.approx(sqrt(periods), rel=1e-12)


FINE = ReturnMoments.of([0.1, -0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sharpe(FINE, scale=0.0), "scale must be finite and > 0, got 0"),
        (lambda: sharpe(FINE, alpha=1.0), r"alpha must be in \(0, 1\), got 1"),
        (lambda: sharpe(FINE, null=nan), "null must be finite"),
        (lambda: sharpe(ReturnMoments.of([0.1])), "n must be a whole number >= 2, got 1"),
        (lambda: sharpe(ReturnMoments.of([0.1] * 9)), "returns must vary, got 9 around 0.1"),
        (lambda: probabilistic_sharpe(FINE, benchmark=inf), "benchmark must be finite"),
        (lambda: probabilistic_sharpe(ReturnMoments.of([])), "n must be a whole number >= 2"),
        (lambda: sharpe_difference(FINE, FINE, scale=-1.0), "scale must be finite and > 0"),
        (lambda: sharpe_difference_paired([1, 2], [1]), "of equal length, got 2 and 1"),
        (lambda: sharpe_difference_paired([1, nan], [1, 2]), "control must be finite"),
        (lambda: sharpe_difference_paired([1, 2], [1, 1]), "returns must vary"),
        (
            lambda: sharpe_difference_paired([1, 2], [1, 3], scale=0),
            "scale must be finite and > 0",
        ),
        (lambda: annual_factor(0), "periods must be a whole number >= 1, got 0"),
        (lambda: annual_factor(12, correlations=[0.1, 1.5]), r"correlations\[1\] must be in \[-1"),
        (lambda: annual_factor(2, correlations=[-1.0]), "correlations must leave the sum of 2"),
    ],
)
def test_arguments_outside_the_range_are_named(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
