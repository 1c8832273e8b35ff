"""Returns of a strategy: four moments that merge, win rate, autocorrelations, drawdown.

A Sharpe ratio with its error takes no more than four central moments, and these merge exactly: a
day's returns are summarised once and added to the days before. With ``d = mean_b - mean_a`` of two
samples, sums of squares add up to ``m2_a + m2_b + d^2 n_a n_b / n``, and so on for higher powers.
A store that adds up a return, its square and their products has the four moments, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.adjusted.cuped import residual_variance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from palio.stats.joint import JointMoments

__all__ = ["ReturnMoments", "WinRate", "autocorrelations", "maximum_drawdown", "win_rate"]

_Array = NDArray[np.float64]

_ROUNDING = 1e-12  # of the mean: returns that deviate less are all the same
_TINY = 1e-280  # so that no fourth power has underflowed
_LEAST = 5e-324  # the least double above 0
_SLACK = 1 + 1e-6  # what merging may round
_PAIR = 2  # a return and its square
_FARTHEST = 1e3  # deviations from mean to shift: raw sums leave three digits of m4 there


@dataclass(frozen=True, slots=True)
class ReturnMoments:
    """Count, mean and central sums of returns.

    Attributes
    ----------
    n
        Number of returns, >= 0.
    mean
        Sample mean; 0 by convention without returns.
    m2, m3, m4
        Sums of the second, third and fourth powers of deviations from the mean; m2, m4 >= 0.

    Raises
    ------
    ValueError
        If n, m2 or m4 is negative, a field is not finite or no returns have such sums.
    """

    n: int
    mean: float
    m2: float
    m3: float
    m4: float

    def __post_init__(self) -> None:
        ranges.whole("n", self.n, 0)
        ranges.finite("mean", self.mean)
        ranges.not_negative("m2", self.m2)
        ranges.finite("m3", self.m3)
        ranges.not_negative("m4", self.m4)
        square, most = self.m2 * self.m2, sqrt(self.m2) * sqrt(self.m4)
        if not square / max(self.n, 1) / _SLACK - _TINY <= self.m4 <= square * _SLACK + _TINY:
            raise ValueError(f"m4 must be in [m2^2 / n, m2^2], got {self.m4} with m2 {self.m2}")
        if not abs(self.m3) <= most * _SLACK + _TINY:
            raise ValueError(f"m3 must be within +-sqrt(m2 m4) = {most}, got {self.m3}")

    @classmethod
    def of(cls, returns: ArrayLike) -> ReturnMoments:
        """Summarise returns.

        Parameters
        ----------
        returns
            One number a period, shape (n,), finite.

        Returns
        -------
        ReturnMoments
            Returns that are all the same have central sums of exactly 0.

        Raises
        ------
        ValueError
            If a return is not finite or so large that its fourth power is not.
        """
        array = ranges.finite_array("returns", returns)
        if array.size == 0:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        first = float(array[0])
        with np.errstate(over="ignore", invalid="ignore"):  # refused by the constructor
            mean = first + float((array - first).mean())
            gap = array - mean
            square = gap * gap
            sums = [float(s.sum()) for s in (square, square * gap, square * square)]
        return cls(array.size, mean, *sums)

    @classmethod
    def from_joint(cls, joint: JointMoments, *, shift: float = 0.0) -> ReturnMoments:
        """Take the moments from those of a return and its square, which add and subtract.

        Parameters
        ----------
        joint
            Moments of ``r - shift`` (column 0) and ``(r - shift)^2`` (column 1) of the returns r.
        shift
            What was taken from every return before squaring, finite; no more than 1,000 standard
            deviations away from their mean.

        Returns
        -------
        ReturnMoments
            With a the mean and v, c, w the variance, covariance and variance of the columns times
            n - 1: ``m2 = v``, ``m3 = c - 2 a v``, ``m4 = w - 4 a c + 4 a^2 v + v^2 / n``.

        Raises
        ------
        ValueError
            If there are not two columns, the second is not the square of the first, the shift is
            too far from the mean or a sum overflows.

        Notes
        -----
        The equations are exact. In floats m3 loses the digits of ``|a| / sd``, m4 twice as many,
        and joint moments of raw sums, about 0, as many again. A mean of 0.001 with sd 0.02 loses
        nothing. Of a kurtosis at a mean of 100 with sd 1 nine digits are left, seven from
        raw sums; at the limit seven and three. With a shift near the mean nothing is lost.

        References
        ----------
        Binomial expansion: with d = a + e and e the deviation from the mean,
        ``d^2 - 2 a d = e^2 - a^2``.
        """
        ranges.finite("shift", shift)
        _check_pair(joint, shift)
        n, rest, near = joint.n, max(joint.n - 1, 0), joint.mean[0]
        (var, both), _ = joint.cov
        if not var:
            return cls(n, shift + near if n else 0.0, 0.0, 0.0, 0.0)
        m2, m3 = rest * var, rest * (both - 2 * near * var)
        left = residual_variance(joint.select((1, 0)).cov, (2 * near,))  # of (r - mean)^2
        return cls(n, shift + near, m2, m3, rest * left + m2 * m2 / n)

    @property
    def std(self) -> float:
        """Sample standard deviation (divisor n - 1); needs two returns."""
        ranges.whole("n", self.n, 2)
        return sqrt(self.m2 / (self.n - 1))

    @property
    def skewness(self) -> float:
        """Skewness ``m3/n / (m2/n)^1.5``, 0 for normal returns; needs returns that vary."""
        spread = self._spread()
        return self.m3 / self.n / spread / spread / spread

    @property
    def kurtosis(self) -> float:
        """Kurtosis ``m4/n / (m2/n)^2``, 3 for normal returns; needs returns that vary."""
        spread = self._spread()
        return self.m4 / self.n / spread / spread / spread / spread

    @property
    def sharpe(self) -> float:
        """Sharpe ratio ``mean / std`` of one period; needs returns that vary.

        Without variance it is neither 0 nor infinite: there is none, and ValueError says so.
        """
        self._spread()
        return self.mean / self.std

    def standardise(self, returns: ArrayLike) -> _Array:
        """Give these returns, shape (n,), less their mean in population standard deviations."""
        spread = self._spread()
        return np.asarray((np.asarray(returns, dtype=np.float64) - self.mean) / spread)

    def merge(self, other: ReturnMoments) -> ReturnMoments:
        """Give the moments of both samples together.

        Parameters
        ----------
        other
            Moments of returns that are not among these.

        Returns
        -------
        ReturnMoments
            What `of` gives for the concatenation, within rounding.

        Raises
        ------
        ValueError
            If a sum overflows.

        References
        ----------
        Pebay (2008), Formulas for robust, one-pass parallel computation of covariances and
        arbitrary-order statistical moments, Sandia report SAND2008-6212.
        """
        if self.n == 0 or other.n == 0:
            return self if other.n == 0 else other
        n = self.n + other.n
        gap = other.mean - self.mean
        own, new = self.n / n, other.n / n  # shares
        weight = own * other.n  # n_a n_b / n
        m2 = self.m2 + other.m2 + gap * gap * weight
        m3 = self.m3 + other.m3 + gap * gap * gap * weight * (own - new)
        m3 += 3 * gap * (own * other.m2 - new * self.m2)
        m4 = (
            self.m4
            + other.m4
            + gap * gap * gap * gap * weight * (own * own - own * new + new * new)
        )
        m4 += 6 * gap * gap * (own * own * other.m2 + new * new * self.m2)
        m4 += 4 * gap * (own * other.m3 - new * self.m3)
        return ReturnMoments(n, self.mean + gap * new, m2, m3, max(m4, 0.0))

    def _spread(self) -> float:
        """Give the population standard deviation, refusing what is rounding alone."""
        ranges.whole("n", self.n, 2)
        spread = sqrt(self.m2 / self.n)
        if self.m4 < _TINY or spread <= _ROUNDING * abs(self.mean):
            raise ValueError(
                f"returns must vary, got {self.n} around {self.mean} with deviation {spread}: "
                "there is no Sharpe ratio without variance"
            )
        return spread


@dataclass(frozen=True, slots=True)
class WinRate:
    """Share of returns above 0.

    Attributes
    ----------
    rate
        wins / n.
    lower, upper
        Wilson's bounds, in [0, 1].
    """

    rate: float
    lower: float
    upper: float


def autocorrelations(returns: ArrayLike, *, lags: int) -> tuple[float, ...]:
    """Give the autocorrelations of returns at lags 1 to ``lags``.

    Parameters
    ----------
    returns
        One number a period in order, shape (n,), finite, not all the same.
    lags
        Largest lag, in [1, n - 1]; keep it small against n.

    Returns
    -------
    tuple of float
        In [-1, 1], each sum of products divided by the sum of squares of all n returns.

    Raises
    ------
    ValueError
        If an argument is out of its range or the returns do not vary.
    """
    array = ranges.finite_array("returns", returns, least=2)
    ranges.whole("lags", lags, 1)
    ranges.within("lags", lags, 1, array.size - 1)
    z = ReturnMoments.of(array).standardise(array)
    return tuple(float(z[lag:] @ z[:-lag]) / array.size for lag in range(1, lags + 1))


def win_rate(wins: int, n: int, *, alpha: float = 0.05) -> WinRate:
    """Bound the share of returns above 0 by Wilson's score interval.

    Parameters
    ----------
    wins
        Number of returns above 0, 0 <= wins <= n; a return of 0 is no win.
    n
        Number of returns, >= 1.
    alpha
        Error probability, in (0, 1).

    Returns
    -------
    WinRate
        The share and its bounds, which enclose it.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Wilson (1927), JASA 22(158), 209-212.
    """
    ranges.whole("n", n, 1)
    ranges.whole("wins", wins, 0)
    ranges.within("wins", wins, 0, n)
    ranges.open_unit("alpha", alpha)
    rate, z = wins / n, -float(ndtri(max(alpha / 2, _LEAST)))
    pull = z * z / n
    middle = (rate + pull / 2) / (1 + pull)
    half = z / (1 + pull) * sqrt(rate * (1 - rate) / n + pull / n / 4)
    return WinRate(rate, min(max(middle - half, 0.0), rate), max(min(middle + half, 1.0), rate))


def maximum_drawdown(returns: ArrayLike, *, compounded: bool = True) -> float:
    """Give the deepest fall of the equity below its highest point before.

    Parameters
    ----------
    returns
        One number a period in order, shape (n,), n >= 1, finite; at least -1 if compounded.
    compounded
        Whether equity is the product of ``1 + return``, which starts at 1, or the sum of the
        returns, which starts at 0.

    Returns
    -------
    float
        At least 0: the share of the highest point lost, in [0, 1], if compounded, else the fall
        in the units of the returns. The start counts as a high.

    Raises
    ------
    ValueError
        If the returns are out of their range or their sum overflows.
    """
    array = ranges.finite_array("returns", returns, least=1)
    if not compounded:
        return _deepest(array)
    least = float(array.min())
    if least < -1:
        raise ValueError(f"returns must be >= -1 to compound, got {least}")
    if least == -1:
        return 1.0
    return -float(np.expm1(-_deepest(np.log1p(array))))


def _check_pair(joint: JointMoments, shift: float) -> None:
    """Refuse what is not of returns and their squares, and what has lost its fourth moment."""
    if len(joint.mean) != _PAIR:
        raise ValueError(f"joint must have 2 values a unit, got {len(joint.mean)}")
    (near, square), var = joint.mean, joint.cov[0][0]
    expected = near * near + var * max(joint.n - 1, 0) / max(joint.n, 1)
    if not isclose(square, expected, rel_tol=_SLACK - 1, abs_tol=_TINY):
        raise ValueError(
            "joint must be of r - shift and (r - shift)^2, whose mean would be "
            f"{expected:g}, got {square:g}"
        )
    if var and abs(near) > _FARTHEST * sqrt(var):
        raise ValueError(
            f"shift must be within {_FARTHEST:g} standard deviations of the mean, and the returns "
            f"vary, got {shift} with mean {shift + near} and deviation {sqrt(var):g}"
        )


def _deepest(steps: _Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        equity = np.concatenate([[0.0], steps.cumsum()])
        fall = float(np.max(np.maximum.accumulate(equity) - equity))
    ranges.finite("drawdown", fall)
    return fall
