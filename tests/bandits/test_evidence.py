"""Evidence adds up, fades and turns its sign; expected values are sums over the rewards."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.bandits import (
    Counts,
    Evidence,
    Rewards,
    discounted,
    merged,
    negated,
    warm_started,
    winsorised,
)
from palio.bandits.evidence import of_rewards
from palio.stats.moments import Moments

values = st.lists(st.floats(-100, 100), max_size=20)
gammas = st.floats(1e-6, 1) | st.just(0.0)
counts = st.builds(Counts, st.integers(0, 1000), st.integers(0, 1000))


def numbers(evidence: Evidence) -> tuple[float, float, float]:
    seen = of_rewards(evidence)
    return seen.n, seen.mean, seen.squares


@given(values, values)
def test_merging_is_concatenating(first: list[float], second: list[float]) -> None:
    whole = numbers(Moments.of(first + second))
    own, other = Moments.of(first), Moments.of(second)
    for parts in ((own, other), (of_rewards(own), other), (own, of_rewards(other))):
        assert numbers(merged(*parts)) == pytest.approx(whole, rel=1e-9, abs=1e-7)


@given(counts, counts)
def test_counts_add(first: Counts, second: Counts) -> None:
    together = merged(first, second)
    assert together == Counts(first.successes + second.successes, first.failures + second.failures)


def test_counts_are_rewards_of_one_and_zero() -> None:
    assert numbers(Counts(3, 5)) == pytest.approx(numbers(Moments.of([1.0] * 3 + [0.0] * 5)))
    assert numbers(Counts(0, 0)) == (0, 0, 0)


@given(values, gammas, gammas)
def test_fading_twice_is_fading_by_the_product(rewards: list[float], a: float, b: float) -> None:
    own = Moments.of(rewards)
    twice, once = numbers(discounted(discounted(own, a), b)), numbers(discounted(own, a * b))
    assert twice == pytest.approx(once, rel=1e-9, abs=1e-9)


def test_what_has_faded_beyond_all_floats_is_nothing() -> None:
    assert numbers(discounted(Rewards(1e-300, 7.0, 0.0), 1e-300)) == (0, 0, 0)


def test_fading_weighs_each_reward_by_its_age() -> None:
    rewards, gamma = [3.0, -1.0, 4.0, 1.5], 0.8
    state: Evidence = Moments(0, 0.0, 0.0)
    for reward in rewards:
        state = merged(discounted(state, gamma), Moments.of([reward]))
    weights = gamma ** np.arange(3, -1, -1)
    mean = np.average(rewards, weights=weights)
    squares = weights @ (np.array(rewards) - mean) ** 2
    assert numbers(state) == pytest.approx((weights.sum(), mean, squares))


def test_a_warm_start_is_worth_its_share() -> None:
    assert warm_started(Counts(1, 2), Counts(100, 300), share=0.1) == Counts(11, 32)
    own = Moments.of([1.0, 2.0, 4.0])
    assert numbers(warm_started(own, Moments.of([50.0]), share=0)) == pytest.approx(numbers(own))
    whole = numbers(Moments.of([1.0, 2.0, 4.0, 50.0, 60.0]))
    assert numbers(warm_started(own, Moments.of([50.0, 60.0]), share=1)) == pytest.approx(whole)


@pytest.mark.parametrize("evidence", [Moments(3, 2.0, 1.0), Rewards(3.5, 2.0, 1.0)])
def test_a_loss_turns_into_a_reward(evidence: Evidence) -> None:
    n, mean, squares = numbers(evidence)
    assert numbers(negated(evidence)) == (n, -mean, squares)
    assert negated(Counts(3, 5)) == Counts(5, 3)


def test_wild_rewards_count_as_the_limit() -> None:
    assert winsorised([-9.0, 0.5, 2.0], low=-1, high=1).tolist() == [-1.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: merged(Counts(1, 1), Moments(2, 0.5, 0.5)), "all counts or all moments"),
        (lambda: discounted(Counts(1, 1), 1.1), "gamma must be in"),
        (lambda: warm_started(Counts(0, 0), Counts(1, 1), share=-0.1), "share must be in"),
        (lambda: winsorised([1.0], low=1, high=1), "low must be below high"),
        (lambda: winsorised([nan], low=0, high=1), "rewards must be finite"),
        (lambda: Counts(-1, 0), "successes must be"),
        (lambda: Counts(0, inf), "failures must be"),
        (lambda: Rewards(-1, 0, 0), "n must be"),
        (lambda: Rewards(1, nan, 0), "mean must be"),
        (lambda: Rewards(1, 0, -1), "squares must be"),
    ],
)
def test_what_is_no_evidence_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call()
