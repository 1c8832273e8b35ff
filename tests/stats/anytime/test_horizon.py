"""Rule 1: the shipped table against fresh Brownian paths, at every instant and at k looks."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan, sqrt
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.stats import HorizonRule, level_of
from palio.stats.anytime.horizon import FINAL, SLACK, T_MIN
from palio.stats.anytime.horizon_table import ALPHA_GRID, LEVELS

LOOKS = (None, 10, 20, 50, 100)
alphas = st.floats(0.0005, 0.4)
plans = st.sampled_from([(looks, sides) for looks in LOOKS for sides in (1, 2)])
shares = st.floats(0.1, SLACK)


def edges_of(rule: HorizonRule, times: list[float]) -> list[float]:
    """Bounds of B(t) = z sqrt(t)."""
    return [rule.reach(t) * sqrt(t) for t in times]


def share_crossed(rule: HorizonRule, times: list[float], *, paths: int, seed: int) -> float:
    """Share of Brownian paths that cross at the times, or between them where any look binds.

    Between two times the chance that a bridge has crossed the straight line between the bounds
    is ``exp(-2 gap_before gap_after / dt)``.
    """
    rng = np.random.default_rng(seed)
    edges, signs = edges_of(rule, times), (1, -1)[: rule.sides]
    path = rng.standard_normal(paths) * sqrt(times[0])
    kept = np.prod([sign * path < edges[0] for sign in signs], axis=0).astype(float)
    for (past, t), (edge_before, edge) in zip(pairwise(times), pairwise(edges), strict=True):
        before, path = path, path + rng.standard_normal(paths) * sqrt(t - past)
        for sign in signs:
            kept *= sign * path < edge
            if rule.looks is None:
                gap = (edge_before - sign * before).clip(0) * (edge - sign * path).clip(0)
                kept *= -np.expm1(-2 * gap / (t - past))
    return float(1 - kept.mean())


@pytest.mark.parametrize(
    ("alpha", "looks", "sides"),
    [
        (0.05, None, 2), (0.048, None, 2), (0.01, None, 2), (0.2, None, 2), (0.05, None, 1),
        (0.05, 100, 2), (0.003, 100, 2), (0.17, 100, 1), (0.05, 50, 2), (0.05, 20, 1),
        (0.05, 10, 2),
    ],
)  # fmt: skip
def test_crosses_with_probability_alpha(
    alpha: float, looks: int | None, sides: Literal[1, 2]
) -> None:
    paths = 200_000
    close = FINAL - (FINAL - 0.9) * np.linspace(1, 0, 20)[1:] ** 2
    anytime = [*np.geomspace(T_MIN, 0.9, 150), *close, 1.0, SLACK]
    times = [k / looks for k in range(1, looks + 1)] if looks else [float(t) for t in anytime]
    found = share_crossed(HorizonRule(alpha, looks, sides), times, paths=paths, seed=20_261)
    # three standard errors, and 1 % for interpolation and for the boundary's bend between times
    assert found == pytest.approx(alpha, abs=3 * sqrt(alpha / paths) + 0.01 * alpha)


def test_binding_looks_may_come_late() -> None:
    """The first look after each of 100 checkpoints, anywhere before the next one."""
    rng = np.random.default_rng(31)
    rule, crossings, paths = HorizonRule(0.05, 100), 0, 40_000
    late = np.arange(1, 100) / 100 + rng.uniform(-0.0009, 0.0089, (40, 99))
    for at in late:
        times = [*at.tolist(), 1.0]
        assert [rule.checkpoint(t) for t in times] == list(range(1, 101))
        seed = int(rng.integers(2**31))
        crossings += share_crossed(rule, times, paths=paths // 40, seed=seed) * (paths // 40)
    assert crossings / paths <= 0.05 + 3 * sqrt(0.05 / paths)


def test_levels_fall_in_alpha_and_rise_with_the_number_of_looks() -> None:
    for sides in (1, 2):
        table = np.array([LEVELS[looks, sides] for looks in (10, 20, 50, 100, 0)])
        assert table.shape[1] == len(ALPHA_GRID)
        assert (np.diff(table, axis=1) < 0).all()
        assert (np.diff(table, axis=0) > 0).all()


def test_level_of_gives_the_nodes_back() -> None:
    for (looks, sides), levels in LEVELS.items():
        for level, alpha in zip(levels, ALPHA_GRID, strict=True):
            assert level_of(alpha, looks=looks or None, sides=sides) == pytest.approx(level)


@given(alphas, shares)
def test_reach_is_the_formula(alpha: float, t: float) -> None:
    """The module's docstring, first lines."""
    rule = HorizonRule(alpha)
    added = (1 / t - 1) / 20 + 0.4 * (1 - t) ** 0.2 if t < 0.999 else 0
    assert rule.reach(t) == pytest.approx(level_of(alpha) + added)
    half = 0.7 * rule.reach(t)
    assert rule.interval(-3.0, 0.7, t) == pytest.approx((-3 - half, -3 + half))


