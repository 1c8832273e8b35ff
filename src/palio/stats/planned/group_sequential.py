"""Crossing probabilities of any boundary at any looks, by recursive numerical integration.

At information share t the score ``S(t) = z sqrt(t)`` is a Brownian path with drift, whatever the
metric. Between two looks it moves by N(drift dt, dt), so the density of the paths that have not
stopped is that of the look before, cut at its bounds, folded with a normal one ::

    g_k(s) = integral over the continuation region of g_(k-1)(u) phi((s - u - drift dt)/sqrt(dt))

Each integral is taken on Gauss-Legendre nodes, as many as the smallest step between looks asks
for. What leaves the region is summed from normal tails, so small probabilities stay accurate.

References
----------
Armitage, McPherson and Rowe (1969), JRSS A 132(2), 235-244.
Jennison and Turnbull (2000), Group Sequential Methods, chapter 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, fsum, inf, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, roots_legendre  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Crossing", "Walk", "crossing_probabilities", "rising_shares"]

_REACH = 9.0  # standard deviations beyond which no mass (1e-19) is kept
_NODES, _NODES_PER_STEP, _NODES_BLOCK = 24, 1.4, 16
_LEAST_RISE = 1e-4
_SHARE_RANGE = (1e-9, 1e6)
_MAX_DRIFT = 1e6
_NEVER = 1e12  # a bound beyond it is as good as inf


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a boundary is crossed under one drift.

    Attributes
    ----------
    shares
        Information share of each look.
    upper, lower
        Probability of stopping at each look by crossing above and below; they are exclusive.
    """

    shares: tuple[float, ...]
    upper: tuple[float, ...]
    lower: tuple[float, ...]

    @property
    def probability(self) -> float:
        """Probability of crossing at any look: the error without drift, else the power."""
        return min(1.0, fsum(self.upper) + fsum(self.lower))

    @property
    def expected_share(self) -> float:
        """Mean information share at the stop, the last look's where nothing is crossed."""
        stops = (up + down for up, down in zip(self.upper, self.lower, strict=True))
        end = self.shares[-1]
        return end - fsum((end - t) * p for t, p in zip(self.shares, stops, strict=True))


@dataclass(frozen=True, slots=True)
class Walk:
    """The paths that have not stopped by one look: their density on quadrature nodes.

    Attributes
    ----------
    share
        Information share of the look; 0 at the start.
    nodes
        Values of the score, shape (n,) float64.
    mass
        Probability on each node, shape (n,) float64; they sum to that of going on.
    low, high
        Ends of the region the nodes lie in.
    """

    share: float
    nodes: NDArray[np.float64]
    mass: NDArray[np.float64]
    low: float
    high: float

    @classmethod
    def start(cls) -> Walk:
        """Begin: all of the mass at a score of 0."""
        return cls(0.0, np.zeros(1), np.ones(1), 0.0, 0.0)

    def above(self, level: float, share: float, drift: float = 0.0) -> float:
        """Give the probability of having gone on so far and scoring at least level at share."""
        step = share - self.share
        return float(self.mass @ ndtr((self.nodes + drift * step - level) / sqrt(step)))

    def below(self, level: float, share: float, drift: float = 0.0) -> float:
        """Give the probability of having gone on so far and scoring at most level at share."""
        step = share - self.share
        return float(self.mass @ ndtr((level - self.nodes - drift * step) / sqrt(step)))

    def density(self, scores: NDArray[np.float64], share: float, drift: float = 0.0) -> (
        NDArray[np.float64]
    ):  # fmt: skip
        """Give the sub-density at share, shape (m,) float64, at scores of shape (m,)."""
        step = share - self.share
        gaps = scores[:, np.newaxis] - (self.nodes + drift * step)
        gaps *= gaps
        gaps *= -0.5 / step
        found: NDArray[np.float64] = np.exp(gaps, out=gaps) @ self.mass
        return found / sqrt(2 * pi * step)

    def within(
        self, low: float, high: float, share: float, *, drift: float = 0.0, following: float = inf
    ) -> Walk:
        """Go on to share, keeping the scores in (low, high).

        Parameters
        ----------
        low, high
            Continuation region of the score there; either may be infinite.
        share
            Information share, above the present one.
        drift
            Mean of the score at share 1.
        following
            Share of the look after that one, which tells how fine the nodes must be.

        Returns
        -------
        Walk
            Without mass where the region holds none.
        """
        step = share - self.share
        near, far = _REACH * sqrt(step), _REACH * sqrt(share)
        low = max(low, self.low + drift * step - near, drift * share - far)
        high = max(low, min(high, self.high + drift * step + near, drift * share + far))
        finest = sqrt(min(step, following - share))
        roots, weights = _legendre(_count((high - low) / finest))
        half = (high - low) / 2
        nodes = low + half * (1 + roots)
        mass = self.density(nodes, share, drift) * (half * weights)
        return Walk(share, nodes, mass, low, high)


