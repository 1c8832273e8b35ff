"""Rule 2: the asymptotic confidence sequence, valid at every sample size there will ever be.

With ``n`` units in all, ``z = effect / se`` and ``s^2 = n se^2`` the e-process is ::

    M(n) = exp(n rho^2 z^2 / (2 (n rho^2 + 1))) / sqrt(n rho^2 + 1)

and the interval is where it stays below ``1 / alpha``. One-sided the mixture is over positive
effects only: ``M = 2 exp(y) Phi(sqrt(2 y)) / sqrt(n rho^2 + 1)`` with y the exponent above. Its
lower bound ``(2 exp(y) - 1) / sqrt(n rho^2 + 1)`` is used, which can be inverted in closed form.

References
----------
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), arXiv:2103.06476.
Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49(2), 1055-1080.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, log1p, sqrt
from typing import Literal

from palio.stats import ranges

__all__ = ["AsymptoticRule", "tuned_rho2"]


def tuned_rho2(alpha: float, planned: float) -> float:
    """Give the mixture variance that makes the interval tightest near the planned sample.

    Parameters
    ----------
    alpha
        Error probability, in (0, 1).
    planned
        Planned number of units n*, > 0.

    Returns
    -------
    float
        ``rho^2 = (-2 ln alpha + ln(1 - 2 ln alpha)) / n*``.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Waudby-Smith et al. (2021), arXiv:2103.06476, appendix on the choice of rho.
    """
    ranges.open_unit("alpha", alpha)
    ranges.positive("planned", planned)
    return (-2 * log(alpha) + log1p(-2 * log(alpha))) / planned


@dataclass(frozen=True, slots=True)
class AsymptoticRule:
    """The confidence sequence at one error probability, tuned to a planned sample.

    Attributes
    ----------
    alpha
        Error probability over all looks together, in (0, 1).
    rho2
        Mixture variance, > 0; `tuned_rho2` gives it.
    sides
        2 for bounds on either side, 1 for one on one side only.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    alpha: float
    rho2: float
    sides: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        ranges.open_unit("alpha", self.alpha)
        ranges.positive("rho2", self.rho2)
        ranges.within("sides", self.sides, 1, 2)

    def radius(self, se: float, n: int) -> float:
        """Give half the width of the interval.

        Parameters
        ----------
        se
            Standard error of the estimate, >= 0.
        n
            Units behind it, >= 0; the radius is infinite at 0.

        Returns
        -------
        float
            ``sqrt(2 s^2 (n rho^2 + 1) / (n rho)^2 ln(sqrt(n rho^2 + 1) / alpha))``, s^2 = n se^2;
            one-sided the logarithm is of ``(1 + sqrt(n rho^2 + 1) / alpha) / 2``.
        """
        if n <= 0:
            return inf
        grown = n * self.rho2
        evidence = log1p(grown) / 2 - log(self.alpha)
        if self.sides == 1:
            evidence += log1p(exp(-evidence)) - log(2)
        return se * sqrt((grown + 1) / grown * 2 * evidence)

    def interval(self, effect: float, se: float, n: int) -> tuple[float, float]:
        """Give the bounds (lower, upper), ``effect -+ radius``; the arguments are `radius`'s."""
        radius = self.radius(se, n)
        return effect - radius, effect + radius

    def log_e_value(self, z: float, n: int) -> float:
        """Give the logarithm of the e-process M against an effect of zero.

        Parameters
        ----------
        z
            ``effect / se``; one-sided only positive ones are evidence.
        n
            Units behind it, >= 0.

        Returns
        -------
        float
            ln M, or the logarithm of its lower bound; the interval excludes zero exactly where
            it exceeds -ln alpha.
        """
        grown = n * self.rho2
        exponent = grown * z * z / (grown + 1) / 2
        if self.sides == 1:
            if z <= 0:
                return -log1p(grown) / 2
            exponent += log(2) + log1p(-exp(-exponent) / 2)
        return exponent - log1p(grown) / 2

    def p_value(self, z: float, n: int) -> float:
        """Give ``min(1, 1/M)`` at one look; its running minimum is always valid, too."""
        return exp(-max(0.0, self.log_e_value(z, n)))
