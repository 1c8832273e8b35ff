"""Counts in logarithmic bins: the sufficient statistic of quantiles and of rankings.

Bin i of the magnitudes is ``(g^(i-1), g^i]`` with ``g = (1 + a)/(1 - a)``, and ``(1 - a) g^i``
stands for all of it: off by a share ``a`` of the value at most, whatever the value. Counts are
whole numbers, so that histograms add and subtract exactly in any order. Every float has a bin
and their number is bounded: magnitudes below the smallest normal float, 2.2e-308, count as zero.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import atanh, ceil, floor, log
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LogHistogram", "log_bins"]

_LOG_LEAST, _LOG_MOST = log(sys.float_info.min), log(sys.float_info.max)
_FINEST, _COARSEST = 1e-4, 0.5
_ROUNDING = 4 * sys.float_info.epsilon


def log_bins(values: ArrayLike, *, accuracy: float = 0.01) -> NDArray[np.int64]:
    """Give each value its bin, a whole number that ascends with the value.

    Parameters
    ----------
    values
        Shape (n,), finite.
    accuracy
        Relative accuracy a, in [1e-4, 0.5].

    Returns
    -------
    ndarray
        Shape (n,) int64: 0 for zero, ``ceil(ln|x| / w) + 1 - floor(ln 2.2e-308 / w)`` with
        ``w = ln g`` for the others, negative for negative ones.

    Raises
    ------
    ValueError
        If a value is not finite or the accuracy is out of its range.

    References
    ----------
    Masson, Rim and Lee (2019), PVLDB 12(12), 2195-2205, for positive values.
    """
    array = ranges.finite_array("values", values)
    ranges.within("accuracy", accuracy, _FINEST, _COARSEST)
    width, magnitude = 2 * atanh(accuracy), np.abs(array)
    normal = magnitude >= sys.float_info.min
    logs = np.log(np.where(normal, magnitude, 1.0))
    bins = np.ceil(logs / width).astype(np.int64) - _offset(width)
    return np.where(normal, np.sign(array).astype(np.int64) * bins, 0)


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """How many values fell into each logarithmic bin.

    Attributes
    ----------
    accuracy
        Relative accuracy a, in [1e-4, 0.5]; 0.01 is 1 %.
    bins
        Pairs (bin as in `log_bins`, count >= 1), ascending by bin.

    Raises
    ------
    ValueError
        If the accuracy or a count is out of its range, or the bins do not ascend.
    """

    accuracy: float
    bins: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        ranges.within("accuracy", self.accuracy, _FINEST, _COARSEST)
        limit = ceil(_LOG_MOST / self._width) - _offset(self._width)
        last = -limit - 1
        for at, count in self.bins:
            if count % 1 or not count >= 1:
                ranges.whole(f"count of bin {at}", count, 1)
            if not last < at <= limit:
                raise ValueError(f"bins must ascend within [{-limit}, {limit}], got {at}")
            last = at

    @classmethod
    def of(cls, values: ArrayLike, *, accuracy: float = 0.01) -> LogHistogram:
        """Count values.

        Parameters
        ----------
        values
            Shape (n,), finite; n may be 0.
        accuracy
            Relative accuracy, in [1e-4, 0.5].

        Returns
        -------
        LogHistogram
            Their counts.

        Raises
        ------
        ValueError
            If a value is not finite or the accuracy is out of its range.
        """
        bins, counts = np.unique(log_bins(values, accuracy=accuracy), return_counts=True)
        return cls(accuracy, tuple(zip(bins.tolist(), counts.tolist(), strict=True)))

    @property
    def n(self) -> int:
        """Number of values."""
        return sum(count for _, count in self.bins)

    def merge(self, other: LogHistogram) -> LogHistogram:
        """Give the histogram of both samples together, exactly.

        Parameters
        ----------
        other
            Histogram of other values, of the same accuracy.

        Raises
        ------
        ValueError
            If the accuracies differ.
        """
        counts = self._counts_beside(other)
        for at, count in other.bins:
            counts[at] = counts.get(at, 0) + count
        return _from_counts(self.accuracy, counts)

    def subtract(self, other: LogHistogram) -> LogHistogram:
        """Give the histogram of what is left without some of the values, exactly.

        Parameters
        ----------
        other
            Histogram of values that are among these, of the same accuracy.

        Raises
        ------
        ValueError
            If the accuracies differ or a bin of other holds more than there is.
        """
        counts = self._counts_beside(other)
        for at, count in other.bins:
            left = counts.get(at, 0) - count
            if left < 0:
                raise ValueError(
                    f"other must hold at most {counts.get(at, 0)} values in bin {at}, got {count}"
                )
            counts[at] = left
        return _from_counts(self.accuracy, counts)

    def quantile(self, q: float) -> float:
        """Give the q-quantile of the values.

        Parameters
        ----------
        q
            In [0, 1].

        Returns
        -------
        float
            The value of rank ``ceil(q n)``, of rank 1 for q = 0 (numpy's ``inverted_cdf``: the
            least value that a share q of the values does not exceed), within a share
            ``accuracy`` of it.

        Raises
        ------
        ValueError
            If q is out of its range or there are no values.
        """
        ranges.share("q", q)
        rank = max(ceil(q * self.n * (1 - _ROUNDING)), 1)
        seen = 0
        for at, count in self.bins:
            seen += count
            if seen >= rank:
                return float(self._scaled(np.array([at]), 1 - self.accuracy)[0])
        raise ValueError("histogram must hold at least 1 value, got 0")

    def steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Give the bins as arrays of shape (n_bins,), ascending.

        Returns
        -------
        lower, upper
            float64, the edges that enclose the values of each bin; 0 and 0 for the bin of zero.
        counts
            int64, the values in it.
        """
        pairs = np.array(self.bins, dtype=np.int64).reshape(-1, 2)
        at, counts = pairs[:, 0], pairs[:, 1]
        inner, outer = self._scaled(at, 1 / np.exp(self._width)), self._scaled(at, 1.0)
        return np.minimum(inner, outer), np.maximum(inner, outer), counts

    @property
    def _width(self) -> float:
        return 2 * atanh(self.accuracy)

    def _scaled(self, at: NDArray[np.int64], factor: float) -> NDArray[np.float64]:
        """Give the outer edges of bins times a factor, no larger than the largest float."""
        logs = (np.abs(at) + _offset(self._width)) * self._width
        return np.sign(at) * np.exp(np.minimum(logs, _LOG_MOST)) * factor

    def _counts_beside(self, other: LogHistogram) -> dict[int, int]:
        if self.accuracy != other.accuracy:
            raise ValueError(f"accuracy of other must be {self.accuracy}, got {other.accuracy}")
        return dict(self.bins)


def _offset(width: float) -> int:
    """Give the bin before the one of the smallest normal float, as the logarithm counts them."""
    return floor(_LOG_LEAST / width) - 1


def _from_counts(accuracy: float, counts: Mapping[int, int]) -> LogHistogram:
    return LogHistogram(accuracy, tuple(sorted(pair for pair in counts.items() if pair[1])))
