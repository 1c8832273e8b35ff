"""Crossing probabilities: scipy's multivariate normal, published constants and simulated paths."""

from __future__ import annotations

from math import inf, nan, sqrt
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from palio.stats.estimate import Alternative
from palio.stats.planned import group_sequential
from palio.stats.planned.group_sequential import Walk, crossing_probabilities

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]

steps = st.lists(st.floats(0.01, 1), min_size=1, max_size=8)
drifts = st.floats(-6, 6)


def rising(gaps: list[float]) -> list[float]:
    return np.cumsum(gaps).tolist()


@pytest.mark.parametrize(
    ("bounds", "source"),
    [
        ([2.413] * 5, "Jennison and Turnbull (2000), table 2.1, Pocock, 5 looks"),
        ([2.040 / sqrt(t) for t in FIFTHS], "the same, table 2.3, O'Brien and Fleming, 5 looks"),
        ([1.96], "normal quantile"),
    ],
    ids=["pocock", "obrien-fleming", "one look"],
)
def test_constants_of_the_book_keep_5_percent(bounds: list[float], source: str) -> None:
    """They have three decimals, which leaves 1e-4 of the 5 %."""
    found = crossing_probabilities(bounds, FIFTHS[-len(bounds) :])
    assert found.probability == pytest.approx(0.05, abs=1e-4), source


@pytest.mark.parametrize("drift", [0.0, 1.5, -2.0])
@pytest.mark.parametrize("alternative", ["two-sided", "larger", "smaller"])
def test_equals_the_multivariate_normal(drift: float, alternative: Alternative) -> None:
    """Of z at the looks, with correlation sqrt(s/t); scipy's integral is good to 1e-6."""
    shares, bounds = np.array([0.15, 0.5, 0.6, 1.1]), np.array([2.8, 1.1, 2.0, 1.7])
    sign = -1 if alternative == "smaller" else 1
    mean = sign * drift * np.sqrt(shares)
    cov = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    low = -bounds if alternative == "two-sided" else np.full(4, -np.inf)
    found = crossing_probabilities(
        bounds.tolist(), shares.tolist(), drift=drift, alternative=alternative
    )
    stops = np.add(found.upper, found.lower)
    going = [1.0]
    for k in range(1, 5):
        law = multivariate_normal(mean[:k], cov[:k, :k], seed=322, maxpts=10**6, abseps=1e-8)
        going.append(float(law.cdf(bounds[:k], lower_limit=low[:k])))
    assert stops == pytest.approx(-np.diff(going), abs=2e-6)
    assert found.expected_share == pytest.approx(
        stops @ shares + (1 - stops.sum()) * shares[-1], rel=1e-12
    )


def test_equals_simulated_paths() -> None:
    """100,000 paths at 30 uneven looks, by side: within four standard errors."""
    rng, sims = np.random.default_rng(321), 100_000
    shares = np.sort(rng.uniform(0.02, 1, 30))
    bounds = 2 + 0.6 * np.cos(9 * shares)
    bounds[7] = inf
    gaps = np.diff(shares, prepend=0)
    score = np.cumsum(rng.normal(1.2 * gaps, np.sqrt(gaps), (sims, 30)), axis=1)
    z = score / np.sqrt(shares)
    crossed = np.abs(z) >= bounds
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 30)
    found = crossing_probabilities(bounds.tolist(), shares.tolist(), drift=1.2)
    for sign, ours in ((1, found.upper), (-1, found.lower)):
        at = [np.mean((first == k) & (sign * z[:, k] > 0)) for k in range(30)]
        errors = 4 * np.sqrt(np.array(ours) / sims) + 1e-4
        assert (np.abs(np.subtract(at, ours)) <= errors).all()
    assert found.upper[7] == found.lower[7] == 0
    stops = np.append(shares, 1)[first]
    stops[first == 30] = shares[-1]
    assert found.expected_share == pytest.approx(stops.mean(), abs=4 * stops.std() / sqrt(sims))


