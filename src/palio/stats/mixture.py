"""Rule 1: a calibrated mixture for experiments with a declared horizon.

With ``t = I / I_H`` the share of the planned information and ``z = effect / se`` ::

    M(t) = sqrt(r / (t + r)) exp(z^2 t / (2 (t + r)))

rejects the first time it reaches ``c``. Unlike the ``1/alpha`` of an e-process, which holds for
ever, ``c`` is calibrated: continuous looking over t in [`T_MIN`, 1] crosses with probability
alpha under the null, whatever the schedule of looks. Below `T_MIN` there is no verdict and
beyond 1 validity ends.

References
----------
Robbins (1970), Annals of Mathematical Statistics 41(5), 1397-1409, for the mixture.
The calibration solves the equation in ``benchmarks/calibrate_mixture.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, inf, log, sqrt

from palio.stats.mixture_table import ALPHA_GRID, LOG_C, R_GRID, T_MIN

__all__ = ["MixtureRule", "crossing"]

_LOG_ALPHAS = tuple(log(alpha) for alpha in ALPHA_GRID)


def crossing(alpha: float, r: float) -> float:
    """Give the level c that M crosses with probability alpha under the null.

    Parameters
    ----------
    alpha
        Probability of crossing anywhere in [`T_MIN`, 1], within the table: [1e-5, 0.8].
    r
        Shape of the mixture, within the table: [0.05, 1]; small looks early, large looks late.

    Returns
    -------
    float
        c, interpolated linearly in logarithms; the true probability is within 1 % of alpha.

    Raises
    ------
    ValueError
        If an argument is outside the table.
    """
    _require("alpha", alpha, ALPHA_GRID)
    return exp(_interpolate(log(alpha), _LOG_ALPHAS, _curve(r)))


@dataclass(frozen=True, slots=True)
class MixtureRule:
    """The boundary at one error probability.

    Attributes
    ----------
    alpha
        Error probability over all looks up to the horizon, in [1e-5, 0.8].
    r
        Shape of the mixture, in [0.05, 1].

    Raises
    ------
    ValueError
        If an attribute is outside the table.
    """

    alpha: float
    r: float = 0.3
    _log_c: float = field(init=False, repr=False, compare=False)
    _curve: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_log_c", log(crossing(self.alpha, self.r)))
        object.__setattr__(self, "_curve", _curve(self.r))

    def interval(self, effect: float, se: float, t: float) -> tuple[float, float]:
        """Bound the effect.

        Parameters
        ----------
        effect
            Estimate.
        se
            Its standard error, >= 0.
        t
            Share of the planned information, in [0, 1].

        Returns
        -------
        tuple of float
            ``effect -+ se sqrt((t + r)/t (2 ln c + ln((t + r)/r)))``; (-inf, inf) below `T_MIN`.

        Raises
        ------
        ValueError
            If t is outside [0, 1].
        """
        if _too_early(t):
            return -inf, inf
        reach = (t + self.r) / t * (2 * self._log_c + log((t + self.r) / self.r))
        return effect - se * sqrt(reach), effect + se * sqrt(reach)

    def crossed(self, z: float, t: float) -> bool:
        """Tell whether M has reached c at this look, which rejects an effect of zero.

        Parameters
        ----------
        z
            ``effect / se``.
        t
            Share of the planned information, in [0, 1]; False below `T_MIN`.
        """
        return not _too_early(t) and self._log_m(z, t) >= self._log_c

    def p_value(self, z: float, t: float) -> float:
        """Give the smallest alpha of the table that would have crossed at this look.

        Parameters
        ----------
        z
            ``effect / se``.
        t
            Share of the planned information, in [0, 1].

        Returns
        -------
        float
            The inverse of the table ``c(alpha)``, not ``1/M``. Clamped to 1e-5 from below and
            to 1 beyond the table's largest alpha or below `T_MIN`. The minimum over the looks so
            far stays valid; the caller keeps it.
        """
        if _too_early(t):
            return 1.0
        log_m = self._log_m(z, t)
        if log_m < self._curve[-1]:
            return 1.0
        if log_m >= self._curve[0]:
            return ALPHA_GRID[0]
        falling = -log_m  # bisect wants a rising sequence
        at = bisect_left(self._curve, falling, key=float.__neg__)
        return exp(_between(self._curve, _LOG_ALPHAS, at, log_m))

    def _log_m(self, z: float, t: float) -> float:
        return (z * z * t / (t + self.r) - log((t + self.r) / self.r)) / 2


def _too_early(t: float) -> bool:
    if not 0 <= t <= 1:
        raise ValueError(f"t must be in [0, 1], got {t}")
    return t < T_MIN


@lru_cache(maxsize=64)
def _curve(r: float) -> tuple[float, ...]:
    """Give ln c over `ALPHA_GRID`, falling, at one r."""
    _require("r", r, R_GRID)
    logs = tuple(log(node) for node in R_GRID)
    return tuple(_interpolate(log(r), logs, column) for column in zip(*LOG_C, strict=True))


def _require(name: str, value: float, grid: tuple[float, ...]) -> None:
    if not grid[0] <= value <= grid[-1]:
        raise ValueError(f"{name} must be in [{grid[0]:g}, {grid[-1]:g}], got {value}")


def _interpolate(x: float, xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    return _between(xs, ys, max(1, bisect_left(xs, x)), x)


def _between(xs: tuple[float, ...], ys: tuple[float, ...], at: int, x: float) -> float:
    share = (x - xs[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at - 1] + share * (ys[at] - ys[at - 1])
