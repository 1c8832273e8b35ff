"""From sums to evidence: fading, limits, priors, successes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.bandits import Counts
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.weights.published import Knowledge
from palio.experiments.weights.rewards import (
    NOTHING,
    exact,
    faded,
    limits_of,
    merged_rewards,
    prior_of,
)
from palio.stats import Moments

REAL = Metric("reward", Direction.HIGHER)
LOSS = Metric("reward", Direction.LOWER)
SHARE = Metric("won", Direction.HIGHER, limits=(0.0, 1.0))
FAILED = Metric("failed", Direction.LOWER, limits=(0.0, 1.0))
VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


def known(values: Sequence[float], goal: Metric = REAL) -> Knowledge:
    return merged_rewards(goal, [Moments.of(values)])


@given(batches=st.lists(VALUES, min_size=1, max_size=6), offset=st.sampled_from([0.0, 1e9]))
def test_without_a_discount_evidence_is_what_is_known(
    batches: list[list[float]], offset: float
) -> None:
    """However often it is refreshed, within rounding of numbers that large (ulp(1e9) = 1.2e-7)."""
    evidence, then, values = NOTHING, NOTHING, list[float]()
    for batch in batches:
        values += [offset + value for value in batch]
        now = known(values)
        evidence = faded(REAL, evidence, then=then, now=now, discount=1.0)
        then = now
    assert evidence[0] == len(values)
    assert evidence[1] == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)
    squares = np.var(np.asarray(values) - offset) * len(values)
    assert evidence[2] == pytest.approx(squares, rel=1e-6, abs=1e-6 if not offset else 1e-2)


@given(
    wins=st.lists(st.booleans(), min_size=1, max_size=40),
    corrected=st.lists(st.booleans(), min_size=40, max_size=40),
    discount=st.floats(1e-6, 1),
)
def test_corrections_of_what_has_faded_stay_within_the_limits(
    wins: list[bool], corrected: list[bool], discount: float
) -> None:
    """Every success turned into a failure, after it has faded: a share all the same."""
    first = known([float(one) for one in wins], SHARE)
    evidence = faded(SHARE, NOTHING, then=NOTHING, now=first, discount=discount)
    turned = zip(wins, corrected, strict=False)
    second = known([float(one and not gone) for one, gone in turned], SHARE)
    evidence = faded(SHARE, evidence, then=first, now=second, discount=discount)
    assert 0 <= evidence[0] <= len(wins)
    assert 0 <= evidence[1] <= 1
    assert evidence[2] >= 0


def test_what_was_taken_out_leaves_nothing() -> None:
    """Units that are erased are no evidence any more."""
    before = known([1.0, 2.0, 3.0])
    faded_away = faded(REAL, before, then=before, now=NOTHING, discount=0.5)
    assert faded_away == NOTHING


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (REAL, None),
        (SHARE, (0.0, 1.0)),
        (FAILED, (-1.0, 0.0)),
        (Metric("win_rate(reward)", Direction.HIGHER), (0.0, 1.0)),
        (Metric("x", Direction.LOWER, limits=(-2.0, 5.0)), (-5.0, 2.0)),
    ],
)
def test_limits_are_of_rewards(goal: Metric, expected: tuple[float, float] | None) -> None:
    assert limits_of(goal) == expected


@given(wins=st.integers(0, 500), losses=st.integers(0, 500))
def test_successes_are_counted_exactly(wins: int, losses: int) -> None:
    """Of a loss the successes are the zeros."""
    values = [1.0] * wins + [0.0] * losses
    assert exact(SHARE, known(values, SHARE)) == Counts(wins, losses)
    assert exact(FAILED, known(values, FAILED)) == Counts(losses, wins)


def test_what_is_no_count_is_taken_as_moments() -> None:
    values = [0.25, 0.5, 1.0, 0.0]
    assert exact(SHARE, known(values, SHARE)) == Moments.of(values)
    assert exact(REAL, known([0.0, 1.0])) == Moments.of([0.0, 1.0])
    assert exact(LOSS, known(values, LOSS)) == Moments.of([-value for value in values])


def test_the_prior_is_of_all_arms_together() -> None:
    """Mean of all rewards; half the variance within arms, for a prior worth one reward."""
    arms = [[1.0, 3.0], [10.0, 14.0, 12.0]]
    prior = prior_of(REAL, [known(values) for values in arms] + [NOTHING])
    within = sum(np.var(values) * len(values) for values in arms) / 5
    assert (prior.m0, prior.b0) == pytest.approx((np.mean(np.concatenate(arms)), within / 2))


@pytest.mark.parametrize(("goal", "variance"), [(SHARE, 1 / 12), (REAL, 1.0)])
def test_the_prior_before_anything_varied(goal: Metric, variance: float) -> None:
    """The variance of a uniform number within the limits, 1/12 of the squared width; else 1."""
    for seen in ([], [NOTHING], [known([0.5, 0.5], goal)]):
        assert prior_of(goal, seen).b0 == pytest.approx(variance / 2)
