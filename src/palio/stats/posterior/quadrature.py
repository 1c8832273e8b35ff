"""Integrals over the posteriors of several arms by Gauss-Legendre quadrature.

A normal is integrated on its own axis and a rate on ``y = log(x / (1 - x))``, where a beta density
``x^a (1 - x)^b`` is smooth, has one peak and falls off at least exponentially, however near 0 its
parameters are. Each density is cut where it has fallen by 40 nats; the range is divided at the
ends, peaks and bends of all arms, so that 36 nodes follow the integrand within each panel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, ndtr  # type: ignore[import-untyped]  # no stubs

__all__ = ["Axis", "beta_axis", "chance_above_all", "mean_excess", "normal_axis"]

_Array = NDArray[np.float64]

_NATS = 40.0
_FALL = 60.0  # logits over which the slope of a rate makes what lies further out negligible
_LONG = 12.0  # logits of reach from which a beta is a hill and a straight tail, cut apart ...
_BENDS = 5.0, 20.0  # ... at these offsets from its peak
_HILL = 3  # cuts of an arm without such a tail: its ends and its peak
_FEW = 4.0  # counts below which both tails of a beta may be long
_FAR = 500.0  # logits at which a beta has long been as straight as its asymptote
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(36)


@dataclass(frozen=True, slots=True)
class Axis:
    """An arm on the axis it is integrated on, seen from its peak so that no offset cancels.

    Attributes
    ----------
    peak
        Where its density is largest.
    cuts
        Offsets from the peak, ascending: left end, bends, peak, right end.
    density
        Of offsets from the peak, shape (n,), up to a factor.
    below
        Distribution function, of an origin and offsets from it, shape (n,).
    """

    peak: float
    cuts: tuple[float, ...]
    density: Callable[[_Array], _Array]
    below: Callable[[float, _Array], _Array]


def normal_axis(mean: float, sd: float) -> Axis:
    """Put a normal with sd > 0 on its own axis."""

    def below(origin: float, offset: _Array) -> _Array:
        with np.errstate(over="ignore"):  # infinitely many deviations away, which is meant
            return np.asarray(ndtr((origin - mean + offset) / sd))

    def density(offset: _Array) -> _Array:
        return np.exp(-0.5 * np.square(offset / sd))

    reach = sqrt(2 * _NATS) * sd
    return Axis(mean, (-reach, 0.0, reach), density, below)


def beta_axis(a: float, b: float) -> Axis:
    """Put a beta with a, b in [1e-6, 1e12] on the axis of logits."""

    def below(origin: float, offset: _Array) -> _Array:
        return _beta_below(a, b, origin + offset)

    def density(offset: _Array) -> _Array:
        return np.exp(-_beta_nats(a, b, offset))

    left, right = _beta_cuts(b, a), _beta_cuts(a, b)
    cuts = (*(-cut for cut in reversed(left)), 0.0, *right)
    return Axis(log(a / b), cuts, density, below)


def _beta_below(a: float, b: float, y: _Array) -> _Array:
    """Give F at the ascending or descending logits y, each from the tail it lies in."""
    lower = y <= 0
    if lower.all():
        return _beta_tail(a, b, y)
    if not lower.any():
        return 1 - _beta_tail(b, a, -y)
    found = np.empty_like(y)
    found[lower] = _beta_tail(a, b, y[lower])
    found[~lower] = 1 - _beta_tail(b, a, -y[~lower])
    return found


def _beta_tail(a: float, b: float, y: _Array) -> _Array:
    """Give F at logits y <= 0; where x would underflow, by its power law ``x^a``."""
    least = -log(max(b, 1.0)) - _NATS
    known = betainc(a, b, expit(np.maximum(y, least)))
    return np.asarray(known * np.exp(a * np.minimum(y - least, 0.0)))


def _beta_nats(a: float, b: float, u: _Array) -> _Array:
    """Give how far the log density on the logit axis has fallen, u from its peak."""
    n = a + b
    if n < _FEW:
        return n * np.logaddexp(log(b / n), log(a / n) + u) - a * u
    if a > b:
        a, b, u = b, a, -u
    return n * np.log1p(a / n * np.expm1(u)) - a * u


def _beta_reach(a: float, b: float) -> float:
    """Find by Newton how far above its peak the density of the logit has fallen by 40 nats."""
    n = a + b
    share = a / n
    u = (_NATS - n * log(share)) / b  # where the asymptote has; the convex curve lies above it
    if u > _FAR:
        return u
    step = u
    while step > 1e-3 * u:
        growth = share * expm1(u)
        step = (n * log1p(growth) - a * u - _NATS) / (n * (growth + share) / (1 + growth) - a)
        u -= step
    return u


def _beta_cuts(a: float, b: float) -> list[float]:
    """Give the bends above the peak: a hill has none, a long tail is straight further out."""
    reach = _beta_reach(a, b)
    bends = (*_BENDS, reach / 4) if reach > _LONG else ()
    return [*sorted(bend for bend in bends if bend < reach), reach]


def _panels(low: float, high: float, cuts: list[float]) -> tuple[_Array, _Array]:
    """Give nodes and weights of Gauss-Legendre between low and high, cut where asked."""
    edges = np.array([low, *sorted(cut for cut in cuts if low < cut < high), high])
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * _NODES).ravel(), (half * _WEIGHTS).ravel()


def _cuts(axis: Axis, origin: float, beside: Axis) -> list[float]:
    """Give where an arm bends, but for one that panels laid for the other can follow."""
    width, laid = axis.cuts[-1] - axis.cuts[0], beside.cuts[-1] - beside.cuts[0]
    if len(axis.cuts) == _HILL and width > 0.5 * laid:
        return []
    return [axis.peak - origin + cut for cut in axis.cuts]


def chance_above_all(arm: Axis, *others: Axis) -> float:
    """Give the probability that an arm is larger than all others, which are of its kind."""
    cuts = [*arm.cuts, *(cut for other in others for cut in _cuts(other, arm.peak, arm))]
    offsets, weights = _panels(arm.cuts[0], arm.cuts[-1], cuts)
    mass = weights * arm.density(offsets)
    beaten = mass.copy()
    for other in others:
        beaten *= other.below(arm.peak, offsets)
    return float(min(beaten.sum() / mass.sum(), 1.0))


def mean_excess(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Give the mean of ``(small - large)+`` of two rates, betas (a, b).

    It is the integral of ``F_large (1 - F_small) x (1 - x)`` over logits; ``small`` has the
    smaller mean, so that the panels of the two arms follow it.
    """
    one, two = beta_axis(*small), beta_axis(*large)
    low = max(two.peak + two.cuts[0], min(one.peak, 0.0) - _FALL)
    high = min(one.peak + one.cuts[-1], max(two.peak, 0.0) + _FALL)
    if low >= high:
        return 0.0
    cuts = [one.peak, two.peak, *_cuts(one, 0.0, two), *_cuts(two, 0.0, one)]
    y, weights = _panels(low, high, cuts)
    slope = expit(y) * expit(-y)
    below, above = _beta_below(*large, y), _beta_below(small[1], small[0], -y)
    return float(np.sum(weights * slope * below * above))
