"""Exact bounds of rates: scipy's beta-binomial is the witness, simulations the check."""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, binomtest

from palio.stats.anytime import binary_bounds
from palio.stats.anytime.binary import BinaryEProcess
from palio.stats.anytime.binary_bounds import BinaryDifference, rate_sequence

GRID = np.round(np.linspace(-0.95, 0.95, 39), 3).tolist()
counts = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
alphas = st.floats(1e-6, 0.5)


@given(counts, alphas, st.floats(1e-9, 1 - 1e-9))
def test_a_rate_is_inside_where_the_mixture_is_small(
    seen: tuple[int, int], alpha: float, rate: float
) -> None:
    """scipy: Beta-binomial over binomial likelihood of the count, below 1/alpha."""
    s, n = seen
    lower, upper = rate_sequence(s, n, alpha=alpha)
    log_m = betabinom.logpmf(s, n, 0.5, 0.5) - binom.logpmf(s, n, rate)
    assume(abs(log_m + np.log(alpha)) > 1e-6)
    assert (lower < rate < upper) == (log_m < -np.log(alpha))


@given(counts.filter(lambda seen: seen[1] > 0), alphas)
def test_properties_of_the_rate_sequence(seen: tuple[int, int], alpha: float) -> None:
    s, n = seen
    lower, upper = rate_sequence(s, n, alpha=alpha)
    assert 0 <= lower <= s / n <= upper <= 1
    assert rate_sequence(n - s, n, alpha=alpha) == pytest.approx((1 - upper, 1 - lower))
    wider = rate_sequence(s, n, alpha=alpha / 2)
    assert wider[0] <= lower
    assert wider[1] >= upper
    longer = rate_sequence(4 * s, 4 * n, alpha=alpha)
    assert longer[1] - longer[0] < upper - lower


def test_no_unit_says_nothing_and_the_ends_stay_open() -> None:
    assert rate_sequence(0, 0) == (0.0, 1.0)
    assert rate_sequence(0, 50)[0] == 0.0
    assert rate_sequence(50, 50)[1] == 1.0


def test_a_limit_is_broken_without_any_minimum() -> None:
    """Three errors in the first ten units against a limit of 1 %."""
    assert rate_sequence(3, 10)[0] > 0.01
    assert rate_sequence(1, 100)[0] < 0.01


@given(counts.filter(lambda seen: seen[1] > 0))
def test_it_is_wider_than_what_holds_at_one_look(seen: tuple[int, int]) -> None:
    """Clopper and Pearson at the same level, by scipy, are inside from 20 units on."""
    s, n = seen
    assume(n >= 20)
    lower, upper = rate_sequence(s, n)
    exact = binomtest(s, n).proportion_ci(0.95)
    assert upper - lower > exact.high - exact.low


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_rate_sequence_covers_at_all_looks(rate: float) -> None:
    """1,000 simulations of 3,000 units at 40 looks: at least 95 % hold throughout."""
    rng, sims = np.random.default_rng(311), 1_000
    looks = np.unique(np.geomspace(1, 3_000, 40).astype(int))
    held = 0
    for _ in range(sims):
        successes = np.cumsum(rng.random(3_000) < rate)[looks - 1].tolist()
        bounds = [rate_sequence(s, n) for s, n in zip(successes, looks.tolist(), strict=True)]
        held += all(lower <= rate <= upper for lower, upper in bounds)
    assert held / sims >= 0.95


def test_the_difference_is_the_e_process_at_each_null() -> None:
    """Each side of each null equals its own e-process, over several calls and shapes."""
    rng = np.random.default_rng(312)
    parts = [((1, 1), 30), ((2, 7), 20), ((40, 30), 1)]
    many, single = BinaryDifference.over(GRID), {
        (side, null): BinaryEProcess(side, null) for side in ("larger", "smaller") for null in GRID
    }  # fmt: skip
    for shape, size in parts:
        control, treatment = rng.binomial(shape[0], 0.2, size), rng.binomial(shape[1], 0.5, size)
        many = many.update(control, treatment, shape=shape)
        single = {k: e.update(control, treatment, shape=shape) for k, e in single.items()}
    for at, side in enumerate(("larger", "smaller")):
        for log_e, best, null in zip(many.log_e[at], many.max_log_e[at], GRID, strict=True):
            process = single[side, null]
            assert (log_e, best) == pytest.approx((process.log_e, process.max_log_e), rel=1e-9)
            assert many.counts == process.counts


