"""The comparison of two arms that may be looked at as often as one likes.

Inside a declared horizon rule 1 decides at ``alpha - reserve``; the reserve, 3 % of alpha, belongs
to rule 2, which holds at every sample size and takes over beyond the horizon. The two error
probabilities add up to alpha, so looking on after the horizon costs width and never validity.
Without a horizon rule 2 has all of alpha.

Guards come first, for the normal approximation behind both rules is poor on small skewed arms;
and z is exchanged for the t of the same rarity, for variances of a few hundred units are guesses.

Whatever has linearised `Moments` is compared in the same way: a mean, a ratio, a metric adjusted
for covariates, a quantile, strata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import expm1, inf, isfinite, log1p, sqrt
from typing import TYPE_CHECKING, Literal

from palio.stats import ranges
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.horizon import SLACK, T_MIN, HorizonRule

if TYPE_CHECKING:
    from palio.stats.estimate import Alternative
    from palio.stats.moments import Moments

__all__ = [
    "ALPHA_RANGE",
    "MIN_UNITS",
    "RESERVE_SHARE",
    "Comparison",
    "compare",
    "compare_paired",
    "running",
]

MIN_UNITS = 100
_SMALL_ARM = 10_000
_SMALL_SHARE = 0.1
_ROUNDING = 1e-9  # equal variances of a difference, computed in two ways
_LARGEST_EXPONENT = 700.0
ALPHA_RANGE = (0.001, 0.2)
RESERVE_SHARE = 0.03

RuleName = Literal["horizon", "asymptotic", "none"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one look says about treatment against control.

    Attributes
    ----------
    effect
        Mean of treatment minus mean of control.
    se
        Its standard error under the guards.
    lower, upper
        Bounds of the effect that hold over all looks together with 1 - alpha; (-inf, inf)
        without a verdict. One of them is infinite for a one-sided alternative.
    p_value
        Valid at this look whatever was looked at before, 1 without a verdict; the minimum over
        the looks so far is valid, too. ``p_value <= alpha`` where the bounds exclude the null.
    information_share
        Share t of the information planned at the horizon, above 1 beyond it; None without a
        horizon, or where the arms do not tell it yet.
    rule
        Which rule gave the bounds: ``horizon`` (1), ``asymptotic`` (2), ``none``.
    significant
        Whether the bounds exclude the null.
    reason
        Why there is no verdict; None if there is one.
    """

    effect: float
    se: float
    lower: float
    upper: float
    p_value: float
    information_share: float | None
    rule: RuleName
    significant: bool
    reason: str | None


