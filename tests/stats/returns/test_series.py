"""Moments of returns: scipy and numpy are the witnesses; merging equals concatenating."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, kurtosis, skew
from statsmodels.tsa.stattools import acf

from palio.stats.joint import JointMoments
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


def pair(returns: NDArray[np.float64], shift: float = 0.0) -> JointMoments:
    """Joint moments of the shifted returns and their squares."""
    near = returns - shift
    return JointMoments.of(near, near * near)


def raw_pair(returns: NDArray[np.float64], shift: float = 0.0) -> JointMoments:
    """The same from raw sums and products, as a store keeps them."""
    columns = np.stack([returns - shift, (returns - shift) ** 2])
    return JointMoments.from_sums(
        returns.size, (0.0, 0.0), columns.sum(axis=1), columns @ columns.T
    )


@given(values, st.sampled_from([0.0, 0.5, -3.0]))
def test_a_return_and_its_square_give_the_same_moments(returns: list[float], shift: float) -> None:
    array = np.array(returns)
    found, of = ReturnMoments.from_joint(pair(array, shift), shift=shift), ReturnMoments.of(array)
    scale = max(abs(array), default=0.0) + 3
    assert (found.n, found.mean) == (of.n, pytest.approx(of.mean, abs=1e-13 * scale))
    assert found.m2 == pytest.approx(of.m2, rel=1e-9)
    assert found.m3 == pytest.approx(of.m3, rel=1e-9, abs=1e-12 * scale**3)
    assert found.m4 == pytest.approx(of.m4, rel=1e-9, abs=1e-12 * scale**4)


@given(values.filter(bool), values.filter(bool))
def test_a_store_may_add_and_subtract_pairs(one: list[float], two: list[float]) -> None:
    """Sums of both, less those of the second, are those of the first: multiples of 1/64 are exact
    in sums and products."""
    both = np.stack([np.array(one + two), np.array(one + two) ** 2])
    less = np.stack([np.array(two), np.array(two) ** 2])
    left = JointMoments.from_sums(
        len(one), (0.0, 0.0), both.sum(axis=1) - less.sum(axis=1), both @ both.T - less @ less.T
    )
    assert left == raw_pair(np.array(one))


@pytest.mark.parametrize(
    ("law", "shift", "losses"),
    [
        ((0.001, 0.02), 0.0, (1e-12, 1e-12)),
        ((100.0, 1.0), 0.0, (1e-8, 1e-6)),
        ((100.0, 1.0), 100.0, (1e-12, 1e-12)),
        ((990.0, 1.0), 0.0, (1e-6, 1e-2)),
    ],
)
@pytest.mark.parametrize("n", [200, 100_000])
def test_what_a_far_shift_loses(
    n: int, law: tuple[float, float], shift: float, losses: tuple[float, float]
) -> None:
    """Of centred joint moments and of raw sums; scipy on the deviations is the witness."""
    returns = law[0] + law[1] * (np.random.default_rng(11).exponential(1, n) - 1)
    gaps = returns - returns.mean()
    joints = pair(returns, shift), raw_pair(returns, shift)
    for joint, loss in zip(joints, losses, strict=True):
        found = ReturnMoments.from_joint(joint, shift=shift)
        assert found.kurtosis == pytest.approx(kurtosis(gaps, fisher=False), rel=loss)
        assert found.skewness == pytest.approx(skew(gaps), rel=loss)
        assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=loss)


def test_returns_that_do_not_vary_have_no_pair_to_speak_of() -> None:
    assert ReturnMoments.from_joint(pair(np.full(7, 0.5))) == ReturnMoments(7, 0.5, 0, 0, 0)
    assert ReturnMoments.from_joint(pair(np.array([]))) == ReturnMoments.of([])
    assert ReturnMoments.from_joint(pair(np.array([2.0]), 1.5), shift=1.5).mean == 2.0


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
        (
            lambda: ReturnMoments.from_joint(JointMoments.of([0.1])),
            "joint must have 2 values a unit, got 1",
        ),
        (
            lambda: ReturnMoments.from_joint(pair(np.array([0.1, 0.2])), shift=nan),
            "shift must be finite, got nan",
        ),
        (
            lambda: ReturnMoments.from_joint(JointMoments.of([0.1, 0.2], [0.1, 0.3])),
            r"joint must be of r - shift and \(r - shift\)\^2, whose mean would be 0.025, got 0.2",
        ),
        (
            lambda: ReturnMoments.from_joint(pair(np.array([1e4, 1e4 + 1]))),
            "shift must be within 1000 standard deviations of the mean, .*with mean 10000.5",
        ),
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
