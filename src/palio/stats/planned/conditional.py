"""Conditional power: whether it is still worth while to go on, given where an experiment stands.

At information share t the score ``B = z sqrt(t)`` is a Brownian path with drift, so what is left
is such a path, too: it starts where the score is now and has ``1 - t`` to go. The chance that it
still crosses rule 1's boundary on the better side is a crossing probability as any other.

It serves futility: an experiment whose chance has become small may be given up as inconclusive.
Such a stop binds nobody and never adds to the error probability, for it only takes crossings away;
what it costs is power.

References
----------
Lan, Simon and Halperin (1982), Communications in Statistics C 1(3), 207-219.
Lan and Wittes (1988), "The B-value", Biometrics 44(2), 579-585.
"""

from __future__ import annotations

from math import inf, sqrt

from palio.stats import ranges
from palio.stats.anytime.horizon import HorizonRule
from palio.stats.planned.group_sequential import Walk

__all__ = ["conditional_power"]

_LOOKS = 24
_LEAST_STEP = 1e-9
_MAX_DRIFT = 1e6
_BOTH = 2


def conditional_power(
    z: float, t: float, rule: HorizonRule, *, drift: float | None = None
) -> float:
    """Give the chance that an experiment under rule 1 still crosses its boundary by the horizon.

    Parameters
    ----------
    z
        Where it stands, ``(effect - null) / se``, signed so that larger is better; finite.
    t
        Share of the planned information by now, in (0, 1).
    rule
        The boundary; `Design.rule` gives that of `compare`. Only a crossing on the better side
        counts; under a rule with two sides, a path that crosses on the worse one has ended. The
        chance of that is what ``-z`` and ``-drift`` give.
    drift
        What is assumed of the effect: the mean of z at the horizon, ``(effect - null) / (se
        sqrt(t))`` for any effect, in [-1e6, 1e6]. The present estimate, ``z / sqrt(t)``, if None;
        ``(z + rule.reach(t)) / sqrt(t)`` for the upper end of the present interval, if it has one.

    Returns
    -------
    float
        In [0, 1]: 1 where the boundary is reached at t, 0 where the worse one is, and 0 after
        the last of the binding looks.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Worked out at 24 looks from now to the horizon, dense at first, or at the binding looks that
    are left, every other of them and so on where they are more than 24. More looks only add to
    it: from a tenth of the information on, constant looking is up to about 0.03 higher where it is
    below 0.2 and up to 0.15 close below the boundary; before, up to twice that. What rule 2 adds
    beyond the horizon is left out.

    Early on the present estimate is mostly noise: giving up wherever its chance is below 0.1 can
    cost a third of all power. The upper end of the interval or the effect planned for costs next
    to none (`docs/statistics.md`).

    References
    ----------
    Lan and Wittes (1988), Biometrics 44(2), 579-585. Jennison and Turnbull (2000), Group
    Sequential Methods, chapter 10.

    Examples
    --------
    >>> rule = HorizonRule(0.0485)
    >>> round(conditional_power(0.3, 0.5, rule), 3)  # if the effect is as it looks
    0.002
    >>> round(conditional_power(0.3, 0.5, rule, drift=3.0), 3)  # if it is as it was planned
    0.153
    """
    ranges.finite("z", z)
    ranges.open_unit("t", t)
    if drift is None:
        drift = max(-_MAX_DRIFT, min(z / sqrt(t), _MAX_DRIFT))
    ranges.within("drift", drift, -_MAX_DRIFT, _MAX_DRIFT)
    reach = rule.reach(t)
    if z >= reach:
        return 1.0
    if rule.sides == _BOTH and z <= -reach:
        return 0.0
    return _still_crosses(z * sqrt(t), t, rule, drift)


def _still_crosses(score: float, t: float, rule: HorizonRule, drift: float) -> float:
    """Give the probability of crossing above, of paths that start anew from score and t."""
    shares = _looks_left(t, rule)
    walk, chance = Walk.start(), 0.0
    for share, following in zip(shares, [*shares, inf][1:], strict=True):
        reach = rule.reach(share) * sqrt(share)
        high, low = reach - score, -reach - score if rule.sides == _BOTH else -inf
        chance += walk.above(high, share - t, drift)
        if following < inf:
            walk = walk.within(low, high, share - t, drift=drift, following=following - t)
    return min(1.0, chance)


def _looks_left(t: float, rule: HorizonRule) -> list[float]:
    """Give the information shares to look at, the last of them the horizon."""
    if rule.looks is None:
        looks = _LOOKS if 1 - t > _LEAST_STEP else 1
        return [t + (1 - t) * (at / looks) ** 2 for at in range(1, looks)] + [1.0]
    left = range(rule.looks, rule.checkpoint(t), -1)
    every = -(-len(left) // _LOOKS) or 1
    return [at / rule.looks for at in reversed(left[::every])]
