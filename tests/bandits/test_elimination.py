"""Arms retired by mistake, arms retired in time, and the control kept."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import pytest

from palio.bandits import (
    Counts,
    EpsilonGreedy,
    Evidence,
    Seed,
    allocate,
    arm_interval,
    beaten,
    merged,
)
from palio.bandits.elimination import Undiscounted
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.binary_bounds import rate_sequence
from palio.stats.moments import Moments

Draw = Callable[[np.random.Generator, float, int], Undiscounted]
KEYS = ("control", "one", "two")
REFRESH, VERSIONS = 100, 40


def normal(rng: np.random.Generator, mean: float, n: int) -> Undiscounted:
    return Moments.of(mean + rng.standard_normal(n))


def successes(rng: np.random.Generator, mean: float, n: int) -> Undiscounted:
    wins = int(rng.binomial(n, mean))
    return Counts(wins, n - wins)


def retired(draw: Draw, means: tuple[float, ...], run: int) -> frozenset[str]:
    """Play 4,000 rounds under epsilon-greedy, looking at every refresh, and name who went."""
    rng, gone = np.random.default_rng([9, run]), frozenset[str]()
    arms = {key: draw(rng, mean, 5) for key, mean in zip(KEYS, means, strict=True)}
    for version in range(VERSIONS):
        known: dict[str, Evidence] = dict(arms)
        weights = allocate(
            EpsilonGreedy(0.3), known, control="control", seed=Seed("e", version), retired=gone
        ).weights
        pulls = rng.multinomial(REFRESH, list(weights.values()))
        for key, mean, n in zip(KEYS, means, pulls, strict=True):
            both = merged(arms[key], draw(rng, mean, int(n)))
            assert isinstance(both, Moments | Counts)
            arms[key] = both
        gone |= beaten(arms, control="control", planned=1000, retired=gone)
    return gone


@pytest.mark.parametrize(("draw", "mean"), [(normal, 0.0), (successes, 0.3)])
def test_equal_arms_are_rarely_retired(draw: Draw, mean: float) -> None:
    """150 runs at alpha = 5 %: at most 5 % + 3 se = 10.3 %; in fact none, for K arms share it."""
    went = sum(bool(retired(draw, (mean,) * 3, run)) for run in range(150))
    assert went / 150 <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


@pytest.mark.parametrize(
    ("draw", "means"), [(normal, (0.0, 0.0, 0.8)), (successes, (0.3, 0.3, 0.6))]
)
def test_a_worse_arm_goes_and_neither_the_control_nor_the_best(
    draw: Draw, means: tuple[float, ...]
) -> None:
    """All of 20 runs: the gap is 8 standard errors of an arm with 10 % of the rounds."""
    assert {retired(draw, means, run) for run in range(20)} == {frozenset({"one"})}


def test_intervals_are_those_of_the_rules() -> None:
    counts = arm_interval(Counts(30, 70), alpha=0.02, planned=500)
    assert counts == rate_sequence(30, 100, alpha=0.02)
    rule = AsymptoticRule(0.02, tuned_rho2(0.02, 500))
    real = arm_interval(Moments(400, 1.0, 4.0), alpha=0.02, planned=500)
    assert real == rule.interval(1.0, 0.1, 400)


@pytest.mark.parametrize("seen", [Moments(99, 1.0, 1.0), Moments(500, 1.0, 0.0)])
def test_too_little_says_nothing(seen: Moments) -> None:
    assert arm_interval(seen, alpha=0.05, planned=500) == (-inf, inf)


def test_who_is_retired_is_not_named_again_and_still_beats() -> None:
    arms = {"control": Counts(10, 990), "one": Counts(20, 980), "two": Counts(900, 100)}
    assert beaten(arms, control="control", planned=1000) == {"one"}
    assert beaten(arms, control="control", planned=1000, retired={"one"}) == frozenset()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: beaten({"a": Counts(1, 1)}, control="z", planned=9), "control must be one of"),
        (lambda: beaten({"a": Counts(1, 1)}, control="a", planned=0), "planned must be"),
        (lambda: beaten({"a": Counts(1, 1)}, control="a", planned=9, alpha=1), "alpha must be"),
        (lambda: arm_interval(Counts(0.5, 1), alpha=0.05, planned=9), "successes must be a whole"),
        (lambda: arm_interval(Counts(1, 0.5), alpha=0.05, planned=9), "failures must be a whole"),
    ],
)
def test_what_is_out_of_range_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call()