@given(alphas, plans, st.floats(-8, 8), shares)
def test_interval_and_p_value_agree(
    alpha: float, plan: tuple[int | None, Literal[1, 2]], z: float, t: float
) -> None:
    rule = HorizonRule(alpha, *plan)
    evidence = abs(z) if rule.sides == 2 else z
    if abs(evidence - rule.reach(t)) > 1e-9:
        assert (evidence > rule.reach(t)) == (rule.p_value(z, t) <= alpha)


@given(plans, st.floats(-8, 8), shares)
def test_p_value_inverts_the_table(
    plan: tuple[int | None, Literal[1, 2]], z: float, t: float
) -> None:
    p = HorizonRule(0.05, *plan).p_value(z, t)
    assert ALPHA_GRID[0] <= p <= 1
    if ALPHA_GRID[0] < p < ALPHA_GRID[-1]:
        evidence = abs(z) if plan[1] == 2 else z
        assert HorizonRule(p, *plan).reach(t) == pytest.approx(evidence, abs=1e-9)


def test_p_value_is_clamped_at_the_ends() -> None:
    rule = HorizonRule(0.05)
    assert rule.p_value(0.0, 1.0) == 1
    assert rule.p_value(100.0, 1.0) == ALPHA_GRID[0]


@pytest.mark.parametrize(
    ("looks", "t"), [(None, 0.0), (None, 0.0099), (100, 0.008), (20, 0.048), (10, 0.098)]
)
def test_before_the_first_look_there_is_no_verdict(looks: int | None, t: float) -> None:
    rule = HorizonRule(0.05, looks)
    assert rule.interval(1.0, 0.01, t) == (-inf, inf)
    assert rule.p_value(100.0, t) == 1


def test_checkpoints_count_the_parts_of_the_horizon() -> None:
    rule = HorizonRule(0.05, 10)
    assert [rule.checkpoint(t) for t in (0.05, 0.1, 0.15, 0.2, 0.999, 1.01)] == [
        0,
        1,
        1,
        2,
        10,
        10,
    ]
    assert HorizonRule(0.05).checkpoint(0.5) == 0  # every look binds


def test_arguments_outside_the_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \[1e-07, 0.9\], got 0.95"):
        level_of(0.95)
    with pytest.raises(ValueError, match=r"looks must be None or one of \[10, 20, 50, 100\]"):
        HorizonRule(0.05, 7)
    with pytest.raises(ValueError, match=r"looks must be None or one of \[10, 20, 50, 100\]"):
        HorizonRule(0.05, 0)
    for t in (-0.1, 1.02, nan):
        with pytest.raises(ValueError, match=r"t must be in \[0, 1.01\], got"):
            HorizonRule(0.05).interval(0.0, 1.0, t)
