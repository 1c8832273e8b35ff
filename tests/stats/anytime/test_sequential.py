"""The comparison that may be looked at constantly: its assembly, its guards, its error rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from palio.stats import (
    AsymptoticRule,
    Comparison,
    HorizonRule,
    Moments,
    compare,
    compare_paired,
    running,
    tuned_rho2,
)

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
LOOKS = 100

arms = st.builds(Moments, st.integers(100, 10**5), st.floats(-100, 100), st.floats(0.01, 100))
plans = st.sampled_from([{"horizon": 10**6}, {"horizon": 1000}, {"planned": 5000}])


def gauss(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def bernoulli(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return (rng.random(shape) < 0.05).astype(float)


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.lognormal(0.0, 1.5, shape)


def wide_if_small(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Three times the deviation in the arm of 50 a look."""
    return rng.standard_normal(shape) * (3 if shape[-1] == 50 else 1)


def looks_of(values: Array) -> list[list[Moments]]:
    """Moments at every look of every simulation, from values (sims, looks, units a look)."""
    units = (np.arange(LOOKS) + 1) * values.shape[2]
    sum1, sum2 = values.sum(axis=2).cumsum(axis=1), (values**2).sum(axis=2).cumsum(axis=1)
    return [
        [Moments.from_sums(int(n), 0.0, *sums) for n, *sums in rows]
        for rows in np.stack([np.broadcast_to(units, sum1.shape), sum1, sum2], axis=2).tolist()
    ]


def stops(
    draw: Draw, *, sims: int, per_look: tuple[int, int], seed: int, lift: float = 0.0, **plan: Any
) -> Array:
    """Look at which each simulation stops, counted from 1; inf if never."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(sims // 100):
        control, treatment = (looks_of(draw(rng, (100, LOOKS, n)) + d)
                              for n, d in zip(per_look, (0.0, lift), strict=True))  # fmt: skip
        for one, two in zip(control, treatment, strict=True):
            pairs = enumerate(zip(one, two, strict=True), start=1)
            found.append(
                next((at for at, (a, b) in pairs if compare(a, b, **plan).significant), inf)
            )
    return np.array(found, dtype=float)


def as_student(z: float, df: float) -> float:
    """The t beyond which Student's distribution has as much as the normal one beyond z."""
    return float(student.isf(norm.sf(z), df))


def three_errors(share: float, sims: int) -> float:
    return 3 * sqrt(share * (1 - share) / sims)


@pytest.mark.parametrize("draw", [gauss, bernoulli, lognormal], ids=["gauss", "bern", "logn"])
def test_constant_looking_keeps_the_error_rate(draw: Draw) -> None:
    """100 looks at 10,000 units an arm, no effect: at most 5 %."""
    sims = 2_000
    found = stops(draw, sims=sims, per_look=(100, 100), seed=101, horizon=20_000)
    assert np.isfinite(found).mean() <= 0.05 + three_errors(0.05, sims)


@pytest.mark.parametrize("draw", [bernoulli, lognormal], ids=["bern", "logn"])
def test_a_small_skewed_arm_keeps_the_error_rate(draw: Draw) -> None:
    """A canary of 1,000 beside 10,000: what every peer fails (.05 to .16 in statistics.md)."""
    sims = 1_000
    plan = {"horizon": 11_000, "treatment_share": 1 / 11}
    found = stops(draw, sims=sims, per_look=(100, 10), seed=102, **plan)
    assert np.isfinite(found).mean() <= 0.05 + three_errors(0.05, sims)


def test_a_horizon_of_a_few_hundred_units_keeps_the_error_rate() -> None:
    """300 units an arm, where variances are guesses."""
    sims = 2_000
    found = stops(gauss, sims=sims, per_look=(3, 3), seed=109, horizon=600, looks=100)
    assert np.isfinite(found).mean() <= 0.05 + three_errors(0.05, sims)


def test_a_plan_far_beyond_the_units_bounds_nothing() -> None:
    found = compare(Moments(200, 0.0, 1.0), Moments(200, 0.1, 1.0), planned=10**12)
    assert (found.lower, found.upper, found.p_value) == (-inf, inf, 1.0)


def test_unequal_variances_keep_the_error_rate() -> None:
    sims = 1_000
    plan = {"horizon": 15_000, "treatment_share": 1 / 3}
    found = stops(wide_if_small, sims=sims, per_look=(100, 50), seed=103, **plan)
    assert np.isfinite(found).mean() <= 0.05 + three_errors(0.05, sims)


