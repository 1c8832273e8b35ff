"""Each policy's shares against its formula."""

from __future__ import annotations

from math import log, sqrt

import pytest

from palio.bandits import (
    BetaBelief,
    Counts,
    EpsilonGreedy,
    Evidence,
    Fixed,
    NormalBelief,
    Seed,
    Thompson,
    TopTwoThompson,
    Ucb,
    chances,
)
from palio.stats.moments import Moments

SEED = Seed("policies", 1)
ARMS: dict[str, Evidence] = {"a": Counts(10, 20), "b": Counts(12, 20), "c": Counts(11, 20)}


def test_thompson_gives_the_chance_to_be_best() -> None:
    assert Thompson(BetaBelief()).shares(ARMS, SEED) == chances(BetaBelief(), ARMS, SEED)


def test_top_two_redraws_until_another_arm_wins() -> None:
    """Russo (2020): draw the leader by its chance, then the challenger by chance among others."""
    chance = chances(BetaBelief(), ARMS, SEED)
    for beta in (0.5, 0.7):
        found = TopTwoThompson(BetaBelief(), beta).shares(ARMS, SEED)
        for key, p in chance.items():
            challenged = sum(q * p / (1 - q) for other, q in chance.items() if other != key)
            assert found[key] == pytest.approx(beta * p + (1 - beta) * challenged)
        assert sum(found.values()) == pytest.approx(1)


def test_top_two_keeps_a_challenger_where_one_arm_always_wins() -> None:
    arms: dict[str, Evidence] = {"a": Counts(900, 100), "b": Counts(300, 700), "c": Counts(1, 999)}
    found = TopTwoThompson(BetaBelief()).shares(arms, SEED)
    assert found == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert TopTwoThompson(BetaBelief()).shares({"a": Counts(1, 1)}, SEED) == {"a": 1.0}


def test_ucb_within_limits_takes_the_largest_index() -> None:
    """UCB1 by hand, Auer et al. (2002), figure 1: t = 40."""
    few, many = 0.5 + sqrt(2 * log(40) / 10), 0.7 + sqrt(2 * log(40) / 30)
    assert few > many
    arms: dict[str, Evidence] = {"few": Counts(5, 5), "many": Counts(21, 9)}
    assert Ucb().shares(arms, SEED) == {"few": 1.0, "many": 0.0}
    scaled: dict[str, Evidence] = {"few": Moments(10, 5.0, 1.0), "many": Moments(30, 7.0, 1.0)}
    assert Ucb(limits=(0, 10)).shares(scaled, SEED) == {"few": 1.0, "many": 0.0}
    assert Ucb(limits=(0, 1000)).shares(scaled, SEED) == {"few": 1.0, "many": 0.0}
    assert Ucb(limits=(-1, 10)).shares(arms, SEED) == {"few": 1.0, "many": 0.0}


def test_ucb_without_limits_explores_then_takes_the_largest_index() -> None:
    """UCB1-NORMAL by hand, Auer et al. (2002), figure 4: below 8 ln t pulls an arm is explored."""
    assert 49 < 8 * log(549) < 51
    short: dict[str, Evidence] = {"a": Moments(500, 9.0, 0.1), "b": Moments(49, 0.0, 0.1)}
    assert Ucb().shares(short, SEED) == {"a": 0.0, "b": 1.0}
    noisy, calm = sqrt(16 * 4.0 * log(599) / 100), 1.0 + sqrt(16 * 0.01 * log(599) / 500)
    assert noisy > calm
    arms: dict[str, Evidence] = {"a": Moments(500, 1.0, 0.01), "b": Moments(100, 0.0, 4.0)}
    assert Ucb().shares(arms, SEED) == {"a": 0.0, "b": 1.0}
    calmer: dict[str, Evidence] = {"a": Moments(500, 1.0, 0.01), "b": Moments(100, 0.0, 0.01)}
    assert Ucb().shares(calmer, SEED) == {"a": 1.0, "b": 0.0}


def test_arms_without_a_pull_come_first() -> None:
    arms: dict[str, Evidence] = {"a": Counts(0, 0), "b": Counts(5, 0), "c": Counts(0, 0)}
    even = {"a": 0.5, "b": 0.0, "c": 0.5}
    assert Ucb().shares(arms, SEED) == EpsilonGreedy(0).shares(arms, SEED) == even


def test_epsilon_greedy_explores_its_share() -> None:
    assert EpsilonGreedy(0.3).shares(ARMS, SEED) == pytest.approx({"a": 0.1, "b": 0.8, "c": 0.1})


def test_epsilon_halves_where_declared_and_falls_as_one_over_t() -> None:
    pulls = sum(seen.n for seen in ARMS.values())
    found = EpsilonGreedy(0.6, halves_at=pulls).shares(ARMS, SEED)
    assert found == pytest.approx({"a": 0.1, "b": 0.8, "c": 0.1})
    later: dict[str, Evidence] = {"a": Counts(0, 1e6), "b": Counts(1e6, 0)}
    found = EpsilonGreedy(1, halves_at=100).shares(later, SEED)
    assert found["a"] == pytest.approx(100 / 2e6 / 2, rel=1e-3)


def test_fixed_keeps_what_was_declared() -> None:
    policy = Fixed({"a": 0.5, "b": 0.3, "c": 0.2})
    assert policy.shares(ARMS, SEED) == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2})
    live = {key: ARMS[key] for key in ("a", "b")}
    assert policy.shares(live, SEED) == pytest.approx({"a": 0.625, "b": 0.375})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: TopTwoThompson(BetaBelief(), 1.0), "beta must be"),
        (lambda: Ucb(limits=(1, 1)), "limits must rise"),
        (lambda: Ucb(limits=(0, float("inf"))), "upper limit must be"),
        (lambda: Ucb(limits=(0, 1)).shares({"a": Moments(3, 2.0, 1.0)}, SEED), "mean of an arm"),
        (lambda: EpsilonGreedy(1.1), "epsilon must be"),
        (lambda: EpsilonGreedy(0.1, halves_at=0), "halves_at must be"),
        (lambda: Fixed({"a": -0.1}), "weight of 'a'"),
        (lambda: Fixed({"b": 1.0}).shares(ARMS, SEED), r"none for \['a', 'c'\]"),
        (lambda: Fixed({"a": 0.0}).shares({"a": Counts(0, 0)}, SEED), "sum of the declared"),
        (lambda: Thompson(NormalBelief(b0=-1)), "b0 must be"),
    ],
)
def test_what_is_out_of_range_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call()
