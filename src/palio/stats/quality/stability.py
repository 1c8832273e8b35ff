"""How far the shares of some classes have moved: the population stability index."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from palio.stats import ranges

__all__ = ["population_stability", "stability_by_chance"]


def population_stability(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Measure how far the shares of classes have moved.

    Parameters
    ----------
    expected, actual
        Counts by class before and now, of the same classes, at least one; each class is given
        half a count more, so that an empty one makes no infinity.

    Returns
    -------
    float
        ``sum (a_i - e_i) ln(a_i / e_i)`` over the shares, at least 0: by custom below 0.1 is
        little, above 0.2 much.

    Raises
    ------
    ValueError
        If the numbers of classes differ or a count is negative.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, Wiley; it is Jeffreys' divergence (1946), Proc. R.
    Soc. A 186(1007), 453-461.
    """
    _check(expected, actual)
    n_e, n_a = sum(expected) + len(expected) / 2, sum(actual) + len(actual) / 2
    shares = [((e + 0.5) / n_e, (a + 0.5) / n_a) for e, a in zip(expected, actual, strict=True)]
    return sum((a - e) * log(a / e) for e, a in shares)


def stability_by_chance(n_expected: int, n_actual: int, n_classes: int) -> float:
    """Give what the index is on average where nothing has moved.

    Parameters
    ----------
    n_expected, n_actual
        Sizes of both samples, at least 1.
    n_classes
        Number of classes, at least 1.

    Returns
    -------
    float
        ``(k - 1) (1/n_e + 1/n_a)``, for large samples.

    Raises
    ------
    ValueError
        If a number is below 1.

    References
    ----------
    Yurdakul and Naranjo (2020), J. Risk Model Valid. 14(4), 89-100.
    """
    for name, value in (("n_expected", n_expected), ("n_actual", n_actual)):
        ranges.whole(name, value, 1)
    ranges.whole("n_classes", n_classes, 1)
    return (n_classes - 1) * (1 / n_expected + 1 / n_actual)


def _check(expected: Sequence[int], actual: Sequence[int]) -> None:
    if len(expected) != len(actual) or not expected:
        raise ValueError(
            f"expected and actual must have the same classes, got {len(expected)} and "
            f"{len(actual)}"
        )
    for name, counts in (("expected", expected), ("actual", actual)):
        for count in counts:
            ranges.whole(f"each count of {name}", count, 0)