@pytest.mark.parametrize("plan", [{"horizon": 4_000}, {"planned": 4_000}], ids=["past", "none"])
def test_looking_on_past_the_horizon_keeps_the_error_rate(plan: dict[str, int]) -> None:
    """Five times the horizon, and no horizon at all."""
    sims = 1_000
    found = stops(gauss, sims=sims, per_look=(100, 100), seed=104, **plan)
    assert np.isfinite(found).mean() <= 0.05 + three_errors(0.05, sims)


def test_a_hundred_binding_looks_keep_the_error_rate_and_stop_earlier() -> None:
    """Exact, by benchmarks/stats/frontier.py: power .724 and a stop at .6835."""
    sims, plan = 2_000, {"horizon": 20_000, "looks": 100}
    none = stops(gauss, sims=sims, per_look=(100, 100), seed=106, **plan)
    assert np.isfinite(none).mean() <= 0.05 + three_errors(0.05, sims)
    lift = (1.96 + 0.8416) * sqrt(2 / 10_000)  # normal quantiles of .975 and .8
    found = stops(gauss, sims=sims, per_look=(100, 100), seed=105, lift=lift, **plan)
    assert np.isfinite(found).mean() == pytest.approx(0.724, abs=three_errors(0.724, sims))
    # the stop's standard deviation is near 0.3 of the horizon
    assert np.minimum(found, LOOKS).mean() / 100 == pytest.approx(0.6835, abs=3 * 0.3 / sqrt(sims))


def test_inside_the_horizon_it_is_rule_1_at_alpha_less_the_reserve() -> None:
    control, treatment = Moments(20_000, 1.0, 4.0), Moments(20_000, 1.1, 5.0)
    found = compare(control, treatment, alpha=0.05, horizon=100_000)
    se, t = sqrt(9 / 20_000), 0.4
    assert found.rule == "horizon"
    assert found.information_share == pytest.approx(t)
    df = 9**2 / (4**2 + 5**2) * 19_999  # Welch and Satterthwaite
    half = se * as_student(HorizonRule(0.0485).reach(t), df)
    assert (found.lower, found.upper) == pytest.approx((0.1 - half, 0.1 + half))
    z = float(norm.isf(student.sf(0.1 / se, df)))
    assert found.p_value == pytest.approx(HorizonRule(0.0485).p_value(z, t) * 0.05 / 0.0485)


def test_beyond_the_horizon_it_is_rule_2_at_the_reserve() -> None:
    control, treatment = Moments(20_000, 1.0, 4.0), Moments(20_000, 1.1, 5.0)
    found = compare(control, treatment, alpha=0.05, horizon=30_000)
    rule = AsymptoticRule(0.0015, tuned_rho2(0.0015, 30_000))
    assert found.rule == "asymptotic"
    assert found.information_share == pytest.approx(4 / 3)
    half = sqrt(9 / 20_000) * as_student(rule.radius(1.0, 40_000), 81 / 41 * 19_999)
    assert (found.lower, found.upper) == pytest.approx((0.1 - half, 0.1 + half))


def test_without_a_horizon_it_is_rule_2_with_all_of_alpha() -> None:
    control, treatment = Moments(20_000, 1.0, 4.0), Moments(20_000, 1.1, 5.0)
    found = compare(control, treatment, alpha=0.05, planned=30_000)
    rule = AsymptoticRule(0.05, tuned_rho2(0.05, 30_000))
    half = sqrt(9 / 20_000) * as_student(rule.radius(1.0, 40_000), 81 / 41 * 19_999)
    assert (found.rule, found.information_share) == ("asymptotic", None)
    assert (found.lower, found.upper) == pytest.approx((0.1 - half, 0.1 + half))


@pytest.mark.parametrize("plan", [{"horizon": 50_000}, {"horizon": 30_000}, {"planned": 30_000}])
def test_one_sided_bounds_are_one_bound_at_the_whole_of_alpha(plan: dict[str, int]) -> None:
    control, treatment = Moments(20_000, 0.0, 1.0), Moments(20_000, 0.01, 1.0)
    larger = compare(control, treatment, alternative="larger", null=-0.02, **plan)
    smaller = compare(treatment, control, alternative="smaller", null=0.02, **plan)
    both = compare(control, treatment, alpha=0.1, **plan)
    assert (larger.upper, smaller.lower) == (inf, -inf)
    assert larger.lower == pytest.approx(-smaller.upper)
    assert larger.p_value == pytest.approx(smaller.p_value)
    assert larger.lower == pytest.approx(both.lower, rel=0.02)  # crossing on both sides is rare
    assert larger.significant == (larger.lower > -0.02) == (larger.p_value <= 0.05)


