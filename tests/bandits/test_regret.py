"""Regret in seeded worlds: the policies earn what they are known to earn.

The worlds and the play are those of ``benchmarks/bandits``: 20,000 rounds, weights refreshed
every 50. The figures for Thompson come from 500 runs of an independent simulation: 45.3, 13.3
and 71.9; an even split costs 100, 2,000 and 1,000.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import norm

from palio.bandits import (
    BetaBelief,
    Bounds,
    Counts,
    EpsilonGreedy,
    Evidence,
    Fixed,
    NormalBelief,
    Policy,
    Seed,
    Thompson,
    TopTwoThompson,
    Ucb,
    allocate,
    discounted,
    merged,
)
from palio.stats.moments import Moments

BENCH = Path(__file__).parents[2] / "benchmarks" / "bandits"
SMALL, LARGE, REAL = "rates .05 .055 .06", "rates .3 .5", "means 0 .05 .10, sd .3 .2 1"
RATES, NORMAL = Thompson(BetaBelief()), Thompson(NormalBelief(b0=0.1))


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    """Import the benchmark's worlds, and forget them afterwards: their name is short."""
    sys.path.insert(0, str(BENCH))
    yield import_module("worlds")
    sys.path.remove(str(BENCH))
    del sys.modules["worlds"]


def regrets(bench: ModuleType, policy: Policy, world: str, **settings: object) -> list[float]:
    """Regrets of 12 runs, in rising order."""
    runs = settings.pop("runs", 12)
    assert isinstance(runs, int)
    return sorted(
        bench.play(policy, bench.WORLDS[world], run=run, **settings) for run in range(runs)
    )


@pytest.mark.parametrize(
    ("world", "known", "se"), [(SMALL, 45.3, 8.0), (LARGE, 13.3, 1.7)], ids=[SMALL, LARGE]
)
def test_thompson_earns_what_is_known_of_it_on_rates(
    bench: ModuleType, world: str, known: float, se: float
) -> None:
    """12 runs: within 3 standard errors, which are the spread of the runs."""
    assert np.mean(regrets(bench, RATES, world)) == pytest.approx(known, abs=3 * se)


def test_thompson_earns_what_is_known_of_it_on_real_rewards(bench: ModuleType) -> None:
    """12 runs with a long tail (a run that finds the noisy best arm late): the ten middle ones."""
    middle = regrets(bench, NORMAL, REAL)[1:-1]
    assert 30 < np.mean(middle) < 110


@pytest.mark.parametrize(
    ("policy", "world", "most"),
    [
        (Ucb(), LARGE, 100),  # river's UCB: 73
        (Ucb(), REAL, 255),  # river's UCB: 255
        (EpsilonGreedy(1.0, halves_at=100), LARGE, 80),  # 0.2 of sum of e_t / 2 is 53
    ],
    ids=["ucb rates", "ucb real", "epsilon decaying"],
)
def test_the_other_policies_learn(
    bench: ModuleType, policy: Policy, world: str, most: float
) -> None:
    assert np.mean(regrets(bench, policy, world)) < most


def test_fixed_epsilon_costs_its_share(bench: ModuleType) -> None:
    """0.1 explored, half of it on the worse arm: 0.1 / 2 x 0.2 x 20,000 = 200, and the start."""
    found = np.mean(regrets(bench, EpsilonGreedy(0.1), LARGE))
    assert found == pytest.approx(205, abs=15)


def test_an_even_split_costs_the_gaps(bench: ModuleType) -> None:
    found = np.mean(regrets(bench, Fixed({"arm0": 0.5, "arm1": 0.5}), LARGE))
    assert found == pytest.approx(2_000, rel=0.02)


def test_a_floor_costs_its_rounds(bench: ModuleType) -> None:
    """``T f sum(gaps)`` = 20,000 x 0.05 x 0.2 = 200 on top of (1 - K f) of Thompson's own 13."""
    bounds = Bounds(0.05, forced_pulls=2)
    found = np.mean(regrets(bench, RATES, LARGE, bounds=bounds, runs=6))
    assert found == pytest.approx(200 + 0.9 * 13.3, abs=15)


def test_top_two_keeps_half_the_traffic_off_the_leader(bench: ModuleType) -> None:
    """Half of 20,000 rounds at a gap of 0.2 is 2,000, less what a leader by mistake would add."""
    found = np.mean(regrets(bench, TopTwoThompson(BetaBelief()), LARGE, runs=2))
    assert found == pytest.approx(2_000, rel=0.05)


def test_what_a_win_rate_maximises_is_not_the_mean(bench: ModuleType) -> None:
    """Wins, reward > 0, are Phi(mean / sd): the calm arm's are most, the noisy one earns most."""
    world, n = bench.WORLDS[REAL], 5_000
    arms = list(zip("abc", world.means, world.deviations, strict=True))
    wins: dict[str, Evidence] = {
        key: Counts(round(n * norm.cdf(mean / sd)), round(n * norm.sf(mean / sd)))
        for key, mean, sd in arms
    }
    real: dict[str, Evidence] = {key: Moments(n, mean, sd * sd) for key, mean, sd in arms}
    assert RATES.shares(wins, Seed("wins", 0))["b"] > 0.99
    assert NORMAL.shares(real, Seed("wins", 0))["c"] > 0.99


@pytest.mark.parametrize(("gamma", "low", "high"), [(0.9, 0.9, 1.0), (1.0, 0.0, 0.1)])
def test_what_fades_follows_a_change(gamma: float, low: float, high: float) -> None:
    """Rates .3 and .5 change places after 100 of 150 refreshes: only what fades has turned.

    At 0.9 a refresh about 500 rounds are remembered, and a floor of 5 % keeps looking.
    """
    rng, bounds = np.random.default_rng(8), Bounds(0.05, forced_pulls=2)
    arms: dict[str, Evidence] = {"a": Counts(0, 0), "b": Counts(0, 0)}
    for version in range(150):
        rates = (0.3, 0.5) if version < 100 else (0.5, 0.3)
        seed = Seed("drift", version)
        weights = allocate(RATES, arms, control="a", seed=seed, bounds=bounds).weights
        pulls = rng.multinomial(50, list(weights.values()))
        for key, n, wins in zip(arms, pulls, rng.binomial(pulls, rates), strict=True):
            batch = Counts(int(wins), int(n - wins))
            arms[key] = merged(discounted(arms[key], gamma), batch)
    assert low <= (weights["a"] - 0.05) / 0.9 <= high
