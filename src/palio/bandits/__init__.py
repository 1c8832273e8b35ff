"""How weights move: allocation policies, evidence in, weights out, raising only ValueError."""

from __future__ import annotations

from palio.bandits.beliefs import BetaBelief, NormalBelief, chances
from palio.bandits.bounds import Bounds
from palio.bandits.elimination import arm_interval, beaten
from palio.bandits.epsilon_greedy import EpsilonGreedy
from palio.bandits.evidence import (
    Counts,
    Evidence,
    Rewards,
    discounted,
    merged,
    negated,
    warm_started,
    winsorised,
)
from palio.bandits.fixed import Fixed
from palio.bandits.seed import Seed
from palio.bandits.stop_loss import Drawdown, StopLoss
from palio.bandits.thompson import Thompson
from palio.bandits.top_two_thompson import TopTwoThompson
from palio.bandits.ucb import Ucb
from palio.bandits.weights import Policy, Weights, allocate

__all__ = [
    "BetaBelief",
    "Bounds",
    "Counts",
    "Drawdown",
    "EpsilonGreedy",
    "Evidence",
    "Fixed",
    "NormalBelief",
    "Policy",
    "Rewards",
    "Seed",
    "StopLoss",
    "Thompson",
    "TopTwoThompson",
    "Ucb",
    "Weights",
    "allocate",
    "arm_interval",
    "beaten",
    "chances",
    "discounted",
    "merged",
    "negated",
    "warm_started",
    "winsorised",
]
