"""Regret and time a decision of our policies, river's and mabwiser's, in one run.

make bench-bandits                       write docs/benchmarks/bandits.md
make bench-bandits ARGS="--print 30"     print it, from 30 runs of ours, a third as many of river's
                                         and a tenth as many of mabwiser's, which is slow

20,000 rounds a run in the worlds of ``worlds.py``. Ours publishes weights every 50 rounds and
splits the units by them; river and mabwiser decide and learn at every round, which is the best
case for them: where several processes serve, nobody has the last reward.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from river import bandit, proba, stats
from worlds import NO_BOUNDS, ROUNDS, WORLDS, World, play

from palio.bandits import (
    BetaBelief,
    Counts,
    EpsilonGreedy,
    Fixed,
    NormalBelief,
    Policy,
    Seed,
    Thompson,
    TopTwoThompson,
    Ucb,
    allocate,
    merged,
)
from palio.bucketing import Split

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "bandits.md"
REFRESH = 50
SPEED = "rates .05 .055 .06"
SLOW_SHARE = 10  # mabwiser plays one run for so many of ours


class Peer(Protocol):
    """A policy that decides and learns one round at a time."""

    def pull(self) -> int: ...

    def learn(self, arm: int, reward: float) -> None: ...


class River:
    """A policy of river's."""

    def __init__(self, world: World, policy: bandit.base.Policy) -> None:
        self.arms, self.policy = list(range(len(world.means))), policy

    def pull(self) -> int:
        return int(self.policy.pull(self.arms))

    def learn(self, arm: int, reward: float) -> None:
        self.policy.update(arm, reward)


class Mabwiser:
    """A policy of mabwiser's; where it takes successes only, a reward above 0 is one."""

    def __init__(self, world: World, policy: object, *, binary: bool, run: int) -> None:
        self.arms, self.binary = list(range(len(world.means))), binary
        self.mab = MAB(self.arms, policy, seed=run)
        rng = np.random.default_rng([6, run])
        self.mab.fit(self.arms, [self._taken(world.reward(rng, arm)) for arm in self.arms])

    def _taken(self, reward: float) -> float:
        return float(reward > 0) if self.binary else reward

    def pull(self) -> int:
        return int(self.mab.predict())

    def learn(self, arm: int, reward: float) -> None:
        self.mab.partial_fit([arm], [self._taken(reward)])


def river_thompson(world: World, run: int) -> Peer:
    """Beta for rates; Gaussian, as river's documents have it, for real rewards."""
    prior = proba.Beta(1, 1) if world.deviations is None else proba.Gaussian()
    burn = 0 if world.deviations is None else 2
    return River(world, bandit.ThompsonSampling(reward_obj=prior, burn_in=burn, seed=run))


def river_ucb(world: World, run: int) -> Peer:
    """With delta = 1, plain UCB."""
    return River(world, bandit.UCB(delta=1, reward_obj=stats.Mean(), burn_in=1, seed=run))


def mabwiser_thompson(world: World, run: int) -> Peer:
    """On rewards above 0 as successes."""
    return Mabwiser(world, LearningPolicy.ThompsonSampling(), binary=True, run=run)


def mabwiser_ucb(world: World, run: int) -> Peer:
    """With its default alpha = 1."""
    return Mabwiser(world, LearningPolicy.UCB1(), binary=False, run=run)


PEERS: dict[str, tuple[Callable[[World, int], Peer], int]] = {
    "river Thompson": (river_thompson, 3),
    "river UCB": (river_ucb, 3),
    "mabwiser Thompson": (mabwiser_thompson, SLOW_SHARE),
    "mabwiser UCB": (mabwiser_ucb, SLOW_SHARE),
}


def own(world: World) -> dict[str, Policy]:
    """Give our policies for a world."""
    real = world.deviations is not None
    belief = NormalBelief(b0=0.1) if real else BetaBelief()
    even = {f"arm{at}": 1 / len(world.means) for at in range(len(world.means))}
    return {
        "Palio thompson": Thompson(belief),
        "Palio top_two_thompson": TopTwoThompson(belief),
        "Palio ucb": Ucb(),
        "Palio epsilon_greedy, 1 halved at 100": EpsilonGreedy(1.0, halves_at=100),
        "even split": Fixed(even),
    }


@dataclass(frozen=True)
class Row:
    """Mean regret with its standard error, of so many runs."""

    mean: float
    se: float
    runs: int

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.se:.1f} ({self.runs})"


