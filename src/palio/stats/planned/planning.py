"""Planning: how many units, which power, which effect, looked at constantly or once.

Every metric enters through its variance per unit: a mean, a proportion, a ratio by the delta
method, a metric adjusted for covariates, differences within requests. With N units, of which
each arm has its share, ::

    V = var_c / share_c + var_t / share_t,     se = sqrt(V / N),     d = (effect - null) / se

and the power depends on the drift d alone: through the crossing probabilities of a Brownian path
with that drift for rule 1, through the noncentral t-distribution of Welch's test for one look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, isnan, sqrt
from typing import Literal

from scipy.special import nctdtr, stdtrit  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.anytime.horizon import HorizonRule
from palio.stats.anytime.sequential import ALPHA_RANGE, MIN_UNITS, RESERVE_SHARE
from palio.stats.estimate import Alternative
from palio.stats.moments import Moments
from palio.stats.planned.group_sequential import crossing_probabilities

__all__ = [
    "ANY_LOOKS",
    "ONE_LOOK",
    "Baseline",
    "Design",
    "Plan",
    "achieved_power",
    "detectable_effect",
    "sample_size",
]

_LOOKS = 100  # a plan for any number of looks is worked out at a hundred

_TEST_UNITS = 2  # in each arm, for Welch's test
_MOST_UNITS = 10**12
_MOST_DRIFT = 1e4  # standard errors; more is as good


Parts = Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a metric before the experiment.

    Attributes
    ----------
    mean
        Mean per unit, finite; that of control.
    var
        Variance per unit, > 0.
    kind
        ``mean``: treatment varies by ``treatment_var``. ``proportion``: an effect moves the
        variance of treatment, too. ``paired``: ``var`` is that of the differences within
        requests that both versions score, and the requests are the units.
    treatment_var
        Variance per unit of treatment, > 0, where a mean is known to vary differently there;
        None for ``var``.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    mean: float
    var: float
    kind: Literal["mean", "proportion", "paired"] = "mean"
    treatment_var: float | None = None

    def __post_init__(self) -> None:
        ranges.finite("mean", self.mean)
        ranges.positive("var", self.var)
        if self.treatment_var is not None:
            ranges.positive("treatment_var", self.treatment_var)
        if self.kind not in {"mean", "proportion", "paired"}:
            raise ValueError(f"kind must be mean, proportion or paired, got {self.kind!r}")

    @classmethod
    def of(cls, units: Moments) -> Baseline:
        """Take mean and variance from past units: plain, of a `ratio`, or adjusted by `cuped`."""
        return cls(units.mean, units.var)

    @classmethod
    def of_rate(cls, rate: float) -> Baseline:
        """Take the rate of a proportion, in (0, 1)."""
        ranges.open_unit("rate", rate)
        return cls(rate, rate * (1 - rate), "proportion")

    @classmethod
    def of_differences(cls, differences: Moments, *, mean: float = 0.0) -> Baseline:
        """Take differences within requests (`paired_loss`), and the mean effects are a share of.

        The mean of the differences themselves plays no part: it is what will be tested.
        """
        return cls(mean, differences.var, "paired")

    def explained(self, correlation: float) -> Baseline:
        """Give the baseline of a mean after CUPED by a covariate of that correlation, in (-1, 1).

        With several covariates it is the multiple correlation.
        """
        if not -1 < correlation < 1:
            raise ValueError(f"correlation must be in (-1, 1), got {correlation}")
        if self.kind != "mean":
            raise ValueError(f"kind must be mean for CUPED, got {self.kind!r}")
        left = 1 - correlation * correlation
        treatment_var = None if self.treatment_var is None else self.treatment_var * left
        return Baseline(self.mean, self.var * left, "mean", treatment_var)

    def arms(self, effect: float, treatment_share: float) -> tuple[tuple[float, float], ...]:
        """Give (variance, share of the units) of each arm, of one for pairs, at an effect."""
        if self.kind == "paired":
            return ((self.var, 1.0),)
        treatment_var = self.treatment_var or self.var
        if self.kind == "proportion":
            rate = self.mean + effect
            if not 0 < rate < 1:
                raise ValueError(f"effect must leave a rate in (0, 1), got {self.mean} + {effect}")
            treatment_var = rate * (1 - rate)
        return (self.var, 1 - treatment_share), (treatment_var, treatment_share)


@dataclass(frozen=True, slots=True)
class Design:
    """How the effect will be tested.

    Attributes
    ----------
    looks
        As for `compare`, which then runs rule 1 up to the horizon that is planned: None however
        often one looks, 10, 20, 50 or 100 for so many binding looks. 1 is the one look of
        Welch's test, or of the paired t-test.
    alpha
        Error probability, in [0.001, 0.2]; in (0, 1) for one look.
    alternative, null
        As for `compare`: non-inferiority within a margin m is ``larger`` with a null of -m.
    treatment_share
        Share of treatment in the units of both arms, in (0, 1); pairs have none.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    looks: int | None = None
    alpha: float = 0.05
    alternative: Alternative = "two-sided"
    null: float = 0.0
    treatment_share: float = 0.5

    def __post_init__(self) -> None:
        if self.alternative not in {"two-sided", "larger", "smaller"}:
            raise ValueError(
                f"alternative must be two-sided, larger or smaller, got {self.alternative!r}"
            )
        ranges.finite("null", self.null)
        ranges.open_unit("treatment_share", self.treatment_share)
        if self.looks == 1:
            ranges.open_unit("alpha", self.alpha)
        else:
            ranges.within("alpha", self.alpha, *ALPHA_RANGE)
            self.rule()

    def rule(self) -> HorizonRule:
        """Give rule 1 as `compare` runs it up to the horizon."""
        sides: Literal[1, 2] = 2 if self.alternative == "two-sided" else 1
        return HorizonRule(self.alpha * (1 - RESERVE_SHARE), self.looks, sides)


