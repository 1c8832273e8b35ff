"""Epochs and segments: effects within strata, together, apart, and the worst of them.

When the share of treatment changes, a pooled mean compares early units with late ones and may
even turn the sign of the effect (Simpson's paradox). Within a stratum the arms are comparable:
the effect is ``sum w_s (mean_t,s - mean_c,s)`` with ``se^2 = sum w_s^2 (var_t,s/n_t,s +
var_c,s/n_c,s)``. Both are sums over the arms, so the result is again `Moments` of each arm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum
from typing import TYPE_CHECKING, Literal

from scipy.special import chdtrc  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.moments import Moments
from palio.stats.multiplicity import adjust, sidak_alpha
from palio.stats.one_look.means import welch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from palio.stats.estimate import Estimate

__all__ = [
    "Heterogeneity",
    "Stratified",
    "WorstSegment",
    "heterogeneity",
    "post_stratify",
    "worst_segment",
]

_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Stratified:
    """Two arms standardised to the same mix of strata.

    Attributes
    ----------
    control, treatment
        Moments with ``mean = sum w_s mean_s`` and ``var/n = sum w_s^2 var_s/n_s``, n all units of
        the arm: `palio.stats.compare` and `palio.stats.welch` take them as they are.
    weights
        Weight of each stratum, summing to 1.
    """

    control: Moments
    treatment: Moments
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Whether the effect differs between strata.

    Attributes
    ----------
    q
        Cochran's Q, the weighted squares of the effects around their precision-weighted mean.
    df
        Degrees of freedom: strata in which anything varied, less one.
    p_value
        Of the chi-square test, valid at one look; 1 with fewer than two such strata.
    i2
        Share of the variation between effects that is not chance, in [0, 1].
    """

    q: float
    df: int
    p_value: float
    i2: float


@dataclass(frozen=True, slots=True)
class WorstSegment:
    """The segment with the worst effect, chosen by looking.

    Attributes
    ----------
    segment
        Its name.
    estimate
        Its effect with bounds and p-value that allow for the choice among all segments.
    alpha
        Error probability of each segment alone; `palio.stats.compare` with it gives bounds of
        every segment that hold at all looks and over all segments together.
    """

    segment: str
    estimate: Estimate
    alpha: float


def post_stratify(
    strata: Sequence[tuple[Moments, Moments]], *, weights: Sequence[float] | None = None
) -> Stratified:
    """Put the strata of each arm together with the same weights.

    Parameters
    ----------
    strata
        Control and treatment of each stratum, at least two units in each. A stratum with fewer
        holds no comparison: leave it out, or merge it with one of the same treatment share.
    weights
        Weight of each stratum, >= 0, summing to 1 within 1e-9; the stratum's share in all units
        if None.

    Returns
    -------
    Stratified
        Moments of the standardised arms.

    Raises
    ------
    ValueError
        If there is no stratum, an arm of one is too small or the weights are out of range.

    Notes
    -----
    The standard error is that of the effect at these weights. Where the shares of the strata
    are estimates of those to come and the effect differs between strata, their chance adds
    ``sum w_s (effect_s - effect)^2 / n`` to the square, which is small beside it.

    References
    ----------
    Holt and Smith (1979), JRSS A 142(1), 33-46; Miratrix, Sekhon and Yu (2013), JRSS B 75(2),
    369-396.
    """
    _check_strata(dict(enumerate(strata)))
    sizes = [control.n + treatment.n for control, treatment in strata]
    total = sum(sizes)
    shares = tuple(size / total for size in sizes) if weights is None else tuple(weights)
    _check_weights(shares, len(sizes))
    control, treatment = (_standardised(arms, shares) for arms in zip(*strata, strict=True))
    return Stratified(control, treatment, shares)


