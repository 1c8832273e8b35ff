"""Sufficient statistics of several values a unit: means and covariances, kept centred.

A metric with its covariates, or the numerator and denominator of a ratio. From arrays (`of`), a
stream (`merged` over the moments of its chunks), sums that a database keeps (`from_sums`) or any
dataframe (`palio.stats.frames`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isclose, sqrt
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["JointMoments"]


@dataclass(frozen=True, slots=True)
class JointMoments:
    """Count, means and unbiased covariances of k values a unit, of one arm.

    Attributes
    ----------
    n
        Number of units, >= 0.
    mean
        Sample means, length k; 0 by convention without units.
    cov
        Unbiased sample covariance (divisor n - 1), k rows of length k, symmetric, with a diagonal
        >= 0; 0 by convention below two units.

    Raises
    ------
    ValueError
        If n is no whole number >= 0, a variance is negative, a number is not finite, the shapes
        disagree or cov is not symmetric.
    """

    n: int
    mean: tuple[float, ...]
    cov: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        ranges.whole("n", self.n, 0)
        k = len(self.mean)
        if len(self.cov) != k or any(len(row) != k for row in self.cov):
            raise ValueError(f"cov must have {k} rows of {k}, got {[len(r) for r in self.cov]}")
        for at, mean in enumerate(self.mean):
            ranges.finite(f"mean[{at}]", mean)
            ranges.not_negative(f"cov[{at}][{at}]", self.cov[at][at])
        for at, row in enumerate(self.cov):
            for to, entry in enumerate(row[:at]):
                self._check_pair(at, to, entry)

    def _check_pair(self, at: int, to: int, entry: float) -> None:
        ranges.finite(f"cov[{at}][{to}]", entry)
        mirrored, scale = self.cov[to][at], sqrt(self.cov[at][at]) * sqrt(self.cov[to][to])
        if not isclose(entry, mirrored, rel_tol=1e-9, abs_tol=1e-9 * scale):
            raise ValueError(f"cov must be symmetric, got {entry} at [{at}][{to}], not {mirrored}")

    @classmethod
    def of(cls, *columns: ArrayLike) -> JointMoments:
        """Summarise k columns of one value a unit each.

        Parameters
        ----------
        *columns
            One at least, each of shape (n,), finite.

        Returns
        -------
        JointMoments
            Their count, means and covariances, in the order of the columns.

        Raises
        ------
        ValueError
            If there is no column, their lengths differ, a value is not finite or so large that
            the squares overflow.

        References
        ----------
        Corrected two-pass algorithm: Chan, Golub and LeVeque (1983), The American Statistician
        37(3), 242-247.
        """
        arrays = [ranges.finite_array(f"columns[{at}]", c) for at, c in enumerate(columns)]
        if len({array.size for array in arrays}) != 1:
            raise ValueError(f"columns must be of equal length, got {[a.size for a in arrays]}")
        n = arrays[0].size
        with np.errstate(over="ignore", invalid="ignore"):
            shift = [float(array.mean()) if n else 0.0 for array in arrays]
            centred = np.stack([array - m for array, m in zip(arrays, shift, strict=True)])
            return cls.from_sums(n, shift, centred.sum(axis=1), centred @ centred.T)

    @classmethod
    def from_sums(
        cls, n: int, shift: Sequence[float], sums: ArrayLike, products: ArrayLike
    ) -> JointMoments:
        """Turn shifted sums, which add and subtract exactly where they are stored, into moments.

        Parameters
        ----------
        n
            Number of units, >= 0.
        shift
            Frozen references near the means, length k.
        sums
            Sums of ``x_i - shift_i``, shape (k,).
        products
            Sums of ``(x_i - shift_i)(x_j - shift_j)``, shape (k, k).

        Returns
        -------
        JointMoments
            ``cov_ij = (products_ij - sums_i sums_j / n) / (n - 1)``. A variance that is rounding
            only, a standard deviation within the spacing of floats at the mean, is 0, and so are
            its covariances.

        Raises
        ------
        ValueError
            If n is no whole number >= 0, a sum is not finite or the shapes disagree.

        References
        ----------
        Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        k, total, squares = len(shift), np.asarray(sums, float), np.asarray(products, float)
        if total.shape != (k,) or squares.shape != (k, k):
            raise ValueError(
                f"sums and products must have shapes ({k},) and ({k}, {k}), "
                f"got {total.shape} and {squares.shape}"
            )
        if not (np.isfinite(total).all() and np.isfinite(squares).all()):
            raise ValueError("sums and products must be finite, got nan or inf among them")
        if n <= 0:
            return cls(n, (0.0,) * k, ((0.0,) * k,) * k)
        with np.errstate(over="ignore", invalid="ignore"):
            step = total / n
            mean = np.asarray(shift, float) + step
            cov = (squares - np.outer(step, step) * n) / max(n - 1, 1)
            var = np.diag(cov)
            flat = (-inf < var) & (var <= np.spacing(np.abs(mean)) ** 2) | (n == 1)
            cov[flat, :] = cov[:, flat] = 0.0
            return cls(n, tuple(mean.tolist()), _rows(cov))

    @classmethod
    def merged(cls, parts: Iterable[JointMoments]) -> JointMoments:
        """Give the moments of all parts together, reading a stream of chunks once.

        Parameters
        ----------
        parts
            Moments of chunks that share no unit, one at least:
            ``JointMoments.merged(JointMoments.of(y, x) for y, x in chunks)``.

        Returns
        -------
        JointMoments
            What `of` gives for the concatenation, within rounding.

        Raises
        ------
        ValueError
            If there is no part, they differ in their number of values, or the whole overflows.
        """
        whole = None
        for part in parts:
            whole = part if whole is None else whole.merge(part)
        if whole is None:
            raise ValueError("parts must hold at least one, got none")
        return whole

    def merge(self, other: JointMoments) -> JointMoments:
        """Give the moments of both samples together.

        Parameters
        ----------
        other
            Moments of as many values a unit, of units that are not among these.

        Returns
        -------
        JointMoments
            What `of` gives for the concatenation, within rounding: a mean rounds to the
            spacing of floats there, a variance by about ``spacing / (sd sqrt(n))`` of itself.

        Raises
        ------
        ValueError
            If the numbers of values differ or the result overflows.

        References
        ----------
        Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        if len(self.mean) != len(other.mean):
            raise ValueError(
                f"other must have {len(self.mean)} values a unit, got {len(other.mean)}"
            )
        n = self.n + other.n
        if self.n == 0 or other.n == 0:
            return self if other.n == 0 else other
        with np.errstate(over="ignore", invalid="ignore"):
            gap = np.subtract(other.mean, self.mean)
            squares = (
                np.multiply(self.cov, self.n - 1) + np.multiply(other.cov, other.n - 1)
                + np.outer(gap, gap) * (self.n * other.n / n)
            )  # fmt: skip
            mean = np.asarray(self.mean) + gap * (other.n / n)
            return JointMoments(n, tuple(mean.tolist()), _rows(squares / (n - 1)))

    def select(self, at: Sequence[int]) -> JointMoments:
        """Give the joint moments of some of the values, in the order asked for."""
        rows = tuple(tuple(self.cov[row][column] for column in at) for row in at)
        return JointMoments(self.n, tuple(self.mean[place] for place in at), rows)

    def value(self, at: int) -> Moments:
        """Give the moments of one of the values alone.

        Parameters
        ----------
        at
            Which one, in [0, k - 1].

        Returns
        -------
        Moments
            Its count, mean and variance.

        Raises
        ------
        ValueError
            If there is no such value.
        """
        ranges.within("at", at, 0, len(self.mean) - 1)
        return Moments(self.n, self.mean[at], self.cov[at][at])


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
