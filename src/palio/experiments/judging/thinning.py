"""Looks that are kept: all that show something new, and of the others few enough to draw.

An evaluator looks every half minute. A look stands between two others that say the same while the
evidence has grown by less than a five-hundredth: then it is not needed for the interval over time.
So the looks that are kept grow with the logarithm of the traffic.
"""

from __future__ import annotations

from collections.abc import Sequence

from palio.experiments.judging.analysis import Look

__all__ = ["superfluous"]

_GROWTH = 1.002


def superfluous(earlier: Sequence[Look], now: Sequence[Look]) -> Sequence[Look]:
    """Return the looks of the moment before this one that need not be kept.

    Parameters
    ----------
    earlier
        Those of the last two moments, oldest first, one a challenger at each.
    now
        Those of this moment, which bear the smallest p-value of all before.
    """
    moments = sorted({look.watermark for look in earlier})
    if len(moments) < 2 or not now or now[0].watermark <= moments[-1]:  # noqa: PLR2004
        return []
    first, last = ([one for one in earlier if one.watermark == at] for at in moments[-2:])
    said = {one.decision for one in (*first, *last, *now)}
    grown = _evidence(now[0]) > _GROWTH * _evidence(first[0])
    return [] if grown or len(said) > 1 else last


def _evidence(look: Look) -> int:
    return look.units + sum(look.known.values())
