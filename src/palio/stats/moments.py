"""Sufficient statistics of one arm: count, mean and variance, kept centred."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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
        If n or var is negative or a field is not finite.
    """

    n: int
    mean: float
    var: float

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n must be >= 0, got {self.n}")
        if not isfinite(self.mean):
            raise ValueError(f"mean must be finite, got {self.mean}")
        if not (isfinite(self.var) and self.var >= 0):
            raise ValueError(f"var must be finite and >= 0, got {self.var}")

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
            If a value is not finite.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0:
            return cls(0, 0.0, 0.0)
        if not np.isfinite(array).all():
            raise ValueError("values must be finite, got nan or inf among them")
        var = float(array.var(ddof=1)) if array.size > 1 else 0.0
        return cls(array.size, float(array.mean()), var)

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
            ``mean = shift + sum1/n``, ``var = (sum2 - sum1^2/n) / (n - 1)``, floored at 0 where
            rounding would take it below.

        Raises
        ------
        ValueError
            If n is negative or a sum is not finite.

        References
        ----------
        Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        if n <= 0:
            return cls(n, 0.0, 0.0)
        step = sum1 / n
        var = (sum2 - sum1 * step) / (n - 1) if n > 1 else 0.0
        return cls(n, shift + step, var if var > 0 or not isfinite(var) else 0.0)

    def merge(self, other: Moments) -> Moments:
        """Give the moments of both samples together.

        Parameters
        ----------
        other
            Moments of units that are not among these.

        Returns
        -------
        Moments
            What `of` gives for the concatenation, within rounding.

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
