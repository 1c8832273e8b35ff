"""The comparison of two arms that may be looked at as often as one likes.

Inside a declared horizon rule 1 decides at ``alpha - reserve``; the reserve, 0.005 (a tenth of
alpha where alpha is below 0.05), belongs to rule 2, which holds at every sample size and takes
over beyond the horizon. The two error probabilities add up to alpha, so looking on after the
horizon costs width and never validity. Without a horizon rule 2 has all of alpha.

Guards come first, for the normal approximation behind both rules is poor on small skewed arms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING, Literal

from palio.stats.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.mixture import MixtureRule
from palio.stats.mixture_table import T_MIN

if TYPE_CHECKING:
    from palio.stats.moments import Moments

__all__ = ["Comparison", "compare"]

_MIN_UNITS = 100
_SMALL_ARM = 10_000
_SMALL_SHARE = 0.1
_ALPHA_RANGE = (0.001, 0.2)
_RESERVE, _RESERVE_SHARE = 0.005, 0.1
_HORIZON_SLACK = 1.01

RuleName = Literal["mixture", "asymptotic", "none"]


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
        without a verdict.
    p_value
        Valid at this look whatever was looked at before, 1 without a verdict; the minimum over
        the looks so far is valid, too. ``p_value <= alpha`` where the bounds exclude zero.
    information_share
        Share t of the information planned at the horizon, above 1 beyond it; None without a
        horizon, or where the arms do not tell it yet.
    rule
        Which rule gave the bounds: ``mixture`` (1), ``asymptotic`` (2), ``none``.
    significant
        Whether the bounds exclude zero.
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
    r: float = 0.3,
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
    r
        Shape of rule 1, in [0.05, 1]; small looks early, large looks late.

    Returns
    -------
    Comparison
        Bounds and p-value; no verdict below 100 units in an arm, below 1 % of the planned
        information, and while both arms have no variance: values that were all the same so far
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
    last look does not fall to the chance by which the arms miss their share.
    """
    _check(alpha, horizon, planned, treatment_share)
    effect = treatment.mean - control.mean
    var_control, var_treatment = _guarded_variances(control, treatment)
    square = _square(var_control, control.n) + _square(var_treatment, treatment.n)
    reason = _no_verdict(control, treatment, square)
    if reason:
        return _silent(effect, sqrt(square), None, reason)
    units = control.n + treatment.n
    if horizon is None:
        rule = _asymptotic_rule(alpha, planned or units)
        return _by_asymptotic(effect, sqrt(square), rule, units, share=1.0, t=None)
    at_horizon = var_control / (1 - treatment_share) + var_treatment / treatment_share
    t = at_horizon / horizon / square
    reserve = min(_RESERVE, alpha * _RESERVE_SHARE)
    if t > _HORIZON_SLACK:
        rule = _asymptotic_rule(reserve, planned or horizon)
        return _by_asymptotic(effect, sqrt(square), rule, units, share=reserve / alpha, t=t)
    if t < T_MIN:
        return _silent(effect, sqrt(square), t, f"below {T_MIN:.0%} of the planned information")
    return _by_mixture(
        effect, sqrt(square), t, rule=_mixture_rule(alpha - reserve, r), alpha=alpha
    )


def _check(alpha: float, horizon: int | None, planned: int | None, treatment_share: float) -> None:
    low, high = _ALPHA_RANGE
    if not low <= alpha <= high:
        raise ValueError(f"alpha must be in [{low}, {high}], got {alpha}")
    if horizon is None and planned is None:
        raise ValueError("planned must be given without a horizon, got None for both")
    if horizon is not None and not horizon >= 1:
        raise ValueError(f"horizon must be >= 1, got {horizon}")
    if planned is not None and not planned >= 1:
        raise ValueError(f"planned must be >= 1, got {planned}")
    if not 0 < treatment_share < 1:
        raise ValueError(f"treatment_share must be in (0, 1), got {treatment_share}")


def _guarded_variances(control: Moments, treatment: Moments) -> tuple[float, float]:
    """Give the variances of the arms, the pooled one for both where rule 3 asks and it is worse.

    With too few units to pool, the own ones serve: there is no verdict anyway.
    """
    small, large = sorted((control.n, treatment.n))
    own = control.var, treatment.var
    if small < _MIN_UNITS or (small >= _SMALL_ARM and small >= _SMALL_SHARE * large):
        return own
    squares = control.var * (control.n - 1) + treatment.var * (treatment.n - 1)
    pooled = squares / (control.n + treatment.n - 2)
    welch = control.var / control.n + treatment.var / treatment.n
    return (pooled, pooled) if pooled / control.n + pooled / treatment.n > welch else own


def _square(var: float, n: int) -> float:
    return var / n if n else 0.0


def _no_verdict(control: Moments, treatment: Moments, square: float) -> str | None:
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n < _MIN_UNITS:
            return f"{name} has {arm.n} units, a verdict needs {_MIN_UNITS}"
    if not isfinite(square):
        return "the variance of an arm is too large to compute with"
    return None if square > 0 else "neither arm has any variance"


def _silent(effect: float, se: float, t: float | None, reason: str) -> Comparison:
    return Comparison(effect, se, -inf, inf, 1.0, t, "none", False, reason)  # noqa: FBT003


def _by_mixture(
    effect: float, se: float, t: float, *, rule: MixtureRule, alpha: float
) -> Comparison:
    within = min(t, 1.0)
    lower, upper = rule.interval(effect, se, within)
    p_value = min(1.0, rule.p_value(effect / se, within) * alpha / rule.alpha)
    significant = lower > 0 or upper < 0
    return Comparison(effect, se, lower, upper, p_value, t, "mixture", significant, None)


def _by_asymptotic(
    effect: float, se: float, rule: AsymptoticRule, units: int, *, share: float, t: float | None
) -> Comparison:
    lower, upper = rule.interval(effect, se, units)
    p_value = min(1.0, rule.p_value(effect / se, units) / share)
    significant = lower > 0 or upper < 0
    return Comparison(effect, se, lower, upper, p_value, t, "asymptotic", significant, None)


@lru_cache(maxsize=256)
def _mixture_rule(alpha: float, r: float) -> MixtureRule:
    return MixtureRule(alpha, r)


@lru_cache(maxsize=256)
def _asymptotic_rule(alpha: float, planned: int) -> AsymptoticRule:
    return AsymptoticRule(alpha, tuned_rho2(alpha, planned))
