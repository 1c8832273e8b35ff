"""What the policies earn beside an even split, and what a decision by published weights costs.

Regret is of 20,000 rounds refreshed every 50, mean of 20 runs, over an even split's in the same
worlds. A decision is an assignment by the weights, beside one that draws from Beta posteriors at
every request, as a bandit within one process does. ``bandits/beside_river.py`` has the peers.

python benchmarks/bench_bandits.py [runs]
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent / "bandits"))

from worlds import ROUNDS, WORLDS, World, play

from palio.bandits import BetaBelief, Counts, NormalBelief, Seed, Thompson, allocate
from palio.bucketing import Split

RUNS, DECISIONS = 20, 100_000
TARGETS = dict(zip(WORLDS, (0.8, 0.02, 0.25), strict=True))


def earns(name: str, runs: int) -> dict[str, str | float]:
    """Compare Thompson sampling's regret with an even split's, which needs no simulation."""
    world: World = WORLDS[name]
    policy = Thompson(NormalBelief(b0=0.1) if world.deviations else BetaBelief())
    ours = fmean(play(policy, world, run=run) for run in range(runs))
    even = ROUNDS * (max(world.means) - fmean(world.means))
    return {
        "what": f"thompson {name}: regret", "ours": ours, "limit": even,
        "ratio": ours / even, "target": f"<= {TARGETS[name]}",
    }  # fmt: skip


def per_call_us(step: Callable[[str], object]) -> float:
    """Time a step on many units, best of five rounds, in microseconds."""
    units, best = [f"unit-{number}" for number in range(DECISIONS)], float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for unit in units:
            step(unit)
        best = min(best, time.perf_counter() - start)
    return best / DECISIONS * 1e6


def decides() -> dict[str, str | float]:
    """Compare an assignment by published weights with a draw from three posteriors."""
    arms = {key: Counts(50 + at, 950) for at, key in enumerate("abc")}
    policy = Thompson(BetaBelief())
    found = allocate(policy, arms, control="a", seed=Seed("bench", 0))
    split = Split.of(salt="bench", weights=found.weights)
    beta = random.Random(0).betavariate
    shapes = [(key, 1 + seen.successes, 1 + seen.failures) for key, seen in arms.items()]
    ours = per_call_us(split.assign)
    drawn = per_call_us(lambda _: max((beta(a, b), key) for key, a, b in shapes))
    return {
        "what": "decision by published weights, µs", "ours": ours, "limit": drawn,
        "ratio": ours / drawn, "target": "<= 0.5",
    }  # fmt: skip


def rows(runs: int = RUNS) -> list[dict[str, str | float]]:
    """Give the regret of each world and the cost of a decision."""
    return [*(earns(name, runs) for name in WORLDS), decides()]


if __name__ == "__main__":
    print(rows(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
