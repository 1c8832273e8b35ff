"""Plans: statsmodels for one look, simulated paths and simulated `compare` for rule 1."""

from __future__ import annotations

from math import ceil, inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]  # no stubs
from scipy.stats import ttest_ind  # type: ignore[import-untyped]  # no stubs
from statsmodels.stats.power import (  # type: ignore[import-untyped]  # no stubs
    NormalIndPower,
    TTestIndPower,
    TTestPower,
    tt_ind_solve_power,
)
from statsmodels.stats.proportion import (  # type: ignore[import-untyped]  # no stubs
    power_proportions_2indep,
    samplesize_proportions_2indep_onetail,
)

from palio.stats import compare
from palio.stats.adjusted.cuped import cuped
from palio.stats.anytime.horizon import HorizonRule
from palio.stats.anytime.sequential import RESERVE_SHARE
from palio.stats.estimate import Alternative, equivalence
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.planned.planning import (
    ANY_LOOKS,
    ONE_LOOK,
    Baseline,
    Design,
    achieved_power,
    detectable_effect,
    sample_size,
)
from palio.stats.ratios import ratio

Array = NDArray[np.float64]
UNIT = Baseline(1.0, 1.0)
DRIFT = float(ndtri(0.975) + ndtri(0.8))  # of 80 % power at one look at 5 %
ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "larger", "smaller")

baselines = st.one_of(
    st.builds(Baseline, st.floats(-100, 100), st.floats(0.01, 100)),
    st.builds(Baseline.of_rate, st.floats(0.15, 0.5)),
    st.builds(Baseline.of_differences, st.builds(Moments, st.just(9), st.just(0.0), st.just(2.0))),
)
designs = st.builds(
    Design,
    looks=st.sampled_from([1, 10, 20]),
    alpha=st.floats(0.01, 0.2),
    alternative=st.sampled_from(ALTERNATIVES),
    null=st.floats(-0.01, 0.01),
    treatment_share=st.floats(0.2, 0.8),
)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("per_arm", [2, 5, 30, 1_000, 10**6])
@pytest.mark.parametrize("size", [0.0, 0.2, 1.0])
def test_one_look_at_equal_arms_is_the_power_of_statsmodels(
    alternative: Alternative, per_arm: int, size: float
) -> None:
    baseline = Baseline(3.0, 4.0)
    found = achieved_power(
        baseline, 2 * size, 2 * per_arm, design=Design(1, alternative=alternative)
    )
    theirs = TTestIndPower().power(size, per_arm, 0.05, alternative=alternative)
    assert found.power == pytest.approx(np.nan_to_num(theirs), abs=1e-9)  # nan where scipy's is 0
    assert found.expected_units == found.units == 2 * per_arm


@pytest.mark.parametrize("share", [0.1, 0.4, 0.75])
def test_one_look_at_unequal_arms_is_near_statsmodels(share: float) -> None:
    """It pools the variances, with N - 2 degrees of freedom for Welch's fewer, 0.03 of power."""
    units = 200
    found = achieved_power(UNIT, 0.5, units, design=Design(1, treatment_share=share))
    counts = share * units, (1 - share) * units
    theirs = TTestIndPower().power(0.5, counts[0], 0.05, ratio=counts[1] / counts[0])
    assert found.power == pytest.approx(theirs, abs=0.035)
    assert found.power <= theirs
    normal = NormalIndPower().power(0.005, 1e4 * counts[0], 0.05, ratio=counts[1] / counts[0])
    many = achieved_power(UNIT, 0.005, 10**4 * units, design=Design(1, treatment_share=share))
    assert many.power == pytest.approx(normal, abs=1e-4)


