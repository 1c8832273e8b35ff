"""Reports: every part of a row against the function that it is assembled from."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from palio.stats.adjusted.cuped import cuped
from palio.stats.anytime.sequential import compare
from palio.stats.estimate import Alternative
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.one_look.means import relative, relative_moments, welch
from palio.stats.reporting.row import Looking, report_row

LOOKING = Looking(horizon=4_000)
SIDES: tuple[Alternative, ...] = ("two-sided", "larger", "smaller")
CONTROL, TREATMENT = Moments(1_000, 10.0, 4.0), Moments(1_100, 10.4, 5.0)


def joint(shift: float) -> JointMoments:
    """A metric and a covariate that explains most of it."""
    rng = np.random.default_rng(1)
    x = rng.normal(5, 2, 1_000)
    return JointMoments.of(x + rng.normal(shift, 1, 1_000), x)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("null", [0.0, -0.1])
def test_a_row_is_assembled_from_the_functions(alternative: Alternative, null: float) -> None:
    looking = Looking(alpha=0.02, horizon=4_000, treatment_share=0.6, looks=20,
                      alternative=alternative)  # fmt: skip
    row = report_row("m", CONTROL, TREATMENT, looking, null=null)
    how: dict[str, Any] = {"alpha": 0.02, "horizon": 4_000, "treatment_share": 0.6, "looks": 20,
                           "alternative": alternative}  # fmt: skip
    assert row.comparison == compare(CONTROL, TREATMENT, null=null, **how)
    arms = relative_moments(CONTROL, TREATMENT)
    assert row.relative == compare(*arms, null=null / 10.0, **how)
    assert row.fixed == welch(CONTROL, TREATMENT, alpha=0.02, alternative=alternative, null=null)
    assert (row.metric, row.control, row.treatment) == ("m", CONTROL, TREATMENT)
    assert row.unadjusted is None
    assert row.variance_removed is None
    assert row.adjusted_p == row.comparison.p_value


def test_the_chance_to_beat_is_the_normal_posterior() -> None:
    """Scipy: P(effect > 0) and E[max(0, -+effect)] of a normal at the estimate."""
    row = report_row("m", CONTROL, TREATMENT, LOOKING)
    se = sqrt(4.0 / 1_000 + 5.0 / 1_100)
    assert row.chance_to_beat == pytest.approx(norm.cdf(0.4 / se))
    draws = norm.expect(lambda x: max(0.0, x), loc=0.4, scale=se, lb=0, ub=2)
    assert row.expected_loss is not None
    assert row.expected_loss.control == pytest.approx(draws, rel=1e-6)
    below = norm.expect(lambda x: max(0.0, -x), loc=0.4, scale=se, lb=-2, ub=0)
    assert row.expected_loss.treatment == pytest.approx(below, rel=1e-6)


def test_smaller_values_that_are_better_turn_chance_and_losses_round() -> None:
    larger = report_row("m", CONTROL, TREATMENT, LOOKING)
    smaller = report_row("m", CONTROL, TREATMENT, LOOKING, better="smaller")
    assert larger.chance_to_beat is not None
    assert smaller.chance_to_beat == pytest.approx(1 - larger.chance_to_beat)
    assert larger.expected_loss is not None
    assert smaller.expected_loss is not None
    assert smaller.expected_loss.control == pytest.approx(larger.expected_loss.treatment)
    assert smaller.expected_loss.treatment == pytest.approx(larger.expected_loss.control)
    assert smaller.comparison == larger.comparison


def test_covariates_are_taken_out_and_what_was_before_stands_beside() -> None:
    control, treatment = joint(0.0), joint(0.5)
    row = report_row("y", control, treatment, LOOKING)
    found = cuped(control, treatment)
    assert row.comparison == LOOKING.compare(found.control, found.treatment)
    assert row.fixed == welch(found.control, found.treatment)
    assert row.unadjusted == LOOKING.compare(control.value(0), treatment.value(0))
    assert (row.control, row.treatment) == (control.value(0), treatment.value(0))
    assert row.variance_removed == found.variance_removed
    assert row.variance_removed == pytest.approx(4 / 5, abs=0.03)  # var(x) / var(y) = 4 / (4 + 1)


def test_covariates_in_one_arm_only_are_refused() -> None:
    with pytest.raises(ValueError, match="m must have covariates in both arms or in none"):
        report_row("m", joint(0.0), TREATMENT, LOOKING)


@pytest.mark.parametrize("n", [0, 1])
def test_below_two_units_nothing_is_said_of_one_look(n: int) -> None:
    row = report_row("m", Moments(n, 0.0, 0.0), TREATMENT, LOOKING)
    assert (row.fixed, row.chance_to_beat, row.expected_loss) == (None, None, None)
    assert row.relative is None
    assert row.comparison.reason == f"control has {n} units, a verdict needs 100"


def test_without_variance_there_is_no_posterior() -> None:
    row = report_row("m", Moments(200, 3.0, 0.0), Moments(200, 4.0, 0.0), LOOKING)
    assert (row.chance_to_beat, row.expected_loss) == (None, None)
    assert row.comparison.reason is not None
    assert row.fixed is not None
    assert (row.fixed.lower, row.fixed.upper) == (-inf, inf)


@pytest.mark.parametrize(("mean", "told"), [(0.0, False), (0.49, False), (0.51, True)])
def test_a_relative_effect_needs_a_baseline_away_from_0(mean: float, told: bool) -> None:
    """The standard error of control is 0.1, five of it are 0.5."""
    for sign in (1, -1):
        row = report_row("m", Moments(400, sign * mean, 4.0), TREATMENT, LOOKING)
        assert (row.relative is not None) is told


def test_a_relative_effect_that_overflows_is_left_out() -> None:
    row = report_row("m", Moments(400, 1e-300, 0.0), Moments(400, 1e10, 1.0), LOOKING)
    assert row.relative is None


def test_why_five_standard_errors() -> None:
    """The linear interval of a ratio misses twice as often as it says where the baseline is near.

    Rates of 5 %, control's mean at 2.3 and 7.3 standard errors, nominal misses of 5 %: 10.7 % and
    5.3 % here. 20,000 simulations each, seed 5; the noise of such a share is 0.2 %.
    """
    rng = np.random.default_rng(5)
    for n, low, high in ((100, 0.09, 0.12), (1_000, 0.045, 0.06)):
        a, b = rng.binomial(n, 0.05, (2, 20_000)) / n
        a, b = a[a > 0], b[a > 0]
        se = np.sqrt((b / a) ** 2 * a * (1 - a) + b * (1 - b)) / np.sqrt(n) / a
        missed = float(np.mean(np.abs(b / a - 1) > 1.96 * se))
        assert low < missed < high
    assert 0.05 / sqrt(0.05 * 0.95 / 100) < 5 < 0.05 / sqrt(0.05 * 0.95 / 1_000)


@pytest.mark.parametrize("alternative", SIDES)
def test_below_0_a_larger_mean_is_a_smaller_ratio(alternative: Alternative) -> None:
    """One-sided, both the effect and its share show the same, as at one look of `relative`."""
    control, treatment = Moments(1_000, -10.0, 4.0), Moments(1_000, -9.0, 4.0)
    looking = replace(LOOKING, alternative=alternative)
    row = report_row("m", control, treatment, looking)
    assert row.relative is not None
    assert row.relative.effect == pytest.approx(relative(control, treatment).effect)
    assert row.relative.significant is row.comparison.significant
    assert isfinite(row.relative.upper) is isfinite(row.comparison.lower)
    assert isfinite(row.relative.lower) is isfinite(row.comparison.upper)


values = st.floats(-100, 100)
moments = st.builds(Moments, st.integers(2, 10**6), values, st.floats(0.01, 100))


@given(moments, moments)
def test_exchanged_arms_are_mirrored(one: Moments, two: Moments) -> None:
    there, back = report_row("m", one, two, LOOKING), report_row("m", two, one, LOOKING)
    assert there.comparison.p_value == pytest.approx(back.comparison.p_value)
    assert there.comparison.lower == pytest.approx(-back.comparison.upper)
    assert there.chance_to_beat == pytest.approx(1 - (back.chance_to_beat or 0), abs=1e-9)


@given(moments, moments)
def test_p_is_within_alpha_exactly_where_a_difference_is_shown(one: Moments, two: Moments) -> None:
    row = report_row("m", one, two, LOOKING)
    for found in (row.comparison, row.relative):
        if found is not None:
            assert found.significant is (found.lower > 0 or found.upper < 0)
            assert found.p_value <= 0.05 or not found.significant