@pytest.mark.parametrize("looks", [10, 100, 400])
def test_more_nodes_change_nothing(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times the nodes: the error of the quadrature is below 1e-9."""
    shares = (np.arange(looks) + 1) / looks
    bounds = (2.04 / np.sqrt(shares)).tolist()
    ours = crossing_probabilities(bounds, shares.tolist(), drift=2.0)
    monkeypatch.setattr(group_sequential, "_NODES_PER_STEP", 4.2)
    finer = crossing_probabilities(bounds, shares.tolist(), drift=2.0)
    assert ours.upper == pytest.approx(finer.upper, abs=1e-10)
    assert ours.probability == pytest.approx(finer.probability, abs=1e-9)


@settings(max_examples=50)
@given(steps, drifts, st.floats(0, 4), st.sampled_from(["two-sided", "larger", "smaller"]))
def test_properties(
    gaps: list[float], drift: float, bound: float, alternative: Alternative
) -> None:
    shares = rising(gaps)
    bounds = [bound] * len(shares)
    found = crossing_probabilities(bounds, shares, drift=drift, alternative=alternative)
    mirrored = crossing_probabilities(
        bounds, shares, drift=-drift,
        alternative={"larger": "smaller", "smaller": "larger"}.get(alternative, alternative),  # type: ignore[arg-type]
    )  # fmt: skip
    assert mirrored.upper == pytest.approx(found.lower, abs=1e-12)
    assert min(found.upper + found.lower) >= 0
    assert 0 <= found.probability <= 1
    assert shares[0] - 1e-9 <= found.expected_share <= shares[-1] + 1e-9
    if alternative != "two-sided":
        assert not any(found.upper if alternative == "smaller" else found.lower)
    shorter = crossing_probabilities(
        bounds[:-1] or bounds, shares[:-1] or shares, drift=drift, alternative=alternative
    )
    assert found.upper[: len(shorter.upper)] == pytest.approx(shorter.upper, abs=1e-9)
    higher = crossing_probabilities(
        [bound + 0.5] * len(shares), shares, drift=drift, alternative=alternative
    )
    assert higher.probability <= found.probability + 1e-12


@given(st.floats(1e-3, 1e3))
def test_only_ratios_of_shares_matter(scale: float) -> None:
    shares = [scale * t for t in FIFTHS]
    ours = crossing_probabilities([2.2] * 5, shares, drift=1.7 / sqrt(scale))
    assert ours.upper == pytest.approx(
        crossing_probabilities([2.2] * 5, FIFTHS, drift=1.7).upper, abs=1e-12
    )


def test_one_look_is_the_normal_tail_far_out() -> None:
    """scipy's normal tail, down to 1e-89: summed from tails, not taken from 1."""
    found = crossing_probabilities([20.0], [0.3], drift=0.5)
    assert found.upper[0] == pytest.approx(norm.sf(20 - 0.5 * sqrt(0.3)), rel=1e-9)
    assert found.lower[0] == pytest.approx(norm.sf(20 + 0.5 * sqrt(0.3)), rel=1e-9)


@pytest.mark.parametrize("drift", [1e6, -1e6, 40.0])
def test_what_has_stopped_stays_stopped(drift: float) -> None:
    found = crossing_probabilities([2.0, 0.0, inf], [0.5, 1.0, 1e6], drift=drift)
    assert found.probability == pytest.approx(1)
    assert found.expected_share == pytest.approx(0.5)
    assert crossing_probabilities([1e300] * 2, [0.5, 1.0], drift=drift).probability == 0
    assert sum(found.upper[1:] + found.lower[1:]) == pytest.approx(0, abs=1e-100)


def test_the_mass_that_goes_on_is_what_has_not_stopped() -> None:
    walk = Walk.start().within(-1.0, 0.5, 0.4, drift=0.3, following=0.5)
    law = norm(0.3 * 0.4, sqrt(0.4))
    assert walk.mass.sum() == pytest.approx(law.cdf(0.5) - law.cdf(-1), abs=1e-12)
    assert (walk.low, walk.high) == (-1.0, 0.5)


def test_one_hundred_looks_take_milliseconds() -> None:
    """2 to 3 ms alone on one core; 50 ms are asked for, with room for a busy machine."""
    shares = (np.arange(100) + 1) / 100
    best = inf
    for _ in range(5):
        start = perf_counter()
        crossing_probabilities([2.4] * 100, shares.tolist(), drift=2.0)
        best = min(best, perf_counter() - start)
    assert best < 0.05


@pytest.mark.parametrize(
    ("bounds", "shares", "options", "says"),
    [
        ([], [], {}, "shares must hold at least 1 look, got 0"),
        ([2], [0.0], {}, r"shares\[0\] must be in \[1e-09, 1e\+06\], got 0"),
        ([2], [nan], {}, r"shares\[0\] must be in \[1e-09, 1e\+06\], got nan"),
        ([2, 2], [0.5, 0.5], {}, r"shares\[1\] must rise by at least 0.0001 of itself, got 0.5"),
        ([2, 2], [0.5], {}, "bounds must be as many as shares, 1, got 2"),
        ([-0.1], [0.5], {}, r"bounds\[0\] must be in \[0, inf\], got -0.1"),
        ([nan], [0.5], {}, r"bounds\[0\] must be in \[0, inf\], got nan"),
        ([-inf], [0.5], {"alternative": "larger"}, r"bounds\[0\] must be in \[-1e\+12, inf\]"),
        ([2], [0.5], {"drift": inf}, r"drift must be in \[-1e\+06, 1e\+06\], got inf"),
        ([2], [0.5], {"alternative": "up"}, "alternative must be two-sided, larger or smaller"),
    ],
)
def test_arguments_outside_the_range_are_named(
    bounds: list[float], shares: list[float], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        crossing_probabilities(bounds, shares, **options)
