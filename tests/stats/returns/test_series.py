"""Moments of returns: scipy and numpy are the witnesses; merging equals concatenating."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kurtosis, skew
from statsmodels.tsa.stattools import acf

from palio.stats.returns.series import (
    ReturnMoments,
    autocorrelations,
    maximum_drawdown,
    win_rate,
)

values = st.lists(st.integers(-1000, 1000).map(lambda x: x / 64), max_size=30)
varying = values.filter(lambda x: len(set(x)) > 1)


@given(varying)
def test_equals_scipy(returns: list[float]) -> None:
    found = ReturnMoments.of(returns)
    array = np.array(returns)
    assert (found.n, found.mean) == (array.size, pytest.approx(array.mean(), abs=1e-12))
    assert found.std == pytest.approx(array.std(ddof=1), rel=1e-9)
    assert found.skewness == pytest.approx(skew(array), rel=1e-9, abs=1e-9)
    assert found.kurtosis == pytest.approx(kurtosis(array, fisher=False), rel=1e-9)
    assert found.sharpe == pytest.approx(array.mean() / array.std(ddof=1), rel=1e-9, abs=1e-12)
    assert found.standardise(array).std() == pytest.approx(1, rel=1e-9)


@given(values, values, st.sampled_from([0.0, 1e6]))
def test_merging_is_concatenating(one: list[float], two: list[float], shift: float) -> None:
    a, b = np.array(one) + shift, np.array(two) - shift
    merged = ReturnMoments.of(a).merge(ReturnMoments.of(b))
    whole = ReturnMoments.of(np.concatenate([a, b]))
    scale = max(abs(np.concatenate([a, b])), default=0.0) * 2 * max(whole.n, 1)
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, abs=1e-12 * scale)
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-9)
    assert merged.m3 == pytest.approx(whole.m3, rel=1e-9, abs=1e-12 * scale**3)
    assert merged.m4 == pytest.approx(whole.m4, rel=1e-9)


def test_a_large_mean_costs_nothing() -> None:
    """Mean 1e9, deviation 1, a thousand merges; scipy on the deviations is the witness."""
    steps = np.round(np.random.default_rng(3).exponential(1, 10_000) * 1024) / 1024
    found = ReturnMoments.of([])
    for chunk in np.split(1e9 + steps, 1000):
        found = found.merge(ReturnMoments.of(chunk))
    assert found.std == pytest.approx(steps.std(ddof=1), rel=1e-6)
    assert found.skewness == pytest.approx(skew(steps), rel=1e-6)
    assert found.kurtosis == pytest.approx(kurtosis(steps, fisher=False), rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, -1e9])
def test_without_variance_there_is_no_ratio(value: float) -> None:
    constant = ReturnMoments.of([value] * 7).merge(ReturnMoments.of([value] * 10))
    assert (constant.mean, constant.std, constant.m4) == (value, 0.0, 0.0)
    for name in ("sharpe", "skewness", "kurtosis"):
        with pytest.raises(ValueError, match="returns must vary, got 17 around"):
            getattr(constant, name)
    with pytest.raises(ValueError, match=r"returns must vary, got 2 around 0\.3"):
        _ = ReturnMoments.of([0.1 + 0.2, 0.3]).sharpe  # they differ by rounding alone
    with pytest.raises(ValueError, match="returns must vary"):
        _ = ReturnMoments.of([1e-80, 2e-80]).kurtosis  # fourth powers underflow


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.001, 0.5))
def test_win_rate_equals_scipy(wins: int, n: int, alpha: float) -> None:
    found = win_rate(min(wins, n), n, alpha=alpha)
    theirs = binomtest(min(wins, n), n).proportion_ci(1 - alpha, method="wilson")
    assert (found.lower, found.upper) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= found.lower <= found.rate <= found.upper <= 1
    mirrored = win_rate(n - min(wins, n), n, alpha=alpha)
    assert (1 - mirrored.upper, 1 - mirrored.lower) == pytest.approx(
        (found.lower, found.upper), abs=1e-12
    )
    more = win_rate(4 * min(wins, n), 4 * n, alpha=alpha)
    assert more.upper - more.lower < found.upper - found.lower


def test_win_rate_covers() -> None:
    """30 returns that win with 0.4; exact coverage by scipy's binomial is near 95 %."""
    rng, sims = np.random.default_rng(61), 4_000
    bounds = {k: win_rate(k, 30) for k in range(31)}
    covered = [
        bounds[int(k)].lower <= 0.4 <= bounds[int(k)].upper for k in rng.binomial(30, 0.4, sims)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015 + 3 * sqrt(0.95 * 0.05 / sims))


def test_win_rate_at_the_least_alpha() -> None:
    found = win_rate(1, 3, alpha=5e-324)
    assert 0 <= found.lower < 0.001
    assert 0.999 < found.upper <= 1