def test_unequal_variances_are_welchs() -> None:
    """Of simulated `scipy.stats.ttest_ind` on normal values: 40,000 sims, four errors 0.008."""
    design = Design(1, treatment_share=0.25)
    found = achieved_power(Baseline(0.0, 1.0, treatment_var=9.0), 2.0, 60, design=design)
    rng, sims = np.random.default_rng(501), 40_000
    control, treatment = rng.normal(0, 1, (sims, 45)), rng.normal(2, 3, (sims, 15))
    p_values = ttest_ind(treatment, control, axis=1, equal_var=False).pvalue
    assert found.power == pytest.approx(np.mean(p_values <= 0.05), abs=0.008)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("size", [0.05, 0.3, 2.0])
def test_the_sample_is_that_of_statsmodels(power: float, size: float) -> None:
    """Ours is whole for both arms together, so it may end on an odd one."""
    theirs = tt_ind_solve_power(size, alpha=0.05, power=power)
    assert sample_size(UNIT, size, power=power, design=ONE_LOOK).units == ceil(2 * theirs)


def test_the_detectable_effect_is_that_of_statsmodels() -> None:
    theirs = tt_ind_solve_power(None, 400, 0.05, 0.8)
    found = detectable_effect(Baseline(-10.0, 9.0), 800, design=ONE_LOOK)
    assert found.effect == pytest.approx(3 * theirs, rel=1e-6)
    assert found.relative == pytest.approx(0.3 * theirs, rel=1e-6)
    below = detectable_effect(Baseline(0, 9.0), 800, design=Design(1, alternative="smaller"))
    theirs = tt_ind_solve_power(None, 400, 0.05, 0.8, alternative="larger")
    assert below.effect == pytest.approx(-3 * theirs, rel=1e-5)  # their solver is that exact
    assert below.relative is None


def test_pairs_are_one_sample_of_statsmodels() -> None:
    pairs = Baseline.of_differences(Moments(500, 0.3, 4.0), mean=2.0)
    for requests in (10, 100):
        theirs = TTestPower().power(0.5, requests, 0.05)
        found = achieved_power(pairs, 1.0, requests, design=ONE_LOOK)
        assert found.power == pytest.approx(theirs, abs=1e-9)
        assert found.relative == pytest.approx(0.5)
    assert sample_size(pairs, 0.2, design=ANY_LOOKS).units == pytest.approx(
        sample_size(Baseline(0, 4.0), 0.2, design=ANY_LOOKS).units / 4, abs=2
    )  # V is var for pairs, 4 var for two arms


@pytest.mark.parametrize(("rate", "effect"), [(0.05, 0.005), (0.01, 0.003), (0.3, 0.1)])
def test_proportions_in_equal_arms_are_near_statsmodels(rate: float, effect: float) -> None:
    """Its score test pools the variance under the null: 0.5 % of the units."""
    for design, alpha in ((ONE_LOOK, 0.025), (Design(1, alternative="larger"), 0.05)):
        found = sample_size(Baseline.of_rate(rate), effect, design=design)
        theirs = samplesize_proportions_2indep_onetail(
            effect, rate, 0.8, alpha=alpha, alternative="larger"
        )
        assert found.units == pytest.approx(2 * theirs, rel=0.006)
    power = power_proportions_2indep(effect, rate, found.units / 2, alpha=0.05).power
    both = achieved_power(Baseline.of_rate(rate), effect, found.units, design=ONE_LOOK)
    assert both.power == pytest.approx(power, abs=0.003)


def test_proportions_in_unequal_arms_are_walds() -> None:
    """Simulated from binomial counts, 200,000 of them: four errors are 0.004."""
    design = Design(1, alternative="larger", treatment_share=0.2)
    plan = sample_size(Baseline.of_rate(0.05), 0.02, design=design)
    rng = np.random.default_rng(502)
    n_t = round(0.2 * plan.units)
    n_c = plan.units - n_t
    p_c, p_t = rng.binomial(n_c, 0.05, 200_000) / n_c, rng.binomial(n_t, 0.07, 200_000) / n_t
    z = (p_t - p_c) / np.sqrt(p_c * (1 - p_c) / n_c + p_t * (1 - p_t) / n_t)
    # a binomial is discrete and skewed: 0.01 beside the four errors
    assert np.mean(z >= ndtri(0.95)) == pytest.approx(0.8, abs=0.014)


