"""Moments: numpy is the witness."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.stats import Moments

samples = st.lists(st.floats(-1e6, 1e6), max_size=30)


def assert_same(ours: Moments, values: np.ndarray, *, rel: float = 1e-9) -> None:
    assert ours.n == len(values)
    assert ours.mean == pytest.approx(values.mean(), rel=rel, abs=1e-9)
    assert ours.var == pytest.approx(values.var(ddof=1), rel=rel, abs=1e-9)


def test_empty_and_single_are_zero_by_convention() -> None:
    assert Moments.of([]) == Moments(0, 0.0, 0.0) == Moments.from_sums(0, 5.0, 0.0, 0.0)
    assert Moments.of([7.0]) == Moments(1, 7.0, 0.0) == Moments.from_sums(1, 5.0, 2.0, 4.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_equals_numpy(values: list[float]) -> None:
    assert_same(Moments.of(values), np.array(values))


@given(samples, samples)
def test_merge_equals_concatenation(one: list[float], two: list[float]) -> None:
    merged, whole = Moments.of(one).merge(Moments.of(two)), Moments.of(one + two)
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
    assert merged.var == pytest.approx(whole.var, rel=1e-9, abs=1e-6)


@given(samples, samples, samples)
def test_merge_is_associative(one: list[float], two: list[float], three: list[float]) -> None:
    a, b, c = map(Moments.of, (one, two, three))
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert left.mean == pytest.approx(right.mean, rel=1e-9, abs=1e-9)
    assert left.var == pytest.approx(right.var, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("shift", [1e9, 1e9 + 37.5])
def test_a_mean_of_a_billion_with_unit_variance_loses_nothing(shift: float) -> None:
    centred = np.random.default_rng(1).standard_normal(20_000)
    values = 1e9 + centred  # exact enough: the spacing of floats there is 1e-7
    exact = values - 1e9
    sums = (shift, (values - shift).sum(), ((values - shift) ** 2).sum())
    merged = Moments.merged(Moments.of(part) for part in np.array_split(values, 7))
    for ours in (Moments.of(values), Moments.from_sums(len(values), *sums), merged):
        assert ours.mean - 1e9 == pytest.approx(exact.mean(), abs=1e-6)
        assert ours.var == pytest.approx(exact.var(ddof=1), rel=1e-9)


def test_raw_sums_lose_every_digit_there() -> None:
    """Why a shift there must be: without one, what comes out is rounding, mostly below 0."""
    values = 1e9 + np.random.default_rng(1).standard_normal(20_000)
    raw = Moments.from_sums(len(values), 0.0, float(values.sum()), float(values @ values))
    assert abs(raw.var - (values - 1e9).var(ddof=1)) > 0.5


@given(st.lists(samples, min_size=1, max_size=5))
def test_a_stream_is_merged_chunk_by_chunk(chunks: list[list[float]]) -> None:
    merged = Moments.merged(Moments.of(chunk) for chunk in chunks)
    whole = Moments.of([value for chunk in chunks for value in chunk])
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
    assert merged.var == pytest.approx(whole.var, rel=1e-9, abs=1e-5)


def test_no_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="parts must hold at least one, got none"):
        Moments.merged([])


@given(st.floats(-1e100, 1e100), st.integers(2, 1_000))
def test_a_constant_has_no_variance(value: float, n: int) -> None:
    assert Moments.of([value] * n).var == 0


def test_subtracted_sums_give_the_moments_of_what_is_left() -> None:
    kept, gone = np.array([1.0, 4.0, 9.0]), np.array([100.0, -3.0])
    both = np.concatenate([kept, gone]) - 2.0
    sum1, sum2 = both.sum() - (gone - 2).sum(), (both**2).sum() - ((gone - 2) ** 2).sum()
    assert_same(Moments.from_sums(3, 2.0, sum1, sum2), kept)


def test_rounding_never_makes_a_variance_negative() -> None:
    assert Moments.from_sums(3, 0.0, 0.3, 0.03 - 1e-15).var == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ((-1, 0.0, 0.0), "n must be a whole number >= 0, got -1"),
        ((nan, 0.0, 0.0), "n must be a whole number >= 0, got nan"),
        ((1, nan, 0.0), "mean must be finite, got nan"),
        ((1, 0.0, -1.0), "var must be finite and >= 0, got -1.0"),
        ((1, 0.0, inf), "var must be finite and >= 0, got inf"),
    ],
)
def test_impossible_moments_are_refused(fields: tuple[int, float, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Moments(*fields)


def test_values_and_sums_must_be_finite() -> None:
    with pytest.raises(ValueError, match="values must be finite"):
        Moments.of([1.0, nan])
    with pytest.raises(ValueError, match="sum1 must be finite, got inf"):
        Moments.from_sums(3, 0.0, inf, 1.0)
    with pytest.raises(ValueError, match="sum2 must be finite, got nan"):
        Moments.from_sums(3, 0.0, 1.0, nan)
    with pytest.raises(ValueError, match="n must be a whole number >= 0, got -3"):
        Moments.from_sums(-3, 0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"values must have one dimension, got shape \(1, 2\)"):
        Moments.of([[1.0, 2.0]])


def test_overflow_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite, got"):
        Moments.of([1e308, 1e308])
    with pytest.raises(ValueError, match="sum2 must be finite, got inf"):
        Moments.of([1e200, -1e200])
    with pytest.raises(ValueError, match="var must be finite and >= 0, got -inf"):
        Moments.from_sums(2, 0.0, 1e200, 1.0)
    with pytest.raises(ValueError, match="var must be finite and >= 0, got inf"):
        Moments(2, -1e200, 1.0).merge(Moments(2, 1e200, 1.0))
