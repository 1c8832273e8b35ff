"""Rule 1: a calibrated boundary for experiments with a declared horizon.

With ``t = I / I_H`` the share of the planned information, ``z = effect / se`` crosses at ::

    c + (1/t - 1)/20 + 0.4 (1 - t)^(1/5)         before the horizon (t < 0.999)
    c                                            at it (0.999 <= t <= 1.01)

The shape was chosen near the exact frontier of power against mean stop (``docs/statistics.md``);
the level c is calibrated so that a path under the null crosses anywhere with probability alpha:

- looked at at *any* number of instants of [`T_MIN`, `SLACK`], the default, or
- at no more than ``looks`` binding ones, the first at or after each of t = 1/looks, 2/looks, ...,
  1. This buys power: who looks once a per cent pays for a hundred looks, not for all there are.

Below `T_MIN` there is no verdict and beyond `SLACK` validity ends.

References
----------
Pampallona and Tsiatis (1994), Journal of Statistical Planning and Inference 42, 19-35, and Wang
and Tsiatis (1987), Biometrics 43(1), 193-199, for boundaries of a given shape and a calibrated
level. The calibration is ``benchmarks/stats/calibrate.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache
from math import erfc, inf, sqrt
from statistics import NormalDist
from typing import Literal

from palio.stats import ranges
from palio.stats.anytime.horizon_table import ALPHA_GRID, LEVELS

__all__ = ["BEND", "END", "FINAL", "RISE", "SLACK", "T_MIN", "HorizonRule", "level_of"]

T_MIN, FINAL, SLACK = 0.01, 0.999, 1.01
RISE, END, BEND = 0.05, 0.4, 0.2

Sides = Literal[1, 2]

_PROBITS = tuple(NormalDist().inv_cdf(alpha) for alpha in ALPHA_GRID)


def level_of(alpha: float, *, looks: int | None = None, sides: Sides = 2) -> float:
    """Give the level c that is crossed with probability alpha.

    Parameters
    ----------
    alpha
        Probability of crossing at any binding look, within the table: [1e-7, 0.9].
    looks
        Number of binding looks: 10, 20, 50 or 100; None for any number.
    sides
        2 for a bound on either side, 1 for one on one side only.

    Returns
    -------
    float
        c, interpolated linearly between normal quantiles; the true probability is within 0.5 %
        of alpha.

    Raises
    ------
    ValueError
        If an argument is outside the table.
    """
    ranges.within("alpha", alpha, ALPHA_GRID[0], ALPHA_GRID[-1])
    levels = _levels(looks, sides)
    return _interpolate(NormalDist().inv_cdf(alpha), _PROBITS, levels)


@dataclass(frozen=True, slots=True)
class HorizonRule:
    """The boundary at one error probability.

    Attributes
    ----------
    alpha
        Error probability over all looks up to the horizon, in [1e-7, 0.9].
    looks
        Number of binding looks: 10, 20, 50 or 100; None for any number.
    sides
        2 or 1.

    Raises
    ------
    ValueError
        If an attribute is outside the table.
    """

    alpha: float
    looks: int | None = None
    sides: Sides = 2
    level: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        level = level_of(self.alpha, looks=self.looks, sides=self.sides)
        object.__setattr__(self, "level", level)

    def reach(self, t: float) -> float:
        """Give the z at which the boundary is crossed.

        Parameters
        ----------
        t
            Share of the planned information, in [0, 1.01].

        Returns
        -------
        float
            > 0 with two sides; inf where there is no verdict yet: below `T_MIN`, or below the
            first of the binding looks.

        Raises
        ------
        ValueError
            If t is out of its range.
        """
        return self.level + self._shape(t)

    def interval(self, effect: float, se: float, t: float) -> tuple[float, float]:
        """Give the bounds ``effect -+ se reach(t)``, each of which one side may use alone."""
        reach = se * self.reach(t)
        return effect - reach, effect + reach

    def p_value(self, z: float, t: float) -> float:
        """Give the smallest alpha of the table that would have crossed at this look.

        Parameters
        ----------
        z
            ``effect / se``; with two sides its size counts, with one side large values do.
        t
            Share of the planned information, in [0, 1.01].

        Returns
        -------
        float
            The inverse of the table, 1e-7 at least, and 1 beyond the largest alpha of the table
            or where there is no verdict. The minimum over the binding looks so far stays valid;
            the caller keeps it.
        """
        levels = _levels(self.looks, self.sides)
        level = (abs(z) if self.sides == 2 else z) - self._shape(t)  # noqa: PLR2004
        if level < levels[-1]:
            return 1.0
        if level >= levels[0]:
            return ALPHA_GRID[0]
        at = bisect_left(levels, -level, key=float.__neg__)  # bisect wants a rising sequence
        return erfc(-_between(levels, _PROBITS, at, level) / sqrt(2)) / 2

    def checkpoint(self, t: float) -> int:
        """Give how many binding looks are due by t; one binds only when the number has risen."""
        looks = self.looks or 0
        return min(looks, int((t + 1 - FINAL) * looks))

    def _shape(self, t: float) -> float:
        if not 0 <= t <= SLACK:
            raise ValueError(f"t must be in [0, {SLACK}], got {t}")
        if t >= FINAL:
            return 0.0
        if t < T_MIN or (self.looks and not self.checkpoint(t)):
            return inf
        return float(RISE * (1 / t - 1) + END * (1 - t) ** BEND)


@lru_cache(maxsize=32)
def _levels(looks: int | None, sides: Sides) -> tuple[float, ...]:
    """Give c over `ALPHA_GRID`, falling."""
    if (looks or 0, sides) not in LEVELS or looks == 0:
        known = sorted({looks for looks, _ in LEVELS if looks})
        raise ValueError(
            f"looks must be None or one of {known} and sides 1 or 2, got {looks} and {sides}"
        )
    return LEVELS[looks or 0, sides]


def _interpolate(x: float, xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    return _between(xs, ys, max(1, bisect_left(xs, x)), x)


def _between(xs: tuple[float, ...], ys: tuple[float, ...], at: int, x: float) -> float:
    weight = (x - xs[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at - 1] + weight * (ys[at] - ys[at - 1])
