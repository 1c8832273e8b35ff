"""Calibrate the boundary of rule 1 and write ``src/palio/stats/anytime/horizon_table.py``.

    python benchmarks/stats/calibrate.py > src/palio/stats/anytime/horizon_table.py
    python benchmarks/stats/calibrate.py --check     compares the table with simulated paths

For every error probability the level c is found at which Brownian motion crosses
``|z| = c + shape(t)`` with that probability, by `brownian.crossed`: at every instant of [0.01,
1.01], or at the k evenly spaced looks of [1/k, 1] only. About a minute.
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
from brownian import Array, crossed, simulated
from scipy.special import ndtri

from palio.stats.anytime.horizon import BEND, END, FINAL, RISE, SLACK, T_MIN, level_of

ALPHA_GRID = (
    1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.065,
    0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
)  # fmt: skip
LOOKS_GRID = (0, 10, 20, 50, 100)
PLANS = [(looks, sides) for looks in LOOKS_GRID for sides in (1, 2)]
HEAD = f'''"""The calibrated levels of rule 1, written by ``benchmarks/stats/calibrate.py``.

`LEVELS` holds, by number of binding looks (0 for any number) and of sides, the level c for each
alpha of `ALPHA_GRID`.
"""

from __future__ import annotations

__all__ = ["ALPHA_GRID", "LEVELS"]

ALPHA_GRID = (
    {", ".join(map(str, ALPHA_GRID[:14]))},
    {", ".join(map(str, ALPHA_GRID[14:]))},
)  # fmt: skip
LEVELS = {{'''


def shape(t: Array) -> Array:
    """Give what the boundary adds to its level before the end."""
    early = np.where(t >= FINAL, 1.0, t)
    added: Array = RISE * (1 / early - 1) + END * (1 - early) ** BEND
    return added


@cache
def looked_at(looks: int) -> Array:
    """Give the times at which a path is held against the boundary."""
    if looks:
        return np.arange(1, looks + 1) / looks
    close = FINAL - (FINAL - 0.9) * np.linspace(1, 0, 8) ** 2
    return np.concatenate([np.geomspace(T_MIN, 0.9, 100), close[1:], np.linspace(1, SLACK, 3)])


def probability(level: float, looks: int, sides: int) -> float:
    """Give the probability of crossing the boundary at a level."""
    times = looked_at(looks)
    upper = (level + shape(times)) * np.sqrt(times)
    nodes = 320 if looks else 640
    return float(crossed(times, upper, sides=sides, bridge=not looks, nodes=nodes).sum())


def levels(looks: int, sides: int) -> list[float]:
    """Give the level of every alpha, searched by secants in normal quantiles: nearly a line."""
    found: list[float] = []
    level, slope = 5.5, -1.0
    for alpha in ALPHA_GRID:
        miss = _miss(level, alpha, looks, sides)
        while abs(miss) > 1e-6:
            at = level - miss / slope
            missed = _miss(at, alpha, looks, sides)
            if abs(at - level) > 1e-4:
                slope = (missed - miss) / (at - level)
            level, miss = at, missed
        found.append(level)
    return found


def _miss(level: float, alpha: float, looks: int, sides: int) -> float:
    return float(ndtri(max(probability(level, looks, sides), 1e-12)) - ndtri(alpha))


def table() -> None:
    """Print the module that ships."""
    print(HEAD)
    for looks, sides in PLANS:
        numbers = [f"{level:.6f}" for level in levels(looks, sides)]
        print(f"    ({looks}, {sides}): (")
        for at in range(0, len(numbers), 8):
            print("        " + ", ".join(numbers[at : at + 8]) + ",")
        print("    ),", flush=True)
    print("}  # fmt: skip")


def check() -> None:
    """Print, for each plan, the share of 400,000 fresh paths that cross the level of 5 %."""
    print("looks | sides | c | crossed")
    for looks, sides in PLANS:
        level = level_of(0.05, looks=looks or None, sides=sides)
        times = looked_at(looks)
        share = simulated(
            times, (level + shape(times)) * np.sqrt(times), sides=sides, paths=400_000, seed=7,
            bridge=not looks,
        )  # fmt: skip
        print(f"{looks or 'any'} | {sides} | {level:.4f} | {share:.4f}", flush=True)


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        table()
