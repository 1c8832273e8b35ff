"""Several metrics at once: p-values adjusted for their number, and discoveries from e-values.

Each procedure is a rule on the ordered p-values ``p_(1) <= ... <= p_(m)``; an adjusted p-value is
the smallest alpha at which the rule rejects: ``adjusted <= alpha`` is the decision at any alpha.

=====================  ==============================================  ===========================
method                 adjusted p-value, capped at 1                   holds under
=====================  ==============================================  ===========================
bonferroni             ``m p``                                         any dependence
sidak                  ``1 - (1 - p)^m``                               independence, |z| of normals
holm                   ``max_{j<=i} (m - j + 1) p_(j)``                any dependence
hochberg               ``min_{j>=i} (m - j + 1) p_(j)``                Simes' inequality
hommel                 ``max`` of Simes' p over the sets holding i     Simes' inequality
benjamini-hochberg     ``min_{j>=i} m p_(j) / j``                      positive dependence (PRDS)
benjamini-yekutieli    the same times ``1 + 1/2 + ... + 1/m``          any dependence
=====================  ==============================================  ===========================

The first five bound the chance of any false rejection, the last two and `e_bh` the expected share
of false ones among the rejected. Guardrails take Holm: a single false alarm stops a rollout and
metrics of the same units depend on each other in ways nobody knows. Secondary metrics take
Benjamini-Hochberg at a look fixed beforehand and `e_bh` under continuous looking.

Always-valid p-values (running minima) are p-values at every stopping time, which may depend on
all metrics together and so may tie them in any way. Bonferroni, Holm and Benjamini-Yekutieli do
not mind. Sidak, Hochberg and Hommel keep their promise if the minima over the whole experiment
depend as the table asks: stopping earlier makes p-values larger and rejects less.
Benjamini-Hochberg has no such argument, for its error is a share, not a chance: use
Benjamini-Yekutieli or `e_bh` there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import expm1, log1p
from typing import Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from palio.stats import ranges

__all__ = ["Method", "adjust", "e_bh", "sidak_alpha"]

Method = Literal[
    "bonferroni", "sidak", "holm", "hochberg", "hommel", "benjamini-hochberg",
    "benjamini-yekutieli",
]  # fmt: skip
"""How p-values are adjusted; the module's table says what each one needs."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value", float, bool)
_Array = NDArray[np.float64]


