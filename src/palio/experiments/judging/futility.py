"""Futility: how likely the best challenger still wins by the horizon, at best.

The effect is taken to be as good as the present interval admits. By the present estimate, which is
mostly noise early on, giving up would cost a third of the power; so it costs next to none
(`docs/statistics.md`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from statistics import NormalDist

from palio.experiments.designs.metrics import Metric
from palio.experiments.judging.analysis import Contrast, Verdict
from palio.stats import Design, conditional_power

__all__ = ["LEAST_PROGRESS", "chance_to_win"]

LEAST_PROGRESS = 0.1
"""Share of the horizon before which nobody is given up."""
_SMALLEST = 1e-12


def chance_to_win(goals: Iterable[Contrast], metric: Metric, progress: float) -> float | None:
    """Return the largest chance of a challenger to be shown to be better by the horizon.

    It is that of the rule for a horizon, on the share of alpha that the challenger has, if the
    effect is at the better end of the present interval.

    Parameters
    ----------
    goals
        Contrasts of the challengers that may still win.
    metric
        The goal.
    progress
        Share of the horizon that is known, > 0.

    Returns
    -------
    float or None
        In [0, 1]; None while it is too early for any of them, or too late.
    """
    chances = [_chance(row, metric, progress) for row in goals]
    known = [chance for chance in chances if chance is not None]
    return max(known) if known and len(known) == len(chances) else None


def _chance(row: Contrast, metric: Metric, progress: float) -> float | None:
    if row.verdict is Verdict.BETTER:
        return 1.0
    if row.fixed is None or row.effect is None or not 0 < progress < 1:
        return None
    size = NormalDist().inv_cdf(1 - max(row.fixed.p_value, _SMALLEST) / 2)
    z = size if metric.direction.sign * row.effect > 0 else -size
    rule = Design(alpha=row.alpha).rule()
    best = (z + rule.reach(progress)) / sqrt(progress)
    return conditional_power(z, progress, rule, drift=best)