def paths_of_rule(design: Design, drift: float, sims: int, seed: int) -> tuple[float, float]:
    """Power and mean stop from simulated Brownian paths at a hundred looks or as many as bind."""
    count = design.looks or 100
    two = design.alternative == "two-sided"
    rule = HorizonRule(design.alpha * (1 - RESERVE_SHARE), design.looks, 2 if two else 1)
    shares = np.arange(1, count + 1) / count
    steps = np.random.default_rng(seed).normal(drift / count, sqrt(1 / count), (sims, count))
    z = steps.cumsum(axis=1) / np.sqrt(shares)
    over = (np.abs(z) if two else z) >= [rule.reach(float(t)) for t in shares]
    stop = np.where(over.any(axis=1), shares[over.argmax(axis=1)], 1.0)
    return float(over.any(axis=1).mean()), float(stop.mean())


@pytest.mark.parametrize(
    "design",
    [Design(100), Design(10), Design(None, 0.1), Design(50, alternative="larger")],
    ids=["hundred", "ten", "any", "larger"],
)
@pytest.mark.parametrize("factor", [1, 2])
def test_rule_1_equals_simulated_paths(design: Design, factor: int) -> None:
    """20,000 paths: four errors are 0.014 of power and at most 0.009 of the stop."""
    units = 10**6
    effect = factor * DRIFT * sqrt(4 / units)
    found = achieved_power(UNIT, effect, units, design=design)
    power, stop = paths_of_rule(design, factor * DRIFT, 20_000, 503)
    assert found.power == pytest.approx(power, abs=4 * sqrt(power * (1 - power) / 20_000) + 1e-4)
    assert found.expected_units / units == pytest.approx(stop, abs=0.009)


def test_a_hundred_looks_have_the_published_power() -> None:
    """`benchmarks/stats/frontier.py` works it out by other means: .725, .686, .271."""
    for factor, power, stop in ((1, 0.725, 0.686), (2, 1.0, 0.271)):
        effect = factor * DRIFT * sqrt(4 / 10**6)
        found = achieved_power(UNIT, effect, 10**6, design=Design(looks=100))
        assert found.power == pytest.approx(power, abs=0.005)
        assert found.expected_units / 10**6 == pytest.approx(stop, abs=0.005)


def running_moments(
    rng: np.random.Generator, looks: Array, mean: float, rate: float | None
) -> list[Moments]:
    """Moments of one arm at each of its sizes: normal values with variance 1, or successes."""
    added = np.diff(looks, prepend=0)
    if rate is not None:
        ones = rng.binomial(added.astype(int), rate).cumsum()
        return [Moments(int(n), k / n, k * (n - k) / n / (n - 1)) for n, k in zip(looks, ones)]  # noqa: B905
    sums = rng.normal(mean * added, np.sqrt(added))
    squares = sums**2 / added + rng.chisquare(added - 1)  # of normal values, exactly
    return [
        Moments.from_sums(int(n), 0.0, float(one), float(two))
        for n, one, two in zip(looks, sums.cumsum(), squares.cumsum(), strict=True)
    ]


def stops_of_compare(
    design: Design, units: int, effect: float, *, rate: float | None, sims: int
) -> tuple[float, float]:
    """Power and mean stop, as a share of the units, of `compare` looked at a hundred times."""
    rng, count = np.random.default_rng(504), design.looks or 100
    sizes = np.round(np.arange(1, count + 1) / count * units)
    treated = np.round(sizes * design.treatment_share)
    found = []
    for _ in range(sims):
        pairs = zip(
            running_moments(rng, sizes - treated, 0.0, rate),
            running_moments(rng, treated, effect, rate and rate + effect),
            strict=True,
        )
        found.append(next(
            (at for at, (c, t) in enumerate(pairs, start=1) if compare(
                c, t, alpha=design.alpha, horizon=units, treatment_share=design.treatment_share,
                looks=design.looks, alternative=design.alternative, null=design.null,
            ).significant), inf,
        ))  # fmt: skip
    stops = np.array(found)
    return float(np.isfinite(stops).mean()), float(np.minimum(stops, count).mean() / count)