def test_differences_within_requests_are_one_sample() -> None:
    found = compare_paired(Moments(4_000, 0.1, 4.0), horizon=10_000)
    half = sqrt(4 / 4_000) * as_student(HorizonRule(0.0485).reach(0.4), 3_999)
    assert (found.lower, found.upper) == pytest.approx((0.1 - half, 0.1 + half))
    assert found.information_share == pytest.approx(0.4)
    after = compare_paired(Moments(4_000, 0.1, 4.0), planned=10_000)
    rule = AsymptoticRule(0.05, tuned_rho2(0.05, 10_000))
    half = sqrt(4 / 4_000) * as_student(rule.radius(1.0, 4_000), 3_999)
    assert (after.lower, after.upper) == pytest.approx((0.1 - half, 0.1 + half))
    silent = compare_paired(Moments(50, 0.1, 4.0), horizon=10_000)
    assert silent.reason == "sample has 50 units, a verdict needs 100"


def test_differences_within_requests_keep_the_error_rate() -> None:
    """Exponential losses less their mean, 100 looks, no difference."""
    sims = 1_000
    rng = np.random.default_rng(107)
    values = rng.exponential(size=(sims, LOOKS, 50)) - 1
    crossed = [
        any(compare_paired(look, horizon=5_000, looks=100).significant for look in looks)
        for looks in looks_of(values)
    ]
    assert np.mean(crossed) <= 0.05 + three_errors(0.05, sims)


def test_running_keeps_what_was_seen() -> None:
    looks = [
        compare(Moments(n, 0.0, 1.0), Moments(n, effect, 1.0), horizon=20_000)
        for n, effect in ((50, 0.0), (2_000, 0.2), (4_000, 0.0))
    ]
    seen = list(running(looks))
    assert [look.significant for look in looks] == [False, True, False]
    assert [look.significant for look in seen] == [False, True, True]
    assert seen[0] == looks[0]
    assert seen[2].p_value == looks[1].p_value
    assert (seen[2].lower, seen[2].upper) == (looks[1].lower, min(look.upper for look in looks))
    assert replace(seen[2], lower=0, upper=0, p_value=0, significant=False) == replace(
        looks[2], lower=0, upper=0, p_value=0, significant=False
    )


def test_running_bounds_hold_the_effect_at_all_looks_together() -> None:
    sims, effect = 1_000, 0.1
    rng = np.random.default_rng(108)
    control = looks_of(rng.standard_normal((sims, LOOKS, 20)))
    treatment = looks_of(rng.standard_normal((sims, LOOKS, 20)) + effect)

    def last(one: list[Moments], two: list[Moments]) -> Comparison:
        *_, last = running(compare(a, b, horizon=4_000) for a, b in zip(one, two, strict=True))
        return last

    ends = [last(one, two) for one, two in zip(control, treatment, strict=True)]
    covered = np.mean([end.lower <= effect <= end.upper for end in ends])
    assert covered >= 0.95 - three_errors(0.05, sims)


def test_the_last_look_is_inside_although_the_arms_miss_their_share() -> None:
    """1,020 against 980 with the noisier arm larger: a little more information than planned."""
    found = compare(Moments(980, 0.0, 1.0), Moments(1_020, 0.0, 1.2), horizon=2_000)
    assert found.rule == "horizon"


