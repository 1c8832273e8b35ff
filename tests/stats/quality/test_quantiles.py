"""Differences of quantiles: scipy's binomial, statsmodels' Newcombe and simulations bear witness.

The full simulations behind the short ones here, of 400 runs each: 95 % intervals cover 97 to 100 %
over three distributions, three quantiles and n of 500, 2,000 and 20,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, inf, log, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom, norm
from statsmodels.stats.proportion import (  # type: ignore[import-untyped]
    confint_proportions_2indep,
    proportion_confint,
)

from palio.stats import Moments, compare, welch
from palio.stats.quality.histogram import LogHistogram, log_bins
from palio.stats.quality.quantiles import (
    Side,
    joined_difference,
    least_units,
    quantile_difference,
    quantile_moments,
)

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

samples = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=60)
quantiles = st.sampled_from([0.05, 0.5, 0.9, 0.99])
alternatives = st.sampled_from(["two-sided", "larger", "smaller"])
ZEROS = LogHistogram.of(np.zeros(1000))


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.lognormal(0.0, 1.0, shape)


def exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.exponential(1.0, shape)


def latency(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Nine fast requests around 20 ms to each slow one around 150 ms."""
    slow = rng.random(shape) < 0.1
    return np.where(slow, rng.lognormal(5.0, 0.5, shape), rng.lognormal(3.0, 0.3, shape))


def true_latency(q: float) -> float:
    def excess(x: float) -> float:
        return float(0.9 * norm.cdf(log(x), 3, 0.3) + 0.1 * norm.cdf(log(x), 5, 0.5) - q)

    return float(brentq(excess, 1, 10_000))


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize(("n", "q"), [(50, 0.5), (500, 0.95), (3_000, 0.99), (77, 0.1)])
def test_an_arm_against_zeros_has_the_interval_between_order_statistics(
    n: int, q: float, alpha: float
) -> None:
    """Ranks by scipy's binomial; bins of 0.01 % leave the edges 0.02 % off at most."""
    values = np.sort(np.random.default_rng(1).lognormal(0, 1, n))
    found = quantile_difference(ZEROS, LogHistogram.of(values, accuracy=1e-4), q, alpha=alpha)
    first, last = binom.ppf(alpha / 2, n, q), binom.isf(alpha / 2, n, q) + 1
    assert found.lower == pytest.approx(values[int(first) - 1], rel=2.1e-4)
    assert found.upper == pytest.approx(values[int(last) - 1], rel=2.1e-4)
    assert found.lower <= values[int(first) - 1]
    assert found.upper >= values[int(last) - 1]


@pytest.mark.parametrize(("x", "n", "y", "m"), [(12, 100, 20, 120), (1, 30, 9, 40)])
def test_joined_wilson_intervals_are_newcombes(x: int, n: int, y: int, m: int) -> None:
    """statsmodels' method ``newcomb`` is MOVER of two Wilson intervals."""

    def wilson(successes: int, trials: int) -> Side:
        def bound(tail: float, at: int) -> float:
            return float(proportion_confint(successes, trials, 2 * tail, method="wilson")[at])

        share = successes / trials
        return Side(share, share, lambda tail: bound(tail, 0), lambda tail: bound(tail, 1))

    found = joined_difference(wilson(x, n), wilson(y, m), effect=y / m - x / n, se=0.1)
    theirs = confint_proportions_2indep(y, m, x, n, method="newcomb", compare="diff")
    assert (found.lower, found.upper) == pytest.approx(theirs, rel=1e-9)
    at_p = confint_proportions_2indep(
        y, m, x, n, method="newcomb", compare="diff", alpha=found.p_value
    )
    assert min(abs(bound) for bound in at_p) == pytest.approx(0, abs=1e-8)


COVERAGES = [
    (lognormal, lambda q: exp(norm.ppf(q)), 500),
    (exponential, lambda q: -log(1 - q), 2_000),
    (latency, true_latency, 2_000),
]


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("draw", "true", "n"), COVERAGES)
def test_the_interval_covers(draw: Draw, true: Callable[[float], float], n: int, q: float) -> None:
    """At least 95 % less four standard errors, 7.1 points, of 150 simulations."""
    rng, truth, covered = np.random.default_rng(2), 0.2 * true(q), 0
    for _ in range(150):
        control, treatment = draw(rng, (n,)), 1.2 * draw(rng, (n,))
        found = quantile_difference(LogHistogram.of(control), LogHistogram.of(treatment), q)
        covered += found.lower <= truth <= found.upper
    assert covered / 150 >= 0.879


