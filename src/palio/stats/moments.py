"""Sufficient statistics of one arm: count, mean and variance, kept centred.

From an array (`of`), a stream (`merged` over the moments of its chunks) or sums that a database
keeps (`from_sums`). Neither form holds raw sums of squares: at a mean of 1e9 with unit variance
these lose every digit of the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, ulp
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and unbiased variance of the values of one arm.

    Attributes
    ----------
    n
        Number of units, >= 0.
    mean
        Sample mean; 0 by convention without units.
    var
        Unbiased sample variance (divisor n - 1), >= 0; 0 by convention below two units.

    Raises
    ------
    ValueError
        If n is no whole number >= 0, var is negative or a field is not finite.
    """

    n: int
    mean: float
    var: float

    def __post_init__(self) -> None:
        ranges.whole("n", self.n, 0)
        ranges.finite("mean", self.mean)
        ranges.not_negative("var", self.var)

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Summarise values.

        Parameters
        ----------
        values
            One number a unit, shape (n,), finite.

        Returns
        -------
        Moments
            Their count, mean and variance.

        Raises
        ------
        ValueError
            If a value is not finite, or so large that the squares overflow.

        References
        ----------
        Corrected two-pass algorithm: Chan, Golub and LeVeque (1983), The American Statistician
        37(3), 242-247.
        """
        array = ranges.finite_array("values", values)
        if array.size == 0:
            return cls(0, 0.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            shift = float(array.mean())
            centred = array - shift
            return cls.from_sums(array.size, shift, float(centred.sum()), float(centred @ centred))

    @classmethod
    def from_sums(cls, n: int, shift: float, sum1: float, sum2: float) -> Moments:
        """Turn shifted sums, which add and subtract exactly where they are stored, into moments.

        Parameters
        ----------
        n
            Number of units, >= 0.
        shift
            Frozen reference near the mean; the nearer, the less is lost.
        sum1, sum2
            Sums of ``x - shift`` and of its square.

        Returns
        -------
        Moments
            ``mean = shift + sum1/n``, ``var = (sum2 - sum1^2/n) / (n - 1)``; 0 where that is
            rounding only, a standard deviation within the spacing of floats at the mean.

        Raises
        ------
        ValueError
            If n is no whole number >= 0 or a sum is not finite.

        References
        ----------
        Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        ranges.finite("sum1", sum1)
        ranges.finite("sum2", sum2)
        if n <= 0:
            return cls(n, 0.0, 0.0)
        step = sum1 / n
        var = (sum2 - sum1 * step) / (n - 1) if n > 1 else 0.0
        spacing = ulp(shift + step)
        return cls(n, shift + step, 0.0 if -inf < var <= spacing * spacing else var)

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """Give the moments of all parts together, reading a stream of chunks once.

        Parameters
        ----------
        parts
            Moments of chunks that share no unit, one at least:
            ``Moments.merged(Moments.of(chunk) for chunk in chunks)``.

        Returns
        -------
        Moments
            What `of` gives for the concatenation, within rounding.

        Raises
        ------
        ValueError
            If there is no part, or the whole overflows.
        """
        whole = None
        for part in parts:
            whole = part if whole is None else whole.merge(part)
        if whole is None:
            raise ValueError("parts must hold at least one, got none")
        return whole

    def merge(self, other: Moments) -> Moments:
        """Give the moments of both samples together.

        Parameters
        ----------
        other
            Moments of units that are not among these.

        Returns
        -------
        Moments
            What `of` gives for the concatenation, within rounding: a mean rounds to the
            spacing of floats there, a variance by about ``spacing / (sd sqrt(n))`` of itself.

        Raises
        ------
        ValueError
            If the result overflows.

        References
        ----------
        Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        n = self.n + other.n
        if self.n == 0 or other.n == 0:
            return self if other.n == 0 else other
        gap = other.mean - self.mean
        squares = (
            self.var * (self.n - 1) + other.var * (other.n - 1) + gap * gap * self.n * other.n / n
        )
        return Moments(n, self.mean + gap * other.n / n, squares / (n - 1))
