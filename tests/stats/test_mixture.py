"""Rule 1: the shipped table against fresh Brownian paths and the values of statistics.md."""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.stats import MixtureRule, crossing
from palio.stats.mixture_table import ALPHA_GRID, LOG_C, R_GRID, T_MIN

alphas = st.floats(0.001, 0.2)
shapes = st.floats(0.05, 1.0)
shares = st.floats(T_MIN, 1.0)


def share_crossed(rule: MixtureRule, *, paths: int, looks: int, seed: int) -> float:
    """Share of continuous Brownian paths that cross.

    A step counts as crossed with the probability that the bridge between its ends was, the
    boundary being straight in between: ``exp(-2 gap_before gap_after / dt)``.
    """
    rng = np.random.default_rng(seed)
    times = np.geomspace(T_MIN, 1.0, looks).clip(T_MIN, 1.0).tolist()
    edges = [t * rule.interval(0.0, 1 / sqrt(t), t)[1] for t in times]  # in units of B = z sqrt t
    path = rng.standard_normal(paths) * sqrt(T_MIN)
    kept = (np.abs(path) < edges[0]).astype(float)
    for (past, t), (edge_before, edge) in zip(pairwise(times), pairwise(edges), strict=True):
        before, path = path, path + rng.standard_normal(paths) * sqrt(t - past)
        for sign in (1, -1):
            gap = (edge_before - sign * before).clip(0) * (edge - sign * path).clip(0)
            kept *= -np.expm1(-2 * gap / (t - past))
    return float(1 - kept.mean())


@pytest.mark.parametrize(
    ("alpha", "r"),
    [(0.05, 0.3), (0.045, 0.3), (0.05, 0.05), (0.05, 1.0), (0.01, 0.25), (0.2, 0.6)],
)
def test_continuous_looking_crosses_with_probability_alpha(alpha: float, r: float) -> None:
    paths = 200_000
    found = share_crossed(MixtureRule(alpha, r), paths=paths, looks=200, seed=20_260)
    # three standard errors, 1 % for interpolation, 1 % for the boundary's bend between looks
    assert found == pytest.approx(alpha, abs=3 * sqrt(alpha * (1 - alpha) / paths) + 0.02 * alpha)


@pytest.mark.parametrize(
    ("r", "quoted", "tolerance"), [(0.3, 6.05, 0.01), (1.0, 3.00, 0.01), (0.05, 11.34, 0.07)]
)
def test_quoted_values(r: float, quoted: float, tolerance: float) -> None:
    """statistics.md quotes simulated paths of finitely many looks; the table is continuous.

    So it lies above, most where early looks weigh most (r = 0.05).
    """
    ours = crossing(0.05, r)
    assert quoted < ours < quoted * (1 + tolerance)


def test_table_falls_in_alpha_and_in_r() -> None:
    table = np.array(LOG_C)
    assert table.shape == (len(R_GRID), len(ALPHA_GRID))
    assert (np.diff(table, axis=1) < 0).all()
    small = table[:, np.array(ALPHA_GRID) <= 0.6]
    assert (np.diff(small, axis=0) < 0).all()
    assert (table > 0).all()


def test_crossing_gives_the_nodes_back() -> None:
    for row, r in zip(LOG_C, R_GRID, strict=True):
        for log_c, alpha in zip(row, ALPHA_GRID, strict=True):
            assert crossing(alpha, r) == pytest.approx(exp(log_c), rel=1e-12)


@given(alphas, shapes, shares)
def test_interval_is_the_formula(alpha: float, r: float, t: float) -> None:
    """Rule 1 of statistics.md, second line."""
    effect, se = -3.0, 0.7
    half = se * sqrt((t + r) / t * (2 * log(crossing(alpha, r)) + log((t + r) / r)))
    bounds = MixtureRule(alpha, r).interval(effect, se, t)
    assert bounds == pytest.approx((effect - half, effect + half), rel=1e-9)


@given(alphas, shapes, st.floats(-10, 10), shares)
def test_crossing_interval_and_p_value_agree(alpha: float, r: float, z: float, t: float) -> None:
    rule = MixtureRule(alpha, r)
    mixture = sqrt(r / (t + r)) * exp(z * z * t / (2 * (t + r)))  # rule 1, first line
    c = crossing(alpha, r)
    if abs(mixture / c - 1) < 1e-9:
        return
    assert rule.crossed(z, t) == (mixture >= c)
    lower, upper = rule.interval(z, 1.0, t)
    assert rule.crossed(z, t) == (lower > 0 or upper < 0)
    assert rule.crossed(z, t) == (rule.p_value(z, t) <= alpha)


@given(shapes, st.floats(-10, 10), shares)
def test_p_value_inverts_the_table(r: float, z: float, t: float) -> None:
    p = MixtureRule(0.05, r).p_value(z, t)
    assert ALPHA_GRID[0] <= p <= 1
    if ALPHA_GRID[0] < p < 1:
        mixture = sqrt(r / (t + r)) * exp(z * z * t / (2 * (t + r)))
        assert crossing(p, r) == pytest.approx(mixture, rel=1e-9)


def test_p_value_is_no_reciprocal() -> None:
    """statistics.md: ``1/max M`` would read .165 at c = 6.05, where alpha is 5 %."""
    rule, t = MixtureRule(0.05), 0.5
    z = rule.interval(0.0, 1.0, t)[1]
    assert rule.p_value(z, t) == pytest.approx(0.05, rel=1e-9)
    assert 1 / crossing(0.05, 0.3) == pytest.approx(0.165, abs=0.002)


def test_p_value_is_clamped_at_the_ends() -> None:
    rule = MixtureRule(0.05)
    assert rule.p_value(0.0, 1.0) == 1
    assert rule.p_value(100.0, 1.0) == ALPHA_GRID[0]


@given(st.floats(0, T_MIN, exclude_max=True))
def test_below_t_min_there_is_no_verdict(t: float) -> None:
    rule = MixtureRule(0.05)
    assert rule.interval(1.0, 0.01, t) == (-inf, inf)
    assert rule.p_value(100.0, t) == 1
    assert not rule.crossed(100.0, t)


def test_arguments_outside_the_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \[1e-05, 0.8\], got 0.9"):
        crossing(0.9, 0.3)
    with pytest.raises(ValueError, match=r"r must be in \[0.05, 1\], got 2"):
        MixtureRule(0.05, 2.0)
    for t in (-0.1, 1.1, nan):
        with pytest.raises(ValueError, match=r"t must be in \[0, 1\], got"):
            MixtureRule(0.05).interval(0.0, 1.0, t)
