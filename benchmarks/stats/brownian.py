"""Crossing probabilities of Brownian motion by recursive integration, none of them simulated.

`crossed` carries the density of the paths that have not crossed from look to look on
Gauss-Legendre nodes (Armitage, McPherson and Rowe 1969, JRSS A 132(2), 235-244). With ``bridge``
the process is watched continuously: each step counts the chance that the Brownian bridge between
its ends has crossed the straight line between the two bounds, ``exp(-2 gap_before gap_after /
dt)``.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["crossed", "mean_stop", "simulated"]

Array = NDArray[np.float64]
TAILS = 6.5  # standard deviations kept of the density


def crossed(
    times: Array, upper: Array, *, sides: int = 2, drift: float = 0.0, bridge: bool = False,
    nodes: int = 160,
) -> Array:  # fmt: skip
    """Give the probability of crossing first at each time.

    ``upper`` bounds B(t) from above at ``times``, and ``-upper`` from below with two sides. The
    spacing of the nodes must stay below the standard deviation of a step.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)
    spread = TAILS * np.sqrt(times)
    top = np.minimum(upper, drift * times + spread)
    floor = -upper if sides == 2 else np.full_like(upper, -np.inf)
    bottom = np.maximum(floor, drift * times - spread)
    first = sqrt(times[0])
    found = [
        ndtr((drift * times[0] - upper[0]) / first) + ndtr((floor[0] - drift * times[0]) / first)
    ]
    half = (top[0] - bottom[0]) / 2
    at = (top[0] + bottom[0]) / 2 + half * points
    mass = _normal(at - drift * times[0], first) * half * weights
    for k, dt in enumerate(np.diff(times), start=1):
        half = (top[k] - bottom[k]) / 2
        to = (top[k] + bottom[k]) / 2 + half * points
        kernel = _normal(to[:, None] - at[None, :] - drift * dt, sqrt(dt))
        if bridge:
            kernel *= _kept(upper[k - 1] - at, upper[k] - to, dt)
            if sides == 2:
                kernel *= _kept(at + upper[k - 1], to + upper[k], dt)
        before, at, mass = mass, to, (kernel @ mass) * half * weights
        found.append(before.sum() - mass.sum())
    return np.array(found)


def mean_stop(times: Array, upper: Array, *, drift: float) -> tuple[float, float]:
    """Give the power and the mean share of the horizon at the stop, looked at at ``times``."""
    stops = crossed(times, upper, drift=drift)
    return float(stops.sum()), float(stops @ times + 1 - stops.sum())


def simulated(
    times: Array, upper: Array, *, sides: int, paths: int, seed: int, bridge: bool
) -> float:
    """Give the share of simulated paths that cross, to check `crossed` by."""
    rng = np.random.default_rng(seed)
    path = rng.standard_normal(paths) * sqrt(times[0])
    signs = (1.0, -1.0)[:sides]
    kept = np.prod([sign * path < upper[0] for sign in signs], axis=0).astype(np.float64)
    for (past, t), (edge_before, edge) in zip(pairwise(times), pairwise(upper), strict=True):
        before, path = path, path + rng.standard_normal(paths) * sqrt(t - past)
        for sign in signs:
            kept *= sign * path < edge
            if bridge:
                gap = (edge_before - sign * before).clip(0) * (edge - sign * path).clip(0)
                kept *= -np.expm1(-2 * gap / (t - past))
    return float(1 - kept.mean())


def _normal(x: Array, sd: float) -> Array:
    density: Array = np.exp(-((x / sd) ** 2) / 2) / (sqrt(2 * np.pi) * sd)
    return density


def _kept(gap_before: Array, gap_after: Array, dt: float) -> Array:
    gaps = np.maximum(gap_after, 0)[:, None] * np.maximum(gap_before, 0)[None, :]
    kept: Array = -np.expm1(-2 * gaps / dt)
    return kept