def looks_of(values: Array) -> Iterator[LogHistogram]:
    """Histograms at every look, from values (looks, units a look); coarse ones, for speed."""
    bins = log_bins(values.ravel(), accuracy=0.03).reshape(values.shape)
    first, span = bins.min(), bins.max() - bins.min() + 1
    counts = [np.bincount(row - first, minlength=span) for row in bins]
    for row in np.cumsum(counts, axis=0):
        at = np.flatnonzero(row)
        pairs = zip((at + first).tolist(), row[at].tolist(), strict=True)
        yield LogHistogram(0.03, tuple(pairs))


def rejected(draw: Draw, q: float, sims: int) -> tuple[float, float]:
    """Shares of simulations in which `compare`, and Welch at each of 100 looks, ever reject."""
    rng, ours, naive = np.random.default_rng(3), 0, 0
    for _ in range(sims):
        arms = [looks_of(draw(rng, (100, 100))) for _ in range(2)]
        looks = [
            (quantile_moments(a, q), quantile_moments(b, q)) for a, b in zip(*arms, strict=True)
        ]
        ours += any(compare(a, b, horizon=20_000).significant for a, b in looks)
        naive += any(welch(a, b).p_value <= 0.05 for a, b in looks)
    return ours / sims, naive / sims


def gap(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """No values between 30 and 300: p90 lies at the edge of this gap."""
    slow = rng.random(shape) < 0.1
    return np.where(slow, rng.lognormal(6.0, 0.1, shape), rng.lognormal(3.0, 0.1, shape))


@pytest.mark.parametrize(("draw", "q"), [(lognormal, 0.95), (gap, 0.9)])
def test_the_level_holds_over_a_hundred_looks(draw: Draw, q: float) -> None:
    """At most 5 % and three standard errors, 4.6 points, of 200 runs; Welch exceeds it."""
    ours, naive = rejected(draw, q, 200)
    assert ours <= 0.096
    assert naive > 0.096


def test_the_moments_have_the_standard_error_of_theory() -> None:
    """``sqrt(q (1-q)) / f`` is 1 for the median of Exp(1), f = 1/2, and 4.36 for p95, f = 0.05.

    The larger side exceeds it: 10 % and 15 % allowed at 40,000 values.
    """
    histogram = LogHistogram.of(np.random.default_rng(4).exponential(1, 40_000))
    for q, theory, slack in ((0.5, 1.0, 0.1), (0.95, sqrt(0.95 * 0.05) / 0.05, 0.15)):
        found = quantile_moments(histogram, q)
        assert found.n == 40_000
        assert theory * 0.93 <= sqrt(found.var) <= theory * (1 + slack)
        assert found.mean == pytest.approx(-log(1 - q), abs=4 * theory / 200)


@given(samples, quantiles)
def test_the_quantile_is_in_the_bin_of_the_empirical_one(values: list[float], q: float) -> None:
    histogram = LogHistogram.of(values)
    found = quantile_difference(ZEROS, histogram, q)
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    assert abs(found.effect - exact) <= 0.0203 * abs(exact)
    assert found.se >= 0


def test_few_units_leave_the_bound_open() -> None:
    """0.99^50 = 0.6 > 0.025: no order statistic of 50 bounds p99 from above."""
    few = LogHistogram.of(np.arange(1.0, 51.0))
    found = quantile_difference(ZEROS, few, 0.99)
    assert (found.lower > 40, found.upper) == (True, inf)
    assert quantile_difference(few, ZEROS, 0.99).lower == -inf
    assert quantile_difference(few, few, 0.99).p_value == 1


def test_one_value_all_over_is_known_to_its_bin() -> None:
    """No density: the order statistics bound it, the moments take the bin for its spread."""
    ones, twos = LogHistogram.of(np.ones(200)), LogHistogram.of(np.full(200, 2.0))
    found = quantile_difference(ones, twos, 0.5)
    assert (found.lower, found.upper) == pytest.approx((1, 1), abs=0.07)
    assert found.p_value < 1e-20
    assert 0 < quantile_moments(ones, 0.5).var < 0.001
    assert quantile_moments(ZEROS, 0.5) == Moments(1000, 0.0, 0.0)


@given(samples, samples, quantiles, st.floats(0.001, 0.5))
def test_properties(one: list[float], two: list[float], q: float, alpha: float) -> None:
    a, b = LogHistogram.of(one), LogHistogram.of(two)
    for null in (0.0, 1000.0):
        found = quantile_difference(a, b, q, alpha=alpha, null=null)
        assert found.lower <= found.effect <= found.upper
        assert (found.p_value <= alpha) == (found.lower > null or found.upper < null)
        mirrored = quantile_difference(b, a, q, alpha=alpha, null=-null)
        assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
        assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-9)
    wider = quantile_difference(a, b, q, alpha=alpha / 2)
    assert wider.lower <= found.lower
    assert found.upper <= wider.upper


