"""The exact frontier of power against mean stop, and how far the boundary of rule 1 is from it.

    python benchmarks/stats/frontier.py

A path B(t) + d t is looked at at t = 1/100, ..., 1. Among all rules that reject a true null with
5 %, the frontier holds those that minimise ::

    E_d[stop] + w E_2d[stop] - k P_d[reject],     d of 80 % power at one look

for a weight w and a price k. With l the price of a false rejection the best rule stops where
stopping costs less than going on, which one sweep back from the horizon finds on a grid of B (the
problem is symmetric, so both signs of d count alike and the likelihood ratio to the null is
``cosh(d B) exp(-d^2 t / 2)``). Power and mean stop of each boundary then follow from `brownian`,
with no simulation anywhere.

Reference: Lorden (1976), Annals of Statistics 4(2), 281-291; Jennison and Turnbull (2000),
Group Sequential Methods, chapter 19, for the recursion.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from brownian import Array, crossed, mean_stop
from scipy.optimize import brentq
from scipy.special import ndtri

from palio.stats.anytime.horizon import HorizonRule
from palio.stats.anytime.sequential import RESERVE_SHARE

LOOKS, ALPHA = 100, 0.05
RESERVE = RESERVE_SHARE * ALPHA
DRIFT = float(ndtri(0.975) + ndtri(0.8))
TIMES = np.arange(1, LOOKS + 1) / LOOKS
SPACING, REACH = 0.005, 7.0
Point = tuple[float, float, float]  # power, mean stop, mean stop at twice the effect


def best_boundary(price_null: float, price: float, weight: float) -> Array:
    """Give the bounds of B(t) that minimise the cost, by backward induction."""
    b = np.arange(0, REACH + SPACING / 2, SPACING)
    step = 1 / LOOKS
    half = int(6 * step**0.5 / SPACING)
    kernel = np.exp(-((np.arange(-half, half + 1) * SPACING) ** 2) / (2 * step))
    kernel /= kernel.sum()
    bounds = np.full(LOOKS, np.inf)
    value: Array | None = None
    for k in range(LOOKS - 1, -1, -1):
        once, twice = (np.cosh(d * b) * exp(-d * d * TIMES[k] / 2) for d in (DRIFT, 2 * DRIFT))
        waited = TIMES[k] * (once + weight * twice)
        stop = price_null - price * once + waited
        onward = once + weight * twice if value is None else _expected(value, kernel, half)
        better = np.flatnonzero(stop < onward)
        if better.size and better[0] > 0:
            gap = (stop - onward)[better[0] - 1 : better[0] + 1]
            bounds[k] = b[better[0]] - SPACING * gap[1] / (gap[1] - gap[0])
        value = np.minimum(stop, onward)
    return bounds


def _expected(value: Array, kernel: Array, half: int) -> Array:
    """Average over the next step; beyond the grid the value is continued along its tangent."""
    beyond = 2 * value[-1] - value[-2 : -half - 2 : -1]
    return np.convolve(np.concatenate([value[half:0:-1], value, beyond]), kernel, "valid")


def frontier_boundary(price: float, weight: float) -> Array:
    """Give the best boundary that rejects a true null with probability `ALPHA`."""

    def excess(log_price: float) -> float:
        return float(crossed(TIMES, best_boundary(exp(log_price), price, weight)).sum()) - ALPHA

    return best_boundary(exp(brentq(excess, log(1), log(60), xtol=1e-4)), price, weight)


def point_of(bounds: Array) -> Point:
    """Give what a boundary reaches."""
    power, stop = mean_stop(TIMES, bounds, drift=DRIFT)
    return power, stop, mean_stop(TIMES, bounds, drift=2 * DRIFT)[1]


def ours(looks: int | None, alpha: float) -> tuple[float, Point]:
    """Give rule 1's error probability and point, looked at a hundred times."""
    rule = HorizonRule(alpha, looks)
    bounds = np.array([rule.reach(t) * t**0.5 for t in TIMES.tolist()])
    return float(crossed(TIMES, bounds).sum()), point_of(bounds)


def limit(power: float, stop_twice: float) -> Point:
    """Give the frontier's point of the same power and the same mean stop at twice the effect."""

    def of_weight(weight: float) -> Point:
        def missing(price: float) -> float:
            return point_of(frontier_boundary(price, weight))[0] - power

        return point_of(frontier_boundary(brentq(missing, 0.4, 4, xtol=2e-3), weight))

    weight = brentq(lambda w: of_weight(w)[2] - stop_twice, 0.2, 6, xtol=5e-3)
    return of_weight(weight)


def section() -> str:
    """Render the frontier and our place on it as Markdown."""
    lines = [
        "| rule | false positives | power | mean stop | mean stop at twice the effect |",
        "|---|---|---|---|---|",
    ]
    for weight, price in ((0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1.5, 1.2), (3.0, 2.0)):
        point = point_of(frontier_boundary(price, weight))
        lines.append(f"| frontier, w = {weight:g}, k = {price:g} | 0.0500 | {_cells(point)} |")
    for name, looks in (("a hundred binding looks", 100), ("any number of looks", None)):
        error, point = ours(looks, ALPHA - RESERVE)
        lines.append(f"| rule 1, {name} | {error:.4f} | {_cells(point)} |")
        if looks:
            mine = point
    best = limit(mine[0], mine[2])
    late = 100 * (mine[1] / best[1] - 1)
    lines += [
        "",
        f"Of the rules with power {mine[0]:.4f} and a mean stop of {1e4 * mine[2]:.0f} at",
        f"twice the effect the best stops at {1e4 * best[1]:.0f} on average; rule 1 with a",
        f"hundred binding looks at {1e4 * mine[1]:.0f}: {late:.2f} % later.",
        f"Most of that is the {RESERVE:.4f} of {ALPHA:.2f} kept for looks past the horizon.",
    ]
    return "\n".join(lines)


def _cells(point: Point) -> str:
    return f"{point[0]:.4f} | {1e4 * point[1]:.0f} | {1e4 * point[2]:.0f}"


if __name__ == "__main__":
    print(section())
