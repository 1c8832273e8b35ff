"""False stops at every look, and drawdowns against a plain walk along the path."""

from __future__ import annotations

from itertools import accumulate
from math import inf, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.bandits import Drawdown, StopLoss
from palio.bandits.stop_loss import LEAST_REWARDS
from palio.stats.moments import Moments
from palio.stats.returns.series import maximum_drawdown

RUNS, ROUNDS = 4_000, 2_000
steps = st.lists(st.integers(-50, 50).map(float), max_size=30)


def ever_stopped(mean: float) -> tuple[float, float]:
    """Shares of runs stopped at any look by ours, and by ``z < -1.645`` (5 % at one look)."""
    rule = StopLoss(0.0)
    reach = [
        rule.upper(Moments(n, 0.0, 1.0)) for n in range(LEAST_REWARDS, ROUNDS + 1)
    ]  # per standard deviation
    n = np.arange(LEAST_REWARDS, ROUNDS + 1)
    ours = naive = 0
    for rng in np.random.default_rng(47).spawn(RUNS // 500):
        rewards = mean + rng.standard_normal((500, ROUNDS))
        first, second = rewards.cumsum(axis=1), (rewards**2).cumsum(axis=1)
        means = first[:, LEAST_REWARDS - 1 :] / n
        sd = np.sqrt((second[:, LEAST_REWARDS - 1 :] - n * means**2) / (n - 1))
        ours += int((means + sd * reach < 0).any(axis=1).sum())
        naive += int((means + 1.645 * sd / np.sqrt(n) < 0).any(axis=1).sum())
    return ours / RUNS, naive / RUNS


def test_false_stops_are_about_five_per_cent_where_a_naive_z_gives_far_more() -> None:
    """4,000 runs of 2,000 rewards at the threshold, every look from 30 on; 3 se are 1.0 %.

    The rule is asymptotic: 5 % nominal, 0.5 % allowed for the estimated deviation at 30.
    """
    ours, naive = ever_stopped(0.0)
    assert ours < 0.055 + 0.010
    assert naive > 0.30


def test_a_loss_is_found() -> None:
    """Half a deviation below the threshold: found in every one of 4,000 runs."""
    assert ever_stopped(-0.5)[0] == 1.0


def test_the_bound_is_the_formula() -> None:
    rewards, rho2 = Moments(200, 0.3, 4.0), 2 * log(1 / 0.05) / 500
    grown = 200 * rho2 + 1
    radius = 2 * sqrt(2 * grown / (200**2 * rho2) * log(1 + sqrt(grown) / 0.1))
    bound = StopLoss(0.0).upper(rewards)
    assert bound == pytest.approx(0.3 + radius)
    assert StopLoss(bound + 1e-9).stops(rewards)
    assert not StopLoss(bound - 1e-9).stops(rewards)


@pytest.mark.parametrize("rewards", [Moments(29, -9.0, 1.0), Moments(500, -9.0, 0.0)])
def test_nothing_is_said_too_early(rewards: Moments) -> None:
    assert StopLoss(0.0).upper(rewards) == inf
    assert not StopLoss(0.0).stops(rewards)


@given(steps, steps, steps)
def test_a_drawdown_goes_on(first: list[float], second: list[float], third: list[float]) -> None:
    whole = Drawdown.of(first + second + third)
    parts = Drawdown.of(first), Drawdown.of(second), Drawdown.of(third)
    assert parts[0].then(parts[1]).then(parts[2]) == whole
    assert parts[0].then(parts[1].then(parts[2])) == whole
    assert Drawdown().then(whole) == whole.then(Drawdown()) == whole


@given(steps.filter(bool))
def test_the_deepest_fall_is_that_of_the_returns(rewards: list[float]) -> None:
    found = Drawdown.of(rewards)
    assert found.deepest == maximum_drawdown(rewards, compounded=False)
    path = list(accumulate(rewards, initial=0.0))
    assert (found.total, found.highest, found.lowest) == (path[-1], max(path), min(path))


def test_a_cap_is_plain() -> None:
    fallen = Drawdown.of([3.0, -2.0, 1.0, -4.0, 9.0])
    assert fallen.exceeds(4.9)
    assert not fallen.exceeds(5.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: StopLoss(nan), "threshold must be"),
        (lambda: StopLoss(0.0, alpha=0), "alpha must be"),
        (lambda: Drawdown(inf), "total must be"),
        (lambda: Drawdown.of([nan]), "rewards must be"),
        (lambda: Drawdown().exceeds(0), "cap must be"),
    ],
)
def test_what_is_out_of_range_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call()