@pytest.mark.parametrize(
    ("control", "treatment", "pooled"),
    [
        (Moments(20_000, 0, 1), Moments(10_000, 0, 9), False),  # large enough
        (Moments(20_000, 0, 9), Moments(9_999, 0, 1), True),  # below 10,000, pooled is larger
        (Moments(20_000, 0, 1), Moments(9_999, 0, 9), False),  # below 10,000, Welch is larger
        (Moments(200_000, 0, 9), Moments(19_999, 0, 1), True),  # below 10 %
        (Moments(19_999, 0, 1), Moments(200_000, 0, 9), True),  # the same with control small
    ],
)
def test_small_arms_take_the_larger_standard_error(
    control: Moments, treatment: Moments, pooled: bool
) -> None:
    a, b = control.n, treatment.n
    welch = sqrt(control.var / a + treatment.var / b)
    common = ((a - 1) * control.var + (b - 1) * treatment.var) / (a + b - 2)
    expected = sqrt(common / a + common / b) if pooled else welch
    found = compare(control, treatment, horizon=2 * (a + b), treatment_share=b / (a + b))
    assert found.se == pytest.approx(expected, rel=1e-12)
    assert found.information_share == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        (Moments(99, 0, 1), Moments(500, 9, 1), "control has 99 units, a verdict needs 100"),
        (Moments(500, 0, 1), Moments(0, 0, 0), "treatment has 0 units, a verdict needs 100"),
        (Moments(500, 0, 0), Moments(500, 9, 0), "control and treatment have no variance"),
        (Moments(500, 0, 1e308), Moments(500, 9, 1), "the variance of an arm is too large"),
        (Moments(100, 0, 1), Moments(100, 9, 1), "below 1% of the planned information"),
    ],
)
def test_without_a_verdict_it_says_why(control: Moments, treatment: Moments, reason: str) -> None:
    found = compare(control, treatment, horizon=100_000)
    assert (found.lower, found.upper, found.p_value) == (-inf, inf, 1.0)
    assert (found.rule, found.significant) == ("none", False)
    assert found.reason is not None
    assert found.reason.startswith(reason)


def test_one_arm_without_variance_still_compares() -> None:
    assert compare(Moments(500, 0.0, 0.0), Moments(500, 0.1, 0.09), horizon=1_000).significant


@given(arms, arms, plans, st.floats(0.001, 0.2))
def test_properties(
    control: Moments, treatment: Moments, plan: dict[str, int], alpha: float
) -> None:
    found = compare(control, treatment, alpha=alpha, **plan)
    assert found.lower <= found.effect <= found.upper
    assert 0 <= found.p_value <= 1
    assert found.significant == (found.lower > 0 or found.upper < 0)
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert found.significant == (found.p_value <= alpha)
    mirrored = compare(treatment, control, alpha=alpha, **plan)
    assert mirrored.lower == pytest.approx(-found.upper, rel=1e-9)
    assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-9)


@given(
    arms, arms, st.integers(2, 10), st.sampled_from([{"horizon": 3 * 10**6}, {"planned": 5000}])
)
def test_more_units_narrow_the_interval(
    control: Moments, treatment: Moments, factor: int, plan: dict[str, int]
) -> None:
    before = compare(control, treatment, **plan)
    more = [Moments(arm.n * factor, arm.mean, arm.var) for arm in (control, treatment)]
    after = compare(more[0], more[1], **plan)
    assume(after.rule == before.rule != "none")
    assert after.upper - after.lower < before.upper - before.lower


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"horizon": 10, "alpha": 0.3}, r"alpha must be in \[0.001, 0.2\], got 0.3"),
        ({"horizon": 10, "alpha": nan}, r"alpha must be in \[0.001, 0.2\], got nan"),
        ({}, "planned must be given without a horizon"),
        ({"horizon": 0}, "horizon must be >= 1, got 0"),
        ({"planned": 0}, "planned must be >= 1, got 0"),
        ({"horizon": 10, "treatment_share": 1.0}, r"treatment_share must be in \(0, 1\), got 1"),
        ({"horizon": 2000, "looks": 3}, r"looks must be None or one of"),
        ({"horizon": 2000, "null": nan}, "null must be finite, got nan"),
        ({"horizon": inf}, "horizon must be >= 1, got inf"),
        ({"horizon": 2000, "alternative": "less"}, "alternative must be two-sided, larger or"),
    ],
)
def test_arguments_outside_the_range_are_named(plan: dict[str, Any], says: str) -> None:
    arm = Moments(500, 0.0, 1.0)
    with pytest.raises(ValueError, match=says):
        compare(arm, arm, **plan)


@pytest.mark.parametrize("n", [200, 1_000, 9_999])
def test_in_equal_arms_the_last_digit_decides_nothing(n: int) -> None:
    # the pooled variance of a difference equals the arms' own there, so that which of the two is
    # taken must not turn on rounding: bounds a hair apart come from data a hair apart
    bounds = [
        compare(Moments(n, 0.0, 1.0), Moments(n, 0.1, var), horizon=20_000).lower
        for var in (3.0 + k * 1e-13 for k in range(-50, 51))
    ]
    assert max(bounds) - min(bounds) < 1e-11
