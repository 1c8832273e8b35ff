"""Calibrate the boundary of rule 1 and write ``src/palio/stats/mixture_table.py``.

Run as ``python benchmarks/calibrate_mixture.py > src/palio/stats/mixture_table.py``, or with
``--check`` to compare the table with Brownian paths.

The boundary holds for *continuous* looking over t in [0.01, 1], so that no schedule of looks
can break it. Under the null ``z(t) = B(t)/sqrt(t)`` is an Ornstein-Uhlenbeck process in
``s = ln t``: ``dz = -z/2 ds + dW``. The probability ``v`` of leaving ``|z| < b(s)`` before s = 0
solves the backward equation of ``y = z/b(s)`` ::

    v_s - (1/2 + b'/b) y v_y + v_yy / (2 b^2) = 0,   v(+-1, s) = 1,   v(y, 0) = 0

by finite differences, which has none of the noise of a simulation. Discrete paths of 100 even
looks cross less often (c = 5.37 instead of 6.10 at alpha 0.05, r = 0.3); paths of a few
thousand looks lie in between. The bridge between two looks closes that gap in ``crossed_share``.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.linalg import solve_banded
from scipy.optimize import brentq
from scipy.special import ndtr

T_MIN = 0.01
DAMPED_STEPS = 4  # implicit ones before Crank-Nicolson: v starts with a jump
STEP = 1e-5  # of the numerical derivative of the boundary
R_GRID = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
ALPHA_GRID = (
    1e-5, 3e-5, 1e-4, 3e-4, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.045, 0.05,
    0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8,
)  # fmt: skip
Array = NDArray[np.float64]
HEAD = f'''"""The calibrated boundary of rule 1, written by ``benchmarks/calibrate_mixture.py``.

`LOG_C` holds ln c: a row for each r of `R_GRID`, a column for each alpha of `ALPHA_GRID`.
"""

from __future__ import annotations

__all__ = ["ALPHA_GRID", "LOG_C", "R_GRID", "T_MIN"]

T_MIN = {T_MIN}
R_GRID = {R_GRID}
ALPHA_GRID = (
    {", ".join(map(str, ALPHA_GRID[:14]))},
    {", ".join(map(str, ALPHA_GRID[14:]))},
)  # fmt: skip
LOG_C = ('''


def boundary(t: float, log_c: float, r: float) -> float:
    """Give the |z| at which the mixture reaches c."""
    return sqrt((t + r) / t * (2 * log_c + log((t + r) / r)))


def crossing_probability(log_c: float, r: float, *, space: int = 300, time: int = 600) -> float:
    """Solve the backward equation on y in [0, 1] (the problem is even) from s = 0 to ln t_min."""
    s = np.linspace(log(T_MIN), 0.0, time + 1)
    y = np.linspace(0.0, 1.0, space + 1)
    v = np.zeros(space + 1)
    v[-1] = 1.0
    for at in range(time, 0, -1):
        implicit = 1.0 if time - at < DAMPED_STEPS else 0.5
        edges = [boundary(exp((s[at] + s[at - 1]) / 2 + d), log_c, r) for d in (-STEP, 0, STEP)]
        v = _step_back(v, y, edges, ds=s[1] - s[0], implicit=implicit)
    b = boundary(T_MIN, log_c, r)
    density = 2 * b * np.exp(-((y * b) ** 2) / 2) / sqrt(2 * np.pi)
    return float(simpson(v * density, x=y) + 2 * ndtr(-b))


def _step_back(v: Array, y: Array, edges: list[float], *, ds: float, implicit: float) -> Array:
    below, at, above = edges
    h = y[1]
    spread = 0.5 / at**2 / h**2
    drift = -(0.5 + (above - below) / (2 * STEP) / at) * y / (2 * h)
    lower, diagonal, upper = spread - drift, np.full_like(y, -2 * spread), spread + drift
    upper[0] = 2 * spread  # even around y = 0
    lower[-1] = diagonal[-1] = 0.0  # v stays 1 at the boundary
    explicit = (1 - implicit) * ds
    right = v * (1 + explicit * diagonal)
    right[:-1] += explicit * upper[:-1] * v[1:]
    right[1:] += explicit * lower[1:] * v[:-1]
    bands = np.zeros((3, len(y)))
    bands[0, 1:] = -implicit * ds * upper[:-1]
    bands[1] = 1 - implicit * ds * diagonal
    bands[2, :-1] = -implicit * ds * lower[1:]
    solved: Array = solve_banded((1, 1), bands, right)
    return solved


def calibrated(alpha: float, r: float) -> float:
    """Give the log c that is crossed with probability alpha."""
    return float(
        brentq(lambda log_c: log(crossing_probability(log_c, r) / alpha), 1e-4, 25.0, xtol=1e-7)
    )


def crossed_share(
    log_c: float, r: float, *, paths: int, looks: int, seed: int, continuous: bool
) -> float:
    """Simulate Brownian paths and give the share that crosses.

    With ``continuous`` each step counts the chance that the bridge between its ends has crossed,
    the boundary being straight in between (the steps are even in ln t).
    """
    rng = np.random.default_rng(seed)
    times = np.geomspace(T_MIN, 1.0, looks)
    path = rng.standard_normal(paths) * sqrt(T_MIN)
    edge = sqrt(T_MIN) * boundary(T_MIN, log_c, r)
    kept = (np.abs(path) < edge).astype(np.float64)
    for past, t in pairwise(times):
        before, path = path, path + rng.standard_normal(paths) * sqrt(t - past)
        edge_before, edge = edge, sqrt(t) * boundary(t, log_c, r)
        kept *= np.abs(path) < edge
        if continuous:
            for sign in (1.0, -1.0):
                gap = (edge_before - sign * before) * (edge - sign * path)
                kept *= -np.expm1(-2 * np.maximum(gap, 0.0) / (t - past))
    return float(1 - kept.mean())


def table() -> str:
    """Render the module that ships."""
    rows = ["    (" + _lines([f"{calibrated(alpha, r):.6f}" for alpha in ALPHA_GRID]) + "\n    ),"
            for r in R_GRID]  # fmt: skip
    return "\n".join([HEAD, *rows, ")  # fmt: skip"])


def _lines(numbers: list[str]) -> str:
    chunks = [numbers[at : at + 8] for at in range(0, len(numbers), 8)]
    return "".join("\n        " + ", ".join(chunk) + "," for chunk in chunks)


def check() -> None:
    """Print the table's c at alpha 0.05 with the share of 400,000 Brownian paths that cross it."""
    print("r | c | continuous | 100 looks even in ln t")
    for r in R_GRID:
        log_c = calibrated(0.05, r)
        shares = [
            crossed_share(log_c, r, paths=400_000, looks=looks, seed=7, continuous=continuous)
            for looks, continuous in ((400, True), (100, False))
        ]
        print(f"{r:g} | {exp(log_c):.3f} | {shares[0]:.4f} | {shares[1]:.4f}")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        print(table())