@overload
def adjust(p_values: Mapping[_Key, float], method: Method) -> dict[_Key, float]: ...
@overload
def adjust(p_values: Sequence[float] | _Array, method: Method) -> tuple[float, ...]: ...
def adjust(
    p_values: Mapping[_Key, float] | Sequence[float] | _Array, method: Method
) -> dict[_Key, float] | tuple[float, ...]:
    """Adjust p-values for their number.

    Parameters
    ----------
    p_values
        One p-value a metric, each in [0, 1], by name or in order; none at all is allowed.
    method
        ``holm`` for guardrails, ``benjamini-hochberg`` for secondary metrics; what each method
        needs, and which ones take always-valid p-values, is in the module's table.

    Returns
    -------
    dict or tuple of float
        Adjusted p-values in [0, 1] under the same keys or in the same order, none below the
        p-value it belongs to. Those ``<= alpha`` are rejected at level alpha.

    Raises
    ------
    ValueError
        If a p-value is outside [0, 1] or the method is unknown.

    References
    ----------
    Sidak (1967), JASA 62(318), 626-633. Holm (1979), Scandinavian Journal of Statistics 6(2),
    65-70. Hochberg (1988), Biometrika 75(4), 800-802. Hommel (1988), Biometrika 75(2), 383-386.
    Benjamini and Hochberg (1995), JRSS B 57(1), 289-300. Benjamini and Yekutieli (2001), Annals
    of Statistics 29(4), 1165-1188. Wright (1992), Biometrics 48(4), 1005-1013 (adjusted p-values).

    Examples
    --------
    >>> adjust({"latency": 0.01, "errors": 0.04}, "holm")
    {'latency': 0.02, 'errors': 0.04}
    """
    if method not in _RULES:
        raise ValueError(f"method must be one of {', '.join(_RULES)}, got {method!r}")
    names, values = _split(p_values)
    for name, value in zip(names, values, strict=True):
        ranges.share(f"p_values[{name!r}]", value)
    p = np.asarray(values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    if p.size:
        adjusted[order] = np.clip(_RULES[method](p[order]), p[order], 1.0)
    return _join(p_values, adjusted.tolist())


@overload
def e_bh(e_values: Mapping[_Key, float], *, alpha: float = ...) -> dict[_Key, bool]: ...
@overload
def e_bh(e_values: Sequence[float] | _Array, *, alpha: float = ...) -> tuple[bool, ...]: ...
def e_bh(
    e_values: Mapping[_Key, float] | Sequence[float] | _Array, *, alpha: float = 0.05
) -> dict[_Key, bool] | tuple[bool, ...]:
    """Tell which metrics are discoveries, from e-values that may depend on each other in any way.

    The ``k`` largest e-values are discoveries for the largest ``k`` with ``k e_[k] >= m / alpha``,
    ``e_[k]`` being the k-th largest.

    Parameters
    ----------
    e_values
        One e-value a metric, each finite and >= 0 (one that overflows may be capped: smaller
        stays an e-value), by name or in order. Of an e-process it is the value at *this* look,
        whenever one chose to look; its running maximum is no e-value, and neither is 1/p.
    alpha
        Bound of the expected share of false discoveries, in (0, 1).

    Returns
    -------
    dict or tuple of bool
        Whether each metric is a discovery, under the same keys or in the same order.

    Raises
    ------
    ValueError
        If an e-value is negative or not finite or alpha is out of its range.

    References
    ----------
    Wang and Ramdas (2022), JRSS B 84(3), 822-852.

    Examples
    --------
    >>> e_bh({"clicks": 90.0, "orders": 30.0, "refunds": 2.0})
    {'clicks': True, 'orders': True, 'refunds': False}
    """
    ranges.open_unit("alpha", alpha)
    names, values = _split(e_values)
    for name, value in zip(names, values, strict=True):
        ranges.not_negative(f"e_values[{name!r}]", value)
    wanted = len(values) / alpha
    ranked = enumerate(sorted(values, reverse=True), start=1)
    least = min((value for rank, value in ranked if value >= wanted / rank), default=None)
    return _join(e_values, [least is not None and value >= least for value in values])


def sidak_alpha(alpha: float, m: int) -> float:
    """Give the level of each of m intervals that hold together with 1 - alpha.

    Parameters
    ----------
    alpha
        Chance that any of the intervals misses, in (0, 1).
    m
        Number of intervals, >= 1.

    Returns
    -------
    float
        ``1 - (1 - alpha)^(1/m)``, at least alpha / m; for estimates that are independent (strata
        are) or jointly normal with two-sided intervals.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Sidak (1967), JASA 62(318), 626-633.
    """
    ranges.open_unit("alpha", alpha)
    ranges.whole("m", m, 1)
    return -expm1(log1p(-alpha) / m)


def _split(values: Mapping[_Key, float] | Iterable[float]) -> tuple[list[object], list[float]]:
    if isinstance(values, Mapping):
        return list(values), [float(value) for value in values.values()]
    listed = [float(value) for value in values]
    return list(range(len(listed))), listed


def _join(
    like: Mapping[_Key, float] | Sequence[float] | _Array, values: list[_Value]
) -> dict[_Key, _Value] | tuple[_Value, ...]:
    if isinstance(like, Mapping):
        return dict(zip(like, values, strict=True))
    return tuple(values)


def _ranks(p: _Array) -> _Array:
    return np.arange(1, p.size + 1, dtype=np.float64)


def _bonferroni(p: _Array) -> _Array:
    return p * p.size


def _sidak(p: _Array) -> _Array:
    with np.errstate(divide="ignore"):  # the logarithm at p = 1 is -inf, which is meant
        adjusted: _Array = -np.expm1(p.size * np.log1p(-p))
    return adjusted


def _holm(p: _Array) -> _Array:
    return np.maximum.accumulate(p * _ranks(p)[::-1])


def _hochberg(p: _Array) -> _Array:
    return _least_from_here_on(p * _ranks(p)[::-1])


def _hommel(p: _Array) -> _Array:
    """Close Simes' test: of all sets of a size that hold i, the largest other p are the worst."""
    m = p.size
    adjusted, ranks = p.copy(), _ranks(p)
    for size in range(2, m + 1):
        others = size * float(np.min(p[m - size + 1 :] / ranks[1:size]))
        worst = np.minimum(others, size * np.minimum(p, p[m - size]))
        np.maximum(adjusted, worst, out=adjusted)
    return adjusted


def _benjamini_hochberg(p: _Array) -> _Array:
    return _least_from_here_on(p * (p.size / _ranks(p)))


def _benjamini_yekutieli(p: _Array) -> _Array:
    return _benjamini_hochberg(p) * float(np.sum(1 / _ranks(p)))


def _least_from_here_on(values: _Array) -> _Array:
    return np.minimum.accumulate(values[::-1])[::-1]


_RULES: Mapping[str, Callable[[_Array], _Array]] = {
    "bonferroni": _bonferroni,
    "sidak": _sidak,
    "holm": _holm,
    "hochberg": _hochberg,
    "hommel": _hommel,
    "benjamini-hochberg": _benjamini_hochberg,
    "benjamini-yekutieli": _benjamini_yekutieli,
}