ANY_LOOKS = Design()
"""Rule 1 looked at however often, at 5 %: the default of `compare`."""

ONE_LOOK = Design(looks=1)
"""Welch's test at 5 %, two-sided."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, whichever part of it was asked for.

    Attributes
    ----------
    units
        Units of both arms together: the sample of one look, or the ``horizon`` of `compare`.
    effect, relative
        Effect that is found with the power; absolute, and as a share of the baseline's mean
        (None where that is 0).
    power
        Probability of finding it.
    expected_units
        Mean number of units at the stop: ``units`` for one look, fewer under rule 1.
    """

    units: int
    effect: float
    relative: float | None
    power: float
    expected_units: float

    def days(self, units_per_day: float) -> int:
        """Give the days until all units have come, if as many new ones come each day.

        Users return, so new ones get fewer: `History.days_needed` follows their curve. Round up
        to whole weeks where weekdays differ.
        """
        ranges.positive("units_per_day", units_per_day)
        return ceil(self.units / units_per_day)


def sample_size(
    baseline: Baseline, effect: float, *, power: float = 0.8, design: Design = ANY_LOOKS
) -> Plan:
    """Give the smallest sample that finds an effect with a power.

    Parameters
    ----------
    baseline
        What is known of the metric.
    effect
        Absolute effect to be found; away from the null, in the alternative's direction.
    power
        Probability of finding it, in (alpha, 1).
    design
        How it will be tested.

    Returns
    -------
    Plan
        With the units of both arms together, or the requests of pairs.

    Raises
    ------
    ValueError
        If an argument is out of its range or 1e12 units do not find the effect.

    Notes
    -----
    The power of any number of looks is that of a hundred; more looks only add to it. Rule 1 counts
    with the larger one of Welch's and the pooled standard error, as `compare` does for arms below
    10,000 units, and with no verdict below 100 units in an arm.

    One look at proportions is planned for `welch`. The score test of `two_proportions` needs as
    many units within 0.5 % where the arms are equal; where they are not, it takes its variance
    under the null and needs fewer of them in a small arm that wins, more in one that loses.

    Equivalence within -+m of an effect of 0 with power p is non-inferiority, ``larger`` with a
    null of -m, with power (1 + p) / 2.

    References
    ----------
    Chow, Shao and Wang (2008), Sample Size Calculations in Clinical Research, chapter 3. Jennison
    and Turnbull (2000), Group Sequential Methods, chapter 19.

    Examples
    --------
    >>> sample_size(Baseline.of_rate(0.05), 0.005, design=ONE_LOOK).units
    62464
    >>> sample_size(Baseline(mean=20, var=900), 0.5, power=0.9, design=Design(looks=1)).relative
    0.025
    """
    ranges.finite("effect", effect)
    _check_power(power, design)
    if not _drift(baseline, effect, 1, design) > 0:
        raise ValueError(
            f"effect must lie beyond the null {design.null} ({design.alternative}), got {effect}"
        )
    high = _least_units(baseline, effect, design)
    low = high - 1
    while _power(baseline, effect, high, design)[0] < power:
        low, high = high, high * 2
        if high > _MOST_UNITS:
            raise ValueError(f"effect must be found by {_MOST_UNITS:.0e} units, got {effect}")
    while high - low > 1:
        middle = (low + high) // 2
        if _power(baseline, effect, middle, design)[0] < power:
            low = middle
        else:
            high = middle
    return _plan(baseline, effect, high, design)


