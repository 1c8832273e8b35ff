"""Alpha spending: published bounds, and the probabilities that the bounds have to spend."""

from __future__ import annotations

from math import e, inf, log, nan, sqrt
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from palio.stats.estimate import Alternative
from palio.stats.planned.group_sequential import crossing_probabilities
from palio.stats.planned.spending import (
    Shape,
    repeated_interval,
    spending_bounds,
    spent,
    stagewise_p_value,
)

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]

sides = st.sampled_from(["two-sided", "larger", "smaller"])
shapes = st.sampled_from(["obrien-fleming", "pocock"])
alphas = st.sampled_from([1e-6, 0.005, 0.05, 0.3, 0.95])
looks = st.lists(st.floats(0.005, 1), min_size=1, max_size=12).map(
    lambda gaps: (np.cumsum(gaps) / max(1.0, sum(gaps))).clip(max=1).tolist()
)


@pytest.mark.parametrize(
    ("shares", "options", "published"),
    [
        # Two-sided .05, five equal looks, as quoted for ldbounds and PASS: second-hand, and up to
        # 1.2e-4 from ours, so the multivariate normal below is the stricter witness.
        (FIFTHS, {"shape": "obrien-fleming"}, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        (FIFTHS, {"shape": "pocock"}, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
        # SeqBounds.jl, README: one-sided .05, O'Brien-Fleming shape, step 0.05.
        (
            [0.25, 0.5, 0.75, 1.0],
            {"alternative": "larger"},
            [3.74955, 2.53993, 2.01604, 1.72014],
        ),
    ],
    ids=["obrien-fleming", "pocock", "one-sided"],
)
def test_published_bounds(
    shares: list[float], options: dict[str, Any], published: list[float]
) -> None:
    assert spending_bounds(shares, **options) == pytest.approx(published, abs=2e-4)


@pytest.mark.parametrize("shape", ["obrien-fleming", "pocock"])
def test_equals_a_solution_by_the_multivariate_normal(shape: Shape) -> None:
    """Three uneven looks, one side: scipy's integral, solved look by look, to 1e-5."""
    shares, bounds = np.array([0.3, 0.45, 0.9]), list[float]()
    cov = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    for k, share in enumerate(shares, start=1):
        law = multivariate_normal(np.zeros(k), cov[:k, :k], maxpts=10**6, abseps=1e-9)
        goal = 1 - spent(share, alpha=0.05, shape=shape)

        def miss(bound: float, law: Any = law, goal: float = goal) -> float:
            return float(law.cdf([*bounds, bound])) - goal

        bounds.append(float(brentq(miss, 0.0, 6.0, xtol=1e-7)))
    ours = spending_bounds(shares.tolist(), shape=shape, alternative="larger")
    assert ours == pytest.approx(bounds, abs=1e-5)


def test_what_is_spent_follows_the_formulas() -> None:
    """The formulas of Lan and DeMets, by scipy's normal distribution."""
    for t in (0.01, 0.3, 0.99, 1.0):
        fleming = 2 * norm.sf(norm.isf(0.02) / sqrt(t))
        assert spent(t, alpha=0.04) == pytest.approx(fleming, rel=1e-10)
        pocock = 0.04 * log(1 + (e - 1) * t)
        assert spent(t, alpha=0.04, shape="pocock") == pytest.approx(pocock, rel=1e-10)
    assert spent(0.0) == spent(0.0, shape="pocock") == 0.0
    assert spent(1.0, alpha=0.04) == pytest.approx(0.04, rel=1e-12)


@settings(max_examples=60)
@given(looks, alphas, shapes, sides)
def test_the_bounds_spend_what_is_due(
    shares: list[float], alpha: float, shape: Shape, side: Alternative
) -> None:
    """Look by look, by `crossing_probabilities`; what is below 1e-15 waits."""
    assume(len(shares) == 1 or min(np.diff(shares) / shares[1:]) > 1e-4)
    bounds = spending_bounds(shares, alpha=alpha, shape=shape, alternative=side)
    assert len(bounds) == len(shares)
    found = crossing_probabilities(bounds, shares, alternative=side)
    halves = 2 if side == "two-sided" else 1
    due = np.array([halves * spent(t, alpha=alpha / halves, shape=shape) for t in shares])
    paid = np.cumsum(np.add(found.upper, found.lower))
    crossable = np.isfinite(bounds)
    assert paid[crossable] == pytest.approx(due[crossable], rel=1e-9, abs=1e-14)
    assert found.probability <= alpha * (1 + 1e-9)
    if side == "two-sided":
        assert min(bounds) >= 0
        assert found.upper == pytest.approx(found.lower, rel=1e-6, abs=1e-15)


@given(looks, shapes, sides)
def test_looks_to_come_have_no_say(shares: list[float], shape: Shape, side: Alternative) -> None:
    assume(len(shares) > 1 and min(np.diff(shares) / shares[1:]) > 1e-4)
    whole = spending_bounds(shares, shape=shape, alternative=side)
    so_far = spending_bounds(shares[:-1], shape=shape, alternative=side)
    assert whole[:-1] == pytest.approx(so_far, abs=1e-8)


def test_the_last_bound_costs_little_and_the_first_much() -> None:
    """O'Brien-Fleming shape: bounds fall to just above the one of a single look."""
    bounds = spending_bounds(np.linspace(0.05, 1, 20).tolist())
    assert list(bounds) == sorted(bounds, reverse=True)
    assert 1.96 < bounds[-1] < 2.15
    assert spending_bounds([1.0])[0] == pytest.approx(norm.isf(0.025), rel=1e-12)


def test_a_look_with_nothing_to_spend_never_stops() -> None:
    shares = [0.01, 0.02, 0.5, 1.0]
    bounds = spending_bounds(shares)
    assert bounds[:2] == (inf, inf)
    assert bounds[2:] == pytest.approx(spending_bounds([0.5, 1.0]), abs=1e-9)


def test_simulated_paths_keep_the_error_rate() -> None:
    """100,000 paths, two-sided .05, at seven uneven looks: within four standard errors."""
    rng, sims = np.random.default_rng(331), 100_000
    shares = np.array([0.1, 0.15, 0.4, 0.42, 0.7, 0.95, 1.0])
    z = np.cumsum(rng.normal(0, np.sqrt(np.diff(shares, prepend=0)), (sims, 7)), axis=1)
    z /= np.sqrt(shares)
    for shape in ("obrien-fleming", "pocock"):
        bounds = spending_bounds(shares.tolist(), shape=shape)  # type: ignore[arg-type]
        crossed = (np.abs(z) >= bounds).any(axis=1).mean()
        assert crossed == pytest.approx(0.05, abs=4 * sqrt(0.05 * 0.95 / sims))


def test_repeated_intervals_cover_at_all_looks() -> None:
    """20,000 paths around an effect of 3: 95 % hold at every look, stopped or not."""
    rng, sims, effect = np.random.default_rng(332), 20_000, 3.0
    shares = np.array(FIFTHS)
    gaps = np.diff(shares, prepend=0)
    estimates = np.cumsum(rng.normal(effect * gaps, np.sqrt(gaps), (sims, 5)), axis=1) / shares
    held = np.ones(sims, dtype=bool)
    for k, (bound, share) in enumerate(zip(spending_bounds(FIFTHS), FIFTHS, strict=True)):
        lower, upper = repeated_interval(0.0, 1 / sqrt(share), bound)
        held &= (estimates[:, k] + lower <= effect) & (effect <= estimates[:, k] + upper)
    assert held.mean() == pytest.approx(0.95, abs=4 * sqrt(0.05 * 0.95 / sims))


@given(st.floats(-50, 50), st.floats(0.01, 10), st.floats(0, 5), sides)
def test_a_repeated_interval_excludes_zero_where_it_crosses(
    effect: float, se: float, bound: float, side: Alternative
) -> None:
    lower, upper = repeated_interval(effect, se, bound, alternative=side)
    assert lower <= effect <= upper
    z = {"two-sided": abs(effect), "larger": effect, "smaller": -effect}[side] / se
    assume(abs(z - bound) > 1e-6)
    assert (lower > 0 or upper < 0) == (z > bound)


def test_without_variance_or_bound_nothing_is_said() -> None:
    assert repeated_interval(1.0, 0.0, 2.0) == (-inf, inf)
    assert repeated_interval(1.0, 0.5, inf) == (-inf, inf)
    assert repeated_interval(1.0, 0.5, 2.0, alternative="larger") == (0.0, inf)
    assert repeated_interval(1.0, 0.5, 2.0, alternative="smaller") == (-inf, 2.0)


@pytest.mark.parametrize("side", ["two-sided", "larger", "smaller"])
def test_the_p_value_on_the_bound_is_what_was_spent(side: Alternative) -> None:
    bounds = spending_bounds(FIFTHS, alternative=side, shape="pocock")
    sign, halves = (-1 if side == "smaller" else 1), (2 if side == "two-sided" else 1)
    for k, share in enumerate(FIFTHS):
        z = sign * bounds[k]
        due = halves * spent(share, alpha=0.05 / halves, shape="pocock")
        options: dict[str, Any] = {"alternative": side}
        found = stagewise_p_value(z, bounds[:k], FIFTHS[: k + 1], **options)
        assert found == pytest.approx(due, rel=1e-9)
        beyond = stagewise_p_value(z + sign * 0.1, bounds[:k], FIFTHS[: k + 1], **options)
        short = stagewise_p_value(z - sign * 0.1, bounds[:k], FIFTHS[: k + 1], **options)
        assert beyond < found < short


def test_the_p_value_is_uniform() -> None:
    """At the stop of 4,000 paths without an effect: its quantiles within .03 (1.9 of KS's D)."""
    rng, sims, shares = np.random.default_rng(333), 4_000, [0.4, 0.7, 1.0]
    bounds = spending_bounds(shares, alpha=0.4, shape="pocock")
    gaps = np.diff(shares, prepend=0)
    z = np.cumsum(rng.normal(0, np.sqrt(gaps), (sims, 3)), axis=1) / np.sqrt(shares)
    crossed = np.abs(z) >= bounds
    stop = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 2)
    found = np.sort([
        stagewise_p_value(float(path[k]), bounds[:k], shares[: k + 1])
        for path, k in zip(z, stop.tolist(), strict=True)
    ])  # fmt: skip
    assert np.abs(found - (np.arange(sims) + 0.5) / sims).max() < 0.03


def test_one_look_gives_the_fixed_p_value() -> None:
    assert stagewise_p_value(2.5, (), [0.7]) == pytest.approx(2 * norm.sf(2.5), rel=1e-9)
    assert stagewise_p_value(0.0, (), [0.7]) == 1.0


def test_one_hundred_looks_take_milliseconds() -> None:
    """7 ms alone on one core; 50 ms are asked for."""
    shares, best = ((np.arange(100) + 1) / 100).tolist(), inf
    for _ in range(5):
        start = perf_counter()
        spending_bounds(shares)
        best = min(best, perf_counter() - start)
    assert best < 0.05


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: spent(1.5), r"share must be in \[0, 1\], got 1.5"),
        (lambda: spent(0.5, alpha=0.0), r"alpha must be in \(0, 1\), got 0"),
        (lambda: spent(0.5, shape="late"), "shape must be obrien-fleming or pocock, got 'late'"),  # type: ignore[arg-type]
        (lambda: spending_bounds([]), "information_shares must hold at least 1 look"),
        (lambda: spending_bounds([0.5, 0.4]), r"information_shares\[1\] must rise by at least"),
        (lambda: spending_bounds([0.5, 1.1]), r"information_shares\[1\] must be in \[0, 1\]"),
        (lambda: spending_bounds([0.5], alpha=nan), r"alpha must be in \(0, 1\), got nan"),
        (lambda: spending_bounds([0.5], alternative="up"), "alternative must be two-sided, lar"),  # type: ignore[arg-type]
        (lambda: spending_bounds([0.5], shape="late"), "shape must be obrien-fleming or pocock"),  # type: ignore[arg-type]
        (lambda: stagewise_p_value(nan, (), [0.5]), "z must be in .*, got nan"),
        (lambda: stagewise_p_value(1, (2.0,), [0.5]), "bounds must be those of 0 looks, got 1"),
        (lambda: stagewise_p_value(1, (-2.0,), [0.5, 1]), r"bounds\[0\] must be in \[0, inf\]"),
        (lambda: repeated_interval(nan, 1, 2), "effect must be finite, got nan"),
        (lambda: repeated_interval(1, -1, 2), "se must be finite and >= 0, got -1"),
        (lambda: repeated_interval(1, 1, -2), r"bound must be in \[0, inf\], got -2"),
        (lambda: repeated_interval(1, 1, 2, alternative="up"), "alternative must be two-sided"),  # type: ignore[arg-type]
    ],
)
def test_arguments_outside_the_range_are_named(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
