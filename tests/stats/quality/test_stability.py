"""The population stability index, by scipy's relative entropy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from palio.stats.quality.stability import population_stability, stability_by_chance

COUNTS = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), min_size=1, max_size=20)


@given(COUNTS)
def test_it_is_jeffreys_divergence(pairs: list[tuple[int, int]]) -> None:
    """The sum of both relative entropies of the smoothed shares (scipy)."""
    expected, actual = zip(*pairs, strict=True)
    p, q = np.array(expected) + 0.5, np.array(actual) + 0.5
    found = population_stability(expected, actual)
    assert found == pytest.approx(entropy(p, q) + entropy(q, p), abs=1e-12)
    assert found == pytest.approx(population_stability(actual, expected), abs=1e-12)
    assert found >= -1e-12


def test_by_chance_it_is_as_large_as_said() -> None:
    """2,000 pairs of samples of one distribution over ten classes; the mean within 5 %."""
    rng = np.random.default_rng(5)
    shares = np.full(10, 0.1)
    many, few = (rng.multinomial(n, shares, 2_000) for n in (2_000, 1_000))
    found = [
        population_stability(one.tolist(), other.tolist())
        for one, other in zip(many, few, strict=True)
    ]
    assert np.mean(found) == pytest.approx(stability_by_chance(2_000, 1_000, 10), rel=0.05)


@pytest.mark.parametrize(
    ("expected", "actual"), [([], []), ([1], [1, 2]), ([-1, 2], [1, 1]), ([1, 1], [1, -2])]
)
def test_counts_are_of_the_same_classes(expected: list[int], actual: list[int]) -> None:
    with pytest.raises(ValueError, match="got"):
        population_stability(expected, actual)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_sizes_are_at_least_one(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="1"):
        stability_by_chance(*numbers)