def crossing_probabilities(
    bounds: Sequence[float],
    shares: Sequence[float],
    *,
    drift: float = 0.0,
    alternative: Alternative = "two-sided",
) -> Crossing:
    """Give the probability of stopping at each look.

    Parameters
    ----------
    bounds
        One z a look: stop where ``|z| >= bound`` (two-sided, bounds >= 0), ``z >= bound``
        (larger) or ``-z >= bound`` (smaller). inf is a look that never stops.
    shares
        Information share of each look, in [1e-9, 1e6] and rising, each step at least 1e-4 of the
        share it leads to. They may exceed 1.
    drift
        Mean of z at share 1, so that z at share t has mean ``drift sqrt(t)``: with I_H the
        information at share 1, ``effect sqrt(I_H)``. In [-1e6, 1e6].
    alternative
        Which sides the bounds are on.

    Returns
    -------
    Crossing
        Probabilities by look and side, accurate to about 1e-9.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Jennison and Turnbull (2000), Group Sequential Methods, section 19.2.
    """
    looks = rising_shares("shares", shares)
    _check(bounds, looks, drift, alternative)
    if alternative == "smaller":
        mirrored = crossing_probabilities(bounds, looks, drift=-drift, alternative="larger")
        return Crossing(looks, mirrored.lower, mirrored.upper)
    walk, upper, lower = Walk.start(), [], []
    for bound, share, following in zip(bounds, looks, (*looks[1:], inf), strict=True):
        high = min(bound, _NEVER) * sqrt(share)
        low = -high if alternative == "two-sided" else -inf
        upper.append(walk.above(high, share, drift))
        lower.append(walk.below(low, share, drift))
        if following < inf:
            walk = walk.within(low, high, share, drift=drift, following=following)
    return Crossing(looks, tuple(upper), tuple(lower))


def rising_shares(name: str, shares: Sequence[float]) -> tuple[float, ...]:
    """Refuse information shares but of one look at least, each 1e-4 above the last and more."""
    if len(shares) == 0:
        raise ValueError(f"{name} must hold at least 1 look, got 0")
    looks, before = tuple(float(share) for share in shares), 0.0
    for at, share in enumerate(looks):
        ranges.within(f"{name}[{at}]", share, *_SHARE_RANGE)
        if share - before < _LEAST_RISE * share:
            raise ValueError(
                f"{name}[{at}] must rise by at least {_LEAST_RISE:g} of itself, "
                f"got {share} after {before}"
            )
        before = share
    return looks


def _check(
    bounds: Sequence[float], looks: tuple[float, ...], drift: float, alternative: Alternative
) -> None:
    ranges.within("drift", drift, -_MAX_DRIFT, _MAX_DRIFT)
    if alternative not in {"two-sided", "larger", "smaller"}:
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")
    if len(bounds) != len(looks):
        raise ValueError(f"bounds must be as many as shares, {len(looks)}, got {len(bounds)}")
    least = 0.0 if alternative == "two-sided" else -_NEVER
    for at, bound in enumerate(bounds):
        ranges.within(f"bounds[{at}]", bound, least, inf)


def _count(steps: float) -> int:
    """Give the number of nodes for a region that wide in steps, few different ones in all."""
    return _NODES_BLOCK * ceil((_NODES + _NODES_PER_STEP * steps) / _NODES_BLOCK)


@lru_cache(maxsize=256)
def _legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    roots, weights = roots_legendre(count)
    return roots, weights