def heterogeneity(strata: Sequence[tuple[Moments, Moments]]) -> Heterogeneity:
    """Test whether all strata have the same effect.

    Parameters
    ----------
    strata
        Control and treatment of each stratum, at least two units in each. Strata in which
        neither arm varied say nothing and are left out.

    Returns
    -------
    Heterogeneity
        ``Q = sum (d_s - d)^2 / se_s^2`` against chi-square, ``I^2 = max(0, 1 - df/Q)``.

    Raises
    ------
    ValueError
        If there is no stratum, an arm of one is too small, or Q overflows.

    References
    ----------
    Cochran (1954), Biometrics 10(1), 101-129; Higgins and Thompson (2002), Statistics in
    Medicine 21(11), 1539-1558.
    """
    _check_strata(dict(enumerate(strata)))
    looks = [welch(control, treatment) for control, treatment in strata]
    varied = [(look.effect, look.se) for look in looks if look.se > 0]
    df = len(varied) - 1
    if df < 1:
        return Heterogeneity(0.0, max(df, 0), 1.0, 0.0)
    least = min(se for _, se in varied)
    precision = [(least / se) ** 2 for _, se in varied]
    common = sum(p * d for p, (d, _) in zip(precision, varied, strict=True)) / sum(precision)
    q = sum(((d - common) / se) * ((d - common) / se) for d, se in varied)
    ranges.finite("Q of strata", q)
    return Heterogeneity(q, df, float(chdtrc(df, q)), max(0.0, 1 - df / q) if q else 0.0)


def worst_segment(
    segments: Mapping[str, tuple[Moments, Moments]],
    *,
    alpha: float = 0.05,
    direction: Literal["larger", "smaller"] = "larger",
) -> WorstSegment:
    """Find the segment that treatment serves worst, with bounds that allow for the search.

    Parameters
    ----------
    segments
        Control and treatment by segment, at least two units in each; no unit in two segments.
    alpha
        Probability that any of the segments' bounds miss, in (0, 1).
    direction
        Which values of the metric are better; the worst segment has the least effect for
        ``larger``, the greatest for ``smaller``.

    Returns
    -------
    WorstSegment
        Bounds by Welch's t at ``1 - (1 - alpha)^(1/m)`` for m segments, p-value
        ``1 - (1 - p)^m``. A segment in which nothing varied is chosen only if all are such.

    Raises
    ------
    ValueError
        If there is no segment, an arm of one is too small, or an argument is out of its range.

    Notes
    -----
    The bounds of all segments hold together with 1 - alpha, exactly so for independent
    segments, hence those of whichever is picked. The effect itself is the extreme of m and so
    biased outwards. For bounds that hold at all looks as well, compare every segment with
    ``compare(..., alpha=result.alpha)``, whose range of alpha takes 51 segments at 0.05.

    References
    ----------
    Sidak (1967), JASA 62(318), 626-633.
    """
    _check_strata(segments)
    if direction not in {"larger", "smaller"}:
        raise ValueError(f"direction must be larger or smaller, got {direction!r}")
    each = sidak_alpha(alpha, len(segments))
    looks = {name: welch(*arms, alpha=each) for name, arms in segments.items()}
    sign = 1 if direction == "larger" else -1
    worst = min(looks, key=lambda name: (looks[name].se == 0, sign * looks[name].effect))
    p_value = adjust({name: look.p_value for name, look in looks.items()}, "sidak")[worst]
    return WorstSegment(worst, replace(looks[worst], p_value=p_value), each)


def _standardised(arms: Sequence[Moments], weights: Sequence[float]) -> Moments:
    n = sum(arm.n for arm in arms)
    pairs = list(zip(weights, arms, strict=True))
    mean = sum(weight * arm.mean for weight, arm in pairs)
    var = sum(weight * weight * (n / arm.n) * arm.var for weight, arm in pairs)
    return Moments(n, mean, var)


def _check_strata(
    strata: Mapping[str, tuple[Moments, Moments]] | Mapping[int, tuple[Moments, Moments]],
) -> None:
    if not strata:
        raise ValueError("strata must hold at least one, got none")
    for key, pair in strata.items():
        for name, arm in zip(("control", "treatment"), pair, strict=True):
            if arm.n < 2:  # noqa: PLR2004 -- a variance takes two
                raise ValueError(
                    f"n of {name} in stratum {key!r} must be >= 2, got {arm.n}; "
                    "leave the stratum out or merge it"
                )


def _check_weights(weights: Sequence[float], strata: int) -> None:
    if len(weights) != strata:
        raise ValueError(f"weights must be {strata} as the strata, got {len(weights)}")
    for at, weight in enumerate(weights):
        ranges.within(f"weights[{at}]", weight, 0, 1 + _SUM_TOLERANCE)
    total = fsum(weights)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise ValueError(f"weights must sum to 1, got {total:.10g}")
