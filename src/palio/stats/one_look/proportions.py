"""Shares of successes of two arms: their difference and their ratio, from four counts.

Score methods throughout: the variance is taken under the value in question instead of at the
estimate, so that no success or nothing but successes still gives an interval, and one that stays
inside the parameter's range. For the Moments of the same counts (mean p, variance
``p (1 - p) n / (n - 1)``) every rule for means applies as well.
"""

from __future__ import annotations

from math import copysign, hypot, inf, isinf, sqrt

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude

__all__ = ["relative_risk", "two_proportions", "wilson"]

_HALVINGS = 60


def wilson(successes: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Bound a success rate by Wilson's score interval.

    Parameters
    ----------
    successes, n
        Counts, 0 <= successes <= n, n >= 1.
    alpha
        Error probability, in (0, 1).

    Returns
    -------
    tuple of float
        Bounds (lower, upper) in [0, 1] that enclose ``successes / n``.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Wilson (1927), JASA 22(158), 209-212.
    """
    _check("successes", successes, "n", n)
    reach = conclude(0.0, 1.0, alpha=alpha).upper
    return _wilson(successes / n, n, -reach), _wilson(successes / n, n, reach)


def two_proportions(
    successes_c: int,
    n_c: int,
    successes_t: int,
    n_t: int,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare two shares by their difference.

    The interval is Newcombe's hybrid of two Wilson intervals (his method 10, without continuity
    correction), the p-value that of the score test: the pooled z-test for a null of 0, Farrington
    and Manning's for a margin. They are two methods and may disagree where the p-value is next to
    alpha; the p-value decides, the interval shows the size.

    Parameters
    ----------
    successes_c, n_c
        Counts of control, 0 <= successes_c <= n_c, n_c >= 1.
    successes_t, n_t
        Counts of treatment, likewise.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        What is to be shown of the effect against the null.
    null
        Difference under the null hypothesis, in (-1, 1). Non-inferiority: ``-margin`` with
        ``larger``. Equivalence: ``larger`` than the low end and ``smaller`` than the high end of
        the range are both shown; `palio.stats.estimate.equivalence` gives Wald's version.

    Returns
    -------
    Estimate
        Share of treatment minus share of control, bounds in [-1, 1]; ``se`` is the unpooled one.
        While no value differs from any other the p-value against 0 is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17(8), 873-890, method 10. Farrington and Manning
    (1990), Statistics in Medicine 9(12), 1447-1454.
    """
    _check("successes_c", successes_c, "n_c", n_c)
    _check("successes_t", successes_t, "n_t", n_t)
    if not -1 < null < 1:
        raise ValueError(f"null must be in (-1, 1), got {null}")
    share_c, share_t = successes_c / n_c, successes_t / n_t
    effect = share_t - share_c
    under = _restricted((successes_c, n_c, successes_t, n_t), null)
    noise = hypot(_noise(under, n_c), _noise(under + null, n_t))
    p_value = conclude(effect, noise, alpha=alpha, alternative=alternative, null=null).p_value
    unit = conclude(0.0, 1.0, alpha=alpha, alternative=alternative)
    lower, upper = (_newcombe((share_c, n_c), (share_t, n_t), z) for z in (unit.lower, unit.upper))
    se = hypot(_noise(share_c, n_c), _noise(share_t, n_t))
    return Estimate(effect, se, inf, lower, upper, p_value)


def relative_risk(
    successes_c: int,
    n_c: int,
    successes_t: int,
    n_t: int,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Compare two shares by their ratio, with Koopman's score test and the interval it inverts.

    It is chosen over the interval on the log scale (Katz) because that one has no bounds without
    a success in treatment, covers too little with few, and disagrees with the test.

    Parameters
    ----------
    successes_c, n_c
        Counts of control, 1 <= successes_c <= n_c: the ratio takes a baseline.
    successes_t, n_t
        Counts of treatment, 0 <= successes_t <= n_t, n_t >= 1.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        What is to be shown of the effect against the null.
    null
        Effect under the null hypothesis, > -1; -0.02 is a loss of 2 %.

    Returns
    -------
    Estimate
        ``share_t / share_c - 1``, bounds from -1 up; ``se`` is that of the delta method. While
        no value differs from any other the p-value against 0 is 1.

    Raises
    ------
    ValueError
        If an argument is out of its range, successes_c at 0 included.

    References
    ----------
    Koopman (1984), Biometrics 40(2), 513-517.
    """
    _check("successes_c", successes_c, "n_c", n_c, least=1)
    _check("successes_t", successes_t, "n_t", n_t)
    if not -1 < null < inf:
        raise ValueError(f"null must be finite and > -1, got {null}")
    counts = successes_c, n_c, successes_t, n_t
    share_c, share_t = successes_c / n_c, successes_t / n_t
    score = _ratio_score(counts, 1 + null)
    p_value = conclude(score, 1.0, alpha=alpha, alternative=alternative).p_value
    unit = conclude(0.0, 1.0, alpha=alpha, alternative=alternative)
    lower, upper = (_koopman(counts, -z) - 1 for z in (unit.lower, unit.upper))
    noise_c, noise_t = _noise(share_c, n_c) * (share_t / share_c), _noise(share_t, n_t)
    se = hypot(noise_c, noise_t) / share_c
    return Estimate((share_t - share_c) / share_c, se, inf, lower, upper, p_value)


def _check(name: str, successes: int, name_n: str, n: int, *, least: int = 0) -> None:
    ranges.whole(name_n, n, 1)
    ranges.whole(name, successes, least)
    ranges.within(name, successes, least, n)


def _noise(share: float, n: int) -> float:
    """Give the standard error of a share; rounding may have taken it just out of [0, 1]."""
    return sqrt(max(share * (1 - share), 0.0) / n)


def _wilson(share: float, n: int, z: float) -> float:
    """Give Wilson's bound z deviations above the share, below it for z < 0."""
    if isinf(z):
        return max(copysign(1.0, z), 0.0)
    shrink = z * z / n
    half = z * sqrt(share * (1 - share) / n + shrink / n / 4)
    bound = (share + shrink / 2 + half) / (1 + shrink)
    return min(max(bound, share), 1.0) if z > 0 else min(max(bound, 0.0), share)


def _newcombe(control: tuple[float, int], treatment: tuple[float, int], z: float) -> float:
    """Give Newcombe's bound of the difference z deviations above it, below it for z < 0."""
    if isinf(z):
        return copysign(1.0, z)
    (share_c, _), (share_t, _) = control, treatment
    reach = hypot(_wilson(*treatment, z) - share_t, _wilson(*control, -z) - share_c)
    return min(max(share_t - share_c + copysign(reach, z), -1.0), 1.0)


def _restricted(counts: tuple[int, int, int, int], null: float) -> float:
    """Give the likeliest share of control where that of treatment is larger by the null.

    The derivative of the log-likelihood, cleared of its denominators, falls through 0 once.
    """
    x_c, n_c, x_t, n_t = counts
    if null == 0:
        return (x_c + x_t) / (n_c + n_t)
    low, high = max(0.0, -null), min(1.0, 1.0 - null)
    for _ in range(_HALVINGS):
        p = (low + high) / 2
        q = p + null
        slope = (x_c - n_c * p) * q * (1 - q) + (x_t - n_t * q) * p * (1 - p)
        low, high = (p, high) if slope > 0 else (low, p)
    return (low + high) / 2


def _ratio_score(counts: tuple[int, int, int, int], ratio: float) -> float:
    """Give Koopman's z: how far the shares are from a ratio, in deviations under that ratio."""
    x_c, n_c, x_t, n_t = counts
    if ratio > 1:  # the other way round nothing overflows
        return -_ratio_score((x_t, n_t, x_c, n_c), 1 / ratio)
    # Likeliest share of control under the ratio: the smaller root of a p^2 - b p + c.
    a, b, c = ratio * (n_c + n_t), ratio * (n_t + x_c) + x_t + n_c, x_c + x_t
    share = min(2 * c / (b + sqrt(max(b * b - 4 * a * c, 0.0))), 1.0)
    noise = hypot(_noise(share, n_c) * ratio, _noise(min(share * ratio, 1.0), n_t))
    return (x_t / n_t - ratio * (x_c / n_c)) / noise if noise else 0.0


def _koopman(counts: tuple[int, int, int, int], score: float) -> float:
    """Give the ratio at which the z of Koopman, which falls as the ratio grows, is score."""
    if isinf(score) or (counts[2] == 0 and score > 0):
        return 0.0 if score > 0 else inf
    low = high = 1.0
    while _ratio_score(counts, low) < score:
        low /= 4
    while _ratio_score(counts, high) > score:
        high *= 4
    for _ in range(_HALVINGS):
        middle = sqrt(low) * sqrt(high)
        low, high = (middle, high) if _ratio_score(counts, middle) > score else (low, middle)
    return sqrt(low) * sqrt(high)