def compare(
    control: Moments,
    treatment: Moments,
    *,
    alpha: float = 0.05,
    horizon: int | None = None,
    planned: int | None = None,
    treatment_share: float = 0.5,
    looks: int | None = None,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Comparison:
    """Compare the means of two arms at one of any number of looks.

    Parameters
    ----------
    control, treatment
        Moments of the arms so far.
    alpha
        Probability of ever declaring an effect where there is none, in [0.001, 0.2].
    horizon
        Planned units of the two arms together, >= 1; None if nothing is planned to end.
    planned
        Units of the two arms together at which rule 2 is tightest, >= 1; needed without a
        horizon, which it defaults to.
    treatment_share
        Share of treatment in the units of the two arms, in (0, 1); used with a horizon.
    looks
        None, the default, holds however often one looks. 10, 20, 50 or 100 is tighter and holds
        if no more than one look binds after each of so many even parts of the horizon
        (`HorizonRule.checkpoint` counts them).
    alternative
        ``two-sided``, or ``larger`` and ``smaller``, which bound the effect on one side only.
    null
        Effect under the null hypothesis, finite; ``-margin`` with ``larger`` for non-inferiority.

    Returns
    -------
    Comparison
        Bounds and p-value; no verdict below 100 units in an arm, before the first look that the
        rule allows, and while both arms have no variance: values that were all the same so far
        say nothing about those to come.

    Raises
    ------
    ValueError
        If an argument is out of its range or both horizon and planned are missing.

    Notes
    -----
    ``se = max(Welch, pooled)`` while the smaller arm has below 10,000 units or below 10 % of the
    larger one, else Welch. ``t = I/I_H`` with the present variances in both and, in ``I_H``, the
    arms that the share plans. Up to 1 % beyond the horizon counts as the horizon, so that its
    last look does not fall to the chance by which the arms miss their share. Bounds and evidence
    pass between z and t, with Welch's degrees of freedom, by Wallace's approximation.

    References
    ----------
    Wallace (1959), Annals of Mathematical Statistics 30(4), 1121-1130.
    """
    if not 0 < treatment_share < 1:
        raise ValueError(f"treatment_share must be in (0, 1), got {treatment_share}")
    plan = _plan(alpha, horizon, planned, looks, alternative)
    effect = treatment.mean - control.mean
    var_control, var_treatment = _guarded_variances(control, treatment)
    of_control, of_treatment = _square(var_control, control.n), _square(var_treatment, treatment.n)
    square = of_control + of_treatment
    reason = _no_verdict(square, control=control.n, treatment=treatment.n)
    if reason:
        return _silent(effect, square, None, reason)
    at_horizon = var_control / (1 - treatment_share) + var_treatment / treatment_share
    share = of_control / square
    df = 1 / (share * share / (control.n - 1) + (1 - share) * (1 - share) / (treatment.n - 1))
    return _judge(plan, effect, null, square, df, control.n + treatment.n, at_horizon)


def compare_paired(
    differences: Moments,
    *,
    alpha: float = 0.05,
    horizon: int | None = None,
    planned: int | None = None,
    looks: int | None = None,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Comparison:
    """Bound the mean difference within requests that both versions scored, at any look.

    Parameters
    ----------
    differences
        Moments of treatment less control, one difference a request.
    alpha, looks, alternative, null
        As for `compare`.
    horizon, planned
        As for `compare`, in requests that both have scored.

    Returns
    -------
    Comparison
        As `compare` gives it; a difference removes what the two scores of a request share, so
        that it needs a fraction of the traffic of two separate arms.

    Raises
    ------
    ValueError
        As `compare`.
    """
    plan = _plan(alpha, horizon, planned, looks, alternative)
    square = _square(differences.var, differences.n)
    reason = _no_verdict(square, sample=differences.n)
    if reason:
        return _silent(differences.mean, square, None, reason)
    n = differences.n
    return _judge(plan, differences.mean, null, square, n - 1, n, differences.var)


def running(comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
    """Give what all looks so far say together, look by look: the confidence sequence to plot.

    Parameters
    ----------
    comparisons
        Looks in their order, of one comparison with the same plan.

    Yields
    ------
    Comparison
        The look with the intersection of all bounds so far, the smallest p-value so far, and
        significant once any look was. The intersection holds where the effect stays the same
        over time; it can be empty (lower above upper) where it does not.
    """
    lower, upper, p_value, significant = -inf, inf, 1.0, False
    for look in comparisons:
        lower, upper = max(lower, look.lower), min(upper, look.upper)
        p_value, significant = min(p_value, look.p_value), significant or look.significant
        yield replace(look, lower=lower, upper=upper, p_value=p_value, significant=significant)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The rules that an error probability was divided among."""

    alpha: float
    horizon: int | None
    alternative: Alternative
    within: HorizonRule | None
    beyond: AsymptoticRule


@lru_cache(maxsize=256)
def _plan(  # noqa: PLR0917 -- keywords would slow each look down
    alpha: float,
    horizon: int | None,
    planned: int | None,
    looks: int | None,
    alternative: Alternative,
) -> _Plan:
    ranges.within("alpha", alpha, *ALPHA_RANGE)
    if alternative not in {"two-sided", "larger", "smaller"}:
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")
    for name, units in (("horizon", horizon), ("planned", planned)):
        if units is not None and not (isfinite(units) and units >= 1):
            raise ValueError(f"{name} must be >= 1, got {units}")
    sides: Literal[1, 2] = 2 if alternative == "two-sided" else 1
    tightest = planned or horizon
    if tightest is None:
        raise ValueError("planned must be given without a horizon, got None for both")
    reserve = alpha if horizon is None else alpha * RESERVE_SHARE
    rho2 = tuned_rho2(min(reserve * (3 - sides), 0.5), tightest)
    within = None if horizon is None else HorizonRule(alpha - reserve, looks, sides)
    return _Plan(alpha, horizon, alternative, within, AsymptoticRule(reserve, rho2, sides))


def _judge(  # noqa: PLR0917 -- keywords would slow each look down
    plan: _Plan,
    effect: float,
    null: float,
    square: float,
    df: float,
    units: int,
    at_horizon: float,
) -> Comparison:
    """Hold an effect with its squared standard error against the rule in force.

    ``at_horizon`` is the squared standard error at the horizon, times the horizon's units.
    """
    ranges.finite("null", null)
    se, rule = sqrt(square), plan.within
    z = _as_normal((null - effect if plan.alternative == "smaller" else effect - null) / se, df)
    t = None if plan.horizon is None else at_horizon / plan.horizon / square
    name: RuleName = "horizon"
    if rule is None or t is None or t > SLACK:
        reach, p_value = plan.beyond.radius(1.0, units), plan.beyond.p_value(z, units)
        error, name = plan.beyond.alpha, "asymptotic"
    else:
        reach, p_value, error = rule.reach(t), rule.p_value(z, t), rule.alpha
        if reach == inf:
            first = max(T_MIN, 1 / rule.looks if rule.looks else 0)
            return _silent(effect, square, t, f"below {first:.0%} of the planned information")
    reach = se * _as_student(reach, df)
    lower = -inf if plan.alternative == "smaller" else effect - reach
    upper = inf if plan.alternative == "larger" else effect + reach
    significant = lower > null or upper < null
    p_value = min(1.0, p_value * plan.alpha / error)
    return Comparison(effect, se, lower, upper, p_value, t, name, significant, None)


def _as_student(z: float, df: float) -> float:
    """Give the t that is as rare as z."""
    scaled = z * (8 * df + 3) / (8 * df + 1)
    exponent = scaled * scaled / df
    return sqrt(df * expm1(exponent)) if exponent < _LARGEST_EXPONENT else inf


def _as_normal(t: float, df: float) -> float:
    """Give the z that is as rare as t, the inverse of `_as_student`."""
    size = sqrt(df * log1p(t * t / df)) * (8 * df + 1) / (8 * df + 3)
    return size if t > 0 else -size


def _guarded_variances(control: Moments, treatment: Moments) -> tuple[float, float]:
    """Give the variances of the arms, the pooled one for both where rule 3 asks and it is worse.

    With too few units to pool, the own ones serve: there is no verdict anyway.
    """
    small, large = sorted((control.n, treatment.n))
    own = control.var, treatment.var
    if small < MIN_UNITS or (small >= _SMALL_ARM and small >= _SMALL_SHARE * large):
        return own
    squares = control.var * (control.n - 1) + treatment.var * (treatment.n - 1)
    pooled = squares / (control.n + treatment.n - 2)
    welch = control.var / control.n + treatment.var / treatment.n
    worse = pooled / control.n + pooled / treatment.n
    return (pooled, pooled) if worse > welch * (1 + _ROUNDING) else own  # equal in equal arms


def _square(var: float, n: int) -> float:
    return var / n if n else 0.0


def _no_verdict(square: float, **units: int) -> str | None:
    for name, n in units.items():
        if n < MIN_UNITS:
            return f"{name} has {n} units, a verdict needs {MIN_UNITS}"
    if not isfinite(square):
        return "the variance of an arm is too large to compute with"
    have = "have" if len(units) > 1 else "has"
    return None if square > 0 else f"{' and '.join(units)} {have} no variance"


def _silent(effect: float, square: float, t: float | None, reason: str) -> Comparison:
    return Comparison(effect, sqrt(square), -inf, inf, 1.0, t, "none", False, reason)  # noqa: FBT003