@pytest.mark.parametrize(
    ("design", "effect", "rate"),
    [
        (Design(looks=100), 0.05, None),
        (ANY_LOOKS, 0.05, None),
        (Design(looks=20, alternative="larger", null=-0.02, treatment_share=0.25), 0.03, None),
        (Design(looks=10, alternative="smaller", treatment_share=1 / 12), -0.005, 0.05),
    ],
    ids=["hundred", "any", "non-inferiority", "canary"],
)
def test_a_plan_keeps_its_promise_in_compare(
    design: Design, effect: float, rate: float | None
) -> None:
    """1,000 sims: three errors are 0.038 of power and 0.029 of the stop, whose sd is near 0.3."""
    baseline = UNIT if rate is None else Baseline.of_rate(rate)
    plan = sample_size(baseline, effect, design=design)
    power, stop = stops_of_compare(design, plan.units, effect, rate=rate, sims=1_000)
    assert power == pytest.approx(0.8, abs=0.038)
    assert plan.expected_units / plan.units == pytest.approx(stop, abs=0.029)


def test_rule_1_is_silent_below_100_units_in_an_arm() -> None:
    """An effect of ten deviations is seen at the first verdict, and below it never."""
    for units, stop in ((199, 199), (200, 200), (1_000, 200)):
        found = achieved_power(UNIT, 10.0, units, design=Design(looks=10))
        assert found.power == pytest.approx(float(units >= 200))
        assert found.expected_units == pytest.approx(stop)
    canary = Design(looks=10, treatment_share=0.1)
    assert achieved_power(UNIT, 10.0, 10_000, design=canary).expected_units == pytest.approx(1_000)
    assert sample_size(UNIT, 10.0, design=canary).units == 1_000


@pytest.mark.parametrize("variances", [(9.0, 1.0), (1.0, 9.0)], ids=["pooled", "welch"])
def test_rule_1_counts_with_the_standard_error_of_compare(variances: tuple[float, float]) -> None:
    """Its guard takes the pooled one for 15,000 against 5,000 where that is larger."""
    units, share = 20_000, 0.25
    arms = Moments(15_000, 0.0, variances[0]), Moments(5_000, 0.1, variances[1])
    se = compare(*arms, horizon=units, treatment_share=share).se
    found = achieved_power(
        Baseline(0.0, variances[0], treatment_var=variances[1]), 0.1, units,
        design=Design(10, treatment_share=share),
    )  # fmt: skip
    same = achieved_power(Baseline(0.0, se**2 * units / 4), 0.1, units, design=Design(10))
    assert found.power == pytest.approx(same.power, abs=1e-4)  # pooled by n - 1 in compare


def test_equivalence_is_non_inferiority_at_half_the_miss() -> None:
    """Simulated `equivalence`, 20,000 normal estimates: three errors are 0.009."""
    design = Design(1, alternative="larger", null=-0.1)
    plan = sample_size(UNIT, 0.0, power=0.9, design=design)
    se = sqrt(4 / plan.units)
    estimates = np.random.default_rng(505).normal(0, se, 20_000)
    shown = [equivalence(e, se, low=-0.1, high=0.1).equivalent for e in estimates.tolist()]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.009)
    assert 2 * ndtr(0.1 / se - ndtri(0.95)) - 1 == pytest.approx(0.8, abs=1e-3)


