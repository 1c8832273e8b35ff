"""Ranks: scipy is the witness, brute force over all orders, and simulations for coverage."""

from __future__ import annotations

from itertools import combinations
from math import nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import brunnermunzel, mannwhitneyu, norm
from scipy.stats import t as student

from palio.stats.estimate import Alternative, equivalence
from palio.stats.one_look.ranks import brunner_munzel, mann_whitney

SIDES: tuple[Alternative, ...] = ("two-sided", "larger", "smaller")
SCIPY_WORDS = {"two-sided": "two-sided", "larger": "greater", "smaller": "less"}

samples = st.lists(st.integers(-5, 5), min_size=2, max_size=15)
levels = st.floats(0.001, 0.49)


def pairs_won(control: Any, treatment: Any) -> float:
    gaps = np.subtract.outer(np.asarray(treatment, float), np.asarray(control, float))
    return float(np.mean(np.where(gaps > 0, 1.0, np.where(gaps == 0, 0.5, 0.0))))


@pytest.mark.parametrize("sizes", [(2, 2), (3, 8), (12, 15), (20, 20), (20, 2)])
@pytest.mark.parametrize("alternative", SIDES)
def test_without_ties_the_small_p_value_is_scipys_exact_one(
    sizes: tuple[int, int], alternative: Alternative
) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, sizes[0]), rng.normal(0.4, 2, sizes[1])
    theirs = mannwhitneyu(b, a, alternative=SCIPY_WORDS[alternative], method="exact")
    ours = mann_whitney(a, b, alternative=alternative)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.effect == pytest.approx(theirs.statistic / a.size / b.size, rel=1e-12)


def test_the_exact_p_value_counts_all_orders() -> None:
    """Every way of dealing 8 ranks to arms of 3 and 5, counted by brute force."""
    deals = [(set(c), set(range(8)) - set(c)) for c in combinations(range(8), 3)]
    won = np.array([pairs_won(list(c), list(t)) for c, t in deals])
    for control, treatment in deals:
        at = pairs_won(list(control), list(treatment))
        found = mann_whitney(list(control), list(treatment), alternative="larger")
        assert found.p_value == pytest.approx(np.mean(won >= at - 1e-9), rel=1e-9)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("kind", ["ties", "large", "one arm large"])
def test_otherwise_the_p_value_is_scipys_normal_one(alternative: Alternative, kind: str) -> None:
    """With the variance corrected for ties and half a unit for continuity, scipy's defaults."""
    rng = np.random.default_rng(2)
    a, b = {
        "ties": (rng.poisson(2, 10), rng.poisson(3, 12)),
        "large": (rng.normal(0, 1, 300), rng.normal(0.1, 2, 200)),
        "one arm large": (rng.normal(0, 1, 21), rng.normal(0.4, 2, 5)),
    }[kind]
    theirs = mannwhitneyu(b, a, alternative=SCIPY_WORDS[alternative], method="asymptotic")
    ours = mann_whitney(a, b, alternative=alternative)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("seed", range(3))
