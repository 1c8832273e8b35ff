"""Sample ratio mismatch: scipy's distributions are the witness, simulations the proof."""

from __future__ import annotations

from math import exp, inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import dirichlet_multinomial, multinomial

from palio.stats import sample_ratio, sample_ratio_log_evalue

HALVES = {"a": 0.5, "b": 0.5}


@given(st.lists(st.tuples(st.integers(0, 10**5), st.floats(0.05, 1)), min_size=2, max_size=5))
def test_equals_scipy(raw: list[tuple[int, float]]) -> None:
    counts = [count for count, _ in raw]
    weights = np.array([weight for _, weight in raw]) / sum(weight for _, weight in raw)
    alternative = dirichlet_multinomial.logpmf(counts, 1000 * weights, sum(counts))
    null = multinomial.logpmf(counts, sum(counts), weights)
    names = [f"variant {at}" for at in range(len(raw))]
    ours = sample_ratio_log_evalue(
        dict(zip(names, counts, strict=True)), dict(zip(names, weights.tolist(), strict=True))
    )
    assert ours == pytest.approx(alternative - null, rel=1e-6, abs=1e-6)


@given(st.integers(0, 300), st.sampled_from([0.1, 0.5, 0.8]))
def test_it_is_a_martingale(seed: int, weight: float) -> None:
    """The e-value before a unit is the mean, under the null, of those after it."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2000, 2).tolist()
    weights = {"a": weight, "b": 1 - weight}
    now = sample_ratio_log_evalue({"a": a, "b": b}, weights)
    if_a = sample_ratio_log_evalue({"a": a + 1, "b": b}, weights)
    if_b = sample_ratio_log_evalue({"a": a, "b": b + 1}, weights)
    mean_ratio = weight * exp(if_a - now) + (1 - weight) * exp(if_b - now)
    assert mean_ratio == pytest.approx(1, rel=1e-9)


def first_alarms(share: float, *, sims: int, seed: int) -> list[float]:
    """Units at which each simulation first has p <= 0.05; a look every 20 units up to 10,000."""
    found = np.random.default_rng(seed).binomial(20, share, (sims, 500)).cumsum(axis=1).tolist()
    return [
        next((20 * at for at, a in enumerate(row, start=1)
              if sample_ratio([({"a": a, "b": 20 * at - a}, HALVES)]).p_value <= 0.05), inf)
        for row in found
    ]  # fmt: skip


def test_constant_looking_keeps_the_error_rate() -> None:
    sims = 1_000
    alarms = np.isfinite(first_alarms(0.5, sims=sims, seed=5)).mean()
    assert alarms <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)


def test_a_split_of_52_to_48_is_found() -> None:
    """At 10,000 units it is four standard errors away: most simulations find it by then."""
    assert np.isfinite(first_alarms(0.52, sims=200, seed=6)).mean() >= 0.8


def test_epochs_multiply() -> None:
    epochs = [({"a": 900, "b": 1100}, HALVES), ({"a": 150, "b": 50}, {"a": 0.8, "b": 0.2})]
    total = sum(sample_ratio_log_evalue(*epoch) for epoch in epochs)
    found = sample_ratio(epochs)
    assert found.log_evalue == pytest.approx(total)
    assert found.p_value == pytest.approx(min(1.0, exp(-total)))


def test_nothing_seen_is_no_evidence() -> None:
    assert sample_ratio([]).p_value == 1
    assert sample_ratio_log_evalue({}, HALVES) == 0
    assert sample_ratio_log_evalue({"a": 500}, {"a": 1.0, "b": 0.0}) == pytest.approx(0)


def test_units_at_weight_zero_are_certain_evidence() -> None:
    weights = {"a": 1.0, "b": 0.0}
    found = sample_ratio([({"a": 500, "b": 1}, weights), ({"a": 5, "b": 5}, HALVES)])
    assert (found.log_evalue, found.p_value) == (inf, 0.0)


@pytest.mark.parametrize(
    ("counts", "weights", "options", "says"),
    [
        ({"a": -1}, HALVES, {}, r"counts\['a'\] must be >= 0, got -1"),
        ({"c": 1}, HALVES, {}, r"counts\['c'\] must be of a variant with a weight"),
        ({"a": 1}, {"a": 0.9}, {}, "weights must sum to 1, got 0.9"),
        ({"a": 1}, {"a": -0.5, "b": 1.5}, {}, r"weights\['a'\] must be in \[0, 1\], got -0.5"),
        ({"a": 1}, {"a": nan, "b": 1.0}, {}, r"weights\['a'\] must be in \[0, 1\], got nan"),
        ({"a": 1}, HALVES, {"concentration": 0.0}, "concentration must be finite and > 0, got 0"),
    ],
)
def test_arguments_outside_the_range_are_named(
    counts: dict[str, int], weights: dict[str, float], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        sample_ratio_log_evalue(counts, weights, **options)