@given(samples, samples, st.floats(0.01, 0.9), st.sampled_from([0.0, 1000.0]))
def test_one_sided_properties(
    one: list[float], two: list[float], alpha: float, null: float
) -> None:
    a, b = LogHistogram.of(one), LogHistogram.of(two)
    larger = quantile_difference(a, b, 0.5, alpha=alpha, alternative="larger", null=null)
    smaller = quantile_difference(b, a, 0.5, alpha=alpha, alternative="smaller", null=-null)
    assert larger.lower == -smaller.upper <= larger.effect
    assert (larger.upper, smaller.lower) == (inf, -inf)
    assert (larger.p_value <= alpha) == (larger.lower > null)
    assert larger.p_value == pytest.approx(smaller.p_value, rel=1e-9)
    if alpha < 0.5:
        both = quantile_difference(a, b, 0.5, alpha=2 * alpha, null=null)
        assert both.lower == larger.lower


def test_more_units_narrow_the_interval() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for n in (300, 1_200, 4_800):
        arms = [LogHistogram.of(rng.lognormal(0, 1, n)) for _ in range(2)]
        found = quantile_difference(arms[0], arms[1], 0.9)
        widths.append(found.upper - found.lower)
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize(
    ("q", "n"), [(0.5, 4), (0.95, 76), (0.05, 76), (0.99, 396), (0.999, 3_996)]
)
def test_least_units_are_those_whose_ranks_exist(q: float, n: int) -> None:
    assert least_units(q) == n
    tail = min(q, 1 - q)
    assert n * tail >= 2 * sqrt(n * q * (1 - q)) - 1e-9
    assert (n - 1) * tail < 2 * sqrt((n - 1) * q * (1 - q))
    quantile_moments(LogHistogram.of(np.arange(n)), q)
    with pytest.raises(ValueError, match=rf"for q = {q}, must be a whole number >= {n}, got"):
        quantile_moments(LogHistogram.of(np.arange(n - 1)), q)


def test_huge_values_are_refused_where_the_variance_overflows() -> None:
    huge = LogHistogram.of(np.linspace(1e300, 1e308, 100))
    with pytest.raises(ValueError, match="var must be finite"):
        quantile_moments(huge, 0.5)
    with pytest.raises(ValueError, match="var must be finite"):
        quantile_difference(huge, huge, 0.5)


def test_arguments_outside_the_range_are_named() -> None:
    arm, one = LogHistogram.of(np.arange(100)), LogHistogram.of([1.0])
    for q in (0.0, 1.0, nan, -0.5):
        for call in (lambda q=q: least_units(q), lambda q=q: quantile_difference(arm, arm, q)):
            with pytest.raises(ValueError, match=r"q must be in \[1e-06, 0.999999\], got"):
                call()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\), got 0.0"),
        ({"alpha": nan}, r"alpha must be in \(0, 1\), got nan"),
        ({"null": inf}, "null must be finite, got inf"),
        ({"alternative": "less"}, "alternative must be two-sided, larger or smaller, got 'less'"),
    ]
    for arguments, says in refused:
        with pytest.raises(ValueError, match=says):
            quantile_difference(arm, arm, 0.5, **arguments)
    with pytest.raises(ValueError, match="n of control must be a whole number >= 2, got 1"):
        quantile_difference(one, arm, 0.5)
    with pytest.raises(ValueError, match="n of treatment must be a whole number >= 2, got 1"):
        quantile_difference(arm, one, 0.5)
    side = Side(0.0, 0.0, float, float)
    with pytest.raises(ValueError, match="effect must be finite, got inf"):
        joined_difference(side, side, effect=inf, se=1.0)
    with pytest.raises(ValueError, match="se must be finite and >= 0, got -1"):
        joined_difference(side, side, effect=0.0, se=-1.0)