def test_brunner_and_munzels_test_equals_scipy(alternative: Alternative, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.poisson(2, 25), rng.poisson(2.6, 40)
    theirs = brunnermunzel(b, a, alternative=SCIPY_WORDS[alternative])
    ours = brunner_munzel(a, b, alternative=alternative)
    assert (ours.effect - 0.5) / ours.se == pytest.approx(-theirs.statistic, rel=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_standard_error_is_delongs() -> None:
    """Placements by brute force: a unit's share of the other arm that it exceeds."""
    rng = np.random.default_rng(3)
    a, b = rng.poisson(2, 25).astype(float), rng.poisson(2.6, 40).astype(float)
    wins = (b[:, None] > a) + (b[:, None] == a) / 2
    squares = wins.mean(axis=0).var(ddof=1) / 25, wins.mean(axis=1).var(ddof=1) / 40
    found = brunner_munzel(a, b)
    assert found.effect == pytest.approx(wins.mean(), rel=1e-12)
    assert found.se == pytest.approx(sqrt(sum(squares)), rel=1e-12)
    df = sum(squares) ** 2 / (squares[0] ** 2 / 24 + squares[1] ** 2 / 39)
    assert found.df == pytest.approx(df, rel=1e-9)


def test_the_bounds_are_on_the_logit_scale() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 30), rng.normal(1, 1, 30)
    found = mann_whitney(a, b, alpha=0.1)
    reach = student.isf(0.05, found.df) * found.se / (found.effect * (1 - found.effect))
    bounds = expit(logit(found.effect) - reach), expit(logit(found.effect) + reach)
    assert (found.lower, found.upper) == pytest.approx(bounds, rel=1e-9)
    larger = mann_whitney(a, b, alpha=0.05, alternative="larger")
    assert (larger.lower, larger.upper) == (found.lower, 1)
    smaller = mann_whitney(a, b, alpha=0.05, alternative="smaller")
    assert (smaller.lower, smaller.upper) == (0, found.upper)


@given(samples, samples, levels)
def test_effect_bounds_and_p_value(control: list[int], treatment: list[int], alpha: float) -> None:
    """Contains the estimate, stays in [0, 1], mirrors under exchange; the effect counts pairs."""
    for method in (brunner_munzel, mann_whitney):
        found = method(control, treatment, alpha=alpha)
        swapped = method(treatment, control, alpha=alpha)
        assert found.effect == pytest.approx(pairs_won(control, treatment), abs=1e-12)
        assert 0 <= found.lower <= found.effect <= found.upper <= 1
        assert 0 <= found.p_value <= 1
        assert (1 - swapped.upper, 1 - swapped.lower) == pytest.approx((found.lower, found.upper))
        assert swapped.p_value == pytest.approx(found.p_value)


@given(
    control=samples, treatment=samples, alpha=levels, null=st.floats(0.05, 0.95),
    side=st.sampled_from(SIDES),
)  # fmt: skip
def test_brunner_and_munzels_p_value_and_bounds_agree(
    *, control: list[int], treatment: list[int], alpha: float, null: float, side: Alternative
) -> None:
    found = brunner_munzel(control, treatment, alpha=alpha, alternative=side, null=null)
    if min(abs(found.lower - null), abs(found.upper - null)) > 1e-9:  # else rounding decides
        assert (found.p_value <= alpha) == (not found.lower <= null <= found.upper)


@given(samples, samples)
def test_only_the_order_counts_and_more_units_narrow_it(
    control: list[int], treatment: list[int]
) -> None:
    for method in (brunner_munzel, mann_whitney):
        found = method(control, treatment)
        assert method([np.exp(v) for v in control], [np.exp(v) for v in treatment]) == found
        if found.se:
            narrow = method(control * 4, treatment * 4)
            assert found.lower <= narrow.lower <= narrow.upper <= found.upper


@pytest.mark.parametrize("sizes", [(3, 3), (3, 7), (50, 80)])
def test_arms_apart_are_bounded_by_newcombe(sizes: tuple[int, int]) -> None:
    """The bound solves ``1 - L = z sqrt(V(L))``, V of Hanley and McNeil with N = (m + n)/2 - 1."""
    n_c, n_t = sizes
    low, high = np.arange(n_c), 100 + np.arange(n_t)
    found = brunner_munzel(low, high)
    at, more = found.lower, (n_c + n_t) / 2 - 1
    spread = at * (1 - at) * (1 + more * ((1 - at) / (2 - at) + at / (1 + at))) / n_c / n_t
    assert (found.effect, found.upper, found.se) == (1, 1, 0)
    assert 1 - at == pytest.approx(norm.isf(0.025) * sqrt(spread), rel=1e-9)
    assert brunner_munzel(low, high, null=at).p_value == pytest.approx(0.05, rel=1e-6)
    swapped = brunner_munzel(high, low)
    assert (swapped.lower, swapped.upper) == (0, pytest.approx(1 - at))
    ranked = mann_whitney(low, high)
    assert (ranked.lower, ranked.upper) == (found.lower, found.upper)
    exact = mannwhitneyu(high, low, method="exact" if n_t <= 20 else "asymptotic").pvalue
    assert ranked.p_value == pytest.approx(exact, rel=1e-9)


def test_arms_apart_on_one_side() -> None:
    low, high = [1, 2, 3], [4, 5, 6]
    larger = brunner_munzel(low, high, alternative="larger", alpha=0.025)
    assert (larger.lower, larger.upper) == (pytest.approx(brunner_munzel(low, high).lower), 1)
    smaller = brunner_munzel(low, high, alternative="smaller", alpha=0.025)
    assert (smaller.lower, smaller.upper) == (0, 1)
    assert smaller.p_value > 0.9
    assert brunner_munzel(low, high, alternative="larger", alpha=0.6).lower == 1


def test_values_all_alike_say_nothing() -> None:
    for method in (brunner_munzel, mann_whitney):
        found = method([2.0] * 5, [2.0] * 9)
        assert (found.effect, found.se, found.p_value) == (0.5, 0, 1)
        assert (found.lower, found.upper) == (0, 1)


def test_equivalence_is_two_shifted_tests() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, 200), rng.normal(0, 2, 300)
    look = brunner_munzel(a, b)
    found = equivalence(look.effect, look.se, low=0.4, high=0.6, df=look.df)
    above = brunner_munzel(a, b, alternative="larger", null=0.4)
    below = brunner_munzel(a, b, alternative="smaller", null=0.6)
    assert found.p_value == pytest.approx(max(above.p_value, below.p_value))
    assert found.equivalent


