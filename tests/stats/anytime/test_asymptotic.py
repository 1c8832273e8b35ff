"""Rule 2: the formulas of statistics.md and a numerical integral as witnesses."""

from __future__ import annotations

from math import exp, inf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import halfnorm, norm

from palio.stats import AsymptoticRule, tuned_rho2

alphas = st.floats(0.001, 0.5)
counts = st.integers(1, 10**8)


@given(alphas, st.floats(1e-6, 10), st.floats(1e-3, 1e3), counts)
def test_radius_is_the_formula(alpha: float, rho2: float, se: float, n: int) -> None:
    """Rule 2 of statistics.md, first line."""
    s2, rho = n * se**2, sqrt(rho2)
    expected = sqrt(2 * s2 * (n * rho2 + 1) / (n * rho) ** 2 * log(sqrt(n * rho2 + 1) / alpha))
    assert AsymptoticRule(alpha, rho2).radius(se, n) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("z", "n", "rho2"), [(0.0, 10, 0.1), (2.5, 100, 0.02), (-4.0, 1000, 1e-3)]
)
def test_e_value_is_the_likelihood_ratio_mixed_over_a_normal_prior(
    z: float, n: int, rho2: float
) -> None:
    """Integrate ``exp(m z sqrt(n) - n m^2/2)`` over m ~ N(0, rho^2) numerically."""
    mixed, _ = quad(
        lambda m: exp(m * z * sqrt(n) - n * m * m / 2) * norm.pdf(m, scale=sqrt(rho2)),
        -10 * sqrt(rho2),
        10 * sqrt(rho2),
        points=[z / sqrt(n)] if abs(z / sqrt(n)) < 10 * sqrt(rho2) else None,
        limit=200,
    )
    assert exp(AsymptoticRule(0.05, rho2).log_e_value(z, n)) == pytest.approx(mixed, rel=1e-6)


@given(alphas, st.floats(1e-6, 10), st.floats(-10, 10), counts)
def test_interval_and_p_value_agree(alpha: float, rho2: float, z: float, n: int) -> None:
    rule = AsymptoticRule(alpha, rho2)
    lower, upper = rule.interval(z, 1.0, n)
    assert lower <= z <= upper
    assert 0 < rule.p_value(z, n) <= 1
    if abs(rule.p_value(z, n) / alpha - 1) > 1e-9:
        assert (rule.p_value(z, n) <= alpha) == (lower > 0 or upper < 0)


@pytest.mark.parametrize(("z", "n", "rho2"), [(0.3, 10, 0.1), (2.5, 100, 0.02), (4.0, 1000, 1e-3)])
def test_one_sided_e_value_stays_below_the_mixture_over_positive_effects(
    z: float, n: int, rho2: float
) -> None:
    """Integrate over m of a half-normal prior; the bound loses ``1 - 2 exp(y)(1 - Phi)``."""
    prior = halfnorm(scale=sqrt(rho2))
    mixed, _ = quad(
        lambda m: exp(m * z * sqrt(n) - n * m * m / 2) * prior.pdf(m),
        0,
        12 * sqrt(rho2),
        limit=200,
    )
    ours = exp(AsymptoticRule(0.05, rho2, sides=1).log_e_value(z, n))
    y = n * rho2 * z * z / (n * rho2 + 1) / 2
    lost = (1 - 2 * exp(y) * norm.sf(sqrt(2 * y))) / sqrt(n * rho2 + 1)
    assert ours == pytest.approx(mixed - lost, rel=1e-6)
    assert ours < mixed


def test_one_sided_evidence_needs_the_right_sign() -> None:
    assert AsymptoticRule(0.05, 0.01, sides=1).p_value(-5.0, 1000) == 1


@given(st.floats(0.001, 0.5), st.floats(1e-6, 10), st.floats(0, 10), counts)
def test_one_sided_interval_and_p_value_agree(alpha: float, rho2: float, z: float, n: int) -> None:
    rule = AsymptoticRule(alpha, rho2, sides=1)
    if abs(rule.p_value(z, n) / alpha - 1) > 1e-9:
        assert (rule.p_value(z, n) <= alpha) == (z - rule.radius(1.0, n) > 0)
    assert rule.radius(1.0, n) <= AsymptoticRule(alpha, rho2).radius(1.0, n)


@pytest.mark.parametrize("alpha", [0.005, 0.05])
def test_tuning_is_nearly_the_tightest_at_the_planned_sample(alpha: float) -> None:
    planned = 10_000

    def radius(log_rho2: float) -> float:
        return AsymptoticRule(alpha, exp(log_rho2)).radius(1.0, planned)

    best = minimize_scalar(radius, bounds=(-20, 0), method="bounded").fun
    assert radius(log(tuned_rho2(alpha, planned))) == pytest.approx(best, rel=0.01)


def test_without_units_the_interval_is_infinite() -> None:
    assert AsymptoticRule(0.05, 0.01).interval(0.0, 1.0, 0) == (-inf, inf)
    assert AsymptoticRule(0.05, 0.01).p_value(50.0, 0) == 1


@pytest.mark.parametrize(
    ("alpha", "planned", "says"),
    [(0.0, 10, r"alpha must be in \(0, 1\)"), (0.05, 0, "planned must be finite and > 0, got 0")],
)
def test_tuning_names_what_is_out_of_range(alpha: float, planned: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tuned_rho2(alpha, planned)


@pytest.mark.parametrize(
    ("alpha", "rho2", "says"), [(1.0, 0.1, "alpha must be in"), (0.05, inf, "rho2 must be finite")]
)
def test_rule_names_what_is_out_of_range(alpha: float, rho2: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AsymptoticRule(alpha, rho2)
