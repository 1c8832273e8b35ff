"""Rule 4: successes and failures without a horizon, exact at every sample size.

Units are taken in blocks of n_c of control and n_t of treatment. Before a block is seen the ones
before it give an estimate (p_c, p_t) of the two rates; against the point (q_c, q_t) of the null
nearest to it, by n_c KL(p_c|q_c) + n_t KL(p_t|q_t), the evidence of the block is ::

    e = product over its units of p(y) / q(y)

For the null of equal rates q = (n_c p_c + n_t p_t) / (n_c + n_t). Under any rates (x_c, x_t) of a
convex null the mean of e is f_c^n_c f_t^n_t with f_a = x_a p_a/q_a + (1 - x_a)(1 - p_a)/(1 - q_a).
Its weighted geometric mean is at most the arithmetic one, which is linear, 1 at q and at most 1
over the null, for q is where the divergence is least. So the product of all blocks is a
supermartingale that starts at 1, reaches 1/alpha with a probability of at most alpha, and asks
for no minimum of units. It depends on the order of the blocks: the state is what to keep.

References
----------
Turner, Ly and Gruenwald (2024), "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping", Journal of Statistical Planning and Inference 230, 106116.
Turner and Gruenwald (2023), "Exact anytime-valid confidence intervals for contingency tables and
beyond", Statistics and Probability Letters 198, 109835, for nulls other than of equal rates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp, inf
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.estimate import Alternative

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MAX_UNITS",
    "NULL_RANGE",
    "BinaryBlocks",
    "BinaryCounts",
    "BinaryEProcess",
    "block_evidence",
    "checked_blocks",
]

_PRIOR = 0.18  # of either outcome, by the paper the least regret for blocks of 1 and 1
NULL_RANGE = (-0.999, 0.999)
MAX_UNITS, _MAX_BLOCK = 1e12, 1e6
_HALVINGS = 60
_EDGE = 1e-15  # a rate of the null is kept that far from 0 and 1, where rounding would put it


@dataclass(frozen=True, slots=True)
class BinaryCounts:
    """Successes and units of both arms.

    Attributes
    ----------
    successes_control, units_control, successes_treatment, units_treatment
        Counts, 0 <= successes <= units <= 1e12.

    Raises
    ------
    ValueError
        If a count is out of its range.
    """

    successes_control: int = 0
    units_control: int = 0
    successes_treatment: int = 0
    units_treatment: int = 0

    def __post_init__(self) -> None:
        for arm, successes, units in (
            ("control", self.successes_control, self.units_control),
            ("treatment", self.successes_treatment, self.units_treatment),
        ):
            ranges.whole(f"units_{arm}", units, 0)
            ranges.within(f"units_{arm}", units, 0, MAX_UNITS)
            ranges.whole(f"successes_{arm}", successes, 0)
            ranges.within(f"successes_{arm}", successes, 0, units)

    def plus(
        self,
        control: NDArray[np.float64],
        treatment: NDArray[np.float64],
        shape: tuple[int, int],
    ) -> BinaryCounts:
        """Add the successes of blocks of one shape."""
        return BinaryCounts(
            self.successes_control + int(control.sum()),
            self.units_control + int(shape[0]) * control.size,
            self.successes_treatment + int(treatment.sum()),
            self.units_treatment + int(shape[1]) * treatment.size,
        )


@dataclass(frozen=True, slots=True)
class BinaryEProcess:
    """Evidence against a null about two rates, as far as the blocks have come.

    Attributes
    ----------
    alternative
        Two-sided tests ``rate_t - rate_c = null``, ``larger`` tests <= null, ``smaller`` >= null.
    null
        Difference of the rates, treatment minus control, in [-0.999, 0.999]: 0 for superiority,
        ``-margin`` with ``larger`` for non-inferiority of a rate that is better when larger.
    log_e
        Natural logarithm of the e-value so far.
    max_log_e
        Its largest value so far, >= 0.
    counts
        What was seen so far, which the rates of the next block are estimated from.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    alternative: Alternative = "two-sided"
    null: float = 0.0
    log_e: float = 0.0
    max_log_e: float = 0.0
    counts: BinaryCounts = field(default_factory=BinaryCounts)

    def __post_init__(self) -> None:
        if self.alternative not in {"two-sided", "larger", "smaller"}:
            raise ValueError(
                f"alternative must be two-sided, larger or smaller, got {self.alternative!r}"
            )
        ranges.within("null", self.null, *NULL_RANGE)
        ranges.not_negative("max_log_e", self.max_log_e)
        ranges.finite("log_e", self.log_e)
        ranges.within("log_e", self.log_e, -inf, self.max_log_e)

    @property
    def p_value(self) -> float:
        """``min(1, 1/max e)``, valid at every look."""
        return exp(-self.max_log_e)

    def update(
        self,
        successes_control: ArrayLike,
        successes_treatment: ArrayLike,
        *,
        shape: tuple[int, int] = (1, 1),
    ) -> BinaryEProcess:
        """Take in one block or several.

        Parameters
        ----------
        successes_control, successes_treatment
            Successes in each block, in the order of the blocks, shape () or (n_blocks,).
        shape
            Units of control and of treatment in each of them, in [1, 1e6]; small blocks learn
            fastest. It may differ from call to call as long as no outcome of the block had a say
            in it: all that came since the last look may be one block.

        Returns
        -------
        BinaryEProcess
            The evidence after them; splitting a sequence over several calls changes nothing.

        Raises
        ------
        ValueError
            If an argument is out of its range.
        """
        control, treatment = checked_blocks(successes_control, successes_treatment, shape)
        gains, beyond = block_evidence(
            self.counts, control, treatment, shape=shape, null=self.null
        )
        if self.alternative != "two-sided":
            gains = np.where(beyond == (self.alternative == "larger"), gains, 0.0)
        path = self.log_e + np.cumsum(gains)
        return replace(
            self,
            log_e=float(path[-1]) if path.size else self.log_e,
            max_log_e=float(path.max(initial=self.max_log_e)),
            counts=self.counts.plus(control, treatment, shape),
        )


