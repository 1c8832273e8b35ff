"""Log-binned counts: numpy's order statistics are the witness."""

from __future__ import annotations

import json
import sys
from math import ceil, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.stats.quality.histogram import LogHistogram, log_bins

normal = st.floats(-1e300, 1e300, allow_subnormal=False)
samples = st.lists(normal, min_size=1, max_size=40)
accuracies = st.sampled_from([1e-4, 0.001, 0.01, 0.1, 0.5])
ROUNDING = 1e-9  # of logarithms up to 709 over widths down to 2e-4


@given(samples, accuracies, st.floats(0, 1))
def test_quantiles_are_within_the_accuracy_of_numpys(
    values: list[float], accuracy: float, q: float
) -> None:
    found = LogHistogram.of(values, accuracy=accuracy).quantile(q)
    low, high = (float(np.quantile(values, q, method=m)) for m in ("lower", "higher"))
    slack = accuracy + ROUNDING
    assert low - slack * abs(low) <= found <= high + slack * abs(high)


@given(samples, accuracies, st.integers(0, 64))
def test_quantiles_are_those_of_the_inverted_distribution(
    values: list[float], accuracy: float, sixty_fourths: int
) -> None:
    """With q a fraction of a power of two, q n is exact and so is the rank."""
    q = sixty_fourths / 64
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]
    assert exact == np.quantile(values, q, method="inverted_cdf")
    found = LogHistogram.of(values, accuracy=accuracy).quantile(q)
    assert abs(found - exact) <= (accuracy + ROUNDING) * abs(exact)


@given(samples, accuracies)
def test_bins_enclose_their_values_and_ascend_with_them(
    values: list[float], accuracy: float
) -> None:
    histogram, ordered = LogHistogram.of(values, accuracy=accuracy), np.sort(values)
    lower, upper, counts = histogram.steps()
    assert counts.sum() == histogram.n == len(values)
    slack = ROUNDING * np.abs(ordered)
    assert (np.repeat(lower, counts) <= ordered + slack).all()
    assert (ordered - slack <= np.repeat(upper, counts)).all()
    assert (np.diff(log_bins(ordered, accuracy=accuracy)) >= 0).all()


@given(st.lists(normal, max_size=40), st.lists(normal, max_size=40))
def test_merging_equals_concatenation_and_subtracting_undoes_it(
    one: list[float], two: list[float]
) -> None:
    a, b = LogHistogram.of(one), LogHistogram.of(two)
    both = a.merge(b)
    assert both == LogHistogram.of(one + two) == b.merge(a)
    assert both.subtract(b) == a
    assert both.subtract(both) == LogHistogram.of([])


def test_what_is_not_there_cannot_be_subtracted() -> None:
    with pytest.raises(ValueError, match=r"other must hold at most 1 values in bin \d+, got 2"):
        LogHistogram.of([5.0, 7.0]).subtract(LogHistogram.of([5.0, 5.0]))
    with pytest.raises(ValueError, match="other must hold at most 0 values"):
        LogHistogram.of([5.0]).subtract(LogHistogram.of([-5.0]))


def test_the_far_ends_of_floats_have_bounded_bins() -> None:
    most, least = sys.float_info.max, sys.float_info.min
    histogram = LogHistogram.of([most, -most, least, 5e-324, -5e-324, 0.0, -0.0])
    assert [count for _, count in histogram.bins] == [1, 4, 1, 1]
    assert [at for at, _ in histogram.bins][1] == 0
    assert max(abs(at) for at, _ in histogram.bins) <= 71_000  # (709.8 + 708.4) / 0.02
    assert histogram.quantile(1) == pytest.approx(most, rel=0.0101)
    assert histogram.quantile(0) == -histogram.quantile(1)
    assert histogram.quantile(0.5) == 0
    lower, upper, _ = histogram.steps()
    assert upper[-1] == pytest.approx(most, rel=1e-12)
    assert (lower[1], upper[1]) == (0, 0)


def test_it_goes_through_json() -> None:
    histogram = LogHistogram.of([-3.0, 0.0, 2.0, 2.0])
    accuracy, bins = json.loads(json.dumps([histogram.accuracy, histogram.bins]))
    assert LogHistogram(accuracy, tuple((at, count) for at, count in bins)) == histogram


def test_one_bin_is_two_percent_wide_by_default() -> None:
    """(1 + a) / (1 - a), of the sketch's paper."""
    lower, upper, _ = LogHistogram.of([3.0]).steps()
    assert upper[0] / lower[0] == pytest.approx(1.01 / 0.99, rel=1e-12)


@pytest.mark.parametrize(
    ("accuracy", "bins", "says"),
    [
        (0.0, (), r"accuracy must be in \[0.0001, 0.5\], got 0.0"),
        (nan, (), r"accuracy must be in \[0.0001, 0.5\], got nan"),
        (0.01, ((1, 0),), "count of bin 1 must be a whole number >= 1, got 0"),
        (0.01, ((1, 1.5),), "count of bin 1 must be a whole number >= 1, got 1.5"),
        (0.01, ((2, 1), (1, 1)), r"bins must ascend within .*, got 1"),
        (0.01, ((1, 1), (1, 1)), r"bins must ascend within .*, got 1"),
        (0.01, ((10**6, 1),), r"bins must ascend within \[-\d+, \d+\], got 1000000"),
        (0.01, ((-(10**6), 1),), r"bins must ascend within .*, got -1000000"),
    ],
)
def test_impossible_histograms_are_refused(accuracy: float, bins: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LogHistogram(accuracy, bins)


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_values_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="values must be finite"):
        LogHistogram.of([1.0, value])


def test_arguments_outside_the_range_are_named() -> None:
    one, fine = LogHistogram.of([1.0]), LogHistogram.of([1.0], accuracy=0.001)
    for join in (one.merge, one.subtract):
        with pytest.raises(ValueError, match=r"accuracy of other must be 0.01, got 0.001"):
            join(fine)
    with pytest.raises(ValueError, match=r"q must be in \[0, 1\], got 1.5"):
        one.quantile(1.5)
    with pytest.raises(ValueError, match=r"accuracy must be in \[0.0001, 0.5\], got 2"):
        log_bins([1.0], accuracy=2)
    with pytest.raises(ValueError, match="histogram must hold at least 1 value, got 0"):
        LogHistogram.of([]).quantile(0.5)
