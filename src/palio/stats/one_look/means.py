"""Means of two arms at one look fixed beforehand: their difference and their ratio.

``effect = mean_t - mean_c`` with ``se^2 = var_c/n_c + var_t/n_t`` and the degrees of freedom of
Welch and Satterthwaite. A relative effect, ``mean_t/mean_c - 1``, is the same comparison of
linearised arms: `relative_moments` gives them, so that every rule for means, the sequential ones
included, serves relative effects as well.
"""

from __future__ import annotations

from math import expm1, hypot, inf, isfinite, log, log1p, sqrt
from typing import Literal

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments

__all__ = ["one_sample", "relative", "relative_moments", "welch"]

_LARGEST_LOG = 709.0  # exp of it is still a float
_HALVED = -0.5


def welch(
    control: Moments,
    treatment: Moments,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare two means by Welch's t-test.

    Parameters
    ----------
    control, treatment
        Moments of the arms, at least two units each.
    alpha
        Error probability at this one look, in (0, 1); looking twice exceeds it.
    alternative
        What is to be shown of the effect against the null.
    null
        Effect under the null hypothesis, in the metric's units; ``-margin`` with ``larger`` shows
        non-inferiority.

    Returns
    -------
    Estimate
        Mean of treatment minus mean of control. While neither arm has any variance the bounds
        are infinite and the p-value is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range, an arm has fewer than two units or the difference
        exceeds the largest float.

    References
    ----------
    Welch (1947), Biometrika 34(1-2), 28-35. Satterthwaite (1946), Biometrics Bulletin 2(6),
    110-114.
    """
    noise_c, noise_t = _noises(control, treatment)
    return conclude(
        treatment.mean - control.mean,
        hypot(noise_c, noise_t),
        df=_satterthwaite(control.n, noise_c, treatment.n, noise_t),
        alpha=alpha,
        alternative=alternative,
        null=null,
    )


def relative(
    control: Moments,
    treatment: Moments,
    *,
    scale: Literal["linear", "log"] = "linear",
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare two means by their ratio, with the delta method.

    Parameters
    ----------
    control, treatment
        Moments of the arms, at least two units each; the mean of control is not 0.
    scale
        ``linear``: ``effect -+ reach``, the same as `welch` of the `relative_moments`. ``log``:
        ``exp(log ratio -+ reach) - 1``, which stays above -1 and mirrors under exchange of the
        arms; it takes two means of the same sign.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        What is to be shown of the effect against the null.
    null
        Effect under the null hypothesis, -0.02 being a loss of 2 %; above -1 on the log scale.

    Returns
    -------
    Estimate
        ``mean_t / mean_c - 1``. With a negative mean of control a larger mean of treatment is a
        smaller ratio. ``se`` is that of the ratio on either scale.

    Raises
    ------
    ValueError
        If an argument is out of its range, an arm has fewer than two units, the mean of control
        is 0 or so near that the ratio overflows, or, on the log scale, the signs differ.

    References
    ----------
    ``var(b/a) = var_b/a^2 + b^2 var_a/a^4`` and ``var(log(b/a)) = var_b/b^2 + var_a/a^2`` for
    independent means a and b: Deng, Knoblich and Lu (2018), KDD, 233-242.
    """
    if scale not in {"linear", "log"}:
        raise ValueError(f"scale must be linear or log, got {scale!r}")
    noise_c, noise_t = _noises(control, treatment)
    effect, ratio = _lift(control.mean, treatment.mean)
    noise_c, noise_t = ratio * (noise_c / control.mean), noise_t / control.mean
    se, df = hypot(noise_c, noise_t), _satterthwaite(control.n, noise_c, treatment.n, noise_t)
    if scale == "linear":
        return conclude(effect, se, df=df, alpha=alpha, alternative=alternative, null=null)
    if not ratio > 0:
        raise ValueError(
            f"means must have the same sign on the log scale, got {control.mean} "
            f"and {treatment.mean}"
        )
    if not null > -1:
        raise ValueError(f"null must be > -1 on the log scale, got {null}")
    log_ratio = log1p(effect) if effect > _HALVED else log(ratio)
    found = conclude(
        log_ratio, se / ratio, df=df, alpha=alpha, alternative=alternative, null=log1p(null)
    )
    return Estimate(effect, se, df, _expm1(found.lower), _expm1(found.upper), found.p_value)


def relative_moments(control: Moments, treatment: Moments) -> tuple[Moments, Moments]:
    """Linearise the relative effect: arms whose difference of means is ``mean_t/mean_c - 1``.

    Parameters
    ----------
    control, treatment
        Moments of the arms; the mean of control is not 0.

    Returns
    -------
    tuple of Moments
        Control with mean 1 and variance ``R^2 var_c / mean_c^2``, treatment with mean R and
        variance ``var_t / mean_c^2``, where ``R = mean_t / mean_c``; the counts stay.

    Raises
    ------
    ValueError
        If the mean of control is 0 or so near that a result overflows.

    References
    ----------
    Delta method: Deng, Knoblich and Lu (2018), KDD, 233-242.
    """
    _, ratio = _lift(control.mean, treatment.mean)
    sd_c, sd_t = ratio * (sqrt(control.var) / control.mean), sqrt(treatment.var) / control.mean
    return Moments(control.n, 1.0, sd_c * sd_c), Moments(treatment.n, ratio, sd_t * sd_t)


def one_sample(
    moments: Moments,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Test one mean by Student's t-test: of paired differences, treatment minus control.

    Parameters
    ----------
    moments
        Moments of one value a unit, at least two units.
    alpha, alternative, null
        As for `welch`; the null is the mean under the null hypothesis.

    Returns
    -------
    Estimate
        The mean, with n - 1 degrees of freedom.

    Raises
    ------
    ValueError
        If an argument is out of its range or there are fewer than two units.

    References
    ----------
    Student (1908), Biometrika 6(1), 1-25.
    """
    ranges.whole("n", moments.n, 2)
    return conclude(
        moments.mean,
        _noise(moments),
        df=moments.n - 1,
        alpha=alpha,
        alternative=alternative,
        null=null,
    )


def _noises(control: Moments, treatment: Moments) -> tuple[float, float]:
    ranges.whole("n of control", control.n, 2)
    ranges.whole("n of treatment", treatment.n, 2)
    return _noise(control), _noise(treatment)


def _noise(arm: Moments) -> float:
    """Give the standard deviation of the mean; its square would underflow first."""
    return sqrt(arm.var) / sqrt(arm.n)


def _satterthwaite(n_c: int, noise_c: float, n_t: int, noise_t: float) -> float:
    """Give the degrees of freedom from shares of the variance so that no square underflows."""
    total = hypot(noise_c, noise_t)
    if total == 0:
        return float(n_c + n_t - 2)
    share_c, share_t = (noise_c / total) ** 2, (noise_t / total) ** 2
    return 1 / (share_c**2 / (n_c - 1) + share_t**2 / (n_t - 1))


def _lift(base: float, mean: float) -> tuple[float, float]:
    """Give mean / base less 1, which keeps its digits near 0, and the ratio itself."""
    effect, ratio = ((mean - base) / base, mean / base) if base else (inf, inf)
    if not (isfinite(effect) and isfinite(ratio)):
        raise ValueError(
            f"mean of control must be far enough from 0 to divide {mean} by it, got {base}"
        )
    return effect, ratio


def _expm1(bound: float) -> float:
    return expm1(bound) if bound < _LARGEST_LOG else inf