@pytest.mark.parametrize("kind", ["shift", "scale", "zeros"])
def test_the_bounds_cover(kind: str) -> None:
    """95 %, three standard errors of 1,000 simulations and one point for arms of 40 and 60.

    True effects: normals apart by 1 give ``Phi(1 / sqrt(2))``; with another scale 0.5; values
    that are 0 with .9 and .8, else from one law, ``0.5 + (0.2 * 0.9 - 0.1 * 0.8) / 2``.
    """
    rng, sims = np.random.default_rng(6), 1_000
    truth = {"shift": float(norm.cdf(sqrt(0.5))), "scale": 0.5, "zeros": 0.55}[kind]

    def draw() -> tuple[Any, Any]:
        a, b = rng.normal(0, 1, 40), rng.normal(0, 1, 60)
        if kind == "zeros":
            return np.exp(a) * (rng.random(40) < 0.1), np.exp(b) * (rng.random(60) < 0.2)
        return (a, b + 1) if kind == "shift" else (a, 3 * b)

    looks = [mann_whitney(*draw()) for _ in range(sims)]
    covered = np.mean([look.lower <= truth <= look.upper for look in looks])
    assert covered == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / sims) + 0.01)


@pytest.mark.parametrize("method", [brunner_munzel, mann_whitney])
@pytest.mark.parametrize(
    ("arms", "options", "message"),
    [
        (([1.0], [1.0, 2.0]), {}, "control must hold at least 2 values, got 1"),
        (([1.0, 2.0], []), {}, "treatment must hold at least 2 values, got 0"),
        (([1.0, nan], [1.0, 2.0]), {}, "control must be finite, got nan or inf"),
        (([1.0, 2.0], [[1.0, 2.0]]), {}, "treatment must have one dimension"),
        (([1.0, 3.0], [2.0, 4.0]), {"alpha": 1.5}, r"alpha must be in \(0, 1\), got 1.5"),
        (([1.0, 2.0], [3.0, 4.0]), {"alpha": nan}, r"alpha must be in \(0, 1\), got nan"),
        (([1.0, 2.0], [2.0, 4.0]), {"alternative": "less"}, "alternative must be two-sided"),
    ],
)
def test_arguments_outside_the_range_are_named(
    method: Any, arms: tuple[Any, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(*arms, **options)


@pytest.mark.parametrize("null", [0.0, 1.0, nan])
def test_the_null_is_named(null: float) -> None:
    with pytest.raises(ValueError, match=r"null must be in \(0, 1\), got"):
        brunner_munzel([1.0, 2.0], [1.0, 3.0], null=null)
