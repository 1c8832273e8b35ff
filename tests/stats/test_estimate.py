"""Conclusions from an effect and its standard error: scipy and statsmodels are the witnesses."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, ttest_1samp
from scipy.stats import t as student
from statsmodels.stats.weightstats import ttost_ind

from palio.stats.estimate import Alternative, conclude, equivalence

SIDES: tuple[Alternative, ...] = ("two-sided", "larger", "smaller")
SCIPY_WORDS = {"two-sided": "two-sided", "larger": "greater", "smaller": "less"}

effects = st.floats(-1e3, 1e3)
errors = st.floats(1e-3, 1e3)
levels = st.floats(0.001, 0.49)
dfs = st.one_of(st.just(inf), st.floats(1, 1e6))


@given(effect=effects, se=errors, df=dfs, alpha=levels, null=effects)
def test_two_sided_equals_scipy(
    *, effect: float, se: float, df: float, alpha: float, null: float
) -> None:
    found = conclude(effect, se, df=df, alpha=alpha, null=null)
    law = norm() if df == inf else student(df)
    reach = law.isf(alpha / 2) * se
    assert (found.lower, found.upper) == pytest.approx((effect - reach, effect + reach), rel=1e-6)
    assert found.p_value == pytest.approx(2 * law.sf(abs(effect - null) / se), rel=1e-6)


@pytest.mark.parametrize("alternative", SIDES)
def test_each_side_equals_scipy(alternative: Alternative) -> None:
    values = np.random.default_rng(5).normal(0.3, 2.0, 40)
    theirs = ttest_1samp(values, 0.1, alternative=SCIPY_WORDS[alternative])
    bounds = theirs.confidence_interval(0.9)
    ours = conclude(
        float(values.mean()), float(values.std(ddof=1)) / np.sqrt(40),
        df=39, alpha=0.1, alternative=alternative, null=0.1,
    )  # fmt: skip
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.lower, ours.upper) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


@given(effect=effects, se=errors, df=dfs, alpha=levels, null=effects, side=st.sampled_from(SIDES))
def test_the_p_value_and_the_bounds_agree(
    *, effect: float, se: float, df: float, alpha: float, null: float, side: Alternative
) -> None:
    found = conclude(effect, se, df=df, alpha=alpha, alternative=side, null=null)
    assert found.lower <= effect <= found.upper
    distance = min(abs(found.lower - null), abs(found.upper - null))
    if distance > 1e-6 * (se + abs(null)):  # next to a bound rounding decides
        assert (found.p_value <= alpha) == (not found.lower <= null <= found.upper)


@given(effect=effects, se=errors, df=dfs, alpha=levels, share=st.floats(0.1, 0.99))
def test_the_interval_shrinks_with_the_error_and_mirrors(
    *, effect: float, se: float, df: float, alpha: float, share: float
) -> None:
    wide = conclude(effect, se, df=df, alpha=alpha)
    narrow = conclude(effect, se * share, df=df, alpha=alpha)
    assert wide.lower < narrow.lower <= narrow.upper < wide.upper
    mirrored = conclude(-effect, se, df=df, alpha=alpha)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-wide.upper, -wide.lower))
    larger = conclude(effect, se, df=df, alpha=alpha, alternative="larger")
    smaller = conclude(-effect, se, df=df, alpha=alpha, alternative="smaller")
    assert (larger.lower, larger.p_value) == pytest.approx((-smaller.upper, smaller.p_value))
    assert (larger.upper, smaller.lower) == (inf, -inf)


def test_a_one_sided_level_above_one_half_bounds_from_the_other_side() -> None:
    """Witness: the normal quantile of .6 is 0.2533."""
    found = conclude(0.0, 1.0, alpha=0.6, alternative="larger")
    assert found.lower == pytest.approx(norm.ppf(0.6))
    assert found.p_value == 0.5


def test_what_did_not_vary_says_nothing() -> None:
    for side in SIDES:
        found = conclude(3.0, 0.0, alternative=side)
        assert (found.lower, found.upper, found.p_value) == (-inf, inf, 1.0)
    assert not equivalence(0.0, 0.0, low=-1, high=1).equivalent


@pytest.mark.parametrize("df", [1.0, 2.5, 30.0, inf])
def test_the_far_tail_is_never_turned_around(df: float) -> None:
    found = conclude(1.0, 2.0, df=df, alpha=1e-300)
    assert found.lower < -70  # the normal quantile is 37 there, heavier tails are farther
    assert found.upper > 72
    assert conclude(1e300, 1e-300, df=df).p_value == 0
    assert conclude(np.float64(1e300), np.float64(1e-300), df=df).p_value == 0
    assert conclude(0.0, 1.0, df=df, alpha=5e-324).lower == -inf


def test_equivalence_equals_statsmodels() -> None:
    rng = np.random.default_rng(7)
    control, treatment = rng.normal(0, 1, 60), rng.normal(0.1, 2, 45)
    square_c, square_t = control.var(ddof=1) / 60, treatment.var(ddof=1) / 45
    df = (square_c + square_t) ** 2 / (square_c**2 / 59 + square_t**2 / 44)
    p_value, _, _ = ttost_ind(treatment, control, -0.7, 0.8, usevar="unequal")
    effect, se = treatment.mean() - control.mean(), np.sqrt(square_c + square_t)
    found = equivalence(effect, se, low=-0.7, high=0.8, df=df)
    assert found.p_value == pytest.approx(p_value, rel=1e-9)
    bounds = student.interval(0.9, df, effect, se)
    assert (found.lower, found.upper) == pytest.approx(bounds, rel=1e-9)


@given(st.floats(-2, 2), st.floats(0.01, 1), dfs, levels)
def test_equivalent_is_the_interval_within_the_range(
    effect: float, se: float, df: float, alpha: float
) -> None:
    found = equivalence(effect, se, low=-1, high=1.5, df=df, alpha=alpha)
    assert found.equivalent == (found.p_value <= alpha)
    if min(abs(found.lower + 1), abs(found.upper - 1.5)) > 1e-6:  # else rounding decides
        assert found.equivalent == (found.lower >= -1 and found.upper <= 1.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"effect": nan}, "effect must be finite, got nan"),
        ({"se": -1.0}, "se must be finite and >= 0, got -1"),
        ({"se": inf}, "se must be finite and >= 0, got inf"),
        ({"df": 0}, "df must be > 0, got 0"),
        ({"df": nan}, "df must be > 0, got nan"),
        ({"alpha": 1.5}, r"alpha must be in \(0, 1\), got 1.5"),
        ({"null": inf}, "null must be finite, got inf"),
        ({"alternative": "greater"}, "alternative must be two-sided, larger or smaller, got"),
    ],
)
def test_arguments_outside_the_range_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conclude(**{"effect": 1.0, "se": 1.0, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"low": 1.0}, "low must be below high and both finite, got 1.0 and 1"),
        ({"high": inf}, "low must be below high and both finite, got -1 and inf"),
        ({"low": nan}, "low must be below high and both finite, got nan and 1"),
        ({"alpha": 0.5}, r"alpha must be in \(0, 0.5\), got 0.5"),
        ({"alpha": 1.5}, r"alpha must be in \(0, 1\), got 1.5"),
    ],
)
def test_ranges_of_equivalence_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        equivalence(0.0, 1.0, **{"low": -1, "high": 1, **wrong})