def test_a_long_sequence_is_weighed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(313)
    control, treatment = rng.random(500) < 0.2, rng.random(500) < 0.3
    at_once = BinaryDifference.over(GRID).update(control, treatment)
    monkeypatch.setattr(binary_bounds, "_TOGETHER", 7)
    in_parts = BinaryDifference.over(GRID).update(control, treatment)
    assert in_parts.counts == at_once.counts
    for ours, theirs in zip(in_parts.max_log_e, at_once.max_log_e, strict=True):
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.3, 0.52)], ids=["equal", "between the grid"])
def test_the_difference_covers_at_all_looks(rates: tuple[float, float]) -> None:
    """400 simulations of 300 pairs: the bounds only narrow, so the last say whether all held."""
    rng, sims, held, width = np.random.default_rng(314), 400, 0, []
    for _ in range(sims):
        control, treatment = rng.random(300) < rates[0], rng.random(300) < rates[1]
        found = BinaryDifference.over(GRID[::2]).update(control, treatment)
        lower, upper = found.interval()
        held += lower <= rates[1] - rates[0] <= upper
        width.append(upper - lower)
    assert held / sims >= 0.95
    assert np.median(width) < 0.5


def test_the_bounds_narrow_and_mirror() -> None:
    rng = np.random.default_rng(315)
    found, mirrored = BinaryDifference.over(GRID), BinaryDifference.over([-d for d in GRID[::-1]])
    assert found.interval() == (-1.0, 1.0)
    before = found.interval()
    for _ in range(12):
        control, treatment = rng.random(40) < 0.2, rng.random(40) < 0.5
        found = found.update(control, treatment)
        mirrored = mirrored.update(treatment, control)
        lower, upper = found.interval()
        assert before[0] <= lower <= upper <= before[1]
        assert mirrored.interval() == (-upper, -lower)
        assert found.interval(alpha=0.01)[0] <= lower
        before = lower, upper
    assert 0 < before[0] < 0.3 < before[1] < 0.6


def test_a_gap_in_what_is_rejected_ends_the_run() -> None:
    """Only an unbroken run is sound: the next null in the grid has to hold the truth."""
    start = BinaryDifference.over([-0.5, 0.0, 0.5])
    odd = BinaryDifference(
        start.nulls, start.log_e, ((9.0, 0.0, 9.0), (0.0, 0.0, 9.0)), start.counts
    )
    assert odd.interval() == (-0.5, 0.5)
    full = BinaryDifference(
        start.nulls, start.log_e, ((9.0, 9.0, 9.0), (0.0, 0.0, 0.0)), start.counts
    )
    assert full.interval() == (0.5, 1.0)


def test_width_at_one_look_is_stated() -> None:
    """2,000 pairs at .1 and .2: half-width at most 2.5 times the normal one of a single look."""
    rng = np.random.default_rng(316)
    grid = np.linspace(-0.3, 0.5, 161)
    found = BinaryDifference.over(grid).update(rng.random(2_000) < 0.1, rng.random(2_000) < 0.2)
    lower, upper = found.interval()
    assert 0 < lower < upper
    assert (upper - lower) / 2 <= 2.5 * 1.96 * sqrt((0.09 + 0.16) / 2_000)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: rate_sequence(2, 1), r"successes must be in \[0, 1\], got 2"),
        (lambda: rate_sequence(-1, 1), "successes must be a whole number >= 0, got -1"),
        (lambda: rate_sequence(0, -1), "n must be a whole number >= 0, got -1"),
        (lambda: rate_sequence(0, 10**13), r"n must be in \[0, 1e\+12\]"),
        (lambda: rate_sequence(0, 1, alpha=1.0), r"alpha must be in \(0, 1\), got 1"),
        (lambda: BinaryDifference.over([]), "nulls must hold at least 1 values, got 0"),
        (lambda: BinaryDifference.over([nan]), "nulls must be finite"),
        (lambda: BinaryDifference.over([0.0, 1.0]), r"nulls\[1\] must be in \[-0.999, 0.999\]"),
        (lambda: BinaryDifference.over([0.1, 0.1]), r"nulls\[1\] must be above 0.1, got 0.1"),
        (
            lambda: BinaryDifference.over([0]).interval(alpha=0),
            r"alpha must be in \(0, 1\), got 0",
        ),
        (lambda: BinaryDifference.over([0]).update(0, 9), "successes_treatment must be whole"),
    ],
)
def test_arguments_outside_the_range_are_named(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