def achieved_power(
    baseline: Baseline, effect: float, units: int, *, design: Design = ANY_LOOKS
) -> Plan:
    """Give the power with which a sample finds an effect.

    Parameters
    ----------
    baseline, design
        As for `sample_size`.
    effect
        Absolute effect, finite; the null has a power of alpha or, under rule 1, a little less.
    units
        Units of both arms together, at least two an arm.

    Returns
    -------
    Plan
        With the power and, under rule 1, the mean number of units at the stop.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    As for `sample_size`.
    """
    ranges.finite("effect", effect)
    ranges.whole("units", units, _least_units(baseline, effect, design))
    return _plan(baseline, effect, units, design)


def detectable_effect(
    baseline: Baseline, units: int, *, power: float = 0.8, design: Design = ANY_LOOKS
) -> Plan:
    """Give the smallest effect that a sample finds with a power.

    Parameters
    ----------
    baseline, power, design
        As for `sample_size`.
    units
        Units of both arms together, at least two an arm.

    Returns
    -------
    Plan
        With the effect: above the null, or below it for the alternative ``smaller``.

    Raises
    ------
    ValueError
        If an argument is out of its range or no effect is found with that power.

    References
    ----------
    As for `sample_size`.
    """
    null, sign = design.null, -1 if design.alternative == "smaller" else 1
    ranges.whole("units", units, _least_units(baseline, null, design))
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # noqa: PLC0415 -- slow to load

    _check_power(power, design)
    step = _se(baseline, null, units, design)
    room = inf
    if baseline.kind == "proportion":
        room = ((1 - baseline.mean if sign > 0 else baseline.mean) - sign * null) * (1 - 1e-9)

    def missing(size: float) -> float:
        return _power(baseline, null + sign * size, units, design)[0] - power

    most = _reached(missing, min(step, room), min(_MOST_DRIFT * step, room))
    if most is None:
        raise ValueError(f"units must be enough to find an effect with {power}, got {units}")
    size = float(brentq(missing, 0, most, xtol=1e-12 * step, rtol=1e-12))
    return _plan(baseline, null + sign * size, units, design)


def _reached(missing: Callable[[float], float], size: float, most: float) -> float | None:
    """Give a size at which nothing is missing, doubling it up to the most."""
    while missing(size) < 0:
        if size >= most:
            return None
        size = min(2 * size, most)
    return size


