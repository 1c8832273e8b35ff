"""Means and their ratio: scipy and statsmodels are the witnesses, simulations for coverage."""

from __future__ import annotations

from math import exp, inf, log, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_ind, ttest_ind_from_stats, ttest_rel
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_ind, ttost_paired

from palio.stats.anytime.sequential import compare
from palio.stats.estimate import Alternative, equivalence
from palio.stats.moments import Moments
from palio.stats.one_look.means import one_sample, relative, relative_moments, welch

SCIPY_WORDS = {"two-sided": "two-sided", "larger": "greater", "smaller": "less"}
SIDES: tuple[Alternative, ...] = ("two-sided", "larger", "smaller")

arms = st.builds(Moments, st.integers(2, 10**6), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
positive_arms = st.builds(Moments, st.integers(2, 10**6), st.floats(1, 1e3), st.floats(1e-3, 1e3))
levels = st.floats(0.001, 0.49)


@given(arms, arms, levels)
def test_welch_equals_scipy(control: Moments, treatment: Moments, alpha: float) -> None:
    ours = welch(control, treatment, alpha=alpha)
    theirs = ttest_ind_from_stats(
        treatment.mean, sqrt(treatment.var), treatment.n,
        control.mean, sqrt(control.var), control.n, equal_var=False,
    )  # fmt: skip
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-300)
    assert ours.effect / ours.se == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    bounds = student.interval(1 - alpha, ours.df, loc=ours.effect, scale=ours.se)
    assert (ours.lower, ours.upper) == pytest.approx(bounds, rel=1e-6)


