"""Joint moments: numpy is the witness."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from palio.stats.joint import JointMoments
from palio.stats.moments import Moments

pairs = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


def of(rows: list[tuple[float, float]]) -> JointMoments:
    return JointMoments.of(*np.reshape(rows, (-1, 2)).T)


def rounding(rows: list[tuple[float, float]]) -> float:
    """Return a few times eps |x| |y|: what the last digit of a mean of one is to a covariance."""
    return 8 * float(np.finfo(float).eps) * float(np.max(np.abs(rows), initial=1.0)) ** 2


def assert_same(ours: JointMoments, theirs: JointMoments, *, abs_tol: float) -> None:
    assert ours.n == theirs.n
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.cov, theirs.cov, rtol=1e-9, atol=abs_tol)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=30))
def test_equals_numpy(rows: list[tuple[float, float]]) -> None:
    ours = of(rows)
    assert ours.n == len(rows)
    np.testing.assert_allclose(ours.mean, np.mean(rows, axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.cov, np.cov(np.array(rows).T), rtol=1e-9, atol=rounding(rows))


def test_three_values_keep_their_order() -> None:
    columns = np.random.default_rng(2).standard_normal((3, 40)).cumsum(axis=0)
    ours = JointMoments.of(*columns)
    np.testing.assert_allclose(ours.cov, np.cov(columns), rtol=1e-12)
    for at, column in enumerate(columns):
        one, alone = ours.value(at), Moments.of(column)
        assert (one.n, one.mean) == (alone.n, pytest.approx(alone.mean, rel=1e-12))
        assert one.var == pytest.approx(alone.var, rel=1e-12)


def test_empty_and_single_are_zero_by_convention() -> None:
    nothing = JointMoments(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))
    zeros = [[0.0, 0.0], [0.0, 0.0]]
    assert JointMoments.of([], []) == nothing == JointMoments.from_sums(0, (5, 6), (0, 0), zeros)
    single = JointMoments(1, (7.0, 8.0), nothing.cov)
    sums = JointMoments.from_sums(1, (5, 6), (2, 2), [[4.0, 4.0], [4.0, 4.0]])
    assert JointMoments.of([7.0], [8.0]) == single == sums
    assert nothing.merge(single) == single == single.merge(nothing)


@given(pairs, pairs)
@example([(1e6, 0.0)], [(999999.9999999999, 17180.0)])  # off by 1.000008e-6
def test_merge_equals_concatenation(
    one: list[tuple[float, float]], two: list[tuple[float, float]]
) -> None:
    assert_same(of(one).merge(of(two)), of(one + two), abs_tol=rounding(one + two))


@given(st.lists(pairs, min_size=1, max_size=5))
def test_a_stream_is_merged_chunk_by_chunk(chunks: list[list[tuple[float, float]]]) -> None:
    whole = [row for chunk in chunks for row in chunk]
    assert_same(
        JointMoments.merged(of(chunk) for chunk in chunks), of(whole), abs_tol=rounding(whole)
    )


def correlated(n: int) -> NDArray[np.float64]:
    """Mean 1e9 and variance 1 each, correlation 0.6; floats there are 1e-7 apart."""
    one, two = np.random.default_rng(1).standard_normal((2, n))
    return 1e9 + np.stack([one, 0.6 * one + 0.8 * two])


@pytest.mark.parametrize("shift", [1e9, 1e9 + 37.5])
def test_a_mean_of_a_billion_with_unit_variance_loses_nothing(shift: float) -> None:
    """Numpy on the values less 1e9, a subtraction without rounding, is the witness."""
    values = correlated(20_000)
    exact, moved = np.cov(values - 1e9), values - shift
    summed = JointMoments.from_sums(20_000, (shift, shift), moved.sum(axis=1), moved @ moved.T)
    chunks = np.array_split(values, 7, axis=1)
    streamed = JointMoments.merged(JointMoments.of(*chunk) for chunk in chunks)
    for ours in (JointMoments.of(*values), summed, streamed):
        np.testing.assert_allclose(ours.cov, exact, rtol=1e-8)  # a mean there rounds at 1e-7
        np.testing.assert_allclose(
            np.subtract(ours.mean, 1e9), (values - 1e9).mean(axis=1), atol=1e-6
        )


def test_raw_sums_lose_every_digit_there() -> None:
    """Why a shift there must be: without one, what comes out is rounding, mostly below 0."""
    values = correlated(20_000)
    raw = JointMoments.from_sums(20_000, (0, 0), values.sum(axis=1), values @ values.T)
    assert np.abs(np.subtract(raw.cov, np.cov(values - 1e9))).max() > 0.5


def test_subtracted_sums_give_the_moments_of_what_is_left() -> None:
    kept, gone = np.array([[1.0, 4, 9], [2, 2, 5]]), np.array([[100.0, -3], [7, 8]])
    shift = np.array([[2.0], [3.0]])
    both = np.hstack([kept, gone]) - shift
    sums = both.sum(axis=1) - (gone - shift).sum(axis=1)
    products = both @ both.T - (gone - shift) @ (gone - shift).T
    left = JointMoments.from_sums(3, (2.0, 3.0), sums, products)
    assert_same(left, JointMoments.of(*kept), abs_tol=1e-12)


def test_what_is_only_rounding_is_no_variance() -> None:
    lost = JointMoments.from_sums(3, (0, 0), (0.3, 1.0), [[0.03 - 1e-15, 0.1], [0.1, 3.0]])
    assert lost.cov[0] == (0.0, 0.0)
    assert lost.cov[1] == (0.0, pytest.approx((3 - 1 / 3) / 2))
    assert JointMoments.of([0.1] * 10, range(10)).cov[0] == (0.0, 0.0)


def test_arguments_outside_the_range_are_named() -> None:
    unit, one = ((1.0, 0.0), (0.0, 1.0)), JointMoments.of([1.0, 2.0])
    for build, says in (
        (lambda: JointMoments(-1, (0.0,), ((1.0,),)), "n must be a whole number >= 0, got -1"),
        (lambda: JointMoments(2, (nan, 0.0), unit), r"mean\[0\] must be finite, got nan"),
        (lambda: JointMoments(2, (0.0,), unit), r"cov must have 1 rows of 1, got \[2, 2\]"),
        (lambda: JointMoments(2, (0.0,), ((1.0, 0.0),)), r"cov must have 1 rows of 1, got \[2\]"),
        (lambda: JointMoments(2, (0.0,), ((-1.0,),)), r"cov\[0\]\[0\] must be finite and >= 0"),
        (lambda: JointMoments(2, (0, 0), ((1, 0), (inf, 1))), r"cov\[1\]\[0\] must be finite"),
        (lambda: JointMoments(2, (0, 0), ((1, 0.5), (0, 1))), "cov must be symmetric, got 0 at"),
        (lambda: JointMoments(2, (0, 0), ((1, nan), (0, 1))), "cov must be symmetric, got 0 at"),
        (lambda: JointMoments.of([1.0], [1.0, 2.0]), r"of equal length, got \[1, 2\]"),
        (JointMoments.of, r"columns must be of equal length, got \[\]"),
        (lambda: JointMoments.of([1.0], [nan]), r"columns\[1\] must be finite"),
        (lambda: JointMoments.of([1e200, -1e200]), "sums and products must be finite"),
        (lambda: JointMoments.of([1e308, 1e308]), "sums and products must be finite"),
        (lambda: JointMoments.from_sums(2, (0.0,), (1.0, 2.0), unit), r"must have shapes \(1,\)"),
        (lambda: JointMoments.from_sums(2, (0, 0), (1, 2), [[1.0]]), r"and \(2, 2\), got \(2,\)"),
        (lambda: JointMoments.from_sums(2, (0.0,), (nan,), [[1.0]]), "sums and products must be"),
        (lambda: JointMoments.from_sums(-2, (0.0,), (1.0,), [[1.0]]), "n must be a whole number"),
        (lambda: JointMoments.from_sums(2, (nan,), (1.0,), [[1.0]]), r"mean\[0\] must be finite"),
        (lambda: JointMoments.merged([]), "parts must hold at least one, got none"),
        (lambda: one.merge(JointMoments.of([1.0], [1.0])), "other must have 1 values a unit"),
        (lambda: one.value(1), r"at must be in \[0, 0\], got 1"),
        (lambda: one.value(-1), r"at must be in \[0, 0\], got -1"),
    ):
        with pytest.raises(ValueError, match=says):
            build()


def test_overflow_is_refused() -> None:
    far = [JointMoments(2, (mean,), ((1.0,),)) for mean in (-1e200, 1e200)]
    with pytest.raises(ValueError, match=r"cov\[0\]\[0\] must be finite"):
        far[0].merge(far[1])
    with pytest.raises(ValueError, match="must be finite"):
        JointMoments.from_sums(2, (0.0,), (1e200,), [[1.0]])