def _check_power(power: float, design: Design) -> None:
    if not design.alpha < power < 1:
        raise ValueError(f"power must be in (alpha, 1) = ({design.alpha}, 1), got {power}")


def _smallest_share(baseline: Baseline, effect: float, design: Design) -> float:
    return min(share for _, share in baseline.arms(effect, design.treatment_share))


def _least_units(baseline: Baseline, effect: float, design: Design) -> int:
    return ceil(_TEST_UNITS / _smallest_share(baseline, effect, design))


def _se(baseline: Baseline, effect: float, units: int, design: Design) -> float:
    """Give the standard error at the end."""
    arms = baseline.arms(effect, design.treatment_share)
    variance = sum(var / share for var, share in arms)
    if design.looks != 1:
        pooled = sum(var * share for var, share in arms)
        variance = max(variance, sum(pooled / share for _, share in arms))
    ranges.positive("variance of the effect", variance)
    return sqrt(variance) / sqrt(units)


def _drift(baseline: Baseline, effect: float, units: int, design: Design) -> float:
    """Give the mean of z at the end, positive in the direction of the alternative."""
    drift = (effect - design.null) / _se(baseline, effect, units, design)
    drift = max(-_MOST_DRIFT, min(drift, _MOST_DRIFT))
    return {"two-sided": abs(drift), "larger": drift, "smaller": -drift}[design.alternative]


def _plan(baseline: Baseline, effect: float, units: int, design: Design) -> Plan:
    power, stop = _power(baseline, effect, units, design)
    relative = effect / abs(baseline.mean) if baseline.mean else None
    return Plan(units, effect, relative, power, stop * units)


def _power(baseline: Baseline, effect: float, units: int, design: Design) -> tuple[float, float]:
    """Give power and mean share of the units at the stop."""
    drift = _drift(baseline, effect, units, design)
    if design.looks == 1:
        return _test_power(drift, _df(baseline, effect, units, design), design), 1.0
    rule_looks = design.looks or _LOOKS
    first = MIN_UNITS / _smallest_share(baseline, effect, design) / units
    silent = max(0, min(ceil((first - 1e-9) * rule_looks) - 1, rule_looks))
    return _rule_power(drift, design, silent)


def _df(baseline: Baseline, effect: float, units: int, design: Design) -> float:
    arms = baseline.arms(effect, design.treatment_share)
    parts = [var / share for var, share in arms]
    whole = sum(parts)
    return 1 / sum(
        (part / whole) ** 2 / (share * units - 1)
        for part, (_, share) in zip(parts, arms, strict=True)
    )


def _test_power(drift: float, df: float, design: Design) -> float:
    """Give the probability that the noncentral t lies beyond its critical value."""
    if design.alternative != "two-sided":
        return _beyond(-float(stdtrit(df, design.alpha)), drift, df)
    critical = -float(stdtrit(df, design.alpha / 2))
    return min(1.0, _beyond(critical, drift, df) + _beyond(critical, -drift, df))


def _beyond(critical: float, drift: float, df: float) -> float:
    """Give the upper tail; scipy's underflows to nan where next to nothing is on one side."""
    below = float(nctdtr(df, drift, critical))
    return float(drift > critical) if isnan(below) else 1 - below


@lru_cache(maxsize=4096)
def _rule_power(drift: float, design: Design, silent: int) -> tuple[float, float]:
    """Give power and mean stop of rule 1, of whose looks the first ones are silent."""
    rule, count = design.rule(), design.looks or _LOOKS
    shares = [at / count for at in range(1, count + 1)]
    bounds = [inf] * silent + [rule.reach(share) for share in shares[silent:]]
    side: Alternative = "two-sided" if design.alternative == "two-sided" else "larger"
    found = crossing_probabilities(bounds, shares, drift=drift, alternative=side)
    return found.probability, found.expected_share