def test_cuped_and_ratios_enter_through_their_variance() -> None:
    rng = np.random.default_rng(506)
    x = rng.normal(size=4_000)
    y = 5 + x + rng.normal(size=4_000)
    joint = JointMoments.of(y, x)
    adjusted = Baseline.of(cuped(joint, joint).control)
    plain = Baseline.of(joint.value(0))
    correlation = float(np.corrcoef(x, y)[0, 1])
    assert plain.explained(correlation).var == pytest.approx(adjusted.var, rel=2e-3)  # df
    units = sample_size(plain, 0.1, design=ONE_LOOK).units
    assert sample_size(adjusted, 0.1, design=ONE_LOOK).units == pytest.approx(
        units * (1 - correlation**2), rel=2e-3
    )
    other = Baseline(5.0, 2.0, treatment_var=8.0).explained(0.5)
    assert (other.var, other.treatment_var) == (1.5, 6.0)
    clicks = JointMoments.of(y, 1 + np.abs(x))
    assert Baseline.of(ratio(clicks)) == Baseline(ratio(clicks).mean, ratio(clicks).var)


@settings(max_examples=60, deadline=None)
@given(baselines, designs, st.floats(1.01, 3), st.floats(0.3, 0.95))
def test_round_trips(baseline: Baseline, design: Design, times: float, power: float) -> None:
    sign = -1 if design.alternative == "smaller" else 1
    size = sign * (0.02 + abs(design.null))
    plan = sample_size(baseline, size, power=power, design=design)
    again = achieved_power(baseline, size, plan.units, design=design)
    assert again == plan
    assert plan.power >= power
    least = ceil(2 / min(design.treatment_share, 1 - design.treatment_share))
    if baseline.kind != "paired" and plan.units > least:
        assert achieved_power(baseline, size, plan.units - 1, design=design).power < power
    assume(plan.power < power + 1e-3)
    back = detectable_effect(baseline, plan.units, power=power, design=design)
    assert back.power == pytest.approx(power, abs=1e-6)
    if design.alternative != "two-sided":
        assert back.effect == pytest.approx(size, rel=0.05)
    assert 0 < plan.expected_units <= plan.units
    more = sample_size(baseline, times * size, power=power, design=design)
    assert more.units <= plan.units
    surer = sample_size(baseline, size, power=(1 + power) / 2, design=design)
    assert surer.units >= plan.units


@given(designs, st.integers(20, 10**6), st.floats(0.03, 2))
@settings(max_examples=60, deadline=None)
def test_power_rises_with_units_and_effect(design: Design, units: int, size: float) -> None:
    size *= -1 if design.alternative == "smaller" else 1
    base = achieved_power(UNIT, size, units, design=design)
    assert achieved_power(UNIT, size, units + 1, design=design).power >= base.power - 1e-9
    assert achieved_power(UNIT, 1.1 * size, units, design=design).power >= base.power - 1e-9


def test_power_is_a_number_where_scipy_underflows() -> None:
    """`scipy.special.nctdtr` is nan here and there 6 standard errors and more from the middle."""
    for alternative in ALTERNATIVES:
        for alpha in (1e-9, 0.05, 0.9):
            design = Design(1, alpha, alternative)
            powers = [
                achieved_power(UNIT, size, units, design=design).power
                for units in (4, 6, 20, 160, 10**6)
                for size in (8 / sqrt(units), 25 / sqrt(units), 80 / sqrt(units))
            ]
            assert all(0 <= power <= 1 for power in powers)
            far = 0.0 if alternative == "smaller" else 1.0
            if alpha == 0.05:
                assert powers[-1] == powers[-4] == pytest.approx(far, abs=1e-12)


def test_mirrored_effects_have_the_same_power() -> None:
    for looks in (1, 20):
        up = achieved_power(UNIT, 0.1, 3_000, design=Design(looks, alternative="larger"))
        down = achieved_power(UNIT, -0.1, 3_000, design=Design(looks, alternative="smaller"))
        assert up.power == pytest.approx(down.power, rel=1e-12)
        both = achieved_power(UNIT, -0.1, 3_000, design=Design(looks))
        assert both.power == achieved_power(UNIT, 0.1, 3_000, design=Design(looks)).power
        wrong = achieved_power(UNIT, -0.1, 3_000, design=Design(looks, alternative="larger"))
        assert wrong.power < 0.05


