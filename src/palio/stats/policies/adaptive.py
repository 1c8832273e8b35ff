"""Rule 7: the difference of two arms whose shares a bandit keeps changing.

The arm that looks good early is drawn more, so plain arm means are biased and no test on them
holds. Here every unit, drawn with logged propensities ``e``, scores both arms ::

    score_a = m_a + 1{A = a} (Y - m_a) / e_a        d = score_treatment - score_control

and ``d`` is unbiased for the difference whatever the policy learnt before: the guesses ``m`` are
frozen with each policy version and decide only how noisy it is. A unit that drew a third arm
counts as well, with ``d = m_treatment - m_control``. Dividing by the predictable scale
``sigma^2 = s^2 (1/e_control + 1/e_treatment)`` makes all units equally noisy, so that ::

    estimate = sum(d / sigma) / sum(1 / sigma)      t = n / horizon

is a random walk with the clock that rules 1 and 2 ask for (`AdaptiveSums.moments`). Everything
is a sum over units: it can be kept, merged and taken back, and an analysis costs the same after
any number of them.

Means of the arms as observed are descriptive only. Dropping an arm ends its contrasts: a unit
that could not draw both arms adds nothing to them.

References
----------
Hadad, Hirshberg, Zhan, Wager and Athey (2021), PNAS 118(15), for the weights.
Bibaut, Chambaz, Dimakopoulou, Kallus and van der Laan (2021), NeurIPS 34, likewise.
Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2022), arXiv:2210.10768, for all looks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf, isfinite, sqrt
from operator import add, attrgetter, sub
from typing import TYPE_CHECKING

import numpy as np

from palio.stats import ranges
from palio.stats.anytime.sequential import Comparison, compare_paired
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from palio.stats.estimate import Alternative

__all__ = ["AdaptiveSums", "adaptive_interval"]

_MIN_CHOSEN = 2
_SMALL_ARM = 10_000
_ROUNDING = 1e-6
_COUNTS = 3


@dataclass(frozen=True, slots=True)
class AdaptiveSums:
    """What one contrast needs to remember of its units, whichever policy versions they saw.

    Attributes
    ----------
    n
        Units that could draw both arms, >= 0.
    n_control, n_treatment
        Those that drew the one or the other, >= 0.
    weight
        Sum of ``1 / sigma``, >= 0.
    total
        Sum of ``d / sigma``.
    squares
        Sum of ``(d / sigma)^2``, >= 0.
    cross
        Sum of ``d / sigma^2``.
    weight_squares
        Sum of ``1 / sigma^2``, >= 0.
    load_control, load_treatment
        Sums of ``1 / (sigma^2 e)`` with the propensity of the arm, >= 0.
    residuals_control, residuals_treatment
        Sums of ``(Y - m)^2`` over the units that drew the arm, >= 0.

    Raises
    ------
    ValueError
        If a field is not finite or is below 0 where it must not be.
    """

    n: int = 0
    n_control: int = 0
    n_treatment: int = 0
    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    cross: float = 0.0
    weight_squares: float = 0.0
    load_control: float = 0.0
    load_treatment: float = 0.0
    residuals_control: float = 0.0
    residuals_treatment: float = 0.0

    def __post_init__(self) -> None:
        for name, value in zip(_NAMES, _values(self), strict=True):
            if name in _SIGNED:
                ranges.finite(name, value)
            else:
                ranges.not_negative(name, value)

    @classmethod
    def of(
        cls,
        outcomes: ArrayLike,
        chosen: ArrayLike,
        propensities: ArrayLike,
        *,
        means: ArrayLike,
        variance: float = 1.0,
        control: int = 0,
        treatment: int = 1,
        floor: float = 0.05,
    ) -> AdaptiveSums:
        """Sum over units that one policy version decided.

        Parameters
        ----------
        outcomes
            Rewards Y, shape (n,), finite.
        chosen
            Arm each unit drew, shape (n,), whole numbers in [0, K).
        propensities
            Probabilities with which it was drawn, shape (n, K), or (K,) where the version has
            the same for all; rows sum to 1. Those of the two arms are 0 or at least ``floor``.
            Units for which one of them is 0 are left out: the contrast has ended for them.
        means
            Guesses m of the arms, shape (K,), finite, from what was known when the version began.
        variance
            Guess s^2 of the outcomes' variance, likewise, > 0. Only its changes from version to
            version matter; leaving it constant serves best unless the noise itself drifts.
        control, treatment
            The two arms, different, in [0, K).
        floor
            Least propensity, in (0, 0.5]: the heavier the single units, the later the intervals
            hold.

        Returns
        -------
        AdaptiveSums
            To be merged with those of other units and versions.

        Raises
        ------
        ValueError
            If an argument is out of its range, also for a unit that drew an arm of propensity 0.
        """
        y = ranges.finite_array("outcomes", outcomes)
        guesses = ranges.finite_array("means", means)
        ranges.positive("variance", variance)
        if not 0 < floor <= 0.5:  # noqa: PLR2004 -- two arms cannot both have more
            raise ValueError(f"floor must be in (0, 0.5], got {floor}")
        arms = guesses.size
        e = _propensities(propensities, y.size, arms)
        arm = _chosen(chosen, e)
        pair = _pair(control, treatment, arms)
        open_to_both = (e[:, pair] > 0).all(axis=1)
        e, y, arm = e[open_to_both][:, pair], y[open_to_both], arm[open_to_both]
        if (e < floor * (1 - _ROUNDING)).any():
            raise ValueError(f"propensities must be 0 or >= {floor:g}, got {e.min()}")
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return _sums(y, arm[:, None] == pair, e, means=guesses[pair], variance=variance)

    def merge(self, other: AdaptiveSums) -> AdaptiveSums:
        """Give the sums over the units of both; no unit may be in both."""
        return AdaptiveSums(*map(add, _values(self), _values(other)))

    def subtract(self, other: AdaptiveSums) -> AdaptiveSums:
        """Take units back that are among these, an outcome that was corrected for example.

        Parameters
        ----------
        other
            Their sums, with the propensities and guesses they were added with.

        Returns
        -------
        AdaptiveSums
            The sums over the rest, within rounding; all 0 when nothing is left.

        Raises
        ------
        ValueError
            If there are not as many units to take from.
        """
        rest = list(map(sub, _values(self), _values(other)))
        if rest[:_COUNTS] == [0] * _COUNTS:
            return AdaptiveSums()
        for at, name in enumerate(_NAMES):
            if at >= _COUNTS and name not in _SIGNED:
                rest[at] = max(rest[at], 0.0)
        return AdaptiveSums(*rest)

    @property
    def effect(self) -> float:
        """The estimated difference, ``sum(d / sigma) / sum(1 / sigma)``; 0 without units."""
        return self.total / self.weight if self.weight else 0.0

    @property
    def se(self) -> float:
        """Its standard error; inf while an arm has fewer than two units.

        The worst of three estimates of the variance of ``sum(d / sigma)``:

        - ``v_c load_control + v_t load_treatment``, v an arm's mean squared residual: what few
          units happen to say is not amplified by inverse propensities, as it is by squares of d;
        - the same with the pooled v while an arm has below 10,000 units (rule 3), for an arm
          drawn a few times may have seen no variance at all;
        - ``sum(((d - effect) / sigma)^2)``, which needs no variance to be stable over time.
        """
        few = min(self.n_control, self.n_treatment)
        if few < _MIN_CHOSEN:
            return inf
        own = (
            self.residuals_control / self.n_control * self.load_control
            + self.residuals_treatment / self.n_treatment * self.load_treatment
        )
        pooled = self._pooled() if few < _SMALL_ARM else 0.0
        return sqrt(max(own, pooled, self._observed())) / self.weight

    @property
    def moments(self) -> Moments:
        """As many units with the mean `effect`, their variance such that it has the error `se`.

        In this form every rule takes them that takes the moments of paired differences.

        Raises
        ------
        ValueError
            If an arm has fewer than two units or the variance overflows.
        """
        return Moments(self.n, self.effect, self.n * self.se * self.se)

    def _pooled(self) -> float:
        residuals = self.residuals_control + self.residuals_treatment
        loads = self.load_control + self.load_treatment
        return residuals / (self.n_control + self.n_treatment) * loads

    def _observed(self) -> float:
        """Give the sum of ``((d - effect) / sigma)^2``."""
        return self.squares - self.effect * (2 * self.cross - self.effect * self.weight_squares)


_NAMES = tuple(field.name for field in fields(AdaptiveSums))
_SIGNED = {"total", "cross"}
_values = attrgetter(*_NAMES)


def adaptive_interval(
    sums: AdaptiveSums,
    *,
    alpha: float = 0.05,
    horizon: int | None = None,
    planned: int | None = None,
    looks: int | None = None,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Comparison:
    """Bound the difference of two arms at one of any number of looks.

    Parameters
    ----------
    sums
        Of all units so far, for which the contrast was open.
    alpha, looks, alternative, null
        As for `compare`.
    horizon, planned
        As for `compare`, in units of the whole bandit, all arms together.

    Returns
    -------
    Comparison
        As `compare` gives it; ``information_share`` is units over horizon. No verdict below 100
        units of the contrast, two an arm, and while neither arm's outcomes varied.

    Raises
    ------
    ValueError
        As `compare`.
    """
    reason = _no_verdict(sums)
    found = compare_paired(
        Moments(0, 0.0, 0.0) if reason else sums.moments,
        alpha=alpha, horizon=horizon, planned=planned, looks=looks,
        alternative=alternative, null=null,
    )  # fmt: skip
    return replace(found, effect=sums.effect, se=sums.se, reason=reason) if reason else found


def _propensities(values: ArrayLike, units: int, arms: int) -> NDArray[np.float64]:
    e = np.asarray(values, dtype=np.float64)
    if e.shape not in {(arms,), (units, arms)}:
        raise ValueError(f"propensities must be of shape ({units}, {arms}), got {e.shape}")
    if not ((e >= 0) & (e <= 1)).all():
        raise ValueError("propensities must be in [0, 1], got others among them")
    if (abs(e.sum(axis=-1) - 1) > _ROUNDING).any():
        raise ValueError("propensities must sum to 1 for each unit, got other sums among them")
    return np.broadcast_to(e, (units, arms))


def _chosen(values: ArrayLike, e: NDArray[np.float64]) -> NDArray[np.intp]:
    units, arms = e.shape
    given = ranges.finite_array("chosen", values)
    if given.size != units:
        raise ValueError(f"chosen must hold {units} values, got {given.size}")
    if not ((given == np.floor(given)) & (given >= 0) & (given < arms)).all():
        raise ValueError(f"chosen must be whole numbers in [0, {arms}), got others among them")
    arm = given.astype(np.intp)
    if (e[np.arange(units), arm] == 0).any():
        raise ValueError("propensities must be > 0 for the arm chosen, got 0")
    return arm


def _pair(control: int, treatment: int, arms: int) -> NDArray[np.intp]:
    for name, arm in (("control", control), ("treatment", treatment)):
        if not 0 <= arm < arms:
            raise ValueError(f"{name} must be in [0, {arms}), got {arm}")
    if control == treatment:
        raise ValueError(f"treatment must differ from control, got {treatment} for both")
    return np.array([control, treatment])


def _sums(
    y: NDArray[np.float64],
    drew: NDArray[np.bool_],
    e: NDArray[np.float64],
    *,
    means: NDArray[np.float64],
    variance: float,
) -> AdaptiveSums:
    """Add up; ``drew`` and ``e`` have shape (n, 2), one column an arm of the contrast."""
    residuals = np.where(drew, y[:, None] - means, 0.0)
    scores = means + residuals / e
    d = scores[:, 1] - scores[:, 0]
    precision = 1 / (variance * (1 / e).sum(axis=1))
    root = np.sqrt(precision)
    x = d * root
    loads = precision @ (1 / e)
    counts, squares = drew.sum(axis=0), (residuals**2).sum(axis=0)
    return AdaptiveSums(
        y.size, int(counts[0]), int(counts[1]),
        float(root.sum()), float(x.sum()), float(x @ x), float(x @ root), float(precision.sum()),
        float(loads[0]), float(loads[1]), float(squares[0]), float(squares[1]),
    )  # fmt: skip


def _no_verdict(sums: AdaptiveSums) -> str | None:
    for name, drawn in (("control", sums.n_control), ("treatment", sums.n_treatment)):
        if drawn < _MIN_CHOSEN:
            return f"{name} has {drawn} units, a verdict needs {_MIN_CHOSEN}"
    if not (isfinite(sums.effect) and isfinite(sums.n * sums.se * sums.se)):
        return "the sums are too large to compute with"
    return None
