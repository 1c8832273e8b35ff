"""When the rules that need no peer first declare an effect.

A rule gives the index of the look at which it stops, `LOOKS` where it never does. Rules that take
one look at a time are asked only where |z| by Welch reaches `NEVER_BELOW`: none rejects below 1.64
standard errors at any look, and theirs differ from Welch's by at most 5.5 % (a binomial variance
over 10 units), the guards of Palio making them larger only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from cells import ALPHA, LOOKS, Array, Cell, Paths
from numpy.typing import NDArray
from scipy.special import stdtrit

from palio.stats import AsymptoticRule, Moments, compare, tuned_rho2

__all__ = ["OURS", "PLAIN", "Rule", "Stops", "first", "first_asked"]

NEVER_BELOW = 1.5
Stops = NDArray[np.intp]
Rule = Callable[[Paths], Stops]
Look = tuple[int, float, float]  # n, mean, var of one arm
Decision = Callable[[Look, Look], bool]


def first(crossed: NDArray[np.bool_]) -> Stops:
    """Give the first look that crosses, shape (sims,)."""
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1), LOOKS)


def first_asked(paths: Paths, decide: Decision, *, least: float = NEVER_BELOW) -> Stops:
    """Ask a rule look by look, each simulation up to its first crossing."""
    sims, looks = np.nonzero(np.abs(paths.z) >= least)
    stops = np.full(len(paths.z), LOOKS)
    asked = zip(sims.tolist(), looks.tolist(), *_arms(paths, sims, looks), strict=True)
    for sim, look, control, treatment in asked:
        if stops[sim] == LOOKS and decide(control, treatment):
            stops[sim] = look
    return stops


def _arms(paths: Paths, sims: Stops, looks: Stops) -> Iterator[Iterator[Look]]:
    for arm in (paths.control, paths.treatment):
        columns = arm.n[looks], arm.mean[sims, looks], arm.var[sims, looks]
        yield zip(*(column.tolist() for column in columns), strict=True)


def palio(paths: Paths, *, looks: int | None = None) -> Stops:
    """Ask `palio.stats.compare` with the horizon declared."""
    cell = paths.cell
    horizon = cell.n_control + cell.n_treatment
    plan = {"horizon": horizon, "treatment_share": cell.n_treatment / horizon}
    if looks is not None:
        plan["looks"] = looks

    def decide(control: Look, treatment: Look) -> bool:
        said = compare(Moments(*control), Moments(*treatment), alpha=ALPHA, **plan)
        return said.significant

    return first_asked(paths, decide)


def t_test(paths: Paths) -> Stops:
    """Reject wherever Welch's t-test does, look after look."""
    return first(paths.varied & (np.abs(paths.z) >= _t_bounds(paths)))


def one_look(paths: Paths) -> Stops:
    """Reject by Welch's t-test at the horizon alone."""
    return np.where(np.abs(paths.z[:, -1]) >= _t_bounds(paths)[:, -1], LOOKS - 1, LOOKS)


def _t_bounds(paths: Paths) -> Array:
    squares = [arm.var / arm.n for arm in (paths.control, paths.treatment)]
    total = squares[0] + squares[1]
    share = np.divide(squares[0], total, out=np.full_like(total, 0.5), where=total > 0)
    df = 1 / (share**2 / (paths.control.n - 1) + (1 - share) ** 2 / (paths.treatment.n - 1))
    return stdtrit(df, 1 - ALPHA / 2)


def asymptotic_bounds(cell: Cell) -> Array:
    """Give the |z| at which the asymptotic sequence tuned to the horizon excludes zero."""
    horizon = cell.n_control + cell.n_treatment
    rule = AsymptoticRule(ALPHA, tuned_rho2(ALPHA, horizon))
    return np.array([rule.radius(1.0, horizon * k // LOOKS) for k in range(1, LOOKS + 1)])


def asymptotic(paths: Paths) -> Stops:
    """Reject where the asymptotic confidence sequence excludes zero, without any guard."""
    return first(paths.varied & (np.abs(paths.z) >= asymptotic_bounds(paths.cell)))


PLAIN: dict[str, Rule] = {
    "fixed t-test, one look": one_look,
    "t-test at every look": t_test,
    "asymptotic CS at horizon": asymptotic,
}
OURS: dict[str, Rule] = {
    "Palio": palio,
    "Palio, looks=100": partial(palio, looks=LOOKS),
}