def test_days_at_a_constant_rate() -> None:
    plan = achieved_power(UNIT, 0.1, 1_001, design=ONE_LOOK)
    assert (plan.days(100), plan.days(1_001), plan.days(0.5)) == (11, 1, 2_002)


def test_the_largest_numbers_do_not_overflow() -> None:
    assert achieved_power(Baseline(0, 5e-324), 1e308, 1_000).power == pytest.approx(1)
    one = achieved_power(Baseline(0, 5e-324), -1e308, 1_000, design=Design(1, null=1e308))
    assert one.power == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Baseline(nan, 1), "mean must be finite, got nan"),
        (lambda: Baseline(0, 0), "var must be finite and > 0, got 0"),
        (lambda: Baseline(0, 1, treatment_var=-1), "treatment_var must be finite and > 0"),
        (lambda: Baseline(0, 1, "median"), "kind must be mean, proportion or paired, got 'me"),  # type: ignore[arg-type]
        (lambda: Baseline.of(Moments(1, 2.0, 0.0)), "var must be finite and > 0, got 0"),
        (lambda: Baseline.of_rate(1), r"rate must be in \(0, 1\), got 1"),
        (lambda: UNIT.explained(1), r"correlation must be in \(-1, 1\), got 1"),
        (lambda: Baseline.of_rate(0.1).explained(0.1), "kind must be mean for CUPED, got 'prop"),
        (lambda: Design(alternative="less"), "alternative must be two-sided, larger or smaller"),  # type: ignore[arg-type]
        (lambda: Design(null=inf), "null must be finite, got inf"),
        (lambda: Design(treatment_share=0), r"treatment_share must be in \(0, 1\), got 0"),
        (lambda: Design(alpha=0.3), r"alpha must be in \[0.001, 0.2\], got 0.3"),
        (lambda: Design(1, alpha=1), r"alpha must be in \(0, 1\), got 1"),
        (lambda: Design(3), "looks must be None or one of"),
        (lambda: sample_size(UNIT, nan), "effect must be finite, got nan"),
        (lambda: sample_size(UNIT, 1, power=0.05), r"power must be in \(alpha, 1\) = \(0.05, 1"),
        (lambda: sample_size(UNIT, 1, power=1), r"power must be in .*, got 1"),
        (lambda: sample_size(UNIT, 0), r"effect must lie beyond the null 0.0 \(two-sided\), got"),
        (
            lambda: sample_size(UNIT, -1, design=Design(1, alternative="larger", null=-1)),
            r"effect must lie beyond the null -1 \(larger\), got -1",
        ),
        (lambda: sample_size(UNIT, 1e-7), r"effect must be found by 1e\+12 units, got 1e-07"),
        (lambda: sample_size(Baseline.of_rate(0.9), 0.1), r"effect must leave a rate in \(0, 1\)"),
        (lambda: achieved_power(UNIT, inf, 9), "effect must be finite, got inf"),
        (lambda: achieved_power(UNIT, 1, 3), "units must be a whole number >= 4, got 3"),
        (
            lambda: achieved_power(UNIT, 1, 19, design=Design(treatment_share=0.1)),
            "units must be a whole number >= 20, got 19",
        ),
        (lambda: achieved_power(Baseline(0, 1e308), 1, 9), "variance of the effect must be fin"),
        (lambda: detectable_effect(UNIT, 4.5), "units must be a whole number >= 4"),  # type: ignore[arg-type]
        (lambda: detectable_effect(UNIT, 9, power=0), r"power must be in \(alpha, 1\)"),
        (lambda: detectable_effect(UNIT, 100), "units must be enough to find an effect with 0.8"),
        (
            lambda: detectable_effect(
                Baseline.of_rate(0.05), 40, design=Design(1, alternative="smaller")
            ),
            "units must be enough to find an effect with 0.8, got 40",
        ),
        (
            lambda: achieved_power(UNIT, 0.1, 100, design=ONE_LOOK).days(0),
            "units_per_day must be finite and > 0, got 0",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
