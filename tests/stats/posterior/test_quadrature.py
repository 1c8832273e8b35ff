"""The quadrature against itself with panels divided further, and against what scipy can do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from palio.stats.posterior.quadrature import (
    Axis,
    beta_axis,
    chance_above_all,
    mean_excess,
    normal_axis,
)

parameters = st.floats(-3, 7).map(lambda x: 10.0**x)
shapes = st.tuples(parameters, parameters)


def divided(axis: Axis, into: int = 8) -> Axis:
    steps = [np.linspace(a, b, into + 1)[1:] for a, b in pairwise(axis.cuts)]
    cuts = (axis.cuts[0], *(float(cut) for step in steps for cut in step))
    return Axis(axis.peak, cuts, axis.density, axis.below)


@given(shapes, shapes)
@settings(max_examples=60)
def test_further_panels_change_nothing(one: tuple[float, float], two: tuple[float, float]) -> None:
    """From priors of 1e-3 to 10^7 counts."""
    a, b = beta_axis(*one), beta_axis(*two)
    chance = chance_above_all(a, b)
    assert chance == pytest.approx(chance_above_all(divided(a), divided(b)), abs=1e-11)
    assert chance + chance_above_all(b, a) == pytest.approx(1, abs=1e-11)


@given(shapes)
@settings(max_examples=60)
def test_axis_of_a_beta(shape: tuple[float, float]) -> None:
    """The density falls by 40 nats to either end; F equals scipy's on the rate."""
    axis = beta_axis(*shape)
    assert list(axis.cuts) == sorted(axis.cuts)
    ends = axis.density(np.array([axis.cuts[0], 0.0, axis.cuts[-1]]))
    assert ends[1] == pytest.approx(1.0, rel=1e-9)
    assert max(ends[0], ends[2]) == pytest.approx(np.exp(-40), rel=0.05)
    rates = np.array([0.01, 0.3, 0.5, 0.7, 0.99])
    logits = np.log(rates) - np.log1p(-rates)
    expected = beta_distribution(*shape).cdf(rates)
    found = axis.below(0.0, logits)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_far_tails_of_a_beta_follow_the_power_law() -> None:
    """x = exp(-5000) is no double, but F there is x^a times what it is at 1e-300, a = 1e-3."""
    axis = beta_axis(1e-3, 50.0)
    known = beta_distribution(1e-3, 50.0).cdf(1e-300)
    log_x = np.log(1e-300)
    found = axis.below(0.0, np.array([-5000.0]))[0]
    assert found == pytest.approx(known * np.exp(1e-3 * (-5000.0 - log_x)), rel=1e-9)


def test_normals_of_any_width() -> None:
    wide, sharp = normal_axis(0.0, 1e200), normal_axis(5e199, 1e-200)
    assert chance_above_all(sharp, wide) == pytest.approx(norm.cdf(0.5), abs=1e-12)
    assert chance_above_all(wide, sharp) == pytest.approx(norm.sf(0.5), abs=1e-12)


moderate = st.floats(-2, 3).map(lambda x: 10.0**x)


@given(st.tuples(moderate, moderate), st.tuples(moderate, moderate))
@settings(max_examples=40)
def test_mean_excess_equals_scipy_on_a_fine_grid(
    one: tuple[float, float], two: tuple[float, float]
) -> None:
    """The trapezoidal rule on 20,001 logits, exact for smooth and vanishing integrands."""
    small, large = sorted((one, two), key=lambda shape: shape[0] / sum(shape))
    y = np.linspace(-60, 60, 20_001)
    rates = expit(y)
    slope = rates * expit(-y)
    below = beta_distribution(*large).cdf(rates)
    above = beta_distribution(*reversed(small)).cdf(expit(-y))
    expected = np.sum(slope * below * above) * (y[1] - y[0])
    assert mean_excess(small, large) == pytest.approx(expected, rel=1e-8, abs=1e-14)