def summed(regrets: list[float]) -> Row:
    """Summarise runs."""
    spread = statistics.stdev(regrets) if len(regrets) > 1 else 0.0
    return Row(statistics.fmean(regrets), spread / len(regrets) ** 0.5, len(regrets))


def play_peer(peer: Peer, world: World, run: int) -> float:
    """Play one run, a reward at every round, and give its regret."""
    rng, best, regret = np.random.default_rng([5, run]), max(world.means), 0.0
    for _ in range(ROUNDS):
        arm = peer.pull()
        peer.learn(arm, world.reward(rng, arm))
        regret += best - world.means[arm]
    return regret


def regrets(world: World, runs: int) -> dict[str, Row]:
    """Play everybody in a world."""
    found = {}
    for name, policy in own(world).items():
        found[name] = summed([play(policy, world, run=run) for run in range(runs)])
    for name, (make, share) in PEERS.items():
        fewer = max(runs // share, 2)
        found[name] = summed([play_peer(make(world, run), world, run) for run in range(fewer)])
    return found


def peer_us(name: str, rounds: int) -> float:
    """Time a decision with its update, µs."""
    world = WORLDS[SPEED]
    peer = PEERS[name][0](world, 0)
    rng = np.random.default_rng(0)
    rewards = (rng.random(rounds) < 0.055).astype(float).tolist()
    start = time.perf_counter()
    for reward in rewards:
        peer.learn(peer.pull(), reward)
    return (time.perf_counter() - start) / rounds * 1e6


def own_us(policy: Policy) -> tuple[float, float, float]:
    """Time a decision, an update of one reward, and a refresh of the weights, µs."""
    arms = {f"arm{at}": WORLDS[SPEED].nothing() for at in range(3)}
    found = allocate(policy, arms, control="arm0", seed=Seed("s", 0), bounds=NO_BOUNDS)
    split = Split.of(salt="s", weights=found.weights)
    units = [f"u{number}" for number in range(20_000)]
    start = time.perf_counter()
    for unit in units:
        split.assign(unit)
    decided = time.perf_counter()
    for _ in units:
        arms["arm1"] = merged(arms["arm1"], Counts(0, 1))
    updated = time.perf_counter()
    warm = dict.fromkeys(arms, Counts(50, 900))
    refreshed = time.perf_counter()
    for number in range(100):
        allocate(policy, warm, control="arm0", seed=Seed("s", number), bounds=NO_BOUNDS)
    done = time.perf_counter()
    return (
        (decided - start) / len(units) * 1e6,
        (updated - decided) / len(units) * 1e6,
        (done - refreshed) / 100 * 1e6,
    )


def table(head: list[str], lines: list[list[str]]) -> str:
    """Write a table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def regret_table(runs: int) -> str:
    """Play all worlds."""
    by_world = [regrets(world, runs) for world in WORLDS.values()]
    lines = [[name, *(str(found[name]) for found in by_world)] for name in by_world[0]]
    return table(["policy", *WORLDS], lines)


def speed_table() -> str:
    """Time everybody, three arms with rates."""
    lines = []
    for name, policy in own(WORLDS[SPEED]).items():
        decide, update, refresh = own_us(policy)
        whole = decide + update + refresh / REFRESH
        lines.append([name, *(f"{us:.2f}" for us in (decide, update, refresh, whole))])
    for name in PEERS:
        took = peer_us(name, 500 if "mabwiser" in name else 20_000)
        lines.append([name, "", "", "", f"{took:.2f}"])
    head = ["policy", "decision", "update", "refresh", f"together, a refresh every {REFRESH}"]
    return table(head, lines)


def page(runs: int) -> str:
    """Measure, and return the page."""
    written = (
        f"Written by `make bench-bandits`: river {version('river')}, mabwiser "
        f"{version('mabwiser')}, numpy {version('numpy')}. {ROUNDS:,} rounds a run; Palio's "
        f"weights are refreshed every {REFRESH} rounds, the peers' after every reward."
    )
    meaning = (
        "A decision is one assignment by the published weights. A refresh of a Thompson policy "
        "draws 10,000 times from each arm's posterior, in the process that folds the statistics, "
        "not on the path of a request."
    )
    parts = [
        "# The policies beside river's and mabwiser's",
        written,
        "## Regret: mean ± standard error (runs)",
        regret_table(runs),
        "## Time, µs, three arms with rates",
        speed_table(),
        meaning,
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    asked = [int(word) for word in sys.argv[1:] if word.isdigit()]
    written = page(asked[0] if asked else 100)
    if "--print" in sys.argv:
        print(written)
    else:
        PAGE.write_text(written, encoding="utf-8")
        print(f"wrote {PAGE.name}")
