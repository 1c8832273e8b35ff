"""Exact bounds of a rate and of the difference of two, that hold at every look.

A bound inverts a test: it leaves out what an e-process has rejected at any look so far.
For one rate that is the likelihood, mixed over a beta prior, against that of the rate in question;
for the difference of two it is the e-process of two rates at each point of a grid.

References
----------
Robbins (1970), Annals of Mathematical Statistics 41(5), 1397-1409.
Turner and Gruenwald (2023), "Exact anytime-valid confidence intervals for contingency tables and
beyond", Statistics and Probability Letters 198, 109835.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.anytime.binary import (
    MAX_UNITS,
    NULL_RANGE,
    BinaryCounts,
    block_evidence,
    checked_blocks,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BinaryDifference", "rate_sequence"]

_RATE_PRIOR = 0.5
_HALVINGS = 100
_TOGETHER = 1024  # blocks weighed at once, which bounds the memory for a long sequence

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BinaryDifference:
    """Bounds of the difference of two rates, treatment minus control.

    At each difference of a grid one e-process tests whether the true one is at most that, and one
    whether it is at least that. The truth lies in the null of the grid's next point on its side,
    so what the grid leaves out costs width and never coverage.

    Attributes
    ----------
    nulls
        The grid, rising.
    log_e, max_log_e
        Evidence so far, and its largest value so far, against "at most" and "at least" each.
    counts
        What was seen so far.
    """

    nulls: Row
    log_e: tuple[Row, Row]
    max_log_e: tuple[Row, Row]
    counts: BinaryCounts

    @classmethod
    def over(cls, nulls: Sequence[float]) -> BinaryDifference:
        """Begin with a grid of differences, in [-0.999, 0.999] and rising: the resolution.

        Raises
        ------
        ValueError
            If the grid is empty, not rising or out of its range.
        """
        grid = tuple(ranges.finite_array("nulls", nulls, least=1).tolist())
        for at, null in enumerate(grid):
            ranges.within(f"nulls[{at}]", null, *NULL_RANGE)
            if at and not null > grid[at - 1]:
                raise ValueError(f"nulls[{at}] must be above {grid[at - 1]}, got {null}")
        nothing = (0.0,) * len(grid)
        return cls(grid, (nothing, nothing), (nothing, nothing), BinaryCounts())

    def update(
        self,
        successes_control: ArrayLike,
        successes_treatment: ArrayLike,
        *,
        shape: tuple[int, int] = (1, 1),
    ) -> BinaryDifference:
        """Take in one block or several, as `palio.stats.BinaryEProcess.update` does."""
        control, treatment = checked_blocks(successes_control, successes_treatment, shape)
        found = self
        for start in range(0, control.size, _TOGETHER):
            part = slice(start, start + _TOGETHER)
            found = found._with(control[part], treatment[part], shape)
        return found

    def interval(self, *, alpha: float = 0.05) -> tuple[float, float]:
        """Bound the difference over all looks together with 1 - alpha.

        Parameters
        ----------
        alpha
            Error probability, in (0, 1), half of it for either bound.

        Returns
        -------
        tuple of float
            The last null of the unbroken run from the lowest upwards whose "at most" is rejected,
            and the same from the highest downwards; -1 and 1 where none is.

        Raises
        ------
        ValueError
            If alpha is out of its range.
        """
        ranges.open_unit("alpha", alpha)
        enough = -log(alpha / 2)
        at_most, at_least = self.max_log_e
        return (
            _last_rejected(self.nulls, at_most, enough, none=-1.0),
            _last_rejected(self.nulls[::-1], at_least[::-1], enough, none=1.0),
        )

    def _with(
        self,
        control: NDArray[np.float64],
        treatment: NDArray[np.float64],
        shape: tuple[int, int],
    ) -> BinaryDifference:
        nulls = np.array(self.nulls)[:, np.newaxis]
        gains, beyond = block_evidence(self.counts, control, treatment, shape=shape, null=nulls)
        log_e, max_log_e = [], []
        for side, start, best in zip((beyond, ~beyond), self.log_e, self.max_log_e, strict=True):
            path = np.array(start)[:, np.newaxis] + np.cumsum(np.where(side, gains, 0.0), axis=1)
            log_e.append(tuple(path[:, -1].tolist()))
            max_log_e.append(tuple(np.maximum(best, path.max(axis=1)).tolist()))
        return BinaryDifference(
            self.nulls,
            (log_e[0], log_e[1]),
            (max_log_e[0], max_log_e[1]),
            self.counts.plus(control, treatment, shape),
        )


def rate_sequence(successes: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Bound one rate at every look, exactly: for a hard limit on it.

    Parameters
    ----------
    successes, n
        Counts so far, 0 <= successes <= n <= 1e12.
    alpha
        Probability of ever leaving out the true rate, in (0, 1).

    Returns
    -------
    tuple of float
        Rates q at which the mixture of likelihoods over Beta(1/2, 1/2) is less than 1/alpha
        times that of q: ``ln B(s + 1/2, n - s + 1/2) - ln B(1/2, 1/2) - s ln q - (n - s) ln(1 -
        q) < ln(1/alpha)``. Both lie in [0, 1] and enclose s/n; (0, 1) without a unit. The
        largest lower and the smallest upper bound of the looks so far hold together.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Robbins (1970), Annals of Mathematical Statistics 41(5), 1397-1409.
    Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49(2), 1055-1080.
    """
    ranges.open_unit("alpha", alpha)
    ranges.whole("n", n, 0)
    ranges.within("n", n, 0, MAX_UNITS)
    ranges.whole("successes", successes, 0)
    ranges.within("successes", successes, 0, n)
    if n == 0:
        return 0.0, 1.0
    mixture = float(
        betaln(successes + _RATE_PRIOR, n - successes + _RATE_PRIOR)
        - betaln(_RATE_PRIOR, _RATE_PRIOR)
    )
    least = mixture + log(alpha)
    lower = _rate_bound(successes, n, least)
    return lower, 1 - _rate_bound(n - successes, n, least)


def _rate_bound(successes: int, n: int, least: float) -> float:
    """Bisect below s/n, from outside, for the rate whose log-likelihood is least."""
    if successes == 0:
        return 0.0
    outside, inside = 0.0, successes / n
    for _ in range(_HALVINGS):
        q = (outside + inside) / 2
        if successes * log(q) + (n - successes) * log1p(-q) < least:
            outside = q
        else:
            inside = q
    return outside


def _last_rejected(nulls: Row, evidence: Row, enough: float, *, none: float) -> float:
    bound = none
    for null, log_e in zip(nulls, evidence, strict=True):
        if log_e < enough:
            break
        bound = null
    return bound