@dataclass(frozen=True, slots=True)
class BinaryBlocks:
    """The queue in which units wait until their block is complete.

    The order has to be free of the outcomes: by assignment, each unit once its window for
    success has closed. In the order in which successes happen to arrive, nothing holds.

    Attributes
    ----------
    shape
        Units of control and of treatment in a block, >= 1: the split in its lowest terms.
    control, treatment
        Outcomes of the units that wait, oldest first; one of the two is less than a block.

    Raises
    ------
    ValueError
        If shape is out of its range.
    """

    shape: tuple[int, int] = (1, 1)
    control: tuple[bool, ...] = ()
    treatment: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        _check_shape(self.shape)

    def add(
        self, treated: ArrayLike, successes: ArrayLike
    ) -> tuple[BinaryBlocks, NDArray[np.float64], NDArray[np.float64]]:
        """Line up units and take out the blocks that they complete.

        Parameters
        ----------
        treated
            Whether each unit is of treatment, shape (n,), 0 or 1.
        successes
            Whether each succeeded, shape (n,), 0 or 1.

        Returns
        -------
        tuple
            What waits on, and the successes of control and of treatment in each complete block,
            shape (n_blocks,) float64: the arguments of `BinaryEProcess.update`.

        Raises
        ------
        ValueError
            If an argument is out of its range.
        """
        arm, outcome = _flags("treated", treated), _flags("successes", successes)
        if arm.size != outcome.size:
            raise ValueError(
                f"treated and successes must be of equal length, got {arm.size} and {outcome.size}"
            )
        lines = (
            np.concatenate((np.array(self.control, dtype=bool), outcome[~arm])),
            np.concatenate((np.array(self.treatment, dtype=bool), outcome[arm])),
        )
        count = min(line.size // units for line, units in zip(lines, self.shape, strict=True))
        done, waiting = [], []
        for line, units in zip(lines, self.shape, strict=True):
            done.append(line[: count * units].reshape(count, units).sum(axis=1, dtype=np.float64))
            waiting.append(tuple(line[count * units :].tolist()))
        return replace(self, control=waiting[0], treatment=waiting[1]), done[0], done[1]


def checked_blocks(
    successes_control: ArrayLike, successes_treatment: ArrayLike, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Refuse blocks out of their range and give their successes, shape (n_blocks,) float64."""
    _check_shape(shape)
    given = {"successes_control": successes_control, "successes_treatment": successes_treatment}
    found = []
    for (name, values), units in zip(given.items(), shape, strict=True):
        array = ranges.finite_array(name, np.atleast_1d(values))
        wrong = (array < 0) | (array > units) | (array != np.floor(array))
        if wrong.any():
            raise ValueError(f"{name} must be whole and in [0, {units}], got {array[wrong][0]:g}")
        found.append(array)
    if found[0].size != found[1].size:
        sizes = f"{found[0].size} and {found[1].size}"
        raise ValueError(
            f"successes_control and _treatment must be of as many blocks, got {sizes}"
        )
    return found[0], found[1]


def block_evidence(
    past: BinaryCounts,
    control: NDArray[np.float64],
    treatment: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    null: float | NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weigh each block against a null, or against each of several.

    Parameters
    ----------
    past
        What came before the first of the blocks.
    control, treatment
        Successes in each block, shape (n_blocks,) float64.
    shape
        Units of control and of treatment in each block.
    null
        Difference of the rates; shape (n_nulls, 1) float64 for several.

    Returns
    -------
    tuple of array
        ln e of each block, and whether the rates before it differ by more than the null: then it
        is evidence against "at most", else against "at least". Shape (n_blocks,) or (n_nulls,
        n_blocks).

    References
    ----------
    Turner, Ly and Gruenwald (2024), theorem 1, for equal rates; Turner and Gruenwald (2023) for
    other nulls.
    """
    rates = (
        _rates_before(control, shape[0], past.successes_control, past.units_control),
        _rates_before(treatment, shape[1], past.successes_treatment, past.units_treatment),
    )
    near = _nearest(rates, shape, null)
    log_e = np.zeros(near[0].shape)
    for successes, units, p, q in zip((control, treatment), shape, rates, near, strict=True):
        log_e += successes * np.log(p / q) + (units - successes) * np.log((1 - p) / (1 - q))
    return log_e, rates[1] > rates[0] + null


def _rates_before(
    successes: NDArray[np.float64], units: int, past_successes: int, past_units: int
) -> NDArray[np.float64]:
    """Give the posterior mean of an arm's rate before each block."""
    seen = past_successes + np.cumsum(successes) - successes
    return (seen + _PRIOR) / (past_units + units * np.arange(successes.size) + 2 * _PRIOR)


def _nearest(
    rates: tuple[NDArray[np.float64], NDArray[np.float64]],
    shape: tuple[int, int],
    null: float | NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the rates that differ by the null with the least divergence from those given.

    Its derivative along the line rises, so that its sign tells the side; it is zero between where
    the line meets the one rate and where it meets the other.
    """
    (p_c, p_t), (n_c, n_t) = rates, shape
    if np.ndim(null) == 0 and null == 0:
        q = (n_c * p_c + n_t * p_t) / (n_c + n_t)
        return q, q
    low = np.maximum(np.minimum(p_c, p_t - null), np.maximum(0.0, -null))
    high = np.minimum(np.maximum(p_c, p_t - null), np.minimum(1.0, 1.0 - null))
    for _ in range(_HALVINGS):
        x = (low + high) / 2
        y = x + null
        above = n_c * (x - p_c) * y * (1 - y) + n_t * (y - p_t) * x * (1 - x) > 0
        low, high = np.where(above, low, x), np.where(above, x, high)
    x = (low + high) / 2
    return np.clip(x, _EDGE, 1 - _EDGE), np.clip(x + null, _EDGE, 1 - _EDGE)


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    array = ranges.finite_array(name, values)
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        raise ValueError(f"{name} must be 0 or 1, got {array[wrong][0]:g}")
    return array.astype(bool)


def _check_shape(shape: tuple[int, int]) -> None:
    if len(shape) != 2:  # noqa: PLR2004 -- control and treatment
        raise ValueError(f"shape must be of control and treatment, got {shape}")
    for at, units in enumerate(shape):
        ranges.whole(f"shape[{at}]", units, 1)
        ranges.within(f"shape[{at}]", units, 1, _MAX_BLOCK)