@given(varying.filter(lambda x: len(x) > 3))
def test_autocorrelations_equal_statsmodels(returns: list[float]) -> None:
    found = autocorrelations(returns, lags=3)
    assert found == pytest.approx(acf(returns, nlags=3, fft=False)[1:], abs=1e-9)
    assert all(-1 <= rho <= 1 for rho in found)


@given(st.lists(st.floats(-1, 3), min_size=1, max_size=20))
def test_drawdown_is_its_definition(returns: list[float]) -> None:
    """Brute force over all pairs of a high and a later point, the start among them."""
    product, total = np.cumprod(np.r_[1.0, 1 + np.array(returns)]), np.cumsum([0.0, *returns])
    pairs = [(i, j) for i in range(len(product)) for j in range(i, len(product))]
    compounded = max(1 - product[j] / product[i] for i, j in pairs if product[i] > 0)
    additive = max(total[i] - total[j] for i, j in pairs)
    assert maximum_drawdown(returns) == pytest.approx(compounded, abs=1e-9)
    assert maximum_drawdown(returns, compounded=False) == pytest.approx(additive, abs=1e-9)
    assert 0 <= maximum_drawdown(returns) <= 1


def test_drawdown_by_hand() -> None:
    """Up to 1.1, down to 0.88 and 0.792, up: 1 - 0.9 * 0.8 of the high are lost."""
    assert maximum_drawdown([0.1, -0.2, -0.1, 0.5]) == pytest.approx(0.28, rel=1e-12)
    assert maximum_drawdown([0.1, -0.2, -0.1, 0.5], compounded=False) == pytest.approx(0.3)
    assert maximum_drawdown([0.1, 0.2]) == 0.0
    assert maximum_drawdown([-0.5]) == pytest.approx(0.5)
    assert maximum_drawdown([0.5, -1.0, 3.0]) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReturnMoments(-1, 0.0, 0.0, 0.0, 0.0), "n must be a whole number >= 0"),
        (lambda: ReturnMoments(3, nan, 0.0, 0.0, 0.0), "mean must be finite"),
        (lambda: ReturnMoments(3, 0.0, -1.0, 0.0, 0.0), "m2 must be finite and >= 0"),
        (lambda: ReturnMoments(3, 0.0, 1.0, inf, 1.0), "m3 must be finite"),
        (lambda: ReturnMoments(3, 0.0, 1.0, 0.0, -1.0), "m4 must be finite and >= 0"),
        (lambda: ReturnMoments(3, 0.0, 6.0, 0.0, 11.0), r"m4 must be in \[m2\^2 / n, m2\^2\]"),
        (lambda: ReturnMoments(3, 0.0, 6.0, 0.0, 37.0), r"m4 must be in \[m2\^2 / n, m2\^2\]"),
        (lambda: ReturnMoments(3, 0.0, 4.0, 9.0, 16.0), r"m3 must be within \+-sqrt\(m2 m4\)"),
        (lambda: ReturnMoments.of([0.1, nan]), "returns must be finite"),
        (lambda: ReturnMoments.of([[0.1]]), "returns must have one dimension"),
        (lambda: ReturnMoments.of([1e200, -1e200]), "m2 must be finite"),
        (lambda: ReturnMoments.of([1e308, -1e308]), "mean must be finite"),
        (lambda: ReturnMoments.of([1e100] * 2).merge(ReturnMoments.of([0.0])), "m4 must be"),
        (lambda: ReturnMoments.of([0.1]).std, "n must be a whole number >= 2, got 1"),
        (lambda: ReturnMoments.of([0.1]).sharpe, "n must be a whole number >= 2, got 1"),
        (lambda: win_rate(0, 0), "n must be a whole number >= 1, got 0"),
        (lambda: win_rate(-1, 3), "wins must be a whole number >= 0, got -1"),
        (lambda: win_rate(4, 3), r"wins must be in \[0, 3\], got 4"),
        (lambda: win_rate(1, 3, alpha=0.0), r"alpha must be in \(0, 1\)"),
        (lambda: autocorrelations([0.1], lags=1), "returns must hold at least 2 values"),
        (lambda: autocorrelations([0.1, 0.2], lags=0), "lags must be a whole number >= 1"),
        (lambda: autocorrelations([0.1, 0.2], lags=2), r"lags must be in \[1, 1\], got 2"),
        (lambda: autocorrelations([0.1, 0.1], lags=1), "returns must vary"),
        (lambda: maximum_drawdown([]), "returns must hold at least 1 values"),
        (lambda: maximum_drawdown([inf]), "returns must be finite"),
        (lambda: maximum_drawdown([-1.5]), "returns must be >= -1 to compound, got -1.5"),
        (lambda: maximum_drawdown([-1e308] * 2, compounded=False), "drawdown must be finite"),
    ],
)
def test_arguments_outside_the_range_are_named(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