@pytest.mark.parametrize("alternative", SIDES)
def test_welch_equals_scipy_and_statsmodels_from_raw_values(alternative: Alternative) -> None:
    """Superiority and non-inferiority: a null of -0.5, shifted into the sample for scipy."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 50), rng.normal(0.4, 3, 20)
    for null in (0.0, -0.5):
        ours = welch(
            Moments.of(a), Moments.of(b), alpha=0.1, alternative=alternative, null=null
        )  # fmt: skip
        word = SCIPY_WORDS[alternative]
        theirs = ttest_ind(b - null, a, equal_var=False, alternative=word)
        bounds = theirs.confidence_interval(0.9)
        assert ours.df == pytest.approx(theirs.df, rel=1e-9)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
        assert (ours.lower - null, ours.upper - null) == pytest.approx((bounds.low, bounds.high))
        means = CompareMeans(DescrStatsW(b), DescrStatsW(a))
        other = means.ttest_ind(alternative=alternative, usevar="unequal", value=null)
        assert ours.p_value == pytest.approx(other[1], rel=1e-9)


def test_equivalence_of_means_equals_statsmodels() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 50), rng.normal(0.1, 3, 40)
    look = welch(Moments.of(a), Moments.of(b))
    found = equivalence(look.effect, look.se, low=-1.2, high=1.0, df=look.df)
    assert found.p_value == pytest.approx(ttost_ind(b, a, -1.2, 1.0, usevar="unequal")[0])
    a, b = a[:40], b[:40]
    paired = one_sample(Moments.of(b - a))
    found = equivalence(paired.effect, paired.se, low=-1.2, high=1.0, df=paired.df)
    assert found.p_value == pytest.approx(ttost_paired(b, a, -1.2, 1.0)[0])


@pytest.mark.parametrize("alternative", SIDES)
def test_paired_differences_equal_scipy(alternative: Alternative) -> None:
    rng = np.random.default_rng(6)
    before = rng.normal(0, 1, 30)
    after = before + rng.normal(0.2, 0.5, 30)
    ours = one_sample(Moments.of(after - before), alpha=0.1, alternative=alternative)
    theirs = ttest_rel(after, before, alternative=SCIPY_WORDS[alternative])
    bounds = theirs.confidence_interval(0.9)
    assert (ours.df, ours.p_value) == pytest.approx((29, theirs.pvalue))
    assert (ours.lower, ours.upper) == pytest.approx((bounds.low, bounds.high))
    shifted = one_sample(Moments.of(after - before - 0.3), alternative=alternative)
    about = one_sample(Moments.of(after - before), alternative=alternative, null=0.3)
    assert about.p_value == pytest.approx(shifted.p_value)


@given(
    control=arms,
    treatment=arms,
    alpha=levels,
    null=st.floats(-10, 10),
    side=st.sampled_from(SIDES),
)
def test_the_interval_of_the_difference(
    *, control: Moments, treatment: Moments, alpha: float, null: float, side: Alternative
) -> None:
    """Contains the estimate, agrees with the p-value, mirrors, shrinks with n."""
    found = welch(control, treatment, alpha=alpha, alternative=side, null=null)
    assert found.lower <= found.effect <= found.upper
    if min(abs(found.lower - null), abs(found.upper - null)) > 1e-6:  # else rounding decides
        assert (found.p_value <= alpha) == (not found.lower <= null <= found.upper)
    both = welch(control, treatment, alpha=alpha)
    swapped = welch(treatment, control, alpha=alpha)
    assert (swapped.lower, swapped.upper) == pytest.approx((-both.upper, -both.lower))
    more = [Moments(4 * arm.n, arm.mean, arm.var) for arm in (control, treatment)]
    narrow = welch(*more, alpha=alpha)
    assert narrow.upper - narrow.lower < both.upper - both.lower


@given(arms.filter(lambda arm: abs(arm.mean) > 0.1), arms)
def test_relative_is_the_delta_method(control: Moments, treatment: Moments) -> None:
    """Gradient of b/a by central differences, with the variances of the means."""
    a, b = control.mean, treatment.mean
    step = 1e-6 * abs(a)
    slope_a, slope_b = (b / (a + step) - b / (a - step)) / (2 * step), 1 / a
    squares = slope_a**2 * control.var / control.n, slope_b**2 * treatment.var / treatment.n
    df = sum(squares) ** 2 / (
        squares[0] ** 2 / (control.n - 1) + squares[1] ** 2 / (treatment.n - 1)
    )
    ours = relative(control, treatment)
    assert ours.effect == pytest.approx(b / a - 1, rel=1e-9, abs=1e-9)
    assert ours.se == pytest.approx(sqrt(sum(squares)), rel=1e-6)
    assert ours.df == pytest.approx(df, rel=1e-5)
    half = float(student.ppf(0.975, ours.df)) * ours.se
    assert ours.upper - ours.effect == pytest.approx(half, rel=1e-6)
    assert ours.effect - ours.lower == pytest.approx(half, rel=1e-6)


@given(positive_arms, positive_arms, levels)
def test_the_log_scale_is_the_delta_method_of_the_logarithm(
    control: Moments, treatment: Moments, alpha: float
) -> None:
    """``var(log m) = var/n/m^2`` of each mean; the interval mirrors and shrinks."""
    a, b = control.mean, treatment.mean
    se = sqrt(control.var / control.n / a**2 + treatment.var / treatment.n / b**2)
    ours = relative(control, treatment, scale="log", alpha=alpha)
    reach = float(student.isf(alpha / 2, ours.df)) * se
    assume(reach < 300)
    assert ours.effect == pytest.approx(b / a - 1, rel=1e-9, abs=1e-9)
    assert ours.se == pytest.approx(b / a * se, rel=1e-9)
    assert 1 + ours.upper == pytest.approx(exp(log(b / a) + reach), rel=1e-6)
    assert 1 + ours.lower == pytest.approx(exp(log(b / a) - reach), rel=1e-6, abs=1e-15)
    assert -1 <= ours.lower <= ours.upper
    assert ours.p_value == pytest.approx(2 * student.sf(abs(log(b / a)) / se, ours.df), abs=1e-9)
    swapped = relative(treatment, control, scale="log", alpha=alpha)
    assert 1 + swapped.upper == pytest.approx(exp(reach - log(b / a)), rel=1e-6)
    four = [Moments(4 * arm.n, arm.mean, arm.var) for arm in (control, treatment)]
    narrow = relative(*four, scale="log", alpha=alpha)
    assert ours.lower <= narrow.lower <= narrow.upper < ours.upper


@pytest.mark.parametrize("scale", ["linear", "log"])
@given(
    control=positive_arms, treatment=positive_arms, alpha=levels, null=st.floats(-0.9, 3),
    side=st.sampled_from(SIDES),
)  # fmt: skip
def test_relative_bounds_agree_with_the_p_value(
    *, control: Moments, treatment: Moments, alpha: float, null: float, side: Any, scale: Any
) -> None:
    found = relative(control, treatment, scale=scale, alpha=alpha, alternative=side, null=null)
    slack = 1e-9 * (1 + abs(found.effect))
    assert found.lower - slack <= found.effect <= found.upper + slack
    if min(abs(found.lower - null), abs(found.upper - null)) > 1e-6:  # else rounding decides
        assert (found.p_value <= alpha) == (not found.lower <= null <= found.upper)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_relative_interval_covers(scale: Any) -> None:
    """Lift of 10 % on a mean of 10: 95 % +- three standard errors of 4,000 simulations."""
    rng, sims = np.random.default_rng(11), 4_000
    covered = 0
    for mean_c, mean_t in rng.normal([10.0, 11.0], 4.0 / sqrt(400), (sims, 2)).tolist():
        found = relative(Moments(400, mean_c, 16.0), Moments(400, mean_t, 16.0), scale=scale)
        covered += found.lower <= 0.1 <= found.upper
    assert covered / sims == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / sims))


@given(arms.filter(lambda arm: abs(arm.mean) > 0.1), arms, st.floats(-0.5, 0.5))
def test_linearised_arms_serve_the_rules_for_means(
    control: Moments, treatment: Moments, null: float
) -> None:
    linear = relative_moments(control, treatment)
    assert [arm.n for arm in linear] == [control.n, treatment.n]
    assert linear[0].mean == 1
    ours, direct = welch(*linear, null=null), relative(control, treatment, null=null)
    assert (ours.se, ours.df) == pytest.approx((direct.se, direct.df))
    assert ours.effect == pytest.approx(direct.effect, rel=1e-9, abs=1e-9)
    assert ours.p_value == pytest.approx(direct.p_value, rel=1e-4, abs=1e-9)


def test_a_sequential_rule_takes_linearised_arms() -> None:
    """Means 10 and 11 with variance 100: ``(1.1^2 + 1) 100 / 10^2 / n`` by the delta method."""
    control, treatment = Moments(10_000, 10.0, 100.0), Moments(10_000, 11.0, 100.0)
    found = compare(*relative_moments(control, treatment), planned=20_000)
    assert found.effect == pytest.approx(0.1)
    assert found.se == pytest.approx(sqrt((1 + 1.21) / 10_000))
    assert found.lower < 0.1 < found.upper


def test_a_negative_baseline_turns_the_sign() -> None:
    control, treatment = Moments(9, -10.0, 1.0), Moments(9, -5.0, 1.0)
    assert relative(control, treatment).effect == -0.5
    assert relative(control, treatment, scale="log").effect == -0.5
    assert relative(control, treatment).se == pytest.approx(sqrt((1 + 0.25) / 9) / 10)


def test_the_log_scale_reaches_from_tiny_to_infinite_ratios() -> None:
    tiny = relative(Moments(9, 1e30, 1.0), Moments(9, 1e-30, 1e-61), scale="log")
    assert tiny.effect == -1
    assert tiny.p_value < 1e-12
    wide = relative(Moments(9, 1.0, 1.0), Moments(2, 1.0, 1e8), scale="log")
    assert (wide.lower, wide.upper) == (-1, inf)
    one_sided = relative(
        Moments(9, 1.0, 1.0), Moments(9, 1.0, 1.0), scale="log", alternative="larger"
    )
    assert one_sided.upper == inf
    assert relative(
        Moments(9, 1.0, 1.0), Moments(9, 1.0, 1.0), scale="log", alternative="smaller"
    ).lower == -1  # fmt: skip


def test_tiny_and_huge_variances_keep_their_degrees_of_freedom() -> None:
    """Equal arms of 9: Satterthwaite gives 16 whatever the scale."""
    for var in (1e-320, 1.0, 1e308):
        assert welch(Moments(9, 0.0, var), Moments(9, 0.0, var)).df == pytest.approx(16)
        assert welch(Moments(9, 0.0, var), Moments(9, 0.0, var)).p_value == 1


def test_without_variance_there_is_no_verdict() -> None:
    found = welch(Moments(9, 1.0, 0.0), Moments(9, 2.0, 0.0))
    assert (found.effect, found.lower, found.upper, found.p_value) == (1.0, -inf, inf, 1.0)
    assert found.df == 16
    for scale in ("linear", "log"):
        lift = relative(Moments(9, 1.0, 0.0), Moments(9, 2.0, 0.0), scale=scale)
        assert (lift.effect, lift.upper, lift.p_value) == (1.0, inf, 1.0)


ARM = Moments(9, 1.0, 1.0)
ZERO = Moments(9, 0.0, 1.0)


@pytest.mark.parametrize("method", [welch, relative])
@pytest.mark.parametrize(
    ("arms", "options", "message"),
    [
        ((ARM, ARM), {"alpha": 1.0}, r"alpha must be in \(0, 1\), got 1"),
        ((ARM, ARM), {"null": nan}, "null must be finite, got nan"),
        ((ARM, ARM), {"alternative": "less"}, "alternative must be two-sided, larger or smaller"),
        ((Moments(1, 1.0, 0.0), ARM), {}, "n of control must be a whole number >= 2, got 1"),
        ((ARM, Moments(1, 1.0, 0.0)), {}, "n of treatment must be a whole number >= 2, got 1"),
    ],
)
def test_arguments_outside_the_range_are_named(
    method: Any, arms: tuple[Moments, Moments], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(*arms, **options)


def test_a_difference_beyond_all_floats_is_refused() -> None:
    with pytest.raises(ValueError, match="effect must be finite, got inf"):
        welch(Moments(9, -1e308, 1.0), Moments(9, 1e308, 1.0))


@pytest.mark.parametrize("method", [relative, relative_moments])
@pytest.mark.parametrize("baseline", [0.0, 5e-324])
def test_a_baseline_of_zero_is_named(method: Any, baseline: float) -> None:
    with pytest.raises(ValueError, match=f"mean of control must be far .* got {baseline}"):
        method(Moments(9, baseline, 1.0), ARM)


def test_linearised_variances_beyond_all_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="var must be finite and >= 0, got inf"):
        relative_moments(Moments(9, 1e-200, 1.0), Moments(9, 1e-200, 1.0))


@pytest.mark.parametrize(
    ("arms", "options", "message"),
    [
        ((ARM, ARM), {"scale": "cube"}, "scale must be linear or log, got 'cube'"),
        ((ARM, ZERO), {"scale": "log"}, "means must have the same sign .* got 1.0 and 0.0"),
        ((ARM, Moments(9, -1.0, 1.0)), {"scale": "log"}, "means must have the same sign"),
        ((ARM, ARM), {"scale": "log", "null": -1.0}, "null must be > -1 on the log scale, got -1"),
        ((ARM, ARM), {"scale": "log", "null": nan}, "null must be > -1 on the log scale, got nan"),
        ((ARM, ARM), {"scale": "log", "null": inf}, "null must be finite, got inf"),
    ],
)
def test_the_log_scale_names_what_it_refuses(
    arms: tuple[Moments, Moments], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        relative(*arms, **options)


def test_one_sample_takes_two_units() -> None:
    with pytest.raises(ValueError, match="n must be a whole number >= 2, got 1"):
        one_sample(Moments(1, 1.0, 0.0))
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 0"):
        one_sample(ARM, alpha=0)
